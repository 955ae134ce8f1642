"""AgriFM learns a table of points with gaps, and predicts a place alike in any company."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agrifm.errors import LabelError, ModelError
from agrifm.inference.tensors import tensor_batch
from agrifm.legend import Legend
from agrifm.model_config import ModelConfig
from agrifm.models.batch import TensorBatch
from agrifm.recipe import Recipe
from agrifm.record import SensorInput
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.samples.table_samples import TableSamples
from agrifm.train.fit import TrainingModule
from agrifm.train.objectives import Classification
from agrifm.train.table_network import TableNetwork, fit_network_on_table

CONFIG = ModelConfig(steps=100, batch=4, frames=8, learning_rate=3e-3)


def early_and_late(places: int, seed: int, sensors: tuple[str, ...] = ("sentinel-2",)) -> SeriesTable:
    """Places whose second band peaks on day 100 or on day 250; a third of the dates is missing."""
    generator = np.random.default_rng(seed)
    label = (np.arange(places) % 2).astype(np.uint8)
    date = np.tile(np.arange(0, 360, 15, dtype=np.int32), (places, 1))
    peak = np.where(label == 0, 100, 250)[:, None]
    green = 0.1 + 0.5 * np.exp(-(((date - peak) / 40) ** 2))
    series = {}
    for name in sensors:
        values = np.stack([0.6 - green, green], axis=2) + generator.normal(0, 0.02, (*date.shape, 2))
        valid = generator.random(date.shape) > 0.33
        about = SensorInput(
            sensor=name, bands=("B04", "B08"), quantity="surface reflectance", scale=1e-4, resolution=10
        )
        length = np.full(places, date.shape[1])
        series[name] = TableSeries(
            about, np.where(valid[..., None], values, 0).astype(np.float32), valid, date + 19000, length
        )
    nowhere = np.full(places, np.nan)
    start = np.full(places, 19000, np.int32)
    block = np.arange(places, dtype=np.int32)
    return SeriesTable(Legend.of(["early", "late"]), label, series, start, 365, nowhere, nowhere, block)


@pytest.fixture(scope="module")
def network() -> TableNetwork:
    """A network of two sensors."""
    sensors = ("sentinel-2", "landsat")
    config = CONFIG.model_copy(update={"steps": 40})
    return fit_network_on_table(early_and_late(64, 0, sensors), early_and_late(16, 1, sensors), config, seed=0)


def test_a_network_learns_classes_that_differ_in_time(network: TableNetwork) -> None:
    unseen = early_and_late(40, 2, ("sentinel-2", "landsat"))
    probabilities = network.probabilities(unseen)
    assert probabilities.shape == (40, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == unseen.label).mean() >= 0.95


def test_a_place_is_predicted_alike_alone_and_among_others(network: TableNetwork) -> None:
    unseen = early_and_late(12, 3, ("sentinel-2", "landsat"))
    together = network.probabilities(unseen)
    alone = np.concatenate([network.probabilities(unseen.of(np.array([index]))) for index in range(12)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_place_without_one_of_the_sensors_is_predicted_from_the_other(network: TableNetwork) -> None:
    unseen = early_and_late(20, 4, ("sentinel-2", "landsat"))
    unseen.series["landsat"].length[:10] = 0
    predicted = network.probabilities(unseen).argmax(axis=1)
    assert (predicted == unseen.label).mean() >= 0.9


def test_a_place_of_weight_two_counts_in_the_loss_as_if_it_were_twice(network: TableNetwork) -> None:
    table = early_and_late(6, 5, ("sentinel-2", "landsat"))
    table.label[0] = 1 - table.label[0]
    objective = Classification(np.ones(2, bool))

    def loss(places: SeriesTable) -> float:
        samples = TableSamples(places)
        batch = tensor_batch([samples[index] for index in range(len(samples))], network.sensors)
        return objective.loss(network.classifier, batch).item()

    weighted = replace(table, weight=np.array([2, 1, 0, 1, 2, 0], np.float32))
    assert loss(weighted) == pytest.approx(loss(table.of(np.array([0, 0, 1, 3, 4, 4]))), rel=1e-5)
    assert loss(weighted) != pytest.approx(loss(table), rel=1e-3)


@pytest.mark.check
def test_weights_decide_between_labels_that_contradict_each_other() -> None:
    table = early_and_late(64, 0)
    twice = table.of(np.tile(np.arange(64), 2))
    weight = np.where(np.arange(128) < 64, 0.05, 1).astype(np.float32)
    label = np.where(weight < 1, twice.label, 1 - twice.label).astype(np.uint8)
    both = replace(twice, label=label, weight=weight)
    network = fit_network_on_table(both, both.of(np.arange(64, 128)), CONFIG, seed=0)
    assert (network.probabilities(table).argmax(axis=1) == label[64:]).mean() > 0.9


def test_training_without_a_labelled_place_is_refused() -> None:
    table = early_and_late(8, 5)
    table.label[:] = 255
    with pytest.raises(LabelError) as error:
        fit_network_on_table(table, early_and_late(8, 6), CONFIG, seed=0)
    assert error.value.facts["fold"] == "training"


def test_averaged_weights_are_the_exponential_mean_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recomputed from the weights after each step."""
    seen: list[dict[str, torch.Tensor]] = []
    plain = TrainingModule.on_train_batch_end

    def keep(self: TrainingModule, *arguments: Any) -> None:
        plain(self, *arguments)
        seen.append({name: value.clone() for name, value in self.network.state_dict().items()})

    monkeypatch.setattr(TrainingModule, "on_train_batch_end", keep)
    network = fit_network_on_table(
        early_and_late(32, 0),
        early_and_late(16, 1),
        CONFIG.model_copy(update={"steps": 6, "recipe": Recipe(averaging=0.8)}),
        0,
    )
    assert len(seen) == 6
    for name, value in network.classifier.state_dict().items():
        if value.is_floating_point():
            expected = seen[0][name]
            for later in seen[1:]:
                expected = 0.8 * expected + 0.2 * later[name]
            torch.testing.assert_close(value, expected, atol=1e-6, rtol=1e-5)


