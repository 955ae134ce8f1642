"""Batches as tensors, and what the network takes of them: the only place where samples become the network's input.

Shape letters: B samples, T frames, C bands, H W rows and columns.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agrifm.models.agrifm.timeseries import Observed
from agrifm.models.weights.file import statistics_tensor
from agrifm.record import SensorRecord, SeriesKind
from agrifm.samples.sample import Sample, collate
from agrifm.samples.validate import require_usable


@dataclass(frozen=True)
class TensorBatch:
    """A batch as tensors; by sensor, where a sensor that is absent has no entry."""

    images: dict[str, Tensor]
    """(B, T, C, H, W), in the quantity's unit."""
    valid: dict[str, Tensor]
    """(B, T, H, W) bool."""
    day: dict[str, Tensor]
    """(B, T), or (B, T, H, W) where pixels have days of their own: days since the season's first day."""
    first_day: Tensor
    """(B,), day of the year of the season's first day, 1..366."""
    absent: dict[str, Tensor]
    """(B, C) bool, bands that a sample lacks; no entry where no sample lacks any."""
    frames: dict[str, Tensor]
    """(B,), frames that a sample has; the rest of T only fills up the batch."""
    label: Tensor
    """(B, H, W)."""

    def to(self, device: torch.device) -> "TensorBatch":
        """The batch on a device."""

        def moved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device) for name, tensor in tensors.items()}

        return TensorBatch(
            moved(self.images),
            moved(self.valid),
            moved(self.day),
            self.first_day.to(device),
            moved(self.absent),
            moved(self.frames),
            self.label.to(device),
        )

    def without(self, sensor: str) -> "TensorBatch":
        """The batch as if that sensor had not been there."""
        return replace(self, images={name: image for name, image in self.images.items() if name != sensor})


def tensors(samples: Sequence[Sample], sensors: Sequence[SensorRecord], may_lack: Collection[str] = ()) -> TensorBatch:
    """Samples that were found usable, stacked.

    Args:
        may_lack: names of sensors that the samples may lack.

    Raises:
        ModelError: a sample is not what a model of these sensors takes, or samples differ in sensors.
    """
    for sample in samples:
        require_usable(sample, sensors, may_lack)
    batch = collate(samples)

    def shared(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    return TensorBatch(
        shared(batch.images),
        shared(batch.valid),
        shared(batch.day),
        torch.from_numpy(batch.first_day),
        shared(batch.absent),
        shared(batch.frames),
        torch.from_numpy(batch.label),
    )


def network_input(
    batch: TensorBatch, sensors: Sequence[SensorRecord], kind: SeriesKind
) -> dict[str, Tensor | Observed | None]:
    """What the network takes, by sensor: normalised series with what is known about them, or None for an absent one.

    Images are minus mean over standard deviation, per band. Interpolated series are the bare images (B, T, C, H, W), in
    which pixels that are not valid are 0, the mean; the others come with validity, days and absent bands.
    """
    result: dict[str, Tensor | Observed | None] = {}
    for sensor in sensors:
        name = sensor.sensor
        if name not in batch.images:
            result[name] = None
            continue
        image = batch.images[name]
        mean, std = (statistics_tensor(numbers).to(image.device) for numbers in (sensor.mean, sensor.std))
        normalised = (image - mean).div_(std)
        if kind == "interpolated":
            result[name] = normalised.masked_fill_(~batch.valid[name][:, :, None], 0)
        else:
            result[name] = Observed(
                image=normalised,
                valid=batch.valid[name],
                day=batch.day[name],
                first_day=batch.first_day,
                absent=batch.absent.get(name),
                frames=batch.frames.get(name),
            )
    return result


def left_out(sensors: Sequence[str], share: float, seed: int, step: int) -> str | None:
    """The sensor that a training step goes without; None in all but `share` of the steps.

    Which one follows from seed and step alone. It is never the first one, on whose pixels the target lies.
    """
    generator = np.random.default_rng([seed, 3, step])
    if len(sensors) < 2 or generator.random() >= share:
        return None
    return str(generator.choice(list(sensors[1:])))
