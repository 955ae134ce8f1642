"""Hectares of pairs of classes of two maps in their own grids and legends, against counts made by hand."""

import numpy as np
import pytest
from pyproj import Transformer
from tests.assess.rasters import CROPS, UTM, crop_map, write_raster

from agrifm.assess import class_map
from agrifm.assess.class_map import read_map
from agrifm.assess.cross_table import common_legend, cross_hectares, read_translation
from agrifm.errors import AssessmentError
from agrifm.legend import Legend

X, Y = 600_000, 5_500_000


def table(first, second, of_first=None, of_second=None):
    maps = read_map(first), read_map(second)
    legend = common_legend(*maps, of_first or {}, of_second or {})
    return legend, cross_hectares(*maps, legend)


@pytest.mark.parametrize("at_once", [2**22, 400])
def test_pairs_are_counted_on_the_finer_grid(tmp_path, monkeypatch, at_once):
    """A map of 10 m and one of 30 m, which begins a pixel of 30 m further east and covers less ground."""
    monkeypatch.setattr(class_map, "MAX_PIXELS_PER_READ", at_once)
    fine = crop_map((60, 90))
    coarse = np.random.default_rng(1).integers(0, 3, (18, 25)).astype(np.uint8)
    coarse[3, 4] = 255
    first = write_raster(tmp_path / "a.tif", fine, legend=CROPS, nodata=255)
    second = write_raster(tmp_path / "b.tif", coarse, legend=CROPS, nodata=255, side=30.0, corner=(X + 30, Y))
    there = np.full(fine.shape, 255)
    there[:54, 3:78] = np.kron(coarse, np.ones((3, 3), int))
    expected = np.zeros((4, 4))
    for one, other in zip(np.minimum(fine, 3).ravel(), np.minimum(there, 3).ravel(), strict=True):
        expected[one, other] += 0.01
    legend, found = table(first, second)
    assert legend.codes == CROPS.codes
    assert found == pytest.approx(expected)
    assert table(second, first)[1] == pytest.approx(expected.T)


def test_a_map_in_degrees_is_compared_with_one_in_metres(tmp_path):
    """Each pixel of 10 m has the class of the pixel in degrees at its centre, projected here one by one."""
    fine = crop_map((60, 90))
    degrees = np.random.default_rng(2).integers(0, 3, (200, 300)).astype(np.uint8)
    corner = (4.38, 49.66)
    first = write_raster(tmp_path / "a.tif", fine, legend=CROPS, nodata=255)
    second = write_raster(
        tmp_path / "b.tif", degrees, legend=CROPS, nodata=255, crs="EPSG:4326", side=0.0003, corner=corner
    )
    rows, cols = np.mgrid[:60, :90]
    to_lonlat = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(X + 10 * cols + 5, Y - 10 * rows - 5)
    there = degrees[np.floor((corner[1] - lat) / 0.0003).astype(int), np.floor((lon - corner[0]) / 0.0003).astype(int)]
    expected = np.zeros((4, 4))
    np.add.at(expected, (np.minimum(fine, 3), there), 0.01)
    found = table(first, second)[1]
    assert found.sum() == pytest.approx(54)
    # GDAL places pixels to an eighth of a pixel, so a few at edges have the neighbour's class
    assert np.abs(found - expected).sum() <= 0.02 * 54


def test_a_translation_merges_classes_and_others_stay(tmp_path):
    first = write_raster(tmp_path / "a.tif", np.array([[1, 5, 176, 111]], np.uint8))
    second = write_raster(tmp_path / "b.tif", np.array([[0, 1, 1, 2]], np.uint8), legend=CROPS)
    (tmp_path / "t.csv").write_text("code,to_code,to_name\n1,1110,Maize\n5,other,\n176,other,\n111,,\n")
    translation = read_translation(tmp_path / "t.csv")
    assert translation == {"1": ("1110", "Maize"), "5": ("other", ""), "176": ("other", "")}
    legend, found = table(first, second, of_first=translation)
    assert legend.codes == ("1110", "other", "111", "1121")
    assert legend.classes[0].name == "Maize"
    assert found[:4, :4] / 0.01 == pytest.approx(np.array([[1, 0, 0, 0], [0, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 0]]))


def test_maps_without_a_common_class_are_refused_with_both_lists(tmp_path):
    first = write_raster(tmp_path / "a.tif", np.array([[1, 5]], np.uint8))
    second = write_raster(tmp_path / "b.tif", np.array([[0, 1]], np.uint8), legend=Legend.of(["x", "y"]))
    with pytest.raises(AssessmentError) as error:
        table(first, second)
    assert error.value.facts == {"first": ["1", "5"], "second": ["x", "y"]}


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("code,to\n1,2\n", {"columns": ["to_code"]}),
        ("code,to_code\n1,2\n1.0,3\n", {"codes": ["1"]}),
    ],
)
def test_a_translation_that_cannot_be_used_is_refused(tmp_path, text, facts):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(AssessmentError) as error:
        read_translation(tmp_path / "t.csv")
    assert error.value.facts == facts
