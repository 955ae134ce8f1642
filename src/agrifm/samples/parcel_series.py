"""Series of parcels from a cube: mean, median and spread of the valid pixels inside, frame by frame.

A pixel is inside a parcel if its centre is. No more than one frame of the ground of `TILE` pixels, and of what parcels
reach beyond it, is in memory.

Shape letters: P parcels, N pixels, T dates, C bands, H W rows and columns, S statistics.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from agrifm.cube.store import SensorCube
from agrifm.grid import Grid, Window

STATISTIC_NAMES = ("mean", "median", "std", "iqr")
"""Statistics of a band over the valid pixels of a parcel: the standard deviation is that of the pixels (divided by N),
and `iqr` the distance between the quartiles, interpolated linearly. The mean of decibel is that of the power."""
TILE = 960
"""Side in target pixels of the ground whose parcels are read together; a shard of the cube."""
_HALF, _LOWER = 2**31, 2**32 - 1
"""Added to an integer of 32 bits to make it positive, and the bits that it then has."""


@dataclass(frozen=True)
class ParcelPixels:
    """The pixels of parcels in a window of a grid; a pixel may be in several parcels."""

    window: Window
    parcel: NDArray[np.intp]
    """(N,), index of the parcel, ascending."""
    at: NDArray[np.intp]
    """(N,), index of the pixel in the flattened window."""
    parcels: int
    """P."""

    @property
    def count(self) -> NDArray[np.int64]:
        """(P,), pixels of each parcel."""
        return np.bincount(self.parcel, minlength=self.parcels).astype(np.int64)


@dataclass(frozen=True)
class ParcelSeries:
    """The series of one sensor at parcels."""

    date: NDArray[np.int32]
    """(T, P), days since 1970-01-01; of a composite the median day of the valid pixels."""
    count: NDArray[np.int64]
    """(T, P), valid pixels."""
    statistics: NDArray[np.float64]
    """(T, S, C, P), in the quantity's unit, in the order of `STATISTIC_NAMES`; NaN without a valid pixel."""


def parcel_pixels(shapes: Sequence[BaseGeometry], grid: Grid) -> ParcelPixels:
    """Return the pixels of a grid whose centres are inside each shape; of a point, the pixel that contains it.

    Args:
        shapes: (P,), in the grid's CRS.
    """
    corners = [_window_of(shape, grid) for shape in shapes]
    known = [window for window in corners if window is not None]
    if not known:
        return ParcelPixels(Window(0, 0, 0, 0), np.zeros(0, np.intp), np.zeros(0, np.intp), len(shapes))
    top, left = min(window.row for window in known), min(window.col for window in known)
    bottom = max(window.row + window.height for window in known)
    right = max(window.col + window.width for window in known)
    parcel, at = [], []
    for index, (shape, window) in enumerate(zip(shapes, corners, strict=True)):
        if window is None:
            continue
        part = grid.window(window)
        inside = rasterize([(shape, 1)], out_shape=part.shape, transform=part.transform, fill=0, dtype="uint8")
        row, col = np.nonzero(inside)
        at.append((row + window.row - top) * (right - left) + col + window.col - left)
        parcel.append(np.full(len(row), index, np.intp))
    return ParcelPixels(
        Window(top, left, bottom - top, right - left), np.concatenate(parcel), np.concatenate(at), len(shapes)
    )


def _window_of(shape: BaseGeometry, grid: Grid) -> Window | None:
    """The pixels under the bounds of a shape, cut at the edge of the grid; None if there are none."""
    if shape.is_empty:
        return None
    west, south, east, north = shape.bounds
    left, top = ~grid.transform * (west, north)
    right, bottom = ~grid.transform * (east, south)
    height, width = grid.shape
    first = max(int(np.floor(top)), 0), max(int(np.floor(left)), 0)
    last = min(int(np.floor(bottom)), height - 1), min(int(np.floor(right)), width - 1)
    if last[0] < first[0] or last[1] < first[1]:
        return None
    return Window(*first, last[0] - first[0] + 1, last[1] - first[1] + 1)


