"""How well `agrifm cube check` measures where single scenes are: known shifts of single scenes on simulated cubes.

    python benchmarks/positions.py --out benchmarks/results
    python benchmarks/positions.py --regions southern --seeds 31

Seasons are simulated with every scene exactly in its place. Then cubic splines (scipy.ndimage.shift) move each scene by
a random part of a pixel, as the geolocation of satellites varies, and every fourth clear scene of a sensor to a known
distance from its place. These are compared with `agrifm.cube.qc.coregistration.scene_positions`.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from cube_check import simulated
from measure import Command, region_options, table
from numpy.typing import NDArray
from scipy.ndimage import shift as resample

from agrifm.cube.qc.coregistration import MIN_VALID_SHARE, scene_positions
from agrifm.cube.qc.sample_windows import SensorWindows, read_sample_windows
from agrifm.cube.qc.thresholds import threshold
from agrifm.simulator.acquisition import view

DISTANCES = (0.0, 0.2, 0.33, 0.5, 0.7, 1.0)
"""Pixels of the sensor."""
WANDER = {"sentinel-2": 0.25, "landsat": 0.13}
"""Deviation of all other scenes along each axis, pixels: 2.5 and 4 m."""
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11")


@dataclass(frozen=True)
class Case:
    """One scene that was moved by a known distance."""

    sensor: str
    distance: float
    error: float
    """Pixels between its true and its measured place; NaN where it was not measured."""
    length: float
    """Measured distance from the middle of the finest sensor; NaN where it was not measured."""


def moved(sensor: SensorWindows, shifts: Mapping[int, NDArray[np.float64]]) -> SensorWindows:
    """The sensor with frames moved by so many pixels (down, right), resampled by cubic splines."""
    copies = tuple(replace(window, stored=window.stored.copy()) for window in sensor.windows)
    for stored in (window.stored for window in copies):
        for frame, by in shifts.items():
            for band in range(stored.shape[1]):
                stored[frame, band] = np.rint(resample(stored[frame, band].astype(np.float32), by, mode="mirror"))
    return replace(sensor, windows=copies)


def clear_frames(sensor: SensorWindows) -> list[int]:
    """Frames that show enough of the window with the most valid pixels."""
    window = max(sensor.windows, key=lambda window: window.valid.sum())
    return [int(frame) for frame in np.flatnonzero(window.valid.mean(axis=(1, 2)) >= MIN_VALID_SHARE)]


def measure(sensors: Mapping[str, SensorWindows], seed: int) -> Iterator[Case]:
    """Every distance once: every fourth clear scene of each sensor moved so far, in a random direction."""
    generator = np.random.default_rng(seed)
    names = [name for name in WANDER if name in sensors]
    clear = {name: clear_frames(sensors[name]) for name in names}
    wander = {name: {frame: generator.normal(0, WANDER[name], 2) for frame in clear[name]} for name in names}
    wandering = {name: moved(sensors[name], wander[name]) for name in names}
    for number, distance in enumerate(DISTANCES):
        true = {name: dict(wander[name]) for name in names}
        changed = {}
        for name in names:
            tested = clear[name][number % 4 :: 4]
            angle = generator.uniform(0, 2 * np.pi, len(tested))
            directions = np.stack([np.sin(angle), np.cos(angle)], axis=1)
            shifts = {frame: distance * direction for frame, direction in zip(tested, directions, strict=True)}
            true[name] |= shifts
            changed[name] = joined(wandering[name], moved(sensors[name], shifts), tested)
        measured = scene_positions(changed)
        middle = np.median([true["sentinel-2"][frame] for name, frame in measured if name == "sentinel-2"], axis=0)
        for name in names:
            pixels = sensors["sentinel-2"].cube.grid.resolution / sensors[name].cube.grid.resolution
            for frame in clear[name][number % 4 :: 4]:
                error = length = np.nan
                if shift := measured.get((name, frame)):
                    off = np.array([shift.down, shift.right]) - (true[name][frame] - middle * pixels)
                    error, length = float(np.hypot(*off)), shift.length
                yield Case(name, distance, error, length)


def joined(sensor: SensorWindows, other: SensorWindows, frames: list[int]) -> SensorWindows:
    """The windows of a sensor, with some frames of another one."""
    copies = tuple(replace(window, stored=window.stored.copy()) for window in sensor.windows)
    for window, source in zip(copies, other.windows, strict=True):
        window.stored[frames] = source.stored[frames]
    return replace(sensor, windows=copies)


def fewer_bands(sensor: SensorWindows) -> SensorWindows:
    """Without the bands that positions are not measured by, which need not be resampled."""
    kept = [band for band in sensor.bands if band in BANDS]
    order = [sensor.bands.index(band) for band in kept]
    cube = replace(sensor.cube, input=sensor.cube.input.model_copy(update={"bands": tuple(kept)}))
    return SensorWindows(cube, tuple(replace(window, stored=window.stored[:, order]) for window in sensor.windows))


def row_of(sensor: str, distance: float, cases: list[Case]) -> tuple[str, ...]:
    """Errors, alarms and scenes that were not measured, for scenes moved this far."""
    known = [case for case in cases if np.isfinite(case.error)]
    cells = ["-"] * 4
    if known:
        limits = (threshold(name) for name in ("shift", "shift of a frame"))
        cells = [f"{error:.3f}" for error in np.quantile([case.error for case in known], (0.5, 0.9))]
        cells += [f"{np.mean([case.length > limit for case in known]):.0%}" for limit in limits]
    return sensor, f"{distance:.2f}", str(len(cases)), *cells, str(len(cases) - len(known))


def report(options: argparse.Namespace) -> Iterator[str]:
    """Move scenes of every cube and compare."""
    view.SHIFT.update(dict.fromkeys(view.SHIFT, 0.0))
    cases, notes = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number, cube in enumerate(simulated(Path(scratch), options)):
            windows, title = read_sample_windows(cube), cube.path.parent.name
            sensors = {name: fewer_bands(sensor) for name, sensor in windows.items() if name in WANDER}
            cases += list(measure(sensors, number))
            for name, sensor in sensors.items():
                clear = f"{len(clear_frames(sensor))} of {len(sensor.days)} scenes"
                notes.append(f"{title}: {name}, {clear} are clear over {MIN_VALID_SHARE:.0%} of the window")
            side = cube.sensors["modis"].grid.shape[1]
            notes.append(f"{title}: modis, {side} x {side} pixels, composites: not measured")
    yield "true: distance of a scene from its place, pixels of its sensor; error: median and 90 % of the distance from"
    yield "its true to its measured place; over a third: of the measured scenes; not measured: of moved clear scenes"
    yield ""
    header = ("sensor", "true", "scenes", "error", "90 %", "over a third", "alarm", "not measured")
    rows = [
        row_of(*key, [case for case in cases if (case.sensor, case.distance) == key])
        for key in product(WANDER, DISTANCES)
    ]
    yield from (*table(header, rows), "", *notes)


OPTIONS = region_options(21, regions=("oceanic", "southern"))
main = Command(__doc__, report, OPTIONS, ("scipy", "zarr"), {"regions": ["oceanic"], "size": 1.0})

if __name__ == "__main__":
    main()
