"""Attention over time with one learned query per head, the core of L-TAE and U-TAE (Garnot & Landrieu 2020, 2021).

Shape letters: P pixels or cells, T frames, C channels, A heads, K key channels, G groups, D channels of each.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn

LONGEST_PERIOD = 1000
"""Ratio of the longest to the shortest period of the sinusoids of a day."""


def day_sinusoids(day: Tensor, dim: int, heads: int) -> Tensor:
    """Return sinusoids of days (..., dim): those of `dim / heads` channels (Vaswani et al. 2017), repeated per head.

    Args:
        day: (...), days since a fixed date.
    """
    channel = torch.arange(dim // heads, device=day.device)
    period = LONGEST_PERIOD ** (2 * (channel // 2).float() / (dim // heads))
    angle = day.float()[..., None] / period
    sinusoids = torch.where(channel % 2 == 0, angle.sin(), angle.cos())
    return torch.cat([sinusoids] * heads, dim=-1)


def normalise_groups(x_PTC: Tensor, valid_PT: Tensor, groups: int) -> Tensor:
    """Normalise groups of channels by mean and variance over their channels and valid frames; without scale and shift.

    It equals group normalisation (Wu & He 2018) over (C, T) of a series without its invalid frames.
    """
    # sums of many squares need float32 in any precision
    x_PTGD = rearrange(x_PTC.float(), "p t (g d) -> p t g d", g=groups)
    usable = valid_PT.to(x_PTGD.dtype)[:, :, None, None]
    count = (usable.sum(dim=1, keepdim=True) * x_PTGD.shape[3]).clamp(min=1)
    mean = (x_PTGD * usable).sum(dim=(1, 3), keepdim=True) / count
    deviation = x_PTGD - mean
    variance = (deviation.square() * usable).sum(dim=(1, 3), keepdim=True) / count
    return rearrange(deviation / (variance + 1e-5).sqrt(), "p t g d -> p t (g d)")


class LightweightAttention(nn.Module):
    """Attention over time with one learned query per head, each head on its own channels."""

    def __init__(self, dim: int, heads: int, key: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(heads, key))
        self.key = nn.Linear(dim, heads * key)
        self.dropout = nn.Dropout(dropout)
        # as published, also for the keys
        nn.init.normal_(self.query, std=math.sqrt(2 / key))
        nn.init.normal_(self.key.weight, std=math.sqrt(2 / key))

    def forward(self, x_PTC: Tensor, valid_PT: Tensor) -> tuple[Tensor, Tensor]:
        """Return the averages of each series (P, C), and the weights (P, A, T), which are 0 at invalid frames."""
        heads, key = self.query.shape
        keys_PTAK = rearrange(self.key(x_PTC), "p t (a k) -> p t a k", a=heads)
        scores_PAT = rearrange((keys_PTAK * self.query).sum(dim=-1), "p t a -> p a t") / math.sqrt(key)
        usable = valid_PT[:, None]
        weights = scores_PAT.masked_fill(~usable, torch.finfo(scores_PAT.dtype).min).softmax(dim=-1)
        # a series without any valid frame has weights of 0, whatever its length
        weights = self.dropout(weights * usable.to(weights.dtype))
        values_PATD = rearrange(x_PTC, "p t (a d) -> p a t d", a=heads)
        pooled = weights[:, :, None].to(values_PATD.dtype) @ values_PATD
        return rearrange(pooled, "p a 1 d -> p (a d)"), weights
