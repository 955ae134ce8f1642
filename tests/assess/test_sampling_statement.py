"""Points that are not a probability sample are refused, unless the user says so; then the report begins with it."""

import argparse
import re

import geopandas as gpd
import numpy as np
import pytest
from shapely import box
from tests.assess.rasters import CROPS, UTM, crop_map, write_points, write_raster

from agrifm.assess.report import assess
from agrifm.assess.sampling_design import METHODS
from agrifm.assess.sampling_statement import DRAWN, SAMPLINGS
from agrifm.cli import main
from agrifm.cli_assess_arguments import assess_arguments
from agrifm.errors import AssessmentError


@pytest.fixture
def place(tmp_path):
    write_raster(tmp_path / "m.tif", crop_map(), legend=CROPS, nodata=255)
    return tmp_path


def points_of(place, name="p.gpkg", **columns):
    """Every tenth pixel in both directions, labelled as the map has it."""
    rows, cols = (part.ravel() for part in np.mgrid[4:60:10, 9:80:5])
    labels = [CROPS.codes[value] for value in crop_map()[rows, cols]]
    return write_points(place / name, rows, cols, labels, **columns)


def report_of(place, points, **more):
    return assess(place / "m.tif", points, "label", place / "report", **more)


def reason_of(place, points, **more):
    with pytest.raises(AssessmentError) as error:
        report_of(place, points, **more)
    assert not (place / "report").exists()
    return error.value.facts


def test_points_without_a_design_are_refused(place):
    points = points_of(place, sampling=None)
    assert reason_of(place, points) == {"reason": "not stated", "points": 90}
    for sampling in ("stratified", "simple"):
        report = report_of(place, points, sampling=sampling)
        assert report["probability_sample"] is True
    assert report["design"]["estimator"] == "Stehman 2014"  # one stratum, the whole map


def test_points_of_a_simple_random_sample_have_the_binomial_error(place):
    rows, cols = np.repeat(range(10), 8), np.tile(range(5, 75, 9), 10)
    right = np.arange(80) % 5 != 0
    labels = [CROPS.codes[(value + (not ok)) % 3] for value, ok in zip(crop_map()[rows, cols], right, strict=True)]
    points = write_points(place / "p.gpkg", rows, cols, labels, sampling=None)
    overall = report_of(place, points, sampling="simple")["overall_accuracy"]
    assert overall["estimate"] == pytest.approx(0.8)
    assert overall["standard_error"] == pytest.approx((0.8 * 0.2 / 79) ** 0.5)


def test_points_that_miss_a_class_count_alike_only_if_nobody_drew_them(place):
    """14 of 16 points are right; the map's third class has none, which a stratified sample must have."""
    values = crop_map()
    rows, cols = np.concatenate([np.argwhere(values == number)[:8] for number in (0, 1)]).T
    labels = [
        CROPS.codes[(values[row, col] + (at % 8 == 0)) % 3]
        for at, (row, col) in enumerate(zip(rows, cols, strict=True))
    ]
    points = write_points(place / "p.gpkg", rows, cols, labels, sampling=None)
    report = report_of(place, points, sampling="non-probability")
    assert report["overall_accuracy"]["estimate"] == pytest.approx(14 / 16)
    # the first screen has what was counted: the points say nothing of the area
    crop = max((values == number).sum() for number in (0, 1)) / 100
    title = re.search("<h1>(.*?)</h1>", (place / "report" / "report.html").read_text(), re.DOTALL).group(1)
    assert f"{crop:.1f}\xa0ha" in title
    with pytest.raises(AssessmentError):
        report_of(place, points, sampling="stratified")


def test_the_report_of_accepted_points_begins_with_what_they_are(place, capsys):
    points = points_of(place, sampling=None)
    report = report_of(place, points, sampling="non-probability")
    assert next(iter(report.items())) == ("probability_sample", False)
    page = (place / "report" / "report.html").read_text()
    text = re.sub(r"<[^>]*>", "", page[page.index("<main>") :]).strip()
    assert text.startswith("Not a probability sample")
    assert page.count(report["warnings"][0]) == 1
    words = ["assess", "--map", place / "m.tif", "--reference", points, "--out", place / "report", "--sampling"]
    assert main([str(word) for word in [*words, "non-probability"]]) == 0
    assert "not a probability sample" in capsys.readouterr().out.splitlines()[0]


def test_points_that_were_chosen_are_refused_and_never_mixed_with_drawn_ones(place):
    chosen = points_of(place, sampling="non-probability")
    assert reason_of(place, chosen) == {"reason": "chosen", "points": 90}
    mixed = points_of(place, "q.gpkg", sampling=["non-probability"] * 30 + ["simple"] * 60)
    report = report_of(place, mixed)
    assert report["points"]["used"] == 60
    assert report["points"]["skipped"]["chosen, not drawn"] == 30
    assert report["points"]["read"] == 90
    assert report_of(place, mixed, sampling="non-probability")["points"]["used"] == 90


def test_training_points_are_refused_even_if_the_user_names_a_design(place):
    points = points_of(place, sampling=None)
    for training in (points, parcels(place)):
        for sampling in ("stratified", None):
            assert reason_of(place, points, training=training, sampling=sampling)["reason"] == "training"
    drawn = points_of(place, "q.gpkg")  # by chance, or because the parcels cover everything
    assert report_of(place, drawn, training=parcels(place))["probability_sample"] is True
    assert report_of(place, points, training=points, sampling="non-probability")["probability_sample"] is False


def parcels(place):
    whole = gpd.GeoDataFrame({"crop": ["1110"]}, geometry=[box(600_000, 5_499_400, 600_800, 5_500_000)], crs=UTM)
    whole.to_file(place / "parcels.gpkg")
    return place / "parcels.gpkg"


@pytest.mark.parametrize(
    ("column", "methods"),
    [
        (["stratified"] * 89 + ["simple"], ["simple", "stratified"]),
        (["stratified"] * 89 + [None], ["nothing", "stratified"]),
        ("expert", ["expert"]),
    ],
)
def test_an_unknown_or_mixed_method_is_refused(place, column, methods):
    assert reason_of(place, points_of(place, sampling=column)) == {"methods": methods}


def test_a_statement_that_contradicts_the_file_is_refused(place):
    points = points_of(place, sampling="simple")
    assert reason_of(place, points, sampling="stratified") == {"file": "simple", "stated": "stratified"}


@pytest.mark.parametrize("columns", [{"stratum": "all", "stratum_ha": 45.0}, {"map_class": "1110"}])
def test_strata_in_the_file_are_a_statement(place, columns):
    assert report_of(place, points_of(place, sampling=None, **columns))["probability_sample"] is True


def test_the_command_offers_what_can_be_stated():
    parser = argparse.ArgumentParser()
    assess_arguments(parser)
    offered = next(action for action in parser._actions if action.dest == "sampling")
    assert tuple(offered.choices) == SAMPLINGS
    assert set(METHODS) <= set(DRAWN)
