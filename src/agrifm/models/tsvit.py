"""TSViT, a temporo-spatial vision transformer (Tarasiou, Chavez & Zafeiriou 2023, CVPR, arXiv:2301.04944).

Patches of 2 x 2 pixels are tokens. A first transformer attends over the dates of each patch, with one token per class
in front; a second one attends over the patches of a tile, for each class by itself (section 3). The position of a token
in time is a learned vector of its day. Windows are divided into tiles of 24 x 24 pixels, the size of the paper.

The published code has four traps. Padded dates are attended to; the day goes through a division and comes out one day
early for 18 of 366 days; a series of more than a year is sorted by day of the year; and the four scores of a patch go
to four pixels of one row instead of 2 x 2. Here tokens without a valid pixel are not attended to, the position is the
whole number of days since the season's first day, and scores go to the pixels of their patch.

Shape letters: B samples, T frames, C channels, H W rows and columns, K classes, P patches, D width, N tokens, A heads.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from einops import rearrange, repeat
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.timeseries import Images
from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.stacked import StackedConfig, StackedSeries, chosen_preset, stack_sensors, stacked_shape
from agrifm.record import SensorRecord, SeriesKind

DAYS = 366
"""Positions in time."""
PUBLIC_YEAR = 365.0001
"""By which the published code divides and multiplies the day of the year, in float32."""


class TSViTConfig(StackedConfig):
    """Everything that decides the shape of a network; the defaults are those of the paper."""

    tile: int = Field(24, gt=0)
    """Pixels along one side of the squares within which the second transformer attends."""
    patch: int = Field(2, gt=0)
    """Pixels along one side of a token."""
    dim: int = Field(128, gt=0)
    """Width of tokens."""
    heads: int = Field(4, gt=0)
    """Heads of every attention."""
    head: int = Field(32, gt=0)
    """Channels of a head."""
    depths: tuple[int, int] = (4, 4)
    """Layers of the transformer in time and of that in space."""
    ratio: int = Field(4, gt=0)
    """Width of the perceptrons by width of the tokens."""
    public_behaviour: bool = False
    """Whether padded dates are attended to, days go through the published division, and scores go along rows; the
    days of the series must then be days of the year, counted from a season that begins on 1 January."""

    @model_validator(mode="after")
    def _patches_fill_a_tile(self) -> Self:
        if self.tile % self.patch:
            raise ValueError("`patch` must divide `tile`")
        return self


class TSViT(nn.Module):
    """Attention over time, attention over space, a linear classifier of each class token."""

    def __init__(self, config: TSViTConfig) -> None:
        super().__init__()
        self.config = config
        dim, side = config.dim, config.tile // config.patch
        positions = max(DAYS, config.season_days)
        self.embed = nn.Linear(sum(config.channels.values()) * config.patch**2, dim)
        self.day = nn.Linear(positions, dim)
        self.class_tokens = nn.Parameter(torch.randn(config.classes, dim))
        self.place = nn.Parameter(torch.randn(side, side, dim))
        self.in_time = _Transformer(config, config.depths[0])
        self.in_space = _Transformer(config, config.depths[1])
        self.classify = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, config.patch**2))

    def forward(self, images: Images) -> Tensor:
        """Return logits (B, classes, H, W) on the first sensor's pixels."""
        series = stack_sensors(images, self.config.channels, self.config.season_days)
        B, _, _, H, W = series.image.shape
        # a window that is smaller than a tile is one tile of its size
        small = max(H, W) <= self.config.tile
        series = series.padded(self.config.patch if small else self.config.tile)
        tile = series.image.shape[-2:] if small else (self.config.tile, self.config.tile)
        rows, columns = series.image.shape[-2] // tile[0], series.image.shape[-1] // tile[1]
        tiles = StackedSeries(
            rearrange(series.image, "b t c (i h) (j w) -> (b i j) t c h w", i=rows, j=columns),
            rearrange(series.valid, "b t (i h) (j w) -> (b i j) t h w", i=rows, j=columns),
            rearrange(series.day, "b t (i h) (j w) -> (b i j) t h w", i=rows, j=columns),
        )
        logits = self._tile_logits(tiles)
        joined: Tensor = rearrange(logits, "(b i j) k h w -> b k (i h) (j w)", b=B, i=rows, j=columns)
        return joined[..., :H, :W]

    def _tile_logits(self, tiles: StackedSeries) -> Tensor:
        """Logits (B, K, H, W) of tiles."""
        B, _, _, H, W = tiles.image.shape
        p, K, D = self.config.patch, self.config.classes, self.config.dim
        h, w = H // p, W // p
        tokens_PTC = rearrange(tiles.image, "b t c (h p) (w q) -> (b h w) t (p q c)", p=p, q=p)
        valid, day = (rearrange(part, "b t h w -> (b h w) t") for part in self._cells(tiles))
        tokens_PTD = self.embed(tokens_PTC) + self._day_position(day)
        # not `len`, which the exporter would make a constant
        classes_PKD = self.class_tokens.to(tokens_PTD).expand(tokens_PTD.shape[0], K, D)
        tokens_PND = torch.cat([classes_PKD, tokens_PTD], dim=1)
        # class tokens always count
        attended = functional.pad(valid, (K, 0), value=True)[:, None, None]
        classes_PKD = self.in_time(tokens_PND, attended)[:, :K]
        x_BND = rearrange(classes_PKD, "(b h w) k d -> (b k) (h w) d", b=B, h=h, w=w)
        x_BND = x_BND + self.place[:h, :w].reshape(1, h * w, D)
        scores: Tensor = self.classify(self.in_space(x_BND, self._attended_places(valid, B)))
        if self.config.public_behaviour:  # the published code takes the scores of a patch as pixels of a row
            return scores.reshape(B, K, H, W)
        logits: Tensor = rearrange(scores, "(b k) (h w) (p q) -> b k (h p) (w q)", b=B, h=h, p=p, q=p)
        return logits

    def _cells(self, tiles: StackedSeries) -> tuple[Tensor, Tensor]:
        """Which patches have a valid pixel, and their day, (B, T, h, w)."""
        valid, day = tiles.cells(self.config.patch)
        if not self.config.public_behaviour:
            return valid, day
        # padding has the day 0 of the year
        return torch.ones_like(valid), torch.where(valid, day + 1, torch.zeros_like(day))

    def _day_position(self, day: Tensor) -> Tensor:
        """The learned vector of each day."""
        if self.config.public_behaviour:
            share = day.round() / PUBLIC_YEAR
            position = (share * PUBLIC_YEAR).long()
        else:
            position = day.round().long()
        position = position.clamp(0, self.day.in_features - 1)
        vectors: Tensor = functional.embedding(position, self.day.weight.T) + self.day.bias
        return vectors

    def _attended_places(self, valid_PT: Tensor, samples: int) -> Tensor | None:
        """Patches with an observation and the patch itself, (B K, 1, N, N)."""
        if self.config.public_behaviour:
            return None
        seen = rearrange(valid_PT.any(dim=1), "(b n) -> b 1 n", b=samples)
        own = torch.eye(seen.shape[-1], dtype=torch.bool, device=seen.device)
        return repeat(seen | own, "b n m -> (b k) 1 n m", k=self.config.classes)


