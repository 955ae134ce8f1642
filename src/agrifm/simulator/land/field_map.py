"""The land of a simulated area: parcels, forests, roads, hedges, water and villages in pixels of 5 m.

What lies at a place follows from the region, the seed and the place alone: two windows have the same fields where they
overlap. So an area of any size is drawn window by window, with the memory of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from agrifm.grid import Grid
from agrifm.simulator.land.division import assign_crops, divide_into_parcels
from agrifm.simulator.land.landscape import (
    Edges,
    Indices,
    Landscape,
    Numbers,
    Shapes,
    draw_road_network,
    largest_part,
    strips,
)
from agrifm.simulator.land.obstacles import forests, ponds, village_ground, villages

GROUND_PIXEL = 5
"""Side of the ground's pixels, metres."""
MARGIN, HEDGE, SETTLEMENT, FOREST, WATER, ROAD = "margin", "hedge", "settlement", "forest", "water", "road"
NO_CROPS = (MARGIN, HEDGE, SETTLEMENT, FOREST, WATER, ROAD)
"""Covers that are no crops. Each landscape cell has one field of margin, of hedge and of settlement; all water is one
field, and so are all roads; a forest has a field for each stand."""
MIN_STAND_AREA = 1000.0
"""Square metres of a parcel that must lie in a forest for them to be cut off."""
FOREST_MAJORITY = 0.75
"""A parcel of which more lies in a forest is forest as a whole, so that forests end partly at borders of parcels."""
SHORE_WIDTH = 6.0
"""Grass around ponds, metres."""
WIDE_GALLERY = 20.0
"""Metres; wider belts of trees along a river are forest, narrower ones hedge."""
VILLAGE = (MARGIN, SETTLEMENT, HEDGE, ROAD)
"""Covers of the ground of villages, in the order of `obstacles.village_ground`."""
STAND, SHARED = 1 << 30, 1 << 31
"""Added to the number of a piece for its part under forest, and to that of a cover for what a cell has in common."""
CELL_KEY_OFFSET = 1 << 14
"""Rows and columns of landscape cells on either side of the first that keys can name."""
EMPTY_POLYGON = shapely.Polygon()


@dataclass(frozen=True)
class Land:
    """Fields and the pixels that they cover; a field is anything that grows in its own way."""

    grid: Grid
    """Pixels of `GROUND_PIXEL` metres."""
    covers: tuple[str, ...]
    """What each field is: the code of a crop or one of `NO_CROPS`."""
    keys: Indices
    """(fields,) what tells fields apart, whatever window is drawn; in ascending order."""
    outlines: tuple[shapely.Polygon | None, ...]
    """Outline of each parcel and stand, also beyond the grid; None for what a cell has in common."""
    direction: Numbers
    """(fields,) angle between a field's long side and the x axis, radians from 0 to pi; 0 without an outline."""
    field: NDArray[np.int32]
    """(rows, columns) place of each pixel's field in `covers`."""


def draw_land(landscape: Landscape, shares: Mapping[str, float], seed: int, grid: Grid) -> Land:
    """The land of a window.

    Args:
        landscape: the look of the region's land.
        shares: share of the cropped area of each crop.
        seed: another seed, another land.
        grid: pixels of `GROUND_PIXEL` metres in the region's UTM zone.
    """
    assert grid.resolution == GROUND_PIXEL, f"the land is drawn in pixels of {GROUND_PIXEL} m"
    network = draw_road_network(landscape, seed, grid.bounds)
    parcels, borders = divide_into_parcels(landscape, seed, network)
    settled, lakes = villages(landscape, seed, network), ponds(landscape, seed, network)
    shores = shapely.buffer(lakes, SHORE_WIDTH, quad_segs=2)
    dry = _without(parcels.outline, np.concatenate([settled.outline, shores]))
    fields, stands = _cut_by_forest(dry, forests(landscape, seed, network)[parcels.cell])
    fields[shapely.area(fields) < landscape.parcel_least * 1e4] = EMPTY_POLYGON
    crops = assign_crops(shares, seed, network, parcels, shapely.area(fields))

    row, col = network.row, network.col
    keys = _keys(row[parcels.cell], col[parcels.cell], parcels.number)
    layers = [
        _shared(network.whole, row, col, MARGIN),
        _Layer(stands, keys | STAND, np.full(len(keys), FOREST), own=True),
        _Layer(fields, keys, crops, own=True),
        _shared(borders.outline, row[borders.cell], col[borders.cell], np.where(borders.track, ROAD, HEDGE)),
        _shared(settled.outline, settled.row, settled.col, SETTLEMENT),
        *_along_edges(network.edges),
        _shared(shores, row, col, MARGIN),
        _shared(lakes, row, col, WATER),
    ]
    return _painted(layers, grid, seed, network.turn)


def _without(outlines: Shapes, obstacles: Shapes) -> Shapes:
    """What obstacles leave of outlines, the largest part of each."""
    left = outlines.copy()
    touched, by = shapely.STRtree(obstacles).query(outlines, predicate="intersects")
    for place, obstacle in sorted(zip(touched.tolist(), by.tolist(), strict=True)):
        left[place] = left[place].difference(obstacles[obstacle])
    return largest_part(left)


