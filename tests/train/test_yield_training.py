"""Training for yields: learnt from the greenness of a toy season, with intervals, next to the naive mean."""

import json
from types import SimpleNamespace

import geopandas
import numpy as np
import pytest
import torch
from tests.toy import toy_project

from agrifm.config import read_project
from agrifm.errors import LabelError, ModelError
from agrifm.inference.compatibility import describe_model
from agrifm.inference.predictor import load_model
from agrifm.mapping.run import map_project
from agrifm.record import yield_scale
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores
from agrifm.train.yield_scores import FieldYields, mean_yields, yield_scores
from agrifm.yields import YIELD, conformal_factor

PER_CLASS = {"maize": 9.0, "wheat": 6.0, "other": 3.0}
"""t/ha; the toy's classes differ in their greenness, so a model can learn this."""


def yield_project(directory, names='"classic"', unit="t/ha"):
    toy_project(directory, steps=2, names=names)
    fields = geopandas.read_file(directory / "labels.gpkg")
    noise = np.random.default_rng(3).normal(0, 0.3, len(fields))
    fields["tonnes"] = fields["crop"].map(PER_CLASS) + noise
    fields.drop(columns="crop").to_file(directory / "yields.gpkg")
    text = (directory / "agrifm.toml").read_text()
    text = text.replace('file = "labels.gpkg"', f'file = "yields.gpkg"\nvalue = "tonnes"\nunit = "{unit}"')
    text = text.replace("[model]", '[model]\ntask = "yield"')
    (directory / "agrifm.toml").write_text(text.replace("overlap = 0", 'overlap = 0\nmodel = "classic"'))
    return read_project(directory)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = yield_project(tmp_path_factory.mktemp("toy"), '"agrifm", "classic"')
    train_project(project)
    return project


def test_models_and_the_naive_mean_are_scored_on_the_same_fields(project):
    scores = json.loads((project.models / "scores.json").read_text())
    assert list(scores["models"]) == ["agrifm", "classic", "mean"]
    assert {entry["fields"] for entry in scores["models"].values()} == {scores["fields"]["test"]}
    classic, naive = scores["models"]["classic"], scores["models"]["mean"]
    assert classic["rmse"] < 0.6 < 2 < naive["rmse"]  # noise of 0.3, and classes 3 t/ha apart
    assert classic["half_width"] < naive["half_width"] / 2
    assert 0.75 < classic["coverage"] <= 1
    (difference,) = (one for one in scores["differences"] if (one["model"], one["against"]) == ("classic", "mean"))
    assert difference["rmse"] == pytest.approx(classic["rmse"] - naive["rmse"])
    assert difference["rmse_interval"][1] < 0
    assert sum("RMSE" in line for line in describe_scores(scores)) >= 3


def test_every_model_has_its_scale_and_factor_and_is_not_trained_again(project):
    again = train_project(project)
    assert (again["kept"], again["written"]) == (["agrifm", "classic"], [])
    for name in ("agrifm.safetensors", "classic.skops"):
        record = load_model(project.models / name).record
        scale = yield_scale(record)
        assert record.task == "yield"
        assert 3 < scale.mean < 9
        assert scale.factor > 0
        assert any("in t/ha" in line for line in describe_model(project.models / name))


@pytest.mark.check
def test_another_family_estimates_yields_too(tmp_path):
    scores = train_project(yield_project(tmp_path, '"tempcnn"'))
    assert scores["models"]["tempcnn"]["half_width"] > 0
    assert yield_scale(load_model(tmp_path / "models" / "tempcnn.safetensors").record).factor > 0


def test_a_project_of_another_task_refuses_the_model(project):
    crops = project.model_copy(update={"model": project.model.model_copy(update={"task": "crop-type"})})
    with pytest.raises(ModelError) as error:
        map_project(crops)
    assert error.value.facts["task"] == "yield"
    wheat = project.model_copy(update={"model": project.model.model_copy(update={"crop": ("wheat",)})})
    with pytest.raises(ModelError, match="wheat"):
        map_project(wheat)


def test_yields_in_another_unit_are_refused_before_anything_is_written(tmp_path):
    project = yield_project(tmp_path, unit="kg/ha")
    with pytest.raises(LabelError) as error:
        train_project(project)
    assert error.value.facts["unit"] == "kg/ha"
    assert not project.models.exists()


