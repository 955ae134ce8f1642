"""Samples become a batch of tensors, once they are known to fit the model."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agrifm.models.batch import TensorBatch
from agrifm.record import SensorRecord
from agrifm.samples.sample import Sample, collate
from agrifm.samples.validate import require_usable


def tensor_batch(
    samples: Sequence[Sample], sensors: Sequence[SensorRecord], may_lack: Collection[str] = ()
) -> TensorBatch:
    """Check samples and stack them.

    Args:
        sensors: of the model's record.
        may_lack: names of sensors that the samples may lack.

    Raises:
        ModelError: a sample does not fit a model of these sensors, or samples differ in sensors.
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
        torch.from_numpy(batch.weight) if (batch.weight != 1).any() else None,
        torch.from_numpy(batch.place) if np.isfinite(batch.place).any() else None,
        shared(batch.targets),
    )
