"""Training as a command: what it writes, and a disk that is full."""

import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pystac
import pytest
from tests.toy import toy_project

from agrifm.cli import main
from agrifm.errors import ConfigError
from agrifm.files import MARKER
from agrifm.inference.predictor import load_record
from agrifm.models.weights.file import read_record
from agrifm.recipe import Recipe
from agrifm.record import ModelRecord
from agrifm.train import cube_classic, run
from agrifm.train.fit import Hyperparameters
from agrifm.train.objectives import Classification
from agrifm.train.run import train
from agrifm.train.score_lines import describe_scores


@contextmanager
def files_of_at_most(most_bytes: int) -> Iterator[None]:
    """No file can be larger, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    train(toy_project(directory, steps=2, names='"agrifm", "logistic"'))
    return directory / "models"


def test_models_scores_and_parcels_are_written_and_no_work_is_left(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        MARKER,
        "agrifm.json",
        "agrifm.safetensors",
        "agrifm.timing.json",
        "logistic.json",
        "logistic.skops",
        "reliability.png",
        "scores.json",
        "training-features.npz",
        "training.gpkg",
    }


def test_the_record_says_what_the_model_expects_and_was_trained_on(trained: Path) -> None:
    record = read_record(trained / "agrifm.safetensors")
    assert [(sensor.sensor, sensor.bands) for sensor in record.sensors] == [
        ("sentinel-2", ("B04", "B08")),
        ("landsat", ("B04", "B05")),
    ]
    assert record.frames == 4
    assert record.legend.codes == ("maize", "wheat", "other")
    # by construction red is 0.4 minus half of near infrared, so their means are tied
    red, infrared = record.sensors[0].mean
    assert red == pytest.approx(0.4 - 0.5 * infrared, abs=0.005)
    assert record.training["steps"] == 2


def test_the_training_parcels_written_are_all_but_those_of_the_test_blocks(trained: Path) -> None:
    used = geopandas.read_file(trained / "training.gpkg")
    assert set(used.fold) == {"train", "validation"}
    places = read_record(trained / "agrifm.safetensors").training["places"]
    assert len(used) == places["train"] + places["validation"]
    # the toy season has 256 fields, all of them labelled
    assert len(used) + places["test"] == 256


def test_the_models_items_are_stac_with_weights_and_training_data(trained: Path) -> None:
    for name, suffix in (("agrifm", "safetensors"), ("logistic", "skops")):
        item = pystac.Item.from_file(trained / f"{name}.json")
        assert item.properties["mlm:name"] == name
        assert (trained / item.assets["model"].href).name == f"{name}.{suffix}"
        assert item.assets["training"].roles == ["training-data"]


def test_training_again_without_a_change_keeps_everything_and_says_so(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in trained.iterdir()}
    assert main(["train", "--project", str(trained.parent)]) == 0
    said = capsys.readouterr().out
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in trained.iterdir()} == before
    assert "wrote" not in said
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("kept")] == [
        "kept agrifm",
        "kept logistic",
        f"kept {trained}",
    ]


def test_replaced_labels_are_noticed_and_other_files_stay(tmp_path: Path) -> None:
    """The file has the same name, size and time; two classes have changed places."""
    project = toy_project(tmp_path, names='"logistic"')
    assert train(project)["kept"] == []
    mine = [project.models / name for name in ("agrifm.onnx", "notes/a.txt")]
    mine[1].parent.mkdir()
    for path in mine:
        path.write_text("mine")
    old, labels = read_record_of_classic(project.models), tmp_path / "labels.gpkg"
    stat = labels.stat()
    frame = geopandas.read_file(labels)
    frame["crop"] = frame["crop"].map({"maize": "wheat", "wheat": "maize", "other": "other"})
    frame.to_file(labels, driver="GPKG")
    os.utime(labels, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = train(project)
    assert result["kept"] == []
    assert {"logistic.skops", "training.gpkg"} <= set(result["written"])
    assert read_record_of_classic(project.models).training["fingerprint"] != old.training["fingerprint"]
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    assert not list(tmp_path.glob("*.partial*"))


def read_record_of_classic(models: Path) -> ModelRecord:
    return load_record(models / "logistic.skops")


@pytest.mark.parametrize("lost", ["logistic.json", "training.gpkg", "scores.json", "logistic.skops"])
def test_a_missing_part_of_finished_models_is_made_again(trained: Path, tmp_path: Path, lost: str) -> None:
    project = toy_project(tmp_path, names='"logistic"')
    shutil.copytree(trained, project.models)
    before = read_record_of_classic(project.models)
    (project.models / lost).unlink()
    assert lost in train(project)["written"]
    assert (project.models / lost).is_file()
    assert read_record_of_classic(project.models) == before


def test_models_are_put_in_their_place_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after the weights, training leaves the old models whole, and the next run does not train again."""
    project = toy_project(tmp_path, names='"logistic"')

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cube_classic, "write_model_item", killed)
        with pytest.raises(KeyboardInterrupt):
            train(project)
    assert not project.models.exists()
    monkeypatch.setattr(run, "fit_cube_classic", lambda *_, **__: pytest.fail("it was trained already"))
    train(project)
    item = pystac.Item.from_file(project.models / "logistic.json")
    assert item.properties["mlm:name"] == "logistic"
    assert not (tmp_path / "models.partial").exists()


