"""The lattice that divides the land into landscape cells, and the roads, tracks and rivers along its edges.

The lattice covers the whole plane, and any window of it is drawn without its surroundings. Corners lie off their
regular places, and the lattice as a whole is turned and winds, so that no two cells are alike. An edge belongs to the
cell that begins with it; edges 'across' run along a row of cells, edges 'up' along a column.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.simulator.draw import field_noise, uniform
from agrifm.simulator.land.landshape import LandShape

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]
Shapes = NDArray[np.object_]
Bounds = tuple[float, float, float, float]

WARP, WARP_CELLS = 0.5, 7
"""How far the lattice winds at an irregularity of 1, and over how many cells; both in cells."""
ALONG = np.linspace(0, 1, 13)
"""Where the points of an edge lie between its corners."""
MEANDER = 0.15
"""How far rivers swing out, as a share of an edge's length."""
MAIN_ROADS = 4
"""Every so many columns of cells a main road runs through."""
MAIN_WIDTH, ROAD_WIDTH, TRACK_WIDTH = 8.0, 5.5, 3.5
"""Metres, without verges."""
VERGE = 2.0
"""Grass on each side of a road, metres."""
TRACKS = 0.7
"""Share of the edges without a paved road that are tracks; the others are mere borders."""
NEAR = 200.0
"""Nothing along an edge reaches further, metres."""


@dataclass(frozen=True)
class Edges:
    """Edges and what lies along them: arrays (edges,); half widths in metres from the middle, 0 = nothing there."""

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
        """Half width of the strip in which no parcel lies."""
        return np.maximum(np.maximum(self.verge, self.hedge), self.gallery)


@dataclass(frozen=True)
class Network:
    """The landscape cells of a window; arrays (cells,)."""

    turn: float
    """Angle between the lattice's rows and the x axis, radians."""
    row: Indices
    col: Indices
    whole: Shapes
    """Each cell to the middle of its edges, a polygon."""
    interior: Shapes
    """Each cell without the strips along its edges, a polygon."""
    edges: Edges
    """The edges that end at corners of these cells, each once."""


def draw_network(shape: LandShape, seed: int, bounds: Bounds) -> Network:
    """The cells of which anything may show in a window (left, bottom, right, top; metres)."""
    turn = float((uniform(seed, "turn of the lattice") - 0.5) * np.pi / 2)
    rows, cols = _range(shape, turn, bounds)
    across, up = _curves(shape, seed, turn, rows, cols)
    high, wide = len(rows), len(cols)
    ring = [across[:high, :wide, :-1], up[:high, 1:, :-1], across[1:, :wide, :0:-1], up[:high, :wide, :0:-1]]
    whole = np.asarray(shapely.polygons(np.concatenate(ring, axis=2)), object).ravel()
    shows = shapely.dwithin(whole, shapely.box(*bounds), NEAR + shape.village_radius[1])

    # Edges in one list: all 'across', row by row, then all 'up'. A cell's own four are on its sides; at its corners end
    # eight more, which may reach into it.
    row, col = (index.ravel() for index in np.indices((high + 1, wide + 1)))
    cell_row, cell_col = (index[shows] for index in np.indices((high, wide)).reshape(2, -1))
    beside = [(0, 0), (1, 0), (0, -1), (0, 1), (1, -1), (1, 1)]
    sides = np.stack(
        [(cell_row + down) * (wide + 1) + cell_col + right for down, right in beside]
        + [len(row) + (cell_row + down) * (wide + 1) + cell_col + right for right, down in beside],
        axis=1,
    )
    used, side = np.unique(sides, return_inverse=True)
    lines = shapely.linestrings(np.concatenate([across, up]).reshape(-1, len(ALONG), 2)[used])
    at = used % len(row)
    edges = _along_edges(shape, seed, rows[0] + row[at], cols[0] + col[at], used >= len(row), lines)

    around = shapely.union_all(strips(edges.line, edges.reach)[side.reshape(sides.shape)], axis=1)
    # Edges that swing out far may cross in a very narrow cell.
    sound = largest_part(shapely.make_valid(whole[shows]))
    interior = largest_part(shapely.difference(sound, around))
    return Network(turn, rows[cell_row], cols[cell_col], whole[shows], interior, edges)


def strips(lines: Shapes, half_width: Numbers) -> Shapes:
    """The land within so many metres of lines."""
    return np.asarray(shapely.buffer(lines, half_width, quad_segs=4), object)


def largest_part(shapes: Shapes) -> Shapes:
    """The largest polygon of each shape; an empty polygon where it has none."""
    found = shapes.copy()
    for place in np.flatnonzero(shapely.get_type_id(shapes) != shapely.GeometryType.POLYGON):
        parts = shapely.get_parts(shapes[place])
        parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        found[place] = parts[np.argmax(shapely.area(parts))] if len(parts) else shapely.Polygon()
    return found


