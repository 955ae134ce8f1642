"""The page in an installed Chromium: every function by mouse and by keyboard, on a screen and on a phone.

Each test runs twice: with the page from a server, and with the page as files.
"""

import base64
import io
import json
import re
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Thread
from unittest.mock import patch

import pytest
from matplotlib.image import imread
from shapely import Polygon
from tests.browser import Browser, installed
from tests.mapping.small_parcels import LEGEND
from tests.serve.small_season import served, small_season

from agrifm.grid import geodesic_hectares
from agrifm.serve.static_page import write_static_page

pytestmark = [pytest.mark.check, pytest.mark.skipif(not installed(), reason="no Chromium or Chrome is on the PATH")]
READY = "document.body?.dataset.ready === 'yes' && Boolean(window.agrifm?.map.loaded())"
MIDDLE = 870, 330
"""A place of the window on the map."""
COLORS = [(0xCC, 0x66, 0x77), (0x33, 0x22, 0x88), (0xDD, 0xDD, 0xDD)]
"""Of the legend, as they are on the map."""
WIDE = """JSON.stringify([...document.querySelectorAll("body *")].filter((one) => one.offsetParent
    && !one.closest(".scroll, .maplibregl-map, svg")
    && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.tagName + one.id))"""
SMALL = """JSON.stringify([...document.querySelectorAll("body *")].filter((one) => one.offsetParent
    && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) && !one.closest(".maplibregl-map")
    && parseFloat(getComputedStyle(one).fontSize) < 11).map((one) => one.className))"""


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    project = small_season(tmp_path_factory.mktemp("season") / "season")
    (project.directory / "explanation").mkdir()
    head = "kind,name,class,method,unit,sensor,band,start,end,contribution"
    rows = [
        f"class,x,{code},occlusion,probability,{about},0.123"
        for code in LEGEND.codes
        for about in ("all,all,2024-05-01,2024-05-31", "sentinel-2,B08,2024-04-01,2024-06-29")
    ]
    (project.directory / "explanation" / "contributions.csv").write_text("\n".join([head, *rows]))
    return project


@pytest.fixture(scope="module", params=["served", "static"])
def how(request):
    """Whether the page comes from a server, or is files."""
    return request.param


@pytest.fixture(scope="module")
def port(season, how, tmp_path_factory):
    directory = season.directory
    if how == "static":
        directory = tmp_path_factory.mktemp("page") / "season"
        write_static_page(season.directory, directory)
    with served(directory) as number:
        yield number


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("downloads"), draws_maps=True) as one:
        yield one


@pytest.fixture
def page(browser, port):
    """The page as it opens first; at the end nothing was complained of, and nothing came from elsewhere."""
    browser.open("about:blank")
    browser.open(f"http://127.0.0.1:{port}/")
    browser.until(READY)
    yield browser
    assert browser.complaints() == []
    loaded = json.loads(browser.run("JSON.stringify(performance.getEntriesByType('resource').map((one) => one.name))"))
    assert loaded
    assert all(name.startswith((f"http://127.0.0.1:{port}/", "blob:")) for name in loaded)


def state(page, name):
    return page.run(f"window.agrifm.state.{name}")


def choose(page, select, value):
    """Choose an option as a reader does."""
    page.run(f"document.getElementById('{select}').value = '{value}'")
    page.run(f"document.getElementById('{select}').dispatchEvent(new Event('change'))")


def color_at(page, x, y):
    """Red, green and blue of a pixel of the window."""
    picture = base64.b64decode(page.call("Page.captureScreenshot")["data"])
    return [round(float(part) * 255) for part in imread(io.BytesIO(picture))[y, x, :3]]


def test_the_page_opens_with_the_crops_and_their_hectares(page, season):
    names = page.run("[...document.querySelectorAll('#legend .name')].map((one) => one.textContent).join()")
    assert sorted(names.split(",")) == ["Other land", "Winter rapeseed", "Winter wheat"]
    areas = page.run("[...document.querySelectorAll('#legend .area')].map((one) => one.textContent).join()")
    assert sum(float(one.removesuffix(" ha")) for one in areas.split(",")) == pytest.approx(359.6, abs=1)
    assert tuple(color_at(page, *MIDDLE)) in COLORS


