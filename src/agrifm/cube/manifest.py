"""What must be in the store of a cube: marks of its files, taken when they are written, compared when they are read.

Zarr reads a chunk that is absent as the fill value, and a chunk of another frame as if it were this one. So the
metadata of a finished cube, which readers open anyway, list every file with a mark for each part of it that is read at
once, and state their own digest. A file without marks was never written, because all of it is fill value.
"""

import hashlib
import json
import os
import shutil
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from agrifm.errors import AgriFMError, CubeError
from agrifm.files import fsync, write_text
from agrifm.grid import Window

if TYPE_CHECKING:
    from agrifm.object_store import Place

FORMAT = 1
"""Version of the layout of the store."""
METADATA = "zarr.json"
"""The file of metadata in the directory of a store, of each group and of each array."""
COPY = ".agrifm.zarr.json"
"""A copy of the metadata of a whole store, from which it is repaired if they are lost."""
ABOUT = "agrifm"
"""The attribute of the store that agrifm writes."""
REPAIR = "run `agrifm fetch` again, which repairs what is lost or damaged and keeps the rest"
PIXELS = ("values", "valid", "day")
"""Arrays in shards of one frame; the other arrays are small."""
DATES = ("time", "time_bounds")
"""Arrays that grow with the frames, in files that may hold more than a reader sees; their numbers are compared."""
INDEX = 2**64 - 1
"""Stands for the position of a shard's index, which is read from the end of the file."""


def damaged(path: "Place", found: str) -> CubeError:
    """The error of a file that cannot be read; `found` says why."""
    return CubeError(f"reading the cube: {path}: {found}; {REPAIR}", path=path, found=found)


def folder(node: zarr.Array | zarr.Group) -> "Place":
    """The directory of an array or a group, or its prefix in an object store."""
    root: Place = node.store.root
    return root / node.path if node.path else root


def disk_folder(node: zarr.Array | zarr.Group) -> Path:
    """The directory of an array or a group of a cube that is on a disk."""
    place = folder(node)
    assert isinstance(place, Path)
    return place


