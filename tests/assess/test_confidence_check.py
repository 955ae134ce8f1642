"""The map's confidence at the reference points: which points are in which range, and the shares of the ground."""

import json

import geopandas as gpd
import numpy as np
import pytest
from scipy.stats import binomtest
from tests.assess.rasters import CROPS, crop_map, pixels_of, write_points, write_raster

from agrifm.assess.class_map import read_map
from agrifm.assess.confidence_check import confidence_at, confidence_check
from agrifm.assess.confusion import count_confusion
from agrifm.assess.reference_data import find_scores, map_origin


@pytest.fixture
def assessed(tmp_path):
    """A map, its confidence (two values in each class) and points; the lower confidence is wrong half of the time."""
    values = crop_map((60, 80), seed=2)
    write_raster(tmp_path / "classes.tif", values, legend=CROPS, nodata=255)
    percent = np.where(np.indices(values.shape)[1] % 2, 95, 60).astype(np.uint8)
    percent[values == 255], percent[10, 10] = 255, 255
    write_raster(tmp_path / "confidence.tif", percent, nodata=255)
    rows, cols = np.concatenate([np.argwhere(values == number)[::7][:60] for number in range(3)]).T
    wrong = (percent[rows, cols] == 60) & (np.arange(len(rows)) % 2 == 0)
    labels = [CROPS.codes[number] for number in (values[rows, cols] + wrong) % 3]
    write_points(tmp_path / "p.gpkg", rows, cols, labels)
    return tmp_path, values, percent


def test_shares_of_the_ground_by_range_and_class(assessed):
    folder, values, percent = assessed
    confusion = count_confusion(read_map(folder / "classes.tif"), folder / "p.gpkg", "label")
    found = confidence_check(folder / "classes.tif", confusion)
    rows, cols = pixels_of(confusion.points)
    stated, mapped = percent[rows, cols], values[rows, cols]
    right = np.array([CROPS.codes[one] for one in mapped]) == confusion.points["label"]
    # a point stands for the pixels of its class, divided by the points in it
    weight = np.bincount(values[values < 3])[mapped] / np.bincount(mapped)[mapped]
    assert [(one["low"], one["high"]) for one in found["ranges"]] == [(0.5, 0.6), (0.9, 1.0)]
    for one, value in zip(found["ranges"], (60, 95), strict=True):
        inside = stated == value
        assert one["points"] == inside.sum()
        assert one["stated"] == pytest.approx(value / 100)
        assert one["right"]["estimate"] == pytest.approx(weight[inside & right].sum() / weight[inside].sum())
        assert one["right"]["interval"][0] < one["right"]["estimate"] <= one["right"]["interval"][1]
    for number, one in enumerate(found["classes"]):
        inside = (mapped == number) & (stated < 255)
        assert one["points"] == inside.sum()
        assert one["stated"] == pytest.approx(stated[inside].mean() / 100)
        assert one["right"]["estimate"] == pytest.approx(right[inside].mean())
        # its points are a simple random sample of the class: about Clopper and Pearson's interval
        exact = binomtest(int(right[inside].sum()), int(inside.sum())).proportion_ci()
        assert one["right"]["interval"] == pytest.approx(exact, abs=0.01)


def test_points_outside_the_confidence_have_none(assessed):
    folder, _, percent = assessed
    write_raster(folder / "confidence.tif", percent[:30], nodata=255)
    confusion = count_confusion(read_map(folder / "classes.tif"), folder / "p.gpkg", "label")
    rows, _ = pixels_of(confusion.points)
    assert (np.isnan(confidence_at(folder / "confidence.tif", confusion)) == (rows >= 30)).all()
    write_raster(folder / "confidence.tif", np.full((60, 80), 255, np.uint8), nodata=255)
    assert confidence_check(folder / "classes.tif", confusion) == {}


def test_without_confidence_and_for_polygons_there_is_nothing(assessed):
    folder, _, _ = assessed
    points = gpd.read_file(folder / "p.gpkg")
    points.set_geometry(points.buffer(12, cap_style="square")).to_file(folder / "q.gpkg")
    of_polygons = count_confusion(read_map(folder / "classes.tif"), folder / "q.gpkg", "label")
    assert confidence_check(folder / "classes.tif", of_polygons) == {}
    of_points = count_confusion(read_map(folder / "classes.tif"), folder / "p.gpkg", "label")
    (folder / "confidence.tif").unlink()
    assert confidence_check(folder / "classes.tif", of_points) == {}


def test_the_items_of_map_and_model_lead_to_scores_and_bands(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "map").mkdir()
    model = {"properties": {"mlm:name": "forest", "bands": [{"name": "B04"}, {"name": "B08"}, {"name": "B04"}]}}
    (tmp_path / "models" / "forest.json").write_text(json.dumps(model))
    item = {"links": [{"rel": "derived_from", "href": "../models/forest.json"}, {"rel": "self", "href": "a.json"}]}
    (tmp_path / "map" / "item.json").write_text(json.dumps(item))
    assert find_scores(tmp_path / "map" / "classes.tif") is None
    assert map_origin(tmp_path / "map" / "classes.tif") == {"model": "forest", "bands": ["B04", "B08"]}
    (tmp_path / "models" / "scores.json").write_text("{}")
    assert find_scores(tmp_path / "map" / "classes.tif").resolve() == tmp_path / "models" / "scores.json"
    (tmp_path / "map" / "item.json").write_text("[")
    assert find_scores(tmp_path / "map" / "classes.tif") is None
