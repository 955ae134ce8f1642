"""Faulty labelled series, sets and weights, as a user meets them: one sentence and exit code 2, or a note."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from agrifm.cli import main
from tests.train.test_comparison_config import DIVISION, write_set

CLASSES = ("maize", "wheat", "grass")
PROJECT = """\
[season]
start = 2018-01-01
end = 2018-12-31
[labels]
series = "points.csv"
products = ["sentinel-2-worldcereal"]
block = 9600
[labels.columns]
{columns}
[model]
names = ["logistic"]
frames = 8
{model}
"""
COMPARISON = """\
models = ["logistic"]
folds = 3
[[sets]]
name = "mine"
project = "."
"""
COMMANDS = {"samples info": ["samples", "info"], "train": ["train", "--project"], "compare": ["compare"]}


def points() -> pd.DataFrame:
    """54 points of three classes in 9 blocks, each with eight dates; a class has its peak at a date of its own."""
    generator = np.random.default_rng(0)
    rows = []
    for point in range(54):
        block, number = point // 6, point % 3
        for step in range(8):
            green = np.exp(-(((step - (2, 4, 6)[number]) / 1.5) ** 2)) + generator.normal(0, 0.02)
            rows.append(
                {
                    "sample_id": f"p{point}",
                    "date": date(2018, 3, 1) + timedelta(days=25 * step),
                    "longitude": 1 + 0.2 * block + 0.002 * (point % 6),
                    "latitude": 47 + 0.002 * (point % 6),
                    "crop": CLASSES[number],
                    "division": block % 3,
                    "B04": 800 - 300 * green,
                    "B08": 1500 + 3000 * green,
                }
            )
    return pd.DataFrame(rows)


def write(directory: Path, table: pd.DataFrame, columns: str = "", model: str = "") -> Path:
    table.to_csv(directory / "points.csv", index=False)
    (directory / "agrifm.toml").write_text(PROJECT.format(columns=columns, model=model))
    (directory / "compare.toml").write_text(COMPARISON)
    return directory


def answer(capsys: pytest.CaptureFixture[str], command: str, directory: Path) -> tuple[int, str, list[str]]:
    """Exit code, what is printed, and the lines of the complaint."""
    code = main([*COMMANDS[command], str(directory)])
    printed = capsys.readouterr()
    return code, printed.out, [line for line in printed.err.splitlines() if line.startswith("agrifm ")]


def without_dates(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="date")


def two_scales(table: pd.DataFrame) -> pd.DataFrame:
    other = table["sample_id"].isin([f"p{point}" for point in range(10)])
    table.loc[other, ["B04", "B08"]] /= 10_000
    return table


def a_class_in_the_test_only(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[(table["division"] == 2) & (table["crop"] == "grass"), "crop"] = "rice"
    return table


def a_parcel_in_two_folds(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(field=table["sample_id"].replace("p9", "p3"))


def exchanged_axes(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"longitude": "latitude", "latitude": "longitude"})


def few_blocks(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["sample_id"].isin([f"p{point}" for point in range(12)])]


def no_number_for_a_coordinate(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(latitude="47 north")


FOLDS = 'fold = "division"'
Change = Callable[[pd.DataFrame], pd.DataFrame]
REFUSED: list[tuple[Change, str, tuple[str, ...], str]] = [
    (without_dates, "", tuple(COMMANDS), "sample_id"),
    (two_scales, "", tuple(COMMANDS), "10 of 54"),
    (a_class_in_the_test_only, FOLDS, ("train",), "rice (6 places)"),
    (a_parcel_in_two_folds, f'{FOLDS}\nparcel = "field"', tuple(COMMANDS), "row 4"),
    (exchanged_axes, "", tuple(COMMANDS), "47, 1"),
    (few_blocks, "", ("train", "compare"), "2 blocks"),
    (no_number_for_a_coordinate, "", tuple(COMMANDS), "47 north"),
]
"""A change, columns that the project states, the commands that refuse it, and what the sentence names."""


@pytest.mark.parametrize(("change", "columns", "commands", "named"), REFUSED)
def test_a_table_that_cannot_be_used_is_refused_in_one_sentence(
    change: Change,
    columns: str,
    commands: tuple[str, ...],
    named: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path, change(points()), columns)
    for command in commands:
        code, printed, complaint = answer(capsys, command, tmp_path)
        assert (code, printed, len(complaint)) == (2, "", 1)
        assert complaint[0].startswith(f"agrifm {command}: ")
        assert named in complaint[0]
        assert not (tmp_path / "models").exists()


def mostly_gaps(table: pd.DataFrame) -> pd.DataFrame:
    early = table.groupby("sample_id").cumcount() < 5
    table.loc[early & (table["crop"] == "grass"), ["B04", "B08"]] = np.nan
    return table


def codes_as_floats(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(crop=table["crop"].map({"maize": 11.0, "wheat": 12.0, "grass": 13.0}))


def names_in_capitals(table: pd.DataFrame) -> pd.DataFrame:
    """In every second block maize is written in another way, and wheat with a blank."""
    other = table["sample_id"].str[1:].astype(int) // 6 % 2 == 0
    return table.assign(crop=table["crop"].mask(other, table["crop"].replace({"maize": "Maize", "wheat": "wheat "})))


def folds_that_are_not_stated(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"division": "split"})


NOTED: list[tuple[Change, str]] = [
    (mostly_gaps, "grass 62%"),  # 5 of 8 dates
    (names_in_capitals, "'Maize' (10) and 'maize' (8)"),
    (folds_that_are_not_stated, "'split'"),
]


@pytest.mark.parametrize(("change", "named"), NOTED)
def test_a_table_that_can_be_used_is_used_with_a_note(
    change: Change, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, change(points()))
    for command in ("samples info", "train"):
        code, printed, complaint = answer(capsys, command, tmp_path)
        assert (code, complaint) == (0, [])
        assert named in printed


def test_codes_written_as_floats_are_whole_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, codes_as_floats(points()))
    code, printed, _ = answer(capsys, "samples info", tmp_path)
    assert code == 0
    assert {f"class {name}: 18 places in 10 blocks" for name in (11, 12, 13)} < set(printed.splitlines())


def test_a_rare_spelling_in_the_test_only_is_refused_with_the_frequent_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = points()
    table.loc[(table["division"] == 2) & (table["crop"] == "grass"), "crop"] = "Grass"
    write(tmp_path, table, FOLDS)
    code, _, (complaint,) = answer(capsys, "train", tmp_path)
    assert code == 2
    assert "'grass' (12) and 'Grass' (6)" in complaint


def test_a_class_of_one_fold_is_named_in_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, a_class_in_the_test_only(points()), FOLDS)
    code, printed, _ = answer(capsys, "compare", tmp_path)
    assert code == 0
    lines = printed.splitlines()
    assert any("rice" in line and "fold 2" in line for line in lines)
    assert any("fold 0" in line and "rice" in line for line in lines)  # it cannot be tested there


def lost_split(folder: Path) -> str:
    split = folder / "split" / f"{DIVISION.replace('finetune/1', 'finetune/region_split_1')}.json"
    split.write_text(split.read_text().replace("LV003_0_", "LV003_99_"))
    return "LV003_99_"


def cut_parcel(folder: Path) -> str:
    parcel = next(iter(sorted(folder.rglob("*.npz"))))
    parcel.write_bytes(parcel.read_bytes()[:200])
    return parcel.name


def damaged_split(folder: Path) -> str:
    split = next(folder.rglob("region_split_1.json"))
    split.write_text("{")
    return split.name


@pytest.mark.parametrize("damage", [lost_split, cut_parcel, damaged_split])
def test_a_set_with_a_file_missing_or_damaged_is_refused_with_its_name(
    damage: Callable[[Path], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = damage(write_set(tmp_path / "set"))
    choices = f'choices = {{ split = "{DIVISION}" }}'
    (tmp_path / "compare.toml").write_text(
        f'models = ["logistic"]\n[[sets]]\nname = "fake"\npublic = "set"\n{choices}\n'
    )
    code, printed, complaint = answer(capsys, "compare", tmp_path)
    assert (code, printed, len(complaint)) == (2, "", 1)
    assert name in complaint[0]


def tensors_of_another_network(path: Path) -> None:
    torch.save({"encoder.layer.weight": torch.zeros(3, 3)}, path)


def no_tensors_at_all(path: Path) -> None:
    path.write_bytes(b"\x89PNG")


@pytest.mark.parametrize("content", [tensors_of_another_network, no_tensors_at_all])
@pytest.mark.parametrize("family", ["presto", "galileo"])
def test_weights_of_another_architecture_are_refused(
    family: str, content: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content(tmp_path / "other.pt")
    write(tmp_path, points(), model='weights = "other.pt"\nseries = "composites"')
    project = tmp_path / "agrifm.toml"
    project.write_text(project.read_text().replace("logistic", family))
    code, printed, complaint = answer(capsys, "train", tmp_path)
    assert (code, printed, len(complaint)) == (2, "", 1)
    assert "other.pt" in complaint[0]


def test_weights_are_refused_as_a_model_that_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "agrifm.toml").write_text(
        "[season]\narea = [0, 47, 1, 48]\nstart = 2018-03-01\nend = 2018-08-31\n"
        '[imagery]\ncatalog = "catalog.json"\nproducts = ["sentinel-2-c1-l2a"]\n[labels]\nfile = "parcels.gpkg"\n'
    )
    tensors_of_another_network(tmp_path / "other.safetensors")
    assert main(["map", "--project", str(tmp_path), "--model", str(tmp_path / "other.safetensors")]) == 2
    assert capsys.readouterr().err.startswith("agrifm map: ")
