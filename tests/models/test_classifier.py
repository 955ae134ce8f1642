"""A classifier normalises a batch by the statistics of the record, alike for every caller."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.record import SensorRecord, SeriesKind

FINE = SensorRecord(
    sensor="fine", bands=("a", "b"), quantity="index", scale=1e-4, resolution=10, mean=(0.5, 1.0), std=(0.25, 2.0)
)
COARSE = SensorRecord(
    sensor="coarse", bands=("a",), quantity="index", scale=1e-4, resolution=30, mean=(0.0,), std=(1.0,)
)
SENSORS = (FINE, COARSE)


def make_batch(frames: int = 2) -> TensorBatch:
    """One sample of two fine pixels, of which the first is valid, (0.75, 5), and one coarse pixel with its own day."""
    valid = torch.tensor([[[[True, False]]]]).expand(1, frames, 1, 2)
    image = torch.tensor([0.75, 5.0])[:, None, None].expand(1, frames, 2, 1, 2) * valid[:, :, None]
    return TensorBatch(
        images={"fine": image, "coarse": torch.full((1, 1, 1, 1, 1), 0.5)},
        valid={"fine": valid, "coarse": torch.ones(1, 1, 1, 1, dtype=torch.bool)},
        day={"fine": torch.arange(frames)[None].float(), "coarse": torch.full((1, 1, 1, 1), 7.0)},
        first_day=torch.tensor([101.0]),
        absent={"fine": torch.tensor([[False, True]])},
        frames={"fine": torch.tensor([frames]), "coarse": torch.tensor([1])},
        label=torch.zeros(1, 1, 2, dtype=torch.uint8),
    )


def network_input(batch: TensorBatch, kind: SeriesKind) -> dict[str, Tensor | ObservedSeries | None]:
    """What a network of these sensors receives."""
    return Classifier(nn.Identity(), SENSORS, kind).network_input(batch)


def test_interpolated_images_are_normalised_and_invalid_pixels_are_zero() -> None:
    image = network_input(make_batch(), "interpolated")["fine"]
    assert isinstance(image, Tensor)
    np.testing.assert_allclose(image[0, 0, :, 0].numpy(), [[1, 0], [2, 0]])


@pytest.mark.parametrize("kind", ["composites", "observed"])
def test_other_series_keep_validity_days_and_absent_bands(kind: SeriesKind) -> None:
    batch = make_batch()
    fine, coarse = network_input(batch, kind).values()
    assert isinstance(fine, ObservedSeries)
    assert isinstance(coarse, ObservedSeries)
    np.testing.assert_allclose(fine.image[0, :, :, 0, 0].numpy(), [[1, 2], [1, 2]])
    for name in ("valid", "day", "frames", "absent"):
        assert getattr(fine, name) is getattr(batch, name)["fine"]
    assert coarse.absent is None
    assert fine.first_day is batch.first_day


def test_an_absent_sensor_is_none_for_the_network() -> None:
    inputs = network_input(make_batch().without("coarse"), "observed")
    assert list(inputs) == ["fine", "coarse"]
    assert inputs["coarse"] is None


def test_the_batch_is_not_changed() -> None:
    batch = make_batch()
    before = {name: image.clone() for name, image in batch.images.items()}
    network_input(batch, "interpolated")
    assert all(torch.equal(image, before[name]) for name, image in batch.images.items())


def test_statistics_move_with_the_network_and_are_not_saved() -> None:
    classifier = Classifier(nn.Linear(2, 3), SENSORS, "observed")
    assert list(classifier.state_dict()) == ["network.weight", "network.bias"]
    assert {name for name, _ in classifier.named_buffers()} == {"mean_fine", "std_fine", "mean_coarse", "std_coarse"}
    assert {buffer.device.type for buffer in classifier.to("meta").buffers()} == {"meta"}
