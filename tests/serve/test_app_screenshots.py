"""The page looks as it did: screenshots are compared with the pictures in `tests/serve/screenshots`.

    AGRIFM_RENEW_SCREENSHOTS=1 python -m pytest -n 0 -m check tests/serve/test_app_screenshots.py      takes them anew

A screenshot is reduced to half its size, so that edges of letters count little. A pixel differs where one of red,
green and blue is more than `STEP` away; not more than `MOST` of the pixels may differ. On the machine that took them
0.01 to 0.15 % differ, because a stored picture has only 256 colours; the rest is for another version of the browser.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.browser import Browser, installed
from tests.serve.small_season import served, small_season

from agrifm.assess.design import draw_points
from agrifm.serve.run import PointsToLabel
from agrifm.serve.static_page import write_static_page

pytestmark = [pytest.mark.check, pytest.mark.skipif(not installed(), reason="no Chromium or Chrome is on the PATH")]
STORED = Path(__file__).with_name("screenshots")
RENEW = bool(os.environ.get("AGRIFM_RENEW_SCREENSHOTS"))
STEP = 40
"""Of 255."""
MOST = 0.005
"""Share of the pixels that may differ."""
WINDOWS = {"desktop": (1280, 900, False), "phone": (390, 844, False), "dark": (1280, 900, True)}
"""Width, height, and whether the colours are dark."""
LINK = "#map=13.8/46.92000/2.32700&layer=classes&parcels=1&at=2.327/46.92&base=sentinel-2/ndvi&date=2024-05-21"
READY = "document.body?.dataset.ready === 'yes' && Boolean(window.agrifm?.map.loaded())"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The address of each page by name: from a server, as files, and where points are labelled."""
    folder = tmp_path_factory.mktemp("pages")
    project = small_season(folder / "season")
    draw_points(project.maps / "classes.tif", 12, 0, folder / "points.gpkg")
    write_static_page(project.directory, folder / "static")
    to_label = PointsToLabel(folder / "points.gpkg", ["Ana", "Ben"])
    with served(project.directory, to_label) as port, served(folder / "static") as of_files:
        yield {
            "season": f"http://127.0.0.1:{port}/{LINK}",
            "static": f"http://127.0.0.1:{of_files}/{LINK}",
            "labelling": f"http://127.0.0.1:{port}/label",
        }


def opened(browser, page, address):
    """Open a page and wait for all that it shows."""
    browser.open(address)
    if page == "labelling":
        browser.until("!!document.querySelector('dialog[open] .names button')")
        browser.run("document.querySelector('.names button').click()")
        browser.until("!!document.getElementById('progress').textContent && !document.querySelector('dialog[open]')")
        browser.until("!!document.querySelector('.chip') && !!document.querySelector('.plot')")
    else:
        browser.until(READY)
        browser.until("!!document.querySelector('#place svg.curve') && !!document.querySelector('#place h2')")
        browser.until(READY)
    browser.run("document.fonts.ready.then(() => new Promise((done) => setTimeout(done, 300)))")


def shot(browser, tmp_path):
    """The window at half its size."""
    browser.picture(tmp_path / "shot.png", whole=False)
    picture = Image.open(tmp_path / "shot.png").convert("RGB")
    return picture.reduce(2)


def share_that_differs(first, second):
    """Share of the pixels of which a colour is more than `STEP` apart; all of them where sizes differ."""
    if first.size != second.size:
        return 1.0
    apart = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
    return float((apart > STEP).any(axis=2).mean())


def stored(name):
    return Image.open(STORED / f"{name}.png").convert("RGB")


def store(picture, name):
    content = io.BytesIO()
    picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    STORED.mkdir(exist_ok=True)
    (STORED / f"{name}.png").write_bytes(content.getvalue())


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("page", ["season", "static", "labelling"])
def test_a_page_looks_as_it_did(pages, page, window, tmp_path):
    width, height, dark = WINDOWS[window]
    with Browser(tmp_path, width, height, draws_maps=True, dark=dark) as browser:
        opened(browser, page, pages[page])
        taken = shot(browser, tmp_path)
        if RENEW:
            store(taken, f"{page}-{window}")
        differs = share_that_differs(taken, stored(f"{page}-{window}"))
        print(f"{page} {window}: {differs:.2%} of the pixels differ, at most {MOST:.1%}")
        assert differs <= MOST


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("season", "document.getElementById('legend').style.display = 'none'"),
        ("season", "window.agrifm.map.getCanvas().style.visibility = 'hidden'"),
        ("season", "document.querySelector('#place svg.curve').remove()"),
        ("season", "document.body.style.fontSize = '18px'"),
        ("labelling", "document.querySelector('.chip').style.visibility = 'hidden'"),
    ],
    ids=["legend", "map", "curve", "letters", "chip"],
)
def test_a_fault_is_more_than_the_tolerance(pages, page, fault, tmp_path):
    with Browser(tmp_path, 1280, 900, draws_maps=True) as browser:
        opened(browser, page, pages[page])
        before = share_that_differs(shot(browser, tmp_path), stored(f"{page}-desktop"))
        browser.run(f"{fault}; 1")
        browser.run("new Promise((done) => setTimeout(done, 300))")
        after = share_that_differs(shot(browser, tmp_path), stored(f"{page}-desktop"))
        print(f"{fault}: {before:.2%} before, {after:.2%} after")
        assert before <= MOST < after


def test_the_pictures_are_small():
    assert sum(file.stat().st_size for file in STORED.iterdir()) < 1_000_000
