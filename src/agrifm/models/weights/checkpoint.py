"""Tensors from a file of unknown origin, without running anything that is in it.

Safetensors are read as they are. Pickles are read with `weights_only`, which builds tensors and containers and calls
nothing else, and only after a look at the sizes that the file claims.
"""

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

LIMIT = 16 * 2**30
"""Bytes of the largest file that is read; the released weights have less than 1 GiB."""
UNSEEN_LIMIT = 2 * 2**30
"""Bytes of the largest pickle outside an archive: what it claims cannot be looked at beforehand."""
STRUCTURE_LIMIT = 64 * 2**20
"""Bytes of the largest pickle inside an archive: it holds names and shapes, the numbers lie beside it."""
WRAPPERS = ("state_dict", "model", "model_state_dict", "module")
"""Keys under which training checkpoints keep their weights."""
KNOWN_STARTS = {
    b"\x89HDF": "an HDF5 file",
    b"II*\x00": "a TIFF",
    b"MM\x00*": "a TIFF",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"\x93NUM": "a NumPy array",
    b"GGUF": "a GGUF file",
    b"vers": "a pointer of Git LFS; fetch the file itself",
}
NOTED_BESIDE = (
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
"""What the reference's training notes beside the weights; in their place stands something inert, nothing is called."""


class Inert:
    """Stands for an object that is not needed: takes anything, keeps nothing, does nothing."""

    def __new__(cls, *_: Any) -> "Inert":
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file, by the names in it."""

    path: Path
    format: str
    """What kind of file it is, in words."""
    wrapper: str
    """Key under which the tensors lie; empty where they lie at the top."""
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    """Text in the file's header (safetensors only)."""
    beside: tuple[str, ...]
    """Other things in the file, which are not read."""


def read_checkpoint(path: Path, limit: int = LIMIT) -> Checkpoint:
    """The tensors of a safetensors file, or of what `torch.save` wrote.

    Args:
        limit: bytes of the largest file that is read.

    Raises:
        ModelError: the file is absent, empty, truncated, too large, of another format, claims more than it holds, or
            would call something.
    """
    about = f"reading the weights {path}"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ModelError(f"{about}: {error.strerror or error}; name a file of weights") from error
    if not size:
        raise ModelError(f"{about}: the file is empty; copy it again")
    if size > limit:
        raise ModelError(
            f"{about}: it has {size:,} bytes, more than the limit of {limit:,}; keep only the weights in it"
        )
    if start[8:9] == b"{":
        return _read_safetensors(path, about)
    if start[:4] == b"PK\x03\x04":
        _require_plain_archive(path, size, about)
        return _read_pickle(path, size, "PyTorch archive", about)
    if start[:1] == b"\x80":
        if size > UNSEEN_LIMIT:
            raise ModelError(f"{about}: a pickle of {size:,} bytes outside an archive is refused; save it anew")
        return _read_pickle(path, size, "PyTorch pickle (before version 1.6)", about)
    kinds = (kind for known, kind in KNOWN_STARTS.items() if start.startswith(known))
    found = next(kinds, "neither safetensors nor written by torch.save")
    raise ModelError(f"{about}: it is {found}; give a file of weights (.safetensors, .pth, .pt, .ckpt)")


def _read_safetensors(path: Path, about: str) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except (OSError, SafetensorError, RuntimeError, LookupError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{about}: the file is truncated or damaged ({reason}); copy it again") from error
    return Checkpoint(path, "safetensors", "", tensors, metadata, ())


def _require_plain_archive(path: Path, size: int, about: str) -> None:
    """Refuse an archive that would unpack to more than its own size, or whose checksums do not fit."""
    with _saying_damaged(about), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    _require_no_more_than_it_holds(entries, size, about)
    with _saying_damaged(about), zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise ModelError(f"{about}: the archive is damaged (checksum of {broken!r}); copy it again")


@contextmanager
def _saying_damaged(about: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, struct.error) as error:
        raise ModelError(f"{about}: the archive is truncated or damaged ({error}); copy it again") from error


def _require_no_more_than_it_holds(entries: Sequence[zipfile.ZipInfo], size: int, about: str) -> None:
    structures = [entry for entry in entries if entry.filename.rpartition("/")[2] == "data.pkl"]
    if not structures:
        first = entries[0].filename if entries else "nothing"
        raise ModelError(f"{about}: it is an archive of something else (it has {first!r}); give a file of weights")
    claimed = sum(entry.file_size for entry in entries)
    if claimed > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ModelError(
            f"{about}: it would unpack to {claimed:,} bytes from {size:,}, and PyTorch never compresses; "
            "it is refused, get it from its source again"
        )
    if max(entry.file_size for entry in structures) > STRUCTURE_LIMIT:
        raise ModelError(f"{about}: the names and shapes alone take more than {STRUCTURE_LIMIT:,} bytes; it is refused")


def _read_pickle(path: Path, size: int, kind: str, about: str) -> Checkpoint:
    try:
        stand_ins = torch.serialization.safe_globals([(Inert, name) for name in NOTED_BESIDE])
        # an open file, because of a path torch would go by the suffix
        with path.open("rb") as file, stand_ins:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        if called := re.search(r"(?:GLOBAL|function) (\S+)", str(error)):
            raise ModelError(
                f"{about}: it asks to call {called[1]}, which weights never need; refused, and nothing was called; "
                "get it from its source again"
            ) from error
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise ModelError(f"{about}: the file is truncated or damaged ({reason}); copy it again") from error
    wrapper, inner = _unwrap(content, about)
    tensors = {name: value for name, value in inner.items() if isinstance(name, str) and isinstance(value, Tensor)}
    _require_honest(tensors, size, about)
    others = content if wrapper else inner
    beside = tuple(str(name) for name in others if name != wrapper and name not in tensors)
    return Checkpoint(path, kind, wrapper, {name: tensor.detach() for name, tensor in tensors.items()}, {}, beside)


def _unwrap(content: Any, about: str) -> tuple[str, Mapping[Any, Any]]:
    if isinstance(content, Mapping):
        for wrapper in (*WRAPPERS, ""):
            inner = content.get(wrapper) if wrapper else content
            if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
                return wrapper, inner
    found = ", ".join(str(key) for key in list(content)[:5]) if isinstance(content, Mapping) else type(content).__name__
    raise ModelError(
        f"{about}: it holds no tensors by name (found: {found or 'nothing'}); save the weights with "
        "torch.save(network.state_dict(), FILE)"
    )


def _require_honest(tensors: Mapping[str, Tensor], size: int, about: str) -> None:
    """Refuse tensors that are not plain numbers in the file, such as a few numbers spread over a large shape."""
    total = 0
    for name, tensor in tensors.items():
        kind = type(tensor) in (Tensor, nn.Parameter) and not tensor.is_quantized
        if not (kind and tensor.layout == torch.strided and tensor.device.type == "cpu"):
            raise ModelError(f"{about}: {name!r} is not a plain tensor; save it as dense numbers")
        own = tensor.numel() * tensor.element_size()
        total += own
        if own > tensor.untyped_storage().nbytes() or total > 2 * size:
            raise ModelError(
                f"{about}: {name!r} claims {own:,} bytes, more than lie in the file of {size:,}; it is refused, "
                "get it from its source again"
            )


def metadata_json(checkpoint: Checkpoint, key: str) -> Any:
    """A JSON entry of the header, None where there is none.

    Raises:
        ModelError: it is no JSON.
    """
    if key not in checkpoint.metadata:
        return None
    try:
        return json.loads(checkpoint.metadata[key])
    except (ValueError, RecursionError) as error:
        raise ModelError(f"reading the weights {checkpoint.path}: its record is no JSON ({error})") from error