def test_too_few_fields_for_an_interval_are_refused(tmp_path):
    project = yield_project(tmp_path)
    fields = geopandas.read_file(tmp_path / "yields.gpkg")
    fields["fold"] = ["validation"] * 8 + ["train"] * 124 + ["test"] * 124
    fields.to_file(tmp_path / "yields.gpkg")
    labels = project.labels.model_copy(update={"fold_column": "fold"})
    with pytest.raises(LabelError) as error:
        train_project(project.model_copy(update={"labels": labels}))
    assert error.value.facts["fields"] == 8
    fields.loc[fields["fold"] == "train", "tonnes"] = 5.0
    fields.to_file(tmp_path / "yields.gpkg")
    with pytest.raises(LabelError) as error:
        train_project(project.model_copy(update={"labels": labels}))
    assert error.value.facts["fields"] == 124


def drawn_fields(rng, number=200):
    true = rng.gamma(9, 0.7, number)
    return FieldYields(
        np.arange(number), rng.integers(0, 9, number), np.zeros(number, np.int64), true,
        true + rng.normal(0.1, 0.5, number), np.full(number, 0.5),
    )  # fmt: skip


def test_scores_are_those_of_scikit_learn():
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    rng = np.random.default_rng(1)
    validation, fields = drawn_fields(rng), drawn_fields(rng)
    found = yield_scores(validation, fields, 0.9)
    both = fields.true, fields.estimate
    assert found["rmse"] == pytest.approx(root_mean_squared_error(*both))
    assert found["mae"] == pytest.approx(mean_absolute_error(*both))
    assert found["r2"] == pytest.approx(r2_score(*both))
    assert found["bias"] == pytest.approx(np.mean(fields.estimate) - np.mean(fields.true))
    half = 0.5 * conformal_factor(validation.true - validation.estimate, validation.spread, 0.9)
    assert found["coverage"] == np.mean(np.abs(fields.true - fields.estimate) <= half)
    for name in ("rmse", "mae", "r2", "bias", "coverage"):
        low, high = found[f"{name}_interval"]
        assert low < found[name] < high


def test_the_naive_estimate_is_the_mean_of_the_crop():
    training, fields = drawn_fields(np.random.default_rng(1)), drawn_fields(np.random.default_rng(2))
    crops = np.arange(200) % 2
    training, fields = training._replace(crop=crops), fields._replace(crop=crops)
    found = mean_yields(training, fields)
    assert found.estimate[1::2] == pytest.approx(training.true[1::2].mean())
    assert found.spread[::2] == pytest.approx(training.true[::2].std())


def test_the_objective_sees_means_of_fields_and_no_unknown_pixel():
    """Two samples, two fields: a loop over fields gives the same sums as the objective."""
    from agrifm.models.classifier import Classifier
    from agrifm.samples.targets import NUMBER
    from agrifm.train.yield_objective import Yields
    from agrifm.yields import YieldScale

    scale = YieldScale(mean=6, std=2, highest=20)
    rng = np.random.default_rng(0)
    raw = torch.tensor(rng.normal(0, 1, (2, 2, 4, 6)), dtype=torch.float32)
    network = Classifier.__new__(Classifier)
    torch.nn.Module.__init__(network)
    network.network = torch.nn.Identity()
    network.forward = lambda batch: raw
    number = torch.tensor(rng.integers(-1, 2, (2, 4, 6)))
    label = torch.where(torch.tensor(rng.random((2, 4, 6)) < 0.8), 0, 255)
    tonnes = torch.where(number == 0, 4.0, torch.where(number == 1, 9.0, torch.nan))

    batch = SimpleNamespace(targets={NUMBER: number, YIELD: tonnes}, label=label)
    sums = Yields(scale).validation_sums(network, batch)
    share = np.log((6 / 20) / (1 - 6 / 20)) + raw[:, 0].numpy() * 2 / (20 * 0.3 * 0.7)
    estimate = 20 / (1 + np.exp(-share))
    expected = np.zeros(4)
    for sample in range(2):
        for field, true in ((0, 4.0), (1, 9.0)):
            inside = ((number[sample] == field) & (label[sample] == 0)).numpy()
            weight = np.sqrt(inside.sum())
            error = estimate[sample][inside].mean() - true
            expected += weight * np.array([1, error**2, true, true**2])
    assert sums == pytest.approx(expected, rel=1e-5)
