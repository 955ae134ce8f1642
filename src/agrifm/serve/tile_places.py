"""Where the pixels of a map tile are on the grid of a raster or cube.

Tiles are squares of the spherical Mercator projection (EPSG:3857), numbered by zoom, column from the west and row
from the north, as all web maps number them (OGC Two Dimensional Tile Matrix Set 2.0, WebMercatorQuad).

Shape letters: H W rows and columns of a tile, both `SIDE`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import asinh, ceil, floor, pi, radians, tan

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from agrifm.grid import Grid, Window
from agrifm.pictures import indexed_png

SIDE = 256
"""Side of a tile in pixels."""
MAX_ZOOM = 20
"""Deepest zoom that is drawn; a pixel of a tile is 15 cm there."""
HALF = 6_378_137 * pi
"""Half the side of the world in spherical Mercator, metres."""
CELL = 8
"""Pixels between places that are projected; those between them are interpolated."""
PNG_EFFORT = 4
"""Of zlib, for tiles that are drawn while somebody waits."""
FAR = 1e12
"""Row and column of what the projection of the grid cannot express."""


@dataclass(frozen=True)
class TilePlaces:
    """The pixels of the grid that the pixels of a tile show."""

    window: Window
    """Of the grid: all pixels that the tile shows."""
    row: NDArray[np.float64]
    """(H, W), row on the grid as a real number."""
    col: NDArray[np.float64]
    inside: NDArray[np.bool_]
    """(H, W), whether the pixel is on the grid."""

    def taken(self, pixels: NDArray[np.generic], outside: int) -> NDArray[np.generic]:
        """The nearest values (..., H, W) of pixels (..., h, w) that cover the window, at its size or reduced.

        Args:
            outside: the value where a tile is not on the grid.
        """
        height, width = pixels.shape[-2:]
        row = ((self.row - self.window.row) * height / self.window.height).astype(np.int64).clip(0, height - 1)
        col = ((self.col - self.window.col) * width / self.window.width).astype(np.int64).clip(0, width - 1)
        return np.asarray(np.where(self.inside, pixels[..., row, col], np.array(outside, pixels.dtype)))


def is_tile(zoom: int, x: int, y: int) -> bool:
    """Whether there is such a tile."""
    return 0 <= zoom <= MAX_ZOOM and 0 <= x < 2**zoom and 0 <= y < 2**zoom


def tile_places(grid: Grid, zoom: int, x: int, y: int, within: Window | None = None) -> TilePlaces | None:
    """Where a tile is on a grid; None if they share nothing.

    Args:
        within: the pixels of the grid that count; by default all.
    """
    step = 2 * HALF / 2**zoom
    lattice = np.arange(0, SIDE + CELL, CELL) / SIDE
    across, down = np.meshgrid((x + lattice) * step - HALF, HALF - (y + lattice) * step)
    east, north = _from_mercator(grid.crs.to_wkt()).transform(across, down)
    transform, weights = grid.transform, _between()
    col, row = (
        weights @ np.nan_to_num(place, nan=FAR, posinf=FAR, neginf=-FAR) @ weights.T
        for place in ((east - transform.c) / transform.a, (north - transform.f) / transform.e)
    )
    part = Window(0, 0, *grid.shape) if within is None else within
    down, across = row - part.row, col - part.col
    inside = (down >= 0) & (down < part.height) & (across >= 0) & (across < part.width)
    if not inside.any():
        return None
    rows, cols = row[inside], col[inside]
    top, left = floor(rows.min()), floor(cols.min())
    window = Window(top, left, ceil(rows.max() + 1e-9) - top, ceil(cols.max() + 1e-9) - left)
    return TilePlaces(window, row, col, inside)


@cache
def empty_tile() -> bytes:
    """A transparent tile as PNG."""
    return indexed_png(np.zeros((SIDE, SIDE), np.uint8), [(0, 0, 0, 0)])


def fitting_zoom(grid: Grid, most_pixels: int, count: int | None = None) -> int:
    """The lowest zoom at which a tile shows at most `most_pixels` pixels of a grid.

    Args:
        count: pixels that there are, if the grid is one of several; by default those of the grid.
    """
    count = grid.shape[0] * grid.shape[1] if count is None else count
    pixels = np.minimum(_tile_sides(grid) ** 2 * 2, count)  # turned tiles touch up to twice
    return int(np.argmax(pixels <= most_pixels))


def zoom_of_side(grid: Grid, most_pixels: float) -> int:
    """The lowest zoom at which the side of a tile is at most `most_pixels` pixels of a grid, or the deepest zoom."""
    fits = _tile_sides(grid) <= most_pixels
    return int(np.argmax(fits)) if fits.any() else MAX_ZOOM


def _tile_sides(grid: Grid) -> NDArray[np.float64]:
    """Side of a tile at each zoom, in pixels of a grid."""
    _, south, _, north = grid.footprint().bounds
    latitude = np.radians((south + north) / 2)
    metres = 2 * HALF * np.cos(latitude) / 2 ** np.arange(MAX_ZOOM + 1)  # on the ground
    side = np.sqrt(float(grid.pixel_hectares()[grid.shape[0] // 2]) * 1e4)
    return np.asarray(metres / side, np.float64)


def tile_bounds(zoom: int, x: int, y: int) -> tuple[float, float, float, float]:
    """West, south, east and north of a tile in degrees."""
    west, east = (column / 2**zoom * 360 - 180 for column in (x, x + 1))
    north, south = (float(np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * row / 2**zoom))))) for row in (y, y + 1))
    return west, south, east, north


def bounds_in_degrees(grid: Grid) -> tuple[float, float, float, float]:
    """West, south, east and north of a grid; from -180 to 180 if it is on both sides of longitude 180."""
    west, south, east, north = grid.footprint().bounds
    return (-180.0, south, 180.0, north) if east - west > 180 else (west, south, east, north)


def tile_corners(grid: Grid, zoom: int, x: int, y: int) -> NDArray[np.float64]:
    """Row and column (4, 2) on a grid of the corners of a tile: north-west, north-east, south-west, south-east."""
    step = 2 * HALF / 2**zoom
    across = np.array([x, x + 1, x, x + 1]) * step - HALF
    down = HALF - np.array([y, y, y + 1, y + 1]) * step
    east, north = _from_mercator(grid.crs.to_wkt()).transform(across, down)
    transform = grid.transform
    corners = np.stack([(north - transform.f) / transform.e, (east - transform.c) / transform.a], axis=1)
    return np.asarray(np.nan_to_num(corners, nan=FAR, posinf=FAR, neginf=-FAR), np.float64)


def tiles_of(bounds: Sequence[float], zoom: int) -> list[tuple[int, int, int]]:
    """Zoom, column and row of the tiles that share something with an area.

    Args:
        bounds: west, south, east, north in degrees.
    """
    west, south, east, north = bounds
    first, last = (_tile_at(lon, lat, zoom) for lon, lat in ((west, north), (east, south)))
    return [(zoom, x, y) for x in range(first[0], last[0] + 1) for y in range(first[1], last[1] + 1)]


def _tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """Column and row of the tile at a place (OGC Two Dimensional Tile Matrix Set 2.0, annex D)."""
    across = (lon + 180) / 360
    down = (1 - asinh(tan(radians(lat))) / pi) / 2
    last = 2**zoom - 1
    return min(max(floor(across * 2**zoom), 0), last), min(max(floor(down * 2**zoom), 0), last)


@lru_cache(maxsize=32)
def _from_mercator(crs: str) -> Transformer:
    return Transformer.from_crs("EPSG:3857", crs, always_xy=True)


@cache
def _between() -> NDArray[np.float64]:
    """(H, lattice), weights of the lattice's places in the centre of each pixel."""
    place = (np.arange(SIDE) + 0.5) / CELL
    return np.maximum(0, 1 - abs(place[:, None] - np.arange(SIDE // CELL + 1)))
