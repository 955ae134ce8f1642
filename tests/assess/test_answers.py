"""Answers of interpreters, read back into the points of a design."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from tests.assess.rasters import CROPS, crop_map, write_raster

from agrifm.assess.design import draw_points
from agrifm.assess.report import assess
from agrifm.cli import main
from agrifm.errors import AssessmentError, OutputError


@pytest.fixture
def drawn(tmp_path):
    crops = write_raster(tmp_path / "m.tif", crop_map(), legend=CROPS, nodata=255)
    draw_points(crops, 30, 0, tmp_path / "p.gpkg")
    return tmp_path


def read_back(folder, answers, *more):
    command = ["assess", "read-form", "--points", f"{folder / 'p.gpkg'}", "--map", f"{folder / 'm.tif'}"]
    return main([*command, "--answers", str(answers), "--out", str(folder / "labelled.gpkg"), *more])


def table(folder):
    assert main([*f"assess form --points {folder}/p.gpkg --map {folder}/m.tif --out {folder}/p.csv".split()]) == 0
    return pd.read_csv(folder / "p.csv", dtype=str, keep_default_na=False)


def test_a_table_filled_in_comes_back_as_labels_and_the_design_stays(drawn):
    filled = table(drawn)
    assert filled.columns.tolist() == ["id", "longitude", "latitude", "label", "confidence", "comment"]
    filled["label"] = ["1110", "other"] * 15
    filled.loc[3, ["label", "confidence", "comment"]] = ["1121", "low", 'hedge, "old"\nand new']
    filled.loc[29, "label"] = ""
    filled.sample(frac=1, random_state=1).to_csv(drawn / "answers.csv", index=False, quoting=csv.QUOTE_MINIMAL)
    assert read_back(drawn, drawn / "answers.csv") == 0
    before, after = gpd.read_file(drawn / "p.gpkg"), gpd.read_file(drawn / "labelled.gpkg")
    design = [name for name in before.columns if name != "label"]
    pd.testing.assert_frame_equal(pd.DataFrame(before[design]), pd.DataFrame(after[design]))
    assert after["label"].fillna("").tolist() == filled["label"].tolist()
    assert after.loc[3, "confidence"] == "low"
    assert after.loc[3, "comment"].replace("\r\n", "\n") == 'hedge, "old"\nand new'
    assert assess(drawn / "m.tif", drawn / "labelled.gpkg", "label", drawn / "report")["points"]["used"] == 29


def test_the_table_shows_neither_class_nor_stratum(drawn):
    table(drawn)
    text = (drawn / "p.csv").read_text(encoding="utf-8")
    assert not [word for word in ("map_", "1110", "Maize", "stratum") if word in text]


def test_kml_has_each_point_in_the_middle_of_its_pixel(drawn):
    assert main([*f"assess form --points {drawn}/p.gpkg --map {drawn}/m.tif --out {drawn}/p.kml".split()]) == 0
    name = "{http://www.opengis.net/kml/2.2}"
    marks = list(ElementTree.parse(drawn / "p.kml").iter(f"{name}Placemark"))
    points = gpd.read_file(drawn / "p.gpkg")
    places = points.to_crs(4326).geometry
    assert [mark.findtext(f"{name}name") for mark in marks] == points["id"].astype(str).tolist()
    for mark, place in zip(marks, places, strict=True):
        (x, y), *_ = numbers(mark.findtext(f".//{name}Point/{name}coordinates"))
        assert (x, y) == pytest.approx((place.x, place.y), abs=1e-7)
        ring = numbers(mark.findtext(f".//{name}LineString/{name}coordinates"))
        assert ring[0].tolist() == ring[4].tolist()
        assert ring[:4].mean(0) == pytest.approx((place.x, place.y), abs=1e-6)
        side = gpd.GeoSeries(gpd.points_from_xy(*ring[:2].T), crs=4326).to_crs(32631)
        assert side[0].distance(side[1]) == pytest.approx(10, abs=0.05)


def numbers(text):
    return np.array([[float(one) for one in pair.split(",")] for pair in text.split()])


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"id": "31"}, {"unknown": ["31"]}),
        ({"id": "2"}, {"twice": ["2"]}),
        ({"label": "1112"}, {"unknown": ["1112"], "known": ["1110", "1121", "other"]}),
        ({"confidence": "sure"}, {"unknown": ["sure"]}),
        ({"latitude": "49.1"}, {"moved": 1}),
    ],
)
def test_answers_that_fit_no_point_or_class_are_refused(drawn, change, facts, capsys):
    from agrifm.assess.answers import read_form

    filled = table(drawn)
    filled["label"] = "1110"
    filled.loc[0, list(change)] = list(change.values())
    filled.to_csv(drawn / "answers.csv", index=False)
    capsys.readouterr()
    assert read_back(drawn, drawn / "answers.csv") == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    with pytest.raises(AssessmentError) as raised:
        read_form(drawn / "p.gpkg", drawn / "answers.csv", drawn / "m.tif", drawn / "labelled.gpkg")
    assert raised.value.facts.items() >= facts.items()
    assert not (drawn / "labelled.gpkg").exists()


def test_a_class_that_the_map_lacks_is_allowed_if_named(drawn):
    filled = table(drawn)
    filled["label"] = "4300"
    filled.to_csv(drawn / "answers.csv", index=False)
    assert read_back(drawn, drawn / "answers.csv", "--also", "4300=Fallow") == 0
    assert set(gpd.read_file(drawn / "labelled.gpkg")["label"]) == {"4300"}


def test_labels_without_an_answer_stay_and_no_file_is_replaced(drawn):
    from agrifm.assess.answers import read_form

    points = gpd.read_file(drawn / "p.gpkg")
    points["label"] = "1121"
    points.to_file(drawn / "p.gpkg")
    place = points.to_crs(4326).geometry.iloc[4]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [place.x, place.y]},
        "properties": {"id": 5, "label": "1110", "answered": "2026-05-01T10:00:00Z"},
    }
    (drawn / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    numbers = read_form(drawn / "p.gpkg", drawn / "a.geojson", drawn / "m.tif", drawn / "labelled.gpkg")
    assert numbers == {"1110": 1, "1121": 29, "": 0}
    assert gpd.read_file(drawn / "labelled.gpkg").loc[4, "label"] == "1110"
    with pytest.raises(OutputError):
        read_form(drawn / "p.gpkg", drawn / "a.geojson", drawn / "m.tif", drawn / "labelled.gpkg")
