"""U-TAE, a U-Net with temporal attention (Garnot & Landrieu 2021, ICCV, arXiv:2107.07933).

Every frame goes through the same convolutional encoder. At its lowest resolution L-TAE (`agrifm.models.ltae`) attends
over the dates of each cell (section 3.1). Its attention, enlarged to each level of the encoder, averages that level
over time, one head per group of channels; the decoder is that of a U-Net.

In the published code padded dates count in a normalisation before the attention, so the length to which a batch is
padded changes the answer. Here normalisation, attention and averages use cells with a valid pixel only.

Shape letters: B samples, T frames, C channels, H W rows and columns, h w those of the lowest level, P cells, A heads.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import torch
from einops import rearrange
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.timeseries import Images
from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.stacked import StackedConfig, StackedSeries, chosen_preset, stack_sensors, stacked_shape
from agrifm.models.temporal_attention import LightweightAttention, day_sinusoids, normalise_groups
from agrifm.record import SensorRecord, SeriesKind

GROUPS = 4
"""Groups of channels that the encoder normalises."""


class UTAEConfig(StackedConfig):
    """Everything that decides the shape of a network; the defaults are those of the paper."""

    encoder: tuple[int, ...] = Field((64, 64, 64, 128), min_length=2)
    """Channels of the encoder's levels, full resolution first; each has half the resolution of the one before."""
    decoder: tuple[int, ...] = Field((32, 32, 64, 128), min_length=2)
    """Channels of the decoder's levels, in the same order; the last equals that of the encoder."""
    dim: int = Field(256, gt=0)
    """Channels that the heads share."""
    heads: int = Field(16, gt=0)
    """Heads of the attention; they divide `dim` and every width of the encoder."""
    key: int = Field(4, gt=0)
    """Channels of keys and queries."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Of the attention's result; the attention itself has 0.1."""
    public_behaviour: bool = False
    """Whether padded frames count in the attention's normalisation, as in the published code; for comparisons only."""

    @model_validator(mode="after")
    def _widths_fit(self) -> Self:
        if len(self.encoder) != len(self.decoder) or self.encoder[-1] != self.decoder[-1]:
            raise ValueError("`encoder` and `decoder` must have equally many levels and the same last width")
        if any(width % self.heads for width in (self.dim, *self.encoder)):
            raise ValueError("`heads` must divide `dim` and every width of `encoder`")
        return self

    @property
    def cell(self) -> int:
        """Pixels along one cell of the lowest level."""
        return 1 << (len(self.encoder) - 1)


class UTAE(nn.Module):
    """Encoder of frames, attention over time, decoder."""

    def __init__(self, config: UTAEConfig) -> None:
        super().__init__()
        self.config = config
        channels, encoder, decoder = sum(config.channels.values()), config.encoder, config.decoder
        self.first = _Convolutions((channels, encoder[0], encoder[0]), "group")
        self.down = nn.ModuleList(_Down(*widths) for widths in pairwise(encoder))
        self.temporal = _CellAttention(config)
        levels = range(len(decoder) - 1, 0, -1)
        self.up = nn.ModuleList(_Up(decoder[level], decoder[level - 1], encoder[level - 1]) for level in levels)
        self.last = _Convolutions((decoder[0], decoder[0], config.classes), "batch")

    def forward(self, images: Images) -> Tensor:
        """Return logits (B, classes, H, W) on the first sensor's pixels."""
        return self.logits_and_attention(images)[0]

    def logits_and_attention(self, images: Images) -> tuple[Tensor, Tensor]:
        """Return logits (B, classes, H, W) and the attention of each cell (B, A, T, h, w)."""
        series = stack_sensors(images, self.config.channels, self.config.season_days)
        H, W = series.image.shape[-2:]
        single = (H, W) == (1, 1)
        if not single:
            # two cells at least, so that reflected edges exist
            series = series.padded(self.config.cell, least=2 * self.config.cell)
        if self.config.public_behaviour:
            series = series.whole_frames()
        levels = self._levels(series)
        x, attention = self.temporal(levels[-1], *series.cells(1 if single else self.config.cell))
        for up, level in zip(self.up, reversed(levels[:-1]), strict=True):
            x = up(x, _average(level, attention))
        return self.last(x)[..., :H, :W], attention

    def _levels(self, series: StackedSeries) -> list[Tensor]:
        """Feature maps of every level, (B, T, C, H, W), full resolution first; 0 in frames without a valid pixel."""
        B = series.image.shape[0]
        levels = [self.first(rearrange(series.image, "b t c h w -> (b t) c h w"))]
        for down in self.down:
            levels.append(down(levels[-1]))
        observed = series.valid.flatten(2).any(dim=2)[:, :, None, None, None]
        frames = [rearrange(level, "(b t) c h w -> b t c h w", b=B) for level in levels]
        return [level * observed.to(level.dtype) for level in frames]


