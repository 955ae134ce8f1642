"""The form for interpreters: what is in it and what is not, and in a browser its keys, its memory and its files."""

import base64
import csv
import hashlib
import json
import re

import geopandas as gpd
import pytest
from tests.assess.rasters import CROPS, crop_map, write_raster
from tests.assess.test_report import Page
from tests.browser import Browser, installed
from tests.toy import toy_project

from agrifm.assess.design import draw_points
from agrifm.assess.form import write_form
from agrifm.cli import main
from agrifm.errors import AgriFMError, CubeError, OutputError

BANDS = ("B02", "B03", "B04", "B08", "B11")
CORNER = (447_840, 5_197_440)


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """A toy cube, a map of its upper part and of some land above it, and 24 points."""
    folder = tmp_path_factory.mktemp("season")
    toy_project(folder, bands=BANDS)
    crops = write_raster(
        folder / "m.tif", crop_map((60, 80)), legend=CROPS, nodata=255, corner=(CORNER[0], CORNER[1] + 100)
    )
    draw_points(crops, 24, 0, folder / "points.gpkg")
    command = f"assess form --points {folder}/points.gpkg --map {folder}/m.tif --season {folder} --also 4300=Fallow"
    assert main([*command.split(), "--out", str(folder / "form.html")]) == 0
    return folder


