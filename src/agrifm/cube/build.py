"""Build a cube from scenes, frame by frame and tile by tile; a stopped build continues.

The unit of work is one tile of one frame (`cube.frames.FrameTile`). Finished units are noted in a journal and are not
read again. The store is put in its place when all units are done.
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from shapely.geometry.base import BaseGeometry

from agrifm.cube.earlier import EarlierCube, kept_cube
from agrifm.cube.extension import describe_growth, earlier_parts, inner_frames, require_continuable
from agrifm.cube.failures import write_tiles
from agrifm.cube.frame_grids import native_grids, nested_grids, require_metres
from agrifm.cube.frames import Frame, FrameTile, complete, group_frames, is_written, scenes_of
from agrifm.cube.manifest import marks_of, place_skeleton
from agrifm.cube.provenance import INCOMPLETE, describe_build, describe_encodings, describe_frame
from agrifm.cube.server_files import ServerFiles
from agrifm.cube.store import SCALES, SHARD, Cube, create_root, create_sensor, finish_store, open_cube, open_group
from agrifm.cube.wanted_frames import WantedFrames
from agrifm.errors import CubeError
from agrifm.files import MARKER, AnyPath, as_path, translate_os_errors
from agrifm.grid import Grid, tiles
from agrifm.imagery_config import MissingChoice
from agrifm.outputs import begin_directory, partial_directory, writing
from agrifm.record import SensorInput
from agrifm.scene.duplicates import require_one_product
from agrifm.scene.mask import DEFAULT_RULE, MaskRule
from agrifm.scene.offset_check import OffsetChoice, decide_offsets
from agrifm.scene.scene import RemoteAsset
from agrifm.season import Season
from agrifm.work import Resumable, fingerprint

if TYPE_CHECKING:
    from agrifm.scene.search_result import SearchResult

THREADS, REMOTE_THREADS = 2, 8
"""Tiles that are read at once; more if scenes are on servers, as most of the time is waiting."""


def build_cube(
    path: AnyPath,
    search: "SearchResult",
    season: Season,
    area: BaseGeometry,
    native_grid: bool = False,
    rule: MaskRule = DEFAULT_RULE,
    offset: OffsetChoice = "refuse",
    executor: Executor | None = None,
    missing: MissingChoice = "stop",
    grid: Grid | None = None,
) -> Cube:
    """Build the cube of these scenes, or continue a build that was stopped.

    Frames that are as in an earlier cube are taken over; `cube.append` adds frames to a finished cube.

    Args:
        area: in longitude and latitude; the grid is its UTM zone snapped to 480 m.
        native_grid: keep the grid of the files (scenes of one sensor only).
        rule, offset: which pixels are usable; what to do if metadata and pixels of a scene disagree on its offset.
        executor: threads, processes or that of `open_cluster`; None starts threads.
        missing: what to do about items and files that could not become scenes, and about scenes that failed for
            good; left out, they are `failed` of the provenance, and the next build asks for them again.
        grid: of a tile of a divided area, the ground that the cube covers.

    Raises:
        CubeError: the area or the scenes do not make one cube.
        SceneError: scenes are unusable; finished tiles are kept.
        OutputError: the disk is full, or `path` holds something else.
    """
    path = as_path(path)
    search.unusable.require_rest(search.scenes, missing)
    require_one_product(search.scenes, "building a cube")
    frames = group_frames(search.scenes)
    wanted = _wanted(frames, native_grids(frames) if native_grid else nested_grids(frames, area, grid), rule, offset)
    before = EarlierCube.at(path)
    require_continuable(path, before, wanted)
    wanted, servers, replaced = _with_earlier(wanted, before)
    plan = cube_fingerprint(season, area, wanted.identities)
    partial = partial_directory(path, "cube")
    is_as_before = not (partial.exists() or replaced or search.unusable.errors)
    if (path / MARKER).exists() and is_as_before and (kept := kept_cube(path, plan)) is not None:
        return replace(kept, notes=(*kept.notes, *servers.notes()))
    with writing(path, "cube"), translate_os_errors(f"writing the cube {path}"):
        # Without the files' content: one that is mended does not end the work on the others.
        work = Resumable(partial, cube_fingerprint(season, area, wanted.identities_without_content))
        servers.forget_replaced(work, wanted.earlier)
        unread: dict[str, str] = {}
        decided = _decide(work, wanted, unread if missing == "skip" else None)
        _begin(work, [wanted.identities, decided], wanted, season, area)  # scenes that were refused have left nothing
        wanted = wanted.with_encodings(decided)
        described, failed, results = write_frames(work, wanted, executor, missing, unread)
        failed |= search.unusable.reasons
        _require_observations(results, wanted.frames)
        provenance = wanted.earlier.provenance
        if provenance.get("plan") != plan or failed or replaced:
            provenance = describe_build(search, plan, wanted, described, failed)
        finish_store(open_group(partial), provenance, marks_of(results))
        work.finish(path, "cube")
    return replace(open_cube(path), notes=(*describe_growth(path, frames, before, results), *servers.notes()))


def _wanted(frames: list[Frame], grids: dict[str, Grid], rule: MaskRule, offset: OffsetChoice) -> WantedFrames:
    require_metres(rule, grids)
    return WantedFrames(frames, grids, rule, offset)


def _with_earlier(wanted: WantedFrames, before: EarlierCube) -> tuple[WantedFrames, ServerFiles, bool]:
    """The frames with what an earlier cube has of them; and whether files were replaced since on their servers."""
    parts = earlier_parts(before, wanted)
    frames = [*wanted.frames, *(part.frame for part in parts.values())]
    servers = ServerFiles(frames, [*wanted.fingerprints, *(part.fingerprint for part in parts.values())])
    earlier, replaced = servers.current(before)
    return replace(wanted, earlier=earlier, inner=inner_frames(earlier, parts)), servers, replaced


def _decide(work: Resumable, wanted: WantedFrames, unread: dict[str, str] | None) -> list[dict[str, Any] | None]:
    """The encodings of all scenes: as they were when this work or the earlier cube of the same frames was begun."""
    if work.begun and work.decisions and work.decisions[0] == wanted.identities:
        return list(work.decisions[1])
    decided = wanted.earlier.decided(wanted.frames, wanted.fingerprints)
    if decided is None:
        scenes = scenes_of(wanted.frames)
        settled = decide_offsets(scenes, wanted.grids, wanted.offset, unread, wanted.measured)
        decided = [asdict(scene.decided) if scene.decided else None for scene in settled]
    return decided


def cube_fingerprint(season: Season, area: BaseGeometry, frames: Mapping[str, Sequence[str]]) -> str:
    """SHA-256 of everything that decides what a cube holds.

    Args:
        frames: what tells them from others (`identities`) by sensor, in time.
    """
    return fingerprint({"season": [str(season.start), str(season.end)], "area": area.wkt, "frames": frames})


def _begin(work: Resumable, decisions: object, wanted: WantedFrames, season: Season, area: BaseGeometry) -> None:
    """Write the metadata of the cube's arrays, again where a power cut may have damaged them."""
    skeleton = work.scratch / ".new"
    shutil.rmtree(skeleton, ignore_errors=True)
    begin_directory(work.scratch)
    root = create_root(skeleton, season, area)
    for sensor, grid in wanted.grids.items():
        of_sensor = [frame for frame in wanted.frames if frame.sensor == sensor]
        product = of_sensor[0].scenes[0].product
        content = SensorInput(
            sensor=sensor,
            bands=product.bands,
            quantity=product.quantity,
            scale=SCALES[product.quantity],
            resolution=grid.resolution,
        )
        last = [frame.last_day for frame in of_sensor] if product.is_composite else None
        create_sensor(root, content, grid, [frame.day for frame in of_sensor], last)
    place_skeleton(skeleton, work.scratch)
    if not work.begun:
        work.begin(decisions)