class _CellAttention(nn.Module):
    """L-TAE on the cells of the lowest level: one map instead of one per frame, and the attention."""

    def __init__(self, config: UTAEConfig) -> None:
        super().__init__()
        channels, dim, heads = config.encoder[-1], config.dim, config.heads
        self.heads, self.public = heads, config.public_behaviour
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.widen = nn.Linear(channels, dim)
        self.attention = LightweightAttention(dim, heads, config.key)
        self.dense = nn.Sequential(
            nn.Linear(dim, channels), nn.BatchNorm1d(channels), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.normalise = nn.GroupNorm(heads, channels)

    def forward(self, x_BTChw: Tensor, valid_BThw: Tensor, day_BThw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map (B, C, h, w) and the attention (B, A, T, h, w)."""
        B, _, _, h, w = x_BTChw.shape
        x_PTC = rearrange(x_BTChw, "b t c h w -> (b h w) t c")
        valid, day = (rearrange(part, "b t h w -> (b h w) t") for part in (valid_BThw, day_BThw))
        counted = torch.ones_like(valid) if self.public else valid
        x_PTC = self.widen(normalise_groups(x_PTC, counted, self.heads) * self.scale + self.shift)
        x_PTC = x_PTC + day_sinusoids(day, x_PTC.shape[-1], self.heads).to(x_PTC.dtype)
        pooled, weights = self.attention(x_PTC, valid)
        cells = self.normalise(self.dense(pooled))
        attention = rearrange(weights, "(b h w) a t -> b a t h w", b=B, h=h, w=w)
        return rearrange(cells, "(b h w) c -> b c h w", b=B, h=h, w=w), attention


def _average(level_BTCHW: Tensor, attention_BAThw: Tensor) -> Tensor:
    """The level's average over time (B, C, H, W), each group of channels by the enlarged attention of its head."""
    heads, T = attention_BAThw.shape[1:3]
    size = level_BTCHW.shape[-2:]
    maps = rearrange(attention_BAThw, "b a t h w -> (b a) t h w")
    enlarged = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    enlarged = rearrange(enlarged, "(b a) t h w -> b a t h w", a=heads)
    groups = rearrange(level_BTCHW, "b t (a d) h w -> b t a d h w", a=heads)
    # frame by frame: the product of all would be another copy of the level
    total = sum(enlarged[:, :, frame, None] * groups[:, frame] for frame in range(T))
    assert isinstance(total, Tensor)
    return rearrange(total, "b a d h w -> b (a d) h w")


def _normalise(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(GROUPS, channels)


class _ReflectingConv2d(nn.Conv2d):
    """A convolution that reflects its input at the edges; one pixel counts as an even field, at every level."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__(before, after, kernel, stride, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H / stride, W / stride), or (B, C, 1, 1) of one pixel."""
        if x.shape[-2:] == (1, 1):
            return functional.conv2d(x, self.weight.sum(dim=(2, 3), keepdim=True), self.bias)
        return super().forward(x)


class _Convolutions(nn.Sequential):
    """3 x 3 convolutions, each normalised and rectified, also the last."""

    def __init__(self, widths: Sequence[int], normalisation: str) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [_ReflectingConv2d(before, after, 3, 1), _normalise(normalisation, after), nn.ReLU()]
        super().__init__(*layers)


class _Down(nn.Module):
    """Half the resolution by a convolution with stride, then two convolutions, the second as a residual."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(_ReflectingConv2d(before, before, 4, 2), _normalise("group", before), nn.ReLU())
        self.convolution = _Convolutions((before, after), "group")
        self.residual = _Convolutions((after, after), "group")

    def forward(self, x: Tensor) -> Tensor:
        """Return (B T, after, H / 2, W / 2)."""
        x = self.convolution(self.reduce(x))
        result: Tensor = x + self.residual(x)
        return result


class _Up(nn.Module):
    """Twice the resolution by a transposed convolution, joined with the encoder's map, then as in `_Down`."""

    def __init__(self, before: int, after: int, skip: int) -> None:
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(skip, skip, 1), nn.BatchNorm2d(skip), nn.ReLU())
        self.enlarge = nn.Sequential(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()
        )
        self.convolution = _Convolutions((after + skip, after), "batch")
        self.residual = _Convolutions((after, after), "batch")

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return (B, after, 2 H, 2 W), or the size of `skip` where that is one pixel."""
        H, W = skip.shape[-2:]
        x = self.convolution(torch.cat([self.enlarge(x)[..., :H, :W], self.skip(skip)], dim=1))
        result: Tensor = x + self.residual(x)
        return result


PRESETS: dict[str, dict[str, Any]] = {
    "base": {},  # as published
    "small": {"encoder": (32, 32, 64), "decoder": (32, 32, 64), "dim": 128, "heads": 8},
    "tiny": {"encoder": (16, 16, 32), "decoder": (16, 16, 32), "dim": 64, "heads": 4},
}


def utae_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> UTAEConfig:
    """Return the configuration of a network of a usual size: `base` (as published), `small` or `tiny`.

    Raises:
        ModelError: the preset is unknown, or the series cannot be stacked.
    """
    shape = stacked_shape("U-TAE", sensors, classes, frames, series, season_days)
    return UTAEConfig(**shape, **chosen_preset("U-TAE", PRESETS, name))


def utae_activations(config: UTAEConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    samples, frames, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    # per pixel and frame: the levels of the encoder, each a quarter of the one before
    kept = sum(width_of_level / 4**level for level, width_of_level in enumerate(config.encoder))
    images = IMAGE_COPIES * sum(config.channels.values())
    per_frame = images + (13 * kept if training else 3 * config.encoder[0] + kept)
    decoder = (12 if training else 4) * (config.decoder[0] + config.encoder[0])
    return float(samples * height * width * (frames * per_frame + decoder))
