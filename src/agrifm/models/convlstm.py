"""ConvLSTM: a recurrent cell whose products are convolutions (Shi et al. 2015, NeurIPS, arXiv:1506.04214, eq. 3).

One cell without peepholes reads the frames in order, and a convolution classifies its last cell state. The size is that
of the comparison in Garnot & Landrieu 2021 (arXiv:2107.07933, table 2). The network does not know dates.

In the published code padded frames change the state, so the length to which a batch is padded changes the answer. Here
a pixel keeps its state where a frame is not valid.

Shape letters: B samples, T frames, C channels, H W rows and columns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from agrifm.models.agrifm.timeseries import Images
from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.stacked import StackedConfig, chosen_preset, stack_sensors, stacked_shape
from agrifm.record import SensorRecord, SeriesKind


class ConvLSTMConfig(StackedConfig):
    """Everything that decides the shape of a network; the defaults are those of the paper."""

    hidden: int = Field(160, gt=0)
    """Channels of the state."""
    kernel: int = Field(3, gt=0)
    """Pixels along one side of the cell's convolution; an odd number."""
    public_behaviour: bool = False
    """Whether padding and gaps change the state, as in the published code; for comparisons only."""


class ConvLSTM(nn.Module):
    """A recurrent cell along time, and a 3 x 3 classifier of its last state."""

    def __init__(self, config: ConvLSTMConfig) -> None:
        super().__init__()
        self.config = config
        channels = sum(config.channels.values()) + config.hidden
        self.gates = nn.Conv2d(channels, 4 * config.hidden, config.kernel, padding=config.kernel // 2)
        self.classify = nn.Conv2d(config.hidden, config.classes, 3, padding=1)

    def forward(self, images: Images) -> Tensor:
        """Return logits (B, classes, H, W) on the first sensor's pixels."""
        series = stack_sensors(images, self.config.channels, self.config.season_days)
        B, T, _, H, W = series.image.shape
        hidden = series.image.new_zeros(B, self.config.hidden, H, W)
        cell = hidden
        for frame in range(T):
            new_hidden, new_cell = self._step(series.image[:, frame], hidden, cell)
            if self.config.public_behaviour:
                hidden, cell = new_hidden, new_cell
                continue
            valid = series.valid[:, frame, None]
            hidden = torch.where(valid, new_hidden, hidden.to(new_hidden.dtype))
            cell = torch.where(valid, new_cell, cell.to(new_cell.dtype))
        logits: Tensor = self.classify(cell)
        return logits

    def _step(self, x_BCHW: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden and the cell state after one frame."""
        gates = self.gates(torch.cat([x_BCHW, hidden.to(x_BCHW.dtype)], dim=1))
        enter, forget, leave, candidate = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
        return leave.sigmoid() * cell.tanh(), cell


PRESETS: dict[str, dict[str, Any]] = {
    "base": {"hidden": 160},  # as published
    "small": {"hidden": 48},
    "tiny": {"hidden": 16},
}


def convlstm_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> ConvLSTMConfig:
    """Return the configuration of a network of a usual size: `base` (as published), `small` or `tiny`.

    Raises:
        ModelError: the preset is unknown, or the series cannot be stacked.
    """
    shape = stacked_shape("ConvLSTM", sensors, classes, frames, series, season_days)
    return ConvLSTMConfig(**shape, **chosen_preset("ConvLSTM", PRESETS, name))


def convlstm_activations(
    config: ConvLSTMConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool
) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    samples, frames, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    images = IMAGE_COPIES * frames * sum(config.channels.values())
    # training keeps the gates and states of every frame
    layers = (11 * frames if training else 14) * config.hidden
    return float(samples * height * width * (images + layers))
