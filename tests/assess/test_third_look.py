"""A third interpreter decides between two: the label of two of three, and a list of what nobody shares."""

import csv

import geopandas as gpd
import pytest
from sklearn.metrics import confusion_matrix
from tests.assess.rasters import CROPS, crop_map, write_raster

from agrifm.assess.agreement import compare_interpreters
from agrifm.assess.design import draw_points
from agrifm.assess.report import assess
from agrifm.assess.third_look import agreed_label
from agrifm.cli import main

ONE, OTHER, THIRD = CROPS.codes


@pytest.mark.parametrize(
    ("labels", "agreed"),
    [
        ("aab", "a"), ("aba", "a"), ("baa", "a"), ("aaa", "a"), ("abc", ""),
        (("a", "a", ""), "a"), (("a", "", "a"), "a"), (("a", "b", ""), ""), (("a", "", ""), ""), (("", "", ""), ""),
    ],
)  # fmt: skip
def test_two_of_three_decide(labels, agreed):
    assert agreed_label(labels) == agreed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ana says what is drawn in; Ben differs at 8 points; Cleo sees these, and agrees with each of them 3 times."""
    folder = tmp_path_factory.mktemp("answers")
    write_raster(folder / "m.tif", crop_map(), legend=CROPS, nodata=255)
    draw_points(folder / "m.tif", 40, 0, folder / "p.gpkg")
    points = gpd.read_file(folder / "p.gpkg")
    points["label"] = points["map_class"].astype(str)
    points.to_file(folder / "ana.gpkg")
    next_one = {ONE: OTHER, OTHER: THIRD, THIRD: ONE}
    points.loc[points.index < 8, "label"] = points["label"].map(next_one)
    points.to_file(folder / "ben.gpkg")
    compare_interpreters(folder / "ana.gpkg", folder / "ben.gpkg", folder / "agreement")
    return folder


def test_the_agreed_labels_are_those_of_two_and_the_rest_is_listed(folder, tmp_path, capsys):
    ana, ben = (gpd.read_file(folder / f"{name}.gpkg")["label"].tolist() for name in ("ana", "ben"))
    again = gpd.read_file(folder / "agreement" / "disagreements.gpkg")
    numbers = gpd.read_file(folder / "p.gpkg")["id"].tolist()
    assert sorted(again["id"]) == sorted(numbers[:8])
    rest = {number: ({*CROPS.codes} - {ana[at], ben[at]}).pop() for at, number in enumerate(numbers[:8])}
    by_cleo = dict(zip(numbers[:8], [*ana[:3], *ben[3:6], rest[numbers[6]], ""], strict=True))
    again["label"] = [by_cleo[number] or None for number in again["id"]]
    again["interpreter"] = "Cleo"
    again.to_file(tmp_path / "cleo.gpkg")
    command = f"assess agree {folder}/ana.gpkg {folder}/ben.gpkg --third {tmp_path}/cleo.gpkg"
    assert main(f"{command} --points {folder}/p.gpkg --map {folder}/m.tif --out {tmp_path}/out".split()) == 0
    said = capsys.readouterr().out
    assert "Cleo" in said
    agreed = gpd.read_file(tmp_path / "out" / "agreed.gpkg")
    assert agreed["id"].tolist() == numbers
    assert agreed["label"].fillna("").tolist() == [*ana[:3], *ben[3:6], "", "", *ana[8:]]
    with (tmp_path / "out" / "undecided.csv").open(newline="", encoding="utf-8") as file:
        undecided = list(csv.DictReader(file))
    assert [row["id"] for row in undecided] == [str(number) for number in numbers[6:8]]
    assert undecided[0]["third_label"] == rest[numbers[6]]
    report = assess(folder / "m.tif", tmp_path / "out" / "agreed.gpkg", "label", tmp_path / "report")
    kept = agreed[agreed["label"].notna()]
    counts = confusion_matrix(kept["map_class"].astype(str), kept["label"], labels=list(CROPS.codes))
    assert report["confusion"]["counts"] == counts.tolist()
    assert main(f"{command} --out {tmp_path}/out".split()) == 0  # the directory is replaced, without areas
