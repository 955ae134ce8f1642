"""A cube on other dates: composites of periods, equal steps, smoothed or filled series, written as a new cube.

    monthly = {name: resampler("medoid", sensor, cube.season, 8) for name, sensor in cube.sensors.items()}
    resample_cube(cube, Path("monthly.zarr"), monthly)

The unit of work is a square of `SQUARE` pixels of one sensor, computed in windows of a chunk, so that memory does not
grow with the area. Finished squares are noted in a journal and are not computed again.
"""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from agrifm.cube.composites import median_of_periods, medoid_of_periods
from agrifm.cube.earlier import kept_cube
from agrifm.cube.guarded_store import open_guarded, open_unfinished, read_sound
from agrifm.cube.manifest import (
    ABOUT,
    PIXELS,
    disk_folder,
    link_files,
    marks_of,
    pixel_files,
    place_skeleton,
    record_files,
    remove_files,
    repairable_metadata,
)
from agrifm.cube.smooth import fill_gaps, whittaker
from agrifm.cube.store import (
    CHUNK,
    FILL,
    NO_DAY,
    Cube,
    SensorCube,
    create_root,
    create_sensor,
    finish_store,
    open_cube,
    open_group,
)
from agrifm.cube.temporal import interpolate, nearest_of_periods
from agrifm.errors import ConfigError, CubeError
from agrifm.files import MARKER, AnyPath, as_path, translate_os_errors
from agrifm.grid import Window, tiles
from agrifm.imagery_config import ResampleMethod
from agrifm.outputs import begin_directory, partial_directory, writing
from agrifm.record import running_versions
from agrifm.season import Season, day_date
from agrifm.work import Resumable, fingerprint

SQUARE = 480
"""Side in pixels of what is written at once, a shard of the new cube."""
WHITTAKER_LAMBDA = 1000.0
"""Smoothing of the method "smooth" on a grid of days: it halves fluctuations with a period of 35 days
(2 pi lambda^(1/4)) and leaves the rise and fall of a crop, which take months."""

_Image = NDArray[np.float32]
_Valid = NDArray[np.bool_]
_Days = NDArray[np.int32]


@dataclass(frozen=True)
class Resampler:
    """What is computed from the series of one sensor, and on which dates."""

    description: str
    """What it does, with all numbers: kept in the new cube, and part of the fingerprint of a run."""
    first: tuple[int, ...]
    """First day of each new frame, increasing, days since 1970-01-01."""
    last: tuple[int, ...] | None
    """Last day of each new frame if pixels have individual days; None if a frame is of one day."""
    run: Callable[[_Image, _Valid, _Days, _Days | None], tuple[_Image, _Valid, _Days | None]]
    """From image (T, C, H, W), valid (T, H, W), date (T,) and, of composites, day (T, H, W) to the new image, valid and
    (with `last`) day. It treats each pixel alone, as it runs window by window, and can be pickled: a function of a
    module, or a `partial` of one."""


@dataclass(frozen=True)
class Square:
    """A square of one sensor: a unit of work for any thread or process, which opens both cubes by their paths."""

    source: Path
    target: Path
    sensor: str
    window: Window
    resampler: Resampler
    before: zarr.Group | None = None
    """The store of a finished cube of the same content, from which the square is taken over if it is undamaged."""

    @property
    def key(self) -> str:
        """How the journal names it."""
        return f"{self.sensor}/{self.window.row}/{self.window.col}"


def resampler(method: ResampleMethod, sensor: SensorCube, season: Season, frames: int) -> Resampler:
    """The resampler of a method, for one sensor.

    Args:
        method: "median" and "medoid", "nearest": of each of `frames` equal periods of the season the band-wise median,
            the observation nearest that median, or the one nearest the middle of the period; "linear" and "smooth":
            interpolation or Whittaker's smoother at the middles of the periods; "fill": the sensor's own frames, with
            gaps interpolated.
        frames: number of periods; not used by "fill".

    Raises:
        ConfigError: the season has fewer days than there are periods.
    """
    if method == "fill":
        last = _numbers(np.asarray(sensor.group["time_bounds"][:])[:, 1] - 1) if sensor.is_composite else None
        return Resampler("gaps filled linearly", _numbers(sensor.date), last, _filled)
    if not 1 <= frames <= season.days:
        raise ConfigError(
            f"dividing the season into {frames} periods: it has {season.days} days; choose 1 to {season.days} periods",
            frames=frames,
            days=season.days,
        )
    edges, steps = season.periods(frames), season.steps(frames)
    first, last = _numbers(edges[:-1]), _numbers(edges[1:] - 1)
    if method == "median":
        return Resampler(f"median of {frames} periods", first, last, partial(_median, edges))
    if method == "medoid":
        return Resampler(f"medoid of {frames} periods", first, last, partial(_medoid, edges))
    if method == "nearest":
        run = partial(_nearest, season, frames)
        return Resampler(f"nearest the middle of {frames} periods", first, last, run)
    if method == "linear":
        return Resampler(f"interpolated to {frames} steps", _numbers(steps), None, partial(_linear, steps))
    description = f"Whittaker smoother, lambda {WHITTAKER_LAMBDA:g}, at {frames} steps"
    return Resampler(description, _numbers(steps), None, partial(_smooth, steps))


