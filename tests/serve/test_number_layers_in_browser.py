"""A map of yields and one of shares in an installed Chromium: they open, answer clicks and count a drawn area."""

import pytest
from tests.browser import Browser, installed
from tests.serve.small_number_season import season_of_shares, season_of_yields
from tests.serve.small_season import served

pytestmark = [pytest.mark.check, pytest.mark.skipif(not installed(), reason="no Chromium or Chrome is on the PATH")]
READY = "document.body?.dataset.ready === 'yes' && Boolean(window.agrifm?.map.loaded())"
MIDDLE = "{ lng: window.agrifm.map.getCenter().lng, lat: window.agrifm.map.getCenter().lat }"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("downloads"), draws_maps=True) as one:
        yield one


def opened(browser, port):
    browser.open("about:blank")
    browser.open(f"http://127.0.0.1:{port}/")
    browser.until(READY)
    browser.run(f"window.agrifm.map.fire('click', {{ lngLat: {MIDDLE} }}), 1")
    browser.until("Boolean(document.querySelector('#place h2'))")
    return browser


def draw_around_the_middle(page):
    page.run("document.getElementById('draw').click()")
    for right, up in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        at = f"{{ lng: {MIDDLE}.lng + {right} * 0.002, lat: {MIDDLE}.lat + {up} * 0.002 }}"
        page.run(f"window.agrifm.map.fire('click', {{ lngLat: {at} }}), 1")
    page.run("document.getElementById('finish').click()")
    page.until("Boolean(document.querySelector('#area table'))")
    return page.run("document.getElementById('area').innerText")


def test_yields_are_seen_chosen_and_summed(browser, tmp_path):
    with served(season_of_yields(tmp_path / "season").directory) as port:
        page = opened(browser, port)
        assert page.run("window.agrifm.state.layer") == "yield"
        assert "t/ha" in page.run("document.querySelector('#place h2').textContent")
        assert "Lower end" in page.run("document.getElementById('place').innerText")
        assert "1,512 t" in page.run("document.getElementById('legend').innerText")
        assert "Mean, t/ha" in draw_around_the_middle(page)
        page.run("document.getElementById('layer').value = 'half-interval'")
        page.run("document.getElementById('layer').dispatchEvent(new Event('change'))")
        page.until(READY)
        assert "field" in page.run("document.getElementById('legend').innerText")
        assert page.complaints() == []


def test_shares_are_seen_chosen_and_summed(browser, tmp_path):
    project, _ = season_of_shares(tmp_path / "season")
    with served(project.directory) as port:
        page = opened(browser, port)
        assert page.run("document.querySelectorAll('#legend .crops li').length") == 3
        assert page.run("document.querySelector('#place .probabilities').children.length") >= 2
        assert "Winter wheat" in draw_around_the_middle(page)
        page.run("document.getElementById('layer').value = 'share-1'")
        page.run("document.getElementById('layer').dispatchEvent(new Event('change'))")
        page.until(READY)
        assert "100 %" in page.run("document.getElementById('legend').innerText")
        assert page.complaints() == []
