"""Integrated gradients of a network: how much each band and period moves it from the mean series to what was seen.

Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep networks", ICML, equation 3, with the middles of the
steps in place of their ends, which is nearer to the integral of equation 1. The function is the logarithm of the
true class's probability, before calibration. Attributions sum to its difference between the series and the baseline
(their proposition 1, completeness), up to the error of the steps; `Attribution.gap` states it.

Shape letters: B samples, T frames, C bands, H W rows and columns, U units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agrifm.models.batch import TensorBatch

STEPS = 24
"""Points of the path at which gradients are taken."""


@dataclass(frozen=True)
class Attribution:
    """Of one unit, summed over its pixels."""

    by_sensor: dict[str, NDArray[np.float64]]
    """(B, T, C), nats."""
    seen: float
    """The function of the series."""
    baseline: float
    """The function of the baseline."""

    @property
    def gap(self) -> float:
        """By how much the attributions do not add up to the difference of the function, nats."""
        return float(sum(part.sum() for part in self.by_sensor.values())) - (self.seen - self.baseline)


def integrated_gradients(
    classifier: nn.Module,
    batch: TensorBatch,
    baseline: Mapping[str, Tensor],
    unit: Tensor,
    label: Tensor,
    units: Sequence[int],
    steps: int = STEPS,
) -> list[Attribution]:
    """Return what each unit's summed log probability of the true class owes to each frame and band.

    Args:
        classifier: returns logits (B, classes, H, W) of a batch.
        baseline: by sensor (B, T, C, H, W), in the unit of the batch's images.
        unit: (B, H, W), the unit of each pixel; pixels of other units are not explained.
        label: (B, H, W) int64, the true class of the pixels of units.
        units: those that are wanted.
        steps: number of gradients; the error falls with its square.
    """
    names = list(batch.images)
    start = {name: baseline[name] for name in names}
    way = {name: batch.images[name] - start[name] for name in names}
    sums = [{name: np.zeros(way[name].shape[:3]) for name in names} for _ in units]
    for step in range(steps):
        share = (step + 0.5) / steps
        images = {name: (start[name] + share * way[name]).requires_grad_() for name in names}
        values = _log_probabilities(classifier, replace(batch, images=images), unit, label, units)
        for number, value in enumerate(values):
            last = number == len(values) - 1
            found = torch.autograd.grad(value, list(images.values()), retain_graph=not last, allow_unused=True)
            for name, gradient in zip(names, found, strict=True):
                if gradient is not None:
                    part = (gradient * way[name]).double().sum(dim=(3, 4)) / steps
                    sums[number][name] += part.cpu().numpy()
    with torch.no_grad():
        ends = [
            _log_probabilities(classifier, replace(batch, images=dict(images)), unit, label, units)
            for images in (batch.images, start)
        ]
    seen, before = ([float(value) for value in values] for values in ends)
    return [Attribution(*content) for content in zip(sums, seen, before, strict=True)]


def _log_probabilities(
    classifier: nn.Module, batch: TensorBatch, unit: Tensor, label: Tensor, units: Sequence[int]
) -> list[Tensor]:
    """The summed log probability of the true class of each unit's pixels."""
    logs = torch.log_softmax(classifier(batch).float(), dim=1)
    known = torch.where(label < logs.shape[1], label, torch.zeros_like(label))
    of_true = logs.gather(1, known[:, None])[:, 0]
    return [of_true[unit == number].sum() for number in units]
