"""Random changes of a training batch that leave its classes as they are: gaps, shifted and stretched seasons, light.

Dates move for all sensors of a sample alike. Only series with dates (composites and observed series) know them; an
interpolated series is its own clock, so shifts and stretches do nothing to it. The random numbers are those of PyTorch,
which the training loop seeds in every step.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from agrifm.models.batch import TensorBatch
from agrifm.recipe import Augmentation


def augment(batch: TensorBatch, how: Augmentation, season_days: int) -> TensorBatch:
    """Return a changed batch; the tensors of the original are not changed.

    Args:
        season_days: length of the season; the days of a batch count from its first day.
    """
    if how.shift or how.stretch:
        batch = replace(batch, day=_moved(batch, how, season_days))
    if how.cut:
        batch = _cut(batch, how.cut, how.cut_from, season_days)
    if how.hidden:
        batch = hide_frames(batch, how.hidden)
    if how.bands:
        batch = replace(batch, absent=_without_bands(batch, how.bands))
    if how.light:
        batch = replace(batch, images=_in_other_light(batch, how.light))
    return batch


def hide_frames(batch: TensorBatch, most: float) -> TensorBatch:
    """Return the batch with random frames of each sensor and sample not valid.

    Args:
        most: greatest share of hidden frames, 0..1; each sample draws its share between 0 and this.
    """
    valid = {}
    for name, known in batch.valid.items():
        samples, frames = known.shape[:2]
        draws = torch.rand(samples, frames + 1, device=known.device)
        seen = draws[:, 1:] >= most * draws[:, :1]
        valid[name] = known & seen[:, :, None, None]
    return replace(batch, valid=valid)


def _moved(batch: TensorBatch, how: Augmentation, season_days: int) -> dict[str, Tensor]:
    """The days (B, T) or (B, T, H, W) of each sensor after a shift and a stretch of each sample."""
    device = batch.first_day.device
    shift, stretch = (torch.rand(2, len(batch.first_day), device=device) * 2 - 1) * torch.tensor(
        [[how.shift], [how.stretch]], device=device
    )
    moved = {}
    for name, day in batch.day.items():
        ones = (1,) * (day.ndim - 1)
        wave = torch.sin(math.pi * day.clamp(0, season_days) / season_days)
        moved[name] = day + shift.reshape(-1, *ones) + stretch.reshape(-1, *ones) * wave
    return moved


def _cut(batch: TensorBatch, share: float, first: float, season_days: int) -> TensorBatch:
    """The batch with some samples not seen after a day; a sample of which nothing would be left stays whole.

    Args:
        first: share of the season after which that day is drawn.
    """
    device = batch.first_day.device
    draws = torch.rand(2, len(batch.first_day), device=device)
    last = torch.where(draws[0] < share, season_days * (first + (1 - first) * draws[1]), math.inf)
    valid = {}
    for name, known in batch.valid.items():
        day = batch.day[name]
        seen = day <= last.reshape(-1, *(1,) * (day.ndim - 1))
        valid[name] = known & (seen if seen.ndim == known.ndim else seen[:, :, None, None])
    left = torch.stack([known.flatten(1).any(dim=1) for known in valid.values()]).any(dim=0)
    return replace(
        batch,
        valid={name: torch.where(left[:, None, None, None], known, batch.valid[name]) for name, known in valid.items()},
    )


def _without_bands(batch: TensorBatch, share: float) -> dict[str, Tensor]:
    """The absent bands (B, C) of each sensor, random ones added to those that a sample lacks."""
    absent = {}
    for name, image in batch.images.items():
        samples, _, bands = image.shape[:3]
        lacking = batch.absent.get(name, torch.zeros(samples, bands, dtype=torch.bool, device=image.device))
        draws = torch.rand(samples, bands, device=image.device).masked_fill(lacking, 0)
        dropped = (draws < share) & (draws < draws.amax(dim=1, keepdim=True))  # the largest draw stays
        absent[name] = lacking | dropped
    return absent


def _in_other_light(batch: TensorBatch, deviation: float) -> dict[str, Tensor]:
    factor = 1 + deviation * torch.randn(len(batch.first_day), device=batch.first_day.device)
    return {name: image * factor[:, None, None, None, None] for name, image in batch.images.items()}
