"""Integrated gradients of a network: how much each band and period moves it from the mean series to what was seen.

Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep networks", ICML, equation 3, with the middles of the
steps in place of their ends, which is nearer to the integral of equation 1. The function is the logarithm of the
true class's probability, before calibration. Attributions sum to its difference between the series and the baseline
(their proposition 1, completeness), up to the error of the steps; `Attribution.gap` states it.

Shape letters: B samples, T frames, C bands, H W rows and columns, U units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

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
    apart = len(units) > 1 and keeps_pixels_apart(classifier, batch, start)
    for step in range(steps):
        share = (step + 0.5) / steps
        images = {name: (start[name] + share * way[name]).requires_grad_() for name in names}
        values = _log_probabilities(classifier, replace(batch, images=images), unit, label, units)
        if apart:  # each input pixel matters to its unit only, so that one gradient has those of all units
            parts = _parts(torch.stack(values).sum(), images, way, last=True)
            for number, name in product(range(len(units)), parts):
                inside = (unit == units[number])[:, None, None]
                sums[number][name] += _summed(parts[name] * inside) / steps
            continue
        for number, value in enumerate(values):
            parts = _parts(value, images, way, last=number == len(values) - 1)
            for name, part in parts.items():
                sums[number][name] += _summed(part) / steps
    with torch.no_grad():
        ends = [
            _log_probabilities(classifier, replace(batch, images=dict(images)), unit, label, units)
            for images in (batch.images, start)
        ]
    seen, before = ([float(value) for value in values] for values in ends)
    return [Attribution(*content) for content in zip(sums, seen, before, strict=True)]


def keeps_pixels_apart(classifier: nn.Module, batch: TensorBatch, other: Mapping[str, Tensor]) -> bool:
    """Return whether no pixel's answer depends on its neighbours, and all sensors have pixels of one size.

    It is tried out: every second pixel, by chance, is replaced by that of `other`, and the answers of the rest must
    stay as they are.
    """
    sizes = {image.shape[3:] for image in batch.images.values()}
    if len(sizes) > 1:
        return False
    generator = torch.Generator().manual_seed(0)
    changed = (torch.rand(next(iter(sizes)), generator=generator) < 0.5).to(batch.first_day.device)
    images = {name: torch.where(changed, other[name], image) for name, image in batch.images.items()}
    with torch.no_grad():
        before, after = classifier(batch), classifier(replace(batch, images=images))
    return torch.equal(before[..., ~changed], after[..., ~changed])


def _parts(value: Tensor, images: Mapping[str, Tensor], way: Mapping[str, Tensor], last: bool) -> dict[str, Tensor]:
    """Gradients times the way from the baseline, (B, T, C, H, W) by sensor; none where the value does not depend on it.

    Args:
        last: whether no further gradient of the same pass is wanted.
    """
    found = torch.autograd.grad(value, list(images.values()), retain_graph=not last, allow_unused=True)
    return {name: gradient * way[name] for name, gradient in zip(images, found, strict=True) if gradient is not None}


def _summed(part: Tensor) -> NDArray[np.float64]:
    """Sums over pixels, (B, T, C)."""
    summed: NDArray[np.float64] = part.double().sum(dim=(3, 4)).cpu().numpy()
    return summed


def _log_probabilities(
    classifier: nn.Module, batch: TensorBatch, unit: Tensor, label: Tensor, units: Sequence[int]
) -> list[Tensor]:
    """The summed log probability of the true class of each unit's pixels."""
    logs = torch.log_softmax(classifier(batch).float(), dim=1)
    known = torch.where(label < logs.shape[1], label, torch.zeros_like(label))
    of_true = logs.gather(1, known[:, None])[:, 0]
    return [of_true[unit == number].sum() for number in units]