class _Transformer(nn.Module):
    """Layers of attention and perceptron, each on normalised tokens and added; normalised at the end."""

    def __init__(self, config: TSViTConfig, depth: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(_Attention(config) for _ in range(depth))
        self.perceptrons = nn.ModuleList(_perceptron(config) for _ in range(depth))
        self.normalise = nn.LayerNorm(config.dim)

    def forward(self, x_BND: Tensor, attended: Tensor | None) -> Tensor:
        """Return tokens (B, N, D); `attended` broadcasts over (B, A, N, N), True = attended to."""
        for attention, perceptron in zip(self.attentions, self.perceptrons, strict=True):
            x_BND = x_BND + attention(x_BND, attended)
            x_BND = x_BND + perceptron(x_BND)
        result: Tensor = self.normalise(x_BND)
        return result


class _Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values without bias."""

    def __init__(self, config: TSViTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.normalise = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * config.heads * config.head, bias=False)
        self.join = nn.Linear(config.heads * config.head, config.dim)

    def forward(self, x_BND: Tensor, attended: Tensor | None) -> Tensor:
        """Return what is added to the tokens (B, N, D)."""
        q, k, v = rearrange(self.qkv(self.normalise(x_BND)), "b n (s a d) -> s b a n d", s=3, a=self.heads)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=attended)
        result: Tensor = self.join(rearrange(mixed, "b a n d -> b n (a d)"))
        return result


def _perceptron(config: TSViTConfig) -> nn.Sequential:
    wide = config.ratio * config.dim
    return nn.Sequential(nn.LayerNorm(config.dim), nn.Linear(config.dim, wide), nn.GELU(), nn.Linear(wide, config.dim))


PRESETS: dict[str, dict[str, Any]] = {
    "base": {},  # as published
    "small": {"dim": 64, "head": 16},  # as published, "S"
    "tiny": {"dim": 32, "head": 8, "depths": (2, 2)},
}


def tsvit_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> TSViTConfig:
    """Return the configuration of a network of a usual size: `base` and `small` (as published), or `tiny`.

    Raises:
        ModelError: the preset is unknown, or the series cannot be stacked.
    """
    shape = stacked_shape("TSViT", sensors, classes, frames, series, season_days)
    return TSViTConfig(**shape, **chosen_preset("TSViT", PRESETS, name))


def tsvit_activations(
    config: TSViTConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool
) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    samples, frames, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    images = IMAGE_COPIES * frames * sum(config.channels.values())
    tokens = (frames + config.classes) / config.patch**2
    in_time, in_space = config.depths
    layers = 18 * config.dim
    kept = tokens * layers * in_time + config.classes / config.patch**2 * layers * in_space
    largest = tokens * (4 + 2 * config.ratio) * config.dim
    return float(samples * height * width * (images + (kept if training else largest)))