@pytest.mark.parametrize("name", ["training.gpkg", "logistic.json"])
def test_a_file_that_training_writes_is_not_read(tmp_path: Path, name: str) -> None:
    project = toy_project(tmp_path, names='"logistic"')
    labels = project.labels.model_copy(update={"file": Path("models") / name})
    with pytest.raises(ConfigError) as error:
        train(project.model_copy(update={"labels": labels}))
    assert error.value.facts["key"] == "file"


def test_the_recipe_reaches_the_training_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(hidden=0.25, averaging=0.9, logit_adjustment=True)
    project = toy_project(tmp_path, steps=2, names='"agrifm"')
    seen: list[Any] = []

    def stop(*arguments: Any) -> None:
        seen.extend(arguments)
        raise InterruptedError

    monkeypatch.setattr("agrifm.train.fit.fit", stop)
    with pytest.raises(InterruptedError):
        train(project.model_copy(update={"model": project.model.model_copy(update={"recipe": recipe})}))
    objective = next(one for one in seen if isinstance(one, Classification))
    assert objective.augmentation.hidden == 0.25
    assert objective.log_share is not None
    assert np.exp(objective.log_share).sum() == pytest.approx(1, abs=0.01)
    assert next(one for one in seen if isinstance(one, Hyperparameters)).averaging == 0.9


def test_dates_of_interpolated_series_cannot_be_moved(tmp_path: Path) -> None:
    project = toy_project(tmp_path, steps=2, names='"agrifm"')
    model = project.model.model_copy(update={"recipe": Recipe(shift=10)})
    with pytest.raises(ConfigError) as error:
        train(project.model_copy(update={"model": model}))
    assert error.value.facts["series"] == "interpolated"


def test_scores_are_described_per_model(trained: Path) -> None:
    scores = json.loads((trained / "scores.json").read_text())
    lines = describe_scores(scores)
    models = ("agrifm: ", "logistic: ")
    starts = [
        *(f"{model}on " for model in models),
        *(f"{model}probabilities " for model in models),
        "macro F1, classes that",
        "macro F1, agrifm - logistic",
    ]
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    left_out = set(scores["tested"]) - set(scores["scored"])
    assert left_out
    assert all(code in lines[4] for code in left_out)


@pytest.mark.parametrize("most_bytes", [20_000, pytest.param(3_000_000, marks=pytest.mark.check)])
def test_a_full_disk_is_one_sentence_and_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], most_bytes: int
) -> None:
    toy_project(tmp_path, steps=2)
    with files_of_at_most(most_bytes):
        assert main(["train", "--project", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "the disk is full" in said
    assert "Traceback" not in said
    written = {path.name for path in (tmp_path / "models").glob("*")}
    assert not written & {"agrifm.safetensors", "scores.json"}
