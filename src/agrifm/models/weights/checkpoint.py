"""Read tensors from a file of unknown origin without running anything that is in it.

Safetensors files hold no code. Pickles are read with `weights_only`, which builds tensors and containers and calls
nothing else, and only after a check of the sizes that the file claims: a small file may claim to be huge.
"""

import hashlib
import json
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from agrifm.errors import ModelError

MAX_FILE_BYTES = 16 * 2**30
"""Largest file that is read, 16 GiB; the released weights have less than 1 GiB."""
MAX_BARE_PICKLE_BYTES = 2 * 2**30
"""Largest pickle outside an archive, 2 GiB: the sizes that it claims cannot be checked before it is read."""
MAX_STRUCTURE_BYTES = 64 * 2**20
"""Largest pickle inside an archive, 64 MiB: it holds names and shapes only, the numbers are separate entries."""
WRAPPER_KEYS = ("state_dict", "model", "model_state_dict", "module")
"""Keys under which training checkpoints keep their weights."""
MAGIC_BYTES = {
    b"\x89HDF": "an HDF5 file",
    b"II*\x00": "a TIFF",
    b"MM\x00*": "a TIFF",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"\x93NUM": "a NumPy array",
    b"GGUF": "a GGUF file",
    b"vers": "a pointer of Git LFS; fetch the file itself",
}
IGNORED_CLASSES = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "__builtin__.getattr",
    "builtins.getattr",
)
"""Classes that the reference's training saves with the weights; an `InertObject` replaces them, nothing is called."""


class InertObject:
    """Replacement for an object that is not needed: accepts anything, keeps nothing, does nothing."""

    def __new__(cls, *_: Any) -> "InertObject":
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file, by the names in it."""

    path: Path
    format: str
    """Format of the file, in words."""
    wrapper: str
    """Key of the dictionary of tensors; empty if they are at the top level."""
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    """Text in the file's header (safetensors only)."""
    other_entries: tuple[str, ...]
    """Names of other entries of the file, which are not read."""


def read_checkpoint(path: Path, limit: int = MAX_FILE_BYTES) -> Checkpoint:
    """Read the tensors of a safetensors file, or of a file that `torch.save` wrote.

    Args:
        limit: size of the largest file that is read, bytes.

    Raises:
        ModelError: the file is absent, empty, truncated, too large, of another format, claims more than it holds, or
            would call a function.
    """
    about = f"reading the weights {path}"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ModelError(f"{about}: {error.strerror or error}; give the path of a weight file") from error
    if not size:
        raise ModelError(f"{about}: the file is empty; copy it again")
    if size > limit:
        raise ModelError(f"{about}: it has {size:,} bytes, more than the limit of {limit:,}; save the weights alone")
    # safetensors: the length of the header in 8 bytes, then the header as JSON
    if start[8:9] == b"{":
        return _read_safetensors(path, about)
    # a ZIP archive, which torch.save has written since PyTorch 1.6
    if start[:4] == b"PK\x03\x04":
        _require_plain_archive(path, size, about)
        return _read_pickle(path, size, "PyTorch archive", about)
    # the first byte of a pickle of protocol 2 or later
    if start[:1] == b"\x80":
        if size > MAX_BARE_PICKLE_BYTES:
            raise ModelError(
                f"{about}: a pickle of {size:,} bytes outside an archive is refused; save it again with a newer PyTorch"
            )
        return _read_pickle(path, size, "PyTorch pickle (before version 1.6)", about)
    kinds = (kind for magic, kind in MAGIC_BYTES.items() if start.startswith(magic))
    kind = next(kinds, "neither safetensors nor written by torch.save")
    raise ModelError(f"{about}: it is {kind}; give a weight file (.safetensors, .pth, .pt, .ckpt)")


