"""Atomic writing: files and directories are written next to their target, then renamed; only agrifm's are replaced."""

import errno
import json
import math
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agrifm.errors import OutputError

if TYPE_CHECKING:
    import geopandas

AnyPath = str | os.PathLike[str]
"""What users may give as a path."""
MARKER = ".agrifm.json"
"""File in every directory that agrifm writes; it states the kind of directory."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


@contextmanager
def translate_os_errors(doing: str) -> Iterator[None]:
    """Re-raise full-disk and permission errors as an OutputError whose message begins with `doing`.

    Raises:
        OutputError: the disk is full, or the path cannot be written to.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if error.errno in _FULL or "No space left" in str(error) or "File too large" in str(error):
            raise OutputError(f"{doing}: the disk is full ({error}); free some space and run it again") from error
        if error.errno in _REFUSED:
            raise OutputError(f"{doing}: {error}; choose another path") from error
        raise


def as_path(path: AnyPath) -> Path:
    """A path that a user may give as text; every function for users begins with it.

    Raises:
        TypeError: it is something else, such as bytes.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"a path is text or a pathlib.Path, not {type(path).__name__} ({path!r}); use os.fsdecode")
    return Path(path)


def fsync(path: Path) -> None:
    """Wait until a file, or the list of names in a directory, is on disk and not only in the system's memory."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows does not open directories
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # network drives may not know it for directories
            raise
    finally:
        os.close(descriptor)


def fsync_tree(directory: Path) -> None:
    """Wait until a directory and everything in it is on disk."""
    for folder, _, names in os.walk(directory, topdown=False):
        for name in names:
            fsync(Path(folder, name))
        fsync(Path(folder))


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """A temporary path next to `target` to write a file to; renamed to `target` at the end, removed after a failure."""
    temporary = target.with_name(f".{target.name}.partial{target.suffix}")
    with translate_os_errors(f"writing {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            yield temporary
            fsync(temporary)
            temporary.replace(target)
            fsync(target.parent)  # the rename itself
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Libraries that write files report a full disk in different ways, or not at all; so what fits in memory is passed as
    bytes.
    """
    with atomic_write(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: AnyPath, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; what a file name has outside of Unicode becomes `\\udce9`."""
    write_bytes(as_path(target), text.encode(errors="backslashreplace"))


def write_json(target: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(target, _json(content))


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def is_whole_archive(path: Path) -> bool:
    """Whether a zip archive (`.npz`, PyTorch's files) is there and has the checksums of all its members."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # damaged bytes raise errors of many kinds
        return False


def finite_or_none(content: Any) -> Any:
    """Return JSON content with None for numbers that are not finite, which JSON cannot hold."""
    if isinstance(content, dict):
        return {key: finite_or_none(value) for key, value in content.items()}
    if isinstance(content, tuple | list):
        return [finite_or_none(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_geopackage(target: Path, frame: "geopandas.GeoDataFrame") -> None:
    """Write shapes as a GeoPackage of one layer, named like the file, whole or not at all."""
    buffer = BytesIO()
    frame.to_file(buffer, driver="GPKG", layer=target.stem, engine="pyogrio")
    write_bytes(target, buffer.getvalue())


def require_replaceable(directory: Path, kind: str) -> None:
    """Refuse a directory that does not hold an agrifm result of this kind, and is not empty.

    Raises:
        OutputError: `directory` is a file, or holds files without the marker of that kind.
    """
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    existing = _marker_kind(directory)
    if existing != kind and not _is_cut_marker(directory, kind):
        what = f"a {existing} made by agrifm" if existing else "files that agrifm did not write"
        raise OutputError(
            f"writing a {kind} to {directory}: it holds {what}, which would be replaced; choose another directory",
            path=directory,
            existing=existing,
        )


def _marker_kind(directory: Path) -> str | None:
    try:
        kind: str | None = json.loads((directory / MARKER).read_text(encoding="utf-8-sig")).get("kind")
    except (OSError, ValueError, AttributeError):
        return None
    return kind


def _is_cut_marker(directory: Path, kind: str) -> bool:
    """Whether the marker is what a power cut left of one of this kind: its beginning, and zeros."""
    try:
        return _marker(kind).startswith((directory / MARKER).read_bytes().rstrip(b"\0"))
    except OSError:
        return False


def _marker(kind: str) -> bytes:
    return _json({"kind": kind}).encode()


def partial_directory(target: Path, kind: str) -> Path:
    """The directory next to `target` in which unfinished work is kept; `target` must be agrifm's or new."""
    require_replaceable(target, kind)
    return target.with_name(f"{target.name}.partial")


def finish_directory(partial: Path, target: Path, kind: str) -> None:
    """Mark `partial` as a finished result and replace `target` by it."""
    require_replaceable(target, kind)
    write_bytes(partial / MARKER, _marker(kind))
    fsync_tree(partial)
    old = target.with_name(f".{target.name}.replaced")  # a name that users do not give to copies
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.replace(old)
    partial.replace(target)
    fsync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def write_directory(target: Path, kind: str) -> Iterator[Path]:
    """An empty directory next to `target`; it replaces `target` at the end, and is removed after a failure."""
    partial = partial_directory(target, kind)
    with translate_os_errors(f"writing a {kind} to {target}"):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            finish_directory(partial, target, kind)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
