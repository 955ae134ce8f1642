"""Series and values of pixels in small blocks that a browser fetches one by one, without a server that reads the cube.

A block holds the pixels of a grid that a tile of the web map touches, compressed by gzip:

    4 bytes             "AGB1"
    2 x uint16          rows h and columns w
    8 x float32         row and column, counted from the block's first pixel, of the tile's corners: north-west,
                        north-east, south-west, south-east. Between them both are bilinear.
    planes of h x w     bytes, row by row; which planes there are, season.json says

The planes of series are: whether each of T dates was observed (T); of composites, the day after the date, in two
bytes (2 T); and C values of each date, first the low bytes of all (T C), then the high bytes (T C). A value is the
difference to that of the last observed date, at first to 0, in whole `step`s of the stored number, modulo 2^16; the
differences 0, -1, 1, -2 … are written as 0, 1, 2, 3 … Numbers are little-endian.

The planes of a map are one for each of its layers, and one for the probability of each class.

Blocks of neighbours are in one PMTiles archive, as tiles of no known type.

Shape letters: T dates, C bands, h w rows and columns of a block.
"""

import gzip
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.index_curves import INDEX_NAMES
from agrifm.classic.indices import MIN_REFLECTANCE_SUM, band_roles, index_pairs
from agrifm.cube.store import SensorCube
from agrifm.grid import Grid, Window
from agrifm.serve.map_layers import open_layer
from agrifm.serve.pixel_answers import sensor_facts
from agrifm.serve.tile_archives import Tile, in_order
from agrifm.serve.tile_places import tile_corners, tiles_of, zoom_of_side

SIGNATURE = b"AGB1"
SIDE = 32
"""Most pixels at the side of a tile whose pixels are a block."""
OUTER = 3
"""Zooms between a block and the archive that has it: 8 x 8 blocks."""
RESOLUTION = 1e-3
"""Of values in a block, in the unit of their quantity, where the cube is finer."""
EFFORT = 6
"""Of gzip."""


def block_zoom(grid: Grid) -> int:
    """The zoom of the tiles whose pixels are the blocks of a grid."""
    return zoom_of_side(grid, SIDE)


def archive_tiles(grid: Grid) -> list[Tile]:
    """The tiles, `OUTER` zooms above the blocks, of which each has an archive."""
    bounds = grid.footprint().bounds
    zoom = max(block_zoom(grid) - OUTER, 0)
    return [tile for tile in tiles_of(bounds, zoom) if _window(grid, tile) is not None]


def step_of(sensor: SensorCube) -> int:
    """What values are rounded to, in stored integers."""
    return max(1, round(RESOLUTION / sensor.input.scale))


def stated_series(sensor: SensorCube) -> dict[str, Any]:
    """What the page is to know of the series of a sensor."""
    roles = band_roles(sensor.input)
    pairs = index_pairs(sensor.input) if sensor.input.quantity.endswith("reflectance") else []
    return {
        **sensor_facts(sensor),
        "zoom": block_zoom(sensor.grid),
        "archive_zoom": max(block_zoom(sensor.grid) - OUTER, 0),
        "days": sensor.date.tolist(),
        "composite": sensor.is_composite,
        "bands": list(sensor.input.bands),
        "unit": step_of(sensor) * sensor.input.scale,
        "indices": [{"name": INDEX_NAMES[pair], "bands": [roles[name] for name in pair]} for pair in pairs],
        "least_sum": MIN_REFLECTANCE_SUM,
    }


def series_blocks(sensor: SensorCube, outer: Tile) -> Iterator[tuple[Tile, bytes]]:
    """The blocks of series in a tile of `archive_tiles`.

    Raises:
        CubeError: the cube is damaged.
    """
    inner = _inner(sensor.grid, outer)
    if not inner:
        return
    whole = _together(inner)
    rows, cols = whole.slices
    values = sensor.stored("values", (slice(None), slice(None), rows, cols))
    valid = sensor.stored("valid", (slice(None), rows, cols)).astype(bool)
    days = sensor.stored("day", (slice(None), rows, cols)) if sensor.is_composite else None
    for tile, window, corners in inner:
        here = window.within(whole).slices
        seen = valid[:, *here]
        if not seen.any():
            continue
        after = None if days is None else np.where(seen, days[:, *here] - sensor.date[:, None, None], 0)
        yield tile, _block(corners, series_planes(values[..., *here], seen, after, step_of(sensor)))


