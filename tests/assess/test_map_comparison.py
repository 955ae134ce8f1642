"""Two maps compared: on the same points, with a product in degrees and another legend, and over two seasons."""

import csv
import json

import geopandas as gpd
import numpy as np
import pytest
from tests.assess.rasters import CROPS, crop_map, write_points, write_raster
from tests.assess.test_report import Page

from agrifm.assess.map_comparison import FILES, PairedPoints, compare_maps
from agrifm.assess.point_estimators import paired_difference, stratified_points
from agrifm.assess.report_tables import COLUMNS
from agrifm.cli import main
from agrifm.errors import AssessmentError, OutputError

APPROVAL = (794, 150, 86, 570)
"""Ratings of a prime minister by 1,600 people in two surveys: both, first only, second only, neither (Agresti,
"Categorical Data Analysis", section 10.1)."""


def approval():
    first = np.repeat([True, True, False, False], APPROVAL)
    second = np.repeat([True, False, True, False], APPROVAL)
    return first, second, stratified_points(np.zeros(1600, int), [1.0])


def test_a_textbook_difference_of_paired_shares():
    """Agresti prints 0.04 with a standard error of 0.0095, and a statistic of McNemar of (86 - 150)^2 / 236 = 17.36."""
    found = paired_difference(*approval())
    assert float(found.difference.value) == pytest.approx(0.04)
    # the book divides by n, the estimate by n - 1
    assert round(float(found.difference.error) * np.sqrt(1599 / 1600), 4) == 0.0095
    assert (round(float(found.difference.low), 2), round(float(found.difference.high), 2)) == (0.02, 0.06)
    assert (found.only_first, found.only_second) == (150, 86)
    assert 1e-5 < found.mcnemar < 1e-4  # chi-square of 17.36 has p = 3.1e-5


def test_strata_count_by_their_area():
    """By hand: 3 ha with 1 of 4 points for the first map, 1 ha with 2 of 4 for the second: (3 x 1/4 - 1 x 2/4) / 4."""
    first = np.array([1, 1, 0, 1, 0, 0, 1, 0])
    second = np.array([0, 1, 0, 1, 1, 1, 1, 0])
    drawn = stratified_points(np.repeat([0, 1], 4), [3.0, 1.0])
    found = paired_difference(first, second, drawn).difference
    assert float(found.value) == pytest.approx(0.0625)
    # variances of (1, 0, 0, 0) and of (-1, -1, 0, 0) with n - 1: 1/4 and 1/3
    assert float(found.error) == pytest.approx(np.sqrt((9 / 4 / 4 + 1 / 3 / 4) / 16))


def test_maps_that_never_differ_at_the_points_are_not_said_to_be_equal():
    right = np.array([True] * 20 + [False] * 5)
    found = paired_difference(right, right, stratified_points(np.zeros(25, int), [1.0]))
    assert float(found.difference.value) == 0
    assert float(found.difference.low) < -0.05
    assert float(found.difference.high) > 0.05
    assert found.mcnemar == 1


@pytest.mark.parametrize(("points", "gain", "loss"), [(60, 0.04, 0.01), (200, 0.1, 0.05), (400, 0.01, 0.005)])
def test_the_interval_of_a_difference_covers(points, gain, loss):
    """1,000 simple random samples of each population; the share of intervals with the truth, at least 93.5 %."""
    generator = np.random.default_rng(7)
    drawn = stratified_points(np.zeros(points, int), [1.0])
    hits = 0
    for _ in range(1000):
        draw = generator.random(points)
        found = paired_difference(draw < gain, (draw >= gain) & (draw < gain + loss), drawn).difference
        hits += float(found.low) <= gain - loss <= float(found.high)
    assert hits >= 935


@pytest.fixture
def season(tmp_path):
    """A map, a worse one, and 90 points drawn in the classes of the first, whose truth is the map less every tenth."""
    values = crop_map()
    worse = values.copy()
    worse[:20] = np.where(worse[:20] == 255, 255, 2)
    generator = np.random.default_rng(5)
    places = [
        np.argwhere(values == number)[generator.permutation((values == number).sum())[:30]] for number in range(3)
    ]
    rows, cols = np.concatenate(places).T
    truth = [(values[r, c] + (i % 10 == 0)) % 3 for i, (r, c) in enumerate(zip(rows, cols, strict=True))]
    write_raster(tmp_path / "a.tif", values, legend=CROPS, nodata=255)
    write_raster(tmp_path / "b.tif", worse, legend=CROPS, nodata=255)
    labels = [CROPS.codes[number] for number in truth]
    write_points(tmp_path / "p.gpkg", rows, cols, labels, worse=worse[rows, cols], truth=truth, at=values[rows, cols])
    return tmp_path


def test_two_maps_on_the_same_points(season):
    points = PairedPoints(season / "p.gpkg", "label")
    found = compare_maps(season / "a.tif", season / "b.tif", season / "out", points)
    frame = gpd.read_file(season / "p.gpkg")
    first, second = frame["at"] == frame["truth"], frame["worse"] == frame["truth"]
    accuracy = found["accuracy"]
    assert accuracy["only_first_right"] == int((first & ~second).sum()) > 0
    assert accuracy["only_second_right"] == int((second & ~first).sum())
    # strata of the first map: hectares of each class over its 30 points
    hectares = np.array([(crop_map() == number).sum() for number in range(3)])
    weight = hectares[frame["at"]] / 30 / hectares.sum()
    assert accuracy["difference"]["estimate"] == pytest.approx(float((weight * (first * 1.0 - second)).sum()))
    each = [accuracy[which]["overall_accuracy"]["estimate"] for which in ("first", "second")]
    assert each[0] - each[1] == pytest.approx(accuracy["difference"]["estimate"])
    assert accuracy["mcnemar_p"] is None  # the points are stratified


