"""A network with its normalisation: from a batch in the units of the products to class logits.

Training, prediction and the exported graph all call this module, so they normalise alike.

Shape letters: B samples, T frames, C bands, K numbers of a vector, H W rows and columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agrifm.models.agrifm.network import AgriFM
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.batch import TensorBatch
from agrifm.record import SensorRecord, SeriesKind


class Classifier(nn.Module):
    """A network of any family with the statistics of its record.

    The network receives, by sensor, a normalised series or None. Interpolated series are plain images
    (B, T, C, H, W), in which invalid pixels are 0, the mean. Composites and observed series are `ObservedSeries`, with
    validity, days and absent bands. It returns logits (B, classes, H, W).

    Mean and standard deviation are buffers that are not saved: they belong to the record, and the names in a file of
    weights are those of the network alone.
    """

    def __init__(self, network: nn.Module, sensors: Sequence[SensorRecord], series: SeriesKind) -> None:
        super().__init__()
        self.network, self.series = network, series
        self.sensors = tuple(sensor.sensor for sensor in sensors)
        for sensor in sensors:
            # (C, 1, 1) broadcasts over (B, T, C, H, W)
            for name, numbers in (("mean", sensor.mean), ("std", sensor.std)):
                column = torch.tensor(numbers, dtype=torch.float32)[:, None, None]
                self.register_buffer(f"{name}_{sensor.sensor}", column, persistent=False)

    def forward(self, batch: TensorBatch) -> Tensor:
        """Return logits (B, classes, H, W)."""
        logits: Tensor = self.network(self.network_input(batch))
        return logits

    def vectors(self, batch: TensorBatch) -> Tensor:
        """Return what the last layer of an AgriFM network reads, (B, K, H, W)."""
        assert isinstance(self.network, AgriFM), "`require_vectors` refuses other networks"
        return self.network.features(self.network_input(batch))

    def network_input(self, batch: TensorBatch) -> dict[str, Tensor | ObservedSeries | None]:
        """Normalise a batch: for each sensor what the network receives, None where it is absent."""
        return {name: self._series(batch, name) if name in batch.images else None for name in self.sensors}

    def _series(self, batch: TensorBatch, name: str) -> Tensor | ObservedSeries:
        mean, std = self.get_buffer(f"mean_{name}"), self.get_buffer(f"std_{name}")
        normalised = (batch.images[name] - mean).div_(std)  # in place: images are the largest tensors of a batch
        if self.series == "interpolated":
            return normalised.masked_fill_(~batch.valid[name][:, :, None], 0)
        return ObservedSeries(
            image=normalised,
            valid=batch.valid[name],
            day=batch.day[name],
            first_day=batch.first_day,
            absent=batch.absent.get(name),
            frames=batch.frames.get(name),
            place=batch.place,
        )
