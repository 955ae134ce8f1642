"""Add frames to a finished cube without touching the frames that are there.

A shard holds one frame, so new frames are new files. They are written next to the cube, in a copy of its metadata, and
then moved into it; the file of consolidated metadata, which decides what readers see, is replaced last. So a reader
sees the cube without the new frames or with all of them, and a run that is stopped leaves the cube as it was.
"""

import filecmp
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.cube.build import cube_fingerprint, write_frames
from agrifm.cube.frame_grids import native_grids, nested_grids
from agrifm.cube.frames import Frame, group_frames, identity, scenes_of
from agrifm.cube.manifest import (
    ABOUT,
    COPY,
    PIXELS,
    marks_of,
    pixel_marks,
    place_skeleton,
    read_metadata,
    require_small_arrays,
    restore_metadata,
)
from agrifm.cube.provenance import sources_of, usable_rule
from agrifm.cube.store import Cube, finish_store, open_cube, open_group
from agrifm.cube.wanted_frames import WantedFrames
from agrifm.errors import CubeError
from agrifm.files import MARKER, AnyPath, as_path, destination, fsync, fsync_tree, translate_os_errors
from agrifm.grid import Grid
from agrifm.outputs import writing
from agrifm.record import running_versions
from agrifm.scene.duplicates import require_one_product
from agrifm.scene.mask import DEFAULT_RULE, MaskRule
from agrifm.scene.offset_check import OffsetChoice, decide_offsets
from agrifm.season import day_number
from agrifm.work import Resumable

if TYPE_CHECKING:
    from agrifm.scene.search_result import SearchResult


def append_frames(
    path: AnyPath,
    search: "SearchResult",
    rule: MaskRule = DEFAULT_RULE,
    offset: OffsetChoice = "refuse",
    executor: Executor | None = None,
) -> Cube:
    """Add the frames of these scenes to a finished cube, or continue a run that was stopped.

    The result equals the cube that is built from all scenes at once, except that the offset check compares the new
    scenes with each other only. Frames that the cube ends with already are not added again.

    Args:
        search: new scenes; each frame is later than the last one of its sensor.
        rule, offset, executor: as for `build_cube`; the rule is that of the cube.

    Raises:
        CubeError: the scenes do not continue this cube.
        SceneError: a scene is unusable; what was finished is kept, next to the cube.
        OutputError: the disk is full.
    """
    path = as_path(path)
    cube = open_cube(path)
    about = f"adding frames to the cube {path}"
    search.unusable.require_rest(search.scenes, "stop")
    require_one_product(search.scenes, about)
    frames = group_frames(search.scenes)
    _require_same_kind(cube, frames, rule, about)
    grids = _grids(cube, frames, about)
    new = WantedFrames(frames, grids, rule, offset).identities
    old = {
        name: [identity(frame["fingerprint"], frame.get("content")) for frame in sensor["frames"]]
        for name, sensor in cube.provenance["sensors"].items()
    }
    plan = cube_fingerprint(cube.season, cube.area, {name: old[name] + new.get(name, []) for name in old})
    place = destination(path)
    scratch = place.with_name(f"{place.name}.append")
    if all(old[name][-len(added) :] == added for name, added in new.items()):
        Resumable(scratch, plan).remove()  # of a run that was stopped after its last move
        return cube
    _require_later(cube, frames, about)
    counts = {name: len(sensor.date) for name, sensor in cube.sensors.items()}
    frames = [replace(frame, index=counts[frame.sensor] + frame.index) for frame in frames]
    with writing(path, "cube"), translate_os_errors(about):
        work = Resumable(scratch, plan)
        if _is_sealed(scratch, plan):  # it was stopped while files were moved
            restore_metadata(scratch, scratch)
        else:
            _write(work, cube, search, WantedFrames(frames, grids, rule, offset), plan, executor)
        fsync_tree(scratch)
        _move(scratch, path)
        work.remove()
    return open_cube(path)


def _write(
    work: Resumable, cube: Cube, search: "SearchResult", wanted: WantedFrames, plan: str, executor: Executor | None
) -> None:
    """Write the frames and the metadata of the cube that has them, next to the cube."""
    decided = None if work.begun else decide_offsets(scenes_of(wanted.frames), wanted.grids, wanted.offset)
    # again, since a power cut may have damaged what an earlier run wrote
    skeleton = work.scratch / ".new"
    _copy_metadata(cube, wanted.frames, skeleton)
    place_skeleton(skeleton, work.scratch)
    if decided is not None:
        work.begin([asdict(scene.decided) if scene.decided else None for scene in decided])
    described, _, results = write_frames(work, wanted.with_encodings(work.decisions), executor)
    marks = {**pixel_marks(cube.directory), **marks_of(results)}
    finish_store(open_group(work.scratch), _continued(cube.provenance, search, plan, described), marks)


