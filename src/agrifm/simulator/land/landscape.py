"""Parameters of a region's land, and the lattice of landscape cells with roads, tracks and rivers along its edges.

The lattice covers the whole plane, and any window of it can be drawn without its surroundings. Corners are displaced
from a regular lattice, which is rotated and winds, so that no two cells are alike. An edge belongs to the cell that
begins with it; edges 'across' run along a row of cells, edges 'up' along a column.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field, model_validator

from agrifm.simulator.keyed_random import smooth_noise, uniform
from agrifm.validation import Frozen


class Landscape(Frozen):
    """Parameters of the land; a landscape cell is the land between four roads."""

    cell: float = Field(ge=500, le=5000)
    """Side of a landscape cell, metres."""
    irregularity: float = Field(ge=0, le=1)
    """0 = cells are squares, 1 = their corners are displaced by up to a quarter of a side, and rows of cells wind."""
    bend: float = Field(ge=0, le=0.1)
    """Sideways deviation of roads and borders, as a share of their length."""
    paved: float = Field(ge=0, le=1)
    """Share of the cells' edges that are paved roads; most others are tracks."""
    parcel_median: float = Field(gt=0)
    """Median area of the parcels, hectares."""
    parcel_spread: float = Field(gt=0, le=1.5)
    """Standard deviation of the logarithm of the parcels' areas."""
    parcel_least: float = Field(gt=0)
    """Area of the smallest parcels, hectares."""
    parcel_most: float = Field(gt=0)
    """Area of the largest parcels, hectares."""
    elongation: float = Field(ge=1.5, le=4)
    """Approximate median ratio of a parcel's length to its width."""
    track_block: float = Field(gt=0)
    """Area of a block of parcels above which tracks divide it, hectares."""
    hedges: float = Field(ge=0, le=1)
    """Share of the borders between parcels with a hedge or a row of trees."""
    hedge_width: tuple[float, float]
    """Minimum and maximum width of hedges and tree rows, metres."""
    margins: float = Field(ge=0, le=1)
    """Share of the borders with a strip of grass."""
    margin_width: tuple[float, float]
    """Minimum and maximum width of these strips, metres."""
    forest: float = Field(ge=0, le=0.8)
    """Share of the land under forest."""
    forest_size: float = Field(gt=0)
    """Approximate size of forests and of the open land between them, metres."""
    villages: float = Field(ge=0, le=1)
    """Share of the cells' corners with a village."""
    village_radius: tuple[float, float]
    """Minimum and maximum radius of villages, metres."""
    farms: float = Field(ge=0, le=1)
    """Share of the cells' edges with a farmstead."""
    rivers: int = Field(ge=0)
    """Rows of cells from one river to the next; 0 = no rivers."""
    river_width: tuple[float, float]
    """Minimum and maximum width of rivers, metres."""
    gallery: float = Field(ge=0, le=150)
    """Width of the trees along each bank of a river, metres."""
    ponds: float = Field(ge=0, le=1)
    """Share of the cells with a pond."""
    pond_radius: tuple[float, float]
    """Minimum and maximum radius of ponds, metres."""

    @model_validator(mode="after")
    def _numbers_fit_together(self) -> Self:
        if not self.parcel_least < self.parcel_median < self.parcel_most:
            raise ValueError(
                f"parcels of {self.parcel_least:g} to {self.parcel_most:g} ha cannot have a median of "
                f"{self.parcel_median:g} ha"
            )
        if self.parcel_most * 1e4 > self.cell**2 / 2:
            raise ValueError(f"parcels of {self.parcel_most:g} ha are too large for cells of {self.cell:g} m")
        if max(*self.village_radius, *self.pond_radius) > self.cell / 4:
            raise ValueError(f"villages and ponds must have a radius of at most a quarter of `cell` ({self.cell:g} m)")
        if self.hedges + self.margins > 1:
            raise ValueError("`hedges` and `margins` are shares of the same borders and exceed 1 together")
        return self


Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]
Shapes = NDArray[np.object_]
Bounds = tuple[float, float, float, float]

WARP, WARP_CELLS = 0.5, 7
"""Amplitude and scale of the winding of the lattice at an irregularity of 1, in cells."""
EDGE_POSITIONS = np.linspace(0, 1, 13)
"""Positions of the points of an edge between its corners, 0..1."""
MEANDER = 0.15
"""Sideways deviation of rivers, as a share of an edge's length."""
MAIN_ROADS = 4
"""Columns of cells from one main road to the next."""
MAIN_WIDTH, ROAD_WIDTH, TRACK_WIDTH = 8.0, 5.5, 3.5
"""Metres, without verges."""
VERGE = 2.0
"""Grass on each side of a road, metres."""
TRACKS = 0.7
"""Share of the edges without a paved road that are tracks; the others are borders without a road."""
MAX_EDGE_REACH = 200.0
"""Maximum distance from an edge of anything along it, metres."""


