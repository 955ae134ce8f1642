"""Smoothing and the minimum mapping unit: naive loops as oracles, and maps that do not depend on how they are cut."""

import json
from itertools import product
from math import ceil, log

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError
from rasterio import warp
from rasterio.features import sieve
from shapely import box
from tests.mapping.small_maps import PixelModel, make_cube, utm_grid

from agrifm.errors import MapError
from agrifm.grid import reproject
from agrifm.legend import Legend, legend_json
from agrifm.map_cleaning import Cleaning
from agrifm.mapping import class_chooser, map_rasters
from agrifm.mapping.class_smoothing import smoothed_scores
from agrifm.mapping.run import map_cube
from agrifm.mapping.small_regions import margin_of, without_small_regions


def test_smoothing_is_the_published_equation_pixel_by_pixel():
    """Camara et al. 2024: prior mean and variance of the likelier half of the neighbours."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], (9, 10)).transpose(2, 0, 1)
    probabilities[:, 4, 4] = np.nan
    found = smoothed_scores(probabilities, 5)
    for number, row, col in product(range(3), range(5), range(6)):
        window = probabilities[number, row : row + 5, col : col + 5].ravel()
        odds = [log(p / (1 - p)) for p in window if not np.isnan(p)]
        kept = sorted(odds, reverse=True)[: ceil(len(odds) / 2)]
        mean, variance = np.mean(kept), np.var(kept, ddof=1)
        centre = window[12]
        expected = (variance * log(centre / (1 - centre)) + 20 * mean) / (variance + 20) if centre == centre else np.nan
        np.testing.assert_allclose(found[number, row, col], expected, rtol=2e-4, atol=2e-4)


def test_a_straight_edge_stays_where_it_is_and_a_single_pixel_goes():
    likely = np.full((16, 16), 0.9)
    likely[:, 8:] = 0.1
    likely[4, 4] = 0.2
    padded = np.pad(np.stack([likely, 1 - likely]), ((0, 0), (3, 3), (3, 3)), constant_values=np.nan)
    number = smoothed_scores(padded, 7).argmax(axis=0)
    assert (number[:, :8] == 0).all()
    assert (number[:, 8:] == 1).all()


def test_regions_become_what_gdal_makes_of_them_where_one_class_surrounds_them():
    """GDAL's sieve gives a region to its largest neighbour; with a single neighbour that is the longest border too."""
    number = np.zeros((60, 70), np.uint8)
    number[:, 35:] = 1
    rng = np.random.default_rng(1)
    for row, col in product(range(4, 56, 8), [*range(4, 30, 7), *range(40, 64, 7)]):
        number[row : row + rng.integers(1, 5), col : col + rng.integers(1, 5)] = 2
    expected = sieve(number, 9)
    assert (expected != number).any()
    np.testing.assert_array_equal(without_small_regions(number, 9, np.zeros(number.shape, bool)), expected)


def test_a_region_takes_the_class_of_its_longest_border_and_nodata_has_none():
    number = np.full((6, 9), 255, np.uint8)
    number[:, :3], number[:, 4:] = 1, 2
    number[1:4, 3] = 3
    number[1:4, 2] = 3  # two columns: three pixels of border with 1, three with 2, and more with 1 above and below
    found = without_small_regions(number, 7, np.zeros(number.shape, bool))
    assert (found[1:4, 2:4] == 1).all()
    alone = np.full((5, 5), 255, np.uint8)
    alone[2, 2] = 1
    assert (without_small_regions(alone, 9, np.zeros((5, 5), bool)) == alone).all()


@pytest.mark.parametrize("side", [16, 48])
def test_tiles_with_their_margin_give_the_whole(side):
    rng = np.random.default_rng(2)
    number = rng.choice(np.array([0, 1, 2, 255], np.uint8), (96, 96), p=[0.6, 0.25, 0.1, 0.05])
    whole = without_small_regions(number, 6, np.zeros(number.shape, bool))
    assert (whole != number).any()
    for row, col in product(range(0, 96, side), repeat=2):
        tile = class_chooser.Window(row, col, side, side)
        grown = tile.grown(margin_of(6), number.shape)
        cut = np.zeros((grown.height, grown.width), bool)
        cut[0], cut[-1] = grown.row > 0, grown.row + grown.height < 96
        cut[:, 0] |= grown.col > 0
        cut[:, -1] |= grown.col + grown.width < 96
        part = without_small_regions(number[grown.slices], 6, cut)[tile.within(grown).slices]
        np.testing.assert_array_equal(part, whole[tile.slices])


def content(directory, name):
    with rasterio.open(directory / f"{name}.tif") as source:
        return source.read()


