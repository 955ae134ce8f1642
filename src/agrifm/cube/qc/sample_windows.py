"""A few sample windows of a cube, in memory: the series of the same ground in every sensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import FILL, Cube, SensorCube
from agrifm.grid import Window, tiles

WINDOW_SIDE = 192
"""Side of a window in pixels of the finest sensor, reduced to a multiple of the coarsest pixel. A grid of up
to 1.5 times that side is one window."""
MAX_NUMBERS = 100_000_000
"""Stored numbers of the sensor with the most, at once; two bytes each."""
MAX_WINDOWS = 4
"""Of each sensor."""
Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WindowSeries:
    """The series of one sensor in one window."""

    stored: NDArray[np.int16]
    """(T, C, H, W), units of the cube's scale."""
    valid: NDArray[np.bool_]
    """(T, H, W), True where the pixel is marked usable and has a number in every band."""
    bounds: Window
    """In pixels of the sensor."""


@dataclass(frozen=True, eq=False)
class SensorWindows:
    """The sample windows of one sensor."""

    cube: SensorCube
    windows: tuple[WindowSeries, ...]

    @property
    def name(self) -> str:
        """Name of the sensor."""
        return self.cube.input.sensor

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in the order of the cube."""
        return self.cube.input.bands

    @property
    def share(self) -> float:
        """Share of the grid that the windows cover."""
        covered = sum(window.bounds.height * window.bounds.width for window in self.windows)
        return covered / (self.cube.grid.shape[0] * self.cube.grid.shape[1])

    @cached_property
    def days(self) -> NDArray[np.int32]:
        """(T,), days since 1970-01-01; of a composite the middle of its period."""
        if "time_bounds" not in self.cube.group:
            return self.cube.date
        bounds = np.asarray(self.cube.group["time_bounds"][:])
        return np.asarray((bounds[:, 0] + bounds[:, 1] - 1) // 2, np.int32)

    def image(self, window: WindowSeries, band: str, frames: Sequence[int] | None = None) -> Image:
        """One band (T, H, W) in the quantity's unit, NaN where not valid; of some frames, or of all."""
        chosen = slice(None) if frames is None else np.array(frames, int)
        stored = window.stored[chosen, self.bands.index(band)]
        return np.where(window.valid[chosen], stored * np.float32(self.cube.input.scale), np.float32(np.nan))

    def pixels(self, most: int, frame: int | None = None) -> Image:
        """Valid pixels (N, C) of all windows and dates, or of one frame; at most about `most`, evenly from the list."""
        stored = []
        for window in self.windows:
            if frame is None:
                stored.append(np.moveaxis(window.stored, 1, -1)[window.valid])
            else:
                stored.append(window.stored[frame][:, window.valid[frame]].T)
        numbers = np.concatenate(stored)
        step = max(len(numbers) // most, 1)
        return numbers[::step].astype(np.float32) * np.float32(self.cube.input.scale)


def read_sample_windows(cube: Cube) -> dict[str, SensorWindows]:
    """Read the sample windows of every sensor, no more than `MAX_NUMBERS` numbers of one sensor.

    Raises:
        CubeError: a chunk is damaged.
    """
    chosen = _sample_bounds(cube)
    sensors = {}
    for name, sensor in cube.sensors.items():
        ratio = round(sensor.grid.resolution / cube.target.resolution)
        sensors[name] = SensorWindows(sensor, tuple(_read(sensor, window.scaled(ratio)) for window in chosen))
    return sensors


def _sample_bounds(cube: Cube) -> Sequence[Window]:
    """Choose windows of the finest grid, spread evenly over it."""
    height, width = cube.target.shape
    factor = cube.coarse_factor
    side = max(WINDOW_SIDE // factor, 1) * factor
    if max(height, width) <= 1.5 * side:
        side = max(height, width)
    largest = max(len(sensor.date) * len(sensor.input.bands) for sensor in cube.sensors.values())
    while side > factor and largest * side * side > MAX_NUMBERS:
        side = max(side // 2 // factor, 1) * factor
    # Narrow rests at the edges say little about the whole.
    candidates = [window for window in tiles((height, width), side) if min(window.height, window.width) * 2 > side]
    candidates = candidates or list(tiles((height, width), side))
    count = max(min(MAX_NUMBERS // max(largest * side * side, 1), MAX_WINDOWS, len(candidates)), 1)
    return [candidates[int((number + 0.5) * len(candidates) / count)] for number in range(count)]


def _read(sensor: SensorCube, window: Window) -> WindowSeries:
    rows, cols = window.slices
    stored = sensor.stored("values", (slice(None), slice(None), rows, cols))
    valid = sensor.stored("valid", (slice(None), rows, cols)) & (stored != FILL).all(axis=1)
    return WindowSeries(stored, valid, window)


def coarser(image: Image, ratio: int, least: float = 0.8) -> Image:
    """Mean of squares of `ratio` x `ratio` pixels of (T, H, W); NaN if less than the share `least` of one is valid."""
    frames, height, width = image.shape
    squares = image.reshape(frames, height // ratio, ratio, width // ratio, ratio)
    valid = np.isfinite(squares)
    count = valid.sum(axis=(2, 4))
    total = np.where(valid, squares, 0).sum(axis=(2, 4))
    mean = total / np.maximum(count, 1)
    return np.where(count >= least * ratio * ratio, mean, np.nan).astype(np.float32)