def series_planes(
    values: NDArray[np.int16], seen: NDArray[np.bool_], after: NDArray[np.int32] | None, step: int
) -> NDArray[np.uint8]:
    """The planes (P, h, w) of series.

    Args:
        values: (T, C, h, w), stored integers.
        seen: (T, h, w), whether they were observed.
        after: (T, h, w), days after the date, of composites.
        step: stored integers are rounded to multiples of it.
    """
    rounded = np.rint(values / np.float32(step)).astype(np.int16)
    differences, last = np.zeros(values.shape, np.int16), np.zeros(values.shape[1:], np.int16)
    for date, observed in enumerate(seen):
        now = np.where(observed, rounded[date], last)
        differences[date] = now - last  # modulo 2^16
        last = now
    folded = ((differences << 1) ^ (differences >> 15)).view(np.uint16).reshape(-1, *values.shape[2:])
    offsets = [] if after is None else [part for day in after.astype(np.uint16) for part in (day & 255, day >> 8)]
    planes = [seen, *([np.stack(offsets)] if offsets else []), folded & 255, folded >> 8]
    return np.concatenate(planes).astype(np.uint8)


def raster_blocks(paths: Sequence[Path], grid: Grid, outer: Tile, nothing: int) -> Iterator[tuple[Tile, bytes]]:
    """The blocks of rasters of bytes in a tile of `archive_tiles`: a plane for each band of each raster.

    Args:
        paths: rasters on the grid.
        nothing: value of the first band where there is no data.

    Raises:
        ServeError: a file is damaged.
    """
    inner = _inner(grid, outer)
    if not inner:
        return
    whole, bands = _together(inner), []
    for path in paths:
        with open_layer(path) as source:
            bands.append(source.read(window=whole.slices))
    planes = np.concatenate(bands).astype(np.uint8)
    for tile, window, corners in inner:
        part = planes[:, *window.within(whole).slices]
        if (part[0] != nothing).any():
            yield tile, _block(corners, part)


def _inner(grid: Grid, outer: Tile) -> list[tuple[Tile, Window, NDArray[np.float64]]]:
    """The tiles of blocks in an outer tile that touch the grid, with their pixels, and their corners in these."""
    zoom, x, y = outer
    deeper = block_zoom(grid) - zoom
    side = 2**deeper
    inside = [(zoom + deeper, x * side + col, y * side + row) for col in range(side) for row in range(side)]
    found = ((tile, _window(grid, tile)) for tile in in_order(inside))
    return [
        (tile, window, tile_corners(grid, *tile) - (window.row, window.col))
        for tile, window in found
        if window is not None
    ]


def _together(blocks: list[tuple[Tile, Window, NDArray[np.float64]]]) -> Window:
    """The pixels of some blocks, and those between them."""
    windows = [window for _, window, _ in blocks]
    top, left = min(one.row for one in windows), min(one.col for one in windows)
    bottom = max(one.row + one.height for one in windows)
    return Window(top, left, bottom - top, max(one.col + one.width for one in windows) - left)


def _window(grid: Grid, tile: Tile) -> Window | None:
    """The pixels of a grid that a tile touches; None if there are none."""
    corners = tile_corners(grid, *tile)
    low = np.maximum(np.floor(corners.min(axis=0)), 0)
    high = np.minimum(np.ceil(corners.max(axis=0)), grid.shape)
    if (low >= high).any():
        return None
    (top, left), (bottom, right) = low.astype(int).tolist(), high.astype(int).tolist()
    return Window(top, left, bottom - top, right - left)


def _block(corners: NDArray[np.float64], planes: NDArray[np.uint8]) -> bytes:
    _, height, width = planes.shape
    head = SIGNATURE + struct.pack("<HH", height, width) + corners.astype("<f4").tobytes()
    return gzip.compress(head + np.ascontiguousarray(planes).tobytes(), EFFORT, mtime=0)
