"""Polygons as reference: the map's majority in each, weights by hectares, and errors that other software gives."""

import geopandas as gpd
import numpy as np
import pytest
from shapely import MultiPolygon, Polygon, box
from tests.assess.rasters import CROPS, UTM, write_points, write_raster
from tests.assess.test_point_estimators_oracle import classified, survey_ratio

from agrifm.assess.class_map import NODATA, OUTSIDE, read_map
from agrifm.assess.confusion import count_confusion
from agrifm.assess.map_comparison import PairedPoints, compare_maps
from agrifm.assess.point_estimators import point_estimates, ratio_of_totals
from agrifm.assess.reference_polygons import PolygonUnits, polygons_on_map
from agrifm.assess.report import assess
from agrifm.cli import main
from agrifm.errors import AssessmentError

SIDE = 12
"""Fields along each side of the map, of different width and height."""


def fields_map(folder, seed=1):
    """A map of fields, their polygons with their true class, and the map's class of each."""
    generator = np.random.default_rng(seed)
    widths, heights = (generator.integers(3, 9, SIDE) for _ in range(2))
    mapped = generator.integers(0, 3, (SIDE, SIDE))
    values = np.repeat(np.repeat(mapped, heights, 0), widths, 1).astype(np.uint8)
    path = write_raster(folder / "map.tif", values, legend=CROPS, nodata=255)
    true = np.where(generator.random(mapped.shape) < 0.85, mapped, generator.integers(0, 3, mapped.shape))
    x, y = (np.concatenate([[0], np.cumsum(sizes)]) for sizes in (widths, heights))
    shapes = [
        box(600_000 + 10 * x[c], 5_500_000 - 10 * y[r + 1], 600_000 + 10 * x[c + 1], 5_500_000 - 10 * y[r])
        for r in range(SIDE)
        for c in range(SIDE)
    ]
    labels = [CROPS.codes[number] for number in true.ravel()]
    return path, gpd.GeoDataFrame({"label": labels}, geometry=shapes, crs=UTM), mapped.ravel(), true.ravel()


def square(col, row, width, height):
    return box(600_000 + 10 * col, 5_500_000 - 10 * (row + height), 600_000 + 10 * (col + width), 5_500_000 - 10 * row)


def test_a_polygon_has_the_class_of_most_of_its_pixels(tmp_path):
    values = np.full((20, 30), 2, np.uint8)
    values[:, :10], values[:8, 10:14], values[15:, 20:] = 0, 1, 255
    mapped = read_map(write_raster(tmp_path / "map.tif", values, legend=CROPS, nodata=255))
    shapes = {
        0: square(2, 2, 11, 4),
        1: square(9, 0, 5, 4),
        2: MultiPolygon([square(11, 2, 2, 2), square(15, 10, 3, 3)]),
        NODATA: square(22, 16, 4, 3),
        OUTSIDE: square(40, 2, 3, 3),
    }
    half_off, on_nodata = square(28, 2, 10, 2), square(22, 13, 4, 4)
    tiny = box(600_011, 5_499_989, 600_014, 5_499_986)  # without the centre of any pixel
    frame = gpd.GeoDataFrame(geometry=[*shapes.values(), half_off, on_nodata, tiny], crs=UTM)
    found = polygons_on_map(mapped, frame)
    assert found.map_class.tolist() == [*shapes, 2, 2, 0]
    expected = [0.44, 0.20, 0.13, 0, 0, 0.04, 0.08, 0.0009]  # half on nodata or off the map counts half
    assert found.hectares == pytest.approx(expected, rel=2e-3)  # geodesic, and UTM's scale is 0.9998 here


def test_large_polygons_are_read_in_parts(tmp_path, monkeypatch):
    path, polygons, _, _ = fields_map(tmp_path)
    whole = polygons.dissolve()
    at_once = polygons_on_map(read_map(path), whole)
    monkeypatch.setattr("agrifm.assess.reference_polygons.MAX_PIXELS_PER_READ", 100)
    assert polygons_on_map(read_map(path), whole) == tuple(at_once)


@pytest.mark.parametrize("form", ["p.gpkg", "p.parquet", "p.shp"])
def test_polygons_of_every_field_give_the_true_accuracy_and_areas(tmp_path, form):
    """A census: shares of the ground, which the counts of polygons are not."""
    path, polygons, mapped, true = fields_map(tmp_path)
    placed = polygons if form == "p.shp" else polygons.to_crs(4326)
    placed.to_parquet(tmp_path / form) if form == "p.parquet" else placed.to_file(tmp_path / form)
    report = assess(path, tmp_path / form, "label", tmp_path / "out", sampling="simple")
    area = polygons.area.to_numpy() / 1e4
    assert report["design"]["unit"] == "polygon"
    assert np.sum(report["confusion"]["counts"]) == SIDE**2
    assert report["overall_accuracy"]["estimate"] == pytest.approx(area[mapped == true].sum() / area.sum(), rel=1e-3)
    assert [one["area_ha"] for one in report["areas"]] == pytest.approx(np.bincount(true, area), rel=1e-3)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Stehman and Wickham (2011)" in page
    assert f"{SIDE**2} reference polygons" in page


