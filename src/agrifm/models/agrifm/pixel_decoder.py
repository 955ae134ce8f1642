"""A decoder for weights of our own: little arithmetic, every pixel's own series beside the encoder's context.

The released neck spends most of a forward pass in convolutions as wide as its coarsest features, and nothing finer
than a token of 2 x 2 pixels reaches its head. Here the features come up through halving widths, normalised within
each sample (no batch statistics), and meet the series of every single pixel, projected once.

Shape letters: B samples, T frames, C channels, H W rows and columns of the target pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.swin3d import EncoderOutput
from agrifm.models.agrifm.timeseries import Images, Observed, at_steps, season_steps
from agrifm.models.agrifm.window_partition import Size
from agrifm.validation import Frozen

Quartet = tuple[int, int, int, int]


class LeanConfig(Frozen):
    """Shape of the lean decoder."""

    widths: Quartet = (64, 64, 48, 32)
    """Channels of the context at each level, coarsest first."""
    detail: int = Field(128, gt=0)
    """Numbers to which the whole series of a pixel, of every source, is projected."""
    basis: int = Field(0, ge=0)
    """Functions of time by which each band's series is described before that, the same for all bands; 0 = as it is."""
    hidden: int = Field(48, gt=0)
    """Channels in which context and detail are joined."""
    kernel: int = Field(5, gt=0)
    """Side in pixels of the convolution that joins neighbours; odd."""
    separable: bool = False
    """Join neighbours in each channel by itself, then the channels of each pixel; otherwise both at once."""
    drop: float = Field(0.3, ge=0, lt=1)
    """Share of the detail that is dropped in training."""


LEAN = LeanConfig(detail=112, basis=6, hidden=48, separable=True)
"""Of `small` and `tiny`: a fifth of the multiply-adds of the defaults, which stay what they are for models that were
saved with them."""


@dataclass(frozen=True)
class SourceShape:
    """What the decoder has to know of a source."""

    bands: int
    frames: int
    """Steps to which its series is brought for the single pixels."""
    features: Sequence[int]
    """Channels of its maps, coarsest first."""
    pixel: int
    """Target pixels along one of its pixels."""
    patch: Size
    """Rows and columns of its pixels that become one token."""

    def stride(self, level: int) -> Size:
        """Target pixels along a cell of its maps; level 0 is the coarsest."""
        rows, columns = (side * self.pixel * 2 ** (3 - level) for side in self.patch)
        return rows, columns