def write_frames(
    work: Resumable,
    wanted: WantedFrames,
    executor: Executor | None = None,
    missing: MissingChoice = "stop",
    unread: Mapping[str, str] | None = None,
) -> tuple[dict[str, dict[str, list[dict[str, Any]]]], dict[str, str], dict[str, dict[str, Any]]]:
    """Write the tiles of frames that are not finished.

    Args:
        missing: as for `build_cube`.
        unread: scenes that failed in the offset check, with their reasons.

    Returns:
        By sensor, the provenance of its frames; the scenes that failed, with their reasons; the results of all tiles.

    Raises:
        SceneError: see `write_tiles`.
    """
    frames, grids, earlier = wanted.frames, wanted.grids, wanted.earlier
    unchecked = {
        scene.id: f"the offset of scene {scene.id} could not be checked"
        for scene in scenes_of(frames)
        if scene.product.offset_from_baseline is not None and scene.decided is None
    }
    units = [
        FrameTile(
            work.scratch,
            frame,
            window,
            grids[frame.sensor],
            wanted.rule,
            before=earlier.place(frame, mark),
            inner=wanted.inner_of(frame),
        )
        for frame, mark in zip(frames, wanted.fingerprints, strict=True)
        for window in tiles(grids[frame.sensor].shape, SHARD)
    ]
    remote = any(isinstance(asset, RemoteAsset) for scene in scenes_of(frames) for asset in scene.assets.values())
    threads = REMOTE_THREADS if remote else THREADS
    # Twice as many tiles in flight as threads, so that a thread never waits for the journal.
    with nullcontext(executor) if executor is not None else ThreadPoolExecutor(threads) as pool:
        failed = write_tiles(
            work, units, unchecked | dict(unread or {}), missing, pool, 2 * threads, is_whole=is_written
        )
    # Without those of files that were replaced after a stopped run had read them.
    results = {unit.key: work.results[unit.key] for unit in units}
    return _describe_frames(wanted, units, results, failed), failed, results


