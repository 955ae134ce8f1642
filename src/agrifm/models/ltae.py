"""L-TAE, the lightweight temporal attention encoder (Garnot & Landrieu 2020, AALTD, arXiv:2007.00586), on pixels.

Every pixel is classified by itself. Its channels are widened and divided into groups, one per head. Each head has one
learned query, attends over the observations (section 3) and averages its group of channels. Dates enter as
sinusoids of the day with the period 2 pi to 2 pi 1000 days, repeated for each head.

The published code knows neither padding nor gaps, and the scale and shift of its second normalisation belong to the
number of steps. Here both that normalisation and the attention use valid observations only, so a gap or a padded frame
does not change the answer; without a scale per step, series may have any length.

Shape letters: B samples, P pixels, T frames, C channels, A heads, K key channels, H W rows and columns.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

from agrifm.models.agrifm.timeseries import Images
from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.stacked import StackedConfig, chosen_preset, pixels_of, stack_sensors, stacked_shape
from agrifm.models.temporal_attention import LightweightAttention, day_sinusoids, normalise_groups
from agrifm.record import SensorRecord, SeriesKind


class LTAEConfig(StackedConfig):
    """Everything that decides the shape of a network; the defaults are those of the paper."""

    dim: int = Field(256, gt=0)
    """Channels that the heads share."""
    heads: int = Field(16, gt=0)
    """Heads, each with its own channels."""
    key: int = Field(8, gt=0)
    """Channels of keys and queries."""
    embedding: int = Field(128, gt=0)
    """Width of the embedding of a series."""
    decoder: tuple[int, ...] = (64, 32)
    """Widths of the layers between embedding and scores."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Of the embedding; attention has 0.1."""
    scale_per_step: bool = True
    """Whether the second normalisation has a scale and shift for each step, as published, or for each channel only."""
    public_behaviour: bool = False
    """Whether gaps and padding count as observations of the mean, as in the published code; for comparisons only."""


class TemporalEncoder(nn.Module):
    """L-TAE: from series (P, T, C) to embeddings.

    Args:
        channels: of the series.
        steps: of every series, each with a scale and shift in the second normalisation; None = any number.
    """

    def __init__(
        self, channels: int, dim: int, heads: int, key: int, embedding: int, dropout: float, steps: int | None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.normalise = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, dim)
        self.scale = nn.Parameter(torch.ones(steps or 1, dim))
        self.shift = nn.Parameter(torch.zeros(steps or 1, dim))
        self.attention = LightweightAttention(dim, heads, key)
        self.dense = nn.Sequential(nn.Linear(dim, embedding), nn.BatchNorm1d(embedding), nn.ReLU(), nn.Dropout(dropout))
        self.normalise_embedding = nn.LayerNorm(embedding)

    def forward(self, x_PTC: Tensor, valid_PT: Tensor, day_PT: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings (P, C) and attention (P, A, T)."""
        x = normalise_groups(self.widen(self.normalise(x_PTC)), valid_PT, groups=1) * self.scale + self.shift
        x = x + day_sinusoids(day_PT, x.shape[-1], self.heads).to(x.dtype)
        pooled, weights = self.attention(x, valid_PT)
        return self.normalise_embedding(self.dense(pooled)), weights


class LTAE(nn.Module):
    """L-TAE and a classifier of the embedding, on each pixel."""

    def __init__(self, config: LTAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = TemporalEncoder(
            sum(config.channels.values()),
            config.dim,
            config.heads,
            config.key,
            config.embedding,
            config.dropout,
            config.frames if config.scale_per_step else None,
        )
        widths = (config.embedding, *config.decoder)
        layers = [_layer(before, after) for before, after in pairwise(widths)]
        self.decoder = nn.Sequential(*layers, nn.Linear(widths[-1], config.classes))

    def forward(self, images: Images) -> Tensor:
        """Return logits (B, classes, H, W) on the first sensor's pixels."""
        series = stack_sensors(images, self.config.channels, self.config.season_days)
        B, T, _, H, W = series.image.shape
        assert self.config.frames == T or not self.config.scale_per_step, "every series has the steps of the config"
        valid, day = (rearrange(part, "b t h w -> (b h w) t") for part in (series.valid, series.day))
        if self.config.public_behaviour:
            valid = torch.ones_like(valid)
        embedding, _ = self.encoder(pixels_of(series.image), valid, day)
        logits: Tensor = rearrange(self.decoder(embedding), "(b h w) k -> b k h w", b=B, h=H, w=W)
        return logits


def _layer(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU())


PRESETS: dict[str, dict[str, Any]] = {
    "base": {},  # as published
    "small": {"dim": 128, "heads": 8, "embedding": 64, "decoder": (32,)},
    "tiny": {"dim": 64, "heads": 4, "embedding": 32, "decoder": ()},
}


def ltae_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> LTAEConfig:
    """Return the configuration of a network of a usual size: `base` (as published), `small` or `tiny`.

    Observed series have any number of frames, so their network has no scale per step.

    Raises:
        ModelError: the preset is unknown, or the series cannot be stacked.
    """
    shape = stacked_shape("L-TAE", sensors, classes, frames, series, season_days)
    return LTAEConfig(**shape, scale_per_step=series != "observed", **chosen_preset("L-TAE", PRESETS, name))


def ltae_activations(config: LTAEConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    samples, frames, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    images = IMAGE_COPIES * frames * sum(config.channels.values())
    layers = (10 if training else 4) * frames * config.dim
    return float(samples * height * width * (images + layers))
