"""A batch of samples as tensors: what every network is given, before normalisation.

Shape letters: B samples, T frames, C bands, H W rows and columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorBatch:
    """A batch as tensors; the dictionaries are by sensor, and an absent sensor has no entry."""

    images: dict[str, Tensor]
    """(B, T, C, H, W), in the quantity's unit."""
    valid: dict[str, Tensor]
    """(B, T, H, W) bool."""
    day: dict[str, Tensor]
    """(B, T), or (B, T, H, W) where pixels have different days: days since the season's first day."""
    first_day: Tensor
    """(B,), day of the year of the season's first day, 1..366."""
    absent: dict[str, Tensor]
    """(B, C) bool, bands that a sample lacks; no entry if no sample lacks any."""
    frames: dict[str, Tensor]
    """(B,), frames of each sample; the rest of T pads the batch."""
    label: Tensor
    """(B, H, W), class numbers; empty where a batch is only predicted."""
    weight: Tensor | None = None
    """(B,), how much each sample counts in the loss, at least 0; None = all alike."""
    place: Tensor | None = None
    """(B, 2), latitude and longitude, degrees, NaN where they are unknown; None = all are."""
    targets: dict[str, Tensor] = field(default_factory=dict)
    """(B, ...) each, what else the samples have to learn from, by its name."""

    def to(self, device: torch.device) -> "TensorBatch":
        """Return the batch on a device."""

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
            None if self.weight is None else self.weight.to(device),
            None if self.place is None else self.place.to(device),
            moved(self.targets),
        )

    def without(self, sensor: str) -> "TensorBatch":
        """Return the batch as if that sensor were absent."""
        return replace(self, images={name: image for name, image in self.images.items() if name != sensor})
