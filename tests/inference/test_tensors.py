"""Batches as tensors: what the network takes of each kind of series, and which sensor a step goes without."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.inference.tensors import sensor_to_drop, tensor_batch
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.record import SensorRecord, SeriesKind
from agrifm.samples.sample import Sample, Series

FINE = SensorRecord(
    sensor="fine", bands=("a", "b"), quantity="index", scale=1e-4, resolution=10, mean=(0.5, 1.0), std=(0.25, 2.0)
)
COARSE = SensorRecord(
    sensor="coarse", bands=("a",), quantity="index", scale=1e-4, resolution=30, mean=(0.0,), std=(1.0,)
)
SENSORS = (FINE, COARSE)


def network_input(batch: TensorBatch, kind: SeriesKind) -> dict[str, torch.Tensor | ObservedSeries | None]:
    """What a network of these sensors receives."""
    return Classifier(torch.nn.Identity(), SENSORS, kind).network_input(batch)


def make_sample(frames: int = 1) -> Sample:
    """Two fine pixels, of which one was seen, (0.75, 5) in every frame; one coarse pixel with days of its own."""
    image = np.tile(np.array([0.75, 5.0], np.float32)[None, :, None, None], (frames, 1, 1, 2))
    valid = np.tile(np.array([[[True, False]]]), (frames, 1, 1))
    fine = Series(image * valid[:, None], valid, np.arange(103, 103 + frames, dtype=np.int32))
    day = np.array([[[107]]], np.int32)
    coarse = Series(np.full((1, 1, 1, 1), 0.5, np.float32), np.ones((1, 1, 1), bool), np.array([105], np.int32), day)
    return Sample({"fine": fine, "coarse": coarse}, np.array([[1, 255]], np.uint8), Window(0, 0, 1, 2), 100)


def test_interpolated_pixels_have_the_records_mean_at_zero_and_invalid_ones_are_zero() -> None:
    result = network_input(tensor_batch([make_sample()], SENSORS), "interpolated")["fine"]
    assert isinstance(result, torch.Tensor)
    np.testing.assert_allclose(result[0, 0, :, 0].numpy(), [[1, 0], [2, 0]])


@pytest.mark.parametrize("kind", ["composites", "observed"])
def test_observed_series_come_with_validity_days_and_first_day(kind) -> None:
    batch = tensor_batch([make_sample(1), make_sample(2)], SENSORS)
    result = network_input(batch, kind)
    fine, coarse = result["fine"], result["coarse"]
    assert isinstance(fine, ObservedSeries)
    assert isinstance(coarse, ObservedSeries)
    np.testing.assert_allclose(fine.image[1, :, :, 0, 0].numpy(), [[1, 2], [1, 2]])
    assert fine.valid[:, :, 0].tolist() == [[[True, False], [False, False]], [[True, False], [True, False]]]
    assert fine.day.tolist() == [[3, 3], [3, 4]]
    assert coarse.day.tolist() == [[[[7]]], [[[7]]]]
    # day 100 since 1970-01-01 is 11 April 1970
    assert fine.first_day.tolist() == [101, 101]
    assert (fine.image.dtype, fine.day.dtype, fine.valid.dtype) == (torch.float32, torch.float32, torch.bool)
    assert fine.absent is None
    assert fine.frames is not None
    assert fine.frames.tolist() == [1, 2]
    # what is not seen is the mean
    assert (fine.filled[:, :, :, 0, 1] == 0).all()


def test_bands_that_a_sample_lacks_are_told_to_the_network() -> None:
    sample = make_sample()
    lacking = replace(sample.series["fine"], absent=np.array([False, True]))
    lacks = replace(sample, series={**sample.series, "fine": lacking})
    fine = network_input(tensor_batch([sample, lacks], SENSORS), "observed")["fine"]
    assert isinstance(fine, ObservedSeries)
    assert fine.absent is not None
    assert fine.absent.tolist() == [[False, False], [False, True]]


def test_a_sensor_that_is_absent_is_none_for_the_network() -> None:
    batch = tensor_batch([make_sample()], SENSORS)
    found = network_input(batch.without("coarse"), "observed")
    assert list(found) == ["fine", "coarse"]
    assert found["coarse"] is None
    whole = make_sample()
    alone = replace(whole, series={"fine": whole.series["fine"]})
    assert network_input(tensor_batch([alone], SENSORS, ("coarse",)), "interpolated")["coarse"] is None
    with pytest.raises(ModelError, match="it has no sensor 'coarse'"):
        tensor_batch([alone], SENSORS)


def test_a_batch_refuses_what_the_model_cannot_take() -> None:
    sample = make_sample()
    sample.series["fine"].image[0, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match="'fine' holds nan in band 'a'"):
        tensor_batch([make_sample(), sample], SENSORS)


def test_a_batch_moves_whole() -> None:
    batch = tensor_batch([replace(make_sample(), label=np.array([[1, 2]], np.uint8))], SENSORS)
    moved = replace(batch, absent={"fine": torch.zeros((1, 2), dtype=torch.bool)}).to(torch.device("meta"))
    by_sensor = (moved.images, moved.valid, moved.day, moved.frames, moved.absent)
    held = [tensor for tensors in by_sensor for tensor in tensors.values()]
    assert len(held) == 9
    assert {tensor.device.type for tensor in (*held, moved.first_day, moved.label)} == {"meta"}
    assert isinstance(moved, TensorBatch)


def test_the_sensor_left_out_follows_from_seed_and_step_and_is_never_the_first() -> None:
    names = ("a", "b", "c")
    drawn = [sensor_to_drop(names, 0.3, 4, step) for step in range(2000)]
    assert drawn == [sensor_to_drop(names, 0.3, 4, step) for step in range(2000)]
    assert drawn != [sensor_to_drop(names, 0.3, 5, step) for step in range(2000)]
    # five standard deviations of a share of 0.15 in 2000 draws are 0.04
    for name in ("b", "c"):
        assert abs(drawn.count(name) / 2000 - 0.15) < 0.04
    assert drawn.count("a") == 0


def test_nothing_is_left_out_without_a_share_or_of_a_single_sensor() -> None:
    assert {sensor_to_drop(("a", "b"), 0.0, 0, step) for step in range(50)} == {None}
    assert {sensor_to_drop(("a",), 0.9, 0, step) for step in range(50)} == {None}
