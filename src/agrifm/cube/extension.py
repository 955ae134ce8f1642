"""A finished cube and a wider request: which of its frames are part of the new ones, and what the fetch says of it.

The frames of a longer season are other files of the same store, so they are added and the rest is taken over as it is
(`cube.earlier`). The frames of a larger area are written anew, but only the pixels around the earlier area are read
from their scenes. All of it is made next to the cube and takes its place in one step.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasterio.errors import RasterioError
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds
from shapely import box

from agrifm.cube.earlier import EarlierCube
from agrifm.cube.frames import Frame, InnerFrame
from agrifm.cube.guarded_store import read_sound
from agrifm.cube.store import sensor_grid
from agrifm.errors import CubeError, SceneError
from agrifm.grid import Grid, Window, tiles
from agrifm.scene.read import first_band, opened
from agrifm.scene.scene import Scene
from agrifm.work import progress, run_tiles

if TYPE_CHECKING:
    from agrifm.cube.wanted_frames import WantedFrames

THREADS = 8
"""Files that are opened and parts of the cube that are read at once."""
MAX_NAMED = 3
"""Scenes that a note names."""
_Key = tuple[str, int]
"""Sensor, and position of a frame."""


@dataclass(frozen=True)
class EarlierPart:
    """A frame of a finished cube of a smaller area that is a part of a wanted frame."""

    frame: Frame
    """The wanted frame with the scenes that the cube has."""
    fingerprint: str
    """Of that frame, on the cube's grid."""
    window: Window
    """The cube's grid in the larger one."""


def require_continuable(path: Path, earlier: EarlierCube, wanted: "WantedFrames") -> None:
    """Refuse to replace a cube by one with other bands or pixels of the same sensor, which nothing of it would enter.

    Raises:
        CubeError: with what the cube has and what is wanted; the cube stays as it is.
    """
    fix = f"fetch into another project, or move {path.name} away to have another one built"
    for sensor, group in earlier.groups.items():
        if sensor not in wanted.grids:
            continue
        bands = next(frame.scenes[0].product.bands for frame in wanted.frames if frame.sensor == sensor)
        before = earlier.bands(sensor)
        if before is not None and before != tuple(bands):
            raise CubeError(
                f"fetching into the cube {path}: its '{sensor}' has the bands {', '.join(before)}, and the scenes have "
                f"{', '.join(bands)}; {fix}",
                sensor=sensor,
                bands=list(bands),
                before=list(before),
            )
        has, needs = (_pixels(grid) for grid in (sensor_grid(group), wanted.grids[sensor]))
        if has != needs:
            raise CubeError(
                f"fetching into the cube {path}: its '{sensor}' has pixels of {has[1]:g} in {has[0]}, and the request "
                f"is for pixels of {needs[1]:g} in {needs[0]}; {fix}",
                sensor=sensor,
                resolution=needs[1],
                before=has[1],
            )


def _pixels(grid: Grid) -> tuple[str, float]:
    return grid.crs.proj.name, round(grid.resolution, 9)


def earlier_parts(earlier: EarlierCube, wanted: "WantedFrames") -> dict[_Key, EarlierPart]:
    """The frames of a finished cube that are parts of wanted ones on larger grids.

    Scenes of the same day may be added, if they have no pixel on the earlier grid.
    """
    grids = {name: sensor_grid(group) for name, group in earlier.groups.items() if name in wanted.grids}
    places = {name: wanted.grids[name].place_of(grid) for name, grid in grids.items()}
    by_day = earlier.by_day
    parts, added = dict[_Key, EarlierPart](), dict[_Key, list[Scene]]()
    for frame, mark in zip(wanted.frames, wanted.fingerprints, strict=True):
        entry, place = by_day.get((frame.sensor, frame.day)), places.get(frame.sensor)
        if entry is None or place is None or earlier.entry(frame, mark) is not None:
            continue
        ids = set(entry["scenes"])
        before = replace(frame, scenes=tuple(scene for scene in frame.scenes if scene.id in ids))
        if not ids or len(before.scenes) != len(ids):
            continue
        fingerprint = before.fingerprint(grids[frame.sensor], wanted.rule, wanted.offset)
        if earlier.entry(before, fingerprint) is entry:
            key = frame.sensor, frame.index
            parts[key] = EarlierPart(before, fingerprint, place)
            added[key] = [scene for scene in frame.scenes if scene.id not in ids]
    asked = [(key, scene) for key, scenes in added.items() for scene in scenes]
    with ThreadPoolExecutor(THREADS) as executor:
        for (key, _), touches in run_tiles(lambda one: _touches(one[1], grids[one[0][0]]), asked, executor):
            if touches:
                parts.pop(key, None)
    return parts


