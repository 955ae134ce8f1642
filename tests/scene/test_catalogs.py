"""Items from a STAC API, a collection, a stac-geoparquet file and static catalogues on a server: all, or a sentence."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from tests.scene.items import s2_item
from tests.scenes import AREA, Catalogue, at
from tests.servers import Answer, Request, serving, serving_files, stac_api

from agrifm.errors import SceneError
from agrifm.scene import limits
from agrifm.scene.catalogs import ApiQuery, read_items
from agrifm.scene.unusable import HOPELESS

QUERY = ApiQuery(("sentinel-2-c1-l2a",), AREA.bounds, date(2024, 5, 1), date(2024, 5, 31))
ITEMS = [s2_item(f"S2A_T31UDQ_{day:02d}", at(5, day)) for day in range(1, 8)]
NAMES = [item["id"] for item in ITEMS]


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


def names(source: str | Path) -> list[str]:
    return [item.id for item in read_items(str(source), QUERY).items]


def refusal(source: str | Path) -> str:
    with pytest.raises(SceneError) as caught:
        names(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Api:
    """A STAC API on this machine; `change` alters the pages that it sends."""

    def __init__(self, items: list[dict[str, Any]] = ITEMS, method: str = "GET", change: Any = None) -> None:
        self.answer = stac_api(items, page=3, method=method, root=lambda: self.url)
        self.change, self.url = change, ""

    def __call__(self, request: Request) -> Answer:
        status, headers, body = self.answer(request)
        if self.change is not None and request.path == "/search":
            body = json.dumps(self.change(json.loads(body))).encode()
        return status, headers, body

    def __enter__(self) -> "Api":
        self.context = serving(self)
        self.server = self.context.__enter__()
        self.url = self.server.url
        return self

    def __exit__(self, *error: Any) -> None:
        self.context.__exit__(*error)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_all_pages_of_an_api_are_read(method: str) -> None:
    with Api(method=method) as api:
        assert names(api.url) == NAMES
        assert len([one for one in api.server.requests if one.path == "/search"]) == 3


def test_an_api_is_asked_for_collections_box_and_dates_only() -> None:
    """Items outside are never sent; a day more on each side, for the solar day."""
    outside = [
        s2_item("late", at(6, 2)),
        s2_item("early", at(4, 29)),
        s2_item("radar", collection="sentinel-1-grd"),
        {**s2_item("far"), "bbox": [100, 10, 101, 11]},
    ]
    with Api([*outside, s2_item("eve", at(4, 30)), *ITEMS]) as api:
        assert names(api.url) == ["eve", *NAMES]


@pytest.mark.parametrize("fault", [(503, {}), (429, {"Retry-After": "0"}), "reset", "truncate"], ids=str)
def test_a_passing_fault_loses_no_item(fault: Any) -> None:
    with Api() as api:
        api.server.faults = [None, fault, None, fault, fault]
        assert names(api.url) == NAMES


def test_an_api_that_fails_for_good_is_one_sentence() -> None:
    with Api() as api:
        api.server.faults, api.server.always = [None, None, None], (500, {})
        assert f"{api.url}: HTTP 500 (5 tries)" in refusal(api.url)


def test_an_empty_page_in_between_loses_nothing() -> None:
    def hollow(page: dict[str, Any]) -> dict[str, Any]:
        return {**page, "features": [] if page["features"][0]["id"] == NAMES[3] else page["features"]}

    with Api(change=hollow) as api:
        assert names(api.url) == [*NAMES[:3], *NAMES[6:]]


def test_pages_that_end_before_what_was_announced_are_refused() -> None:
    with Api(change=lambda page: {**page, "links": [], "numberMatched": 7}) as api:
        assert "announced 7 items and sent 3" in refusal(api.url)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_that_lead_in_a_circle_are_refused(method: str) -> None:
    first: list[Any] = []

    def circle(page: dict[str, Any]) -> dict[str, Any]:
        first.append(page)
        return {**page, "links": first[0]["links"]}

    with Api(method=method, change=circle) as api:
        assert "earlier" in refusal(api.url)


@pytest.mark.parametrize("page", [{"features": None}, {"message": "busy"}, {"features": ["x"]}])
def test_an_answer_that_is_not_a_page_is_refused(page: dict[str, Any]) -> None:
    with Api(change=lambda _: page) as api:
        assert api.url in refusal(api.url)


def test_an_item_that_is_not_one_does_not_hide_the_others(tmp_path: Path) -> None:
    features = [*ITEMS, {"id": "x"}, {"type": "Feature", "id": "y", "properties": 3}, {}]
    with Api(change=lambda page: {**page, "features": features, "links": []}) as api:
        found = read_items(api.url, QUERY)
    assert [item.id for item in found.items] == NAMES
    assert found.unusable.errors.keys() == {"x", "y", "an item without an id"}


def test_items_of_a_static_catalogue_that_cannot_be_read_do_not_hide_the_others(tmp_path: Path) -> None:
    made = Catalogue(tmp_path)
    for name in ("A", "B", "C", "D"):
        made.add("sentinel-2-c1-l2a", name, at(5, 1), {"blue": np.ones((2, 2), np.uint16)})
    catalogue = made.save()
    files = {path.parent.name: path for path in tmp_path.rglob("[A-D].json")}
    files["A"].unlink()
    files["B"].write_text('{"type": "Feature", "id"')
    files["D"].write_text(json.dumps({"type": "Catalog", "id": "D", "description": "", "stac_version": "1.0.0"}))
    found = read_items(str(catalogue), QUERY)
    assert [item.id for item in found.items] == ["C"]
    assert {Path(name).stem for name in found.unusable.errors} == {"A", "B", "D"}


def test_a_catalogue_none_of_whose_items_can_be_read_is_given_up(tmp_path: Path) -> None:
    made = Catalogue(tmp_path)
    for number in range(HOPELESS + 5):
        made.add("sentinel-2-c1-l2a", f"A{number}", at(5, 1), {"blue": np.ones((2, 2), np.uint16)})
    catalogue = made.save()
    for path in tmp_path.rglob("A*.json"):
        path.unlink()
    with pytest.raises(SceneError) as error:
        read_items(str(catalogue), QUERY)
    assert len(error.value.facts["failed"]) == HOPELESS


def test_an_item_collection_is_read_from_disk_and_from_a_server(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"type": "FeatureCollection", "features": ITEMS, "more": 1}))
    assert names(tmp_path / "c.json") == NAMES
    assert read_items(str(tmp_path / "c.json"), QUERY).extra == {"more": 1}
    with serving_files(tmp_path) as server:
        assert names(f"{server.url}/c.json?key=1") == NAMES


def test_assets_may_be_relative_to_their_collection(tmp_path: Path) -> None:
    item = s2_item(href="images/{key}.tif")
    item["links"] = []
    (tmp_path / "c.json").write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
    with serving_files(tmp_path) as server:
        for source in (str(tmp_path / "c.json"), f"{server.url}/c.json"):
            (found,) = read_items(source, QUERY).items
            assert found.assets["red"].get_absolute_href() == source.replace("c.json", "images/red.tif")


def test_a_stac_geoparquet_file_is_read_from_disk_and_from_a_server(tmp_path: Path) -> None:
    """Written by the library stac-geoparquet itself."""
    arrow = pytest.importorskip("stac_geoparquet.arrow")
    path = tmp_path / "items.parquet"
    arrow.to_parquet(arrow.parse_stac_items_to_arrow([pystac.Item.from_dict(item) for item in ITEMS]), path)
    assert names(path) == NAMES
    (item, *_) = read_items(str(path), QUERY).items
    assert item.datetime == at(5, 1)
    assert item.properties["s2:processing_baseline"] == "05.10"
    assert item.assets["red"].href == ITEMS[0]["assets"]["red"]["href"]
    with serving_files(tmp_path) as server:
        assert names(f"{server.url}/items.parquet") == NAMES
    path.write_bytes(b"PAR1 not really")
    assert f"{path}: not a stac-geoparquet" in refusal(path)


def test_a_static_catalogue_is_read_from_a_server(tmp_path: Path) -> None:
    root = pystac.Catalog("made", "made for a test")
    for item in ITEMS[:2]:
        root.add_item(pystac.Item.from_dict(item))
    root.normalize_and_save(str(tmp_path), pystac.CatalogType.SELF_CONTAINED)
    with serving_files(tmp_path) as server:
        server.faults = [(503, {}), None, "truncate"]
        assert names(f"{server.url}/catalog.json") == NAMES[:2]
        assert f"{server.url}/absent.json: HTTP 404" in refusal(f"{server.url}/absent.json")


@pytest.mark.parametrize(("content", "found"), [(b"<html>", "JSON"), (b"[]", "JSON list")])
def test_a_url_that_is_not_stac_is_refused(content: bytes, found: str) -> None:
    with serving(lambda _: (200, {}, content)) as server:
        sentence = refusal(server.url)
    assert server.url in sentence
    assert found in sentence


def test_a_season_asks_for_a_day_more_on_each_side() -> None:
    with Api() as api:
        names(api.url)
        (first, *_) = [one for one in api.server.requests if one.path == "/search"]
    stated = json.loads(first.body)["datetime"] if first.method == "POST" else first.query["datetime"]
    start, end = QUERY.start - timedelta(1), QUERY.end + timedelta(1)
    assert stated == f"{start}T00:00:00Z/{end}T23:59:59Z"