def test_an_interrupted_run_with_averaged_weights_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agrifm.train.fit.MAX_ROUND_STEPS", 3)
    recipe = Recipe(hidden=0.5, shift=20, averaging=0.9, logit_adjustment=True)
    config = ModelConfig(steps=9, batch=4, frames=8, recipe=recipe)
    tables = early_and_late(32, 0), early_and_late(16, 1)
    whole = fit_network_on_table(*tables, config, 0, tmp_path / "whole")
    plain = TrainingModule.training_step

    def stop(self: TrainingModule, batch: TensorBatch) -> torch.Tensor:
        if self.trainer.global_step == 5:
            raise InterruptedError
        return plain(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", stop)
        with pytest.raises(InterruptedError):
            fit_network_on_table(*tables, config, 0, tmp_path / "stopped")
    continued = fit_network_on_table(*tables, config, 0, tmp_path / "stopped")
    expected, found = whole.classifier.state_dict(), continued.classifier.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.check
def test_adjusted_logits_find_more_of_a_rare_class() -> None:
    """Of places that hardly differ a tenth is rare: the usual loss calls nearly all of them frequent."""
    table = early_and_late(200, 0)
    rare = np.flatnonzero(table.label == 1)
    table = table.of(np.r_[np.flatnonzero(table.label == 0), rare[:10]])
    noise = np.random.default_rng(5).normal(0, 0.5, table.series["sentinel-2"].values.shape).astype(np.float32)
    table.series["sentinel-2"].values[:] += noise
    unseen = early_and_late(100, 2)
    unseen.series["sentinel-2"].values[:] += np.random.default_rng(6).normal(
        0, 0.5, unseen.series["sentinel-2"].values.shape
    )
    called_rare = []
    for adjusted in (False, True):
        config = CONFIG.model_copy(update={"recipe": Recipe(hidden=0.5, logit_adjustment=adjusted)})
        network = fit_network_on_table(table, early_and_late(20, 1), config, 0)
        called_rare.append((network.probabilities(unseen).argmax(axis=1) == 1)[unseen.label == 1].mean())
    assert called_rare[1] > called_rare[0]


@pytest.mark.parametrize(
    ("family", "sensors"),
    [
        pytest.param("ltae", ("sentinel-2",), marks=pytest.mark.check),
        ("tsvit", ("sentinel-2",)),
        ("tempcnn", ("sentinel-2",)),
        ("ltae", ("sentinel-2", "landsat")),
    ],
)
def test_other_families_learn_a_table(family: str, sensors: tuple[str, ...]) -> None:
    tables = [early_and_late(count, seed, sensors) for count, seed in ((64, 0), (16, 1), (20, 2))]
    trained = fit_network_on_table(tables[0], tables[1], CONFIG, seed=0, family=family)
    unseen = tables[2]
    probabilities = trained.probabilities(unseen)
    assert (probabilities.argmax(axis=1) == unseen.label).mean() >= 0.9
    alone = trained.probabilities(unseen.of(np.array([3])))
    np.testing.assert_allclose(alone[0], probabilities[3], atol=1e-5)


def test_a_family_that_cannot_read_a_table_is_refused() -> None:
    table = early_and_late(8, 0)
    with pytest.raises(ModelError):
        fit_network_on_table(table, table, CONFIG, seed=0, family="prithvi")  # needs six bands
    with pytest.raises(ModelError):
        fit_network_on_table(table, table, CONFIG, seed=0, family="tempcn")
