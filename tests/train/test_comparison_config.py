"""The file of a comparison: what it reads, and what it refuses with the nearest known word."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.samples.public.test_pastis import write_set as write_pastis
from tests.toy import toy_project

from agrifm.cli import main
from agrifm.errors import ConfigError, CubeError, LabelError
from agrifm.train.comparison_config import SetConfig, read_comparison

MINIMAL = """
models = ["agrifm"]
[[sets]]
name = "fake"
public = "set"
"""
DIVISION = "latvia_vs_estonia/finetune/1"


def write_set(folder: Path) -> Path:
    """EuroCropsML's layout: 24 parcels of two classes in two regions, whose series differ by class."""
    data = folder / "preprocess" / "S2" / "2021"
    data.mkdir(parents=True)
    names = []
    for parcel in range(24):
        crop = ("3301010100", "3302000000")[parcel % 2]
        region = ("LV003", "EE001")[parcel // 12]
        names.append(f"{region}_{parcel}_{crop}.npz")
        numbers = 1000.0 + 500 * (parcel % 2) + parcel + 10 * np.arange(13) + np.arange(4)[:, None]
        days = np.array(["2021-04-01", "2021-05-01", "2021-06-15", "2021-07-20"], "datetime64[D]")
        np.savez(data / names[-1], data=numbers, dates=days, center=np.array([24 + parcel / 10, 57]))
    use = folder / "split" / "latvia_vs_estonia" / "finetune"
    use.mkdir(parents=True)
    parts = {"train": names[:8], "val": names[8:12], "test": names[12:]}
    (use / "region_split_1.json").write_text(json.dumps(parts))
    meta = folder / "split" / "latvia_vs_estonia" / "meta"
    meta.mkdir()
    (meta / "region_split.json").write_text(json.dumps({"train": names[:8], "val": names[8:12]}))
    return folder


def write(tmp_path: Path, content: str) -> Path:
    (tmp_path / "compare.toml").write_text(content)
    return tmp_path


def test_a_public_set_brings_its_official_training_and_test(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    chosen = SetConfig(name="fake", public=Path("set"), choices={"split": DIVISION})
    labelled = chosen.read(tmp_path)
    assert labelled.division is not None
    training, test = labelled.division
    place = np.rint((labelled.table.lon - 24) * 10).astype(int).tolist()  # as they were written
    assert sorted(place[index] for index in training) == list(range(12))
    assert sorted(place[index] for index in test) == list(range(12, 24))


def test_official_folds_can_be_left_out(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    labelled = SetConfig(name="fake", public=Path("set"), choices={"split": DIVISION}, folds=False).read(tmp_path)
    assert labelled.division is None
    assert labelled.table.fold is None


def test_a_division_without_test_is_refused(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    with pytest.raises(ConfigError) as error:
        SetConfig(name="fake", public=Path("set"), choices={"split": "latvia_vs_estonia/meta"}).read(tmp_path)
    assert error.value.facts["division"] == "latvia_vs_estonia/meta"


def test_a_folder_without_a_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(LabelError):
        SetConfig(name="fake", public=Path("set")).read(tmp_path)


PROJECT = """
[season]
start = 2018-03-01
end = 2018-08-31
[labels]
series = "points.csv"
products = ["sentinel-2-worldcereal"]
[labels.columns]
block = "block"
fold = "fold"
"""


def write_project(folder: Path, labels: str = PROJECT) -> None:
    """60 points of two classes in 10 blocks and 2 folds, whose near infrared differs."""
    folder.mkdir()
    (folder / "agrifm.toml").write_text(labels)
    lines = ["sample_id,longitude,latitude,label,block,fold,date,B04,B08"]
    for point in range(60):
        number, block = point // 10 % 2, point % 10
        place = f"p{point},{block / 10},{47 + point / 1000},{('maize', 'wheat')[number]},{block},{block % 2}"
        for month in (3, 4, 5, 6):
            lines.append(f"{place},2018-{month:02}-11,{500 + point},{2000 + 1000 * number * (month - 3) + 7 * point}")
    (folder / "points.csv").write_text("\n".join(lines))


def test_a_project_brings_its_table_and_its_folds(tmp_path: Path) -> None:
    write_project(tmp_path / "season")
    labelled = SetConfig(name="mine", project=Path("season")).read(tmp_path)
    assert labelled.division is None
    assert labelled.table.fold is not None
    assert np.bincount(labelled.table.fold).tolist() == [30, 30]
    assert SetConfig(name="mine", project=Path("season"), folds=False).read(tmp_path).table.fold is None


def test_a_project_with_labels_on_a_cube_needs_the_cube(tmp_path: Path) -> None:
    (tmp_path / "agrifm.toml").write_text(
        "[season]\narea = [0, 47, 1, 48]\nstart = 2018-03-01\nend = 2018-08-31\n"
        '[imagery]\ncatalog = "catalog.json"\nproducts = ["sentinel-2-c1-l2a"]\n[labels]\nfile = "parcels.gpkg"\n'
    )
    with pytest.raises(CubeError) as error:
        SetConfig(name="mine", project=Path()).read(tmp_path)
    assert error.value.facts["path"] == tmp_path / "cube.zarr"


def test_a_set_of_windows_brings_its_official_training_and_test(tmp_path: Path) -> None:
    """Of PASTIS's fourth division training is folds 4, 5, 1 with 2 (validation), and the test is fold 3."""
    write_pastis(tmp_path / "set", radar=False)
    labelled = SetConfig(name="fake", public=Path("set"), division="fold 4", pixels=2).read(tmp_path)
    assert labelled.division is not None
    training, test = labelled.division
    assert {labelled.table.place[index] for index in training} == {"10004", "10005", "10001", "10002"}
    assert {labelled.table.place[index] for index in test} == {"10003"}
    assert len(labelled.table) == len(training) + len(test) == 5 * 2 * 2
    free = SetConfig(name="fake", public=Path("set"), folds=False, windows=3, pixels=1).read(tmp_path)
    assert free.division is None
    assert len(np.unique(free.table.block)) == 3


@pytest.mark.check
def test_the_command_compares_models_on_the_pixels_of_a_cube(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_project(tmp_path / "season")
    file = write(
        tmp_path,
        'models = ["logistic"]\nbudgets = [10]\ndraws = 1\nfolds = 2\n'
        '[[sets]]\nname = "toy"\nproject = "season"\npixels = 1\n',
    )
    assert main(["compare", str(file)]) == 0
    assert "toy: 256 pixels of 256 parcels or points" in capsys.readouterr().out
    content = json.loads((tmp_path / "comparison" / "comparison.json").read_text())
    assert content["sets"]["toy"]["leaks"] == {
        fold: {"place": 0, "series": 0, "block": 0, "pixel": 0, "neighbour": 0} for fold in ("0", "1")
    }
    assert content["results"][0]["macro_f1"] > 0.8


def test_the_command_compares_classic_models_and_says_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path / "season")
    file = write(
        tmp_path,
        'models = ["logistic", "support-vectors"]\nbudgets = [2]\ndraws = 1\n'
        '[[sets]]\nname = "mine"\nproject = "season"\n',
    )
    assert main(["compare", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "mine, 2 per class, logistic: macro F1 1.000" in shown
    assert (tmp_path / "comparison" / "report.html").exists()
    labels = PROJECT.replace("2018-08-31", "2018-08-30")
    (tmp_path / "season" / "agrifm.toml").write_text(labels)  # one day less: other features, so trained anew
    before = len(list((tmp_path / "comparison" / "cells").iterdir()))
    assert main(["compare", str(file)]) == 0
    assert len(list((tmp_path / "comparison" / "cells").iterdir())) == 2 * before == 8


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file, config = read_comparison(write(tmp_path, MINIMAL))
    assert file == tmp_path / "compare.toml"
    assert config.models == ("agrifm",)
    assert (config.budgets, config.leaks, config.folds) == (("100 %",), "refuse", 5)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (MINIMAL.replace("models", "model"), "models"),
        (MINIMAL + 'publc = "x"', "public"),
        (MINIMAL + 'project = "x"', "project"),
        (MINIMAL.replace("public", "project") + "windows = 3", "windows"),
        (MINIMAL.replace("public", "name2"), "name"),
        ('budgets = [5, "5"]' + MINIMAL, "budgets"),
        ('budgets = ["many"]' + MINIMAL, "budget"),
        (MINIMAL + '[[sets]]\nname = "fake"\npublic = "other"', "fake"),
        ('models = ["agrifm", "agrifm"]' + MINIMAL.replace('models = ["agrifm"]', ""), "agrifm"),
        ("models = [", "compare.toml"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, content: str, word: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_comparison(write(tmp_path, content))
    assert word in str(error.value)
    assert error.value.facts["path"] == tmp_path / "compare.toml"


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_comparison(tmp_path / "nothing.toml")


def test_the_command_refuses_an_unknown_model_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "set")
    content = MINIMAL.replace('["agrifm"]', '["agrifmm"]') + f'choices = {{ split = "{DIVISION}" }}'
    assert main(["compare", str(write(tmp_path, content))]) == 2
    sentence = capsys.readouterr().err
    assert "did you mean 'agrifm'" in sentence
    assert "Traceback" not in sentence
    assert not (tmp_path / "comparison").exists()
