"""The store of a cube as readers open it: what is lost, damaged or not of this cube is refused where it is read.

The cube is on a disk or in an object store; what guards it is the manifest in its metadata (`cube.manifest`).
"""

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore, ObjectStore, WrapperStore

from agrifm.cube.manifest import (
    ABOUT,
    DATES,
    INDEX,
    METADATA,
    PIXELS,
    array_name,
    array_path,
    damaged,
    file_marks,
    index_bytes,
    part_mark,
    pixel_files,
)
from agrifm.errors import CubeError
from agrifm.grid import Window
from agrifm.object_store import ObjectPath, Place, translate_store_errors


@dataclass(frozen=True)
class Manifest:
    """The files of a store."""

    marks: Mapping[str, str] = field(default_factory=dict)
    """By path in the store: the marks (32 bits each) of its parts, in base64."""
    index_bytes: Mapping[str, int] = field(default_factory=dict)
    """By array: length of the index at the end of each of its shards; 0 of arrays without shards."""
    metadata: bytes | None = None
    """The metadata of the whole store, as they were compared with their digest; None to read each array's own."""

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self:
        """The manifest that the metadata of a store contain."""
        arrays = metadata["consolidated_metadata"]["metadata"]
        lengths = {name: index_bytes(node) for name, node in arrays.items()}
        return cls(metadata["attributes"][ABOUT]["files"], lengths, json.dumps(metadata).encode())


class GuardedStore(WrapperStore):  # type: ignore[misc]  # zarr has no types here
    """A store in which a file that is lost, replaced or not in the manifest is refused when it is read."""

    def __init__(self, store: Store, root: Place, manifest: Manifest) -> None:
        super().__init__(store)
        self.root, self.manifest = root, manifest

    @classmethod
    def at(cls, place: Place, manifest: Manifest) -> Self:
        """The store at a place, for reading."""
        store = LocalStore(place, read_only=True) if isinstance(place, Path) else _Objects(place)
        return cls(store, place, manifest)

    def _with_store(self, store: Store) -> Self:
        return type(self)(store, self.root, self.manifest)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read a file or a part of it.

        Raises:
            CubeError: it is lost, or not the one that was written.
        """
        if key == METADATA and self.manifest.metadata is not None:
            return (prototype or default_buffer_prototype()).buffer.from_bytes(self.manifest.metadata)
        found = await super().get(key, prototype, byte_range)
        self._compare(key, byte_range, found)
        return found

    def _compare(self, key: str, byte_range: ByteRequest | None, found: Buffer | None) -> None:
        if key.endswith(METADATA) or array_name(key) in DATES:  # which are compared when a cube is opened
            return
        marks = self.manifest.marks.get(key)
        if found is None:
            if marks is not None:
                raise damaged(self.root / key, "it is lost")
            return
        if marks is None:
            raise damaged(self.root / key, "it is not a file of this cube")
        expected = memoryview(b64decode(marks)).cast("I")
        if byte_range is None:
            is_same = file_marks(found.to_bytes(), self.manifest.index_bytes.get(array_path(key), 0)) == marks
        else:
            start = byte_range.start if isinstance(byte_range, RangeByteRequest) else INDEX
            is_same = part_mark(start, len(found), found[-4:].to_bytes()) in expected
        if not is_same:
            raise damaged(self.root / key, "it is not as it was written")


class _Objects(ObjectStore):  # type: ignore[misc]  # as above
    """zarr's store of objects below a prefix, whose errors are those of `agrifm.object_store`."""

    def __init__(self, place: ObjectPath) -> None:
        super().__init__(place.client(), read_only=True)
        self.place = place

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same store, which is for reading."""
        assert read_only
        return self

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read an object or a part of it; None if there is none.

        Raises:
            StoreError: the store refuses it.
        """
        with translate_store_errors(f"reading {self.place / key}", self.place):
            return await super().get(key, prototype, byte_range)


def open_guarded(store: Place, metadata: Mapping[str, Any]) -> zarr.Group:
    """Open a store for reading, guarded by the manifest of its metadata if they have one.

    Raises:
        CubeError: it has none and is in an object store, where nothing tells a lost file from one without pixels.
    """
    if "files" in metadata["attributes"][ABOUT]:
        return zarr.open_group(GuardedStore.at(store, Manifest.of(metadata)), mode="r", zarr_format=3)
    if not isinstance(store, Path):
        raise CubeError(f"opening the cube {store}: it has no list of its files; fetch it anew", path=store)
    return zarr.open_group(store, mode="r")


def open_unfinished(store: Path, marks: Mapping[str, str]) -> zarr.Group:
    """Open a store that has no manifest yet for reading, guarded by the marks of the files that are finished."""
    names = {array_path(key) for key in marks}
    lengths = {name: index_bytes(json.loads((store / name / METADATA).read_bytes())) for name in names}
    return zarr.open_group(GuardedStore.at(store, Manifest(marks, lengths)), mode="r", use_consolidated=False)


def read_sound(group: zarr.Group, frames: Iterable[int], window: Window) -> tuple[list[str], NDArray[np.bool_]] | None:
    """Read all pixels of some frames of a sensor under a window whose edges are edges of shards.

    Returns:
        The paths of their files in the store and `valid` (T, H, W); None if a file is lost or damaged.
    """
    files: list[str] = []
    frames = list(frames)
    try:
        arrays = [group[name] for name in PIXELS if name in group]
        for array in arrays:
            files += pixel_files(array, frames, window)
            for frame in frames:
                array[frame, ..., *window.slices]
        return files, np.stack([group["valid"][frame, ..., *window.slices] for frame in frames])
    except Exception:  # every codec raises other errors
        return None
