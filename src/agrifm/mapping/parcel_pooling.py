"""Probabilities of parcels: the mean over their pixels on a finished map, each by the share of it that is inside.

Parcels are taken block by block of the map, so that no more of it than around them is in memory. All sums are of
whole numbers, so a parcel's result is the same bit by bit however parcels and map are cut.

Shape letters: P parcels, C classes, H W rows and columns, N pairs of a parcel and a pixel.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.grid import Grid, Window, tiles
from agrifm.legend import UNLABELLED
from agrifm.pixel_fractions import WHOLE, PixelBounds, PixelFractions, pixel_bounds, pixel_fractions

BLOCK = 1024
"""Side of a block of the map, pixels."""
LARGE = 512
"""Side in pixels from which on a parcel is taken part by part."""
MOST_CELLS = 1_000_000
"""Pixels around the parcels that are taken at once."""
Floats = NDArray[np.float64]
ReadMap = Callable[[Window], tuple[NDArray[Any], NDArray[np.uint8]]]
"""Reads probabilities (C, H, W) and observations (H, W) of a window, as `agrifm.mapping.probability_layer` has them."""


@dataclass(frozen=True)
class PooledParcels:
    """What the map says of parcels."""

    probabilities: Floats
    """(P, C), the mean over the parcel's pixels that have a class; NaN if none has."""
    observations: Floats
    """(P,), mean number of usable observations of these pixels; NaN if there are none."""
    pixels: Floats
    """(P,), size of the parcel in pixels of the map."""
    mixed: Floats
    """(P,), share of the parcel in pixels that are not wholly inside it."""
    mapped: Floats
    """(P,), share of the parcel that has a class on the map."""


class PooledMeans(NamedTuple):
    """What a map of numbers says of parcels."""

    means: Floats
    """(P, L), over the parcel's pixels that have numbers; NaN if none has."""
    pixels: Floats
    """(P,), size of the parcel in pixels of the map."""
    mixed: Floats
    """(P,), share of the parcel in pixels that are not wholly inside it."""
    mapped: Floats
    """(P,), share of the parcel that has numbers on the map."""


class PartOfMap(NamedTuple):
    """A raster of a map, and the parcels on it: all of a map in one CRS, those near a zone of one in several."""

    grid: Grid
    read: ReadMap
    parcels: NDArray[np.int64]
    """(M,), indices of the parcels."""
    shapes: NDArray[Any]
    """(M,), their outlines in the CRS of the grid: valid polygons that are not empty."""


def pool_parcels(parcels: int, parts: Sequence[PartOfMap], classes: int) -> PooledParcels:
    """Pool the pixels of parcels.

    A parcel on both sides of the border of two zones has the pixels of both maps, because a pixel has a class in one of
    them only; its size in pixels is that in the zone with more of it.

    Args:
        parcels: P.
        parts: of the map.
        classes: C.
    """
    sums = _sums_of_parts(parcels, parts, classes)
    known, observed, mixed, whole = sums[:, :4].T
    with np.errstate(invalid="ignore"):
        probabilities = sums[:, 4:] / sums[:, 4:].sum(axis=1, keepdims=True)
        observations = observed / known
    return PooledParcels(
        probabilities, observations, whole / WHOLE, np.minimum(mixed / whole, 1), np.minimum(known / whole, 1)
    )


def pool_means(parcels: int, parts: Sequence[PartOfMap], layers: int) -> PooledMeans:
    """Pool numbers of the pixels of parcels, each pixel by the share of it that is inside.

    Args:
        parcels: P.
        parts: of the map; they read numbers (L, H, W), and bytes (H, W) that are 255 where there are none.
        layers: L.
    """
    sums = _sums_of_parts(parcels, parts, layers)
    known, _, mixed, whole = sums[:, :4].T
    with np.errstate(invalid="ignore"):
        means = sums[:, 4:] / known[:, None]
    return PooledMeans(means, whole / WHOLE, np.minimum(mixed / whole, 1), np.minimum(known / whole, 1))


