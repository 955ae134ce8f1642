"""Means that are trained: networks of several seeds, and models of different kinds weighted on the validation."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from safetensors.numpy import load_file
from tests.toy import CLASSES, toy_project
from tests.train.test_table_run import NAMES, PROJECT, write_project

from agrifm.cli import main
from agrifm.config import Project
from agrifm.errors import ConfigError
from agrifm.inference.mean import MeanModel, read_mean
from agrifm.inference.predictor import load_model, load_record, uncalibrated
from agrifm.mapping.run import map_area, map_project
from agrifm.mapping.window_store import WindowStore
from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.record import TRAINABLE
from agrifm.samples.project_table import project_table
from agrifm.samples.table_samples import TableSamples
from agrifm.train import table_classic, table_network, table_run
from agrifm.train.combination import COMBINATIONS, Combination, best_weights
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores

PAIR = ("agrifm", "logistic")
QUICK = PROJECT.replace("steps = 60", "steps = 4\nseeds = 2").replace(NAMES, '["logistic", "best"]')


@pytest.fixture(autouse=True, scope="module")
def quick_classic() -> Iterator[None]:
    """Logistic regression in the place of the best classic model, which takes longer to choose."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("agrifm+classic", "best"):
            patch.setitem(TRAINABLE, name, TRAINABLE[name]._replace(parts=PAIR))
            combination = COMBINATIONS[name]
            weights = partial(combination.weights.func, PAIR)  # type: ignore[attr-defined]
            patch.setitem(COMBINATIONS, name, Combination(PAIR, weights, combination.choosing))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = write_project(tmp_path_factory.mktemp("means"), project=QUICK)
    train_project(project)
    return project


def probabilities(project: Project, file: str, places: np.ndarray) -> np.ndarray:
    """(places, classes) of a model by itself before calibration, place by place, as its record says."""
    model, table = uncalibrated(load_model(project.models / file)), project_table(project).of(places)
    samples = TableSamples(table, model.record.series, model.record.frames)
    return np.stack([model.probabilities(samples[index]).ravel() for index in range(len(places))])


def test_the_parts_of_a_mean_are_trained_with_it_and_scored_too(trained: Project) -> None:
    scores = json.loads((trained.models / "scores.json").read_text())
    assert set(scores["models"]) == {"logistic", "agrifm", "best"}
    assert {path.name for path in trained.models.iterdir() if path.suffix in (".safetensors", ".skops")} == {
        "agrifm-0.safetensors", "agrifm-1.safetensors", "logistic.skops",
    }  # fmt: skip
    seeds = [load_record(trained.models / f"agrifm-{number}.safetensors").training["seed"] for number in range(2)]
    assert seeds == [0, 1]
    assert any(line.startswith("best: on ") for line in describe_scores(scores))
    tried = scores["models"]["best"]["training"]["tried"]
    assert [entry["models"] for entry in tried] == [["agrifm"], ["logistic"], list(PAIR)]


def test_a_mean_of_seeds_is_scored_by_the_mean_of_their_probabilities(trained: Project) -> None:
    scores = json.loads((trained.models / "scores.json").read_text())["models"]["agrifm"]
    table = project_table(trained)
    test = np.flatnonzero(table_run.divide_table(table, 0).fold == 2)
    both = [probabilities(trained, f"agrifm-{number}.safetensors", test) for number in range(2)]
    assert np.abs(both[0] - both[1]).max() > 1e-3
    guess = np.mean(both, axis=0).argmax(axis=1)
    expected = np.zeros((2, 2), int)
    np.add.at(expected, (guess, table.label[test]), 1)
    assert scores["counts"] == expected.tolist()


def test_the_first_of_several_networks_is_the_network_of_one_seed(trained: Project, tmp_path: Path) -> None:
    project = write_project(tmp_path, project=QUICK.replace("seeds = 2", "").replace('"logistic", "best"', '"agrifm"'))
    train_project(project)
    alone = load_file(project.models / "agrifm.safetensors")
    first, second = (load_file(trained.models / f"agrifm-{number}.safetensors") for number in range(2))
    assert all((alone[name] == first[name]).all() for name in alone)
    assert any((alone[name] != second[name]).any() for name in alone)


def test_a_mean_in_the_project_file_does_not_train_its_parts_again(tmp_path: Path) -> None:
    plain = QUICK.replace("seeds = 2", "")
    project = write_project(tmp_path, project=plain.replace('"logistic", "best"', '"agrifm", "logistic"'))
    train_project(project)
    before = (project.models / "agrifm.safetensors").read_bytes()
    more = write_project(tmp_path, project=plain.replace('"logistic", "best"', '"agrifm", "logistic", "best"'))
    assert train_project(more)["kept"] == ["agrifm", "logistic"]
    assert train_project(more)["kept"] == ["agrifm", "logistic", "best"]
    assert (project.models / "agrifm.safetensors").read_bytes() == before


