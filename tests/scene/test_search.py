"""Static catalogues: what is found, what each filter removed, and what is refused."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from affine import Affine
from shapely import box
from shapely.geometry import mapping
from tests.scene.items import s2_item
from tests.scenes import AREA, LEFT, SEASON, TOP, UTM, Catalogue, at

from agrifm.cube.build import build_cube
from agrifm.cube.fetch import account
from agrifm.errors import SceneError
from agrifm.grid import Grid
from agrifm.scene.products import find_product
from agrifm.scene.read import read_asset
from agrifm.scene.search import search_catalog
from agrifm.scene.search_result import SearchResult
from agrifm.season import Season

S2, LANDSAT, MODIS = (find_product(name) for name in ("sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"))
MAY = at(5, 1)
TINY = {"blue": np.ones((2, 2), np.uint16)}


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


def add(
    catalogue: Catalogue, scene: str, moment: datetime = MAY, collection: str = S2.collection, **more: Any
) -> pystac.Item:
    properties = {"s2:processing_baseline": "05.10", **more.pop("properties", {})}
    return catalogue.add(collection, scene, moment, TINY, properties=properties, **more)


def find(catalogue: Catalogue, season: Season = SEASON, skip: tuple[str, ...] = (), products=(S2,)) -> SearchResult:
    return search_catalog(catalogue.save(), products, season, AREA, skip)


def refusal(catalogue: Catalogue, **more: Any) -> str:
    with pytest.raises(SceneError) as caught:
        find(catalogue, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def bad(item: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    """A copy of an item with another id and other properties, geometry or fields of its asset."""
    properties = {**item["properties"], **changes.get("properties", {})}
    assets = {"blue": {**item["assets"]["blue"], **changes.get("fields", {})}}
    geometry = changes.get("geometry", item["geometry"])
    return {**item, "id": name, "properties": properties, "assets": assets, "geometry": geometry}


def test_every_item_that_cannot_become_a_scene_is_named(catalogue: Catalogue) -> None:
    item = add(catalogue, "good").to_dict()
    features = [
        bad(item, "no geometry", geometry={"type": "Polygon", "coordinates": "north"}),
        bad(item, "no day", properties={"datetime": "2024"}),
        bad(item, "another scale", fields={"raster:bands": [{"scale": 3.0}]}),
        bad(item, "two systems", properties={"proj:epsg": 32631}, fields={"proj:epsg": 32632}),
        bad(item, "out of reach", fields={"href": "ftp://example.org/blue.tif"}),
        {"id": "no item"},
    ]
    names = [feature["id"] for feature in features]
    collection = catalogue.directory / "items.json"
    collection.write_text(json.dumps({"type": "FeatureCollection", "features": [item, *features]}))
    with pytest.raises(SceneError) as error:
        search_catalog(collection, [S2], SEASON, AREA)
    assert sorted(error.value.facts["failed"]) == sorted(names)
    found = search_catalog(collection, [S2], SEASON, AREA, missing="skip")
    assert [scene.id for scene in found.scenes] == ["good"]
    assert sorted(found.unusable.reasons) == sorted(names)
    skipped = search_catalog(collection, [S2], SEASON, AREA, skip=names[:-1], missing="skip")
    assert list(skipped.unusable.reasons) == ["no item"]
    assert skipped.unread == names[:-1]
    with pytest.raises(SceneError):  # a cube is never built of less than was found, unless that was asked for
        build_cube(catalogue.directory / "cube.zarr", found, SEASON, AREA)


def test_every_filter_counts_what_it_removes(catalogue: Catalogue) -> None:
    add(catalogue, "kept")
    add(catalogue, "early", at(2, 29))
    add(catalogue, "late", at(10, 1))
    add(catalogue, "elsewhere", geometry=mapping(box(30, 30, 31, 31)))
    add(catalogue, "nowhere", geometry=None)
    add(catalogue, "radar", collection="sentinel-1-grd")
    add(catalogue, "unwanted")
    found = find(catalogue, skip=("unwanted", "absent"))
    assert [scene.id for scene in found.scenes] == ["kept"]
    assert [scene.id for scene in found.skipped] == ["unwanted"]
    assert found.removed == {
        "outside the season": 2,
        "outside the area": 1,
        "without a geometry": 1,
        "of other collections": 1,
        "skipped on request": 1,
    }


def test_a_scene_has_its_day_baseline_assets_and_source(catalogue: Catalogue) -> None:
    add(catalogue, "S2A_1", at(5, 1))
    scene = find(catalogue).scenes[0]
    assert (scene.day, scene.baseline, scene.last_day) == (date(2024, 5, 1), "05.10", None)
    assert set(scene.assets) == {"blue"}
    assert scene.source.endswith("S2A_1.json")
    grid = Grid.of(UTM, Affine(480, 0, LEFT, 0, -480, TOP), (2, 2))
    assert (read_asset(scene, "blue", "B02", grid, "bilinear", 0) == 1).all()


def test_first_and_last_day_of_the_season_belong_to_it(catalogue: Catalogue) -> None:
    add(catalogue, "first", at(3, 1))
    add(catalogue, "last", at(9, 30))
    assert len(find(catalogue).scenes) == 2


def test_an_evening_pass_in_utc_is_of_the_next_solar_day_in_the_east(catalogue: Catalogue) -> None:
    area = box(150.1, -30.1, 150.2, -30)
    add(catalogue, "S2A_1", datetime(2024, 5, 1, 23, 50, tzinfo=UTC), geometry=mapping(area))
    assert search_catalog(catalogue.save(), [S2], SEASON, area).scenes[0].day == date(2024, 5, 2)


def composite(catalogue: Catalogue, scene: str, first: str, last: str | None, moment: datetime | None = None) -> None:
    properties = {"start_datetime": f"{first}T00:00:00Z", "end_datetime": f"{last or first}T23:59:59Z"}
    item = catalogue.add(MODIS.collection, scene, moment, {}, properties=properties)
    if last is None:
        del item.properties["end_datetime"]
        item.datetime = datetime.fromisoformat(properties["start_datetime"])


def test_a_composite_counts_when_any_of_its_days_is_in_the_season(catalogue: Catalogue) -> None:
    for first, last in (("2024-02-18", "2024-02-25"), ("2024-02-26", "2024-03-04"), ("2024-09-30", "2024-10-07")):
        composite(catalogue, first, first, last)
    found = find(catalogue, products=(MODIS,))
    assert [(scene.day, scene.last_day) for scene in found.scenes] == [
        (date(2024, 2, 26), date(2024, 3, 4)),
        (date(2024, 9, 30), date(2024, 10, 7)),
    ]
    assert found.removed == {"outside the season": 1}


def test_a_composite_begins_on_its_start_date_not_on_its_middle_date(catalogue: Catalogue) -> None:
    composite(catalogue, "M", "2024-05-08", "2024-05-15", at(5, 12))
    scene = find(catalogue, products=(MODIS,)).scenes[0]
    assert (scene.day, scene.last_day) == (date(2024, 5, 8), date(2024, 5, 15))


def test_a_composite_without_an_end_lasts_its_products_eight_days(catalogue: Catalogue) -> None:
    composite(catalogue, "M", "2024-05-08", None)
    assert find(catalogue, products=(MODIS,)).scenes[0].last_day == date(2024, 5, 15)


def test_no_scene_in_the_dates_is_refused_with_what_was_removed(catalogue: Catalogue) -> None:
    add(catalogue, "S2A_1", at(5, 1))
    add(catalogue, "S2A_2", at(5, 6))
    with pytest.raises(SceneError, match="2023-03-01 to 2023-09-30") as caught:
        find(catalogue, season=Season(date(2023, 3, 1), date(2023, 9, 30)))
    assert caught.value.facts["removed"] == {"outside the season": 2}


def test_an_empty_catalogue_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(SceneError) as caught:
        find(catalogue)
    assert caught.value.facts["removed"] == {}


@pytest.mark.parametrize(
    "content",
    ["{", "{}", "[]", '{"type": "Feature", "id": "x"}', "é\x00"],
)
def test_a_file_that_is_not_a_catalogue_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SceneError, match=f"{path}: .*stac-geoparquet"):
        search_catalog(path, [S2], SEASON, AREA)


def test_an_absent_catalogue_or_a_directory_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "catalog.json", tmp_path):
        with pytest.raises(SceneError, match=str(path)):
            search_catalog(path, [S2], SEASON, AREA)


def test_a_catalogue_whose_item_is_gone_is_refused(catalogue: Catalogue) -> None:
    add(catalogue, "S2A_1")
    path = catalogue.save()
    next(path.parent.rglob("S2A_1.json")).unlink()
    with pytest.raises(SceneError, match=r"S2A_1\.json"):
        search_catalog(path, [S2], SEASON, AREA)


@pytest.mark.parametrize("geometry", [{"type": "Blob"}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": "x"}])
def test_an_item_with_an_invalid_geometry_is_refused(catalogue: Catalogue, geometry: dict) -> None:
    add(catalogue, "S2A_1")
    path = catalogue.save()
    item = next(path.parent.rglob("S2A_1.json"))
    item.write_text(json.dumps({**json.loads(item.read_text()), "geometry": geometry}))
    with pytest.raises(SceneError, match=r"S2A_1.*GeoJSON"):
        search_catalog(path, [S2], SEASON, AREA)


RIGHT = {"scale": 0.0001, "offset": -0.1}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"raster:bands": [RIGHT]},
        {"raster:bands": [{"scale": 0.0001}]},
        {"raster:bands": [{"nodata": 0}]},
        {"bands": [{"raster:scale": 0.0001, "raster:offset": -0.1}]},
        {"raster:scale": 0.0001, "raster:offset": -0.1, "bands": [{"name": "B02"}]},
    ],
)
def test_an_encoding_that_agrees_with_the_product_is_accepted(catalogue: Catalogue, fields: dict) -> None:
    add(catalogue, "S2A_1", fields=fields)
    assert len(find(catalogue).scenes) == 1


@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"raster:bands": [{**RIGHT, "offset": 0}]}, "offset 0,"),
        ({"raster:bands": [{"scale": 2.75e-5}]}, "scale 2.75e-05,"),
        ({"bands": [{"raster:scale": 1, "raster:offset": -0.1}]}, "scale 1,"),
        ({"raster:scale": 0.0001, "raster:offset": 0, "bands": [{"name": "B02"}]}, "offset 0,"),
        ({"raster:bands": [RIGHT], "raster:offset": 0}, "offset 0,"),
        ({"raster:bands": [RIGHT], "bands": [{"raster:scale": 0.001}]}, "scale 0.001,"),
    ],
)
def test_an_encoding_that_contradicts_the_product_is_refused(catalogue: Catalogue, fields: dict, fact: str) -> None:
    add(catalogue, "S2A_1", fields=fields)
    sentence = refusal(catalogue)
    assert f"S2A_1: asset 'blue' states {fact}" in sentence
    assert "`skip`" in sentence


def test_an_offset_with_a_baseline_that_has_none_is_refused(catalogue: Catalogue) -> None:
    add(catalogue, "S2A_1", fields={"raster:bands": [RIGHT]}, properties={"s2:processing_baseline": "03.01"})
    assert "states offset -0.1," in refusal(catalogue)


@pytest.mark.parametrize("stated", [{}, {"s2:processing_baseline": "N/A"}])
def test_a_scene_without_a_readable_baseline_is_refused(catalogue: Catalogue, stated: dict) -> None:
    catalogue.add(S2.collection, "S2A_1", at(5, 1), TINY, properties=stated)
    assert "scene S2A_1" in refusal(catalogue)


@pytest.mark.parametrize(
    ("stated", "baseline"), [({"processing:version": "05.00"}, "05.00"), ({"s2:processing_baseline": 5.09}, "5.09")]
)
def test_a_baseline_may_be_in_the_processing_extension_or_be_a_number(
    catalogue: Catalogue, stated: dict, baseline: str
) -> None:
    catalogue.add(S2.collection, "S2A_1", at(5, 1), TINY, properties=stated)
    scene = find(catalogue).scenes[0]
    assert scene.baseline == baseline
    assert scene.encoding.offset == -0.1


def test_assets_of_no_band_may_state_what_they_like(catalogue: Catalogue) -> None:
    item = add(catalogue, "S2A_1")
    item.assets["visual"] = item.assets["blue"].clone()
    item.assets["visual"].extra_fields = {"raster:bands": [{"scale": 7}]}
    assert set(find(catalogue).scenes[0].assets) == {"blue"}


def test_the_cloud_limit_reads_numbers_and_text_and_counts_the_rest(catalogue: Catalogue) -> None:
    kept = (10, 60.0, "59.9", "6e1 %", None, True, -5, 999, "nan", "cloudy")
    for number, stated in enumerate((*kept, 60.1, "99", "99 %")):
        add(catalogue, f"S2A_{number:02d}", at(5, 1 + number), properties={"eo:cloud_cover": stated})
    add(catalogue, "S2A_99", at(5, 30))
    found = search_catalog(catalogue.save(), [S2], SEASON, AREA, cloud=60)
    assert [scene.id for scene in found.scenes] == [*(f"S2A_{number:02d}" for number in range(len(kept))), "S2A_99"]
    assert found.removed == {"cloudier than 60 %": 3}
    assert found.without_cloud_cover == 7


@pytest.mark.parametrize(("covers", "said"), [((0.2, 0.95, 0), True), ((0.2, 0.95, 3), False), ((0, 0, 0), False)])
def test_cloud_covers_that_may_be_fractions_are_said(catalogue: Catalogue, covers: tuple, said: bool) -> None:
    for number, stated in enumerate(covers):
        add(catalogue, f"S2A_{number}", at(5, 1 + number), properties={"eo:cloud_cover": stated})
    found = search_catalog(catalogue.save(), [S2], SEASON, AREA, cloud=60)
    assert any("fraction" in line for line in account(found)) == said


@pytest.mark.parametrize("collection", [None, "my-sentinel"])
def test_items_of_another_collection_are_refused_with_its_name(catalogue: Catalogue, collection: str | None) -> None:
    add(catalogue, "S2A_1", collection=collection)  # type: ignore[arg-type]  # as rio-stac writes items by default
    sentence = refusal(catalogue)
    assert (collection or "no collection") in sentence
    assert "'sentinel-2-c1-l2a'" in sentence
    # what the sentence advises works
    product = replace(S2, name="mine", collection=collection or "")
    assert [scene.id for scene in find(catalogue, products=(product,)).scenes] == ["S2A_1"]


@pytest.mark.parametrize("key", ["id", "collection"])
@pytest.mark.parametrize("value", [[1], {}, 7], ids=str)
def test_an_item_whose_name_is_not_a_text_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [{**s2_item(), key: value}]}))
    with pytest.raises(SceneError) as error:
        search_catalog(path, [find_product("sentinel-2-c1-l2a")], SEASON, AREA)
    assert error.value.facts["key"] == key
