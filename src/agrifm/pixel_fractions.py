"""Exact shares of pixels that polygons cover, of many polygons at once.

Each edge adds to the pixels that it crosses the area on its side, and to all pixels further along the row its height;
summed along the row, these are the shares (the accumulation buffer of font rasterisers, as in R. Levien, "Inside the
fastest font renderer in the world", 2016). Edges are cut at the borders of pixels, so the shares are exact, up to the
rounding of coordinates to a millionth of a pixel. Sums are of whole numbers: a polygon's shares are the same bit by
bit, whichever polygons are computed with it and from whichever window of the raster.

Shape letters: P polygons, E edges, N pairs of a polygon and a pixel.
"""

from typing import Any, NamedTuple

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

WHOLE = 2**20
"""The whole number that stands for a share of 1."""
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


class PixelFractions(NamedTuple):
    """The pixels that polygons cover."""

    polygon: Numbers
    """(N,), ascending."""
    row: Numbers
    """(N,), of the raster; may be outside of it."""
    col: Numbers
    share: Floats
    """(N,), whole numbers above 0, at most `WHOLE`."""


class PixelBounds(NamedTuple):
    """The rectangles of pixels around polygons, (P,) each; they may reach beyond the raster."""

    row: Numbers
    col: Numbers
    height: Numbers
    width: Numbers

    @property
    def cells(self) -> Numbers:
        """Pixels of each rectangle."""
        return self.height * self.width


def pixel_bounds(shapes: NDArray[Any], transform: Affine) -> PixelBounds:
    """Return the pixels around shapes that are not empty, in the CRS of a raster whose rows run along x."""
    west, south, east, north = shapely.bounds(shapes).T
    cols = np.stack([west, east]) / transform.a - transform.c / transform.a
    rows = np.stack([south, north]) / transform.e - transform.f / transform.e
    left, top = (np.floor(one.min(axis=0)).astype(np.int64) for one in (cols, rows))
    right, bottom = (np.floor(one.max(axis=0)).astype(np.int64) + 1 for one in (cols, rows))
    return PixelBounds(top, left, bottom - top, right - left)


def pixel_fractions(shapes: NDArray[Any], transform: Affine) -> PixelFractions:
    """Return the share of each pixel that each polygon covers.

    Memory grows with the pixels around all polygons (`PixelBounds.cells`), about 50 bytes for each. Of a polygon that
    is too small for any share, the pixel of its first corner has the smallest one.

    Args:
        shapes: (P,), valid polygons and multipolygons that are not empty, in the CRS of the raster.
    """
    polygon, x, y = _edges(shapes, transform)
    first = np.flatnonzero(np.diff(polygon, prepend=-1))
    left = np.floor(np.minimum.reduceat(x.min(axis=0), first)).astype(np.int64)
    top = np.floor(np.minimum.reduceat(y.min(axis=0), first)).astype(np.int64)
    # One column more, into which the last pixel of a row hands on its height.
    width = np.floor(np.maximum.reduceat(x.max(axis=0), first)).astype(np.int64) - left + 2
    height = np.floor(np.maximum.reduceat(y.max(axis=0), first)).astype(np.int64) - top + 1
    begin = np.concatenate([[0], np.cumsum(width * height)])
    x, y = _quantised(x - left[polygon]), _quantised(y - top[polygon])

    piece, (y0, y1), (x0, x1) = _cut(y, x)
    polygon = polygon[piece]
    piece, (x0, x1), (y0, y1) = _cut(np.stack([x0, x1]), np.stack([y0, y1]))
    polygon = polygon[piece]
    row, col = np.floor((y0 + y1) / 2).astype(np.int64), np.floor((x0 + x1) / 2).astype(np.int64)
    rise = (y1 - y0) * WHOLE
    onwards = np.rint(rise * ((x0 + x1) / 2 - col))
    # An edge along a border of pixels may be counted to the row after the last one; its rise is zero.
    row = np.minimum(row, height[polygon] - 1)
    at = begin[polygon] + row * width[polygon] + col
    size = int(begin[-1])
    buffer = np.bincount(at, rise - onwards, size) + np.bincount(at + 1, onwards, size + 1)[:size]
    # The rises of a row add up to zero, so the sum begins anew in each row and each polygon.
    share = np.abs(np.cumsum(buffer))
    share[begin[:-1]] += np.add.reduceat(share, begin[:-1]) == 0
    covered = np.flatnonzero(share)
    polygon = np.searchsorted(begin, covered, "right") - 1
    inner = covered - begin[polygon]
    return PixelFractions(
        polygon,
        inner // width[polygon] + top[polygon],
        inner % width[polygon] + left[polygon],
        np.minimum(share[covered], WHOLE),
    )


def _edges(shapes: NDArray[Any], transform: Affine) -> tuple[Numbers, Floats, Floats]:
    """Polygon (E,) and both ends (2, E) of each edge in columns and rows; outer rings run one way, holes the other."""
    parts, of_part = shapely.get_parts(shapely.orient_polygons(shapes), return_index=True)
    rings, of_ring = shapely.get_rings(parts, return_index=True)
    points, of_point = shapely.get_coordinates(rings, return_index=True)
    x = points[:, 0] / transform.a - transform.c / transform.a
    y = points[:, 1] / transform.e - transform.f / transform.e
    joined = np.flatnonzero(of_point[1:] == of_point[:-1])
    polygon = of_part[of_ring[of_point[joined]]]
    return polygon, np.stack([x[joined], x[joined + 1]]), np.stack([y[joined], y[joined + 1]])


def _quantised(pixels: Floats) -> Floats:
    return np.rint(pixels * WHOLE) / WHOLE


def _cut(along: Floats, across: Floats) -> tuple[Numbers, tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Cut segments where one coordinate is a whole number.

    Args:
        along: (2, E), the coordinate of both ends.
        across: (2, E), the other coordinate.

    Returns:
        The segment of each piece, and both coordinates of its two ends.
    """
    low, high = along.min(axis=0), along.max(axis=0)
    first, last = np.floor(low) + 1, np.ceil(high) - 1
    cuts = np.maximum(last - first + 1, 0).astype(np.int64)
    segment = np.repeat(np.arange(along.shape[1]), cuts + 1)
    step = np.arange(len(segment)) - np.repeat(np.cumsum(cuts + 1) - cuts - 1, cuts + 1)
    rising = along[1] >= along[0]
    start, run = np.where(rising, first, last)[segment], np.where(rising, 1.0, -1.0)[segment]
    a0, a1, b0, b1 = along[0][segment], along[1][segment], across[0][segment], across[1][segment]
    here, there = start + run * (step - 1), start + run * step
    slope = (b1 - b0) / np.where(a1 == a0, 1.0, a1 - a0)
    is_first, is_last = step == 0, step == cuts[segment]
    a_from, a_to = np.where(is_first, a0, here), np.where(is_last, a1, there)
    b_from = np.where(is_first, b0, _quantised(b0 + (here - a0) * slope))
    b_to = np.where(is_last, b1, _quantised(b0 + (there - a0) * slope))
    return segment, (a_from, a_to), (b_from, b_to)