def _read_safetensors(path: Path, about: str) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except (OSError, SafetensorError, RuntimeError, LookupError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{about}: the file is truncated or damaged ({reason}); copy it again") from error
    return Checkpoint(path, "safetensors", "", tensors, metadata, ())


def _require_plain_archive(path: Path, size: int, about: str) -> None:
    """Refuse an archive that would unpack to more than its own size, or whose checksums differ."""
    with _translate_archive_errors(about), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    # the sizes come first: testing the checksums reads every entry
    _require_uncompressed(entries, size, about)
    with _translate_archive_errors(about), zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise ModelError(f"{about}: the archive is damaged (checksum of {broken!r}); copy it again")


@contextmanager
def _translate_archive_errors(about: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, struct.error) as error:
        raise ModelError(f"{about}: the archive is truncated or damaged ({error}); copy it again") from error


def _require_uncompressed(entries: Sequence[zipfile.ZipInfo], size: int, about: str) -> None:
    structures = [entry for entry in entries if entry.filename.rpartition("/")[2] == "data.pkl"]
    if not structures:
        first = entries[0].filename if entries else "nothing"
        raise ModelError(f"{about}: it is another kind of archive (it holds {first!r}); give a weight file")
    # PyTorch stores entries uncompressed; a compressed one may unpack to any size (a zip bomb)
    claimed = sum(entry.file_size for entry in entries)
    if claimed > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ModelError(
            f"{about}: it would unpack to {claimed:,} bytes from {size:,}, but PyTorch does not compress; get the file "
            "from its source again"
        )
    if max(entry.file_size for entry in structures) > MAX_STRUCTURE_BYTES:
        raise ModelError(
            f"{about}: its names and shapes have more than {MAX_STRUCTURE_BYTES:,} bytes; get the file again"
        )


def _read_pickle(path: Path, size: int, kind: str, about: str) -> Checkpoint:
    try:
        stand_ins = torch.serialization.safe_globals([(InertObject, name) for name in IGNORED_CLASSES])
        # an open file, because torch chooses a format by the suffix of a path
        with path.open("rb") as file, stand_ins:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        if called := re.search(r"(?:GLOBAL|function) (\S+)", str(error)):
            raise ModelError(
                f"{about}: it would call {called[1]}, which weights never need; nothing was called, get the "
                "file from its source again",
                called=called[1],
            ) from error
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise ModelError(f"{about}: the file is truncated or damaged ({reason}); copy it again") from error
    wrapper, inner = _unwrap(content, about)
    tensors = {name: value for name, value in inner.items() if isinstance(name, str) and isinstance(value, Tensor)}
    _require_plain_tensors(tensors, size, about)
    others = content if wrapper else inner
    other_entries = tuple(str(name) for name in others if name != wrapper and name not in tensors)
    return Checkpoint(
        path, kind, wrapper, {name: tensor.detach() for name, tensor in tensors.items()}, {}, other_entries
    )


def _unwrap(content: Any, about: str) -> tuple[str, Mapping[Any, Any]]:
    if isinstance(content, Mapping):
        for wrapper in (*WRAPPER_KEYS, ""):
            inner = content.get(wrapper) if wrapper else content
            if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
                return wrapper, inner
    entries = (
        ", ".join(str(key) for key in list(content)[:5]) if isinstance(content, Mapping) else type(content).__name__
    )
    raise ModelError(
        f"{about}: it has no tensors by name (found: {entries or 'nothing'}); save the weights with "
        "torch.save(network.state_dict(), FILE)"
    )


def _require_plain_tensors(tensors: Mapping[str, Tensor], size: int, about: str) -> None:
    """Refuse tensors whose numbers are not all in the file, such as one number expanded to a large shape."""
    total = 0
    for name, tensor in tensors.items():
        # exact types: a subclass may run code when it is used
        kind = type(tensor) in (Tensor, nn.Parameter) and not tensor.is_quantized
        if not (kind and tensor.layout == torch.strided and tensor.device.type == "cpu"):
            raise ModelError(f"{about}: {name!r} is not a plain tensor; save it as dense numbers")
        claimed = tensor.numel() * tensor.element_size()
        total += claimed
        if claimed > tensor.untyped_storage().nbytes() or total > 2 * size:
            raise ModelError(
                f"{about}: {name!r} claims {claimed:,} bytes, more than the file of {size:,} holds; get the file from "
                "its source again",
                tensor=name,
            )


def metadata_json(checkpoint: Checkpoint, key: str) -> Any:
    """Return a JSON entry of the header; None if it does not exist.

    Raises:
        ModelError: the entry is not valid JSON.
    """
    if key not in checkpoint.metadata:
        return None
    try:
        return json.loads(checkpoint.metadata[key])
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"reading the weights {checkpoint.path}: its record is not valid JSON ({error}); create the file again"
        ) from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