@dataclass(frozen=True)
class Edges:
    """Edges with roads, hedges and rivers; arrays (edges,), half widths in metres from the middle, 0 = none."""

    row: Indices
    col: Indices
    up: NDArray[np.bool_]
    line: Shapes
    road: Numbers
    verge: Numbers
    """Half width of road and grass."""
    hedge: Numbers
    """Half width of road, grass and hedges."""
    water: Numbers
    gallery: Numbers
    """Half width of river and trees."""

    @property
    def reach(self) -> Numbers:
        """Half width of the strip without parcels."""
        return np.maximum(np.maximum(self.verge, self.hedge), self.gallery)


@dataclass(frozen=True)
class RoadNetwork:
    """The landscape cells of a window; arrays (cells,)."""

    turn: float
    """Angle between the lattice's rows and the x axis, radians."""
    row: Indices
    col: Indices
    whole: Shapes
    """Polygon of each cell up to the middle of its edges."""
    interior: Shapes
    """Polygon of each cell without the strips along its edges."""
    edges: Edges
    """The edges that end at corners of these cells, each once."""


def draw_road_network(landscape: Landscape, seed: int, bounds: Bounds) -> RoadNetwork:
    """Draw the cells that may be visible in a window (left, bottom, right, top; metres)."""
    turn = float((uniform(seed, "turn of the lattice") - 0.5) * np.pi / 2)
    rows, cols = _range(landscape, turn, bounds)
    across, up = _curves(landscape, seed, turn, rows, cols)
    high, wide = len(rows), len(cols)
    # Outlines of all cells in the range: bottom, right, top and left edge.
    ring = [across[:high, :wide, :-1], up[:high, 1:, :-1], across[1:, :wide, :0:-1], up[:high, :wide, :0:-1]]
    whole = np.asarray(shapely.polygons(np.concatenate(ring, axis=2)), object).ravel()
    shows = shapely.dwithin(whole, shapely.box(*bounds), MAX_EDGE_REACH + landscape.village_radius[1])

    # Edges in one list: all 'across', row by row, then all 'up'. Four edges are the sides of a cell; eight more end at
    # its corners, and their roads or rivers may extend into it.
    row, col = (index.ravel() for index in np.indices((high + 1, wide + 1)))
    cell_row, cell_col = (index[shows] for index in np.indices((high, wide)).reshape(2, -1))
    neighbours = [(0, 0), (1, 0), (0, -1), (0, 1), (1, -1), (1, 1)]
    sides = np.stack(
        [(cell_row + down) * (wide + 1) + cell_col + right for down, right in neighbours]
        + [len(row) + (cell_row + down) * (wide + 1) + cell_col + right for right, down in neighbours],
        axis=1,
    )
    used, side = np.unique(sides, return_inverse=True)
    lines = shapely.linestrings(np.concatenate([across, up]).reshape(-1, len(EDGE_POSITIONS), 2)[used])
    at = used % len(row)
    edges = _along_edges(landscape, seed, rows[0] + row[at], cols[0] + col[at], used >= len(row), lines)

    around = shapely.union_all(strips(edges.line, edges.reach)[side.reshape(sides.shape)], axis=1)
    # In a very narrow cell strongly curved edges may cross, which makes the polygon invalid.
    sound = largest_part(shapely.make_valid(whole[shows]))
    interior = largest_part(shapely.difference(sound, around))
    return RoadNetwork(turn, rows[cell_row], cols[cell_col], whole[shows], interior, edges)


def strips(lines: Shapes, half_width: Numbers) -> Shapes:
    """Polygons of the land within `half_width` metres of lines."""
    return np.asarray(shapely.buffer(lines, half_width, quad_segs=4), object)


def largest_part(shapes: Shapes) -> Shapes:
    """The largest polygon of each shape; an empty polygon if it has none."""
    largest = shapes.copy()
    for index in np.flatnonzero(shapely.get_type_id(shapes) != shapely.GeometryType.POLYGON):
        parts = shapely.get_parts(shapes[index])
        parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        largest[index] = parts[np.argmax(shapely.area(parts))] if len(parts) else shapely.Polygon()
    return largest


def _range(landscape: Landscape, turn: float, bounds: Bounds) -> tuple[Indices, Indices]:
    """Rows and columns of the lattice that include all cells of a window."""
    left, bottom, right, top = bounds
    x, y = np.array([left, right, left, right]), np.array([bottom, bottom, top, top])
    off = 2.5 + landscape.irregularity * (0.25 + 4 * WARP)
    along = (x * np.cos(turn) + y * np.sin(turn)) / landscape.cell
    over = (y * np.cos(turn) - x * np.sin(turn)) / landscape.cell
    rows = np.arange(int(np.floor(over.min() - off)), int(np.ceil(over.max() + off)))
    return rows, np.arange(int(np.floor(along.min() - off)), int(np.ceil(along.max() + off)))


