"""Atomic writing of files: next to their target, then renamed; symbolic links lead where they point."""

import errno
import hashlib
import json
import math
import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agrifm.errors import ConfigError, OutputError

if TYPE_CHECKING:
    import geopandas

AnyPath = str | os.PathLike[str]
"""What users may give as a path."""
SCHEMES = ("s3:", "gs:", "az:", "abfs:", "abfss:", "http:", "https:")
"""Beginnings of addresses of object stores and servers; as a `Path`, each is a folder's name."""
MARKER = ".agrifm.json"
"""File in every finished directory that agrifm writes; it states the kind of directory, and what agrifm put there."""
WHOLE_DIGEST = 8_000_000
"""Bytes up to which a file is read whole to tell it from another one."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR,
    errno.ENAMETOOLONG, errno.ELOOP, errno.EXDEV, errno.EBUSY,
)  # fmt: skip


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
        ConfigError: it is an address of an object store or a server.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"a path is text or a pathlib.Path, not {type(path).__name__} ({path!r}); use os.fsdecode")
    return require_on_disk(Path(path))


def require_on_disk(path: Path) -> Path:
    """Refuse an address, which would become a folder called "s3:"; returns the path.

    Raises:
        ConfigError: it is an address of an object store or a server.
    """
    scheme = next((part for part in path.parts if part in SCHEMES), None)
    if scheme is not None:
        address = f"{scheme}//{str(path).partition(scheme)[2].lstrip('/')}"
        raise ConfigError(
            f"opening {address}: projects, models, maps and reports are files on disks; only cubes are read at s3:// "
            "addresses, and catalogues and scenes from servers; copy it to a disk, or publish it (`store`)",
            address=address,
        )
    return path


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
        for path in (Path(folder, name) for name in names):
            if path.is_file() and not path.is_symlink():
                fsync(path)
        fsync(Path(folder))


def destination(target: Path) -> Path:
    """The real path of an output: symbolic links lead where they point, whether that exists or not.

    Raises:
        OutputError: a link leads to a folder that does not exist (such as a disk that is not mounted), or in a circle.
        ConfigError: it is an address.
    """
    place = Path(os.path.realpath(require_on_disk(target)))
    for path in (target, *target.parents):
        if path.is_symlink() and not path.exists():
            leads_to = Path(os.path.realpath(path))
            if leads_to.is_symlink() or not leads_to.parent.is_dir():
                raise OutputError(
                    f"writing {target}: {path} is a link to {leads_to}, which cannot be made; mend or remove the link",
                    path=target,
                    link=path,
                )
    return place


def file_destination(target: Path) -> Path:
    """The real path of a file to write.

    Raises:
        OutputError: a directory, device, pipe or socket has its name.
    """
    place = destination(target)
    if place.exists() and not place.is_file():
        what = "a directory" if place.is_dir() else "a device, pipe or socket"
        raise OutputError(f"writing {target}: it is {what}; choose the path of a file", path=target)
    return place


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """A temporary path next to `target` to write a file to; renamed to `target` at the end, removed after a failure."""
    with translate_os_errors(f"writing {target}"):
        place = file_destination(target)
        temporary = place.with_name(f".{place.name}.partial{place.suffix}")
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            yield temporary
            fsync(temporary)
            temporary.replace(place)
            fsync(place.parent)  # the rename itself
        finally:
            temporary.unlink(missing_ok=True)


def read_marker(directory: Path) -> dict[str, Any]:
    """The marker of a directory that agrifm finished; empty for any other."""
    try:
        marker = json.loads((directory / MARKER).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def require_outside_cubes(place: Path, doing: str) -> None:
    """Refuse an output inside a cube, which its next fetch would replace.

    Raises:
        OutputError: it is.
    """
    for parent in place.parents:
        if read_marker(parent).get("kind") == "cube":
            raise OutputError(f"{doing}: it is inside the cube {parent}; choose a path outside", path=place)


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
    write_text(target, as_json(content))


def as_json(content: Any) -> str:
    """JSON as agrifm writes it; numbers that are not finite are refused."""
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


def content_digest(path: Path) -> str | None:
    """SHA-256 that tells a file from another one of the same name; None if it cannot be read.

    Up to `WHOLE_DIGEST` bytes it is that of the content. Of a larger file it is that of its size, time of change and
    parts: beginning, end and between; so only a file of the same size whose time was set back to the same nanosecond,
    and which differs between the parts alone, is missed, as by rsync, and reading seasons of 100 GB whole would cost
    more than the fetch.
    """
    try:
        status = path.stat()
        return _digest(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except OSError:
        return None


@lru_cache(maxsize=100_000)
def _digest(path: Path, size: int, changed: int, _: int) -> str:
    if size <= WHOLE_DIGEST:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256(f"{size} {changed}".encode())
    with path.open("rb") as file:
        for start in range(0, size, -(-size // 64)):
            file.seek(start)
            digest.update(file.read(4096))
        file.seek(-65536, os.SEEK_END)
        digest.update(file.read())
    return digest.hexdigest()


def write_geopackage(target: Path, frame: "geopandas.GeoDataFrame") -> None:
    """Write shapes as a GeoPackage of one layer, named like the file, whole or not at all."""
    buffer = BytesIO()
    frame.to_file(buffer, driver="GPKG", layer=target.stem, engine="pyogrio")
    write_bytes(target, buffer.getvalue())


def user_cache() -> Path:
    """The folder for what agrifm keeps of one user on this machine, and can make again; it need not exist."""
    if sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "agrifm"