def _range(shape: LandShape, turn: float, bounds: Bounds) -> tuple[Indices, Indices]:
    """Rows and columns of the lattice among which all cells of a window are."""
    left, bottom, right, top = bounds
    x, y = np.array([left, right, left, right]), np.array([bottom, bottom, top, top])
    off = 2.5 + shape.irregularity * (0.25 + 4 * WARP)
    along = (x * np.cos(turn) + y * np.sin(turn)) / shape.cell
    over = (y * np.cos(turn) - x * np.sin(turn)) / shape.cell
    rows = np.arange(int(np.floor(over.min() - off)), int(np.ceil(over.max() + off)))
    return rows, np.arange(int(np.floor(along.min() - off)), int(np.ceil(along.max() + off)))


def _curves(shape: LandShape, seed: int, turn: float, rows: Indices, cols: Indices) -> tuple[Numbers, Numbers]:
    """Points of the edges that begin at the cells' corners: across, up, each (rows + 1, columns + 1, points, 2).

    Edges are Hermite curves, so that roads run through their corners without a kink.
    """
    corner = _corners(shape, seed, turn, np.arange(rows[0] - 1, rows[-1] + 4), np.arange(cols[0] - 1, cols[-1] + 4))
    row, col = np.arange(rows[0], rows[-1] + 2)[:, None], np.arange(cols[0], cols[-1] + 2)[None]
    river = np.where(_is_river(shape, row), MEANDER, 0) + np.zeros(col.shape)
    across = _hermite(*(corner[1:-2, start : start + len(cols) + 1] for start in range(4)))
    up = _hermite(*(corner[start : start + len(rows) + 1, 1:-2] for start in range(4)))
    return (
        _bent(across, np.maximum(river, shape.bend), seed, "bend across", row, col),
        _bent(up, np.full(river.shape, shape.bend), seed, "bend up", row, col),
    )


def _corners(shape: LandShape, seed: int, turn: float, rows: Indices, cols: Indices) -> Numbers:
    """Corners in metres, (rows, columns, 2)."""
    place = []
    row, col = rows[:, None], cols[None]
    for axis, regular in (("along", col + 0.0 * row), ("over", row + 0.0 * col)):
        jitter = 0.5 * (uniform(seed, f"corner {axis}", row, col) - 0.5)
        warp = WARP * field_noise(seed, f"warp {axis}", col.astype(np.float64), row.astype(np.float64), WARP_CELLS)
        place.append(shape.cell * (regular + shape.irregularity * (jitter + warp)))
    along, over = place
    return np.stack([along * np.cos(turn) - over * np.sin(turn), along * np.sin(turn) + over * np.cos(turn)], axis=-1)


def _hermite(before: Numbers, begin: Numbers, end: Numbers, after: Numbers) -> Numbers:
    """Curves between corners with the directions of their neighbours, (rows, columns, points, 2)."""
    s = ALONG[:, None]
    depart, arrive = (end - before)[:, :, None] / 2, (after - begin)[:, :, None] / 2
    rise = s**2 * (3 - 2 * s)
    return np.asarray(
        begin[:, :, None] * (1 - rise)
        + end[:, :, None] * rise
        + depart * (s * (1 - s) ** 2)
        - arrive * (s**2 * (1 - s))
    )


def _bent(curve: Numbers, bend: Numbers, seed: int, purpose: str, row: Indices, col: Indices) -> Numbers:
    """Curves that swing out sideways by up to about `bend` of their length, but not at their corners."""
    chord = curve[:, :, -1] - curve[:, :, 0]
    sideways = np.stack([-chord[..., 1], chord[..., 0]], axis=-1)[:, :, None]
    swing = np.zeros(curve.shape[:3])
    for wave in (1, 2, 3):
        size = 3 * (uniform(seed, purpose, row, col, wave) - 0.5) / wave
        swing += (bend * size)[..., None] * np.sin(wave * np.pi * ALONG) * np.sin(np.pi * ALONG)
    return np.asarray(curve + sideways * swing[..., None])


def _is_river(shape: LandShape, row: Indices) -> NDArray[np.bool_]:
    """Whether a river runs along the edges across that begin these rows."""
    return row % shape.rivers == 0 if shape.rivers else np.zeros(row.shape, bool)


def _along_edges(shape: LandShape, seed: int, row: Indices, col: Indices, up: NDArray[np.bool_], line: Shapes) -> Edges:
    """What lies along edges."""

    def drawn(purpose: str) -> Numbers:
        return uniform(seed, purpose, row, col, up)

    river = _is_river(shape, row) & ~up
    paved = drawn("paved") < shape.paved
    width = np.where(paved, ROAD_WIDTH, np.where(drawn("track") < TRACKS, TRACK_WIDTH, 0))
    width = np.where(up & (col % MAIN_ROADS == 0), MAIN_WIDTH, width)
    road = np.where(river, 0, width / 2)
    verge = np.where(river, 0, np.maximum(road + VERGE, 1))
    thin, thick = shape.hedge_width
    hedged = ~river & (drawn("hedge along the edge") < 1.5 * shape.hedges)
    narrow, broad = shape.river_width
    # A river keeps its width along its row of cells; its trees change from edge to edge.
    water = np.where(river, (narrow + (broad - narrow) * uniform(seed, "width of the river", row)) / 2, 0)
    trees = shape.gallery * (0.3 + 0.7 * drawn("width of the gallery"))
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