@pytest.mark.parametrize("strata", [1, 3])
def test_errors_are_those_of_another_implementation(strata):
    """Ratios of totals of hectares; in one stratum the separate ratio estimator is that ratio."""
    reference, mapped = classified(200, 4)
    area = np.random.default_rng(5).gamma(1.5, 2, 200)
    stratum = np.arange(200) % strata
    # strata of sizes in proportion to their polygons, so that their sum is the estimate of one weight for all
    drawn = PolygonUnits(stratum, np.bincount(stratum, area), area, "none")
    found = point_estimates(mapped, reference, 3, drawn)
    everywhere = np.ones(200)
    if strata == 1:
        for number in range(3):
            on_map = mapped == number
            value, error = survey_ratio(area * (on_map & (reference == number)), area * on_map, everywhere)
            users = found.users.of(number)
            assert (float(users.value), float(users.error)) == pytest.approx((value, error))
    total, variance = 0.0, 0.0
    for number in range(strata):
        inside = stratum == number
        value, error = survey_ratio((area * (mapped == reference))[inside], area[inside], everywhere[inside])
        total, variance = total + value * area[inside].sum(), variance + (error * area[inside].sum()) ** 2
    estimate = float(found.overall.value), float(found.overall.error)
    assert estimate == pytest.approx((total / area.sum(), variance**0.5 / area.sum()))


def test_where_all_polygons_agree_the_interval_has_a_width():
    drawn = PolygonUnits(np.zeros(12, np.int64), np.array([500.0]), np.array([1.0] * 11 + [40.0]), "none")
    all_right = ratio_of_totals(np.ones(12), np.ones(12), drawn)
    alike = PolygonUnits(np.zeros(12, np.int64), np.array([500.0]), np.ones(12), "none")
    assert float(all_right.high) == 1.0
    assert 0 < float(all_right.low) < float(ratio_of_totals(np.ones(12), np.ones(12), alike).low)


