"""Points in cells against strata, and on a grid: rows and columns as clusters against a plain loop."""

import geopandas as gpd
import numpy as np
import pytest
from tests.assess.rasters import CROPS, crop_map, pixels_of, write_raster

from agrifm.assess.class_map import read_map
from agrifm.assess.confusion import count_confusion
from agrifm.assess.design import draw_points
from agrifm.assess.point_estimators import ratio_of_totals, stratified_points
from agrifm.assess.report import assess
from agrifm.assess.sampling_design import Design
from agrifm.assess.systematic_estimators import SystematicPoints, cell_points
from agrifm.errors import AssessmentError

ROWS = 7


def on_grid(right):
    """Points of a square grid as a systematic sample, of 1 ha in all."""
    row, column = np.indices(right.shape)
    drawn = stratified_points(np.zeros(right.size, int), [1.0])
    return SystematicPoints(drawn, row.ravel() * 30, column.ravel() * 30)


def test_the_variance_is_that_of_pairs_that_share_a_line():
    """Cameron, Gelbach and Miller (2011), eq. 2.3: pairs of points in one row or one column, each pair once."""
    right = np.ones((ROWS, ROWS))
    right[2], right[:, 4] = 0, 0
    residual = (right - right.mean()).ravel()
    row, column = np.divmod(np.arange(ROWS**2), ROWS)
    by_pair = {"row": 0.0, "column": 0.0, "itself": 0.0}
    for i in range(ROWS**2):
        for j in range(ROWS**2):
            both = residual[i] * residual[j] / ROWS**4
            by_pair["row"] += both * (row[i] == row[j])
            by_pair["column"] += both * (column[i] == column[j])
            by_pair["itself"] += both * (i == j)
    # clusters less one, and Student's quantile of 6 degrees of freedom, 2.44691
    factor = ROWS / (ROWS - 1) * (2.44691 / 1.95996) ** 2
    expected = factor * (by_pair["row"] + by_pair["column"]) - by_pair["itself"]
    found, cautious = on_grid(right).variances(residual, np.ones(ROWS**2))
    assert found == cautious == pytest.approx(expected, rel=1e-4)


def test_errors_without_a_pattern_have_the_error_of_a_random_sample():
    right = (np.add.outer(np.arange(ROWS) * 3, np.arange(ROWS)) % ROWS > 0).astype(float)  # one in each row and column
    found = ratio_of_totals(right.ravel(), np.ones(ROWS**2), on_grid(right))
    share = 6 / 7
    assert float(found.value) == pytest.approx(share)
    assert float(found.error) == pytest.approx((share * (1 - share) / (ROWS**2 - 1)) ** 0.5)


def test_two_rows_say_nothing_of_a_pattern():
    right = np.ones((2, 20))
    right[0, :8] = 0
    drawn = on_grid(right)
    residual = (right - right.mean()).ravel()
    alone = drawn.drawn.variances(residual, np.ones(40))[0]
    assert drawn.variances(residual, np.ones(40))[0] < 1.3 * alone


