"""Two interpreters of the same points: agreement, areas by each, what they differ on, and answers that do not fit."""

import csv
import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score
from tests.assess.rasters import CROPS, crop_map, write_raster

from agrifm.assess.agreement import FILES_OF_AGREEMENT, compare_interpreters
from agrifm.assess.answers import read_form
from agrifm.assess.design import draw_points
from agrifm.assess.report import assess
from agrifm.assess.report_tables import COLUMNS
from agrifm.cli import main
from agrifm.errors import AssessmentError

CODES = list(CROPS.codes)
DIFFERENT = [3, 11, 17, 24, 40, 41]
"""Rows of the table on which the second interpreter gives the next class."""


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A map, 60 points, and the answers of Ana, and of Ben who differs at `DIFFERENT` and leaves out two points."""
    folder = tmp_path_factory.mktemp("answers")
    crops = write_raster(folder / "m.tif", crop_map(), legend=CROPS, nodata=255)
    draw_points(crops, 60, 0, folder / "p.gpkg")
    assert main([*f"assess form --points {folder}/p.gpkg --map {folder}/m.tif --out {folder}/t.csv".split()]) == 0
    table = pd.read_csv(folder / "t.csv", dtype=str, keep_default_na=False)
    generator = np.random.default_rng(2)
    drawn_in = gpd.read_file(folder / "p.gpkg")["map_class"].astype(str)
    first = [code if generator.random() < 0.8 else generator.choice(CODES) for code in drawn_in]
    second = [CODES[(CODES.index(code) + (row in DIFFERENT)) % 3] for row, code in enumerate(first)]
    table.assign(label=first, interpreter="Ana").to_csv(folder / "a.csv", index=False)
    table.assign(label=second, interpreter="Ben", comment="=SUM(1)").drop(index=[50, 51]).sample(
        frac=1, random_state=1
    ).to_csv(folder / "b.csv", index=False)
    return folder


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def compare(folder, out, first="a.csv", second="b.csv", **more):
    given = {"points": folder / "p.gpkg", "map_path": folder / "m.tif"} | more
    return compare_interpreters(folder / first, folder / second, out, **given)


def test_areas_by_each_are_those_of_a_report_and_their_difference_is_paired(answered, tmp_path):
    found = compare(answered, tmp_path / "out")
    kept = pd.read_csv(answered / "a.csv", dtype=str)[lambda table: ~table.index.isin([50, 51])]
    kept.to_csv(tmp_path / "a58.csv", index=False)
    reports = []
    for answers in (tmp_path / "a58.csv", answered / "b.csv"):
        out = tmp_path / f"{answers.stem}.gpkg"
        read_form(answered / "p.gpkg", answers, answered / "m.tif", out)
        reports.append(assess(answered / "m.tif", out, "label", tmp_path / answers.stem))
    for number, area in enumerate(found["areas"]):
        of_first, of_second = (report["areas"][number] for report in reports)
        assert area["first"]["area_ha"] == pytest.approx(of_first["area_ha"])
        assert area["first"]["standard_error_ha"] == pytest.approx(of_first["standard_error_ha"])
        assert area["second"]["area_ha"] == pytest.approx(of_second["area_ha"])
        difference = area["difference"]
        assert difference["area_ha"] == pytest.approx(of_second["area_ha"] - of_first["area_ha"])
        low, high = difference["interval_ha"]
        assert low < difference["area_ha"] < high
        # most points are the same, so the difference is far better known than both areas
        independent = np.hypot(of_first["standard_error_ha"], of_second["standard_error_ha"])
        assert 0 < difference["standard_error_ha"] < 0.7 * independent


def test_points_count_once_and_by_their_hectares(answered, tmp_path):
    found = compare(answered, tmp_path / "out")
    first = pd.read_csv(answered / "a.csv", dtype=str)["label"].drop(index=[50, 51])
    second = pd.read_csv(answered / "b.csv", dtype=str).set_index("id")["label"]
    ids = pd.read_csv(answered / "a.csv", dtype=str)["id"].drop(index=[50, 51])
    second = second.loc[ids].to_numpy()
    assert found["interpreters"] == ["Ana", "Ben"]
    assert found["points"] == {"all": 60, "both": 58, "only_first": 2, "only_second": 0, "different": 6}
    assert found["at_points"]["agreement"]["estimate"] == pytest.approx(52 / 58)
    assert found["at_points"]["kappa"]["estimate"] == pytest.approx(cohen_kappa_score(first, second))
    for entry in found["at_points"]["classes"]:
        both = sum(one == other == entry["code"] for one, other in zip(first, second, strict=True))
        each = (first == entry["code"]).sum(), (second == entry["code"]).sum()
        assert (entry["first"], entry["second"], entry["both"]) == (*each, both)
        assert entry["estimate"] == pytest.approx(2 * both / sum(each))
    # hectares of a class of the map over its points that both have labelled
    drawn_in = gpd.read_file(answered / "p.gpkg")["map_class"].astype(str).drop(index=[50, 51])
    hectares = pd.Series({code: (crop_map() == number).sum() / 100 for number, code in enumerate(CODES)})
    weight = (hectares / drawn_in.value_counts()).loc[drawn_in].to_numpy()
    same = first.to_numpy() == second
    of_area = found["of_area"]
    assert of_area["hectares"] == pytest.approx(hectares.sum())
    assert of_area["agreement"]["estimate"] == pytest.approx(float(weight @ same / weight.sum()))
    assert of_area["kappa"]["estimate"] == pytest.approx(cohen_kappa_score(first, second, sample_weight=weight))
    assert of_area["kappa"]["estimate"] != pytest.approx(found["at_points"]["kappa"]["estimate"], abs=1e-4)
    assert found["warnings"] == []


def test_the_files_list_what_to_look_at_again(answered, tmp_path, capsys):
    command = f"assess agree {answered}/a.csv {answered}/b.csv --points {answered}/p.gpkg --map {answered}/m.tif"
    assert main([*command.split(), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Ana" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES_OF_AGREEMENT)
    result = json.loads((tmp_path / "out" / "agreement.json").read_text())
    table = pd.read_csv(answered / "a.csv", dtype=str)
    again = rows_of(tmp_path / "out" / "disagreements.csv")
    assert {row["id"] for row in again} == set(table["id"].iloc[DIFFERENT])
    assert all(row["first_label"] != row["second_label"] for row in again)
    hectares = [float(row["hectares"]) for row in again]
    assert hectares == sorted(hectares, reverse=True)
    rows = rows_of(tmp_path / "out" / "agreement.csv")
    assert tuple(rows[0]) == COLUMNS
    (kappa,) = [row for row in rows if row["quantity"] == "kappa" and row["scope"] == "area"]
    assert float(kappa["value"]) == result["of_area"]["kappa"]["estimate"]
    # they make a form for a third look, and are no sample of the area
    points = tmp_path / "out" / "disagreements.gpkg"
    form = f"assess form --points {points} --map {answered}/m.tif --out {tmp_path}/third.csv"
    assert main(form.split()) == 0
    third = pd.read_csv(tmp_path / "third.csv", dtype=str)
    assert third["id"].tolist() == [row["id"] for row in again]
    third.assign(label="1110").to_csv(tmp_path / "third.csv", index=False)
    for source, answers, out in (
        (answered / "p.gpkg", answered / "a.csv", "one.gpkg"),
        (tmp_path / "one.gpkg", tmp_path / "third.csv", "two.gpkg"),
    ):
        read_form(source, answers, answered / "m.tif", tmp_path / out)
    settled = gpd.read_file(tmp_path / "two.gpkg")["label"]
    expected = table["label"].where(~table.index.isin(DIFFERENT), "1110")
    assert settled.astype(str).tolist() == expected.tolist()
    read_form(points, tmp_path / "third.csv", answered / "m.tif", tmp_path / "alone.gpkg")
    with pytest.raises(AssessmentError) as error:
        assess(answered / "m.tif", tmp_path / "alone.gpkg", "label", tmp_path / "report")
    assert error.value.facts["reason"] == "chosen"


def test_answers_alone_have_an_agreement_and_no_areas(answered, tmp_path):
    found = compare_interpreters(answered / "a.csv", answered / "b.csv", tmp_path / "out")
    whole = compare(answered, tmp_path / "whole")
    assert (found["areas"], found["of_area"]) == (None, None)
    for key in ("kappa", "agreement"):
        assert found["at_points"][key] == whole["at_points"][key]
    assert {row["hectares"] for row in rows_of(tmp_path / "out" / "disagreements.csv")} == {""}


def test_a_stratum_with_too_few_points_leaves_the_areas_out_and_says_so(answered, tmp_path):
    drawn_in = gpd.read_file(answered / "p.gpkg")["map_class"].astype(str)
    table = pd.read_csv(answered / "b.csv", dtype=str)
    rare = set(drawn_in.index[drawn_in == "1121"].astype(int)[1:] + 1)
    table[~table["id"].astype(int).isin(rare)].to_csv(tmp_path / "b.csv", index=False)
    found = compare_interpreters(
        answered / "a.csv", tmp_path / "b.csv", tmp_path / "out", answered / "p.gpkg", answered / "m.tif"
    )
    assert (found["areas"], found["of_area"]) == (None, None)
    assert any("1121" in warning for warning in found["warnings"])
    assert found["at_points"]["kappa"]["estimate"] is not None


def test_interpreters_who_agree_leave_nothing_to_look_at(answered, tmp_path):
    found = compare(answered, tmp_path / "out", second="a.csv")
    assert found["warnings"]  # of one person
    assert not (tmp_path / "out" / "disagreements.csv").exists()
    assert found["at_points"]["kappa"]["interval"][0] < 1
    low, high = found["areas"][0]["difference"]["interval_ha"]
    assert low < 0 < high


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"id": "61"}, {"unknown": ["61"]}),
        ({"id": "2"}, {"twice": ["2"]}),
        ({"label": "1112"}, {"unknown": ["1112"]}),
        ({"longitude": "4.5"}, {"moved": 1}),
    ],
)
def test_answers_that_do_not_fit_are_refused_in_one_sentence(answered, tmp_path, change, facts, capsys):
    table = pd.read_csv(answered / "a.csv", dtype=str, keep_default_na=False)
    table.loc[0, list(change)] = list(change.values())
    table.to_csv(tmp_path / "b.csv", index=False)
    points = f"--points {answered}/p.gpkg --map {answered}/m.tif --out {tmp_path}/out"
    assert main([*f"assess agree {answered}/a.csv {tmp_path}/b.csv {points}".split()]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    with pytest.raises(AssessmentError) as error:
        compare(answered, tmp_path / "out", second=tmp_path / "b.csv")
    assert error.value.facts.items() >= facts.items()
    assert not (tmp_path / "out").exists()


def test_points_without_a_map_and_answers_of_other_points_are_refused(answered, tmp_path):
    with pytest.raises(AssessmentError):
        compare(answered, tmp_path / "out", map_path=None)
    table = pd.read_csv(answered / "a.csv", dtype=str)
    table.iloc[:30].to_csv(tmp_path / "one.csv", index=False)
    table.iloc[30:].to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(AssessmentError) as error:
        compare(answered, tmp_path / "out", first=tmp_path / "one.csv", second=tmp_path / "other.csv")
    assert error.value.facts == {"first": 30, "second": 30}
