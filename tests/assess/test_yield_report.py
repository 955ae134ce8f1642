"""Maps of yields against reference yields: scores by hand and by scikit-learn, known production, samples, refusals."""

import csv
import json

import geopandas as gpd
import numpy as np
import pytest
from shapely import box
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from tests.assess.rasters import UTM, write_points, write_yield_map

from agrifm.assess.report_origin import TrainingFile
from agrifm.assess.report_tables import COLUMNS
from agrifm.assess.sampling_frame import PolygonFile
from agrifm.assess.yield_report import assess_yields
from agrifm.cli import main
from agrifm.errors import AssessmentError
from agrifm.vectors import NOTHING_STATED

LEFT, TOP = 600_000, 5_500_000
SHAPE = (60, 80)


def mapped_tonnes():
    """2 to 8 t/ha from west to east, none in the first ten columns."""
    tonnes = np.broadcast_to(np.linspace(2, 8, SHAPE[1]), SHAPE).copy()
    tonnes[:, :10] = np.nan
    return tonnes


def true_tonnes(seed=0):
    """The map less 0.3 t/ha, with errors of 0.8 t/ha that fields of 10 x 10 pixels share."""
    errors = np.kron(np.random.default_rng(seed).normal(0, 0.8, (6, 8)), np.ones((10, 10)))
    return np.maximum(mapped_tonnes() - 0.3 + errors, 0.05)


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch, request):
    """Drawing takes most of the time of a report; one test looks at the picture."""
    if "picture" not in request.node.name:
        monkeypatch.setattr("agrifm.assess.number_page.scatter_of_yields", lambda *_: "data:,")


@pytest.fixture
def yield_map(tmp_path):
    return write_yield_map(tmp_path / "yield.tif", mapped_tonnes())


def drawn_pixels(count, seed=0):
    """Pixels at random among those with a yield."""
    places = np.argwhere(~np.isnan(mapped_tonnes()))
    return np.random.default_rng(seed).permutation(places)[:count].T


def test_scores_of_chosen_points_are_those_of_scikit_learn_and_nothing_is_estimated(yield_map, tmp_path):
    rows, cols = drawn_pixels(300)
    true, mapped = true_tonnes()[rows, cols], mapped_tonnes()[rows, cols].astype(np.float32)
    points = write_points(tmp_path / "p.gpkg", rows, cols, 10 * true, sampling=None)
    report = assess_yields(yield_map, points, "label", "dt/ha", tmp_path / "report", block=200)
    assert report["probability_sample"] is False
    assert "probability sample" in report["warnings"][0]
    assert report["production"] is None
    found = {name: one["estimate"] for name, one in report["scores"].items()}
    assert found["rmse"] == pytest.approx(root_mean_squared_error(true, mapped), rel=1e-6)
    assert found["mae"] == pytest.approx(mean_absolute_error(true, mapped), rel=1e-6)
    assert found["r2"] == pytest.approx(r2_score(true, mapped), rel=1e-6)
    assert found["bias"] == pytest.approx((mapped - true).mean(), rel=1e-6)
    assert report["intervals"]["blocks"] == 3 * 4
    for one in report["scores"].values():
        assert one["interval"][0] <= one["estimate"] <= one["interval"][1]


def test_a_random_sample_gives_the_production_by_the_textbook_formulas(yield_map, tmp_path):
    """Lohr 2019, "Sampling", section 4.6: difference and regression estimators of a total, without correction."""
    rows, cols = drawn_pixels(60, seed=3)
    true, mapped = true_tonnes()[rows, cols], mapped_tonnes()[rows, cols].astype(np.float32).astype(float)
    points = write_points(tmp_path / "p.gpkg", rows, cols, true, sampling="simple")
    report = assess_yields(yield_map, points, "label", "t/ha", tmp_path / "report")
    found, hectares = report["production"], 60 * 70 / 100
    whole = np.nanmean(mapped_tonnes())
    assert found["map_sum_t"] == pytest.approx(hectares * whole, rel=1e-6)
    slope, intercept = np.polyfit(mapped, true, 1)
    by_hand = {
        "sample": (true.mean(), true.std(ddof=1)),
        "difference": (whole + (true - mapped).mean(), (true - mapped).std(ddof=1)),
        "regression": (intercept + slope * whole, (true - slope * mapped).std(ddof=1)),
    }
    for method, (mean, spread) in by_hand.items():
        assert found[method]["estimate"] == pytest.approx(hectares * mean, rel=1e-6)
        assert found[method]["standard_error"] == pytest.approx(hectares * spread / 60**0.5, rel=1e-6)
    assert found["stated"] == found["regression"]
    low, high = found["difference"]["interval"]  # Student's t with 59 degrees of freedom: 2.0009954
    assert (high - low) / 2 == pytest.approx(2.0009954 * found["difference"]["standard_error"], rel=1e-5)
    square = report["scores"]["rmse"]["estimate"] ** 2
    assert square == pytest.approx(((mapped - true) ** 2).mean(), rel=1e-6)
    assert report["scores"]["r2"]["estimate"] == pytest.approx(r2_score(true, mapped), rel=1e-6)


