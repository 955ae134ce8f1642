"""The second phase of a sample: drawn within the classes of the first, and assessed from the file that was written."""

import geopandas as gpd
import numpy as np
import pytest
from tests.assess.rasters import CROPS, crop_map, pixels_of, write_raster

from agrifm.assess.design import draw_points, plan
from agrifm.assess.report import assess
from agrifm.assess.sampling_design import Design
from agrifm.cli import main
from agrifm.errors import AssessmentError


@pytest.fixture
def crops(tmp_path):
    return write_raster(tmp_path / "m.tif", crop_map(), legend=CROPS, nodata=255)


def truth_at(points):
    return np.array(CROPS.codes)[crop_map()[pixels_of(points)]]


def first_phase(crops, path, n=400, **choices):
    """Points whose quick label is right for four of five."""
    draw_points(crops, n, 2, path, Design(**{"method": "simple", **choices}))
    points = gpd.read_file(path)
    guess = np.random.default_rng(3).choice(CROPS.codes, len(points))
    points["label"] = np.where(np.arange(len(points)) % 5 == 0, guess, truth_at(points))
    points.to_file(path)
    return points


def test_the_second_phase_is_some_of_the_first_points_unlabelled(crops, tmp_path):
    first = first_phase(crops, tmp_path / "first.gpkg").set_index("id")
    design = Design(method="two-phase", first=tmp_path / "first.gpkg", allocation="equal")
    numbers = draw_points(crops, 90, 0, tmp_path / "second.gpkg", design)
    assert numbers == dict.fromkeys(sorted(CROPS.codes), 30)
    second = gpd.read_file(tmp_path / "second.gpkg").set_index("id")
    assert second.index.is_unique
    assert second["label"].isna().all()
    assert second.geometry.equals(first.loc[second.index].geometry)
    assert second["stratum"].tolist() == first.loc[second.index, "label"].tolist()
    counts = first["label"].value_counts()
    assert second["first_phase"].tolist() == counts[second["stratum"]].tolist()
    assert second["stratum_ha"].to_numpy() == pytest.approx(45 / 400 * second["first_phase"].to_numpy())
    assert "90 points" in plan(crops, 90, design)[0]


def test_the_command_draws_both_phases_and_assesses_them(crops, tmp_path):
    points = tmp_path / "second.gpkg"
    first_phase(crops, tmp_path / "first.gpkg", method="systematic")
    words = ["--map", crops, "--method", "two-phase", "--first", tmp_path / "first.gpkg", "--n", 120, "--out", points]
    assert main([str(word) for word in ["assess", "design", *words]]) == 0
    second = gpd.read_file(points)
    second.assign(label=truth_at(second)).to_file(points)
    report = assess(crops, points, "label", tmp_path / "report")
    assert report["design"]["method"] == "two-phase"
    assert report["overall_accuracy"]["estimate"] == 1
    assert report["overall_accuracy"]["interval"][0] < 1
    for number, area in enumerate(report["areas"]):
        low, high = area["interval_ha"]
        assert low <= 0.01 * (crop_map() == number).sum() <= high
        assert area["standard_error_ha"] > 0
    assert "Cochran" in (tmp_path / "report" / "report.html").read_text()


def test_points_without_a_quick_label_are_a_stratum(crops, tmp_path):
    points = first_phase(crops, tmp_path / "first.gpkg")
    points.loc[:19, "label"] = None
    points.to_file(tmp_path / "first.gpkg")
    design = Design(method="two-phase", first=tmp_path / "first.gpkg", least=5)
    assert draw_points(crops, 60, 0, tmp_path / "second.gpkg", design)["unseen"] >= 5


def test_other_first_phases_are_refused(crops, tmp_path):
    first = tmp_path / "first.gpkg"
    design = Design(method="two-phase", first=first)
    draw_points(crops, 100, 0, first, Design(method="simple"))
    for make in (lambda: None, lambda: first.unlink() or first_phase(crops, first, method="stratified")):
        make()  # without labels; drawn in strata
        with pytest.raises(AssessmentError):
            draw_points(crops, 30, 0, tmp_path / "second.gpkg", design)
    with pytest.raises(AssessmentError) as error:
        draw_points(crops, 30, 0, tmp_path / "second.gpkg", Design(method="two-phase"))
    assert error.value.facts["lacking"] == ["first"]
    assert not (tmp_path / "second.gpkg").exists()
