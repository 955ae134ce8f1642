"""Keyed random numbers: each depends on a seed, a purpose and integer keys only, never on the order of drawing.

A field, a day or a point on the ground has the same numbers whether a village or a province is simulated. So
neighbouring granules of a large area fit together, and the memory needed does not grow with the area.
"""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def uniform(seed: int, purpose: str, *keys: Any) -> NDArray[np.float64]:
    """Numbers in (0, 1), one for each combination of the broadcast integer keys.

    Args:
        seed: of the whole simulation.
        purpose: name of the quantity; another purpose gives independent numbers. Renaming a purpose changes the season.
        keys: integers or integer arrays that broadcast: field keys, cell rows and columns, days.
    """
    state = _mixed(np.asarray(np.uint64(seed % 2**64) + np.uint64(zlib.crc32(purpose.encode()))))
    with np.errstate(over="ignore"):
        for key in keys:
            state = _mixed(state ^ _mixed(np.asarray(key).astype(np.int64).view(np.uint64) + _GOLDEN))
    # The upper 53 bits fill the mantissa of a float64; adding 0.5 excludes 0 and 1.
    return np.asarray(((state >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53)


def normal(seed: int, purpose: str, *keys: Any) -> NDArray[np.float64]:
    """Standard normal numbers with the keys of `uniform`."""
    return np.asarray(ndtri(uniform(seed, purpose, *keys)))


def smooth_noise(
    seed: int, purpose: str, x: NDArray[np.float64], y: NDArray[np.float64], scale: float
) -> NDArray[np.float32]:
    """Smooth noise with mean 0 and standard deviation 1 over the plane; a point has the same value in every window.

    Args:
        x, y: coordinates in metres that broadcast to the result's shape, as `x[None]`, `y[:, None]` of a grid.
        scale: metres between the random values that cubic B-splines join, which is about the size of the structures.
    """
    if x.ndim == y.ndim == 2 and len(x) == 1 and y.shape[1] == 1:
        return _grid_noise(seed, purpose, x[0], y[:, 0], scale)
    column, row = np.floor(x / scale).astype(np.int64), np.floor(y / scale).astype(np.int64)
    left, right = _spline(x / scale - column), _spline(y / scale - row)
    total, power = np.zeros((2, *np.broadcast_shapes(x.shape, y.shape)), np.float32)
    value = _values_at(seed, purpose, row, column, total.size)
    for down in range(4):
        for across in range(4):
            weight = (left[across] * right[down]).astype(np.float32)
            total += weight * value(row + (down - 1), column + (across - 1))
            power += weight**2
    # The sum of squared weights varies between the random values; dividing by its root keeps the variance at 1.
    return np.asarray(total / np.sqrt(power), np.float32)


def _grid_noise(
    seed: int, purpose: str, x: NDArray[np.float64], y: NDArray[np.float64], scale: float
) -> NDArray[np.float32]:
    """The same noise for the columns and rows of a grid, one axis after the other: forty times as fast."""
    across, column, first_column, last_column = _axis(x, scale)
    down, row, first_row, last_row = _axis(y, scale)
    lattice = _lattice(seed, purpose, first_row, last_row, first_column, last_column)
    rows = np.ascontiguousarray(_weighted(lattice, row, down).T)
    return np.ascontiguousarray(_weighted(rows, column, across).T)


def _axis(position: NDArray[np.float64], scale: float) -> tuple[list[NDArray[np.float32]], NDArray[np.int64], int, int]:
    """Weights of the four values around each position (their squares sum to 1), and the index of the first of them.

    Then the numbers of the first value of all, and of the one after the last.
    """
    middle = np.floor(position / scale).astype(np.int64)
    weights = _spline(position / scale - middle)
    power = np.sqrt(weights[0] ** 2 + weights[1] ** 2 + weights[2] ** 2 + weights[3] ** 2)
    first, last = int(middle.min()) - 1, int(middle.max()) + 3
    return [(weight / power).astype(np.float32) for weight in weights], middle - 1 - first, first, last


def _weighted(
    values: NDArray[np.float32], start: NDArray[np.int64], weights: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Weighted sums of four rows of the values each, from the rows at `start` on."""
    total = weights[0][:, None] * values[start]
    for number in (1, 2, 3):
        total += weights[number][:, None] * values[start + number]
    return total


def _lattice(
    seed: int, purpose: str, first_row: int, last_row: int, first_column: int, last_column: int
) -> NDArray[np.float32]:
    rows, columns = np.arange(first_row, last_row)[:, None], np.arange(first_column, last_column)[None]
    return normal(seed, purpose, rows, columns).astype(np.float32)


def _values_at(
    seed: int, purpose: str, row: NDArray[np.int64], column: NDArray[np.int64], places: int
) -> Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]:
    """A function of row and column for the random values: drawn all at once, or one by one for scattered points."""
    first_column, last_column = int(column.min()) - 1, int(column.max()) + 3
    first_row, last_row = int(row.min()) - 1, int(row.max()) + 3
    if (last_row - first_row) * (last_column - first_column) > 16 * places:
        return lambda down, across: normal(seed, purpose, down, across).astype(np.float32)
    lattice = normal(
        seed, purpose, np.arange(first_row, last_row)[:, None], np.arange(first_column, last_column)[None]
    ).astype(np.float32)
    return lambda down, across: np.asarray(lattice[down - first_row, across - first_column])


def _spline(part: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Cubic B-spline weights of the four values around a position that is `part` of the way between the middle two."""
    rest = 1 - part
    return [
        rest**3 / 6,
        (3 * part**3 - 6 * part**2 + 4) / 6,
        (3 * rest**3 - 6 * rest**2 + 4) / 6,
        part**3 / 6,
    ]


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), which mixes the bits of 64-bit integers."""
    with np.errstate(over="ignore"):
        state = state + _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * _FIRST
        state = (state ^ (state >> np.uint64(27))) * _SECOND
        return np.asarray(state ^ (state >> np.uint64(31)))
