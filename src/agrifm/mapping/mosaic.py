"""Overlapping windows blended into one field. Pure arithmetic, no files.

Along an axis a window's weight rises with the square of the distance from its edge, over `overlap` pixels: a network
knows least at the edge, where it lacks the neighbours beyond, and a weight that begins at almost nothing leaves no step
where a window begins. Weights are whole numbers of at most 12 bits, so probabilities of 16 bits times two of them are
summed in 64 bits without rounding. So the order of windows cannot matter, windows that agree give their common value
exactly, and so does a pixel that only one window covers.

Shape letters: C classes, H rows, W columns.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import MapError
from agrifm.grid import Window, starts

PredictedWindow = tuple[Window, NDArray[np.float16]]
"""A window and its probabilities (C, H, W), NaN where there is no valid observation."""
FULL_WEIGHT = 4096
"""Of pixels that are farther than the overlap from the edges of their window."""


def window_starts(
    shape: tuple[int, int], side: int, overlap: int, coarse_factor: int = 1
) -> tuple[list[int], list[int]]:
    """Return first rows and first columns of the windows that cover a grid.

    Args:
        side: of a window, pixels; a grid that is smaller makes smaller windows.
        overlap: pixels shared with each neighbour, at most half of `side`; the last window along an axis is moved
            back to end with the grid and may share more.
        coarse_factor: side of the coarsest sensor's pixel in pixels of the grid; corners of windows are multiples.

    Raises:
        MapError: the sizes do not fit each other.
    """
    about = f"cutting the map into windows of {side} pixels that share {overlap}"
    if side < 1 or not 0 <= 2 * overlap <= side:
        raise MapError(f"{about}: the overlap must be between 0 and half of the window", window=side, overlap=overlap)
    wrong = next((size for size in (side, overlap) if size % coarse_factor), None)
    if wrong is not None:
        raise MapError(
            f"{about}: the cube's sensors nest in {coarse_factor} pixels, and {wrong} is not a multiple of it; choose "
            f"`window` and `overlap` as multiples of {coarse_factor}",
            window=side,
            overlap=overlap,
            multiple=coarse_factor,
        )
    assert not any(length % coarse_factor for length in shape), f"a grid of {shape} does not nest in {coarse_factor}"
    rows, cols = (starts(length, side, side - overlap) for length in shape)
    return rows, cols


def lattice_starts(first: int, length: int, side: int, stride: int) -> list[int]:
    """Return the starts of the windows of a lattice that are wholly within a part of an axis, counted from its start.

    Windows of a lattice begin at multiples of `stride` from the origin of a zone, so that the same ground is in the
    same windows, however an area is divided.

    Args:
        first: pixels from that origin to the start of the part.
    """
    return list(range(-first % stride, length - side + 1, stride))


def overlapping_starts(first: Sequence[int], side: int, start: int, stop: int) -> Sequence[int]:
    """Return which windows of `side` pixels, starting at `first` (increasing), share a pixel with start..stop."""
    # A window overlaps if it starts before `stop` and ends, `side` later, after `start`.
    return first[bisect_right(first, start - side) : bisect_left(first, stop)]


def ramp_weights(length: int, overlap: int) -> NDArray[np.float64]:
    """Return a window's weight along one axis, whole numbers (length,): `overlap` pixels at both ends have less."""
    position = np.arange(length, dtype=np.float64)
    distance = np.minimum(np.minimum(position + 1, length - position), overlap + 1)
    return np.ceil(FULL_WEIGHT * (distance / (overlap + 1)) ** 2)


def blend(tile: Window, predicted: Iterable[PredictedWindow], classes: int, overlap: int) -> NDArray[np.float64]:
    """Return the weighted mean of the windows over a tile.

    Returns:
        (C, H, W) of the tile; NaN where there is no window, or where one has no valid observation.
    """
    # Sums of whole numbers and 16-bit fractions are exact in 64 bits, so the order of windows does not matter.
    total = np.zeros((classes, tile.height, tile.width))
    weight_sum = np.zeros((tile.height, tile.width))
    for window, probabilities in predicted:
        # The part that window and tile share, in pixels of the grid, then of each of them.
        top, left = max(tile.row, window.row), max(tile.col, window.col)
        bottom = min(tile.row + tile.height, window.row + window.height)
        right = min(tile.col + tile.width, window.col + window.width)
        shared = Window(top, left, bottom - top, right - left)
        in_window, in_tile = shared.within(window).slices, shared.within(tile).slices
        row_weights = ramp_weights(window.height, overlap)[in_window[0]]
        weight = np.outer(row_weights, ramp_weights(window.width, overlap)[in_window[1]])
        # NaN in one window makes the sum NaN, as intended.
        total[:, *in_tile] += weight * probabilities[:, *in_window]
        weight_sum[in_tile] += weight
    weight_sum[weight_sum == 0] = np.nan  # no window: NaN, as where a window has no observation
    total /= weight_sum
    return total