def test_strata_of_polygons_are_the_columns_or_the_classes_of_the_map(tmp_path):
    path, polygons, mapped, _ = fields_map(tmp_path)
    polygons.to_file(tmp_path / "p.gpkg")
    report = assess(path, tmp_path / "p.gpkg", "label", tmp_path / "out", sampling="stratified")
    assert report["design"]["strata"] == "classes of the map"
    assert report["design"]["stratum_points"] == np.bincount(mapped).tolist()
    # drawn by their hectares in three strata of the file, the last of which has little ground
    stated = polygons.assign(stratum=np.arange(len(polygons)) % 3, stratum_ha=[100.0, 50.0, 1.0] * (SIDE**2 // 3))
    stated.to_file(tmp_path / "s.gpkg")
    found = assess(path, tmp_path / "s.gpkg", "label", tmp_path / "out")
    assert found["design"]["stratum_ha"] == [100.0, 50.0, 1.0]
    assert sum(area["area_ha"] for area in found["areas"]) == pytest.approx(151.0)


BAD = {
    "not stated": ({}, ()),
    "cluster": ({"sampling": "cluster"}, ()),
    "two-phase": ({"sampling": "two-phase"}, ()),
    "no column": ({}, ("--label", "crop")),
}


@pytest.mark.parametrize("kind", BAD)
def test_polygons_of_no_known_design_are_refused(tmp_path, kind, capsys):
    path, polygons, _, _ = fields_map(tmp_path)
    columns, more = BAD[kind]
    polygons.assign(**columns).to_file(tmp_path / "p.gpkg")
    words = ["assess", "--map", path, "--reference", tmp_path / "p.gpkg", "--out", tmp_path / "out", *more]
    assert main([str(word) for word in words]) == 2
    assert not (tmp_path / "out").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_polygons_without_a_label_on_nodata_and_outside_are_counted(tmp_path):
    path, polygons, _, _ = fields_map(tmp_path)
    polygons.loc[0, "label"] = ""
    far = gpd.GeoDataFrame({"label": ["1110"]}, geometry=[square(500, 0, 3, 3)], crs=UTM)
    flat = gpd.GeoDataFrame(
        {"label": ["1110"]}, geometry=[Polygon([(6e5, 55e5 - 9), (6e5 + 9, 55e5 - 9), (6e5, 55e5 - 9)])]
    )
    gpd.pd.concat([polygons, far, flat.set_crs(UTM)]).to_file(tmp_path / "p.gpkg")
    confusion = count_confusion(read_map(path), tmp_path / "p.gpkg", "label", sampling="simple")
    assert confusion.skipped == {"no label": 1, "no place": 1, "outside the map": 1, "on nodata": 0}
    assert len(confusion.points) == SIDE**2 - 1


def test_overlapping_polygons_are_pointed_out(tmp_path):
    path, polygons, _, _ = fields_map(tmp_path)
    again = polygons.iloc[[5, 6]].set_geometry(polygons.geometry.iloc[[5, 6]].buffer(8))
    gpd.pd.concat([polygons, again]).to_file(tmp_path / "p.gpkg")
    warnings = count_confusion(read_map(path), tmp_path / "p.gpkg", "label", sampling="simple").warnings
    assert [note for note in warnings if "overlap" in note]
    polygons.to_file(tmp_path / "q.gpkg")
    warnings = count_confusion(read_map(path), tmp_path / "q.gpkg", "label", sampling="simple").warnings
    assert not [note for note in warnings if "overlap" in note]


def test_points_among_polygons_are_refused_and_two_maps_need_points(tmp_path):
    path, polygons, _, _ = fields_map(tmp_path)
    points = gpd.read_file(write_points(tmp_path / "a.gpkg", [3], [3], ["1110"]))
    gpd.pd.concat([polygons, points]).to_file(tmp_path / "p.gpkg")
    with pytest.raises(AssessmentError) as error:
        count_confusion(read_map(path), tmp_path / "p.gpkg", "label")
    assert error.value.facts["geometry"] == "Polygon"
    polygons.to_file(tmp_path / "q.gpkg")
    with pytest.raises(AssessmentError) as error:
        compare_maps(path, path, tmp_path / "c", PairedPoints(tmp_path / "q.gpkg", "label", sampling="simple"))
    assert error.value.facts["unit"] == "polygon"


def test_large_polygons_that_few_saw_widen_the_interval():
    """Small polygons all right but one: the interval is at least that of errors that do not depend on size."""
    area = np.array([1.0] * 30 + [30.0] * 2)
    drawn = PolygonUnits(np.zeros(32, np.int64), np.array([900.0]), area, "none")
    found = ratio_of_totals(np.arange(32) > 0, np.ones(32), drawn)
    kish = area.sum() ** 2 / (area @ area)
    value = 89 / 90
    assert float(found.value) == pytest.approx(value)
    assert float(found.low) < value - 1.96 * (value * (1 - value) / kish) ** 0.5
    assert drawn.independent(np.ones(32, bool)) == int(kish)


def test_many_wrong_polygons_decide_the_variance_and_one_does_not():
    """Of polygons of 1 and 3 ha small ones alone are wrong: their variance is less than that without regard to size."""

    def ratios(wrong: int) -> tuple[float, float, float]:
        area = np.tile([1.0, 3.0], 400)
        right = np.ones(800)
        right[: 2 * wrong : 2] = 0
        residual = right - right @ area / area.sum()
        drawn = PolygonUnits(np.zeros(800, np.int64), np.array([1.0]), area, "none")
        linear = (area * residual) @ (area * residual) / area.sum() ** 2 * 800 / 799
        unaware = area @ residual**2 / area.sum() * (area @ area) / area.sum() ** 2
        return linear, drawn.smooth_variance(residual), unaware

    linear, smooth, unaware = ratios(200)
    assert linear < smooth < 1.02 * linear < 0.8 * unaware
    linear, smooth, unaware = ratios(1)
    # sizes have a mean fourth power of 41 and a mean square of 5, so what was known weighs 8 x (41 / 25 - 1) to 2
    weight = 8 * 0.64 / (8 * 0.64 + 2)
    assert smooth == pytest.approx(weight * unaware + (1 - weight) * linear, rel=0.01)


def test_the_variance_of_polygons_of_one_size_is_that_of_points():
    right = np.repeat([0.0, 1.0], [3, 17])
    drawn = PolygonUnits(np.zeros(20, np.int64), np.array([40.0]), np.full(20, 2.0), "none")
    assert drawn.smooth_variance(right - 0.85) == pytest.approx(40**2 * 0.85 * 0.15 / 19)


def test_strata_of_polygons_that_all_agree_extend_one_end_only():
    """Clopper and Pearson: 0 of 100 ends at 0.03622, 0 of 30 at 0.11570; Zou and Donner's rule combines the halves."""
    stratum = np.repeat([0, 1], [100, 30])
    drawn = PolygonUnits(stratum, np.array([50.0, 50.0]), np.ones(130), "classes of the map")
    none = ratio_of_totals(np.zeros(130), np.ones(130), drawn)
    assert float(none.low) == 0
    assert float(none.high) == pytest.approx(np.hypot(0.5 * 0.03622, 0.5 * 0.11570), abs=1e-5)
    found = ratio_of_totals((np.arange(130) < 50) * 1.0, np.ones(130), drawn)
    # 50 of 100, so 99 degrees of freedom with the quantile 1.984, of half of the ground
    down, up = float(found.value - found.low), float(found.high - found.value)
    assert down == pytest.approx(0.5 * 1.984 * (0.25 / 99.5) ** 0.5, rel=0.02)
    assert up == pytest.approx(np.hypot(down, 0.5 * 0.11570), rel=1e-3)
