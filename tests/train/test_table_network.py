"""AgriFM learns a table of points with gaps, and predicts a place alike in any company."""

import numpy as np
import pytest

from agrifm.config import ModelConfig
from agrifm.errors import LabelError
from agrifm.legend import Legend
from agrifm.record import SensorInput
from agrifm.samples.table import SeriesTable, TableSeries
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
    return fit_network_on_table(early_and_late(64, 0, sensors), early_and_late(16, 1, sensors), CONFIG, seed=0)


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


def test_training_without_a_labelled_place_is_refused() -> None:
    table = early_and_late(8, 5)
    table.label[:] = 255
    with pytest.raises(LabelError) as error:
        fit_network_on_table(table, early_and_late(8, 6), CONFIG, seed=0)
    assert error.value.facts["fold"] == "training"