def test_strata_that_reach_beyond_the_crop_and_other_crops_count_in_the_production(yield_map, tmp_path):
    """The west has no mapped rice; on mapped rice a quarter of the drawn points has maize, so no rice is there."""
    generator = np.random.default_rng(5)
    places = generator.permutation(np.argwhere(np.ones(SHAPE, bool)))[:200]
    rows, cols = places.T
    crop = np.where(generator.random(200) < 0.25, "maize", "rice")
    label = np.where((crop == "rice") & (cols >= 10), true_tonnes()[rows, cols], np.nan)
    points = write_points(
        tmp_path / "p.gpkg", rows, cols, label, crop=crop, sampling="simple", stratum="all", stratum_ha=48.0
    )
    report = assess_yields(yield_map, points, "label", "t/ha", tmp_path / "report")
    on_map = cols >= 10
    assert report["reference"]["used"] == (on_map & (crop == "rice")).sum()
    assert report["reference"]["skipped"]["another crop"] == (on_map & (crop == "maize")).sum()
    assert report["reference"]["skipped"]["no yield on the map"] == (~on_map).sum()
    error = np.nan_to_num(label)[on_map] - mapped_tonnes()[rows, cols][on_map]
    expected = 42 * (np.nanmean(mapped_tonnes()) + error.mean())
    assert report["production"]["difference"]["estimate"] == pytest.approx(expected, rel=1e-6)
    used = on_map & (crop == "rice")
    assert report["scores"]["bias"]["estimate"] == pytest.approx(
        (mapped_tonnes()[rows, cols] - label)[used].mean(), rel=1e-6
    )
    assert not any("strata" in warning for warning in report["warnings"])


def field_file(path, **columns):
    """Fields of 10 x 10 pixels with their yields; their outlines cut pixels in half."""
    shapes, tonnes = [], []
    for row in range(0, 60, 10):
        for col in range(10, 80, 10):
            shapes.append(box(LEFT + 10 * col + 5, TOP - 10 * row - 95, LEFT + 10 * col + 95, TOP - 10 * row - 5))
            tonnes.append(true_tonnes()[row : row + 10, col : col + 10].mean())
    gpd.GeoDataFrame({"tonnes": tonnes, **columns}, geometry=shapes, crs=UTM).to_file(path)
    return path, np.array(tonnes)


def test_fields_are_compared_by_the_mean_of_their_pixels(yield_map, tmp_path):
    file, tonnes = field_file(tmp_path / "fields.gpkg")
    report = assess_yields(yield_map, file, "tonnes", "t/ha", tmp_path / "report", block=200)
    step = mapped_tonnes()[0, 10:].reshape(7, 10)
    weight = np.r_[0.5, np.ones(8), 0.5]
    mapped = np.tile((step * weight).sum(axis=1) / 9, 6)
    assert report["reference"]["units"] == "parcels"
    assert report["scores"]["rmse"]["estimate"] == pytest.approx(root_mean_squared_error(tonnes, mapped), rel=1e-5)
    # of equal fields drawn at random the mean of fields is that of ground
    drawn = assess_yields(yield_map, file, "tonnes", "t/ha", tmp_path / "report", sampling="simple")
    assert drawn["scores"]["mae"]["estimate"] == pytest.approx(mean_absolute_error(tonnes, mapped), rel=1e-4)
    assert drawn["production"]["units"] == 42


def test_districts_have_their_sums_and_their_production(yield_map, tmp_path):
    rows, cols = drawn_pixels(200, seed=2)
    true = true_tonnes()[rows, cols]
    points = write_points(tmp_path / "p.gpkg", rows, cols, true, sampling="simple")
    halves = [box(LEFT, TOP - 600, LEFT + 400, TOP), box(LEFT + 400, TOP - 600, LEFT + 800, TOP)]
    gpd.GeoDataFrame({"name": ["west", "east"]}, geometry=halves, crs=UTM).to_file(tmp_path / "d.gpkg")
    districts = PolygonFile(tmp_path / "d.gpkg", "name")
    report = assess_yields(yield_map, points, "label", "t/ha", tmp_path / "report", districts=districts)
    east, west = report["districts"]
    assert [east["hectares"], west["hectares"]] == pytest.approx([24, 18])
    inside = cols < 40
    assert west["units"] == inside.sum()
    assert west["map_sum_t"] == pytest.approx(np.nansum(mapped_tonnes()[:, :40]) / 100, rel=1e-6)
    slope, intercept = np.polyfit(mapped_tonnes()[rows, cols][inside], true[inside], 1)
    by_hand = 18 * (intercept + slope * np.nanmean(mapped_tonnes()[:, :40]))
    assert west["stated"]["estimate"] == pytest.approx(by_hand, rel=1e-6)
    rows_of = list(csv.DictReader((tmp_path / "report" / "scores.csv").read_text().splitlines()))
    assert tuple(rows_of[0]) == COLUMNS
    (stated,) = [row for row in rows_of if row["of"] == "west" and row["quantity"] == "production_regression"]
    assert float(stated["value"]) == pytest.approx(by_hand, rel=1e-6)
    chosen = assess_yields(
        yield_map, points, "label", "t/ha", tmp_path / "report", districts=districts, sampling="non-probability"
    )
    assert not any("stated" in one for one in chosen["districts"])


