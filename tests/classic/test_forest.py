"""The random forest: features, drawing of pixels, storage without pickle."""

import pickle
import sys
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from skops import io

from agrifm.classic.forest import (
    MAX_PIXELS_PER_BLOCK,
    MAX_PIXELS_PER_PARCEL,
    ForestConfig,
    RandomForest,
    draw_pixels,
    fit_forest,
    load_forest,
    pixel_rows,
    save_forest,
)
from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.legend import Legend
from agrifm.record import ModelRecord, SensorRecord
from agrifm.samples.sample import Sample, Series

RECORD = ModelRecord(
    name="random-forest",
    architecture={},
    sensors=(SensorRecord(sensor="a", bands=("x",), quantity="index", scale=1e-4, resolution=10, mean=(0,), std=(1,)),),
    frames=2,
    side=48,
    legend=Legend.of(["low", "never seen", "high"]),
    season=(date(2024, 1, 1), date(2024, 6, 1)),
    training={"seed": 3},
    family="random-forest",
)


def sample_of(fine: np.ndarray, coarse: np.ndarray | None = None, label: np.ndarray | None = None) -> Sample:
    """An interpolated sample of one or two sensors; images are (F, C, H, W)."""
    days = np.arange(len(fine), dtype=np.int32)
    series = {"a": Series(fine.astype(np.float32), np.ones((len(fine), *fine.shape[2:]), bool), days)}
    if coarse is not None:
        series["b"] = Series(coarse.astype(np.float32), np.ones((len(coarse), *coarse.shape[2:]), bool), days)
    shape = fine.shape[2:]
    label = np.zeros(shape, np.uint8) if label is None else label
    return Sample(series, label, Window(0, 0, *shape), 0)


@pytest.fixture(scope="module")
def forest() -> RandomForest:
    rows = np.concatenate([np.full((50, 2), 0.1), np.full((50, 2), 0.9)]).astype(np.float32)
    return fit_forest(rows, np.repeat([0, 2], 50).astype(np.uint8), RECORD)


def test_probabilities_lie_on_the_classes_of_the_legend_and_sum_to_one(forest: RandomForest) -> None:
    image = np.full((2, 1, 3, 4), 0.1)
    image[..., 2:] = 0.9
    found = forest.probabilities(sample_of(image))
    assert found.shape == (3, 3, 4)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
    assert (found.argmax(axis=0)[:, :2] == 0).all()
    assert (found.argmax(axis=0)[:, 2:] == 2).all()
    assert (found[1] == 0).all()


def test_a_stored_forest_predicts_the_same_and_keeps_its_record(forest: RandomForest, tmp_path: Path) -> None:
    save_forest(tmp_path / "f.skops", forest)
    again = load_forest(tmp_path / "f.skops")
    assert again.record == forest.record
    image = np.random.default_rng(0).random((2, 1, 8, 8))
    np.testing.assert_array_equal(again.probabilities(sample_of(image)), forest.probabilities(sample_of(image)))


def test_a_file_with_other_types_is_refused(tmp_path: Path) -> None:
    from http.client import HTTPConnection

    io.dump({"record": RECORD.model_dump_json(), "forest": HTTPConnection("localhost")}, tmp_path / "bad.skops")
    with pytest.raises(ModelError, match="types"):
        load_forest(tmp_path / "bad.skops")


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "bad.skops").write_bytes(pickle.dumps(RECORD))
    with pytest.raises(ModelError, match=r"reading the model .*bad\.skops"):
        load_forest(tmp_path / "bad.skops")


def test_a_truncated_or_absent_file_is_refused_in_a_sentence(forest: RandomForest, tmp_path: Path) -> None:
    path = tmp_path / "f.skops"
    save_forest(path, forest)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert not zipfile.is_zipfile(path)
    for file in (path, tmp_path / "absent.skops"):
        with pytest.raises(ModelError, match="`agrifm train`"):
            load_forest(file)


@pytest.mark.parametrize("package", ["sklearn", "skops"])
def test_without_a_package_of_the_extra_forests_are_refused(
    package: str, forest: RandomForest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    rows = np.zeros((2, 2), np.float32)
    for call in (
        lambda: load_forest(tmp_path / "f.skops"),
        lambda: save_forest(tmp_path / "f.skops", forest),
        lambda: fit_forest(rows, np.array([0, 2], np.uint8), RECORD),
    ):
        with pytest.raises(ModelError, match=r"agrifm\[classic\]"):
            call()
    assert not list(tmp_path.iterdir())


def test_a_parcel_or_block_of_other_land_gives_no_more_than_its_share() -> None:
    label = np.zeros((40, 40), np.uint8)
    label[:, 20:] = 2
    place = np.full((40, 40), -1, np.int32)
    place[:, :10], place[:, 10:20] = 0, 1
    place[0, 0] = 2
    block = np.zeros((40, 40), np.int32)
    block[20:] = 1
    chosen = draw_pixels(label, place, block, seed=1)
    assert [int(chosen[place == number].sum()) for number in (0, 1, 2)] == [
        MAX_PIXELS_PER_PARCEL,
        MAX_PIXELS_PER_PARCEL,
        1,
    ]
    assert [int(chosen[(place < 0) & (block == number)].sum()) for number in (0, 1)] == [MAX_PIXELS_PER_BLOCK] * 2


def test_unlabelled_pixels_are_never_drawn() -> None:
    label = np.full((10, 10), 255, np.uint8)
    label[3, 4] = 1
    chosen = draw_pixels(label, np.full((10, 10), -1, np.int32), np.zeros((10, 10), np.int32), seed=0)
    assert np.argwhere(chosen).tolist() == [[3, 4]]


def test_a_pixel_in_two_windows_is_taken_once_and_none_around_a_window() -> None:
    sample = sample_of(10 + np.arange(5).reshape(1, 1, 1, 5))
    chosen = np.array([[True, True, False, False, True]])
    window = Window(0, 0, 1, 4)
    rows, places = pixel_rows([(window, sample), (window, sample)], chosen, RECORD.sensors, ("series",), 153)
    assert rows.ravel().tolist() == [10, 11]
    assert places.tolist() == [0, 1]


def test_pixels_that_no_sensor_saw_are_left_out() -> None:
    sample = sample_of(10 + np.arange(3).reshape(1, 1, 1, 3))
    sample.series["a"].valid[:, 0, 1] = False
    rows, places = pixel_rows([(sample.window, sample)], np.ones((1, 3), bool), RECORD.sensors, ("series",), 153)
    assert rows.ravel().tolist() == [10, 12]
    assert places.tolist() == [0, 2]


def test_the_record_tells_the_shape_and_how_far_its_features_look() -> None:
    rows = np.random.default_rng(0).random((40, 2)).astype(np.float32)
    shape = ForestConfig("neighbourhood", "random", 0.5, 3)
    grown = fit_forest(rows, np.repeat([0, 2], 20).astype(np.uint8), RECORD, shape)
    assert ForestConfig.of(grown.record) == shape
    assert grown.record.margin == 2
    assert len(grown.classifier.estimators_) == 300