def content(page):
    """The data of a form."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])


def test_the_form_asks_for_each_point_once_and_hides_what_would_lead(season):
    page = (season / "form.html").read_text(encoding="utf-8")
    data, drawn = content(page), gpd.read_file(season / "points.gpkg")
    numbers = [point["id"] for point in data["points"]]
    assert numbers != drawn["id"].astype(str).tolist()
    assert sorted(numbers) == sorted(drawn["id"].astype(str))
    assert set(data["points"][0]) == {"id", "lon", "lat", "inside", "months", "pictures", "curves"}
    assert [(one["code"], one["key"]) for one in data["classes"]] == [
        ("1110", "1"), ("1121", "2"), ("other", "3"), ("4300", "4"),
    ]  # fmt: skip
    assert not [word for word in ("map_class", "map_name", "stratum") if word in page]
    without_classes = page.replace(json.dumps(data["classes"]), "")
    assert "Maize" not in without_classes
    outside = {str(number) for number, y in zip(drawn["id"], drawn.geometry.y, strict=True) if y > CORNER[1]}
    assert {point["id"] for point in data["points"] if not point["inside"]} == outside
    assert 0 < len(outside) < 24


def test_the_form_loads_nothing_and_runs_its_script_alone(season):
    text = (season / "form.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert not {"link", "iframe", "object", "embed", "img"} & {tag for tag, _ in page.elements}
    assert not [value for _, found in page.elements for key, value in found.items() if key in ("href", "src")]
    assert not [key for _, found in page.elements for key in found if key.startswith("on")]
    (policy,) = [one["content"] for one in page.find("meta") if "content-security-policy" in str(one).lower()]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert (season / "form.html").stat().st_size < 24 * 60_000


def test_another_seed_is_another_order_and_without_a_season_the_form_says_so(season, capsys):
    orders = []
    for seed in (0, 0, 1):
        out = season / f"form-{len(orders)}.html"
        lines = write_form(season / "points.gpkg", season / "m.tif", out, seed=seed)
        orders.append([point["id"] for point in content(out.read_text(encoding="utf-8"))["points"]])
    assert orders[0] == orders[1] != orders[2]
    assert any("--season" in line for line in lines)
    assert "--season" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(("change", "kind"), [({"season": "nowhere"}, CubeError), ({"out": "form.htm"}, OutputError)])
def test_a_form_that_cannot_be_made_is_refused_and_nothing_is_written(season, tmp_path, change, kind):
    given = {"season": season, "out": tmp_path / "form.html"} | {
        name: tmp_path / value for name, value in change.items()
    }
    with pytest.raises(AgriFMError) as error:
        write_form(season / "points.gpkg", season / "m.tif", **given)
    assert isinstance(error.value, kind)
    assert not list(tmp_path.iterdir())


def begin(browser, form, name):
    browser.open(form)
    browser.run("document.getElementById('interpreter').value = ''")
    browser.write(name)
    browser.press("Enter")
    browser.until("document.getElementById('progress').textContent")


def load(browser, file):
    """Load a file of answers, and return what the form says."""
    browser.run("document.getElementById('message').textContent = ''")
    browser.choose_file("#file", file)
    browser.until("document.getElementById('message').textContent")
    return browser.text("#message")


def saved(browser, folder):
    browser.press("s")
    name = browser.wait("Browser.downloadWillBegin")["suggestedFilename"]
    while browser.wait("Browser.downloadProgress")["state"] != "completed":
        pass
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return folder / name, list(csv.DictReader(file))


@pytest.mark.check
@pytest.mark.skipif(not installed(), reason="there is no Chromium or Chrome to drive")
def test_an_interpreter_answers_by_keys_and_the_answers_come_back(season, tmp_path):
    form = season / "form.html"
    points = content(form.read_text(encoding="utf-8"))["points"]
    with Browser(tmp_path) as browser:
        begin(browser, form, "Ana")
        assert browser.text("#progress") == "Ana: 0 of 24 answered"
        assert browser.text("#where") == f"Point {points[0]['id']}"
        browser.press("1", "u", "n")
        browser.write('hedge, "old"')
        browser.press("Escape", "ArrowRight", "3", "ArrowRight", "2", "2", "ArrowRight", "4", "ArrowLeft", "ArrowUp")
        assert browser.text("#progress") == "Ana: 3 of 24 answered"
        assert browser.text("#where") == f"Point {points[-1]['id']}"
        browser.press("u")
        file, rows = saved(browser, tmp_path)
        answers = {row["id"]: (row["label"], row["confidence"], row["comment"]) for row in rows}
        ids = [point["id"] for point in points]
        assert answers == {
            ids[0]: ("1110", "low", 'hedge, "old"'),
            ids[1]: ("other", "", ""),
            ids[3]: ("4300", "", ""),
            ids[-1]: ("", "low", ""),
        }
        assert {row["interpreter"] for row in rows} == {"Ana"}
        # the browser remembers one interpreter, and shows her answers to no other
        begin(browser, form, "Ana")
        assert browser.text("#progress") == "Ana: 4 of 24 answered"
        begin(browser, form, "Ben")
        assert browser.text("#progress") == "Ben: 0 of 24 answered"
        assert "answers of Ana" in load(browser, file)
        assert browser.text("#progress") == "Ben: 0 of 24 answered"
        browser.run("localStorage.clear()")
        begin(browser, form, "Ana")
        assert browser.text("#progress") == "Ana: 0 of 24 answered"
        load(browser, file)
        assert browser.text("#progress") == "Ana: 4 of 24 answered"
        asked = [one["params"]["request"]["url"] for one in browser.events if "request" in one.get("params", {})]
        assert asked
        assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    command = f"assess read-form --points {season}/points.gpkg --map {season}/m.tif --also 4300 --answers {file}"
    assert main([*command.split(), "--out", str(tmp_path / "labelled.gpkg")]) == 0
    labelled = gpd.read_file(tmp_path / "labelled.gpkg").set_index("id")
    assert labelled.loc[int(ids[0]), ["label", "confidence", "comment", "interpreter"]].tolist() == [
        "1110", "low", 'hedge, "old"', "Ana",
    ]  # fmt: skip
    assert labelled["label"].fillna("").value_counts().to_dict() == {"": 21, "1110": 1, "other": 1, "4300": 1}


@pytest.mark.check
@pytest.mark.skipif(not installed(), reason="there is no Chromium or Chrome to drive")
def test_points_and_months_without_observation_are_said_and_fit_a_phone(season, tmp_path):
    points = content((season / "form.html").read_text(encoding="utf-8"))["points"]
    with Browser(tmp_path, 390, 844) as browser:
        begin(browser, season / "form.html", "Ana")
        for point in points:
            chips = browser.run("document.querySelectorAll('.chip[role=img]').length")
            empty = browser.run("document.querySelectorAll('.chip.empty').length")
            if point["inside"]:
                assert (chips, chips + empty) == (len(point["months"]), 3)
            else:
                assert (chips, empty) == (0, 0)
                assert "outside" in browser.text("#months")
            assert browser.run("document.documentElement.scrollWidth") <= 390
            browser.press("ArrowRight")
