"""A look at a cube: the series of a few windows, the same ground in every sensor, small enough to keep in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import FILL, Cube, SensorCube
from agrifm.grid import Window, tiles

SIDE = 192
"""Side of a window in pixels of the finest sensor, cut down to what nests in the coarsest; grids up to half as long
again are looked at whole."""
BUDGET = 100_000_000
"""Stored numbers of the largest sensor that are kept at once (two bytes each)."""
MOST = 4
"""Windows at most."""
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Piece:
    """One window of one sensor."""

    stored: NDArray[np.int16]
    """(T, C, H, W), units of the cube's scale."""
    valid: Mask
    """(T, H, W), True where marked usable and there is a number in every band."""
    window: Window
    """In the sensor's own pixels."""


@dataclass(frozen=True, eq=False)
class Look:
    """What was looked at of one sensor."""

    sensor: SensorCube
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        """Name of the sensor."""
        return self.sensor.input.sensor

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in the order of the cube."""
        return self.sensor.input.bands

    @property
    def share(self) -> float:
        """Share of the grid that was looked at."""
        seen = sum(piece.window.height * piece.window.width for piece in self.pieces)
        return seen / (self.sensor.grid.shape[0] * self.sensor.grid.shape[1])

    @cached_property
    def days(self) -> NDArray[np.int32]:
        """(T,), days since 1970-01-01; of a composite the middle of its period."""
        if "time_bounds" not in self.sensor.group:
            return self.sensor.date
        bounds = np.asarray(self.sensor.group["time_bounds"][:])
        return np.asarray((bounds[:, 0] + bounds[:, 1] - 1) // 2, np.int32)

    def image(self, piece: Piece, band: str, frames: Sequence[int] | None = None) -> Image:
        """(T, H, W) of one band in the quantity's unit, NaN where not valid; of some frames, or of all."""
        chosen = slice(None) if frames is None else np.array(frames, int)
        stored = piece.stored[chosen, self.bands.index(band)]
        return np.where(piece.valid[chosen], stored * np.float32(self.sensor.input.scale), np.float32(np.nan))

    def pixels(self, most: int, frame: int | None = None) -> Image:
        """(N, C) valid pixels of all windows and dates, or of one frame; `most` of them drawn evenly from the list."""
        found = []
        for piece in self.pieces:
            if frame is None:
                found.append(np.moveaxis(piece.stored, 1, -1)[piece.valid])
            else:
                found.append(piece.stored[frame][:, piece.valid[frame]].T)
        stored = np.concatenate(found)
        step = max(len(stored) // most, 1)
        return stored[::step].astype(np.float32) * np.float32(self.sensor.input.scale)


def look_at(cube: Cube) -> dict[str, Look]:
    """The windows of every sensor that are looked at; reads no more than `BUDGET` numbers of one sensor.

    Raises:
        CubeError: a chunk is damaged.
    """
    windows = _windows(cube)
    looks = {}
    for name, sensor in cube.sensors.items():
        ratio = round(sensor.grid.resolution / cube.target.resolution)
        looks[name] = Look(sensor, tuple(_read(sensor, window.scaled(ratio)) for window in windows))
    return looks


def _windows(cube: Cube) -> Sequence[Window]:
    """Windows of the finest grid, spread over it evenly."""
    height, width = cube.target.shape
    factor = cube.coarse_factor
    side = max(SIDE // factor, 1) * factor
    if max(height, width) <= 1.5 * side:
        side = max(height, width)
    largest = max(len(sensor.date) * len(sensor.input.bands) for sensor in cube.sensors.values())
    while side > factor and largest * side * side > BUDGET:
        side = max(side // 2 // factor, 1) * factor
    all_ = [window for window in tiles((height, width), side) if min(window.height, window.width) * 2 > side]
    all_ = all_ or list(tiles((height, width), side))
    count = max(min(BUDGET // max(largest * side * side, 1), MOST, len(all_)), 1)
    return [all_[int((number + 0.5) * len(all_) / count)] for number in range(count)]


def _read(sensor: SensorCube, window: Window) -> Piece:
    rows, cols = window.slices
    stored = sensor.stored("values", (slice(None), slice(None), rows, cols))
    valid = sensor.stored("valid", (slice(None), rows, cols)) & (stored != FILL).all(axis=1)
    return Piece(stored, valid, window)


def coarser(image: Image, ratio: int, least: float = 0.8) -> Image:
    """Means over squares of `ratio` x `ratio` pixels of (T, H, W); NaN where less than `least` of one is valid."""
    frames, height, width = image.shape
    squares = image.reshape(frames, height // ratio, ratio, width // ratio, ratio)
    seen = np.isfinite(squares)
    count = seen.sum(axis=(2, 4))
    total = np.where(seen, squares, 0).sum(axis=(2, 4))
    mean = total / np.maximum(count, 1)
    return np.where(count >= least * ratio * ratio, mean, np.nan).astype(np.float32)
