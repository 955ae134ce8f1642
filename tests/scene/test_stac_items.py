"""Items to scenes: five real documents of three dialects, and what is refused in one sentence."""

import copy
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest
from shapely import box
from shapely.geometry import mapping
from tests.data_sets import DATA as DATA_SETS

from agrifm.errors import SceneError
from agrifm.scene.products import find_product
from agrifm.scene.providers import PROVIDERS
from agrifm.scene.scene import FileAsset, RemoteAsset, Scene
from agrifm.scene.stac_items import is_of_sensor, scene_of

DATA = DATA_SETS / "stac_items"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the data sets at AGRIFM_DATA")
S2, LANDSAT = find_product("sentinel-2-c1-l2a"), find_product("landsat-c2-l2")


def real(name: str, product: str) -> Scene:
    item = pystac.Item.from_file(str(next(DATA.glob(name))))
    return scene_of(item, find_product(product), 0.0)


@needs_data
def test_earth_search_v0_has_its_baseline_in_the_product_id_only() -> None:
    scene = real("S2A_28QCH*", "sentinel-2-l2a-earth-search-v0")
    assert (scene.day, scene.baseline, scene.offset_removed) == (date(2020, 7, 14), "02.14", None)
    assert (scene.encoding.scale, scene.encoding.offset) == (0.0001, 0)
    assert scene.encoding.source == "offset 0 from processing baseline 02.14"
    assert set(scene.assets) == {*scene.product.bands, "SCL"}


@needs_data
def test_a_planetary_computer_item_has_its_offset_from_its_baseline() -> None:
    scene = real("S2B_MSIL2A*", "sentinel-2-l2a-planetary-computer")
    assert (scene.baseline, scene.encoding.offset, scene.encoding.scale) == ("02.12", 0, 0.0001)
    blue = scene.assets["B02"]
    assert isinstance(blue, RemoteAsset)
    assert blue.provider is PROVIDERS["planetary-computer"]
    assert blue.href.startswith("https://sentinel2l2a01.blob.core.windows.net/")


@needs_data
def test_a_usgs_item_is_read_as_landsat_8() -> None:
    scene = real("LC08_L2SP_028030*", "landsat-c2-l2-usgs")
    assert (scene.day, scene.encoding.scale, scene.encoding.offset) == (date(2020, 1, 14), 2.75e-5, -0.2)
    assert set(scene.assets) == {"blue", "green", "red", "nir08", "swir16", "swir22", "qa_pixel"}


@needs_data
def test_an_item_in_the_antarctic_is_refused_with_its_latitude_and_crs() -> None:
    with pytest.raises(SceneError) as caught:
        real("LC08_L2SR_081119*", "landsat-c2-l2-usgs")
    sentence = str(caught.value)
    assert "LC08_L2SR_081119_20200101_20200823_02_T2" in sentence
    assert "latitude -80.8 (CRS EPSG:3031)" in sentence


@needs_data
def test_older_asset_keys_and_platform_names_are_read_as_todays() -> None:
    """The same document of STAC 1.0.0-beta.2, moved to where there is a UTM zone."""
    content = json.loads(next(DATA.glob("LC08_L2SR_081119*")).read_text())
    content["geometry"] = mapping(box(3, 49, 4, 50))
    content["bbox"] = [3, 49, 4, 50]
    scene = scene_of(pystac.Item.from_dict(content), find_product("landsat-c2-l2-usgs"), 3.0)
    assert {"blue", "nir08", "qa_pixel"} <= set(scene.assets)
    assert scene.assets["nir08"].href.endswith("SR_B5.TIF")  # type: ignore[union-attr]


@needs_data
def test_the_keys_of_the_planetary_computers_collection_are_the_products() -> None:
    content = json.loads((DATA / "sentinel-2-l2a.collection.json").read_text())
    keys = set(content["item_assets"])
    product = find_product("sentinel-2-l2a-planetary-computer")
    assert {*product.assets.values(), *product.quality_bands} <= keys


def item(properties: dict[str, Any] | None = None, geometry: Any = mapping(box(3, 49, 4, 50)), **assets: Any) -> Any:  # noqa: B008
    moment = datetime(2024, 5, 1, 10, 50, tzinfo=UTC)
    made = pystac.Item("X", geometry, None, moment, {"s2:processing_baseline": "05.10", **(properties or {})})
    for key, fields in ({"blue": {}} | assets).items():
        made.add_asset(key, pystac.Asset(f"/nowhere/{key}.tif", extra_fields=fields))
    return made


def refusal(made: pystac.Item, product: str = "sentinel-2-c1-l2a") -> str:
    with pytest.raises(SceneError) as caught:
        scene_of(made, find_product(product), 3.0)
    sentence = str(caught.value)
    assert "scene X: " in sentence
    assert "\n" not in sentence
    return sentence


def test_an_item_without_a_geometry_is_refused() -> None:
    assert "geometry" in refusal(item(geometry=None))


@pytest.mark.parametrize("geometry", [{"type": "Blob"}, {"type": "Polygon", "coordinates": "x"}])
def test_an_item_with_an_invalid_geometry_is_refused(geometry: dict) -> None:
    assert "GeoJSON" in refusal(item(geometry=geometry))