def pixel_statistics(
    stored: NDArray[np.integer], parcel: NDArray[np.intp], parcels: int, scale: float = 1.0, decibel: bool = False
) -> NDArray[np.float64]:
    """Return the statistics (S, C, P) of the pixels of each parcel, NaN for parcels without any.

    Args:
        stored: (C, N), integers of at most 32 bits, as a cube has them.
        parcel: (N,), index of the parcel of each pixel, ascending.
        parcels: P.
        scale: unit of the quantity per stored integer.
        decibel: whether the quantity is decibel, whose mean is 10 log10 of the mean power.
    """
    result = np.full((len(STATISTIC_NAMES), len(stored), parcels), np.nan)
    count = np.bincount(parcel, minlength=parcels)
    present = np.flatnonzero(count)
    if not len(present):
        return result
    count = count[present]
    first = np.cumsum(count) - count
    # One sort of numbers that begin with the parcel is several times as fast as sorting by two keys.
    leading = parcel.astype(np.int64) << 32
    for band, integers in enumerate(stored):
        numbers = integers * scale
        mean = np.add.reduceat(numbers, first) / count
        apart = np.add.reduceat((numbers - np.repeat(mean, count)) ** 2, first) / count
        in_order = (np.sort(leading + (integers.astype(np.int64) + _HALF)) & _LOWER) - _HALF
        ordered = in_order.astype(np.float64) * scale
        low, median, high = (_quantile(ordered, first, count, share) for share in (0.25, 0.5, 0.75))
        if decibel:
            mean = 10 * np.log10(np.add.reduceat(10 ** (numbers / 10), first) / count)
        result[:, band, present] = mean, median, np.sqrt(apart), high - low
    return result


def _quantile(
    ordered: NDArray[np.float64], first: NDArray[np.int64], count: NDArray[np.int64], share: float
) -> NDArray[np.float64]:
    """The quantile of each part of `ordered`, between two numbers interpolated linearly."""
    position = share * (count - 1)
    below = np.floor(position).astype(np.int64)
    lower, upper = ordered[first + below], ordered[first + np.minimum(below + 1, count - 1)]
    quantile: NDArray[np.float64] = lower + (position - below) * (upper - lower)
    return quantile


def read_parcel_series(source: SensorCube, shapes: Sequence[BaseGeometry]) -> ParcelSeries:
    """Read the series of parcels from the cube of one sensor.

    Args:
        shapes: (P,), in the CRS of the cube, near each other.

    Raises:
        CubeError: a chunk of the cube is damaged.
    """
    pixels = parcel_pixels(shapes, source.grid)
    frames, bands, parcels = len(source.date), len(source.input.bands), len(shapes)
    date = np.repeat(source.date[:, None], parcels, axis=1).astype(np.int32)
    count = np.zeros((frames, parcels), np.int64)
    statistics = np.full((frames, len(STATISTIC_NAMES), bands, parcels), np.nan)
    rows, cols = pixels.window.slices
    for frame in range(frames if len(pixels.at) else 0):
        valid = source.stored("valid", (frame, rows, cols)).reshape(-1)[pixels.at]
        if not valid.any():
            continue
        at, parcel = pixels.at[valid], pixels.parcel[valid]
        stored = source.stored("values", (frame, slice(None), rows, cols)).reshape(bands, -1)[:, at]
        decibel = source.input.quantity == "backscatter (dB)"
        statistics[frame] = pixel_statistics(stored, parcel, parcels, source.input.scale, decibel)
        count[frame] = np.bincount(parcel, minlength=parcels)
        if source.is_composite:
            day = source.stored("day", (frame, rows, cols)).reshape(1, -1)[:, at]
            median = pixel_statistics(day, parcel, parcels)[STATISTIC_NAMES.index("median"), 0]
            date[frame] = np.where(count[frame] > 0, np.floor(np.nan_to_num(median)), date[frame])
    return ParcelSeries(date, count, statistics)


def nearby_parcels(shapes: Sequence[BaseGeometry], grid: Grid) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of the parcels of one tile after another, by their representative points."""
    points = shapely.point_on_surface(np.array(shapes, dtype=object))
    col, row = ~grid.transform * (shapely.get_x(points), shapely.get_y(points))
    tile = np.stack([np.floor(row / TILE), np.floor(col / TILE)])
    different, number = np.unique(tile, axis=1, return_inverse=True)
    for index in range(different.shape[1]):
        yield np.flatnonzero(number.reshape(-1) == index)
