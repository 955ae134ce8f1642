"""Areas from declared parcels and points together, against the truth that both were made from."""

import csv

import geopandas as gpd
import numpy as np
import pytest
from shapely import box
from tests.assess.rasters import CROPS, UTM, crop_map, write_raster

from agrifm.assess.composite import composite_area
from agrifm.assess.design import draw_points
from agrifm.assess.point_estimators import ratio_of_totals, stratified_points
from agrifm.assess.report import assess
from agrifm.assess.sampling_design import Design
from agrifm.assess.sampling_frame import PolygonFile
from agrifm.cli import main
from agrifm.errors import AssessmentError


def pixels_of(points):
    rows = ((5_500_000 - points.geometry.y) // 10).astype(int)
    cols = ((points.geometry.x - 600_000) // 10).astype(int)
    return rows.to_numpy(), cols.to_numpy()


def field(row, col, crop):
    left, top = 600_000 + 100 * col, 5_500_000 - 100 * row
    return {"crop": crop, "geometry": box(left, top - 100, left + 100, top)}


@pytest.fixture
def place(tmp_path):
    """A map with 15 % of its pixels wrong; the fields of its upper half are declared, as they truly are."""
    truth = crop_map()
    wrong = np.random.default_rng(4).random(truth.shape) < 0.15
    mapped = np.where((truth != 255) & wrong, (truth + 1) % 3, truth).astype(np.uint8)
    write_raster(tmp_path / "m.tif", mapped, legend=CROPS, nodata=255)
    fields = [
        field(row, col, CROPS.codes[truth[10 * row + 5, 10 * col + 5]]) for row in range(3) for col in range(1, 8)
    ]
    gpd.GeoDataFrame(fields, crs=UTM).to_file(tmp_path / "parcels.gpkg")
    return tmp_path


def label(points, truth):
    frame = gpd.read_file(points)
    frame["label"] = [CROPS.codes[value] for value in truth[pixels_of(frame)]]
    frame.to_file(points)


def true_hectares():
    return np.array([0.01 * (crop_map() == number).sum() for number in range(3)])


def test_points_anywhere_and_parcels_give_the_true_areas(place):
    truth = crop_map()
    draw_points(place / "m.tif", 300, 0, place / "p.gpkg", Design(allocation="proportional"))
    label(place / "p.gpkg", truth)
    parcels = PolygonFile(place / "parcels.gpkg", "crop")
    report = assess(place / "m.tif", place / "p.gpkg", "label", place / "report", declared=parcels)
    found = report["composite"]
    assert found["declared_ha"] == pytest.approx(21.0)
    assert found["rest_ha"] == pytest.approx(24.0)
    upper = [0.01 * (truth[:30, 10:] == number).sum() for number in range(3)]
    assert [area["declared_ha"] for area in found["areas"]] == pytest.approx(upper)
    for area, alone, hectares in zip(found["areas"], report["areas"], true_hectares(), strict=True):
        assert area["interval_ha"][0] <= hectares <= area["interval_ha"][1]
        assert area["standard_error_ha"] < alone["standard_error_ha"]
        assert area["interval_ha"][0] >= area["declared_ha"]
    assert sum(area["area_ha"] for area in found["areas"]) == pytest.approx(45.0)
    assert f"0 of {300 - found['points']} points" in " ".join(report["notes"])
    assert "declared parcels" in (place / "report" / "report.html").read_text()
    with (place / "report" / "areas.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["scope"] == "composite" and row["quantity"] == "area"]
    assert [float(row["value"]) for row in rows] == pytest.approx([area["area_ha"] for area in found["areas"]])


def test_the_command_draws_points_only_outside_parcels_and_adds_both(place, capsys):
    points = place / "p.gpkg"
    words = ["--map", place / "m.tif", "--outside", place / "parcels.gpkg", "--n", 120, "--out", points]
    assert main([str(word) for word in ["assess", "design", *words]]) == 0
    label(points, crop_map())
    rows, cols = pixels_of(gpd.read_file(points))
    assert not ((rows < 30) & (cols >= 10)).any()
    words = ["--map", place / "m.tif", "--reference", points, "--declared", place / "parcels.gpkg"]
    assert main([str(word) for word in ["assess", *words, "--out", place / "report"]]) == 0
    assert "parcels (21.0 ha) and 120 points" in capsys.readouterr().out


def test_the_mean_of_many_samples_is_the_truth_and_its_error_is_as_stated():
    """Two strata of 4,000 and 1,000 ha; parcels cover part of each, and 60 + 40 points are drawn 400 times."""
    generator = np.random.default_rng(5)
    stratum = np.repeat([0, 1], [4000, 1000])
    crop = (generator.random(5000) < np.where(stratum == 0, 0.2, 0.7)).astype(int)
    inside = generator.random(5000) < 0.35
    declared = np.array([(crop[inside] == number).sum() for number in (0, 1)], float)
    found = []
    for _ in range(400):
        drawn = np.concatenate([generator.choice(4000, 60), 4000 + generator.choice(1000, 40)])
        sample = stratified_points(stratum[drawn], [4000.0, 1000.0])
        found.append(composite_area(declared, crop[drawn], ~inside[drawn], float((~inside).sum()), sample))
    values, errors = np.array([(one.value[1], one.error[1]) for one in found]).T
    truth = crop.sum()
    assert values.mean() == pytest.approx(truth, abs=3 * values.std() / 20)
    assert errors.mean() == pytest.approx(values.std(), rel=0.08)
    held = np.mean([one.low[1] <= truth <= one.high[1] for one in found])
    assert 0.92 < held <= 1
    # without the parcels the error is larger by the share that they cover, about
    whole = ratio_of_totals(crop[drawn], np.ones(100), sample)
    assert errors.mean() < 0.9 * 5000 * float(whole.error)


def test_parcels_everywhere_have_no_error_and_those_without_points_around_are_refused():
    sample = stratified_points([0, 0, 0], [10.0])
    found = composite_area(np.array([4.0, 6.0]), np.array([0, 1, 1]), np.zeros(3, bool), 0.0, sample)
    assert found.value.tolist() == [4, 6]
    assert found.error.tolist() == [0, 0]
    with pytest.raises(AssessmentError) as error:
        composite_area(np.array([4.0, 4.0]), np.array([0, 1, 1]), np.array([True, False, False]), 2.0, sample)
    assert error.value.facts == {"points": 1, "rest_ha": 2.0}


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (lambda frame: frame.assign(crop=["turnip", *frame["crop"][1:]]), {"unknown": ["turnip"]}),
        (lambda frame: frame.assign(crop=[None, *frame["crop"][1:]]), {"polygons": 1}),
        (lambda frame: frame.rename(columns={"crop": "kind"}), {"column": "crop"}),
    ],
    ids=["unknown crop", "no crop", "no column"],
)
def test_parcels_that_cannot_be_added_are_refused(place, change, facts):
    draw_points(place / "m.tif", 60, 0, place / "p.gpkg")
    label(place / "p.gpkg", crop_map())
    change(gpd.read_file(place / "parcels.gpkg")).to_file(place / "q.gpkg")
    declared = PolygonFile(place / "q.gpkg", "crop")
    with pytest.raises(AssessmentError) as error:
        assess(place / "m.tif", place / "p.gpkg", "label", place / "report", declared=declared)
    assert facts.items() <= error.value.facts.items()