def test_intervals_hold_the_truth_where_errors_fill_rows():
    """Wrong rows of the whole width, as along straight fields: every start of a grid of 24 rows on eight such maps."""
    generator = np.random.default_rng(0)
    side, step = 120, 5
    held = {"grid": [], "random": []}
    for _ in range(8):
        wrong_row = generator.random(side) < 0.25
        right = np.where(wrong_row[:, None], 0.0, (generator.random((side, side)) > 0.02) * 1.0)
        for start in range(step * step):
            drawn = on_grid(right[start // step :: step, start % step :: step])
            values = right[start // step :: step, start % step :: step].ravel()
            for name, design in (("grid", drawn), ("random", drawn.drawn)):
                found = ratio_of_totals(values, np.ones(values.size), design)
                held[name].append(found.low <= right.mean() <= found.high)
    assert np.mean(held["random"]) < 0.75
    assert np.mean(held["grid"]) > 0.95


def systematic_file(tmp_path, n=60):
    crops = write_raster(tmp_path / "m.tif", crop_map(), legend=CROPS, nodata=255)
    path = tmp_path / "p.gpkg"
    draw_points(crops, n, 0, path, Design(method="systematic"))
    points = gpd.read_file(path)
    points["label"] = np.array(CROPS.codes)[crop_map()[pixels_of(points)]]
    return crops, path, points


def test_a_grid_of_another_program_is_estimated_by_its_lines(tmp_path):
    crops, path, points = systematic_file(tmp_path)
    points.drop(columns="cell").to_file(path)
    drawn = count_confusion(read_map(crops), path, "label").drawn
    assert isinstance(drawn, SystematicPoints)
    assert drawn.row.tolist() == pixels_of(points)[0].tolist()
    report = assess(crops, path, "label", tmp_path / "report")
    assert report["design"]["method"] == "systematic"
    assert "Cameron" in (tmp_path / "report" / "report.html").read_text()


def test_a_systematic_file_is_estimated_by_its_cells(tmp_path):
    crops, path, points = systematic_file(tmp_path)
    points.to_file(path)
    report = assess(crops, path, "label", tmp_path / "report")
    assert report["design"]["cells"] == 30
    assert report["overall_accuracy"]["interval"][0] < 1
    assert "two random ones in each of 30" in (tmp_path / "report" / "report.html").read_text()
    points.loc[3, "cell"] = None
    points.to_file(path)
    with pytest.raises(AssessmentError) as error:
        assess(crops, path, "label", tmp_path / "again")
    assert error.value.facts == {"column": "cell", "points": 1}


def test_the_variance_of_cells_is_that_of_strata_of_two_points():
    """By hand: a quarter of the squared difference in each cell, of the cell's share of the area."""
    right = np.random.default_rng(1).random((40, 2)) < 0.6
    drawn = cell_points(stratified_points(np.zeros(80, int), [80.0]), np.repeat(np.arange(40), 2))
    found = ratio_of_totals(right.ravel(), np.ones(80), drawn)
    differences = (right[:, 0] != right[:, 1]).sum()
    assert float(found.value) == pytest.approx(right.mean())
    assert float(found.error) == pytest.approx((differences / 4) ** 0.5 / 40)
    strata = stratified_points(np.repeat(np.arange(40), 2), np.full(40, 2.0))
    assert float(found.error) == pytest.approx(float(ratio_of_totals(right.ravel(), np.ones(80), strata).error))


def test_a_cell_with_one_label_joins_the_next_one():
    drawn = cell_points(stratified_points(np.zeros(9, int), [9.0]), np.array([5, 1, 1, 2, 3, 3, 4, 4, 5])[::-1])
    assert drawn.group[::-1].tolist() == [3, 0, 0, 1, 1, 1, 2, 2, 3]
    last = cell_points(stratified_points(np.zeros(3, int), [3.0]), np.array([1, 1, 7]))
    assert last.group.tolist() == [0, 0, 0]


def test_few_points_that_share_a_cell_do_not_promise_more():
    """Both wrong points of 40 in one cell: no difference within any cell, and yet a random sample's interval."""
    right = np.ones(40)
    right[:2] = 0
    simple = stratified_points(np.zeros(40, int), [1.0])
    found = ratio_of_totals(right, np.ones(40), cell_points(simple, np.repeat(np.arange(20), 2)))
    alike = ratio_of_totals(right, np.ones(40), simple)
    assert float(found.error) == pytest.approx(float(alike.error))
    assert float(found.low) <= float(alike.low)
    assert float(found.high) >= float(alike.high)


def test_wrong_points_that_fill_cells_still_have_an_interval():
    """Three cells of 20 are wrong as a whole: no two points of a cell differ, and the interval has a width."""
    right = np.repeat(np.arange(20) > 2, 2) * 1.0
    simple = stratified_points(np.zeros(40, int), [1.0])
    found = ratio_of_totals(right, np.ones(40), cell_points(simple, np.repeat(np.arange(20), 2)))
    alike = ratio_of_totals(right, np.ones(40), simple)
    assert float(found.error) == pytest.approx(float(alike.error))
    assert float(found.low) < float(found.value) < float(found.high)
