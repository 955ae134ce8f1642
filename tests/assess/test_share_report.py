"""Maps of shares against finer classes: errors and hectares counted by hand, intervals, page, refusals."""

import csv
import json

import geopandas as gpd
import numpy as np
import pytest
from shapely import box
from tests.assess.rasters import CROPS, UTM, write_raster, write_share_map

from agrifm.assess.number_pictures import INSIDE, OUTSIDE_COLOR
from agrifm.assess.share_report import assess_shares
from agrifm.cli import main
from agrifm.errors import AssessmentError

SIDE = 48
"""Fine pixels along a pixel of 480 m."""
CORNER = (600_000, 5_500_320)
"""Of the map, a multiple of 480 m; blocks of 960 m begin one pixel above it, so they are in four rows."""


@pytest.fixture
def season(tmp_path):
    """The map and the classes at 10 m: the map has 10 points too much maize, and no number in its first pixel."""
    generator = np.random.default_rng(4)
    fine = np.kron(generator.choice(3, (48, 64), p=[0.2, 0.3, 0.5]), np.ones((6, 6), int)).astype(np.uint8)
    true = np.stack([(fine == number).reshape(6, SIDE, 8, SIDE).mean(axis=(1, 3)) for number in range(3)])
    shares = true + np.array([0.1, -0.04, -0.06])[:, None, None]
    shares[:, 0, 0] = np.nan
    write_share_map(tmp_path / "fractions.tif", shares, CROPS, corner=CORNER)
    write_raster(tmp_path / "classes.tif", fine, legend=CROPS, nodata=255, corner=CORNER)
    return true, shares


def test_errors_and_hectares_are_those_counted_by_hand(season, tmp_path, monkeypatch):
    monkeypatch.setattr("agrifm.assess.number_page.scatter_of_shares", lambda *_: "data:,")
    monkeypatch.setattr("agrifm.assess.number_page.bars_of_hectares", lambda *_: "data:,")
    true, _ = season
    report = assess_shares(
        tmp_path / "fractions.tif", tmp_path / "classes.tif", "label", tmp_path / "report", block=960
    )
    used = np.ones((6, 8), bool)
    used[0, 0] = False
    assert report["reference"]["used"] == 47
    assert report["reference"]["skipped"] == {"without shares on the map": 1}
    assert report["intervals"] == {"from": "blocks", "block_m": 960, "blocks": 16}
    by_hand = {"1110": 0.1, "1121": -0.04, "other": -0.06}
    for number, one in enumerate(report["classes"]):
        bias = by_hand[one["code"]]
        assert one["bias"]["estimate"] == pytest.approx(bias, abs=1e-6)
        assert one["rmse"]["estimate"] == pytest.approx(abs(bias), abs=1e-6)
        assert one["reference_ha"]["estimate"] == pytest.approx(23.04 * true[number][used].sum(), rel=1e-5)
        assert one["bias_ha"]["estimate"] == pytest.approx(47 * 23.04 * bias, rel=1e-4)
    assert report["displaced_ha"] == pytest.approx(47 * 23.04 * 0.1, rel=1e-4)
    assert report["whole_map"] is True  # every pixel of the map is compared
    assert report["warnings"] == []
    rows = list(csv.DictReader((tmp_path / "report" / "scores.csv").read_text().splitlines()))
    (maize,) = [row for row in rows if row["code"] == "1110" and row["quantity"] == "bias_ha"]
    assert float(maize["value"]) == pytest.approx(47 * 23.04 * 0.1, rel=1e-4)


def test_the_command_compares_polygons_and_draws_the_page(season, tmp_path, capsys):
    """Three columns of pixels are maize, two wheat, two other land; the rest is not labelled."""
    corners = [(0, 3, "1110"), (3, 5, "1121"), (5, 7, "other")]
    shapes = [box(CORNER[0] + 480 * a, CORNER[1] - 2880, CORNER[0] + 480 * b, CORNER[1]) for a, b, _ in corners]
    gpd.GeoDataFrame({"label": [code for *_, code in corners]}, geometry=shapes, crs=UTM).to_file(tmp_path / "p.gpkg")
    words = ["--map", tmp_path / "fractions.tif", "--reference", tmp_path / "p.gpkg", "--out", tmp_path / "report"]
    words += ["--project", tmp_path]
    assert main(["assess", *map(str, words)]) == 0
    assert "41 pixels" in capsys.readouterr().out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    hectares = {one["code"]: one["reference_ha"]["estimate"] for one in report["classes"]}
    assert report["whole_map"] is False
    assert "not a probability sample" in report["warnings"][0]
    assert hectares == pytest.approx({"1110": 17 * 23.04, "1121": 12 * 23.04, "other": 12 * 23.04})
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "Winter wheat" in page
    assert main(["assess", *map(str, words), "--unit", "t/ha"]) == 2
    gpd.GeoDataFrame({"label": ["rye"]}, geometry=shapes[:1], crs=UTM).to_file(tmp_path / "p.gpkg")
    assert main(["assess", *map(str, words)]) == 2


def test_a_reference_elsewhere_is_refused(season, tmp_path):
    shapes = [box(CORNER[0] + 1e5, CORNER[1], CORNER[0] + 1e5 + 960, CORNER[1] + 960)]
    gpd.GeoDataFrame({"label": ["1110"]}, geometry=shapes, crs=UTM).to_file(tmp_path / "p.gpkg")
    with pytest.raises(AssessmentError):
        assess_shares(tmp_path / "fractions.tif", tmp_path / "p.gpkg", "label", tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_the_two_colours_differ_in_lightness():
    """By more than 3:1, the contrast that WCAG 2.2 (success criterion 1.4.11) asks of graphics."""

    def luminance(color):
        channels = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    assert (luminance(OUTSIDE_COLOR) + 0.05) / (luminance(INSIDE) + 0.05) > 3
