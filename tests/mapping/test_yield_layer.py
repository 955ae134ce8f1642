"""Maps of yields: tonnes as they are, where the crop is, the same whatever the windows, and made again."""

import json

import numpy as np
import pystac
import pytest
import rasterio
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from tests.mapping.small_maps import PixelModel, make_cube, make_record, utm_grid

from agrifm.errors import MapError
from agrifm.grid import Window
from agrifm.legend import LEGEND_TAG, Legend, legend_json
from agrifm.map_cleaning import Cleaning
from agrifm.mapping.crop_mask import CropMask
from agrifm.mapping.run import map_cube
from agrifm.yields import YieldScale

SCALE = YieldScale(mean=6, std=2, highest=20, factor=1.5)
TRUE = 4 + np.indices((144, 144)).sum(0) / 48
"""t/ha."""


class KnownYields(PixelModel):
    """Knows the yields; the spread is 1 t/ha in the west and 0.5 in the east."""

    def __init__(self, scale=SCALE):
        training = {"yield": scale.model_dump()}
        super().__init__(make_record(task="yield", legend=Legend.of(["wheat"]), training=training))

    def probabilities(self, sample):
        """(2, H, W): yield and spread as shares of 20 t/ha."""
        spread = np.where(np.arange(144) < 72, 1.0, 0.5)[None].repeat(144, 0)
        return (np.stack([TRUE, spread]) / 20)[:, *sample.window.slices].astype(np.float32)


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    grid = utm_grid((3, 3))
    return make_cube(tmp_path_factory.mktemp("cube") / "cube.zarr", grid, unseen=(slice(0, 5), slice(0, 5)))


def write_mask(path, values):
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 144, "width": 144}
    grid = utm_grid((3, 3))
    with rasterio.open(path, "w", crs=grid.crs.to_wkt(), transform=grid.transform, **profile) as target:
        target.write(values, 1)
    return path


def test_the_raster_has_tonnes_without_scale_and_their_interval(cube, tmp_path):
    summary = map_cube(cube, KnownYields(), "a", tmp_path / "map", 144, 0)
    map_cube(cube, KnownYields(), "a", tmp_path / "cut", 96, 48)
    assert (tmp_path / "map" / "yield.tif").read_bytes() == (tmp_path / "cut" / "yield.tif").read_bytes()
    with rasterio.open(tmp_path / "map" / "yield.tif") as source:
        tonnes, lower, upper = source.read()
        assert source.units == ("t/ha",) * 3
        assert source.scales == (1.0,) * 3
        assert source.tags()["AGRIFM_UNIT"] == "t/ha"
        assert np.isnan(source.nodata)
    known = np.ones((144, 144), bool)
    known[:5, :5] = False
    assert np.array_equal(~np.isnan(tonnes), known)
    assert tonnes[known] == pytest.approx(TRUE[known], abs=0.02)  # sixteen bits on the way
    assert (upper - lower)[40, 20] == pytest.approx(3.0, abs=0.03)
    assert (upper - lower)[40, 100] == pytest.approx(1.5, abs=0.03)
    assert summary.hectares == {"wheat": pytest.approx(known.sum() / 100)}
    assert summary.nodata_hectares == pytest.approx(0.25, abs=0.001)
    item = json.loads((tmp_path / "map" / "item.json").read_text())
    JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    assert set(item["assets"]) == {"yield", "preview"}
    assert {band["unit"] for band in item["assets"]["yield"]["bands"]} == {"t/ha"}
    assert "production_t" not in item["properties"]["agrifm:yield"]  # where the crop grows is not known
    assert "t/ha" in (tmp_path / "map" / "yield.qml").read_text()


def test_yields_and_production_are_of_the_crop_only(cube, tmp_path):
    crop = np.zeros((144, 144), np.uint8)
    crop[50:100, 50:120] = 40
    mask = write_mask(tmp_path / "mask.tif", crop)
    cleaning = Cleaning(cropland=mask, cropland_values=(40,))
    map_cube(cube, KnownYields(), "a", tmp_path / "map", 144, 0, cleaning=cleaning)
    with rasterio.open(tmp_path / "map" / "yield.tif") as source:
        assert np.array_equal(~np.isnan(source.read(1)), crop == 40)
    stated = json.loads((tmp_path / "map" / "item.json").read_text())["properties"]["agrifm:yield"]
    assert stated["hectares"] == 35
    assert stated["production_t"] == pytest.approx(TRUE[crop == 40].sum() / 100, rel=1e-3)
    with pytest.raises(MapError) as error:
        map_cube(cube, KnownYields(), "a", tmp_path / "other", 144, 0, cleaning=Cleaning(cropland=mask))
    assert error.value.facts["path"] == mask
    empty = Cleaning(
        cropland=write_mask(tmp_path / "empty.tif", np.full((144, 144), 10, np.uint8)), cropland_values=(4,)
    )
    with pytest.raises(MapError):
        map_cube(cube, KnownYields(), "a", tmp_path / "none", 144, 0, cleaning=empty)


@pytest.mark.parametrize(
    ("classes", "number", "words"),
    [
        ([{"code": "rye"}, {"code": "wheat"}], 1, "has wheat"),
        ([{"code": "cereals", "members": ["wheat", "rye"]}, {"code": "other"}], 0, "has wheat"),
        ([{"code": "other"}, {"code": "cropland"}], 1, "as if all of it were wheat"),
    ],
)
def test_a_map_of_crops_says_itself_where_the_crop_is(tmp_path, classes, number, words):
    path = write_mask(tmp_path / "mask.tif", np.repeat([0, 1, 255], 48)[:, None].repeat(144, 1).astype(np.uint8))
    legend = Legend.model_validate({"classes": [{"name": one["code"], "color": "#112233", **one} for one in classes]})
    with rasterio.open(path, "r+") as target:
        target.nodata = 255
        target.update_tags(**{LEGEND_TAG: legend_json(legend)})
    mask = CropMask(path, Cleaning(), ["wheat"], utm_grid((3, 3)))
    assert np.array_equal(mask.inside(Window(0, 0, 144, 144)), (np.arange(144) // 48 == number)[:, None].repeat(144, 1))
    assert words in mask.words
