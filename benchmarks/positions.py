"""How well `agrifm cube check` tells where single scenes lie: known shifts of single scenes on simulated cubes.

    python benchmarks/positions.py --out benchmarks/results
    python benchmarks/positions.py --regions southern --seeds 31

Seasons are simulated with every scene exactly in its place. Then cubic splines (scipy.ndimage.shift) move each scene by
a random part of a pixel, as satellites wander, and every fourth clear scene of a sensor to a known distance from its
place. Told is what `agrifm.cube.qc.coregistration.scene_positions` says of these.
"""

import argparse
import datetime
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from cube_check import simulated
from numpy.typing import NDArray
from scipy.ndimage import shift as resample

from agrifm.cube.qc.coregistration import SEEN, scene_positions
from agrifm.cube.qc.sample_windows import Look, look_at
from agrifm.cube.qc.thresholds import limit
from agrifm.record import running_versions
from agrifm.simulator.acquisition import view

DISTANCES = (0.0, 0.2, 0.33, 0.5, 0.7, 1.0)
"""Pixels of the sensor."""
WANDER = {"sentinel-2": 0.25, "landsat": 0.13}
"""Deviation of all other scenes along each axis, pixels: 2.5 and 4 m."""
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11")


@dataclass(frozen=True)
class Case:
    """One scene that was moved to a known place."""

    sensor: str
    distance: float
    error: float
    """Pixels between its true and its measured place; NaN where it was not told."""
    length: float
    """Measured distance from the middle of the finest sensor; NaN where it was not told."""


def moved(look: Look, places: Mapping[int, NDArray[np.float64]]) -> Look:
    """Frames resampled by cubic splines to so many pixels (down, right) off where they lie."""
    pieces = []
    for piece in look.pieces:
        stored = piece.stored.copy()
        for frame, place in places.items():
            for band in range(stored.shape[1]):
                stored[frame, band] = np.rint(resample(stored[frame, band].astype(np.float32), place, mode="mirror"))
        pieces.append(replace(piece, stored=stored))
    return replace(look, pieces=tuple(pieces))


def clear_frames(look: Look) -> list[int]:
    """Frames that show enough of the window with the most valid pixels."""
    piece = max(look.pieces, key=lambda one: one.valid.sum())
    return [int(frame) for frame in np.flatnonzero(piece.valid.mean(axis=(1, 2)) >= SEEN)]


def measure(looks: Mapping[str, Look], seed: int) -> Iterator[Case]:
    """Every distance once: every fourth clear scene of each sensor moved so far, in a random direction."""
    draw = np.random.default_rng(seed)
    names = [name for name in WANDER if name in looks]
    clear = {name: clear_frames(looks[name]) for name in names}
    wander = {name: {frame: draw.normal(0, WANDER[name], 2) for frame in clear[name]} for name in names}
    wandering = {name: moved(looks[name], wander[name]) for name in names}
    for number, distance in enumerate(DISTANCES):
        true = {name: dict(wander[name]) for name in names}
        changed = {}
        for name in names:
            tested = clear[name][number % 4 :: 4]
            angle = draw.uniform(0, 2 * np.pi, len(tested))
            true[name] |= {
                frame: distance * np.array([np.sin(a), np.cos(a)]) for frame, a in zip(tested, angle, strict=True)
            }
            own = moved(looks[name], {frame: true[name][frame] for frame in tested})
            changed[name] = joined(wandering[name], own, tested)
        found = scene_positions(changed)
        middle = np.median([true["sentinel-2"][frame] for name, frame in found if name == "sentinel-2"], axis=0)
        for name in names:
            pixels = looks["sentinel-2"].sensor.grid.resolution / looks[name].sensor.grid.resolution
            for frame in clear[name][number % 4 :: 4]:
                shift = found.get((name, frame))
                if shift is None:
                    yield Case(name, distance, np.nan, np.nan)
                else:
                    off = np.array([shift.down, shift.right]) - (true[name][frame] - middle * pixels)
                    yield Case(name, distance, float(np.hypot(*off)), shift.length)


