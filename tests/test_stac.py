"""STAC items: class names that the extensions allow, a lineage that is true, and the fields of MLM v1.6.0."""

import json
import re
from datetime import date
from pathlib import Path

import pystac
import pytest
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from shapely import box

from agrifm.legend import Legend
from agrifm.record import ModelRecord
from agrifm.season import Season
from agrifm.stac import map_lineage, write_map_item, write_mean_item, write_model_item
from tests.mapping.small_maps import LEGEND, MODIS, SEASON, SENTINEL, make_record, utm_grid

AWKWARD = Legend.of(["winter wheat", "Möhre", "a/b", "other"])
CLASS_NAME = re.compile(r"[0-9A-Za-z_-]+")
# MLM v1.6.0: what an item has to have, and the patterns of its names and versions
REQUIRED = ("mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output")
MODEL_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]")
VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


def model_item(directory: Path, record: ModelRecord, name: str = "agrifm.safetensors") -> pystac.Item:
    return pystac.Item.from_file(str(write_model_item(directory / name, record, 1000, directory / "training.gpkg")))


def mean_item(directory: Path, record: ModelRecord) -> pystac.Item:
    files, path = ["agrifm.safetensors", "classic.skops"], directory / "agrifm+classic.json"
    record = record.model_copy(update={"name": "agrifm+classic"})
    write_mean_item(path, record, files, {"members": 2}, 1000, directory / "training.gpkg")
    return pystac.Item.from_file(str(path))


def map_item(directory: Path, record: ModelRecord, season: Season = SEASON) -> pystac.Item:
    lineage = map_lineage(record, {"sentinel-2": None}, 96, 24)
    hectares = dict.fromkeys(record.legend.codes, 1.23456)
    write_map_item(directory, directory, record, season, box(4, 50, 5, 51), utm_grid(), lineage, hectares, 0.5, {})
    return pystac.Item.from_file(str(directory / "item.json"))


def classes_of(item: pystac.Item) -> list[dict[str, object]]:
    if "classes" in item.assets:
        return item.assets["classes"].extra_fields["classification:classes"]
    return item.properties["mlm:output"][0]["classification:classes"]


@pytest.mark.parametrize("write", [model_item, map_item])
def test_class_names_hold_only_what_the_extension_allows(tmp_path, write):
    item = write(tmp_path, make_record(legend=AWKWARD))
    assert any("classification/v2" in url for url in item.stac_extensions)
    classes = [entry for entry in classes_of(item) if entry["value"] < len(AWKWARD)]
    assert [entry["value"] for entry in classes] == [0, 1, 2, 3]
    assert all(CLASS_NAME.fullmatch(entry["name"]) for entry in classes)
    assert [entry["title"] for entry in classes] == ["winter wheat", "Möhre", "a/b", "other"]
    assert all(re.fullmatch("[0-9A-F]{6}", entry["color_hint"]) for entry in classes)


@pytest.mark.parametrize(
    ("series", "fact"),
    [("interpolated", "interpolated to 4 steps"), ("composites", "4 equal periods"), ("observed", "every observation")],
)
def test_the_lineage_says_how_the_model_sees_the_season(tmp_path, series, fact):
    lineage = map_item(tmp_path, make_record(series=series)).properties["processing:lineage"]
    assert fact in lineage
    assert ("interpolated" in lineage) == (series == "interpolated")
    assert "96 pixels sharing 24" in lineage


@pytest.mark.parametrize("name", ["agrifm.safetensors", "forest.skops"])
def test_a_model_item_has_the_fields_of_mlm(tmp_path, name):
    versions = {"torch": "2.13.0+cpu", "scikit-learn": "1.9.1"}
    item = model_item(tmp_path, make_record((SENTINEL, MODIS), versions=versions), name)
    assert "https://stac-extensions.github.io/mlm/v1.6.0/schema.json" in item.stac_extensions
    assert all(item.properties[key] for key in REQUIRED)
    assert MODEL_NAME.fullmatch(item.properties["mlm:name"])
    assert VERSION.fullmatch(item.properties["mlm:framework_version"])
    assert isinstance(item.properties["mlm:total_parameters"], int)
    (model_input,), (output,) = item.properties["mlm:input"], item.properties["mlm:output"]
    assert len(model_input["input"]["shape"]) == len(model_input["input"]["dim_order"])
    assert model_input["input"]["shape"][2] == len(model_input["bands"]) == len(model_input["value_scaling"]) == 4
    assert output["result"]["shape"][1] == len(output["classification:classes"]) == len(LEGEND)
    # every band that the input names is described in the item, which the schema requires
    assert [band["name"] for band in item.properties["bands"]] == model_input["bands"]
    (model,) = (asset for asset in item.assets.values() if "mlm:model" in asset.roles)
    assert model.href.endswith(name)
    assert model.extra_fields["mlm:artifact_type"]
    assert json.loads((tmp_path / name).with_suffix(".json").read_text())["stac_version"] >= "1.1"


def test_the_item_of_a_mean_has_the_fields_of_mlm_and_its_members_as_assets(tmp_path):
    item = mean_item(tmp_path, make_record((SENTINEL, MODIS)))
    assert all(item.properties[key] for key in REQUIRED)
    assert MODEL_NAME.fullmatch(item.properties["mlm:name"])
    assert item.properties["agrifm:mean"] == {"members": 2}
    members = [asset for asset in item.assets.values() if "mlm:model" in asset.roles]
    assert [Path(asset.href).name for asset in members] == ["agrifm.safetensors", "classic.skops"]
    assert len({asset.extra_fields["mlm:artifact_type"] for asset in members}) == 2
    assert item.assets["training"].roles == ["training-data"]


def test_an_unknown_framework_version_is_left_out(tmp_path):
    assert "mlm:framework_version" not in model_item(tmp_path, make_record(versions={})).properties


def test_a_map_of_another_season_is_dated_by_that_season(tmp_path):
    season = Season(date(2025, 3, 1), date(2025, 9, 30))
    item = map_item(tmp_path, make_record(), season)
    assert item.common_metadata.start_datetime.date() == season.start
    assert item.common_metadata.end_datetime.date() == season.end
    assert item.properties["agrifm:hectares"]["1110"] == 1.2346


@pytest.mark.parametrize("write", [model_item, mean_item, map_item])
def test_items_are_valid_by_the_core_schema_of_stac(tmp_path, write):
    item = write(tmp_path, make_record((SENTINEL, MODIS), legend=AWKWARD)).to_dict(include_self_link=False)
    JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    del item["properties"]["start_datetime"]
    with pytest.raises(pystac.STACValidationError):
        JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
