"""Probabilities of labelled pixels: the same in memory and in a file, and in memory only where they are few."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.train.test_run import files_of_at_most
from tests.train.test_table_run import NAMES, PROJECT, write_project

from agrifm.errors import OutputError
from agrifm.grid import Window
from agrifm.model_config import ModelConfig
from agrifm.record import ModelRecord
from agrifm.samples.sample import Sample, Series
from agrifm.samples.split import HeldOutBlocks
from agrifm.train import table_run
from agrifm.train.means import Directories, Trained, ValidationPlaces, train_each
from agrifm.train.predictions import (
    labelled_probabilities,
    mean_labelled,
    predict_labelled,
    predicted_classes,
    unknown_probabilities,
)
from agrifm.train.project import train_project

SIDE, CLASSES = 512, 32
TRUTH = (np.add.outer(np.arange(SIDE), 3 * np.arange(SIDE)) // 7 % CLASSES).astype(np.uint8)
UNSEEN = (np.arange(SIDE)[:, None] % 50 == 0) & (np.arange(SIDE) % 3 > 0)
"""Pixels without an observation."""
BYTES = 4 * SIDE * SIDE * CLASSES
"""Of the probabilities of all pixels."""


def seen(window: Window) -> Sample:
    valid = ~UNSEEN[window.slices][None]
    image = TRUTH[window.slices].astype(np.float32)[None, None]
    label = np.zeros((window.height, window.width), np.uint8)
    return Sample({"sentinel-2": Series(image, valid, np.zeros(1, np.int32))}, label, window, 0)


def probabilities(sample: Sample) -> np.ndarray:
    """A model that is right: 0.69 for the class that the image holds, and 0.01 for the others."""
    image = sample.series["sentinel-2"].image[0]
    return np.where(np.arange(CLASSES)[:, None, None] == image, 0.69, 0.01).astype(np.float32)


MODEL: Any = SimpleNamespace(
    record=SimpleNamespace(name="right", side=48, margin=0, legend=range(CLASSES)), probabilities=probabilities
)
TILES: Any = SimpleNamespace(sample=seen, cube=SimpleNamespace(coarse_factor=3))


def peak_bytes(call: Callable[[], Any]) -> tuple[Any, int]:
    """The result, and the most memory held meanwhile, without files that are mapped."""
    tracemalloc.start()
    result = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak


@pytest.fixture
def label() -> np.ndarray:
    """Everything is labelled but a corner and some columns."""
    result = np.zeros((SIDE, SIDE), np.uint8)
    result[:100, :100] = result[:, 7::11] = 255
    return result


def test_classes_of_labelled_pixels_are_those_of_the_model_and_need_no_probabilities(label: np.ndarray) -> None:
    predicted, peak = peak_bytes(lambda: predict_labelled(MODEL, TILES, label))
    np.testing.assert_array_equal(predicted, np.where((label == 255) | UNSEEN, 255, TRUTH))
    assert peak < BYTES / 4


def test_probabilities_in_a_file_are_those_in_memory_and_are_not_in_memory(label: np.ndarray, tmp_path: Path) -> None:
    expected = labelled_probabilities(MODEL, TILES, label)
    found, peak = peak_bytes(lambda: labelled_probabilities(MODEL, TILES, label, tmp_path / "right"))
    np.testing.assert_array_equal(found, expected)
    assert (tmp_path / "right").stat().st_size == pytest.approx(found.nbytes, abs=200)
    labelled = label != 255
    np.testing.assert_array_equal(np.isnan(found[:, 0]), UNSEEN[labelled])
    assert peak < BYTES / 4
    np.testing.assert_array_equal(predicted_classes(found, label)[labelled & ~UNSEEN], TRUTH[labelled & ~UNSEEN])


def test_a_mean_of_files_is_the_mean_and_is_made_in_parts(label: np.ndarray, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    count = int((label != 255).sum())
    parts = []
    for name in "ab":
        part = unknown_probabilities(count, CLASSES, tmp_path / name)
        part[:] = generator.dirichlet(np.ones(CLASSES), count)
        part[generator.random(count) < 0.1] = np.nan
        parts.append(part)
    kept = unknown_probabilities(count, CLASSES, tmp_path / "mean")
    (predicted, found), peak = peak_bytes(lambda: mean_labelled(parts, [0.25, 0.75], label, kept))
    one, two = (np.array(part) for part in parts)
    expected = np.where(np.isnan(one), two, np.where(np.isnan(two), one, 0.25 * one + 0.75 * two))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    known = ~np.isnan(expected[:, 0])
    assert (predicted[label != 255] == np.where(known, expected.argmax(axis=1), 255)).mean() > 0.9999
    assert peak < BYTES / 2


def test_models_of_which_no_mean_is_asked_keep_no_probabilities(tmp_path: Path) -> None:
    label, asked = np.zeros((1, 4), np.uint8), {}

    def stand_in(name: str, _: ModelConfig, stem: str, file: Path | None) -> Trained:
        asked[stem] = file
        record = ModelRecord.model_construct(name=name)
        return Trained(record, (), 1, True, label, None, lambda: pytest.fail("no validation is needed"))

    places = ValidationPlaces(label[0], np.arange(4), np.arange(4))
    directories = Directories(tmp_path / "staging", tmp_path / "models")
    unseen = HeldOutBlocks(label, np.zeros((1, 4), np.int32), np.zeros((1, 4), np.int32), np.ones(1, bool))
    config = ModelConfig(names=("agrifm", "logistic"))
    predictions = train_each(config, stand_in, directories, unseen, places).predictions
    assert asked == {"agrifm": None, "logistic": None}
    assert set(predictions) == {"agrifm", "logistic"}


def test_seeds_keep_probabilities_for_their_mean_and_none_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, asked = table_run._train_one, {}

    def noted(*arguments: Any) -> Trained:
        asked[arguments[-2]] = arguments[-1] is not None
        return plain(*arguments)

    monkeypatch.setattr(table_run, "_train_one", noted)
    text = PROJECT.replace("steps = 60", "steps = 2\nseeds = 2").replace(NAMES, '["logistic", "agrifm"]')
    project = write_project(tmp_path, project=text)
    train_project(project)
    assert asked == {"logistic": False, "agrifm-0": True, "agrifm-1": True}
    assert not list(tmp_path.rglob("*.probabilities"))


def test_a_file_without_room_is_refused_before_it_is_mapped(tmp_path: Path) -> None:
    with files_of_at_most(50_000), pytest.raises(OutputError):
        unknown_probabilities(10_000, 8, tmp_path / "large")