def damaged_file(array: zarr.Array, selection: tuple[int | slice, ...]) -> "Place":
    """The first file under a selection that cannot be read; the array's directory if each can."""
    frames, *_, rows, cols = (
        np.atleast_1d(np.arange(size)[part]) for size, part in zip(array.shape, selection, strict=True)
    )
    side = (array.shards or array.chunks)[-1]
    for frame in frames.tolist():
        for row in sorted(set((rows // side).tolist())):
            for col in sorted(set((cols // side).tolist())):
                area = (slice(row * side, (row + 1) * side), slice(col * side, (col + 1) * side))
                try:
                    array[frame, ..., *area]
                except Exception:  # every codec raises other errors
                    return folder(array).joinpath("c", *map(str, (frame, *[0] * (array.ndim - 3), row, col)))
    return folder(array)


def array_path(key: str) -> str:
    """The path in the store of the array that a chunk belongs to."""
    return key.rpartition("/c/")[0]


def array_name(key: str) -> str:
    """The name of the array that a chunk belongs to."""
    return array_path(key).rpartition("/")[2]


def part_mark(start: int, length: int, end: bytes) -> int:
    """The mark of a part of a file; its last four bytes are its checksum, and so stand for its content."""
    return zlib.crc32(struct.pack("<QQ", start, length) + end)


def file_marks(content: bytes, index_bytes: int) -> str:
    """The marks of a file, in base64: of the index of a shard and of each chunk in it, or of the whole file.

    Args:
        index_bytes: length of the shard's index; 0 for a file that is one chunk.
    """
    if not index_bytes or len(content) < index_bytes:
        marks = [part_mark(0, len(content), content[-4:])]
    else:
        # Pairs of offset and length, and their checksum; chunks that are absent have the highest number.
        places = np.frombuffer(content[-index_bytes:-4], "<u8").reshape(-1, 2)
        marks = [part_mark(INDEX, index_bytes, content[-4:])]
        for start, length in places[places[:, 0] != INDEX].tolist():
            marks.append(part_mark(start, length, content[start + length - 4 : start + length]))
    return b64encode(np.array(marks, np.uint32).tobytes()).decode()


def index_bytes(array: Mapping[str, Any]) -> int:
    """The length of the index of an array's shards, by its metadata; 0 without shards."""
    codecs = array.get("codecs", [{}])
    if codecs[0].get("name") != "sharding_indexed":
        return 0
    shard = array["chunk_grid"]["configuration"]["chunk_shape"]
    chunks = codecs[0]["configuration"]["chunk_shape"]
    return 16 * int(np.prod([side // part for side, part in zip(shard, chunks, strict=True)])) + 4


def pixel_files(array: zarr.Array, frames: Iterable[int], window: Window) -> list[str]:
    """The paths in the store of the shards of some frames under a window whose edges are edges of shards."""
    side = (array.shards or array.chunks)[-1]
    rows, cols = (
        range(first // side, -(-(first + length) // side))
        for first, length in ((window.row, window.height), (window.col, window.width))
    )
    middle = "0/" * (array.ndim - 3)  # all bands are in one file
    return [f"{array.path}/c/{frame}/{middle}{row}/{col}" for frame in frames for row in rows for col in cols]


def remove_files(store: Path, keys: Iterable[str]) -> None:
    """Remove what a stopped run left of files that are to be written: Zarr reads a shard before it writes into it."""
    for key in keys:
        (store / key).unlink(missing_ok=True)


def record_files(store: Path, keys: Iterable[str]) -> dict[str, str]:
    """Wait until files of a store are on disk; returns the marks of those that exist."""
    marks, folders, lengths = {}, {store}, dict[str, int]()
    for key in keys:
        file, array = store / key, array_path(key)
        if array not in lengths:
            lengths[array] = index_bytes(json.loads((store / array / METADATA).read_bytes()))
        if file.exists():
            marks[key] = file_marks(file.read_bytes(), lengths[array])
            fsync(file)
            folders.update(parent for parent in file.parents if store in parent.parents)
    for folder in folders:
        fsync(folder)
    return marks


def seal(store: Path, marks: Mapping[str, str] | None = None) -> None:
    """Write the manifest of a store into its metadata, their digest and their copy.

    Args:
        marks: of the files of pixels, as they were taken when the files were written; those of small arrays are taken
            here. None takes all of them as they are now: only after a change of the cube that was made on purpose.
    """
    content = json.loads((store / METADATA).read_bytes())
    about = content["attributes"][ABOUT]
    sensors = [store / name for name in about["sensors"]]
    files = sorted(file.relative_to(store).as_posix() for folder in sensors for file in folder.rglob("*"))
    chunks = [key for key in files if "/c/" in key and (store / key).is_file()]
    keys = [key for key in chunks if array_name(key) not in DATES and (marks is None or array_name(key) not in PIXELS)]
    about["files"] = dict(sorted({**(marks or {}), **record_files(store, keys)}.items()))
    group = zarr.open_group(store, mode="r")
    about["dates"] = {
        name: {key: group[name][key][...].tolist() for key in DATES if key in group[name]} for name in about["sensors"]
    }
    about.pop("digest", None)
    about["digest"] = _digest(content)
    text = json.dumps(content, indent=2)
    write_text(store / COPY, text)
    write_text(store / METADATA, text)


def _digest(metadata: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def read_metadata(store: "Place", name: str = METADATA) -> dict[str, Any] | None:
    """Read the metadata of a store; None if it is not agrifm's.

    Raises:
        CubeError: they are damaged, or were changed since they were written.
        OSError: there are none.
    """
    file = store / name
    try:
        content = json.loads(file.read_bytes())
        about = content.get("attributes", {}).get(ABOUT) if isinstance(content, dict) else None
    except (ValueError, RecursionError, AttributeError) as error:
        raise damaged(file, "it is not JSON of a store") from error
    if not isinstance(about, dict):
        return None
    if "files" in about or "digest" in about:
        plain = {key: value for key, value in about.items() if key != "digest"}
        if about.get("digest") != _digest({**content, "attributes": {**content["attributes"], ABOUT: plain}}):
            raise damaged(file, "it was changed since it was written")
    return dict(content)


def require_format(path: "Place", stated: object) -> None:
    """Refuse a cube of another format than this version writes."""
    newer = isinstance(stated, int) and stated > FORMAT
    fix = "a newer version of agrifm wrote it: update agrifm" if newer else "move it away and fetch it again"
    if stated != FORMAT:
        about = f"opening the cube {path}: its format is {stated}, this version reads {FORMAT}"
        raise CubeError(f"{about}; {fix}", format=stated)


def require_same_metadata(store: "Place", metadata: Mapping[str, Any]) -> None:
    """Refuse a store in which the metadata of an array or a group differ from those of the whole store.

    The number of frames may differ: frames that are being added are in the array's metadata first.
    """
    for name, expected in metadata["consolidated_metadata"]["metadata"].items():
        file = store / name / METADATA
        try:
            found = json.loads(file.read_bytes())
        except OSError as error:
            raise damaged(file, "it is lost") from error
        except ValueError as error:
            raise damaged(file, "it is not JSON") from error
        if not isinstance(found, dict) or _without_frames(found) != _without_frames(expected):
            raise damaged(file, "it was changed since it was written")


def require_dates(group: zarr.Group, expected: Mapping[str, Any]) -> None:
    """Refuse a sensor whose dates are not those of its manifest."""
    for name, numbers in expected.items():
        if group[name][...].tolist() != numbers:
            raise damaged(folder(group[name]), "it is lost, or its dates were changed since they were written")


def restore_metadata(store: Path, target: Path) -> None:
    """Write the metadata of each array and group as those of the whole store state them, into a copy of the store."""
    for name, node in (read_metadata(store) or {}).get("consolidated_metadata", {}).get("metadata", {}).items():
        own = {key: value for key, value in node.items() if key != "consolidated_metadata"}
        write_text(target / name / METADATA, json.dumps(own, indent=2))


def _without_frames(node: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in node.items() if key not in ("shape", "consolidated_metadata")}
    return {**rest, "shape": list(node.get("shape", []))[1:]}


def pixel_marks(store: Path) -> dict[str, str]:
    """The marks of the files of pixels of a finished store; of one without a manifest, as they are now."""
    metadata = read_metadata(store)
    assert metadata is not None
    about = metadata["attributes"][ABOUT]
    marks: dict[str, str] | None = about.get("files")
    if marks is None:
        files = [file.relative_to(store).as_posix() for name in about["sensors"] for file in (store / name).rglob("*")]
        marks = record_files(store, [key for key in files if "/c/" in key and (store / key).is_file()])
    return {key: value for key, value in marks.items() if array_name(key) in PIXELS}


def require_small_arrays(group: zarr.Group) -> None:
    """Refuse a sensor with a small array that cannot be read, such as its coordinates."""
    for name, array in group.arrays():
        if name not in PIXELS:
            try:
                array[...]
            except AgriFMError:
                raise
            except Exception as error:  # every codec raises other errors
                raise damaged(folder(array), reason(error)) from error


def reason(error: Exception) -> str:
    """Describe in a few words why a chunk cannot be read."""
    if isinstance(error, CubeError):
        return str(error.facts.get("found", error))
    if "checksum" in str(error):
        return "its checksum is wrong"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def repairable_metadata(store: "Place") -> dict[str, Any] | None:
    """The metadata of a finished store with a manifest, or their copy if they are damaged; None if both are."""
    for name in (METADATA, COPY):
        try:
            metadata = read_metadata(store, name)
        except (CubeError, OSError):
            continue
        if metadata is not None:
            return metadata if "files" in metadata["attributes"][ABOUT] else None
    return None


def link_files(old: Path, new: Path, keys: Mapping[str, str]) -> None:
    """Give files of a store names in another one, without a copy where the file system can: their times stay too."""
    for key, name in keys.items():
        if (old / key).exists():
            target = new / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(old / key, target)
            except OSError:
                shutil.copy2(old / key, target)


def place_skeleton(skeleton: Path, store: Path) -> None:
    """Put metadata and small arrays into an unfinished store, in the place of what is there of them."""
    for file in [path for path in skeleton.rglob("*") if path.is_file()]:
        target = store / file.relative_to(skeleton)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
    shutil.rmtree(skeleton)


def marks_of(results: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The marks of the files of finished units of work, by their paths in the store."""
    return {key: marks for result in results.values() for key, marks in result["files"].items()}