@pytest.mark.parametrize(("south", "inside"), [(-80.4, False), (-79.9, True), (83.8, False), (83.2, True)])
def test_the_middle_of_a_scene_must_be_in_a_utm_zone(south: float, inside: bool) -> None:
    made = item({"proj:code": "EPSG:3031"}, geometry=mapping(box(3, south, 4, south + 0.6)))
    if inside:
        assert scene_of(made, S2, 3.0)
    else:
        assert "(CRS EPSG:3031)" in refusal(made)


@pytest.mark.parametrize("own", [{"proj:epsg": 32632}, {"proj:code": "EPSG:32632"}])
def test_an_item_that_disagrees_with_its_asset_on_the_crs_is_refused(own: dict) -> None:
    for whole in ({"proj:epsg": 32631}, {"proj:code": "EPSG:32631"}):
        sentence = refusal(item(whole, blue=own))
        assert not [word for word in ("EPSG:32631", "'blue'", "EPSG:32632") if word not in sentence]
    assert scene_of(item({"proj:epsg": 32632}, blue=own), S2, 3.0)


def test_a_band_renamed_by_the_provider_is_refused_with_the_nearest_key() -> None:
    scene = scene_of(item(swir22_20m={}, thumbnail={}), S2, 3.0)
    with pytest.raises(SceneError) as caught:
        scene.asset("swir22", "B12")
    assert caught.value.facts == {"scene": "X", "asset": "swir22", "band": "B12"}
    assert "did you mean 'swir22_20m'" in str(caught.value)


@pytest.mark.parametrize("stated", ["landsat-7", "LANDSAT_5"])
def test_a_satellite_with_another_sensor_is_refused(stated: str) -> None:
    made = item({"platform": stated})
    assert not is_of_sensor(made, LANDSAT)
    assert stated.lower().replace("_", "-") in refusal(made, "landsat-c2-l2")


@pytest.mark.parametrize("stated", [{"platform": "landsat-9"}, {"eo:platform": "LANDSAT_8"}, {}])
def test_the_sensors_own_satellites_and_no_statement_are_accepted(stated: dict) -> None:
    assert is_of_sensor(item(stated), LANDSAT)


FLAG = "earthsearch:boa_offset_applied"


@pytest.mark.parametrize(("flag", "offset"), [(True, 0), (False, -0.1), (None, -0.1)])
def test_earth_searchs_flag_decides_against_an_offset_always_stated(flag: bool | None, offset: float) -> None:
    stated = {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}
    made = item({} if flag is None else {FLAG: flag}, blue=stated)
    assert scene_of(made, find_product("sentinel-2-l2a-earth-search"), 3.0).encoding.offset == offset


def test_stac_1_1_bands_of_copernicus_are_read() -> None:
    fields = {"bands": [{"name": "B02"}], "nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1}
    made = item({"processing:version": "05.11"}, B02_10m=fields)
    del made.properties["s2:processing_baseline"]
    made.assets["B02_10m"].href = "s3://eodata/Sentinel-2/MSI/L2A/2024/05/01/X.SAFE/B02_10m.jp2"
    scene = scene_of(made, find_product("sentinel-2-l2a-cdse"), 3.0)
    assert (scene.baseline, scene.encoding.offset) == ("05.11", -0.1)
    assert scene.assets["B02_10m"] == RemoteAsset(made.assets["B02_10m"].href, PROVIDERS["cdse"])


def test_an_hls_item_without_any_metadata_is_read_by_the_record() -> None:
    made = item(B05={}, Fmask={})
    made.properties = {}
    scene = scene_of(made, find_product("hls-l30-nasa-cmr"), 3.0)
    assert (scene.encoding.scale, scene.encoding.offset, set(scene.assets)) == (0.0001, 0, {"B05", "Fmask"})
    assert scene.assets["B05"] == FileAsset(Path("/nowhere/B05.tif"))


def test_reading_an_item_leaves_it_as_it_was() -> None:
    made = item()
    before = copy.deepcopy(made.to_dict())
    scene_of(made, S2, 3.0)
    assert made.to_dict() == before


@pytest.mark.parametrize(
    ("stated", "day"),
    [
        ("2024-05-01", date(2024, 5, 1)), ("20240501", date(2024, 5, 1)), ("2024-122", date(2024, 5, 1)),
        ("2024-05-01T00:00:00Z", date(2024, 5, 1)), ("20240501T235031", date(2024, 5, 1)),
        ("2024-05-02T03:50:31.123456789Z", date(2024, 5, 1)), ("2024-05-01T22:50:31-05:00", date(2024, 5, 1)),
        ("2024-05-02 03:50:31", date(2024, 5, 1)),
    ],
)  # fmt: skip
def test_a_time_is_read_by_its_form_and_a_date_stays_a_date(stated: str, day: date) -> None:
    """At longitude -100 the sun is 6 h 40 min behind UTC."""
    content = item().to_dict()
    content["properties"]["datetime"] = stated
    assert scene_of(pystac.Item.from_dict(content), S2, -100.0).day == day


@pytest.mark.parametrize("key", ["start_datetime", "end_datetime"])
@pytest.mark.parametrize("stated", ["01/05/2024", "2024-05", "2024", 1714560631, "2024-13-01", ""])
def test_a_time_without_a_readable_day_is_refused(key: str, stated: Any) -> None:
    assert repr(stated) in refusal(item({key: stated}))


def test_a_period_that_ends_before_it_starts_is_refused() -> None:
    made = item({"start_datetime": "2024-05-08T00:00:00Z", "end_datetime": "2024-05-01T00:00:00Z"})
    assert "2024-05-01" in refusal(made, "modis-09A1-061")
