"""Classic models: every one separates what can be separated, gives probabilities of its classes, and repeats itself."""

from typing import Any

import numpy as np
import pytest

from agrifm.classic.classics import CLASSICS, fit_classic
from agrifm.classic.singles import SINGLES
from agrifm.classic.table_rows import kept_table_rows, table_columns, table_rows
from agrifm.cube.temporal import interpolate
from agrifm.errors import LabelError, ModelError
from agrifm.legend import Legend
from agrifm.record import SensorInput
from agrifm.samples.table import SeriesTable, TableSeries

FRAMES, DAYS, PLACES = 12, 240, 120
SENSOR = SensorInput(
    sensor="sentinel-2", bands=("B04", "B08"), quantity="surface reflectance", scale=1e-4, resolution=10
)


@pytest.fixture(scope="module")
def table() -> SeriesTable:
    """Two crops that differ in the month of their peak and a third without one, at irregular dates with gaps."""
    generator = np.random.default_rng(0)
    label = np.arange(PLACES) % 3
    day = np.sort(generator.choice(DAYS, (PLACES, 30)), axis=1)
    peak = np.array([80, 150, 0])[label][:, None] + generator.normal(0, 5, (PLACES, 1))
    green = 0.2 + 0.5 * np.exp(-(((day - peak) / 25) ** 2)) * (label < 2)[:, None]
    values = np.stack([0.3 - 0.3 * green, 0.2 + 0.3 * green], axis=-1) + generator.normal(0, 0.01, (*day.shape, 2))
    valid = generator.random(day.shape) < 0.7
    start = generator.integers(18000, 19000, PLACES)
    series = TableSeries(
        SENSOR,
        np.where(valid[..., None], values, 0).astype(np.float32),
        valid,
        (day + start[:, None]).astype(np.int32),
        np.full(PLACES, 30),
    )
    nowhere = np.full(PLACES, np.nan)
    block = (np.arange(PLACES) // 3 % 10).astype(np.int32)
    return SeriesTable(
        Legend.of(["early", "late", "none"]),
        label.astype(np.uint8),
        {"sentinel-2": series},
        start.astype(np.int32),
        DAYS,
        nowhere,
        nowhere,
        block,
    )


def test_rows_of_a_table_are_each_places_interpolation_and_its_features(table: SeriesTable) -> None:
    """Oracle: the interpolation of cubes, place by place, with the steps of its season."""
    rows = table_rows(table, frames=FRAMES, parts=("series",))
    for index in (0, 17, 119):
        sample = table.sample(index)
        series = sample.series["sentinel-2"]
        ordered, last = np.unique(series.date[::-1], return_index=True)  # of two on a day, the later
        at = len(series.date) - 1 - last
        steps = (sample.season_start + (2 * np.arange(FRAMES) + 1) * DAYS // (2 * FRAMES)).astype(np.int32)
        keep = series.valid[:, 0, 0]
        single = np.array([number for number in at if keep[number]])
        expected, _ = interpolate(series.image[single], series.valid[single], series.date[single], steps)
        if len(np.unique(series.date[keep])) == keep.sum():
            np.testing.assert_allclose(rows[index], expected.ravel(), rtol=1e-5, atol=1e-6)
    assert len(ordered)
    assert rows.shape == (PLACES, 2 * FRAMES)


def test_rows_that_are_kept_are_those_of_the_same_content(table: SeriesTable, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(one: SeriesTable, *arguments: Any) -> np.ndarray:
        made.append(len(one))
        return table_rows(one, *arguments)

    monkeypatch.setattr("agrifm.classic.table_rows.table_rows", counted)
    first, second = np.arange(7), np.arange(20, 31)
    found = [kept_table_rows(table.of(places), table.sensors, FRAMES) for places in (first, second, first.copy())]
    assert made == [7, 11]
    np.testing.assert_array_equal(found[2], table_rows(table.of(first), frames=FRAMES))
    changed = table.of(first)
    changed.series["sentinel-2"].values[3] += 0.1
    again = kept_table_rows(changed, table.sensors, FRAMES)
    np.testing.assert_array_equal(np.flatnonzero((again != found[0]).any(axis=1)), [3])
    assert kept_table_rows(changed, table.sensors, FRAMES - 1).shape[1] < again.shape[1]
    assert made == [7, 11, 7, 7]


@pytest.mark.parametrize("name", [name for name in CLASSICS if name != "threshold"])
def test_every_model_separates_crops_of_unseen_blocks(table: SeriesTable, name: str) -> None:
    rows, columns = table_rows(table, frames=FRAMES), table_columns(table.sensors, FRAMES)
    training = table.block < 7
    arguments = {"groups": table.block[training], "seed": 1, "columns": columns}
    model = fit_classic(name, rows[training], table.label[training], **arguments)
    found = model.probabilities(rows[~training])
    assert found.dtype == np.float32
    assert model.classes.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == table.label[~training]).mean() > 0.9
    again = fit_classic(name, rows[training], table.label[training], **arguments)
    np.testing.assert_array_equal(again.probabilities(rows[~training]), found)


@pytest.mark.parametrize("name", CLASSICS)
def test_two_classes_with_gaps_in_their_numbers_are_learned_without_columns(name: str) -> None:
    generator = np.random.default_rng(0)
    classes = np.where(generator.random(80) < 0.3, 7, 2).astype(np.uint8)
    rows = (generator.normal(0, 0.3, (80, 10)) + (classes == 7)[:, None] * np.sin(np.arange(10))).astype(np.float32)
    model = fit_classic(name, rows[:60], classes[:60])
    found = model.probabilities(rows[60:])
    assert model.classes.tolist() == [2, 7]
    assert (model.classes[found.argmax(axis=1)] == classes[60:]).mean() > 0.85


def test_a_rare_class_is_found_by_models_whose_classes_count_alike() -> None:
    """Two overlapping clouds, 20 to 1: with class weights the border lies in the middle."""
    generator = np.random.default_rng(1)
    classes = (np.arange(630) % 21 == 0).astype(np.uint8)
    rows = (generator.normal(0, 1, (630, 1)) + 2 * classes[:, None]).astype(np.float32)
    middle = np.array([[1.5]], np.float32)
    for name in ("logistic", "support-vectors"):
        assert fit_classic(name, rows, classes).probabilities(middle)[0, 1] > 0.5


@pytest.mark.parametrize("name", SINGLES)
def test_weights_decide_between_labels_that_contradict_each_other(name: str) -> None:
    """Two different rows, each of them with one class as often as with the other; the weights prefer one."""
    kind, classes = np.arange(120) % 2, (np.arange(120) // 2 % 2).astype(np.uint8)
    different = np.stack([np.sin(np.arange(12)), -np.sin(np.arange(12))]).astype(np.float32)
    for preferred in ([0, 1], [1, 0]):
        weights = np.where(classes == np.array(preferred)[kind], 9.0, 1.0)
        model = fit_classic(name, different[kind], classes, weights=weights)
        assert model.probabilities(different).argmax(axis=1).tolist() == preferred


def test_one_class_and_an_unknown_name_are_refused() -> None:
    rows = np.zeros((4, 3), np.float32)
    with pytest.raises(LabelError) as found:
        fit_classic("logistic", rows, np.zeros(4, np.uint8))
    assert found.value.facts["classes"] == 1
    with pytest.raises(ModelError) as unknown:
        fit_classic("forest", rows, np.arange(4, dtype=np.uint8))
    assert unknown.value.facts["name"] == "forest"
