"""Points drawn for one map assess another one, by the strata that they state."""

import geopandas as gpd
import numpy as np
import pytest
from tests.assess.rasters import CROPS, crop_map, write_points, write_raster

from agrifm.assess.class_map import read_map
from agrifm.assess.confusion import count_confusion
from agrifm.assess.design import draw_points
from agrifm.assess.point_estimators import point_estimates, stratified_points
from agrifm.assess.report import assess
from agrifm.errors import AssessmentError

# Stehman 2014, table 2, with letters for numbers; one pixel of a map for each point.
STRATUM = "AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDD"
MAPPED = "AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD"
REFERENCE = "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB"
HECTARES = {"A": 400.0, "B": 300.0, "C": 200.0, "D": 100.0}


def stehman(folder, **columns):
    """A map of 40 pixels and a point in each, with the strata of the published example."""
    values = np.array(["ABCD".index(letter) + 1 for letter in MAPPED], np.uint8).reshape(4, 10)
    write_raster(folder / "m.tif", values, nodata=0)
    stated = {"stratum": list(STRATUM), "stratum_ha": [HECTARES[letter] for letter in STRATUM], **columns}
    labels = ["ABCD".index(letter) + 1 for letter in REFERENCE]
    points = write_points(folder / "p.gpkg", np.repeat(range(4), 10), [*range(10)] * 4, labels, **stated)
    return folder / "m.tif", points


def test_the_report_of_the_published_example(tmp_path) -> None:
    report = assess(*stehman(tmp_path), "label", tmp_path / "report")
    assert report["design"] == {
        "method": "stratified",
        "strata": "columns of the reference",
        "estimator": "Stehman 2014",
        "stratum_ha": [400.0, 300.0, 200.0, 100.0],
        "stratum_points": [10, 10, 10, 10],
    }
    assert report["overall_accuracy"]["estimate"] == pytest.approx(0.63)
    assert [entry["area_ha"] for entry in report["areas"]] == pytest.approx([350, 340, 200, 110])
    assert report["areas"][0]["standard_error_ha"] == pytest.approx(82.25975, abs=1e-5)
    assert report["users_accuracy"][1]["estimate"] == pytest.approx(0.57446809)
    assert "Stehman" in (tmp_path / "report" / "report.html").read_text()
    assert any("1,000.0 ha" in warning for warning in report["warnings"])  # the map of 40 pixels has 0.4 ha


def test_points_drawn_for_a_map_assess_a_better_one(tmp_path) -> None:
    truth = crop_map()
    generator = np.random.default_rng(0)
    wrong = np.where(
        (generator.random(truth.shape) < 0.3) & (truth != 255), generator.integers(0, 3, truth.shape), truth
    )
    first = write_raster(tmp_path / "first.tif", wrong.astype(np.uint8), legend=CROPS, nodata=255)
    better = write_raster(tmp_path / "better.tif", truth, legend=CROPS, nodata=255)
    draw_points(first, 300, 0, tmp_path / "p.gpkg")
    points = gpd.read_file(tmp_path / "p.gpkg")
    mapped = read_map(better)
    inverse = ~mapped.grid.transform
    cols, rows = (np.floor(part).astype(int) for part in inverse * (points.geometry.x, points.geometry.y))
    points["label"] = [CROPS.codes[truth[row, col]] for row, col in zip(rows, cols, strict=True)]
    points.to_file(tmp_path / "p.gpkg")

    assert count_confusion(read_map(first), tmp_path / "p.gpkg", "label").strata is None
    found = count_confusion(mapped, tmp_path / "p.gpkg", "label")
    assert found.strata is not None
    assert not any("approximate" in note for note in found.warnings)
    stratum = np.unique(points["map_class"], return_inverse=True)[1]
    size = [points["stratum_ha"][stratum == number].iloc[0] for number in range(3)]
    expected = point_estimates(found.map_number, found.reference_number, 3, stratified_points(stratum, size))
    report = assess(better, tmp_path / "p.gpkg", "label", tmp_path / "report")
    assert [entry["area_ha"] for entry in report["areas"]] == pytest.approx(expected.area.value.tolist())
    for entry, hectares in zip(report["areas"], mapped.hectares(), strict=True):
        assert entry["interval_ha"][0] <= hectares <= entry["interval_ha"][1]  # this map is the truth


@pytest.mark.parametrize(
    ("columns", "facts"),
    [
        ({"stratum": [None, *STRATUM[1:]]}, {"points": 1}),
        ({"stratum_ha": [0.0, *(HECTARES[letter] for letter in STRATUM[1:])]}, {"points": 1}),
        ({"stratum_ha": [401.0, *(HECTARES[letter] for letter in STRATUM[1:])]}, {"strata": ["A"]}),
        ({"stratum": ["E", *STRATUM[1:]]}, {"name": "E", "points": 1}),
    ],
    ids=["no stratum", "no hectares", "two areas", "a single point"],
)
def test_strata_that_do_not_fit_are_refused(tmp_path, columns, facts) -> None:
    path, points = stehman(tmp_path, **columns)
    with pytest.raises(AssessmentError) as error:
        count_confusion(read_map(path), points, "label")
    assert facts.items() <= error.value.facts.items()
