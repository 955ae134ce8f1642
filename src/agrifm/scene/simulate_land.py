"""The land of a simulated season: parcels, forest, water, roads and margins on a 10 m grid, and their truth.

The land is drawn, not copied from anywhere: a square is cut by roads and then into ever smaller convex pieces, a
river and a pond are laid over it, and the pieces get a crop each. A 10 m pixel belongs to one thing wholly.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import LineString, Point, Polygon, get_parts, oriented_envelope, union_all
from shapely.geometry.base import BaseGeometry

from agrifm.grid import LONLAT, NEST, Grid, area_grid, reproject
from agrifm.legend import OTHER, Legend

PIXEL = 10
"""Side of a ground pixel, metres."""
MARGIN = 300
"""Ground drawn around the area's cube grid, metres: a MODIS pixel of 463 m reaches 240 m beyond its centre."""
CRS = "EPSG:32631"
CENTRE = (450_490.0, 5_194_450.0)
"""Middle of the area, easting and northing in metres: lon 2.35, lat 46.9, central France."""

CROPS = {
    "wheat": ("Winter wheat", 0.16),
    "barley": ("Winter barley", 0.12),
    "rapeseed": ("Rapeseed", 0.12),
    "maize": ("Maize", 0.14),
    "soybean": ("Soybean", 0.12),
    "sunflower": ("Sunflower", 0.12),
    "grassland": ("Grassland, mown", 0.12),
    "fallow": ("Fallow or bare soil", 0.10),
}
"""Code -> name, share of the parcels."""
WATER, ROAD, BANK, FOREST = "water", "road", "margin", "forest"
WORLD_COVER = {WATER: 80, ROAD: 50, BANK: 30, FOREST: 10, "grassland": 30, "fallow": 60}
"""ESA WorldCover 2021 codes; every other crop is cropland."""
WORLD_COVER_CROPLAND = 40

ROAD_WIDTH = 15.0
"""Metres, with verges: one 10 m pixel wide at least, whatever its direction."""
ROAD_BLOCK = 60.0
"""Pieces of more hectares than this are cut by roads, smaller ones by field margins of up to `MARGIN_WIDTH`."""
MARGIN_WIDTH = 8.0
PARCEL_MEDIAN = 4.8
"""Median of the area, in hectares, below which a piece is cut no further; the parcels' own median is about 2.7."""
SMALLEST_PARCEL = 0.5
"""Hectares; smaller pieces (cut off by the river) are margins."""
DECK = 50
"""Crops are dealt from decks of so many cards to neighbouring parcels, so that every quarter grows all of them."""


@dataclass(frozen=True)
class Land:
    """Fields and the pixels that they cover.

    A field is anything that grows in its own way: a crop parcel, a piece of forest, and three that are one field
    each: water (0), roads (1), margins (2).
    """

    grid: Grid
    area: Polygon
    """The area asked for, in longitude and latitude."""
    covers: tuple[str, ...]
    """What grows in each field: a code of `CROPS`, or water, road, margin, forest."""
    outlines: tuple[Polygon | None, ...]
    """Outline of each field in the grid's CRS; None for water, roads and margins."""
    field: NDArray[np.int32]
    """Field number of each pixel, (rows, columns)."""

    def numbers(self, of_cover: dict[str, int]) -> NDArray[np.uint8]:
        """A number for each pixel from a number for each cover, (rows, columns)."""
        return np.array([of_cover[cover] for cover in self.covers], np.uint8)[self.field]


def simulated_legend() -> Legend:
    """The crops in order, then `other`: forest, water, roads and margins."""
    return Legend.of([*CROPS, OTHER], {OTHER: "Other land", **{code: name for code, (name, _) in CROPS.items()}})


def crop_numbers(land: Land) -> NDArray[np.uint8]:
    """Class number of `simulated_legend` for each pixel."""
    legend = simulated_legend()
    covers = {*CROPS, WATER, ROAD, BANK, FOREST}
    return land.numbers({cover: legend.number(cover if cover in CROPS else OTHER) for cover in covers})


def world_cover(land: Land) -> NDArray[np.uint8]:
    """ESA WorldCover code for each pixel."""
    return land.numbers({cover: WORLD_COVER.get(cover, WORLD_COVER_CROPLAND) for cover in {*CROPS, *WORLD_COVER}})


def draw_land(seed: int, side: float) -> Land:
    """A square area of `side` metres and the land in and around it.

    The area does not lie on multiples of 480 m; the ground is the area's cube grid and `MARGIN` around it.
    """
    rng = np.random.default_rng([seed, 1])
    left, bottom = (NEST * round((middle - side / 2) / NEST) + 130.0 for middle in CENTRE)
    corners = [(left, bottom), (left + side, bottom), (left + side, bottom + side), (left, bottom + side)]
    area = reproject(Polygon(corners), CRS, LONLAT)
    assert isinstance(area, Polygon)
    grid = _padded(area_grid(area, PIXEL), MARGIN)

    water = _water(grid, rng)
    blocks = _cut(_outline(grid), rng, ROAD_WIDTH, lambda: ROAD_BLOCK)
    pieces = []
    for block in blocks:
        for piece in _cut(block, rng, None, lambda: float(PARCEL_MEDIAN * np.exp(0.55 * rng.standard_normal()))):
            dry = [part for part in get_parts(piece.difference(water)) if isinstance(part, Polygon)]
            pieces += [part for part in dry if part.area / 1e4 >= SMALLEST_PARCEL]
    covers = _covers(pieces, grid, rng)

    field = np.full(grid.shape, 1, np.int32)
    _burn([(block, 2) for block in blocks], field, grid)
    _burn([(piece, number + 3) for number, piece in enumerate(pieces)], field, grid)
    _burn([(water, 0)], field, grid)
    return Land(grid, area, (WATER, ROAD, BANK, *covers), (None, None, None, *pieces), field)


