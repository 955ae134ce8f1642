"""A convolutional network like CropNet (github.com/x-ytong/CropNet, MIT): bands x steps of each pixel are an image.

Four blocks of two 3 x 3 convolutions read the image, the first convolution with stride 2; a linear layer classifies the
mean over the image. Neighbouring rows are neighbouring bands, so the order of the bands matters: it is that of the
record, by wavelength within a sensor. The network reads series of equal steps. It is built from the published
description without its augmentation (shifts and warps of the series in time), and outputs have not been compared.

Shape letters: B samples, P pixels of all samples, T steps, C bands of all sensors, K classes, H W rows and columns.
"""

from collections.abc import Mapping, Sequence

import torch
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.monthly import PIXELS_AT_ONCE
from agrifm.models.stacked import chosen_preset, pixels_of, stack_channels
from agrifm.record import SensorRecord, SeriesKind
from agrifm.validation import Frozen

DROPOUT = (0.2, 0.3, 0.3, 0.4)
"""Share of channels that each block drops in training."""


class CropNetConfig(Frozen):
    """Everything that decides the shape of a network."""

    channels: dict[str, int] = Field(min_length=1)
    """Bands of each sensor; the first one's pixels are the target grid."""
    frames: int = Field(gt=0)
    """Steps of every series."""
    classes: int = Field(gt=0)
    """Scores per pixel."""
    width: int = Field(128, gt=0)
    """Channels of the convolutions."""


class CropNet(nn.Module):
    """Eight convolutions over bands and steps, the mean, a linear classifier."""

    def __init__(self, config: CropNetConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.Sequential(*(_block(number, config.width) for number in range(len(DROPOUT))))
        self.classify = nn.Linear(config.width, config.classes)

    def forward(self, images: Mapping[str, object]) -> Tensor:
        """Return logits (B, K, H, W) on the first sensor's pixels.

        Args:
            images: by sensor (B, T, C, H, W), normalised; None where a sensor is absent, which counts as its mean.
        """
        series = stack_channels(images, self.config.channels)
        B, T, _, H, W = series.shape
        assert self.config.frames == T, "every series has the steps of the config"
        images_P1CT = rearrange(pixels_of(series), "p t c -> p 1 c t")
        if self.training or torch.compiler.is_compiling():  # gradients need all at once; a graph has no fixed number
            logits = self._logits(images_P1CT)
        else:
            starts = range(0, images_P1CT.shape[0], PIXELS_AT_ONCE)
            logits = torch.cat([self._logits(images_P1CT[start : start + PIXELS_AT_ONCE]) for start in starts])
        logits_BKHW: Tensor = rearrange(logits, "(b h w) k -> b k h w", b=B, h=H, w=W)
        return logits_BKHW

    def _logits(self, images_P1CT: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.blocks(images_P1CT).mean(dim=(2, 3)))
        return logits


def _block(number: int, width: int) -> nn.Sequential:
    first = number == 0
    return nn.Sequential(
        *_convolution(1 if first else width, width, 2 if first else 1),
        *_convolution(width, width, 1),
        nn.Dropout2d(DROPOUT[number]),
    )


def _convolution(channels: int, width: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, width, 3, stride, padding=1), nn.BatchNorm2d(width), nn.ReLU()


PRESETS = {
    "base": {"width": 128},  # as published
    # a sixteenth and a 64th of the work, for processors without a GPU
    "small": {"width": 32},
    "tiny": {"width": 16},
}


def cropnet_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> CropNetConfig:
    """Return the configuration of a network of a usual size: `base` (as published), `small` or `tiny`.

    Raises:
        ModelError: the preset is unknown.
    """
    chosen = chosen_preset("CropNet", PRESETS, name)
    channels = {sensor.sensor: len(sensor.bands) for sensor in sensors}
    return CropNetConfig(channels=channels, frames=frames, classes=classes, **chosen)


def cropnet_activations(
    config: CropNetConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool
) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    samples, frames, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    pixels, bands = samples * height * width, sum(config.channels.values())
    images = (IMAGE_COPIES + 1) * pixels * frames * bands
    # training keeps eight layers of convolution, normalisation and activation
    layer = -(-bands // 2) * -(-frames // 2) * config.width
    computed = pixels if training else min(pixels, PIXELS_AT_ONCE)
    return float(images + computed * layer * (27 if training else 3))
