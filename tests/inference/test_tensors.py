"""Samples are checked and stacked into a batch of tensors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.inference.tensors import tensor_batch
from agrifm.models.batch import TensorBatch
from agrifm.record import SensorRecord
from agrifm.samples.sample import Sample, Series

FINE = SensorRecord(
    sensor="fine", bands=("a", "b"), quantity="index", scale=1e-4, resolution=10, mean=(0.5, 1.0), std=(0.25, 2.0)
)
COARSE = SensorRecord(
    sensor="coarse", bands=("a",), quantity="index", scale=1e-4, resolution=30, mean=(0.0,), std=(1.0,)
)
SENSORS = (FINE, COARSE)


def make_sample(frames: int = 1) -> Sample:
    """Two fine pixels, of which one is valid, (0.75, 5) in every frame; one coarse pixel with its own day."""
    image = np.tile(np.array([0.75, 5.0], np.float32)[None, :, None, None], (frames, 1, 1, 2))
    valid = np.tile(np.array([[[True, False]]]), (frames, 1, 1))
    fine = Series(image * valid[:, None], valid, np.arange(103, 103 + frames, dtype=np.int32))
    day = np.array([[[107]]], np.int32)
    coarse = Series(np.full((1, 1, 1, 1), 0.5, np.float32), np.ones((1, 1, 1), bool), np.array([105], np.int32), day)
    return Sample({"fine": fine, "coarse": coarse}, np.array([[1, 255]], np.uint8), Window(0, 0, 1, 2), 100)


def test_samples_are_stacked_and_shorter_series_padded() -> None:
    batch = tensor_batch([make_sample(1), make_sample(2)], SENSORS)
    assert batch.images["fine"].shape == (2, 2, 2, 1, 2)
    assert batch.valid["fine"][:, :, 0].tolist() == [[[True, False], [False, False]], [[True, False], [True, False]]]
    assert batch.day["fine"].tolist() == [[3, 3], [3, 4]]
    assert batch.day["coarse"].tolist() == [[[[7]]], [[[7]]]]
    # day 100 since 1970-01-01 is 11 April 1970
    assert batch.first_day.tolist() == [101, 101]
    assert batch.frames["fine"].tolist() == [1, 2]
    assert batch.absent == {}
    types = (batch.images["fine"].dtype, batch.day["fine"].dtype, batch.valid["fine"].dtype)
    assert types == (torch.float32, torch.float32, torch.bool)


def test_bands_that_a_sample_lacks_are_in_the_batch() -> None:
    sample = make_sample()
    lacking = replace(sample.series["fine"], absent=np.array([False, True]))
    batch = tensor_batch([sample, replace(sample, series={**sample.series, "fine": lacking})], SENSORS)
    assert {name: absent.tolist() for name, absent in batch.absent.items()} == {"fine": [[False, False], [False, True]]}


def test_only_a_sensor_that_may_be_absent_may_be_missing() -> None:
    sample = make_sample()
    alone = replace(sample, series={"fine": sample.series["fine"]})
    assert list(tensor_batch([alone], SENSORS, ("coarse",)).images) == ["fine"]
    with pytest.raises(ModelError, match="'coarse'"):
        tensor_batch([alone], SENSORS)


def test_a_sample_that_does_not_fit_is_refused() -> None:
    sample = make_sample()
    sample.series["fine"].image[0, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match="nan"):
        tensor_batch([make_sample(), sample], SENSORS)


def test_a_batch_moves_to_a_device_as_a_whole() -> None:
    batch = tensor_batch([replace(make_sample(), label=np.array([[1, 2]], np.uint8))], SENSORS)
    moved = replace(batch, absent={"fine": torch.zeros((1, 2), dtype=torch.bool)}).to(torch.device("meta"))
    by_sensor = (moved.images, moved.valid, moved.day, moved.frames, moved.absent)
    held = [tensor for tensors in by_sensor for tensor in tensors.values()]
    assert len(held) == 9
    assert {tensor.device.type for tensor in (*held, moved.first_day, moved.label)} == {"meta"}
    assert isinstance(moved, TensorBatch)
