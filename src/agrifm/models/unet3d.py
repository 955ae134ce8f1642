"""3D U-Net: convolutions in space and time together (Rustowicz et al. 2019, CVPR Workshops).

Two levels halve rows, columns and frames; the decoder doubles them again, and the scores are averaged over time. The
sizes are those to which Garnot & Landrieu 2021 (ICCV, arXiv:2107.07933, table 2) compare U-TAE. The network does not
know dates: neighbouring frames are neighbours whatever the days between them.

In the published code padded frames take part in every convolution and in batch statistics, and frames beyond a
multiple of four are dropped. Here frames without a valid pixel are 0 in every layer, as the edge of a convolution is,
and count neither in a maximum nor in statistics; series of other lengths are filled up.

Shape letters: B samples, C channels, T frames, H W rows and columns.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.timeseries import Images
from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.stacked import StackedConfig, chosen_preset, stack_sensors, stacked_shape
from agrifm.record import SensorRecord, SeriesKind

FACTOR = 4
"""Pixels and frames of the first level along one of the lowest."""


class UNet3DConfig(StackedConfig):
    """Everything that decides the shape of a network; the defaults are those of the paper."""

    width: int = Field(32, gt=0, multiple_of=2)
    """Channels of the first level; the second has twice, the lowest four times as many."""
    public_behaviour: bool = False
    """Whether padded frames take part in convolutions and maxima, as in the published code; for comparisons only."""


class UNet3D(nn.Module):
    """Two levels down, the lowest, two levels up, the mean over time."""

    def __init__(self, config: UNet3DConfig) -> None:
        super().__init__()
        self.config = config
        channels, width = sum(config.channels.values()), config.width
        self.first = _Layers((channels, width, width))
        self.second = _Layers((width, 2 * width, 2 * width))
        self.lowest = _Layers((2 * width, 4 * width, 4 * width))
        self.enlarge_lowest = _doubling(4 * width, 2 * width)
        self.joined_second = _Layers((4 * width, 2 * width, 2 * width))
        self.enlarge_second = _doubling(2 * width, width)
        self.normalise_second = _FrameNorm(width)
        self.joined_first = _Layers((2 * width, width, width // 2))
        self.classify = nn.Conv3d(width // 2, config.classes, 3, padding=1)

    def forward(self, images: Images) -> Tensor:
        """Return logits (B, classes, H, W) on the first sensor's pixels."""
        series = stack_sensors(images, self.config.channels, self.config.season_days)
        H, W = series.image.shape[-2:]
        series = series.padded(FACTOR)
        x = rearrange(series.image, "b t c h w -> b c t h w")
        real = rearrange(series.valid.flatten(2).any(dim=2), "b t -> b 1 t 1 1")
        # a whole number of the lowest level's frames: fewer as published, otherwise more
        excess = x.shape[2] % FACTOR
        if self.config.public_behaviour:
            logits, real = self._logits(x, torch.ones_like(real)), real[:, :, : x.shape[2] - excess]
        else:
            filled = -x.shape[2] % FACTOR
            x, real = functional.pad(x, (0, 0, 0, 0, 0, filled)), functional.pad(real, (0, 0, 0, 0, 0, filled))
            logits = self._logits(x, real)
        usable = real.to(logits.dtype)
        mean = (logits * usable).sum(dim=2) / usable.sum(dim=2).clamp(min=1)
        return mean[..., :H, :W]

    def _logits(self, x: Tensor, real: Tensor) -> Tensor:
        """Scores of every frame (B, classes, T, H, W); `real` (B, 1, T, 1, 1) is False in frames that do not count."""
        first = self.first(x, real)
        x, real_second = _pool(first, real)
        second = self.second(x, real_second)
        x, real_lowest = _pool(second, real_second)
        x = self.enlarge_lowest(self.lowest(x, real_lowest))
        frames = x.shape[2]
        real_second = real_second[:, :, :frames]
        x = self.joined_second(torch.cat([_kept(x, real_second), second[:, :, :frames]], dim=1), real_second)
        x = self.enlarge_second(x)
        frames = x.shape[2]
        real = real[:, :, :frames]
        x = _kept(functional.leaky_relu(self.normalise_second(x, real)), real)
        x = self.joined_first(torch.cat([x, first[:, :, :frames]], dim=1), real)
        logits: Tensor = self.classify(x)
        return logits


class _FrameNorm(nn.BatchNorm3d):
    """Batch normalisation whose statistics in training are those of frames that count."""

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """Return the normalised (B, C, T, H, W); `real` is (B, 1, T, 1, 1)."""
        if not self.training or real is None or bool(real.all()):
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        usable = real.to(x.dtype)
        count = usable.sum().clamp(min=1) * x.shape[3] * x.shape[4]
        mean = (x * usable).sum(dim=(0, 2, 3, 4)) / count
        deviation = x - mean[:, None, None, None]
        variance = (deviation.square() * usable).sum(dim=(0, 2, 3, 4)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        scale = self.weight / (variance + self.eps).sqrt()
        return deviation * scale[:, None, None, None] + self.bias[:, None, None, None]


class _Layers(nn.Module):
    """3 x 3 x 3 convolutions, each normalised and rectified."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.convolutions = nn.ModuleList(nn.Conv3d(*pair, 3, padding=1) for pair in pairs)
        self.normalisations = nn.ModuleList(_FrameNorm(after) for _, after in pairs)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Return (B, C, T, H, W), 0 in frames that do not count."""
        for convolve, normalise in zip(self.convolutions, self.normalisations, strict=True):
            x = _kept(functional.leaky_relu(normalise(convolve(x), real)), real)
        return x


def _doubling(before: int, after: int) -> nn.ConvTranspose3d:
    """Twice the frames, rows and columns."""
    return nn.ConvTranspose3d(before, after, 3, stride=2, padding=1, output_padding=1)


def _kept(x: Tensor, real: Tensor) -> Tensor:
    """The layer with zeros in frames that do not count."""
    return x * real.to(x.dtype)


def _pool(x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of 2 x 2 x 2 values in frames that count, and which of the new frames count."""
    lowest = torch.finfo(x.dtype).min
    pooled = functional.max_pool3d(x.masked_fill(~real, lowest), 2)
    whole = real[:, :, : real.shape[2] // 2 * 2]
    counted = whole[:, :, 0::2] | whole[:, :, 1::2]
    return pooled.masked_fill(~counted, 0), counted


PRESETS: dict[str, dict[str, Any]] = {
    "base": {"width": 32},  # as published
    "small": {"width": 16},
    "tiny": {"width": 8},
}


def unet3d_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> UNet3DConfig:
    """Return the configuration of a network of a usual size: `base` (as published), `small` or `tiny`.

    Raises:
        ModelError: the preset is unknown, or the series cannot be stacked.
    """
    shape = stacked_shape("3D U-Net", sensors, classes, frames, series, season_days)
    return UNet3DConfig(**shape, **chosen_preset("3D U-Net", PRESETS, name))


def unet3d_activations(
    config: UNet3DConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool
) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    samples, frames, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    images = IMAGE_COPIES * sum(config.channels.values())
    # without gradients the unfolded neighbourhoods of the first convolution may need more than the layers
    layers = 38 * config.width if training else max(6 * config.width, 27 * sum(config.channels.values()))
    return float(samples * frames * height * width * (images + layers))