def _curves(landscape: Landscape, seed: int, turn: float, rows: Indices, cols: Indices) -> tuple[Numbers, Numbers]:
    """Points of the edges that begin at the cells' corners: across, up, each (rows + 1, columns + 1, points, 2).

    Edges are Hermite curves, so that roads pass through corners without a kink.
    """
    corner = _corners(landscape, seed, turn, np.arange(rows[0] - 1, rows[-1] + 4), np.arange(cols[0] - 1, cols[-1] + 4))
    row, col = np.arange(rows[0], rows[-1] + 2)[:, None], np.arange(cols[0], cols[-1] + 2)[None]
    river = np.where(_is_river(landscape, row), MEANDER, 0) + np.zeros(col.shape)
    across = _hermite(*(corner[1:-2, start : start + len(cols) + 1] for start in range(4)))
    up = _hermite(*(corner[start : start + len(rows) + 1, 1:-2] for start in range(4)))
    return (
        _bent(across, np.maximum(river, landscape.bend), seed, "bend across", row, col),
        _bent(up, np.full(river.shape, landscape.bend), seed, "bend up", row, col),
    )


def _corners(landscape: Landscape, seed: int, turn: float, rows: Indices, cols: Indices) -> Numbers:
    """Corners in metres, (rows, columns, 2)."""
    position = []
    row, col = rows[:, None], cols[None]
    for axis, regular in (("along", col + 0.0 * row), ("over", row + 0.0 * col)):
        jitter = 0.5 * (uniform(seed, f"corner {axis}", row, col) - 0.5)
        warp = WARP * smooth_noise(seed, f"warp {axis}", col.astype(np.float64), row.astype(np.float64), WARP_CELLS)
        position.append(landscape.cell * (regular + landscape.irregularity * (jitter + warp)))
    along, over = position
    return np.stack([along * np.cos(turn) - over * np.sin(turn), along * np.sin(turn) + over * np.cos(turn)], axis=-1)


def _hermite(before: Numbers, begin: Numbers, end: Numbers, after: Numbers) -> Numbers:
    """Hermite curves between corners, with tangents from the neighbouring corners, (rows, columns, points, 2)."""
    s = EDGE_POSITIONS[:, None]
    depart, arrive = (end - before)[:, :, None] / 2, (after - begin)[:, :, None] / 2
    rise = s**2 * (3 - 2 * s)
    return np.asarray(
        begin[:, :, None] * (1 - rise)
        + end[:, :, None] * rise
        + depart * (s * (1 - s) ** 2)
        - arrive * (s**2 * (1 - s))
    )


def _bent(curve: Numbers, bend: Numbers, seed: int, purpose: str, row: Indices, col: Indices) -> Numbers:
    """Bend curves sideways by up to about `bend` of their length, but not at their corners."""
    chord = curve[:, :, -1] - curve[:, :, 0]
    sideways = np.stack([-chord[..., 1], chord[..., 0]], axis=-1)[:, :, None]
    swing = np.zeros(curve.shape[:3])
    for wave in (1, 2, 3):
        size = 3 * (uniform(seed, purpose, row, col, wave) - 0.5) / wave
        swing += (bend * size)[..., None] * np.sin(wave * np.pi * EDGE_POSITIONS) * np.sin(np.pi * EDGE_POSITIONS)
    return np.asarray(curve + sideways * swing[..., None])


def _is_river(landscape: Landscape, row: Indices) -> NDArray[np.bool_]:
    """Whether a river runs along the edges across at the beginning of these rows."""
    return row % landscape.rivers == 0 if landscape.rivers else np.zeros(row.shape, bool)


def _along_edges(
    landscape: Landscape, seed: int, row: Indices, col: Indices, up: NDArray[np.bool_], line: Shapes
) -> Edges:
    """Draw roads, hedges and rivers along edges."""

    def drawn(purpose: str) -> Numbers:
        return uniform(seed, purpose, row, col, up)

    river = _is_river(landscape, row) & ~up
    paved = drawn("paved") < landscape.paved
    width = np.where(paved, ROAD_WIDTH, np.where(drawn("track") < TRACKS, TRACK_WIDTH, 0))
    width = np.where(up & (col % MAIN_ROADS == 0), MAIN_WIDTH, width)
    road = np.where(river, 0, width / 2)
    verge = np.where(river, 0, np.maximum(road + VERGE, 1))
    thin, thick = landscape.hedge_width
    hedged = ~river & (drawn("hedge along the edge") < 1.5 * landscape.hedges)
    narrow, broad = landscape.river_width
    # A river keeps its width along its row of cells; its trees change from edge to edge.
    water = np.where(river, (narrow + (broad - narrow) * uniform(seed, "width of the river", row)) / 2, 0)
    trees = landscape.gallery * (0.3 + 0.7 * drawn("width of the gallery"))
    return Edges(
        row,
        col,
        up,
        line,
        road=road,
        verge=verge,
        hedge=np.where(hedged, verge + thin + (thick - thin) * drawn("width of the hedge"), 0),
        water=water,
        gallery=np.where(river, water + trees, 0),
    )