def _cut_by_forest(outlines: Shapes, woods: Shapes) -> tuple[Shapes, Shapes]:
    """What forest leaves of each outline, and the stand that it takes: all where it has most, else its part."""
    parcels, stands = outlines.copy(), np.full(len(outlines), EMPTY_POLYGON, object)
    near = np.flatnonzero(shapely.intersects(outlines, woods))
    wooded = shapely.intersection(outlines[near], woods[near])
    covered = shapely.area(wooded)
    most = covered > FOREST_MAJORITY * shapely.area(outlines[near])
    stands[near[most]], parcels[near[most]] = outlines[near[most]], EMPTY_POLYGON
    some = ~most & (covered > MIN_STAND_AREA)
    stands[near[some]] = largest_part(wooded[some])
    parcels[near[some]] = largest_part(shapely.difference(outlines[near[some]], stands[near[some]]))
    return parcels, stands


@dataclass(frozen=True)
class _Layer:
    """Shapes that are painted together, with the key and the cover of their fields; arrays (shapes,)."""

    outline: Shapes
    key: Indices
    cover: NDArray[np.str_]
    own: bool = False
    """Whether each shape is a field of its own."""


def _keys(row: Indices, col: Indices, number: Indices) -> Indices:
    """Keys of fields from the row and column of their cell, and a number below 2 ** 32 in the cell."""
    return np.asarray(((row + CELL_KEY_OFFSET) * 2 * CELL_KEY_OFFSET + col + CELL_KEY_OFFSET) << 32 | number)


def _shared_keys(row: Indices, col: Indices, cover: Indices) -> Indices:
    """Keys of the fields that a cell has in common, from their place in `NO_CROPS`; water and roads have no cell."""
    single = cover >= NO_CROPS.index(WATER)
    return _keys(np.where(single, 0, row), np.where(single, 0, col), SHARED + cover)


def _shared(outline: Shapes, row: Indices, col: Indices, cover: str | NDArray[np.str_]) -> _Layer:
    """Shapes of such fields."""
    covers = np.broadcast_to(np.asarray(cover), len(outline))
    number = np.array([NO_CROPS.index(name) for name in covers], np.int64)
    return _Layer(outline, _shared_keys(row, col, number), covers)


def _along_edges(edges: Edges) -> list[_Layer]:
    """Rivers with their trees, then roads with hedges and verges; so roads bridge rivers."""
    wide = edges.gallery - edges.water > WIDE_GALLERY
    kinds = [
        (edges.gallery, np.where(wide, FOREST, HEDGE)),
        (edges.water, np.full(len(wide), WATER)),
        (edges.hedge, np.full(len(wide), HEDGE)),
        (edges.verge, np.full(len(wide), MARGIN)),
        (edges.road, np.full(len(wide), ROAD)),
    ]
    layers = []
    for half, cover in kinds:
        here = half > 0
        layers.append(_shared(strips(edges.line[here], half[here]), edges.row[here], edges.col[here], cover[here]))
    return layers


def _painted(layers: list[_Layer], grid: Grid, seed: int, turn: float) -> Land:
    """The land that layers make on a grid, each over those before it."""
    outline, key = (np.concatenate([getattr(layer, name) for layer in layers]) for name in ("outline", "key"))
    cover = np.concatenate([layer.cover.astype(object) for layer in layers])
    own = np.repeat([layer.own for layer in layers], [len(layer.key) for layer in layers])
    shown = np.flatnonzero(shapely.intersects(outline, shapely.box(*grid.bounds)))
    outline, key, cover, own = outline[shown], key[shown], cover[shown], own[shown]

    # An outline is painted with the number of its key.
    keys, first = np.unique(key, return_index=True)
    field = np.zeros(grid.shape, np.int32)
    rasterize(zip(outline, np.searchsorted(keys, key).tolist(), strict=True), out=field, transform=grid.transform)

    rows, cols = np.nonzero((cover[first] == SETTLEMENT)[field])
    ground = np.array([NO_CROPS.index(name) for name in VILLAGE])[
        village_ground(seed, turn, grid.x[cols], grid.y[rows])
    ]
    row, col = np.divmod(keys[field[rows, cols]] >> 32, 2 * CELL_KEY_OFFSET)
    in_villages = _shared_keys(row - CELL_KEY_OFFSET, col - CELL_KEY_OFFSET, ground)
    listed = np.union1d(keys, in_villages)
    field = np.searchsorted(listed, keys).astype(np.int32)[field]
    field[rows, cols] = np.searchsorted(listed, in_villages)

    used = np.flatnonzero(np.bincount(field.ravel()))
    field = np.searchsorted(used, np.arange(len(listed))).astype(np.int32)[field]
    covers = dict(zip(keys.tolist(), cover[first].tolist(), strict=True))
    outlines = dict(zip(key[own].tolist(), outline[own], strict=True))
    found = listed[used].tolist()
    fields = tuple(outlines.get(one) for one in found)
    return Land(
        grid,
        tuple(covers.get(one) or NO_CROPS[one - SHARED & 7] for one in found),
        listed[used],
        fields,
        _directions(fields),
        field,
    )


def _directions(outlines: tuple[shapely.Polygon | None, ...]) -> Numbers:
    """Angle between each outline's long side and the x axis, radians from 0 to pi; 0 where there is none."""
    found = np.zeros(len(outlines))
    here = np.flatnonzero([outline is not None for outline in outlines])
    corners = shapely.get_coordinates(shapely.oriented_envelope(np.array(outlines, object)[here])).reshape(-1, 5, 2)
    sides = np.diff(corners[:, :3], axis=1)
    longest = sides[np.arange(len(here)), np.argmax(np.hypot(sides[..., 0], sides[..., 1]), axis=1)]
    found[here] = np.arctan2(longest[:, 1], longest[:, 0]) % np.pi
    return found