def test_another_layer_has_its_own_legend(page):
    before = color_at(page, *MIDDLE)
    choose(page, "layer", "confidence")
    page.until("!!document.querySelector('#legend .ramp')")
    page.until(READY)
    assert color_at(page, *MIDDLE) != before
    assert "100 %" in page.text("#legend")
    page.until("location.hash.includes('layer=confidence')")


def test_the_legend_hides_classes(page):
    page.run("document.querySelector('#legend .only').click()")
    assert page.run("document.querySelectorAll('#legend input:checked').length") == 1
    page.until(READY)
    only = page.run("getComputedStyle(document.querySelector('#legend input:checked ~ .swatch')).backgroundColor")
    seen = {tuple(color_at(page, x, MIDDLE[1])) for x in range(760, 980, 20)} & set(COLORS)
    assert seen <= {tuple(map(int, re.findall(r"\d+", only)))}
    page.run("[...document.querySelectorAll('#legend button')].find((one) => one.textContent === 'All').click()")
    assert state(page, "hidden.size") == 0
    page.run("document.querySelector('#legend input').click()")
    assert state(page, "hidden.size") == 1
    choose(page, "layer", "observations")
    assert state(page, "hidden.size") == 0


def test_the_slider_shows_another_date(page, how):
    before = page.text("#date")
    page.run("document.getElementById('frame').focus()")
    page.press("ArrowRight")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Home", code="Home", windowsVirtualKeyCode=36)
    page.until(f"document.querySelector('#date').textContent !== {json.dumps(before)}")
    assert page.text("#date") == "1 Apr 2024"
    asked = {"served": "/true-colour/0/", "static": "/true-colour/2024-04-01.pmtiles"}[how]
    page.until(f"performance.getEntriesByType('resource').some((one) => one.name.includes('{asked}'))")
    page.run("document.getElementById('play').click()")
    page.until("window.agrifm.state.date > '2024-04-15'")
    page.run("document.getElementById('play').click()")


def test_months_and_the_season_are_pictures_too(page):
    choose(page, "layer", "")
    before = color_at(page, *MIDDLE)
    choose(page, "picture", "sentinel-2-monthly/ndvi-highest")
    page.until(READY)
    assert page.text("#date") == "April 2024"
    assert color_at(page, *MIDDLE) != before
    page.press(".")
    assert page.text("#date") == "May 2024"
    choose(page, "picture", "sentinel-2-season/ndvi-median")
    page.until(READY)
    assert page.run("document.getElementById('dates').hidden")
    choose(page, "picture", "sentinel-2/true-colour")
    assert page.text("#date") == "11 May 2024"


def test_a_click_shows_crop_probabilities_and_curves(page):
    page.click(*MIDDLE)
    page.until("!!document.querySelector('#place svg.curve')")
    page.until("!!document.querySelector('#place h2')")
    assert page.text("#place h2") in ("Other land", "Winter rapeseed", "Winter wheat")
    assert page.run("document.querySelectorAll('#place .probabilities li').length") >= 1
    assert page.run("document.querySelectorAll('#place svg circle').length") > 4
    assert page.run("document.querySelectorAll('#place svg .cloud').length") > 0
    page.run("document.querySelector('#place details').open = true")
    decides = page.text("#place details")
    assert f"What decides {page.text('#place h2')}" in decides
    assert "1 May 2024 to 31 May 2024−12.3 points" in decides
    assert "B08, Sentinel-2 MSI−12.3 points" in decides
    choose(page, "curve", "B04")
    page.until("document.querySelector('#place svg').getAttribute('aria-label').startsWith('B04')")
    page.press("Escape")
    assert page.run("document.getElementById('place').hidden")