def test_the_files_of_a_comparison_say_the_same_and_need_nothing_from_outside(season):
    found = compare_maps(season / "a.tif", season / "b.tif", season / "out", PairedPoints(season / "p.gpkg", "label"))
    assert {path.name for path in (season / "out").iterdir()} == set(FILES)
    assert json.loads((season / "out" / "comparison.json").read_text()) == found
    with (season / "out" / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    cross = [float(row["value"]) for row in rows if row["scope"] == "maps" and row["quantity"] == "area"]
    assert cross == np.ravel(found["cross"]["hectares"]).tolist()
    path = season / "out" / "comparison.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    assert path.stat().st_size <= 5_000_000
    assert all(image["src"].startswith("data:") and image["alt"] for image in page.find("img"))
    assert not {"script", "link"} & {tag for tag, _ in page.elements}
    classes = [image["class"].split()[-1] for image in page.find("img")]
    assert classes.count("l0") == 2  # the third map has layers of its own
    assert {"l3", "l4"} <= set(classes)
    assert "agreement" in {row["quantity"] for row in rows}


def test_points_of_an_unknown_design_are_refused(season):
    frame = gpd.read_file(season / "p.gpkg").drop(columns="sampling", errors="ignore")
    frame.to_file(season / "q.gpkg")
    with pytest.raises(AssessmentError) as error:
        compare_maps(season / "a.tif", season / "b.tif", season / "out", PairedPoints(season / "q.gpkg", "label"))
    assert error.value.facts["reason"] == "not stated"
    assert not (season / "out").exists()
    points = PairedPoints(season / "q.gpkg", "label", sampling="simple")
    found = compare_maps(season / "a.tif", season / "b.tif", season / "out", points)
    assert 0 <= found["accuracy"]["mcnemar_p"] <= 1


def test_a_map_beside_a_land_cover_product_in_degrees_and_with_other_codes(season):
    """As ESA WorldCover and WorldCereal are: pixels in degrees, codes of hundreds in uint16, all cropland one class."""
    product = np.where(np.random.default_rng(3).random((80, 120)) < 0.6, 400, 100).astype(np.uint16)
    write_raster(season / "w.tif", product, crs="EPSG:4326", side=0.0003, corner=(4.37, 49.65), nodata=0)
    (season / "map.csv").write_text("code,to_code,to_name\n1110,crop,Cropland\n1121,crop,Cropland\n")
    (season / "product.csv").write_text("code,to_code\n400,crop\n100,other\n")
    found = compare_maps(
        season / "a.tif",
        season / "w.tif",
        season / "out",
        translate_first=season / "map.csv",
        translate_second=season / "product.csv",
    )
    assert [area["code"] for area in found["areas"]] == ["crop", "other"]
    hectares = np.array(found["cross"]["hectares"])
    assert hectares.sum() == pytest.approx(found["agreement"]["both_ha"])
    assert found["agreement"]["share"] == pytest.approx(np.trace(hectares) / hectares.sum())
    assert sum(area["first_ha"] for area in found["areas"]) == pytest.approx(45, rel=0.01)
    crop = found["areas"][0]
    assert crop["first_ha"] == pytest.approx((crop_map() < 2).sum() * 0.01, rel=0.01)
    assert crop["second_ha"] == pytest.approx(0.6 * 45, rel=0.1)


def test_maps_that_do_not_overlap_are_refused(season):
    write_raster(season / "far.tif", crop_map(), legend=CROPS, nodata=255, corner=(900_000, 5_500_000))
    with pytest.raises(AssessmentError) as error:
        compare_maps(season / "a.tif", season / "far.tif", season / "out")
    assert error.value.facts["second"] == str(season / "far.tif")


def test_a_directory_with_other_files_is_refused(season):
    compare_maps(season / "a.tif", season / "b.tif", season / "out")
    (season / "out" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError) as error:
        compare_maps(season / "a.tif", season / "b.tif", season / "out")
    assert error.value.facts == {"files": ["notes.txt"]}


def test_the_command_of_two_seasons_ranks_rotations(season, capsys):
    frame = gpd.read_file(season / "p.gpkg")
    frame["later"] = ["other"] * 45 + ["1110"] * 40 + [""] * 5
    frame.to_file(season / "p.gpkg")
    command = ["assess", "compare", "--map", season / "a.tif", "--other", season / "b.tif", "--out", season / "out"]
    command += ["--reference", season / "p.gpkg", "--later-label", "later"]
    assert main([str(part) for part in command]) == 0
    found = json.loads((season / "out" / "comparison.json").read_text())
    change = found["change"]
    assert (change["points"], change["without_later_label"]) == (85, 5)
    assert sum(entry["points"] for entry in change["transitions"]) == 85
    areas = [entry["area_ha"] for entry in change["transitions"]]
    assert areas == sorted(areas, reverse=True)
    assert sum(areas) == pytest.approx(45)
    assert sum(entry["area_ha"] for entry in change["net"]) == pytest.approx(0, abs=1e-9)
    assert all(low < high for low, high in (entry["interval_ha"] for entry in change["transitions"]))
    assert "->" in capsys.readouterr().out


def test_a_column_of_the_later_season_that_is_absent_is_refused_with_the_columns(season):
    points = PairedPoints(season / "p.gpkg", "label", later="labell")
    with pytest.raises(AssessmentError) as error:
        compare_maps(season / "a.tif", season / "b.tif", season / "out", points)
    assert "label" in error.value.facts["columns"]
