"""The report opened in an installed Chromium: nothing is loaded or complained of, nothing is wider than a phone."""

import html
import json
import os
import re
import subprocess

import numpy as np
import pytest
from tests.assess.rasters import CROPS, crop_map, write_points, write_raster

from agrifm.assess.pdf import find_browser
from agrifm.assess.report import assess
from agrifm.errors import AssessmentError
from agrifm.legend import Legend

pytestmark = pytest.mark.check
PHONE = 390
"""Width of a phone, pixels."""
MEASURE = """<!DOCTYPE html><title>measuring</title><iframe src="{page}" width="{width}" height="844"></iframe><script>
document.querySelector("iframe").addEventListener("load", (event) => {{
  const page = event.target.contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("main *")].filter((one) =>
    !one.closest(".scroll, .hidden, .axis") && one.getBoundingClientRect().right > {width} + 1);
  const small = [...page.querySelectorAll("main *")].filter((one) => [...one.childNodes].some((node) =>
    node.nodeType === 3 && node.data.trim()) && parseFloat(getComputedStyle(one).fontSize) < 11);
  document.body.textContent = "MEASURED" + JSON.stringify({{
    width: root.scrollWidth,
    wide: wide.map((one) => one.tagName + " " + one.className),
    small: small.map((one) => one.tagName + " " + one.className),
    loaded: event.target.contentWindow.performance.getEntriesByType("resource").map((one) => one.name.slice(0, 60)),
    images: [...page.images].filter((one) => !one.complete || !one.naturalWidth).length,
    text: page.body.innerText.length,
  }}) + "END";
}});
</script>"""


@pytest.fixture(scope="module")
def browser():
    try:
        return find_browser()
    except AssessmentError:
        pytest.skip("no Chromium or Chrome is on the PATH")


@pytest.fixture(scope="module")
def report(tmp_path_factory, browser):
    """A map of classes with long names, its confidence, points and districts; with report.pdf of the real browser."""
    folder = tmp_path_factory.mktemp("report")
    names = {"1110": "Maize", "1121": "Winter wheat and other winter cereals, also undersown", "other": "Other land"}
    values = crop_map((240, 320), seed=1)
    write_raster(folder / "classes.tif", values, legend=Legend.of(CROPS.codes, names), nodata=255)
    confidence = np.random.default_rng(3).integers(40, 100, values.shape).astype(np.uint8)
    write_raster(folder / "confidence.tif", confidence, nodata=255)
    rows, cols = np.concatenate([np.argwhere(values == number)[::97][:80] for number in range(3)]).T
    labels = [CROPS.codes[(values[row, col] + (row % 9 == 0)) % 3] for row, col in zip(rows, cols, strict=True)]
    write_points(folder / "p.gpkg", rows, cols, labels)
    assess(folder / "classes.tif", folder / "p.gpkg", "label", folder / "out", pdf=True)
    return folder / "out"


def run(browser, folder, *arguments):
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    offline = ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"]
    plain = ["--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder / 'profile'}", *offline, *root]
    command = [str(browser), *plain, "--enable-logging=stderr", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


@pytest.mark.parametrize("width", [PHONE, 768, 1280])
def test_the_page_fits_a_screen_and_loads_nothing(browser, report, tmp_path, width):
    frame = tmp_path / "frame.html"
    frame.write_text(MEASURE.format(page=(report / "report.html").as_uri(), width=width))
    done = run(
        browser, tmp_path, "--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom", frame.as_uri()
    )
    found = json.loads(html.unescape(re.search("MEASURED(.*)END", done.stdout, re.DOTALL).group(1)))
    assert found["text"] > 1000
    assert found["width"] <= width
    assert found["wide"] == []
    assert found["small"] == []
    assert found["images"] == 0
    assert all(name.startswith("data:") for name in found["loaded"])
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []


def test_the_page_is_small_and_has_no_address_that_is_loaded(report):
    page = (report / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) <= 5_000_000
    assert not re.search(r"""(src|href|url\()\s*=?\s*["']?(https?:|//)""", page)


def test_the_browser_prints_pages_of_a4(report):
    content = (report / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    width, height = map(float, re.search(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", content).groups())
    assert (width, height) == (pytest.approx(595, abs=1), pytest.approx(842, abs=1))
    assert 2 <= len(re.findall(rb"/Type ?/Page\b", content)) <= 8
