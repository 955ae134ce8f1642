"""A map made again from its item is the same, byte for byte; a model or cube that was replaced is refused."""

import json
import shutil
from datetime import date

import numpy as np
import pytest
import rasterio
import zarr
from affine import Affine
from tests.mapping.small_maps import SEASON, SENTINEL, PixelModel, make_cube, make_record, utm_grid

from agrifm.classic.features import parts_of_kind, pixel_features
from agrifm.classic.forest import ForestConfig, fit_forest, save_forest
from agrifm.cli import main
from agrifm.errors import MapError
from agrifm.grid import Window
from agrifm.map_cleaning import Cleaning
from agrifm.mapping.again import map_again
from agrifm.mapping.run import map_area
from agrifm.record import TRAINING_DATA
from agrifm.samples.patches import read_patch
from agrifm.stac import write_model_item


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with a map in which nothing is a default."""
    tmp_path = tmp_path_factory.mktemp("made")
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((2, 3)))
    sample = read_patch(cube, Window(0, 0, 96, 144), [SENTINEL], SEASON.steps(4))
    label = PixelModel().probabilities(sample).argmax(0).astype(np.uint8)
    rows = pixel_features(sample, np.ones(label.shape, bool), [SENTINEL], parts_of_kind("series"), SEASON.days)
    record = make_record(name="random-forest")
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "random-forest.skops"
    save_forest(model, fit_forest(rows[::50], label.ravel()[::50], record, ForestConfig("series")))
    write_model_item(model, record, 1, tmp_path / "models" / TRAINING_DATA)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 2, "height": 1, "crs": str(cube.target.crs)}
    place = cube.target.transform * Affine.scale(72, 96)
    with rasterio.open(tmp_path / "cover.tif", "w", transform=place, **profile) as cover:
        cover.write(np.array([[40, 10]], np.uint8), 1)
    cropland = {"cropland": tmp_path / "cover.tif", "cropland_values": (40,)}
    cleaning = Cleaning(smoothing=3, minimum_mapping_unit=0.05, **cropland)
    map_area(
        cube.path, model, tmp_path / "map", 48, 12, probabilities=True, until=date(2024, 7, 1), cleaning=cleaning
    )  # fmt: skip
    return tmp_path


@pytest.fixture
def first(made, tmp_path):
    """A copy of that map, with all that it is made of."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "map"


@pytest.mark.check
def test_the_command_makes_the_same_map(first, capsys):
    assert main(["map", "--from", str(first / "item.json")]) == 0
    names = {path.name for path in first.glob("*.tif")}
    assert {"classes.tif", "probabilities.tif"} <= names
    for name in names:
        assert (first / name).read_bytes() == (first.with_name("map-again") / name).read_bytes()
    again = json.loads((first.with_name("map-again") / "item.json").read_text())
    assert again["properties"]["agrifm:until"] == "2024-07-01"
    assert again["properties"]["agrifm:cleaning"]["not_cropland"] > 0.2
    assert f"all {len(names)} rasters" in capsys.readouterr().out
    assert main(["map", "--from", str(first), "--until", "2024-06-01"]) == 2


@pytest.mark.check
def test_rasters_that_differ_are_named(first, tmp_path):
    (first / "confidence.tif").write_bytes(b"another")
    (first / "extra.tif").write_bytes(b"one more")
    made = map_again(first, tmp_path / "new")
    assert made.different == ("confidence.tif", "extra.tif")
    assert "classes.tif" in made.identical


def test_a_replaced_model_or_cube_or_another_item_is_refused(first, tmp_path):
    group = zarr.open_group(tmp_path / "cube.zarr")
    attributes = dict(group.attrs["agrifm"])
    group.attrs["agrifm"] = {**attributes, "provenance": {"scenes": ["another"]}}
    with pytest.raises(MapError) as caught:
        map_again(first)
    assert caught.value.facts["path"] == tmp_path / "map" / "../cube.zarr"
    group.attrs["agrifm"] = attributes
    cover = tmp_path / "cover.tif"
    whole = cover.read_bytes()
    cover.write_bytes(whole + b"0")
    with pytest.raises(MapError) as caught:
        map_again(first)
    assert caught.value.facts["path"] == first / "../cover.tif"
    cover.write_bytes(whole)
    model = tmp_path / "models" / "random-forest.skops"
    model.write_bytes(model.read_bytes() + b"0")
    with pytest.raises(MapError) as caught:
        map_again(first)
    assert caught.value.facts["found"] != caught.value.facts["expected"]
    item = first / "item.json"
    content = json.loads(item.read_text())
    del content["properties"]["agrifm:settings"]
    for damaged in (json.dumps(content), "{}", "no JSON"):
        item.write_text(damaged)
        with pytest.raises(MapError) as caught:
            map_again(first)
        assert caught.value.facts["path"] == item
    assert not (tmp_path / "map-again").exists()
