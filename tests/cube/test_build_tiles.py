"""Two overlapping MGRS tiles of one zone, with their true corners: one ground, no gap, no double, no shift."""

from datetime import date
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from tests.scenes import UTM

from agrifm.cube.frames import Frame, read_frame
from agrifm.grid import Grid
from agrifm.scene.products import Product
from agrifm.scene.read import kernel_of
from agrifm.scene.scene import FileAsset, Scene

# Tiles 31UES and 31UFS of the Sentinel-2 tiling grid (ESA): upper left corners, 10980 pixels of 10 m, 9780 m in common.
CORNERS = {"31UES": (499_980, 5_700_000), "31UFS": (600_000, 5_700_000)}
PIXELS, ROWS = 10_980, 60
PRODUCT = Product("one-band", "sentinel-2", "one-band", {"B04": "red"}, 1e-4, 0.0, 0, (1, 30_000))


def ground(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """A number for each pixel of 10 m that no neighbour within 170 pixels has."""
    column, row = (x - 400_000) // 10, (5_700_000 - y) // 10
    return 1 + (column + 173 * row) % 29_989


def scene(tile: str, directory: Path) -> Scene:
    """The top rows of a tile; its last 400 columns in the west, or first in the east, are nodata on odd rows."""
    left, top = CORNERS[tile]
    transform = Affine(10, 0, left, 0, -10, top)
    x, y = np.meshgrid(left + 10 * np.arange(PIXELS) + 5.0, top - 10 * np.arange(ROWS) - 5.0)
    numbers = ground(x, y).astype(np.uint16)
    edge = slice(-400, None) if tile == "31UES" else slice(0, 400)
    numbers[1::2, edge] = 0
    path = directory / f"{tile}.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": ROWS, "width": PIXELS, "nodata": 0}
    with rasterio.open(path, "w", **profile, crs=rasterio.CRS.from_user_input(UTM), transform=transform) as file:
        file.write(numbers, 1)
    return Scene(tile, PRODUCT, date(2024, 5, 1), {"red": FileAsset(path)}, "made")


def test_two_tiles_of_one_zone_join_without_gap_double_or_shift(tmp_path: Path) -> None:
    """The grid begins 480 m west of the overlap, on multiples of 480 m, and ends 480 m east of it."""
    left, right = 599_520, 610_560
    grid = Grid.of(UTM, Affine(10, 0, left, 0, -10, 5_700_000), (ROWS, (right - left) // 10))
    frame = Frame("sentinel-2", 0, tuple(scene(tile, tmp_path) for tile in CORNERS))
    pixels = read_frame(frame, grid)
    x, y = np.meshgrid(grid.x, grid.y)
    assert pixels.valid.all()
    assert (pixels.values[0] == ground(x, y)).all()


def test_pixels_half_a_pixel_off_are_interpolated_to_their_position(tmp_path: Path) -> None:
    """Landsat's corners lie 15 m off multiples of 30 m. A plane is interpolated exactly where it is read right:
    30 m to the east add 30, so that a tenth of a pixel is 3."""
    left, top, pixels = 599_520, 5_700_000, 40
    x, y = np.meshgrid(left - 75 + 30 * np.arange(pixels) + 15.0, top + 75 - 30 * np.arange(pixels) - 15.0)
    path = tmp_path / "plane.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": pixels, "width": pixels, "nodata": 0}
    transform = Affine(30, 0, left - 75, 0, -30, top + 75)
    with rasterio.open(path, "w", **profile, crs=rasterio.CRS.from_user_input(UTM), transform=transform) as file:
        file.write(np.rint(5000 + (x - left) - 2 * (y - top)).astype(np.uint16), 1)
    one = Scene("L", PRODUCT, date(2024, 5, 1), {"red": FileAsset(path)}, "made")
    grid = Grid.of(UTM, Affine(30, 0, left, 0, -30, top), (32, 32))
    pixels_read = read_frame(Frame("landsat", 0, (one,)), grid)
    x, y = np.meshgrid(grid.x, grid.y)
    assert np.abs(pixels_read.values[0] - (5000 + (x - left) - 2 * (y - top))).max() <= 1
    assert kernel_of(one, "red", "B04", grid, "bilinear") == "bilinear"