def _touches(scene: Scene, grid: Grid) -> bool:
    """Whether a scene may have pixels on a grid: False only if its first band is clearly elsewhere."""
    try:
        with opened(scene, *first_band(scene.product)) as (source, _):
            if source.is_oblique:
                return True
            bounds = array_bounds(*source.shape, source.transform)
            left, bottom, right, top = transform_bounds(source.crs, grid.crs.to_wkt(), *bounds)
    except (SceneError, RasterioError):
        return True
    margin = 2 * max(grid.resolution, scene.product.resolution)
    return bool(box(left, bottom, right, top).buffer(margin).intersects(box(*grid.bounds)))


def inner_frames(earlier: EarlierCube, parts: Mapping[_Key, EarlierPart]) -> dict[_Key, InnerFrame]:
    """Where the parts are in the finished cube, without those of which a file is lost or damaged."""
    found: dict[_Key, InnerFrame] = {}
    known = {key: part for key, part in parts.items() if part.fingerprint in earlier.entries}
    if not known or earlier.group is None:
        return found
    groups = earlier.groups

    def is_sound(key: _Key) -> bool:
        group, index = groups[key[0]], earlier.entries[known[key].fingerprint][0]
        side = (group["values"].shards or group["values"].chunks)[-1]
        return all(read_sound(group, (index,), tile) for tile in tiles(sensor_grid(group).shape, side))

    with ThreadPoolExecutor(THREADS) as executor, progress("look through the cube", len(known)) as advance:
        for key, sound in run_tiles(is_sound, known, executor):
            advance(1)
            if sound:
                part = known[key]
                index = earlier.entries[part.fingerprint][0]
                found[key] = InnerFrame(groups[key[0]], index, part.window, part.fingerprint)
    return found


def describe_growth(
    path: Path, frames: Sequence[Frame], earlier: EarlierCube, results: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    """Say how many frames were written, and of an earlier cube why, and which scenes reprocessed ones replaced."""
    by_day = earlier.by_day
    how: dict[_Key, set[str]] = {}
    for name, result in results.items():
        sensor, index, *_ = name.split("/")
        how.setdefault((sensor, int(index)), set()).update({"kept", "grown"} & result.keys() or {"read"})
    kinds, replaced = Counter[str](), list[str]()
    for frame in frames:
        entry, made = by_day.get((frame.sensor, frame.day)), how[frame.sensor, frame.index]
        if made == {"kept"}:
            kinds["kept"] += 1
        elif entry is None:
            kinds["new"] += 1
        elif new := _reprocessed(frame, entry):
            kinds["reprocessed"] += 1
            replaced += new
        else:
            kinds["of a larger area" if "grown" in made else "read anew"] += 1
    kept = kinds.pop("kept", 0)
    lines = [f"wrote {path}" + (f": {kinds.total()} frames; {kept} are as they were" if kept else "")]
    if by_day and kinds:
        lines.append(f"frames written: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")
    if replaced:
        lines.append(f"{len(replaced)} scenes are of another processing than before: {_named(replaced)}")
    return tuple(lines)


def _reprocessed(frame: Frame, entry: Mapping[str, Any]) -> list[str]:
    """Scenes that take the place of others of their day, or are of another processing baseline than before."""
    ids = [scene.id for scene in frame.scenes]
    gone = set(entry["scenes"]) - set(ids)
    new = [name for name in ids if name not in entry["scenes"]] if gone else []
    before = dict(zip(entry["scenes"], entry.get("baselines", ()), strict=False))
    return new + [scene.id for scene in frame.scenes if before.get(scene.id, scene.baseline) != scene.baseline]


def _named(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:MAX_NAMED]) + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")
