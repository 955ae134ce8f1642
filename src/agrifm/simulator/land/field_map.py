"""The land of a simulated area: parcels, forests, roads, hedges, water and villages in pixels of 5 m.

The land at a point depends on the region, the seed and the point only: two windows have the same fields where they
overlap. So an area of any size can be drawn window by window, with the memory of a single one.
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
"""Covers that are not crops. Each landscape cell has one field of margin, one of hedge and one of settlement; all
water is one field, and so are all roads; a forest has one field for each stand."""
MIN_STAND_AREA = 1000.0
"""Square metres of forest on a parcel from which the forest is cut off as a stand."""
FOREST_MAJORITY = 0.75
"""Share of forest above which a whole parcel becomes forest, so that some forest edges follow parcel borders."""
SHORE_WIDTH = 6.0
"""Width of the grass around ponds, metres."""
MIN_FOREST_GALLERY = 20.0
"""Metres: wider belts of trees along a river are forest, narrower ones hedge."""
VILLAGE_COVERS = (MARGIN, SETTLEMENT, HEDGE, ROAD)
"""Covers in villages, in the order of `obstacles.village_ground`."""
STAND_FLAG, SHARED_FLAG = 1 << 30, 1 << 31
"""Flags in keys: the forest stand on a parcel, and a field that a whole cell shares."""
CELL_KEY_OFFSET = 1 << 14
"""Keys can represent this many rows and columns of landscape cells on either side of the first."""
EMPTY_POLYGON = shapely.Polygon()


@dataclass(frozen=True)
class Land:
    """Fields and their pixels; a field is any area that grows, or looks, alike: a parcel, a stand, all roads."""

    grid: Grid
    """Pixels of `GROUND_PIXEL` metres."""
    covers: tuple[str, ...]
    """Cover of each field: the code of a crop, or one of `NO_CROPS`."""
    keys: Indices
    """(fields,) identity of each field, the same in every window; in ascending order."""
    outlines: tuple[shapely.Polygon | None, ...]
    """Outline of each parcel and stand, not clipped to the grid; None for fields that a cell shares."""
    direction: Numbers
    """(fields,) angle between a field's long side and the x axis, radians from 0 to pi; 0 without an outline."""
    field: NDArray[np.int32]
    """(rows, columns) index of each pixel's field in `covers`."""


def draw_land(landscape: Landscape, shares: Mapping[str, float], seed: int, grid: Grid) -> Land:
    """Draw the land of a window.

    Args:
        landscape: parameters of the region's land.
        shares: crop -> share of the cropped area.
        seed: another seed gives another land.
        grid: pixels of `GROUND_PIXEL` metres in the region's UTM zone.
    """
    assert grid.resolution == GROUND_PIXEL, f"the land is drawn in pixels of {GROUND_PIXEL} m"
    network = draw_road_network(landscape, seed, grid.bounds)
    parcels, borders = divide_into_parcels(landscape, seed, network)
    settled, lakes = villages(landscape, seed, network), ponds(landscape, seed, network)
    shores = shapely.buffer(lakes, SHORE_WIDTH, quad_segs=2)
    dry = _subtract(parcels.outline, np.concatenate([settled.outline, shores]))
    fields, stands = _cut_by_forest(dry, forests(landscape, seed, network)[parcels.cell])
    fields[shapely.area(fields) < landscape.parcel_least * 1e4] = EMPTY_POLYGON
    crops = assign_crops(shares, seed, network, parcels, shapely.area(fields))

    # Later layers cover earlier ones.
    row, col = network.row, network.col
    keys = _keys(row[parcels.cell], col[parcels.cell], parcels.number)
    layers = [
        _shared_layer(network.whole, row, col, MARGIN),
        _Layer(stands, keys | STAND_FLAG, np.full(len(keys), FOREST), is_field=True),
        _Layer(fields, keys, crops, is_field=True),
        _shared_layer(borders.outline, row[borders.cell], col[borders.cell], np.where(borders.track, ROAD, HEDGE)),
        _shared_layer(settled.outline, settled.row, settled.col, SETTLEMENT),
        *_along_edges(network.edges),
        _shared_layer(shores, row, col, MARGIN),
        _shared_layer(lakes, row, col, WATER),
    ]
    return _rasterised(layers, grid, seed, network.turn)


def _subtract(outlines: Shapes, obstacles: Shapes) -> Shapes:
    """Subtract obstacles from outlines; the largest part of each remains."""
    left = outlines.copy()
    touched, by = shapely.STRtree(obstacles).query(outlines, predicate="intersects")
    for place, obstacle in sorted(zip(touched.tolist(), by.tolist(), strict=True)):
        left[place] = left[place].difference(obstacles[obstacle])
    return largest_part(left)


