"""Pictures: colours, scale bars of round lengths, reading at reduced size, and the packages they need."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Geod

from agrifm.grid import Grid
from agrifm.pictures import class_colors, class_rgba, read_reduced, rgb, scale_bar
from tests.mapping.small_maps import LEGEND, utm_grid


def test_hex_colours_are_three_bytes():
    assert rgb("#cc6677") == (0xCC, 0x66, 0x77)
    assert class_colors(LEGEND)[2] == (0xDD, 0xDD, 0xDD, 255)
    assert class_colors(LEGEND)[255] == (0, 0, 0, 0)


def test_masked_pixels_and_values_without_colour_are_transparent():
    pixels = np.ma.MaskedArray(np.array([[2, 7, 9]]), [[False, False, True]])
    rgba = class_rgba(pixels, {2.0: (1, 2, 3, 255), 9.0: (4, 5, 6, 255)})
    assert rgba.tolist() == [[[1, 2, 3, 255], [0, 0, 0, 0], [0, 0, 0, 0]]]


@pytest.mark.parametrize(("cells", "label"), [((2, 3), "200 m"), ((30, 63), "5 km")])
def test_a_scale_bar_is_a_round_length_below_its_share_of_the_width(cells, label):
    grid = utm_grid(cells)
    text, share = scale_bar(grid, 0.25)
    number, unit = text.split()
    assert text == label
    assert share * grid.shape[1] * 10 == pytest.approx(float(number) * {"m": 1, "km": 1000}[unit])
    assert 0.1 <= share <= 0.25


def test_a_scale_bar_in_degrees_is_the_length_along_the_parallel():
    grid = Grid.of("EPSG:4326", Affine(0.01, 0, 4, 0, -0.01, 51), (100, 100))
    text, share = scale_bar(grid, 0.3)
    assert text == "20 km"
    assert share == pytest.approx(20_000 / Geod(ellps="WGS84").inv(4, 50.5, 5, 50.5)[2])


def test_reading_reduced_keeps_proportions_and_masks_nodata(tmp_path):
    values = np.repeat(np.arange(4, dtype=np.uint8), 50)[None].repeat(100, 0)
    values[:, :50] = 255
    profile = {"driver": "GTiff", "height": 100, "width": 200, "count": 1, "dtype": "uint8", "nodata": 255}
    with rasterio.open(tmp_path / "a.tif", "w", transform=Affine(10, 0, 0, 0, -10, 0), crs=32631, **profile) as file:
        file.write(values, 1)
    with rasterio.open(tmp_path / "a.tif") as source:
        reduced = read_reduced(source, 20)
        assert read_reduced(source, 1000).shape == (100, 200)
    assert reduced.shape == (10, 20)
    assert reduced.mask[:, :5].all()
    assert reduced[0, 5:].tolist() == [1] * 5 + [2] * 5 + [3] * 5