def _require_same_kind(cube: Cube, frames: Sequence[Frame], rule: MaskRule, about: str) -> None:
    """Refuse frames of another sensor, product, rule or season, and cubes that were not built frame by frame."""
    sensors = cube.provenance.get("sensors", {})
    if not all("fingerprint" in frame for sensor in sensors.values() for frame in sensor["frames"]):
        raise CubeError(f"{about}: its frames have no fingerprints; fetch the cube again, with all scenes")
    for key, value in usable_rule(rule).items():
        before = cube.provenance["usable"].get(key)
        if value != before:
            raise CubeError(
                f"{about}: `{key}` is {value!r}, but the cube was built with {before!r}; use the same `masked`, "
                "`dilate` and `masks`, or fetch a new cube",
                key=key,
            )
    for frame in frames:
        record = frame.scenes[0].product
        product, described = record.name, None if record.description is None else dict(record.description)
        before = sensors.get(frame.sensor, {})
        if before.get("product") != product or before.get("described") != described:
            known = ", ".join(f"'{sensor['product']}'" for sensor in sensors.values())
            another = "" if before.get("product") != product else " in another description"
            raise CubeError(
                f"{about}: it holds the products {known}, and a scene is of '{product}'{another}; leave out that "
                "product, or fetch a new cube",
                product=product,
            )
        if frame.day > cube.season.end or frame.last_day < cube.season.start:
            raise CubeError(
                f"{about}: the frame of {frame.day} is outside its season, {cube.season.start} to {cube.season.end}; "
                "leave out that scene, or fetch a new cube",
                day=frame.day,
            )


def _require_later(cube: Cube, frames: Sequence[Frame], about: str) -> None:
    for frame in frames:
        if day_number(frame.day) <= cube.sensors[frame.sensor].date[-1]:
            last = cube.provenance["sensors"][frame.sensor]["frames"][-1]["day"]
            raise CubeError(
                f"{about}: the frame of '{frame.sensor}' on {frame.day} is not later than its last one, {last}; fetch "
                "the cube again with all scenes, or leave out that scene",
                day=frame.day,
                last=date.fromisoformat(last),
            )


def _grids(cube: Cube, frames: Sequence[Frame], about: str) -> dict[str, Grid]:
    """The cube's grids, as the frames are read on them: nested ones, or that of the files."""
    grids = nested_grids(frames, cube.area)
    if not all(_same(cube.sensors[name].grid, grid) for name, grid in grids.items()):
        grids = native_grids(frames)
    for name, grid in grids.items():
        if not _same(cube.sensors[name].grid, grid):
            raise CubeError(
                f"{about}: the files of '{name}' have a grid of {grid.shape} pixels that is not the cube's grid of "
                f"{cube.sensors[name].grid.shape}; use files of the same grid, or fetch a new cube",
                sensor=name,
            )
    return grids


def _same(grid: Grid, other: Grid) -> bool:
    return (grid.crs.to_wkt(), grid.transform, grid.shape) == (other.crs.to_wkt(), other.transform, other.shape)


def _is_sealed(scratch: Path, plan: str) -> bool:
    """Whether all that is to be moved into the cube is finished."""
    try:
        metadata = read_metadata(scratch)
    except (CubeError, OSError):
        return False
    about = {} if metadata is None else metadata["attributes"][ABOUT]
    return "files" in about and about.get("provenance", {}).get("plan") == plan  # the list of files is written last


def _copy_metadata(cube: Cube, frames: Sequence[Frame], scratch: Path) -> None:
    """Everything of the cube except its pixels, with room for the frames."""
    shutil.rmtree(scratch, ignore_errors=True)
    counts = {name: len(sensor.date) for name, sensor in cube.sensors.items()}
    for sensor in cube.sensors.values():
        require_small_arrays(sensor.group)
    # Shards beyond the last frame are of a run that was stopped while it moved files; readers do not see them.
    for name, count in counts.items():
        for array in PIXELS:
            for shards in (cube.directory / name / array / "c").glob("*"):
                if int(shards.name) >= count:
                    shutil.rmtree(shards)
    pixels = {str(cube.path / name / array) for name in counts for array in PIXELS}
    shutil.copytree(cube.directory, scratch, ignore=lambda folder, _: {"c"} if folder in pixels else {MARKER, COPY})
    restore_metadata(cube.directory, scratch)  # such a run may have changed those of single arrays
    root = open_group(scratch)
    for name in {frame.sensor: None for frame in frames}:
        group, added = root[name], [frame for frame in frames if frame.sensor == name]
        for array in (*PIXELS, "time", "time_bounds"):
            if array in group:
                group[array].resize((counts[name] + len(added), *group[array].shape[1:]))
        days = np.array([day_number(frame.day) for frame in added], np.int32)
        group["time"][counts[name] :] = days
        if "time_bounds" in group:
            after = np.array([day_number(frame.last_day) + 1 for frame in added], np.int32)
            group["time_bounds"][counts[name] :] = np.stack([days, after], axis=1)


def _continued(
    provenance: dict[str, Any], search: "SearchResult", plan: str, described: dict[str, dict[str, list[dict[str, Any]]]]
) -> dict[str, Any]:
    """The provenance of a cube with more frames."""
    sensors = {
        name: {**sensor, "frames": [*sensor["frames"], *described.get(name, {"frames": []})["frames"]]}
        for name, sensor in provenance["sensors"].items()
    }
    skipped = {*provenance["skipped"], *(scene.id for scene in search.skipped), *search.unread}
    return {
        **provenance,
        "plan": plan,
        "removed": dict(sorted((Counter(provenance["removed"]) + search.removed).items())),
        "skipped": sorted(skipped),
        "sources": sorted({*provenance["sources"], *sources_of(search.scenes)})[:20],
        "sensors": sensors,
        "versions": running_versions("rasterio", "zarr"),
    }


def _move(scratch: Path, path: Path) -> None:
    """Move new and changed files into the cube: pixels first, then metadata, the consolidated ones last."""
    files = [file for file in scratch.rglob("*") if file.is_file()]
    for file in sorted(files, key=lambda file: (file.name == "zarr.json", -len(file.parts), str(file))):
        target = path / file.relative_to(scratch)
        if not (target.exists() and filecmp.cmp(file, target, shallow=False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
            fsync(target.parent)