def test_a_cleaned_map_does_not_depend_on_windows_and_tiles(tmp_path, monkeypatch):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((3, 4)), unseen=(slice(0, 10), slice(0, 20)))
    cleaning = Cleaning(smoothing=5, minimum_mapping_unit=0.08)
    map_cube(cube, PixelModel(), "a", tmp_path / "plain", 192, 0, probabilities=True)
    summary = map_cube(cube, PixelModel(), "a", tmp_path / "whole", 192, 0, probabilities=True, cleaning=cleaning)
    for module in (map_rasters, class_chooser):
        monkeypatch.setattr(module, "TILE_SIDE", 64)
    map_cube(cube, PixelModel(), "a", tmp_path / "tiled", 48, 20, probabilities=True, cleaning=cleaning)
    plain, whole = (content(tmp_path / name, "classes")[0] for name in ("plain", "whole"))
    np.testing.assert_array_equal(content(tmp_path / "tiled", "classes")[0], whole)
    np.testing.assert_array_equal(whole == 255, plain == 255)
    assert (whole != plain).mean() > 0.01
    np.testing.assert_array_equal(
        content(tmp_path / "plain", "probabilities"), content(tmp_path / "whole", "probabilities")
    )
    of_class = np.take_along_axis(content(tmp_path / "whole", "probabilities"), np.minimum(whole, 2)[None], axis=0)[0]
    percent, known = content(tmp_path / "whole", "confidence")[0], whole != 255
    assert np.abs(percent[known] - of_class[known] / 2.5).max() <= 0.75
    stated = json.loads((tmp_path / "whole" / "item.json").read_text())["properties"]["agrifm:cleaning"]
    assert stated["smoothed"] + stated["merged"] >= (whole != plain)[known].mean() - 1e-6
    assert stated["smoothing"] == 5
    assert "minimum mapping unit" in " ".join(summary.lines())
    assert not list(tmp_path.glob("*/.classes*"))


def write_cropland(path, values, legend=None):
    """A raster of 30 m in another projection over the cube of 2 x 3 squares; its left half is 40."""
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, width=100, height=100, crs="EPSG:3857",
        transform=rasterio.transform.from_origin(*values, 30, 30),
    ) as file:  # fmt: skip
        content = np.full((100, 100), 10, np.uint8)
        content[:, :25] = 40
        file.write(content, 1)
        if legend is not None:
            file.update_tags(AGRIFM_LEGEND=legend_json(legend))


def test_what_is_not_cropland_becomes_other_land_and_the_rest_stays(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((2, 3)))
    west, _, _, north = cube.target.bounds
    corner = reproject(box(*cube.target.bounds), "EPSG:32631", "EPSG:3857").bounds
    write_cropland(tmp_path / "cover.tif", (corner[0] - 60, corner[3] + 60))
    map_cube(cube, PixelModel(), "a", tmp_path / "plain", 96, 0)
    gate = Cleaning(cropland=tmp_path / "cover.tif", cropland_values=(40,))
    summary = map_cube(cube, PixelModel(), "a", tmp_path / "gated", 96, 0, cleaning=gate)
    plain, gated = (content(tmp_path / name, "classes")[0] for name in ("plain", "gated"))
    rows, cols = np.mgrid[:96, :144]
    lon = west + (cols + 0.5) * 10
    eastings, _ = warp.transform("EPSG:32631", "EPSG:3857", lon.ravel(), (north - (rows + 0.5) * 10).ravel())
    column = (np.array(eastings).reshape(96, 144) - (corner[0] - 60)) / 30
    sure = abs(column - 25) > 0.1
    other = PixelModel().record.legend.codes.index("other")
    assert (gated[sure & (column < 25)] == plain[sure & (column < 25)]).all()
    assert (gated[sure & (column > 25)] == other).all()
    stated = json.loads((tmp_path / "gated" / "item.json").read_text())
    assert stated["properties"]["agrifm:cleaning"]["not_cropland"] == pytest.approx((gated != plain).mean(), abs=1e-4)
    assert "../cover.tif" in [link["href"] for link in stated["links"]]
    assert "not cropland" in " ".join(summary.lines())


def test_a_map_of_cropland_is_known_by_its_legend_and_others_need_their_values(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((1, 1)))
    corner = reproject(box(*cube.target.bounds), "EPSG:32631", "EPSG:3857").bounds
    write_cropland(tmp_path / "cover.tif", (corner[0] - 60, corner[3] + 60))
    with pytest.raises(MapError) as caught:
        map_cube(cube, PixelModel(), "a", tmp_path / "map", 48, 0, cleaning=Cleaning(cropland=tmp_path / "cover.tif"))
    assert caught.value.facts == {"path": tmp_path / "cover.tif"}
    (tmp_path / "cropland").mkdir()
    legend = Legend.of([*(f"land{number}" for number in range(40)), "cropland"])
    write_cropland(tmp_path / "cropland" / "classes.tif", (corner[0] - 1_000, corner[3] + 60), legend)
    map_cube(cube, PixelModel(), "a", tmp_path / "map", 48, 0, cleaning=Cleaning(cropland=tmp_path / "cropland"))
    assert (content(tmp_path / "map", "classes")[0] == 2).all()


def test_a_unit_of_too_many_pixels_and_an_even_side_are_refused(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((1, 1)))
    with pytest.raises(MapError) as caught:
        map_cube(cube, PixelModel(), "a", tmp_path / "map", 48, 0, cleaning=Cleaning(minimum_mapping_unit=6))
    assert caught.value.facts == {"pixels": 600, "most": 500}
    with pytest.raises(ValidationError):
        Cleaning(smoothing=4)