def _cut_by_forest(outlines: Shapes, woods: Shapes) -> tuple[Shapes, Shapes]:
    """Divide outlines into parcels outside the forest and stands inside; a mostly wooded parcel becomes a stand."""
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
    """Shapes that are rasterised together, with the key and the cover of their fields; arrays (shapes,)."""

    outline: Shapes
    key: Indices
    cover: NDArray[np.str_]
    is_field: bool = False
    """Whether each shape is one field; otherwise its cell shares the field."""


def _keys(row: Indices, col: Indices, number: Indices) -> Indices:
    """Keys of fields from the row and column of their cell, and a number below 2 ** 32 in the cell."""
    return np.asarray(((row + CELL_KEY_OFFSET) * 2 * CELL_KEY_OFFSET + col + CELL_KEY_OFFSET) << 32 | number)


def _shared_keys(row: Indices, col: Indices, cover: Indices) -> Indices:
    """Keys of the fields that a cell shares, from their index in `NO_CROPS`; water and roads belong to no cell."""
    single = cover >= NO_CROPS.index(WATER)
    return _keys(np.where(single, 0, row), np.where(single, 0, col), SHARED_FLAG + cover)


def _shared_layer(outline: Shapes, row: Indices, col: Indices, cover: str | NDArray[np.str_]) -> _Layer:
    """A layer of shapes of shared fields."""
    covers = np.broadcast_to(np.asarray(cover), len(outline))
    number = np.array([NO_CROPS.index(name) for name in covers], np.int64)
    return _Layer(outline, _shared_keys(row, col, number), covers)


def _along_edges(edges: Edges) -> list[_Layer]:
    """Layers of rivers with their trees, then of roads with hedges and verges, so that roads bridge rivers."""
    wide = edges.gallery - edges.water > MIN_FOREST_GALLERY
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
        layers.append(
            _shared_layer(strips(edges.line[here], half[here]), edges.row[here], edges.col[here], cover[here])
        )
    return layers


def _rasterised(layers: list[_Layer], grid: Grid, seed: int, turn: float) -> Land:
    """Rasterise layers onto a grid, each over those before it."""
    outline, key = (np.concatenate([getattr(layer, name) for layer in layers]) for name in ("outline", "key"))
    cover = np.concatenate([layer.cover.astype(object) for layer in layers])
    single = np.repeat([layer.is_field for layer in layers], [len(layer.key) for layer in layers])
    shown = np.flatnonzero(shapely.intersects(outline, shapely.box(*grid.bounds)))
    outline, key, cover, single = outline[shown], key[shown], cover[shown], single[shown]

    # Each outline is rasterised with the index of its key.
    keys, first = np.unique(key, return_index=True)
    field = np.zeros(grid.shape, np.int32)
    rasterize(zip(outline, np.searchsorted(keys, key).tolist(), strict=True), out=field, transform=grid.transform)

    # Pixels of settlements become houses, streets, trees or gardens.
    rows, cols = np.nonzero((cover[first] == SETTLEMENT)[field])
    ground = np.array([NO_CROPS.index(name) for name in VILLAGE_COVERS])[
        village_ground(seed, turn, grid.x[cols], grid.y[rows])
    ]
    row, col = np.divmod(keys[field[rows, cols]] >> 32, 2 * CELL_KEY_OFFSET)
    in_villages = _shared_keys(row - CELL_KEY_OFFSET, col - CELL_KEY_OFFSET, ground)
    listed = np.union1d(keys, in_villages)
    field = np.searchsorted(listed, keys).astype(np.int32)[field]
    field[rows, cols] = np.searchsorted(listed, in_villages)

    # Keep only the fields that have a pixel in the window.
    used = np.flatnonzero(np.bincount(field.ravel()))
    field = np.searchsorted(used, np.arange(len(listed))).astype(np.int32)[field]
    covers = dict(zip(keys.tolist(), cover[first].tolist(), strict=True))
    outlines = dict(zip(key[single].tolist(), outline[single], strict=True))
    visible = listed[used].tolist()
    fields = tuple(outlines.get(key) for key in visible)
    return Land(
        grid,
        tuple(covers.get(key) or NO_CROPS[key - SHARED_FLAG & 7] for key in visible),
        listed[used],
        fields,
        _directions(fields),
        field,
    )


def _directions(outlines: tuple[shapely.Polygon | None, ...]) -> Numbers:
    """Angle between each outline's long side and the x axis, radians from 0 to pi; 0 without an outline."""
    angles = np.zeros(len(outlines))
    here = np.flatnonzero([outline is not None for outline in outlines])
    corners = shapely.get_coordinates(shapely.oriented_envelope(np.array(outlines, object)[here])).reshape(-1, 5, 2)
    sides = np.diff(corners[:, :3], axis=1)
    longest = sides[np.arange(len(here)), np.argmax(np.hypot(sides[..., 0], sides[..., 1]), axis=1)]
    angles[here] = np.arctan2(longest[:, 1], longest[:, 0]) % np.pi
    return angles