def _padded(grid: Grid, margin: int) -> Grid:
    left, _, _, top = grid.bounds
    rows, cols = (cells + 2 * margin // PIXEL for cells in grid.shape)
    return Grid.of(CRS, Affine(PIXEL, 0, left - margin, 0, -PIXEL, top + margin), (rows, cols))


def _outline(grid: Grid) -> Polygon:
    left, bottom, right, top = grid.bounds
    return Polygon([(left, bottom), (right, bottom), (right, top), (left, top)])


def _cut(whole: Polygon, rng: np.random.Generator, gap: float | None, smallest: Callable[[], float]) -> list[Polygon]:
    """Cut a convex polygon across its longer side, again and again, until pieces are smaller than `smallest()` ha.

    Neighbours are `gap` metres apart; None draws a gap for each cut.
    """
    waiting, done = [whole], []
    while waiting:
        piece = waiting.pop()
        if piece.area / 1e4 < smallest():
            done.append(piece)
            continue
        envelope = oriented_envelope(piece)
        assert isinstance(envelope, Polygon)
        corners = np.array(envelope.exterior.coords)
        sides = np.diff(corners, axis=0)
        along = sides[np.argmax(np.hypot(*sides.T))]
        start = np.array(piece.centroid.coords[0]) + along * rng.uniform(-0.14, 0.14)
        turn = np.deg2rad(rng.normal(0, 7))
        normal = along / np.hypot(*along) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        space = rng.uniform(0, MARGIN_WIDTH) if gap is None else gap
        halves = (piece.intersection(_half_plane(start, sign * normal, space / 2)) for sign in (1, -1))
        waiting += [half for half in halves if isinstance(half, Polygon) and not half.is_empty]
    return done


def _half_plane(start: NDArray[np.float64], normal: NDArray[np.float64], distance: float) -> Polygon:
    """A square of 100 km whose edge lies `distance` metres from `start` along the normal."""
    far = 1e5
    across = np.array([-normal[1], normal[0]]) * far / 2
    near = start + normal * distance
    return Polygon([near - across, near + across, near + across + normal * far, near - across + normal * far])


def _water(grid: Grid, rng: np.random.Generator) -> BaseGeometry:
    """A winding river of 40 to 60 m from north to south, and a pond."""
    left, bottom, right, top = grid.bounds
    width = right - left
    y = np.linspace(bottom - 100, top + 100, 200)
    phases = rng.uniform(0, 2 * np.pi, 2)
    swing = 0.05 * np.sin(2 * np.pi * (y - bottom) / 2300 + phases[0]) + 0.02 * np.sin(
        2 * np.pi * (y - bottom) / 700 + phases[1]
    )
    river = LineString(np.column_stack([left + width * (rng.uniform(0.3, 0.7) + swing), y]))
    place = Point(left + width * rng.uniform(0.15, 0.3), bottom + width * rng.uniform(0.2, 0.8))
    return union_all([river.buffer(rng.uniform(20, 30)), place.buffer(0.028 * width)])


def _covers(pieces: list[Polygon], grid: Grid, rng: np.random.Generator) -> list[str]:
    """Forest near three random places; elsewhere crops, dealt from shuffled decks to pieces in spatial order."""
    left, bottom, right, _ = grid.bounds
    width = right - left
    places = np.array([piece.centroid.coords[0] for piece in pieces])
    woods = np.column_stack([left + width * rng.uniform(0.1, 0.9, 3), bottom + width * rng.uniform(0.1, 0.9, 3)])
    reach = width * rng.uniform(0.07, 0.12, 3)
    wooded = (np.hypot(*(places[:, None] - woods[None]).transpose(2, 0, 1)) < reach).any(1)
    strip = np.floor((places[:, 0] - left) / 800)
    order = np.lexsort([np.where(strip % 2, -places[:, 1], places[:, 1]), strip])

    deck = np.repeat(list(CROPS), [round(share * DECK) for _, share in CROPS.values()])
    open_land = [int(number) for number in order if not wooded[number]]
    decks = [rng.permutation(deck) for _ in range(len(open_land) // len(deck) + 1)]
    covers = [FOREST] * len(pieces)
    for number, crop in zip(open_land, np.concatenate(decks), strict=False):
        covers[number] = str(crop)
    return covers


def _burn(shapes: list[tuple[BaseGeometry, int]], onto: NDArray[np.int32], grid: Grid) -> None:
    """Write numbers onto the pixels whose centres lie in the shapes, in place."""
    rasterize(shapes, out=onto, transform=grid.transform)
