"""Numbers of districts: hectares counted by hand, the published formula of a domain, simulated samples, refusals."""

import geopandas as gpd
import numpy as np
import pytest
from shapely import box
from tests.assess.rasters import CROPS, UTM, crop_map, write_points, write_raster

from agrifm.assess.point_estimators import point_estimates, stratified_points
from agrifm.assess.report import assess
from agrifm.assess.sampling_frame import PolygonFile
from agrifm.errors import AssessmentError

LEFT, TOP = 600_000, 5_500_000
NORTH, SOUTH = box(LEFT, TOP - 300, LEFT + 800, TOP), box(LEFT, TOP - 600, LEFT + 800, TOP - 300)


@pytest.fixture
def district_file(tmp_path):
    frame = gpd.GeoDataFrame({"name": ["north", "south"]}, geometry=[NORTH, SOUTH], crs=UTM)
    frame.to_crs("EPSG:4326").to_file(tmp_path / "districts.gpkg")
    return PolygonFile(tmp_path / "districts.gpkg", "name")


def assessed(tmp_path, district_file, n=150, seed=0):
    """A report from points at random in each class, of which one in five has another label."""
    generator = np.random.default_rng(seed)
    values = crop_map()
    path = write_raster(tmp_path / "m.tif", values, legend=CROPS, nodata=255)
    chosen = [generator.permutation(np.argwhere(values == number))[: n // 3] for number in range(3)]
    rows, cols = np.concatenate(chosen).T
    label = np.where(generator.random(len(rows)) < 0.2, (values[rows, cols] + 1) % 3, values[rows, cols])
    points = write_points(tmp_path / "p.gpkg", rows, cols, [CROPS.codes[number] for number in label])
    return assess(path, points, "label", tmp_path / "report", districts=district_file), rows


def test_hectares_and_points_are_those_counted_by_hand(tmp_path, district_file):
    report, rows = assessed(tmp_path, district_file)
    values = crop_map()
    for district, half, inside in zip(
        report["districts"], (values[:30], values[30:]), (rows < 30, rows >= 30), strict=True
    ):
        assert district["points"] == inside.sum()
        assert [area["mapped_ha"] for area in district["areas"]] == pytest.approx(
            [0.01 * (half == number).sum() for number in range(3)]
        )
        assert sum(area["area_ha"] for area in district["areas"]) == pytest.approx(district["mapped_ha"])
        for area in district["areas"]:
            assert area["interval_ha"][0] <= area["area_ha"] <= area["interval_ha"][1]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "north" in page
    assert "south" in page


def test_a_domain_of_a_simple_random_sample_has_the_textbook_error():
    """Of 50 points 20 are in the domain, and 8 of these of the class: p = 0.4, variance p (1 - p) / 20 x 50 / 49."""
    domain = np.arange(50) < 20
    reference = (np.arange(50) % 5 < 2).astype(int)
    found = point_estimates(reference, reference, 2, stratified_points(np.zeros(50, int), [100.0]), domain, size=37.0)
    assert found.area.value[1] == pytest.approx(0.4 * 37)
    assert found.area.error[1] == pytest.approx(37 * (0.4 * 0.6 / 20 * 50 / 49) ** 0.5)


def test_intervals_of_a_district_hold_its_true_area_in_95_of_100_samples():
    """A map with errors that differ between two districts; 500 samples of 120 points in the strata of the map."""
    generator = np.random.default_rng(1)
    units = 20_000
    mapped = generator.choice(3, units, p=[0.5, 0.3, 0.2])
    district = generator.random(units) < 0.4
    wrong = generator.random(units) < np.where(district, 0.3, 0.1)
    true = np.where(wrong, (mapped + 1) % 3, mapped)
    size = np.bincount(mapped).astype(float)
    truth = np.bincount(true[district], minlength=3)
    held = np.zeros(3)
    members = [np.flatnonzero(mapped == number) for number in range(3)]
    for _ in range(500):
        drawn = np.concatenate([generator.choice(one, 40, replace=False) for one in members])
        found = point_estimates(
            mapped[drawn],
            true[drawn],
            3,
            stratified_points(mapped[drawn], size),
            district[drawn],
            float(district.sum()),
        )
        held += (found.area.low <= truth) & (truth <= found.area.high)
    # 95 %, less 3 standard errors of 500 draws
    assert (held / 500 >= 0.95 - 3 * (0.95 * 0.05 / 500) ** 0.5).all()


def test_the_whole_map_as_one_district_has_the_numbers_of_the_map(tmp_path):
    frame = gpd.GeoDataFrame({"name": ["all"]}, geometry=[box(LEFT - 50, TOP - 650, LEFT + 850, TOP + 50)], crs=UTM)
    frame.to_file(tmp_path / "one.gpkg")
    report, _ = assessed(tmp_path, PolygonFile(tmp_path / "one.gpkg", "name"))
    (district,) = report["districts"]
    for whole, part in zip(report["areas"], district["areas"], strict=True):
        assert part["area_ha"] == pytest.approx(whole["area_ha"])
        assert part["standard_error_ha"] == pytest.approx(whole["standard_error_ha"])


def test_a_district_without_points_is_named_and_has_no_numbers(tmp_path, district_file):
    values = crop_map()
    path = write_raster(tmp_path / "m.tif", values, legend=CROPS, nodata=255)
    rows, cols = np.concatenate([np.argwhere(values[:30] == number)[:12] for number in range(3)]).T
    points = write_points(
        tmp_path / "p.gpkg", rows, cols, [CROPS.codes[values[r, c]] for r, c in zip(rows, cols, strict=True)]
    )
    report = assess(path, points, "label", tmp_path / "report", districts=district_file)
    assert [district["points"] for district in report["districts"]] == [36, 0]
    assert report["districts"][1]["areas"] is None
    assert any("south (0)" in warning for warning in report["warnings"])


def test_a_file_without_the_column_or_with_overlaps_is_refused(tmp_path, district_file):
    with pytest.raises(AssessmentError) as error:
        assessed(tmp_path, PolygonFile(district_file.file, "nam"))
    assert error.value.facts["column"] == "nam"
    frame = gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=[NORTH, NORTH.buffer(20)], crs=UTM)
    frame.to_file(tmp_path / "overlap.gpkg")
    with pytest.raises(AssessmentError) as error:
        assessed(tmp_path, PolygonFile(tmp_path / "overlap.gpkg", "name"))
    assert set(error.value.facts["strata"]) == {"a", "b"}
