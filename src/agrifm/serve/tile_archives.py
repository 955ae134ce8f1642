"""Tiles of a layer or of a date in one file, PMTiles, of which a browser fetches the parts that it needs.

The format is PMTiles 3 (https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md), written by its authors'
library. Tiles without content are left out.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from agrifm.files import atomic_write
from agrifm.grid import Grid
from agrifm.legend import UNLABELLED
from agrifm.pictures import indexed_png
from agrifm.serve.imagery import GREENNESS_KEY, STEPS, Imagery, greenness_colors
from agrifm.serve.map_layers import PageLayer
from agrifm.serve.tile_places import MAX_ZOOM, tile_places, tiles_of, zoom_of_side

Tile = tuple[int, int, int]
"""Zoom, column, row."""
LAYER_SIDE = 128
"""Pixels of a map in a tile of the deepest zoom, which has 256: half a pixel of the map is seen as such."""
IMAGERY_SIDE = 256
"""Pixels of a cube in a tile of the deepest zoom."""
FEW = 4
"""Tiles of the zoom from which the lowest one is counted."""
WEBP_QUALITY = 75
"""Of pictures, 0 to 100, as the format has it."""


def write_archive(path: Path, tiles: Iterable[tuple[Tile, bytes]], kind: str, bounds: Sequence[float]) -> int:
    """Write tiles into an archive, whole or not at all; returns their number, and writes nothing if there is none.

    Args:
        kind: "PNG", "WEBP", or "UNKNOWN" for anything that is not a picture.
        bounds: west, south, east, north in degrees, for readers of the file.

    Raises:
        OutputError: the disk is full.
    """
    from pmtiles.tile import Compression, TileType, zxy_to_tileid
    from pmtiles.writer import Writer

    waiting, count = iter(tiles), 0
    first = next(waiting, None)
    if first is None:
        return 0
    west, south, east, north = (round(edge * 1e7) for edge in bounds)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        writer = Writer(file)
        for place, content in _with(first, waiting):
            writer.write_tile(zxy_to_tileid(*place), content)
            count += 1
        header = {"tile_type": TileType[kind], "tile_compression": Compression.NONE}
        edges = {"min_lon_e7": west, "min_lat_e7": south, "max_lon_e7": east, "max_lat_e7": north}
        center = {
            "center_zoom": first[0][0],
            "center_lon_e7": (west + east) // 2,
            "center_lat_e7": (south + north) // 2,
        }
        writer.finalize(header | edges | center, {"name": path.stem})
    return count


def _with(first: tuple[Tile, bytes], others: Iterator[tuple[Tile, bytes]]) -> Iterator[tuple[Tile, bytes]]:
    yield first
    yield from others


def in_order(tiles: Iterable[Tile]) -> list[Tile]:
    """Tiles in the order of the format, in which neighbours are near each other."""
    from pmtiles.tile import zxy_to_tileid

    return sorted(tiles, key=lambda tile: int(zxy_to_tileid(*tile)))


def layer_zooms(layer: PageLayer) -> tuple[int, int]:
    """The lowest and the deepest zoom of a layer in an archive."""
    deepest = zoom_of_side(layer.grid, LAYER_SIDE)
    return min(_lowest(layer.grid), deepest), deepest


def imagery_zooms(imagery: Imagery) -> tuple[int, int]:
    """The lowest and the deepest zoom of the pictures of a sensor in an archive."""
    grid = imagery.sensor.grid
    deepest = zoom_of_side(grid, IMAGERY_SIDE)
    return min(max(int(imagery.stated()["minzoom"]), _lowest(grid)), deepest), deepest


def _lowest(grid: Grid) -> int:
    """A zoom at which a grid is about a quarter of a tile; the page does not zoom out further."""
    bounds = grid.footprint().bounds
    return max(sum(len(tiles_of(bounds, zoom)) <= FEW for zoom in range(MAX_ZOOM)) - 3, 0)


def _tiles(grid: Grid, zooms: tuple[int, int]) -> list[Tile]:
    """All tiles of a grid from a zoom to another one."""
    bounds = grid.footprint().bounds
    return in_order(tile for zoom in range(zooms[0], zooms[1] + 1) for tile in tiles_of(bounds, zoom))


def layer_tiles(layer: PageLayer) -> Iterator[tuple[Tile, bytes]]:
    """The tiles of a layer: PNG files with a palette, in which the number of a colour is the value of the layer.

    Raises:
        ServeError: the file of the layer is damaged.
    """
    for tile in _tiles(layer.grid, layer_zooms(layer)):
        places = tile_places(layer.grid, *tile)
        pixels = None if places is None else layer.pixels(places)
        if pixels is not None and (pixels != UNLABELLED).any():
            yield tile, indexed_png(pixels, layer.colors)


def picture_tiles(imagery: Imagery, kind: str, frame: int) -> Iterator[tuple[Tile, bytes]]:
    """The tiles of a date: greenness as PNG with a palette, other pictures as WebP.

    Raises:
        CubeError: the cube is damaged.
    """
    for tile in _tiles(imagery.sensor.grid, imagery_zooms(imagery)):
        places = tile_places(imagery.sensor.grid, *tile)
        if places is None:
            continue
        drawn = imagery.drawn(kind, frame, places)
        if kind == GREENNESS_KEY:
            if (drawn <= STEPS).any():
                yield tile, indexed_png(drawn, greenness_colors())
        elif drawn[..., 3].any():
            yield tile, webp(drawn)


def webp(rgba: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 4) as the content of a WebP file."""
    height, width, count = rgba.shape
    shape: dict[str, Any] = {"height": height, "width": width, "count": count, "dtype": "uint8"}
    with MemoryFile() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(driver="WEBP", QUALITY=WEBP_QUALITY, **shape) as file:
            file.write(np.moveaxis(rgba, -1, 0))
        return bytes(memory.read())
