"""A decoder for weights of our own: little arithmetic, every pixel's own series beside the encoder's context.

The released neck spends most of a forward pass in convolutions as wide as its coarsest features, and nothing finer
than a token of 2 x 2 pixels reaches its head. Here the features come up through halving widths, normalised within
each sample (no batch statistics), and meet the series of every single pixel, projected once.

Shape letters: B samples, T frames, C channels, H W rows and columns of the target pixels.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.fusion import resize
from agrifm.models.swin3d import Config, EncoderOutput

Quartet = tuple[int, int, int, int]


class LeanConfig(Config):
    """Shape of the lean decoder."""

    widths: Quartet = (64, 64, 48, 32)
    """Channels of the context at each level, coarsest first."""
    detail: int = Field(128, gt=0)
    """Numbers to which the whole series of a pixel, of every source, is projected."""
    hidden: int = Field(48, gt=0)
    """Channels in which context and detail are joined."""
    kernel: int = Field(5, gt=0)
    """Side in pixels of the convolution that joins neighbours; odd."""
    drop: float = Field(0.3, ge=0, lt=1)
    """Share of the detail that is dropped in training."""


class Context(nn.Module):
    """The encoders' features, added up from the coarsest level to the finest."""

    def __init__(self, levels: Sequence[Mapping[str, int]], widths: Quartet) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            nn.ModuleDict({source: nn.Conv2d(channels, width, 1) for source, channels in level.items()})
            for level, width in zip(levels, widths, strict=True)
        )
        self.rise = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.refine = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(1, width), nn.GELU())
            for width in widths
        )

    def forward(self, features: Mapping[str, EncoderOutput]) -> Tensor:
        """Context on the token grid of the level's first source (B, C, H, W)."""
        x_BCHW: Tensor | None = None
        for entry, (project, refine) in enumerate(zip(self.project, self.refine, strict=True)):
            assert isinstance(project, nn.ModuleDict)
            maps = {
                source: layer(features[source].features_list[3 - entry] if entry else features[source].encoder_features)
                for source, layer in project.items()
            }
            size = next(iter(maps.values())).shape[-2:]
            level = torch.stack([resize(one, size) for one in maps.values()]).sum(dim=0)
            x_BCHW = refine(level if x_BCHW is None else level + resize(self.rise[entry - 1](x_BCHW), size))
        assert x_BCHW is not None
        return x_BCHW


class LeanDecoder(nn.Module):
    """Class scores per target pixel from features and series.

    Args:
        levels: coarsest first, channels of each source's features; the first source's grid is the level's.
        series: numbers per pixel of each source, frames x bands; the first one's pixels are the target grid.
        classes: scores per pixel.
    """

    def __init__(
        self, levels: Sequence[Mapping[str, int]], series: Mapping[str, int], classes: int, config: LeanConfig
    ) -> None:
        super().__init__()
        self.context = Context(levels, config.widths)
        self.detail = nn.ModuleDict(
            {source: nn.Conv2d(numbers, config.detail, 1) for source, numbers in series.items()}
        )
        self.drop = nn.Dropout(config.drop)
        self.from_detail = nn.Conv2d(config.detail, config.hidden, 1)
        self.from_context = nn.Conv2d(config.widths[-1], config.hidden, 1)
        self.neighbours = nn.Sequential(
            nn.GroupNorm(1, config.hidden),
            nn.GELU(),
            nn.Conv2d(config.hidden, config.hidden, config.kernel, padding=config.kernel // 2),
        )
        self.head = nn.Conv2d(config.hidden, classes, 1)

    def forward(self, features: Mapping[str, EncoderOutput], images: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes, H, W) on the pixels of the first source.

        Args:
            features: of every source.
            images: per source (B, T, C, H, W), normalised; coarser pixels lend theirs to the target pixels in them.
        """
        height, width = images[next(iter(self.detail))].shape[-2:]
        target = (height, width)
        parts = [
            functional.interpolate(layer(images[source].flatten(1, 2)), size=target, mode="nearest")
            for source, layer in self.detail.items()
        ]
        detail = functional.gelu(torch.stack(parts).sum(dim=0))
        context = resize(self.from_context(self.context(features)), target)
        x_BCHW = self.from_detail(self.drop(detail)) + context
        logits: Tensor = self.head(functional.gelu(x_BCHW + self.neighbours(x_BCHW)))
        return logits