def test_a_drawn_area_has_hectares_with_intervals(page, how):
    page.run("document.getElementById('draw').click()")
    for x, y in ((700, 250), (950, 260), (940, 520)):
        page.click(x, y)
    page.press("Enter")
    page.until("!!document.querySelector('#area table')")
    corners = page.run(
        "JSON.stringify([[700, 250], [950, 260], [940, 520]].map(([x, y]) => {"
        "const at = window.agrifm.map.unproject([x - 340, y]); return [at.lng, at.lat]; }))"
    )
    together = float(page.run("document.querySelector('#area tfoot').rows[0].cells[1].textContent"))
    assert together == pytest.approx(geodesic_hectares(Polygon(json.loads(corners))), rel=0.02)
    if how == "served":
        assert "–" in page.text("#area tbody")
    else:
        assert "agrifm serve" in page.text("#area")
    page.run("document.getElementById('discard').click()")
    assert page.text("#area") == ""


def test_an_area_from_a_file_has_hectares(page, tmp_path):
    ring = [[2.32, 46.915], [2.33, 46.915], [2.33, 46.92], [2.32, 46.92], [2.32, 46.915]]
    content = {"type": "FeatureCollection", "features": [{"geometry": {"type": "Polygon", "coordinates": [ring]}}]}
    (tmp_path / "farm.geojson").write_text(json.dumps(content))
    page.choose_file("#file", tmp_path / "farm.geojson")
    page.until("!!document.querySelector('#area table')")
    together = float(page.run("document.querySelector('#area tfoot').rows[0].cells[1].textContent"))
    assert together == pytest.approx(geodesic_hectares(Polygon(ring)), rel=0.02)
    (tmp_path / "farm.geojson").write_text("{}")
    page.choose_file("#file", tmp_path / "farm.geojson")
    page.until("document.getElementById('hint').textContent.includes('no polygon')")


def test_two_sides_are_compared(page):
    choose(page, "compare", "confidence")
    page.until("document.querySelectorAll('#compare-map canvas').length === 1")
    page.run("document.getElementById('divider').focus()")
    page.press("ArrowLeft", "ArrowLeft")
    assert state(page, "divider") == 42
    assert page.text("#right-tag") == "Confidence"
    page.press("Escape")
    assert page.run("document.getElementById('divider').hidden")


def test_every_key_does_what_the_page_says(page):
    date, layer = state(page, "date"), state(page, "layer")
    page.press(".")
    assert state(page, "date") > date
    page.press(",")
    assert state(page, "date") == date
    page.press("l")
    assert state(page, "layer") != layer
    page.press("o")
    assert state(page, "opacity") == 0
    page.press("p")
    assert state(page, "parcels") is True
    page.press("c")
    page.until("!!document.querySelector('#place svg')")
    page.press("Escape")
    page.press("d")
    assert page.run("document.getElementById('draw').disabled")
    page.press("Escape")
    page.press("s")
    assert state(page, "compare") == "confidence"
    page.press("Escape")
    page.press("/")
    assert page.run("document.activeElement.id") == "query"


def test_a_place_and_a_parcel_are_found(page):
    page.run("document.getElementById('query').focus()")
    page.write("46.92, 2.325")
    page.press("Enter")
    page.until("window.agrifm.state.place?.[0] === 2.325")
    page.until("!window.agrifm.map.isMoving()")
    page.run("document.getElementById('query').value = ''; document.getElementById('query').focus()")
    page.write("p24")
    page.press("Enter")
    page.until("document.querySelector('#place .parcel dd')?.textContent === 'p24'")
    assert state(page, "parcels") is True


def test_a_parcel_has_a_mean_series(page):
    page.run("document.getElementById('query').focus()")
    page.write("p24")
    page.press("Enter")
    page.until("!!document.getElementById('whole')")
    page.until("!!document.querySelector('#place svg.curve')")
    before = page.run("document.querySelector('#place svg.curve').outerHTML")
    page.run("document.getElementById('whole').click()")
    page.until("document.querySelector('#place').textContent.includes('half of the parcel')")
    assert page.run("document.querySelector('#place svg.curve').outerHTML") != before
    assert page.run("document.querySelectorAll('#place svg circle').length") > 3
    page.run("document.getElementById('whole').click()")
    page.until("!document.querySelector('#place').textContent.includes('half of the parcel')")
    assert page.run("document.querySelector('#place svg.curve').outerHTML") == before