def joined(look: Look, other: Look, frames: list[int]) -> Look:
    """A look with some frames of another one."""
    pieces = []
    for piece, source in zip(look.pieces, other.pieces, strict=True):
        stored = piece.stored.copy()
        stored[frames] = source.stored[frames]
        pieces.append(replace(piece, stored=stored))
    return replace(look, pieces=tuple(pieces))


def fewer_bands(look: Look) -> Look:
    """Without the bands that positions are not measured by, which need not be resampled."""
    kept = [band for band in look.bands if band in BANDS]
    order = [look.bands.index(band) for band in kept]
    sensor = replace(look.sensor, input=look.sensor.input.model_copy(update={"bands": tuple(kept)}))
    return Look(sensor, tuple(replace(piece, stored=piece.stored[:, order]) for piece in look.pieces))


def main() -> None:
    """Measure and print; with --out also write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", nargs="*", default=("oceanic", "southern"))
    parser.add_argument("--seeds", type=int, nargs="*", default=(21,))
    parser.add_argument("--size", type=float, default=2.5, help="kilometres")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    view.SHIFT.update(dict.fromkeys(view.SHIFT, 0.0))
    cases, told = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number, cube in enumerate(simulated(Path(scratch), options.regions, options.seeds, options.size)):
            looks = {name: fewer_bands(look) for name, look in look_at(cube).items() if name in WANDER}
            cases += list(measure(looks, number))
            for name, look in looks.items():
                clear = f"{len(clear_frames(look))} of {len(look.days)} scenes"
                told.append(f"{cube.path.parent.name}: {name}, {clear} are clear over {SEEN:.0%} of the window")
            side = cube.sensors["modis"].grid.shape[1]
            told.append(f"{cube.path.parent.name}: modis, {side} x {side} pixels, composites: not told")
    text = written(cases, told, options)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{datetime.date.today()}-positions.txt").write_text(text + "\n", encoding="utf-8")


def written(cases: list[Case], told: list[str], options: argparse.Namespace) -> str:
    """The dated table."""
    versions = ", ".join(f"{name} {number}" for name, number in running_versions("scipy", "zarr").items())
    lines = [
        f"date       {datetime.date.today()}",
        f"hardware   {os.cpu_count()} x {platform.processor() or platform.machine()}",
        f"versions   {versions}",
        f"command    python benchmarks/positions.py --regions {' '.join(options.regions)} "
        f"--seeds {' '.join(map(str, options.seeds))} --size {options.size:g}",
        "",
        "true: distance of a scene from its place, pixels of its sensor; error: median and 90 % of the distance from",
        "its true to its measured place; over a third: of the scenes told; not told: of the clear scenes moved",
        "",
        f"{'sensor':<12}{'true':>6}{'scenes':>8}{'error':>8}{'90 %':>8}{'over a third':>14}{'alarm':>7}"
        f"{'not told':>10}",
    ]
    for sensor in WANDER:
        for distance in DISTANCES:
            own = [case for case in cases if case.sensor == sensor and case.distance == distance]
            known = [case for case in own if np.isfinite(case.error)]
            if not known:
                lines.append(
                    f"{sensor:<12}{distance:>6.2f}{len(own):>8}{'-':>8}{'-':>8}{'-':>14}{'-':>7}{len(own):>10}"
                )
                continue
            middle, high = np.quantile([case.error for case in known], (0.5, 0.9))
            over, alarm = (
                np.mean([case.length > limit(name) for case in known]) for name in ("shift", "shift of a frame")
            )
            lines.append(
                f"{sensor:<12}{distance:>6.2f}{len(own):>8}{middle:>8.3f}{high:>8.3f}{over:>14.0%}{alarm:>7.0%}"
                f"{len(own) - len(known):>10}"
            )
    return "\n".join([*lines, "", *told])


if __name__ == "__main__":
    main()