def on_ground(x_BCHW: Tensor, own: Size, wanted: Size, size: Size) -> Tensor:
    """Bilinear values at the centres of other cells; the first cells of both begin at the same corner.

    Args:
        own: length of the cells in target pixels, rows and columns.
        wanted: length of the cells that are wanted.
        size: how many of them, rows and columns.
    """
    if own == wanted and x_BCHW.shape[-2:] == size:
        return x_BCHW
    needed = [-(-count * to // side) for count, to, side in zip(size, wanted, own, strict=True)]
    missing = [max(0, count - has) for count, has in zip(needed, x_BCHW.shape[-2:], strict=True)]
    if any(missing):
        x_BCHW = functional.pad(x_BCHW, (0, missing[1], 0, missing[0]), mode="replicate")
    scale = [side / to for side, to in zip(own, wanted, strict=True)]
    found = functional.interpolate(x_BCHW, scale_factor=scale, mode="bilinear", align_corners=False)
    return found[..., : size[0], : size[1]]


def cells(size: Size, side: Size) -> Size:
    """Rows and columns of cells of `side` target pixels that cover `size` target pixels."""
    rows, columns = (-(-length // along) for length, along in zip(size, side, strict=True))
    return rows, columns


class Context(nn.Module):
    """The encoders' features, added up from the coarsest level to the finest, on the tokens of the first source."""

    def __init__(self, shapes: Mapping[str, SourceShape], widths: Quartet) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.target = next(iter(shapes))
        self.project = nn.ModuleList(
            nn.ModuleDict({source: nn.Conv2d(shape.features[level], width, 1) for source, shape in shapes.items()})
            for level, width in enumerate(widths)
        )
        self.rise = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.refine = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(1, width), nn.GELU())
            for width in widths
        )

    def forward(self, features: Mapping[str, EncoderOutput], size: Size) -> Tensor:
        """Context (B, C, h, w) on the tokens that cover `size` target pixels."""
        x_BCHW: Tensor | None = None
        for level, refine in enumerate(self.refine):
            stride = self.shapes[self.target].stride(level)
            grid = cells(size, stride)
            joined = self._join(level, features, stride, grid)
            if x_BCHW is not None:
                coarser = self.shapes[self.target].stride(level - 1)
                joined = joined + on_ground(self.rise[level - 1](x_BCHW), coarser, stride, grid)
            x_BCHW = refine(joined)
        assert x_BCHW is not None
        return x_BCHW

    def _join(self, level: int, features: Mapping[str, EncoderOutput], stride: Size, size: Size) -> Tensor:
        project = self.project[level]
        assert isinstance(project, nn.ModuleDict)
        maps = {
            source: on_ground(project[source](_at_level(own, level)), self.shapes[source].stride(level), stride, size)
            for source, own in features.items()
        }
        return torch.stack(list(maps.values())).sum(dim=0)


def _at_level(output: EncoderOutput, level: int) -> Tensor:
    return output.features_list[3 - level] if level else output.encoder_features


def triangles(count: int, frames: int) -> nn.Parameter:
    """Functions of time (count, frames), at first triangles side by side that span the series, each of norm 1.

    Splines of first order: a series is described by what it is like around each of `count` evenly spaced times.
    """
    place = torch.linspace(0, count - 1, frames)
    functions = (1 - (place - torch.arange(count)[:, None]).abs()).clamp(min=0)
    return nn.Parameter(functional.normalize(functions, dim=1))


class LeanDecoder(nn.Module):
    """Class scores per target pixel from features and series.

    Args:
        shapes: of the sources; the pixels of the first are the target grid.
        classes: scores per pixel.
        season_days: length of the season, over which the steps of the single pixels' series are spread.
    """

    def __init__(self, shapes: Mapping[str, SourceShape], classes: int, config: LeanConfig, season_days: int) -> None:
        super().__init__()
        self.shapes, self.season_days = dict(shapes), season_days
        self.context = Context(shapes, config.widths)
        self.basis = nn.ParameterDict(
            {source: triangles(config.basis, shape.frames) for source, shape in shapes.items() if config.basis}
        )
        self.detail = nn.ModuleDict(
            {
                source: nn.Conv2d((config.basis or shape.frames) * shape.bands, config.detail, 1)
                for source, shape in shapes.items()
            }
        )
        self.drop = nn.Dropout(config.drop)
        self.from_detail = nn.Conv2d(config.detail, config.hidden, 1)
        self.from_context = nn.Conv2d(config.widths[-1], config.hidden, 1)
        groups = config.hidden if config.separable else 1
        self.neighbours = nn.Sequential(
            nn.GroupNorm(1, config.hidden),
            nn.GELU(),
            nn.Conv2d(config.hidden, config.hidden, config.kernel, padding=config.kernel // 2, groups=groups),
            *([nn.Conv2d(config.hidden, config.hidden, 1)] if config.separable else []),
        )
        self.head = nn.Conv2d(config.hidden, classes, 1)

    def forward(self, features: Mapping[str, EncoderOutput], images: Images, size: Size) -> Tensor:
        """Logits (B, classes, H, W) of `size` target pixels.

        Args:
            features: of every source that is present.
            images: per source (B, T, C, H, W), normalised, or observed; coarser pixels lend theirs to the target
                pixels in them.
        """
        logits: Tensor = self.head(self.features(features, images, size))
        return logits

    def features(self, features: Mapping[str, EncoderOutput], images: Images, size: Size) -> Tensor:
        """What the head reads, (B, hidden, H, W)."""
        parts = [self._detail(source, images[source], size) for source in features]
        detail = functional.gelu(torch.stack(parts).sum(dim=0))
        finest = self.context.shapes[self.context.target].stride(3)
        context = on_ground(self.from_context(self.context(features, size)), finest, (1, 1), size)
        x_BCHW = self.from_detail(self.drop(detail)) + context
        return functional.gelu(x_BCHW + self.neighbours(x_BCHW))

    def _detail(self, source: str, series: Tensor | Observed | None, size: Size) -> Tensor:
        """The projected series of each target pixel (B, detail, H, W)."""
        assert series is not None, "features are of sources that are present"
        shape = self.shapes[source]
        if isinstance(series, Observed):
            x_BTCHW = at_steps(series, season_steps(self.season_days, shape.frames).to(series.day.device))
        else:
            x_BTCHW = series
        if source in self.basis:
            x_BTCHW = (self.basis[source] @ x_BTCHW.flatten(2)).unflatten(2, x_BTCHW.shape[2:])
        coarse: Tensor = self.detail[source](x_BTCHW.flatten(1, -3))
        if shape.pixel == 1:
            return coarse
        fine = coarse.repeat_interleave(shape.pixel, dim=2).repeat_interleave(shape.pixel, dim=3)
        return fine[..., : size[0], : size[1]]
