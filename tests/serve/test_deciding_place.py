"""What decided a place, through the server: with the model of the map, or a sentence why not."""

import json
from hashlib import sha256

import numpy as np
import pytest
from pyproj import Transformer
from tests.browser import Browser, installed
from tests.explain.test_write_explanation import JuneModel
from tests.serve.small_season import request, served, small_season

from agrifm.cube.store import open_cube
from agrifm.explain.map_explainer import map_explainer
from agrifm.explain.place_periods import explain_place


@pytest.fixture
def season(tmp_path):
    """A season whose map names a model."""
    project = small_season(tmp_path / "season", count=4)
    project.models.mkdir()
    (project.models / "june.bin").write_bytes(b"june")
    (project.models / "june.json").write_text(
        json.dumps({"properties": {}, "assets": {"model": {"href": "june.bin"}}, "links": []})
    )
    item = json.loads((project.maps / "item.json").read_text())
    item["properties"]["agrifm:model_sha256"] = sha256(b"june").hexdigest()
    item["links"] = [{"rel": "derived_from", "title": "model", "href": "../models/june.json"}]
    item.setdefault("assets", {})
    (project.maps / "item.json").write_text(json.dumps(item))
    return project


def place_of(project, row, col):
    grid = open_cube(project.cube).target
    to_lonlat = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    return "lon={}&lat={}".format(*to_lonlat.transform(*(grid.transform @ (col + 0.5, row + 0.5))))


def why(port, query):
    status, content, _ = request(port, f"/why?{query}")
    return status, json.loads(content)


def test_the_months_of_a_place_are_those_of_the_explanation(season, monkeypatch):
    opened = []
    monkeypatch.setattr("agrifm.explain.map_explainer.load_model", lambda path: opened.append(path) or JuneModel())
    row, col = 100, 60
    cube = open_cube(season.cube)
    expected = explain_place(JuneModel(), cube, row, col)
    with served(season.directory, explainer=map_explainer) as port:
        assert json.loads(request(port, "/season.json")[1])["explains"] is True
        assert not opened  # until it is asked for
        status, found = why(port, place_of(season, row, col))
        again = why(port, place_of(season, row, col))[1]
        assert why(port, place_of(season, 1, 1))[1] is None  # never observed
        assert why(port, "lon=0&lat=0")[0] == 404
        assert why(port, "lon=0&lat=x")[0] == 422
    assert status == 200
    assert found == again
    assert [path.resolve() for path in opened] == [season.models / "june.bin"]
    assert (found["code"], found["probability"]) == (expected.code, pytest.approx(expected.probability))
    assert [one["effect"] for one in found["periods"]] == pytest.approx([one.effect for one in expected.periods])
    assert [one["other"] for one in found["periods"]] == [one.other for one in expected.periods]
    assert np.abs([one["effect"] for one in found["periods"]]).argmax() == 2


@pytest.mark.parametrize("change", ["model", "link", "item"])
def test_without_the_model_of_the_map_there_is_a_sentence(season, change):
    item = season.maps / "item.json"
    if change == "model":
        (season.models / "june.bin").write_bytes(b"another")
    elif change == "link":
        item.write_text(json.dumps({**json.loads(item.read_text()), "links": []}))
    else:
        item.unlink()
    with served(season.directory, explainer=map_explainer) as port:
        assert json.loads(request(port, "/season.json")[1])["explains"] is (change != "item")
        status, found = why(port, place_of(season, 100, 60))
        assert status == 404
        assert set(found) == {"error"}
        assert request(port, "/pixel?" + place_of(season, 100, 60))[0] == 200


@pytest.mark.check
@pytest.mark.skipif(not installed(), reason="there is no Chromium or Chrome to drive")
def test_the_page_says_what_a_hidden_month_changes(season, tmp_path, monkeypatch):
    monkeypatch.setattr("agrifm.explain.map_explainer.load_model", lambda _: JuneModel())
    with (
        served(season.directory, explainer=map_explainer) as port,
        Browser(tmp_path, 1280, 900, draws_maps=True) as page,
    ):
        page.open(f"http://127.0.0.1:{port}/")
        page.until("document.body?.dataset.ready === 'yes' && Boolean(window.agrifm?.map.loaded())")
        page.click(870, 330)
        page.until("!!document.getElementById('why')")
        page.run("document.getElementById('why').focus()")
        page.press("Enter")
        page.until("!document.getElementById('why')")
        assert "1 Jun 2024 to 29 Jun 2024" in page.text("#place")
        assert "points" in page.text("#place [role=status] dd")
        page.picture(tmp_path / "why.png", whole=False)