def _median(edges: _Days, image: _Image, valid: _Valid, date: _Days, day: _Days | None) -> tuple[_Image, _Valid, _Days]:
    return median_of_periods(image, valid, date, edges, day)


def _medoid(edges: _Days, image: _Image, valid: _Valid, date: _Days, day: _Days | None) -> tuple[_Image, _Valid, _Days]:
    return medoid_of_periods(image, valid, date, edges, day)


def _nearest(
    season: Season, frames: int, image: _Image, valid: _Valid, date: _Days, day: _Days | None
) -> tuple[_Image, _Valid, _Days]:
    return nearest_of_periods(image, valid, date, season, frames, day)


def _linear(steps: _Days, image: _Image, valid: _Valid, date: _Days, day: _Days | None) -> tuple[_Image, _Valid, None]:
    made, seen = interpolate(image, valid, date, steps, day)
    return made, np.broadcast_to(seen, (len(steps), *seen.shape)), None


def _smooth(steps: _Days, image: _Image, valid: _Valid, date: _Days, day: _Days | None) -> tuple[_Image, _Valid, None]:
    made, seen = whittaker(image, valid, date, steps, WHITTAKER_LAMBDA, day)
    return made, np.broadcast_to(seen, (len(steps), *seen.shape)), None


def _filled(image: _Image, valid: _Valid, date: _Days, day: _Days | None) -> tuple[_Image, _Valid, _Days | None]:
    made, seen = fill_gaps(image, valid, date, day)
    days = None if day is None else np.where(valid, day, date[:, None, None]).astype(np.int32)
    return made, np.broadcast_to(seen, valid.shape), days


def _numbers(days: NDArray[np.integer]) -> tuple[int, ...]:
    return tuple(int(day) for day in days)


def resample_cube(
    cube: Cube, path: AnyPath, resamplers: Mapping[str, Resampler], executor: Executor | None = None
) -> Cube:
    """Write a new cube with the series of each sensor as its resampler makes them, or continue a stopped run.

    Args:
        path: of the new cube.
        resamplers: by sensor; the new cube has these sensors.
        executor: threads, processes or that of `open_cluster`, each holding one square; None uses this thread.

    Raises:
        CubeError: a sensor is not in the cube, or `path` is the cube itself.
        OutputError: the disk is full, or `path` holds something else.
    """
    path = as_path(path)
    unknown = sorted(resamplers.keys() - cube.sensors.keys())
    if unknown or not resamplers:
        problem = f"has no sensor '{unknown[0]}'" if unknown else "needs a resampler for at least one sensor"
        raise CubeError(
            f"resampling the cube {cube.path}: it {problem}; choose among {', '.join(cube.sensors)}",
            sensor=unknown[0] if unknown else None,
        )
    if path.resolve() == cube.path.resolve():
        raise CubeError(f"resampling the cube {cube.path}: the new cube would replace it; give another path", path=path)
    plan = _plan(cube, resamplers)
    partial_path = partial_directory(path, "cube")
    if (path / MARKER).exists() and not partial_path.exists() and (kept := kept_cube(path, plan)) is not None:
        return kept
    earlier = repairable_metadata(path)
    is_same = earlier is not None and earlier["attributes"][ABOUT]["provenance"]["plan"] == plan
    before = open_guarded(path, earlier) if earlier is not None and is_same else None
    with writing(path, "cube"), translate_os_errors(f"writing the cube {path}"):
        work = Resumable(partial_path, plan)
        _create(partial_path, cube, resamplers)  # again too: a power cut may have damaged what a stopped run wrote
        if not work.begun:
            work.begin()
        squares = [
            Square(cube.directory, partial_path, name, window, of_sensor, before)
            for name, of_sensor in resamplers.items()
            for window in tiles(cube.sensors[name].grid.shape, SQUARE)
        ]
        results = work.run(write_square, squares, lambda square: square.key, "resample", executor, 2, _is_written)
        provenance = _describe(cube, resamplers, plan, results)
        if earlier is not None and is_same:
            provenance = earlier["attributes"][ABOUT]["provenance"]
        finish_store(open_group(partial_path), provenance, marks_of(results))
        work.finish(path, "cube")
    return replace(open_cube(path), notes=(f"wrote {path}",))


