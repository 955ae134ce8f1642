"""The finished cube that a build finds in its place: kept if it is what is to be built and undamaged.

Otherwise its frames are taken over where the same files decide them. So a damaged cube is repaired, and a replaced
image file is one new frame.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from agrifm.cube.guarded_store import open_guarded, read_sound
from agrifm.cube.manifest import (
    ABOUT,
    METADATA,
    repairable_metadata,
    require_format,
    require_small_arrays,
)
from agrifm.cube.store import Cube, SensorCube, open_cube
from agrifm.errors import CubeError
from agrifm.grid import Window, tiles
from agrifm.scene.encoding import Encoding
from agrifm.season import day_date
from agrifm.work import progress, run_tiles

if TYPE_CHECKING:
    from agrifm.cube.frames import Frame

THREADS = 2
"""Parts of a cube that are read at once when it is looked through."""


@dataclass(frozen=True)
class EarlierCube:
    """The frames of the finished cube at a path; none if there is no cube whose files can be compared."""

    group: zarr.Group | None = None
    entries: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """By fingerprint of a frame: its position in its sensor, and its provenance."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Of the whole cube."""

    @classmethod
    def at(cls, path: Path) -> "EarlierCube":
        """Look at what is there, even if some of it is damaged.

        Raises:
            CubeError: a newer version wrote it.
        """
        require_known_format(path)
        metadata = repairable_metadata(path)
        if metadata is None:
            return cls()
        provenance = metadata["attributes"][ABOUT]["provenance"]
        entries = {
            entry["fingerprint"]: (index, entry)
            for sensor in provenance["sensors"].values()
            for index, entry in enumerate(sensor["frames"])
            if "fingerprint" in entry
        }
        return cls(open_guarded(path, metadata), entries, provenance)

    @property
    def groups(self) -> dict[str, zarr.Group]:
        """The groups of its sensors, by name."""
        return {} if self.group is None else {name: self.group[name] for name in self.provenance["sensors"]}

    @property
    def by_day(self) -> dict[tuple[str, date], dict[str, Any]]:
        """The provenance of its frames, by sensor and day."""
        return {
            (name, date.fromisoformat(entry["day"])): entry
            for name, sensor in self.provenance.get("sensors", {}).items()
            for entry in sensor["frames"]
        }

    def bands(self, sensor: str) -> tuple[str, ...] | None:
        """The bands of a sensor; None if their names cannot be read."""
        try:
            return tuple(str(band) for band in self.groups[sensor]["band"][:])
        except Exception:  # every codec raises other errors
            return None

    def without(self, fingerprints: Set[str]) -> "EarlierCube":
        """The same cube without some of its frames, which are not as they would be written."""
        return replace(self, entries={mark: entry for mark, entry in self.entries.items() if mark not in fingerprints})

    def content(self, frame: "Frame", fingerprint: str) -> str | None:
        """The digest of a frame's files; if they cannot be read now, as it was when this cube was built."""
        found = frame.content
        return self.entries[fingerprint][1].get("content") if found is None and fingerprint in self.entries else found

    def entry(self, frame: "Frame", fingerprint: str) -> dict[str, Any] | None:
        """The provenance of the same frame, of the same files, in this cube."""
        _, entry = self.entries.get(fingerprint, (0, None))
        return entry if entry and entry.get("content") == self.content(frame, fingerprint) else None

    def place(self, frame: "Frame", fingerprint: str) -> tuple[zarr.Group, int] | None:
        """Where the pixels of a frame are that are as they would be written; None if there are none."""
        entry = self.entry(frame, fingerprint)
        offsets = [scene.encoding.offset for scene in frame.scenes]
        if entry is None or self.group is None:
            return None
        return (self.group, self.entries[fingerprint][0]) if offsets == entry["offsets"] else None

    def decided(self, frames: Sequence["Frame"], fingerprints: Sequence[str]) -> list[dict[str, Any] | None] | None:
        """The encodings of all scenes as they were decided for this cube; None if it lacks a frame."""
        decided: list[dict[str, Any] | None] = []
        for frame, fingerprint in zip(frames, fingerprints, strict=True):
            entry = self.entry(frame, fingerprint)
            if entry is None:
                return None
            of_scenes = entry["offsets"], entry["encodings"], dark_of(entry)
            for scene, offset, source, dark in zip(frame.scenes, *of_scenes, strict=True):
                is_checked = scene.product.offset_from_baseline is not None
                decided.append(asdict(Encoding(scene.encoding.scale, offset, source, dark)) if is_checked else None)
        return decided


def dark_of(entry: Mapping[str, Any]) -> list[dict[str, float | None] | None]:
    """What the offset check measured of the scenes of a frame, by its provenance; None of those it did not check."""
    return list(entry.get("dark_pixels", [None] * len(entry["scenes"])))


NO_CUBE = EarlierCube()


def require_known_format(path: Path) -> None:
    """Refuse a cube of another format, such as of a newer version, before anything of it is replaced.

    Its format is read even if nothing else of its metadata can be understood.
    """
    try:
        stated = json.loads((path / METADATA).read_bytes())["attributes"][ABOUT]["format"]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return
    require_format(path, stated)


def kept_cube(path: Path, plan: str) -> Cube | None:
    """The finished cube of this plan, with a note; None if there is another one, or a part of it is damaged.

    Raises:
        CubeError: the cube is of another format.
    """
    try:
        cube = open_cube(path)
    except CubeError as error:
        if "format" in error.facts:
            raise
        return None
    if cube.provenance["plan"] != plan or next(damaged_frames(cube), None) is not None:
        return None
    frames = sum(len(sensor.date) for sensor in cube.sensors.values())
    return replace(cube, notes=(f"kept {path}: its {frames} frames are as they were", *cube.notes))


def damaged_frames(cube: Cube) -> Iterator[str]:
    """Look through a cube; yields the sensor and the day of frames with a file that is lost or damaged.

    Of a cube of before there was a manifest nothing is compared.
    """
    guarded = {name: sensor for name, sensor in cube.sensors.items() if sensor.is_guarded}
    for name, sensor in guarded.items():
        try:
            require_small_arrays(sensor.group)
        except CubeError:
            yield f"{name} (all)"
    parts = [
        (name, frame, window)
        for name, sensor in guarded.items()
        for frame in range(len(sensor.date))
        for window in tiles(sensor.grid.shape, shard_side(sensor))
    ]

    def is_sound(part: tuple[str, int, Window]) -> bool:
        name, frame, window = part
        return read_sound(guarded[name].group, (frame,), window) is not None

    with ThreadPoolExecutor(THREADS) as executor, progress("look through the cube", len(parts)) as advance:
        for (name, frame, _), sound in run_tiles(is_sound, parts, executor):
            advance(1)
            if not sound:
                yield f"{name} {day_date(int(guarded[name].date[frame]))}"


def describe_damage(path: Path) -> list[str]:
    """A sentence on the damaged frames of the finished cube at a path, if there is one and it has any."""
    if repairable_metadata(path) is None:
        return []
    try:
        frames = sorted(set(damaged_frames(open_cube(path))))
    except CubeError as error:
        frames = [f"those under {error.facts.get('path', path)}"]
    return [f"the cube {path} stays as it is, with frames that cannot be repaired: {', '.join(frames)}"] * bool(frames)


def shard_side(sensor: SensorCube) -> int:
    """Side in pixels of the part of the grid that is in one file."""
    values = sensor.group["values"]
    return int((values.shards or values.chunks)[-1])