def _sums_of_parts(parcels: int, parts: Sequence[PartOfMap], classes: int) -> Floats:
    """Sums over the pixels of parcels on all parts, (P, 4 + C); see `_parcel_sums`."""
    total, most = np.zeros((parcels, 4 + classes)), np.full(parcels, -1.0)
    for part in parts:
        sums, at = _parcel_sums(part.shapes, part.grid, classes, part.read), part.parcels
        more = sums[:, 0] > most[at]
        most[at] = np.maximum(most[at], sums[:, 0])
        total[at[more], 2:4] = sums[more, 2:4]
        total[at, :2] += sums[:, :2]
        total[at, 4:] += sums[:, 4:]
    return total


def _parcel_sums(shapes: NDArray[Any], grid: Grid, classes: int, read: ReadMap) -> Floats:
    """Sums over the pixels of parcels, (P, 4 + C)."""
    # By column: ground with a class, observations times it, mixed pixels, the whole parcel, then the classes.
    sums = np.zeros((len(shapes), 4 + classes))
    bounds = pixel_bounds(shapes, grid.transform)
    for chosen in _chunks(bounds, grid.shape):
        sums[chosen] = _sums(pixel_fractions(shapes[chosen], grid.transform), len(chosen), grid.shape, classes, read)
    large = np.flatnonzero(np.maximum(bounds.height, bounds.width) > LARGE)
    for number in large.tolist():
        for part in _parts_on_map(shapes[number], grid):
            sums[number] += _sums(pixel_fractions(part, grid.transform), 1, grid.shape, classes, read)[0]
        # The parts end with the map.
        sums[number, 3] = shapes[number].area / abs(grid.transform.a * grid.transform.e) * WHOLE
    return sums


def _chunks(bounds: PixelBounds, shape: tuple[int, int]) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of parcels that are near each other, without large ones."""
    small = np.flatnonzero(np.maximum(bounds.height, bounds.width) <= LARGE)
    middles = bounds.row + bounds.height // 2, bounds.col + bounds.width // 2
    rows, cols = (np.clip(one[small], 0, side - 1) // BLOCK for one, side in zip(middles, shape, strict=True))
    block = rows * (shape[1] // BLOCK + 1) + cols
    order = np.argsort(block, kind="stable")
    small, block = small[order], block[order]
    for group in np.split(small, np.flatnonzero(np.diff(block)) + 1):
        full = np.cumsum(bounds.cells[group]) // MOST_CELLS
        yield from (one for one in np.split(group, np.flatnonzero(np.diff(full)) + 1) if len(one))


def _sums(found: PixelFractions, parcels: int, shape: tuple[int, int], classes: int, read: ReadMap) -> Floats:
    """Sums over the pixels of parcels, (P, 4 + C), each pixel by its share; see `pool_parcels`."""
    sums = np.zeros((parcels, 4 + classes))
    partial = found.share < WHOLE
    sums[:, 2] = np.bincount(found.polygon[partial], found.share[partial], parcels)
    sums[:, 3] = np.bincount(found.polygon, found.share, parcels)
    inside = (found.row >= 0) & (found.row < shape[0]) & (found.col >= 0) & (found.col < shape[1])
    if not inside.any():
        return sums
    polygon, row, col, share = (one[inside] for one in found)
    top, left = int(row.min()), int(col.min())
    window = Window(top, left, int(row.max()) + 1 - top, int(col.max()) + 1 - left)
    probabilities, observations = read(window)
    at = (row - top) * window.width + col - left
    known = observations.reshape(-1)[at] != UNLABELLED
    polygon, at, share = polygon[known], at[known], share[known]
    layers = (np.uint8(1) + np.zeros_like(observations), observations, *probabilities)
    for column, layer in zip((0, 1, *range(4, 4 + classes)), layers, strict=True):
        sums[:, column] = np.bincount(polygon, share * layer.reshape(-1)[at], parcels)
    return sums


def _parts_on_map(shape: Any, grid: Grid) -> Iterator[NDArray[Any]]:
    """Yield the parts of a parcel in the blocks of a map, an array of one shape each."""
    for tile in tiles(grid.shape, BLOCK):
        block = shapely.box(*grid.window(tile).bounds)
        if not block.intersects(shapely.box(*shape.bounds)):
            continue
        part = shapely.intersection(shape, block)
        polygons = [one for one in shapely.get_parts(part) if one.geom_type in ("Polygon", "MultiPolygon")]
        polygons = [one for one in polygons if one.area > 0]
        if polygons:
            yield np.array([shapely.multipolygons(shapely.get_parts(polygons))], object)
