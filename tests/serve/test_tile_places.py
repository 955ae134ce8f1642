"""Tiles on grids: places by the formulas of web maps, pixels as GDAL warps them."""

import io

import numpy as np
import pytest
from affine import Affine
from matplotlib.image import imread
from pyproj import Transformer
from rasterio.warp import Resampling, reproject

from agrifm.grid import LONLAT, Grid
from agrifm.serve.tile_places import SIDE, empty_tile, fitting_zoom, is_tile, tile_places

UTM = Grid.of("EPSG:32631", Affine(10, 0, 447_840, 0, -10, 5_197_440), (768, 640))
DEGREES = Grid.of(LONLAT, Affine(1e-4, 0, 2.3, 0, -1e-4, 46.95), (700, 900))


def tile_of(grid, zoom):
    """The tile of the middle of a grid, by the formulas of OpenStreetMap's wiki (Slippy map tilenames)."""
    west, south, east, north = grid.footprint().bounds
    lon, lat = (west + east) / 2, np.radians((south + north) / 2)
    return int((lon + 180) / 360 * 2**zoom), int((1 - np.arcsinh(np.tan(lat)) / np.pi) / 2 * 2**zoom)


def corner(zoom, x, y):
    """Longitude and latitude of a place in tile numbers, by the same page."""
    return x / 2**zoom * 360 - 180, np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * y / 2**zoom))))


@pytest.mark.parametrize("grid", [UTM, DEGREES], ids=["metres", "degrees"])
@pytest.mark.parametrize("zoom", [9, 12, 15])
def test_places_are_those_of_the_formulas_to_a_fiftieth_of_a_pixel(grid, zoom):
    x, y = tile_of(grid, zoom)
    places = tile_places(grid, zoom, x, y)
    to_grid = Transformer.from_crs(LONLAT, str(grid.crs), always_xy=True)
    for row, col in ((0, 0), (100, 17), (255, 255), (3, 250)):
        east, north = to_grid.transform(*corner(zoom, x + (col + 0.5) / SIDE, y + (row + 0.5) / SIDE))
        wanted = ~grid.transform @ (east, north)
        tolerance = max(0.02, 0.02 * 156_543 * 0.68 / 2**zoom / 10)  # pixels of the grid, or of the tile
        assert (places.col[row, col], places.row[row, col]) == pytest.approx(wanted, abs=tolerance)


def test_a_tile_has_the_pixels_that_gdal_warps():
    values = np.random.default_rng(0).integers(0, 250, UTM.shape).astype(np.uint8)
    zoom = 14
    x, y = tile_of(UTM, zoom)
    half, step = 20_037_508.342789244, 2 * 20_037_508.342789244 / 2**zoom
    target = np.full((SIDE, SIDE), 255, np.uint8)
    transform = Affine(step / SIDE, 0, x * step - half, 0, -step / SIDE, half - y * step)
    place = {"src_crs": "EPSG:32631", "dst_crs": "EPSG:3857", "dst_transform": transform}
    reproject(values, target, src_transform=UTM.transform, **place, resampling=Resampling.nearest, dst_nodata=255)
    places = tile_places(UTM, zoom, x, y)
    found = places.taken(values[places.window.slices], 255)
    assert (found == target).mean() > 0.98  # GDAL interpolates places too, with an error of an eighth of a pixel


def test_a_tile_elsewhere_has_no_places():
    assert tile_places(UTM, 12, 0, 0) is None
    assert tile_places(UTM, 3, 7, 7) is None


@pytest.mark.parametrize(("z", "x", "y"), [(21, 0, 0), (2, 4, 0), (2, 0, 4), (-1, 0, 0), (3, -1, 0)])
def test_there_are_no_other_tiles(z, x, y):
    assert not is_tile(z, x, y)


def test_a_tile_of_the_fitting_zoom_has_few_pixels():
    zoom = fitting_zoom(UTM, 300**2)
    x, y = tile_of(UTM, zoom)
    near = [tile_places(UTM, zoom, x + right, y + down) for right in (-1, 0, 1) for down in (-1, 0, 1)]
    assert max(one.window.height * one.window.width for one in near if one is not None) <= 300**2
    assert fitting_zoom(UTM, 768 * 640) == 0


def test_the_empty_tile_is_transparent():
    pixels = imread(io.BytesIO(empty_tile()))
    assert pixels.shape == (SIDE, SIDE, 4)
    assert not pixels[..., 3].any()
