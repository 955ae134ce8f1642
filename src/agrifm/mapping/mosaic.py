"""Overlapping windows blended into one field. Pure arithmetic, no files.

Weights are whole numbers: along an axis a window's weight rises from 1 at its edge by 1 per pixel to `overlap` + 1,
so that the two ramps of a regular overlap add up to the same number everywhere. Probabilities of 16 bits times such
weights are summed in 64 bits without rounding. So the order of windows cannot matter, windows that agree give their
common value exactly, and so does a pixel that only one window covers.

Shape letters: C classes, H rows, W columns.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import MapError
from agrifm.grid import Window, starts

Piece = tuple[Window, NDArray[np.float16]]
"""A window and its probabilities (C, H, W), NaN where nothing valid was seen."""


def layout(shape: tuple[int, int], side: int, overlap: int, nest: int = 1) -> tuple[list[int], list[int]]:
    """First rows and first columns of the windows that cover a grid.

    Args:
        side: of a window, pixels; a grid that is smaller makes smaller windows.
        overlap: pixels shared with each neighbour, at most half of `side`; the last window along an axis is moved
            back to end with the grid and may share more.
        nest: number of pixels of which every window's corners must be multiples.

    Raises:
        MapError: the sizes do not fit each other.
    """
    if side < 1 or not 0 <= 2 * overlap <= side:
        raise MapError(
            f"cutting the map into windows of {side} pixels that share {overlap}: the overlap must be at least 0 and "
            "at most half of the window"
        )
    wrong = [number for number in (side, overlap) if number % nest]
    if wrong:
        raise MapError(
            f"cutting the map into windows of {side} pixels that share {overlap}: the cube's sensors nest in {nest} "
            f"pixels, and {wrong[0]} is no multiple of it; choose `window` and `overlap` as multiples of {nest}"
        )
    assert not any(length % nest for length in shape), f"a grid of {shape} does not nest in {nest} pixels"
    rows, cols = (starts(length, side, side - overlap) for length in shape)
    return rows, cols


def touching(first: Sequence[int], side: int, start: int, stop: int) -> Sequence[int]:
    """Which windows of `side` pixels, starting at `first` (increasing), share a pixel with start..stop."""
    return first[bisect_right(first, start - side) : bisect_left(first, stop)]


def weights(length: int, overlap: int) -> NDArray[np.float64]:
    """A window's weight along one axis, whole numbers, shape (length,): ramps of `overlap` pixels at both ends."""
    position = np.arange(length, dtype=np.float64)
    return np.minimum(np.minimum(position + 1, length - position), overlap + 1)


def blend(tile: Window, pieces: Iterable[Piece], classes: int, overlap: int) -> NDArray[np.float64]:
    """The weighted mean of the windows over a tile.

    Returns:
        (C, H, W) of the tile; NaN where no window lies, or where one says that nothing was seen.
    """
    total = np.zeros((classes, tile.height, tile.width))
    weight = np.zeros((tile.height, tile.width))
    for window, probabilities in pieces:
        top, left = max(tile.row, window.row), max(tile.col, window.col)
        bottom = min(tile.row + tile.height, window.row + window.height)
        right = min(tile.col + tile.width, window.col + window.width)
        own = slice(top - window.row, bottom - window.row), slice(left - window.col, right - window.col)
        place = slice(top - tile.row, bottom - tile.row), slice(left - tile.col, right - tile.col)
        share = np.outer(weights(window.height, overlap)[own[0]], weights(window.width, overlap)[own[1]])
        total[:, *place] += share * probabilities[:, *own]
        weight[place] += share
    weight[weight == 0] = np.nan
    total /= weight
    return total