def test_the_command_writes_a_page_with_its_picture_and_needs_the_unit(yield_map, tmp_path, capsys):
    rows, cols = drawn_pixels(40)
    points = write_points(tmp_path / "p.gpkg", rows, cols, true_tonnes()[rows, cols], sampling="simple")
    words = ["--map", yield_map, "--reference", points, "--out", tmp_path / "report", "--project", tmp_path]
    assert main(["assess", *map(str, words)]) == 2
    assert "--unit" in capsys.readouterr().err
    for more in (["--unit", "t/ha"], ["--unit", "t/ha"]):  # the second report replaces the first
        assert main(["assess", *map(str, words), *more]) == 0
    assert "production" in capsys.readouterr().out
    page = (tmp_path / "report" / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "http:" not in page
    assert json.loads((tmp_path / "report" / "report.json").read_text())["kind"] == "yields"
    assert main(["assess", *map(str, words), "--unit", "t/ha", "--declared", str(points)]) == 2


@pytest.mark.parametrize(
    ("change", "fact"),
    [({"label": 1000.0}, "median"), ({"label": -1.0}, "found"), ({"crop": "maize"}, "crops"), ({"label": None}, None)],
)
def test_numbers_that_are_not_yields_of_the_crop_are_refused(yield_map, tmp_path, change, fact):
    rows, cols = drawn_pixels(20)
    frame = gpd.read_file(write_points(tmp_path / "p.gpkg", rows, cols, true_tonnes()[rows, cols], crop="rice"))
    frame.assign(**change).to_file(tmp_path / "changed.gpkg")
    with pytest.raises(AssessmentError) as error:
        assess_yields(yield_map, tmp_path / "changed.gpkg", "label", "t/ha", tmp_path / "report")
    assert fact is None or fact in error.value.facts
    assert not (tmp_path / "report").exists()


def test_drawn_points_without_an_answer_are_warned_of(yield_map, tmp_path):
    """Of 40 points three have no yield: "none" says nothing, and "no crop" says that there is no rice."""
    rows, cols = drawn_pixels(40)
    label = np.where(np.arange(40) < 3, np.nan, true_tonnes()[rows, cols])
    for word, used, produced in (("none", 37, 37), ("no crop", 37, 40)):
        crop = np.where(np.arange(40) < 3, word, "rice")
        points = write_points(tmp_path / "p.gpkg", rows, cols, label, crop=crop, sampling="simple")
        report = assess_yields(yield_map, points, "label", "t/ha", tmp_path / "report")
        assert (report["reference"]["used"], report["production"]["units"]) == (used, produced)
        assert any("3 of 40" in warning for warning in report["warnings"]) == (word == "none")


def test_the_item_of_a_map_may_lead_to_a_raster_of_cropland(yield_map, tmp_path):
    """As `agrifm map` writes it where `cropland` is given: links to the model's item, the cube and the raster."""
    links = [
        {"rel": "derived_from", "href": "../model.json", "type": "application/geo+json", "title": "model"},
        {"rel": "derived_from", "href": "../cube.zarr", "type": "application/vnd+zarr", "title": "cube"},
        {"rel": "derived_from", "href": "yield.tif", "title": "cropland"},
    ]
    (tmp_path / "map").mkdir()
    moved = yield_map.rename(tmp_path / "map" / "yield.tif")
    (tmp_path / "model.json").write_text(json.dumps({"properties": {"mlm:name": "classic"}}))
    (tmp_path / "map" / "item.json").write_text(json.dumps({"properties": {}, "links": links}))
    rows, cols = drawn_pixels(30)
    points = write_points(tmp_path / "p.gpkg", rows, cols, true_tonnes()[rows, cols], sampling="simple")
    report = assess_yields(moved, points, "label", "t/ha", tmp_path / "report")
    assert report["provenance"]["model"] == "classic"


def test_a_reference_of_training_fields_is_refused_and_counted_if_accepted(yield_map, tmp_path):
    file, _ = field_file(tmp_path / "fields.gpkg")
    training = TrainingFile(file, NOTHING_STATED)
    with pytest.raises(AssessmentError) as error:
        assess_yields(yield_map, file, "tonnes", "t/ha", tmp_path / "report", training=training)
    assert error.value.facts["reason"] == "training"
    accepted = assess_yields(
        yield_map, file, "tonnes", "t/ha", tmp_path / "report", training=training, sampling="non-probability"
    )
    assert any("42 of 42" in warning for warning in accepted["warnings"])
    assert accepted["production"] is None