def test_a_link_shows_the_same_again(page, port):
    choose(page, "layer", "observations")
    page.click(*MIDDLE)
    page.until("location.hash.includes('observations') && location.hash.includes('at=')")
    link = page.run("location.href")
    page.open("about:blank")
    page.open(link)
    page.until(READY)
    page.until("!!document.querySelector('#place svg')")
    assert state(page, "layer") == "observations"
    page.until("location.hash.length > 10")
    assert page.run("location.href") == link
    page.open("about:blank")
    page.open(f"http://127.0.0.1:{port}/#layer=../x&date=9&opacity=999&at=a/b&map=1&compare=<b>&hide=%00")
    page.until(READY)
    assert state(page, "layer") == "classes"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["screen", "phone"])
def test_axe_has_no_findings(port, tmp_path, size, dark):
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    with Browser(tmp_path, *size, draws_maps=True, dark=dark) as one:
        one.open(f"http://127.0.0.1:{port}/#compare=confidence&parcels=1")
        one.until(READY)
        one.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        one.press("c")
        one.until("!!document.querySelector('#place svg.curve') && !!document.querySelector('#place h2')")
        one.call("Runtime.evaluate", expression=axe)
        found = json.loads(one.run("axe.run().then((found) => JSON.stringify(found.violations))"))
        assert [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found] == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_fits_a_phone(port, tmp_path, dark):
    with Browser(tmp_path, 390, 844, draws_maps=True, dark=dark) as phone:
        phone.open(f"http://127.0.0.1:{port}/")
        phone.until(READY)
        assert phone.run("document.documentElement.scrollWidth") <= 390
        assert json.loads(phone.run(WIDE)) == []
        assert json.loads(phone.run(SMALL)) == []
        phone.click(200, 250)
        phone.until("!!document.querySelector('#place svg')")
        assert json.loads(phone.run(WIDE)) == []
        color = phone.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).join()")
        red, green, blue = map(int, color.split(","))
        assert (red + green + blue < 200) == dark
        assert phone.complaints() == []


def test_the_page_looks_the_same_from_a_server_and_as_files(season, tmp_path):
    write_static_page(season.directory, tmp_path / "season")
    link = "#map=13.8/46.92000/2.32700&layer=classes&parcels=1&at=2.327/46.92&base=sentinel-2/ndvi&date=2024-05-21"
    for number, opacity in enumerate((100, 0)):
        shots = []
        for directory in (season.directory, tmp_path / "season"):
            with served(directory) as port, Browser(tmp_path, 1280, 900, draws_maps=True) as one:
                one.open(f"http://127.0.0.1:{port}/{link}&opacity={opacity}")
                one.until(READY)
                one.until("!!document.querySelector('#place svg.curve') && !!document.querySelector('#place h2')")
                one.until(READY)
                one.picture(tmp_path / "shot.png", False)
                shots.append(imread(tmp_path / "shot.png")[..., :3])
        differs = (abs(shots[0] - shots[1]) > 0.15).any(axis=2)
        assert differs.mean() < 0.03, number
        assert len({tuple(color) for color in (shots[0][::20, ::20].reshape(-1, 3) * 255).astype(int).tolist()}) > 5


def test_a_web_space_without_ranges_is_named(season, tmp_path, browser):
    write_static_page(season.directory, tmp_path / "season")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "season"))
    with patch.object(SimpleHTTPRequestHandler, "log_message"), ThreadingHTTPServer(("127.0.0.1", 0), handler) as space:
        Thread(target=space.serve_forever, daemon=True).start()
        browser.open(f"http://127.0.0.1:{space.server_port}/")
        browser.until("document.getElementById('hint').textContent.includes('HTTP Range')")
        browser.open("about:blank")
        space.shutdown()


def test_what_is_missing_is_named_on_the_page(season, tmp_path, browser):
    shutil.copytree(season.directory, tmp_path / "season")
    shutil.rmtree(tmp_path / "season" / "cube.zarr")
    with served(tmp_path / "season") as other:
        browser.open("about:blank")
        browser.open(f"http://127.0.0.1:{other}/")
        browser.until(READY)
        assert browser.text("#missing").startswith("Imagery and series")
        assert browser.run("document.getElementById('dates').hidden")
        assert browser.run("document.querySelectorAll('#legend li').length") == 3
        assert browser.complaints() == []