def _describe_frames(
    wanted: WantedFrames,
    units: Sequence[FrameTile],
    results: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, str],
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """By sensor, the provenance of its frames, from the results of their tiles."""
    counted: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for unit in units:
        counted[unit.frame.sensor, unit.frame.index].append(results[unit.key])
    described: dict[str, dict[str, list[dict[str, Any]]]] = {sensor: {"frames": []} for sensor in wanted.grids}
    for frame, mark in zip(wanted.frames, wanted.fingerprints, strict=True):
        read, of_frame = complete(frame, failed), counted[frame.sensor, frame.index]
        entry = wanted.earlier.entry(frame, mark) if any("kept" in result for result in of_frame) else None
        if entry is not None:  # its offsets are as they were; what the check says of them depends on other scenes too
            entry = {**entry, **describe_encodings(frame)}
        else:
            grown = wanted.source(frame, mark) if any("grown" in result for result in of_frame) else None
            entry = describe_frame(frame, read, wanted.grids[frame.sensor].shape, of_frame, grown or {})
            # a frame without a scene that failed is another one, so that the next build does not take it for whole
            entry["fingerprint"] = mark + ("" if read == frame else INCOMPLETE)
            if (content := frame.content) is not None:
                entry["content"] = content
        described[frame.sensor]["frames"].append(entry)
    return described


def _require_observations(results: Mapping[str, Mapping[str, Any]], frames: Sequence[Frame]) -> None:
    """Refuse a cube with a sensor without a usable pixel."""
    for sensor, count in Counter(frame.sensor for frame in frames).items():
        if not any(result["valid"] for key, result in results.items() if key.startswith(f"{sensor}/")):
            raise CubeError(
                f"building a cube: none of the {count} frames of '{sensor}' has a usable pixel on its grid; check "
                "that the scenes cover the area, and that they are of the product",
                sensor=sensor,
                frames=count,
            )