def _plan(cube: Cube, resamplers: Mapping[str, Resampler]) -> str:
    """The fingerprint of the new cube: that of the old one, and the resampler of each sensor."""
    steps = {name: [of_sensor.description, of_sensor.first, of_sensor.last] for name, of_sensor in resamplers.items()}
    content = [cube.provenance.get("plan", str(cube.path.resolve())), steps]
    return fingerprint(content)


def _create(partial: Path, cube: Cube, resamplers: Mapping[str, Resampler]) -> None:
    skeleton = partial / ".new"
    shutil.rmtree(skeleton, ignore_errors=True)
    begin_directory(partial)
    root = create_root(skeleton, cube.season, cube.area)
    for name, of_sensor in resamplers.items():
        sensor = cube.sensors[name]
        last = None if of_sensor.last is None else [day_date(day) for day in of_sensor.last]
        create_sensor(root, sensor.input, sensor.grid, [day_date(day) for day in of_sensor.first], last, SQUARE)
    place_skeleton(skeleton, partial)


def write_square(square: Square) -> dict[str, Any]:
    """Compute and write one square, or take it over from the cube of before.

    Returns:
        Its valid observations before (unknown if taken over) and of each frame after, and the marks of its files.
    """
    group = open_group(square.target)[square.sensor]
    frames = range(len(square.resampler.first))
    files = [key for name in PIXELS if name in group for key in pixel_files(group[name], frames, square.window)]
    sound = None if square.before is None else read_sound(square.before[square.sensor], frames, square.window)
    if square.before is not None and sound is not None:
        link_files(disk_folder(square.before), square.target, dict(zip(sound[0], files, strict=True)))
        return {"observed": 0, "valid": sound[1].sum(axis=(1, 2)).tolist(), "files": record_files(square.target, files)}
    sensor, of_sensor, window = open_cube(square.source).sensors[square.sensor], square.resampler, square.window
    shape = (len(of_sensor.first), window.height, window.width)
    values = np.full((shape[0], len(sensor.input.bands), *shape[1:]), FILL, np.int16)
    valid = np.zeros(shape, bool)
    day = None if of_sensor.last is None else np.full(shape, NO_DAY, np.int32)
    observed = 0
    for part in tiles((window.height, window.width), CHUNK):
        rows, cols = part.slices
        image, seen, image_day = sensor.read(
            Window(window.row + part.row, window.col + part.col, part.height, part.width)
        )
        observed += int(seen.sum())
        made, known, made_day = of_sensor.run(image, seen, sensor.date, image_day)
        # Back to stored integers; a smoother may overshoot what they can hold.
        numbers = np.clip(np.round(made / np.float32(sensor.input.scale)), FILL + 1, -FILL - 1)
        values[..., rows, cols] = np.where(known[:, None], numbers, FILL)
        valid[:, rows, cols] = known
        if day is not None:
            assert made_day is not None
            day[:, rows, cols] = np.where(known, made_day, NO_DAY)
    remove_files(square.target, files)
    rows, cols = window.slices
    group["values"][:, :, rows, cols] = values
    group["valid"][:, rows, cols] = valid
    if day is not None:
        group["day"][:, rows, cols] = day
    marks = record_files(square.target, files)
    return {"observed": observed, "valid": valid.sum(axis=(1, 2)).tolist(), "files": marks}


def _is_written(square: Square, result: Mapping[str, Any]) -> bool:
    """Whether a square that a stopped run has written is there as it was written."""
    group = open_unfinished(square.target, result["files"])[square.sensor]
    return read_sound(group, range(len(square.resampler.first)), square.window) is not None


def _describe(
    cube: Cube,
    resamplers: Mapping[str, Resampler],
    plan: str,
    results: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The provenance: the old cube's of each sensor, the resampler, and the observations before and after."""
    sensors: dict[str, Any] = {}
    for name, of_sensor in resamplers.items():
        counts = [result for key, result in results.items() if key.startswith(f"{name}/")]
        valid = np.sum([result["valid"] for result in counts], axis=0)
        pixels = np.prod(cube.sensors[name].grid.shape)
        before = dict(cube.provenance.get("sensors", {}).get(name, {}))
        frames = [
            {"day": day_date(first).isoformat(), "valid_share": round(float(count / pixels), 4)}
            for first, count in zip(of_sensor.first, valid, strict=True)
        ]
        made = {"resampled": of_sensor.description, "observations_before": sum(result["observed"] for result in counts)}
        sensors[name] = {**before, **made, "frames": frames}
    return {
        **{key: value for key, value in cube.provenance.items() if key != "sensors"},
        "plan": plan,
        "made_from": {"cube": cube.path.name, "plan": cube.provenance.get("plan")},
        "sensors": sensors,
        "versions": running_versions("zarr", "scipy"),
    }
