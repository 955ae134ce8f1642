"""Scenes that fail for good, however often they are asked for: all are named at once, or left out of the cube."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from agrifm.cube.frames import Frame, FrameTile, scenes_of, write_frame_tile
from agrifm.errors import SceneError
from agrifm.imagery_config import MissingChoice
from agrifm.scene.file_versions import FileVersion, versions_of
from agrifm.scene.remote_raster import identities_of_files
from agrifm.scene.unusable import HOPELESS, failure_of
from agrifm.work import Resumable, run_tiles

READINGS = 3
"""Number of times that tiles are read if a file on a server changed between two of them."""
_known: dict[str, dict[str, str]] = {}
"""By the place of the work in progress, the scenes that failed: their other tiles are not asked for."""
_read: set[str] = set()
"""Places of work in which a tile was read."""


def write_tiles(
    work: Resumable,
    units: Sequence[FrameTile],
    failed: Mapping[str, str],
    missing: MissingChoice,
    pool: Executor,
    ahead: int,
    **options: Any,
) -> dict[str, str]:
    """Write the tiles that are not finished; returns the scenes that failed, with their reasons.

    Scenes whose failure may pass are asked for once more at the end, if others could be read. A tile of a failed
    scene is not noted as finished, so that a later run asks for it again; if the scene is left out, the tile is
    written from the other scenes of its frame.

    Args:
        failed: scenes that failed before.
        missing: what to do about scenes that fail.
        pool, ahead, options: see `Resumable.run`.

    Raises:
        SceneError: scenes failed, and they are not to be left out; or all scenes of a sensor failed.
    """
    read = partial(_read_tiles, work, units, pool, ahead, **options)
    before = len(work.results)
    found = read(failed=failed)
    passing = {name for result in work.unfinished.values() for name in result.get("may_pass", ())} - failed.keys()
    if passing and len(work.results) > before:  # the server answers, so these get a second chance
        found = read(failed={name: reason for name, reason in found.items() if name not in passing})
    if not found:
        return found
    frames = list({id(unit.frame): unit.frame for unit in units}.values())
    if missing == "stop" or _sensors_without(frames, found):
        raise failure_of(found)
    again = [
        replace(unit, without=tuple(sorted(names & found.keys())))
        for unit in units
        if (names := {scene.id for scene in unit.frame.scenes}) & found.keys()
    ]
    work.forget([unit.key for unit in again])
    for unit, result in run_tiles(write_frame_tile, again, pool, ahead, _key):
        work.results[unit.key] = result
    return found


def _key(unit: FrameTile) -> str:
    return unit.key


def _read_tiles(
    work: Resumable, units: Sequence[FrameTile], pool: Executor, ahead: int, failed: Mapping[str, str], **options: Any
) -> dict[str, str]:
    """Write the tiles that are not finished once, without these scenes; returns them and those that failed."""
    place = _place(work.scratch)
    _known[place] = dict(failed)
    _read.discard(place)
    for _ in range(READINGS):
        work.run(try_frame_tile, units, _key, "fetch", pool, ahead, note=_is_written, left_out=_failed, **options)
        if not (mixed := _mixed(work, units)):
            break
        work.forget([unit.key for unit in mixed])
    else:
        raise SceneError(
            f"reading scene {mixed[0].frame.scenes[0].id}: its files on the server keep changing while they are read; "
            "try again later"
        )
    found = _known.pop(place)
    for result in work.unfinished.values():  # of other processes
        found |= result["failed"]
    return found


def _place(scratch: Path) -> str:
    """The work in progress; it is another one in another process, which may outlive this run."""
    return f"{os.getpid()} {scratch}"


def _failed(unit: FrameTile, reason: str) -> dict[str, Any]:
    """The result of a tile that a cluster left out: its scenes count as failed, because any may be the cause."""
    return {"failed": {scene.id: f"reading scene {scene.id} on a cluster {reason}" for scene in unit.frame.scenes}}


def _is_written(result: Mapping[str, Any]) -> bool:
    return "failed" not in result


def try_frame_tile(tile: FrameTile) -> dict[str, Any]:
    """Write a tile, as `write_frame_tile` does.

    If a scene fails, `failed` of the result has its id and the reason, and `may_pass` its id if it may succeed later.
    """
    place = _place(tile.cube)
    known = _known.get(place, {})  # other processes than that of `write_tiles` remember nothing
    first = tile.frame.scenes[0].id
    if before := {scene.id: known[scene.id] for scene in tile.frame.scenes if scene.id in known}:
        return {"failed": before}
    if len(known) >= HOPELESS and place not in _read:
        return {"failed": {first: f"not asked for after {len(known)} scenes had failed"}}
    try:
        with identities_of_files() as identities:
            result = write_frame_tile(tile)
    except SceneError as error:
        reason = {str(error.facts.get("scene", first)): str(error)}
        known.update(reason)
        return {"failed": reason, "may_pass": list(reason) if error.facts.get("may_pass") else []}
    _read.add(place)
    return {**result, "servers": identities} if identities else result


def _mixed(work: Resumable, units: Sequence[FrameTile]) -> list[FrameTile]:
    """Tiles of frames that were read from two versions of one file on a server, in this run or an earlier one."""
    versions: dict[tuple[str, int, str], set[FileVersion]] = {}
    for unit in units:
        for name, version in versions_of([work.results.get(unit.key)]):
            versions.setdefault((unit.frame.sensor, unit.frame.index, name), set()).add(version)
    frames = {(sensor, index) for (sensor, index, _), found in versions.items() if len(found) > 1}
    return [unit for unit in units if (unit.frame.sensor, unit.frame.index) in frames]


def _sensors_without(frames: Sequence[Frame], failed: Mapping[str, str]) -> set[str]:
    """Sensors all of whose scenes failed."""
    left = {frame.sensor for frame in frames if any(scene.id not in failed for scene in scenes_of([frame]))}
    return {frame.sensor for frame in frames} - left
