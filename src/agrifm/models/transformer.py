"""A plain transformer over the dates of each pixel (Vaswani et al. 2017; on crops Rußwurm & Körner 2020, ISPRS 169).

Every observation of a pixel, of any sensor, is a token: a linear map of its bands plus sines and cosines of its day.
Tokens attend to each other; observations that are not valid and padding are masked. A linear layer classifies the
normalised mean of the tokens. Nothing is interpolated, and padding changes nothing.

Shape letters: B samples, T frames, P pixels of all samples, N tokens, C channels, K classes, H W rows and columns.
"""

from collections.abc import Mapping, Sequence

import torch
from einops import rearrange, repeat
from pydantic import Field
from torch import Tensor, nn

from agrifm.models.agrifm.timeseries import Images, ObservedSeries, image_of, season_steps
from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.encoder_blocks import EncoderBlock, mean_of_present, sinusoids, usable_keys
from agrifm.models.monthly import PIXELS_AT_ONCE
from agrifm.models.stacked import chosen_preset
from agrifm.record import SensorRecord, SeriesKind
from agrifm.validation import Frozen

LONGEST_PERIOD = 1000.0
"""Ratio of the longest to the shortest period in the code of a day, approached with growing `dim`; the shortest is 2 π
days (as in U-TAE, Garnot & Landrieu 2021)."""


class TransformerConfig(Frozen):
    """Everything that decides the shape of a network."""

    channels: dict[str, int] = Field(min_length=1)
    """Bands of each sensor; the first one's pixels are the target grid."""
    classes: int = Field(gt=0)
    """Scores per pixel."""
    season_days: int = Field(gt=0)
    """Length of the season, from which the steps of interpolated series have their days."""
    dim: int = Field(64, gt=0, multiple_of=2)
    depth: int = Field(3, gt=0)
    heads: int = Field(4, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)


class Transformer(nn.Module):
    """Tokens of all observations, an encoder, the mean, a linear classifier."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.ModuleDict({name: nn.Linear(bands, config.dim) for name, bands in config.channels.items()})
        self.blocks = nn.ModuleList(
            EncoderBlock(config.dim, config.heads, 2.0, drop=config.dropout) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.classify = nn.Linear(config.dim, config.classes)

    def forward(self, images: Images) -> Tensor:
        """Return logits (B, K, H, W) on the first sensor's pixels.

        Args:
            images: series of any kind by sensor, normalised; None where a sensor is absent, which has no tokens.
        """
        first = images[next(iter(self.config.channels))]
        assert first is not None, "the first sensor is always present"
        B, _, _, H, W = image_of(first).shape
        present = {name: series for name in self.config.channels if (series := images[name]) is not None}
        parts = [self._tokens(name, series, (H, W)) for name, series in present.items()]
        x_PNC, valid_PN = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        if self.training or torch.compiler.is_compiling():  # gradients need all at once; a graph has no fixed number
            logits = self._logits(x_PNC, valid_PN)
        else:
            starts = range(0, x_PNC.shape[0], PIXELS_AT_ONCE)
            parts_P = [slice(start, start + PIXELS_AT_ONCE) for start in starts]
            logits = torch.cat([self._logits(x_PNC[part], valid_PN[part]) for part in parts_P])
        logits_BKHW: Tensor = rearrange(logits, "(b h w) k -> b k h w", b=B, h=H, w=W)
        return logits_BKHW

    def _logits(self, x_PNC: Tensor, valid_PN: Tensor) -> Tensor:
        mask = usable_keys(valid_PN)
        for block in self.blocks:
            x_PNC = block(x_PNC, mask)
        logits: Tensor = self.classify(self.norm(mean_of_present(x_PNC, valid_PN)))
        return logits

    def _tokens(self, name: str, series: Tensor | ObservedSeries, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Tokens of one sensor (P, T, C) on the target grid, and which are valid (P, T)."""
        if isinstance(series, ObservedSeries):
            image, valid, day = series.filled, series.valid, series.day
        else:
            image, day = series, season_steps(self.config.season_days, series.shape[1]).to(series.device)[None]
            valid = torch.ones_like(series[:, :, 0], dtype=torch.bool)
        code = sinusoids(day, self.config.dim, LONGEST_PERIOD)
        # days of frames are the same for all pixels
        code_BHWTC = code[:, None, None] if code.ndim == 3 else rearrange(code, "b t h w c -> b h w t c")
        x_BHWTC = self.embed[name](rearrange(image, "b t c h w -> b h w t c")) + code_BHWTC
        valid_BHWT = rearrange(valid, "b t h w -> b h w t")
        H, W = size
        ratio = -(-H // image.shape[-2])
        if ratio > 1:
            x_BHWTC = repeat(x_BHWTC, "b h w t c -> b (h r) (w s) t c", r=ratio, s=ratio)[:, :H, :W]
            valid_BHWT = repeat(valid_BHWT, "b h w t -> b (h r) (w s) t", r=ratio, s=ratio)[:, :H, :W]
        return x_BHWTC.flatten(0, 2), valid_BHWT.flatten(0, 2)


PRESETS = {
    "base": {"dim": 128, "depth": 3, "heads": 8},
    "small": {"dim": 64, "depth": 3, "heads": 4},
    "tiny": {"dim": 32, "depth": 2, "heads": 4},
}


def transformer_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> TransformerConfig:
    """Return the configuration of a network of a usual size: `base`, `small` or `tiny`.

    Raises:
        ModelError: the preset is unknown.
    """
    chosen = chosen_preset("transformer", PRESETS, name)
    channels = {sensor.sensor: len(sensor.bands) for sensor in sensors}
    return TransformerConfig(channels=channels, classes=classes, season_days=season_days, **chosen)


def transformer_activations(
    config: TransformerConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool
) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    samples, _, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    pixels = samples * height * width
    series = sum(B * T * h * w * config.channels[name] * IMAGE_COPIES for name, (B, T, h, w) in inputs.items())
    tokens = sum(shape[1] for shape in inputs.values())
    # counted from the layers' shapes; measured for small windows of the preset "tiny" alone
    codes = 3 * pixels * tokens * config.dim
    layer = tokens * 14 * config.dim + config.heads * tokens**2
    computed = pixels if training else min(pixels, PIXELS_AT_ONCE)
    return float(series + codes + computed * layer * (config.depth if training else 1))