def test_training_that_was_stopped_continues_at_the_seed_that_is_missing(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, fit = write_project(tmp_path, project=QUICK), table_network.fit_network_on_table
    begun: list[int] = []

    def stopped_at_the_second(*arguments: object, **more: object) -> object:
        begun.append(arguments[3])  # type: ignore[arg-type]
        if begun == [0, 1]:
            raise KeyboardInterrupt
        return fit(*arguments, **more)

    monkeypatch.setattr(table_network, "fit_network_on_table", stopped_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        train_project(project)
    assert not project.models.exists()
    train_project(project)
    assert begun == [0, 1, 1]
    for name in ("agrifm-0.safetensors", "agrifm-1.safetensors", "agrifm.json"):
        assert (project.models / name).read_bytes() == (trained.models / name).read_bytes()
    scores = [json.loads((one.models / "scores.json").read_text())["models"] for one in (project, trained)]
    assert scores[0] == scores[1]
    assert not list(tmp_path.glob("*.partial*"))


def test_a_second_training_keeps_means_and_writes_nothing(trained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_classic, "fit_classic", lambda *_, **__: pytest.fail("it was trained already"))
    result = train_project(trained)
    assert (result["kept"], result["written"]) == (["logistic", "agrifm", "best"], [])


def test_the_choice_is_made_with_models_that_did_not_see_the_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, fit = write_project(tmp_path, project=QUICK.replace("seeds = 2", "")), table_classic.fit_classic
    rows: list[int] = []
    answers: list[dict[str, np.ndarray]] = []

    def counted(name: str, *arguments: np.ndarray, **more: object) -> object:
        rows.append(len(arguments[0]))
        return fit(name, *arguments, **more)

    def kept(names: tuple[str, ...], parts: dict[str, np.ndarray], label: np.ndarray) -> dict[str, float]:
        answers.append(parts)
        return best_weights(names, parts, label)

    monkeypatch.setattr(table_classic, "fit_classic", counted)
    monkeypatch.setitem(COMBINATIONS, "best", Combination(PAIR, partial(kept, PAIR)))
    places = train_project(project)["models"]["best"]["training"]["places"]
    assert rows[:2] == [places["train"] + places["validation"], places["train"]]
    # and three for calibration, each without a part of the training places
    assert len(rows) == 5
    assert sum(rows[0] - one for one in rows[2:]) == places["train"]
    validation = np.flatnonzero(table_run.divide_table(project_table(project), 0).fold == 1)
    network = probabilities(project, "agrifm.safetensors", validation)
    np.testing.assert_allclose(answers[0]["agrifm"], network, atol=1e-5)
    full = probabilities(project, "logistic.skops", validation)
    assert np.abs(answers[0]["logistic"] - full).max() > 1e-3


def test_a_part_that_does_not_count_is_neither_read_nor_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMBINATIONS, "best", Combination(PAIR, lambda *_: {"logistic": 1.0}))
    project = write_project(tmp_path, project=QUICK)
    scores = train_project(project)["models"]
    assert scores["best"]["counts"] == scores["logistic"]["counts"]
    for name in ("agrifm-0.safetensors", "agrifm-1.safetensors"):
        (project.models / name).unlink()
    model = load_model(project.models / "best.json")
    assert isinstance(model, MeanModel)
    assert [(member.file, member.weight) for member in model.members] == [("logistic.skops", 1.0)]


def test_members_have_the_weights_of_their_part_divided_by_its_seeds(trained: Project) -> None:
    content = read_mean(trained.models / "agrifm.json")
    assert [(member.file, member.weight) for member in content.members] == [
        ("agrifm-0.safetensors", 0.5), ("agrifm-1.safetensors", 0.5),
    ]  # fmt: skip
    weights = load_record(trained.models / "best.json").training["weights"]
    assert sum(weights.values()) == pytest.approx(1)
    for member in read_mean(trained.models / "best.json").members:
        part, _, seed = member.file.partition(".")[0].rpartition("-")
        expected = weights["agrifm"] / 2 if seed.isdigit() else weights["logistic"]
        assert member.weight == pytest.approx(expected), part


def test_weights_of_windows_are_refused_for_the_parts_of_a_mean_too(tmp_path: Path) -> None:
    torch.save(AgriFM(preset("tiny", {"sentinel-2": 10}, classes=5)).state_dict(), tmp_path / "w.pth")
    project = write_project(tmp_path, project=QUICK.replace("seeds = 2", 'weights = "w.pth"'))
    with pytest.raises(ConfigError) as error:
        train_project(project)
    assert error.value.facts["key"] == "weights"


def kept_windows(project: Project, file: str, out: Path) -> np.ndarray:
    """(classes, H, W): probabilities of windows that do not overlap, without the dissimilarity that follows them."""
    found: dict[tuple[int, int], np.ndarray] = {}

    def keep(store: WindowStore, window, answer):
        found[window.row, window.col] = answer
        write(store, window, answer)

    write = WindowStore.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WindowStore, "write", keep)
        map_area(project.cube, project.models / file, out, 96, 0)
    rows = sorted({row for row, _ in found})
    layers = np.block([[found[key] for key in sorted(found) if key[0] == row] for row in rows]).astype(np.float64)
    return layers[: len(CLASSES)]


@pytest.mark.check
def test_a_cube_is_mapped_with_the_mean_of_what_is_trained_on_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = 'series = "observed"'
    project = toy_project(tmp_path, 2, '"agrifm+classic", "best"', more=more)
    scores = train_project(project)
    assert set(scores["models"]) == {*PAIR, "agrifm+classic", "best"}
    network, forest, both = (
        kept_windows(project, file, tmp_path / str(number))
        for number, file in enumerate(("agrifm.safetensors", "logistic.skops", "agrifm+classic.json"))
    )
    np.testing.assert_allclose(both, (network + forest) / 2, atol=1e-3)
    with rasterio.open(tmp_path / "2" / "classes.tif") as source:
        classes = source.read(1)
    first, second = np.sort((network + forest) / 2, axis=0)[::-1][:2]
    clear = first - second > 2e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(classes[clear], both.argmax(axis=0)[clear])
    item = json.loads((tmp_path / "2" / "item.json").read_text())
    links = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]
    assert links[:3] == [f"../models/{name}.json" for name in ("agrifm+classic", "agrifm", "logistic")]
    map_project(project.model_copy(update={"map": project.map.model_copy(update={"model": "best"})}))
    assert main(["model", "check", str(project.models / "best.json"), str(project.cube)]) == 0
    assert "sentinel-2: fits" in capsys.readouterr().out
