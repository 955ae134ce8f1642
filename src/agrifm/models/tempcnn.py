"""TempCNN: convolutions along the time of each pixel (Pelletier, Webb & Petitjean 2019, Remote Sensing 11, 523).

Every pixel is classified by itself. Its bands of all sensors are the channels of three convolutions in time, whose
flattened result a dense layer reads. The number of steps is therefore fixed, and each step is the same part of
the season: the network reads series interpolated to equal steps.

Shape letters: B samples, T steps, C channels, H W rows and columns, P pixels of all samples.
"""

from collections.abc import Mapping

from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.stacked import chosen_preset, stack_channels
from agrifm.validation import Frozen


class TempCNNConfig(Frozen):
    """Everything that decides the shape of a network."""

    channels: dict[str, int] = Field(min_length=1)
    """Bands of each sensor; the first one's pixels are the target grid."""
    frames: int = Field(gt=0)
    """Steps of every series."""
    classes: int = Field(gt=0)
    """Scores per pixel."""
    width: int = Field(64, gt=0)
    """Channels of the convolutions."""
    kernel: int = Field(5, gt=0)
    """Steps that a convolution covers; an odd number."""
    dense: int = Field(256, gt=0)
    """Width of the dense layer."""
    dropout: float = Field(0.5, ge=0, lt=1)


class TempCNN(nn.Module):
    """Three convolutions in time, a dense layer, a linear classifier."""

    def __init__(self, config: TempCNNConfig) -> None:
        super().__init__()
        self.config = config
        inputs = (sum(config.channels.values()), config.width, config.width)
        self.convolutions = nn.Sequential(*(_convolution(channels, config) for channels in inputs))
        self.dense = nn.Sequential(
            nn.Linear(config.width * config.frames, config.dense),
            nn.BatchNorm1d(config.dense),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        self.classify = nn.Linear(config.dense, config.classes)

    def forward(self, images: Mapping[str, object]) -> Tensor:
        """Return logits (B, classes, H, W) on the first sensor's pixels.

        Args:
            images: by sensor (B, T, C, H, W), normalised; None where a sensor is absent, which counts as its mean.
        """
        series = stack_channels(images, self.config.channels)
        B, T, _, H, W = series.shape
        assert self.config.frames == T, "every series has the steps of the config"
        pixels_PCT = rearrange(series, "b t c h w -> (b h w) c t")
        logits = self.classify(self.dense(self.convolutions(pixels_PCT).flatten(1)))
        logits_BKHW: Tensor = rearrange(logits, "(b h w) k -> b k h w", b=B, h=H, w=W)
        return logits_BKHW


def _convolution(channels: int, config: TempCNNConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(channels, config.width, config.kernel, padding=config.kernel // 2),
        nn.BatchNorm1d(config.width),
        nn.ReLU(),
        nn.Dropout(config.dropout),
    )


PRESETS = {
    "base": {"width": 64, "dense": 256},  # as published
    # a quarter and a sixteenth of the work, for processors without a GPU
    "small": {"width": 32, "dense": 128},
    "tiny": {"width": 16, "dense": 64},
}


def tempcnn_preset(name: str, channels: Mapping[str, int], classes: int, frames: int) -> TempCNNConfig:
    """Return the configuration of a network of a usual size: `base` (as published), `small` or `tiny`.

    Args:
        channels: bands per sensor; the first one's pixels are the target grid.
        frames: steps of every series.

    Raises:
        ModelError: the preset is unknown.
    """
    chosen = chosen_preset("TempCNN", PRESETS, name)
    return TempCNNConfig(channels=dict(channels), classes=classes, frames=frames, **chosen)


def tempcnn_activations(
    config: TempCNNConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool
) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Training keeps each layer's input and normalisation; there are no blocks that could be recomputed.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    samples, frames, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    images = IMAGE_COPIES * frames * sum(config.channels.values())
    # calibrated by measured peaks: training keeps three layers of convolution, normalisation, activation and dropout
    layers = (20 if training else 3) * frames * config.width + (4 if training else 2) * config.dense
    return float(samples * height * width * (images + layers))
