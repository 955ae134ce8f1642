"""Tiles of a layer or of a date in one file, PMTiles, of which a browser fetches the parts that it needs.

The format is PMTiles 3 (https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md), written by its authors'
library. Tiles without content are left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.files import atomic_write
from agrifm.grid import Grid
from agrifm.legend import UNLABELLED
from agrifm.pictures import indexed_png
from agrifm.serve.greenness_composites import Composites
from agrifm.serve.imagery import MOST_PIXELS, Imagery
from agrifm.serve.map_layers import PageLayer
from agrifm.serve.picture_titles import GREENNESS_KEY, STEPS, greenness_colors
from agrifm.serve.tile_places import MAX_ZOOM, fitting_zoom, tile_places, tiles_of, zoom_of_side

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


class Archive:
    """Tiles that become a file when all of them are there; until then they are in a temporary file."""

    def __init__(self) -> None:
        from pmtiles.writer import Writer

        self._writer, self.count, self._zoom = Writer(None), 0, 0

    def add(self, tile: Tile, content: bytes) -> None:
        """Add a tile; those of `in_order` make the smallest file."""
        from pmtiles.tile import zxy_to_tileid

        self._writer.write_tile(zxy_to_tileid(*tile), content)
        self._zoom = self._zoom if self.count else tile[0]
        self.count += 1

    def finish(self, path: Path, kind: str, bounds: Sequence[float]) -> int:
        """Write the file, whole or not at all; returns the number of tiles, and writes nothing if there is none.

        Args:
            kind: "PNG", "WEBP", or "UNKNOWN" for anything that is not a picture.
            bounds: west, south, east, north in degrees, for readers of the file.

        Raises:
            OutputError: the disk is full.
        """
        from pmtiles.tile import Compression, TileType

        if not self.count:
            return 0
        west, south, east, north = (round(edge * 1e7) for edge in bounds)
        header = {"tile_type": TileType[kind], "tile_compression": Compression.NONE}
        edges = {"min_lon_e7": west, "min_lat_e7": south, "max_lon_e7": east, "max_lat_e7": north}
        middle = {"center_lon_e7": (west + east) // 2, "center_lat_e7": (south + north) // 2}
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            self._writer.f = file
            self._writer.finalize(header | edges | middle | {"center_zoom": self._zoom}, {"name": path.stem})
        return self.count


def write_archive(path: Path, tiles: Iterable[tuple[Tile, bytes]], kind: str, bounds: Sequence[float]) -> int:
    """Write tiles into an archive; see `Archive.finish`."""
    archive = Archive()
    for tile, content in tiles:
        archive.add(tile, content)
    return archive.finish(path, kind, bounds)


def in_order(tiles: Iterable[Tile]) -> list[Tile]:
    """Tiles in the order of the format, in which neighbours are near each other."""
    from pmtiles.tile import zxy_to_tileid

    return sorted(tiles, key=lambda tile: int(zxy_to_tileid(*tile)))


def layer_zooms(layer: PageLayer) -> tuple[int, int]:
    """The lowest and the deepest zoom of a layer in an archive."""
    deepest = zoom_of_side(layer.grid, LAYER_SIDE)
    return min(_lowest(layer.grid), deepest), deepest


def imagery_zooms(imagery: Imagery | Composites) -> tuple[int, int]:
    """The lowest and the deepest zoom of the pictures of a sensor in an archive."""
    grid = imagery.grid
    deepest = zoom_of_side(grid, IMAGERY_SIDE)
    fitting = fitting_zoom(grid, MOST_PIXELS)
    return min(max(fitting, _lowest(grid)), deepest), deepest


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
        pixels = layer.pixels(*tile)
        if pixels is not None and (pixels != UNLABELLED).any():
            yield tile, indexed_png(pixels, layer.colors)


def write_pictures(imagery: Imagery | Composites, frame: int, path_of: Mapping[str, Path]) -> int:
    """Write the pictures of a date: greenness as PNG with a palette, others as WebP.

    The pixels of all pictures are read at once.

    Args:
        path_of: of each picture, by its key.

    Returns:
        The least number of tiles of a picture.

    Raises:
        CubeError: the cube is damaged.
        OutputError: the disk is full.
    """
    archives = {kind: Archive() for kind in path_of}
    for tile in _tiles(imagery.grid, imagery_zooms(imagery)):
        places = tile_places(imagery.grid, *tile)
        for kind, drawn in {} if places is None else imagery.all_drawn(frame, places).items():
            if (drawn <= STEPS).any() if drawn.ndim == 2 else drawn[..., 3].any():
                archives[kind].add(tile, indexed_png(drawn, greenness_colors()) if drawn.ndim == 2 else webp(drawn))
    bounds = imagery.grid.footprint().bounds
    format_of = {kind: "PNG" if kind.startswith(GREENNESS_KEY) else "WEBP" for kind in path_of}
    return min(archive.finish(path_of[kind], format_of[kind], bounds) for kind, archive in archives.items())


def webp(rgba: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 4) as the content of a WebP file."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(rgba).save(file, "WEBP", quality=WEBP_QUALITY)
    return file.getvalue()
