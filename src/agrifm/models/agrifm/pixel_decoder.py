"""The pixel decoder: class scores from the encoder's features and from every pixel's own series.

The released neck spends most of a forward pass in convolutions as wide as its coarsest features, and its head sees
nothing finer than a token of 2 x 2 pixels. Here the features rise through smaller widths, normalised within each sample
(no batch statistics), and are added to a projection of the series of every single pixel.

Shape letters: B samples, T frames, C channels, H W rows and columns of the target pixels, h w those of a coarser grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.swin3d import EncoderOutput
from agrifm.models.agrifm.timeseries import Images, ObservedSeries, interpolate_to_steps, season_steps
from agrifm.models.agrifm.window_partition import Size
from agrifm.validation import Frozen

FourInts = tuple[int, int, int, int]


class PixelDecoderConfig(Frozen):
    """Shape of the pixel decoder; the defaults are those of the presets (docs/decisions/0005-lean-decoder.md)."""

    widths: FourInts = (64, 64, 48, 32)
    """Channels of the context at each level, coarsest first."""
    detail: int = Field(112, gt=0)
    """Channels to which the whole series of a pixel, of every source, is projected."""
    basis: int = Field(6, ge=0)
    """Functions of time that describe each band's series before the projection, shared by all bands; 0 = none."""
    hidden: int = Field(48, gt=0)
    """Channels in which context and detail are added."""
    kernel: int = Field(5, gt=0)
    """Side in pixels of the convolution over neighbours; an odd number."""
    separable: bool = True
    """Convolve neighbours channel by channel, then mix the channels of each pixel; otherwise both at once."""
    drop: float = Field(0.3, ge=0, lt=1)
    """Share of the detail that is dropped in training."""


@dataclass(frozen=True)
class SourceLayout:
    """What the decoder needs to know about a source."""

    bands: int
    frames: int
    """Steps to which the series of single pixels are interpolated."""
    features: Sequence[int]
    """Channels of its maps, coarsest first."""
    pixel: int
    """Side of one of its pixels, in target pixels."""
    patch: Size
    """Rows and columns of its pixels that become one token."""

    def cell(self, level: int) -> Size:
        """Rows and columns of a feature-map cell, in target pixels; level 0 is the coarsest."""
        rows, columns = (side * self.pixel * 2 ** (3 - level) for side in self.patch)
        return rows, columns


def resample_cells(x_BCHW: Tensor, cell: Size, wanted: Size, size: Size) -> Tensor:
    """Bilinear values at the centres of other cells; the first cells of both grids start at the same corner.

    Args:
        cell: rows and columns of the cells of `x_BCHW`, in target pixels.
        wanted: rows and columns of the cells of the result, in target pixels.
        size: how many cells the result has, rows and columns.
    """
    if cell == wanted and x_BCHW.shape[-2:] == size:
        return x_BCHW
    # the last coarse cell may end before the target does: repeat it, so that interpolation has a value there
    needed = [-(-count * to // side) for count, to, side in zip(size, wanted, cell, strict=True)]
    missing = [max(0, count - has) for count, has in zip(needed, x_BCHW.shape[-2:], strict=True)]
    if any(missing):
        x_BCHW = functional.pad(x_BCHW, (0, missing[1], 0, missing[0]), mode="replicate")
    scale = [side / to for side, to in zip(cell, wanted, strict=True)]
    # by scale, not by size: a size would stretch a last cell that ends beyond the target
    resampled = functional.interpolate(x_BCHW, scale_factor=scale, mode="bilinear", align_corners=False)
    return resampled[..., : size[0], : size[1]]


def cells_covering(size: Size, cell: Size) -> Size:
    """Rows and columns of cells of `cell` target pixels that cover `size` target pixels."""
    rows, columns = (-(-length // side) for length, side in zip(size, cell, strict=True))
    return rows, columns


class ContextPyramid(nn.Module):
    """The encoders' features, added up from the coarsest level to the finest, on the tokens of the first source."""

    def __init__(self, layouts: Mapping[str, SourceLayout], widths: FourInts) -> None:
        super().__init__()
        self.layouts = dict(layouts)
        self.target = next(iter(layouts))
        self.project = nn.ModuleList(
            nn.ModuleDict({source: nn.Conv2d(layout.features[level], width, 1) for source, layout in layouts.items()})
            for level, width in enumerate(widths)
        )
        self.rise = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        # a group norm of one group normalises each sample by itself, so training does not depend on the batch
        self.refine = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(1, width), nn.GELU())
            for width in widths
        )

    def forward(self, features: Mapping[str, EncoderOutput], size: Size) -> Tensor:
        """Context (B, C, h, w) on the tokens that cover `size` target pixels."""
        x_BCHW: Tensor | None = None
        for level, refine in enumerate(self.refine):
            cell = self.layouts[self.target].cell(level)
            grid = cells_covering(size, cell)
            level_sum = self._sum_of_sources(level, features, cell, grid)
            if x_BCHW is not None:
                coarser = self.layouts[self.target].cell(level - 1)
                level_sum = level_sum + resample_cells(self.rise[level - 1](x_BCHW), coarser, cell, grid)
            x_BCHW = refine(level_sum)
        assert x_BCHW is not None
        return x_BCHW

    def _sum_of_sources(self, level: int, features: Mapping[str, EncoderOutput], cell: Size, size: Size) -> Tensor:
        project = self.project[level]
        assert isinstance(project, nn.ModuleDict)
        # projecting comes first: it is cheaper on the source's own, often coarser grid
        maps = [
            resample_cells(project[source](_at_level(maps, level)), self.layouts[source].cell(level), cell, size)
            for source, maps in features.items()
        ]
        return torch.stack(maps).sum(dim=0)


def _at_level(output: EncoderOutput, level: int) -> Tensor:
    # `features_list` is finest first; the coarsest level reads the normalised map instead
    return output.features_list[3 - level] if level else output.encoder_features


def triangular_basis(count: int, frames: int) -> nn.Parameter:
    """Functions of time (count, frames), at first adjacent triangles that span the series, each of norm 1.

    Triangles are splines of first order: a series is described by its values around `count` evenly spaced times.
    Neighbouring frames of a series hardly differ, so a few functions describe it as well as all frames do.
    """
    position = torch.linspace(0, count - 1, frames)
    functions = (1 - (position - torch.arange(count)[:, None]).abs()).clamp(min=0)
    return nn.Parameter(functional.normalize(functions, dim=1))


class PixelDecoder(nn.Module):
    """Class scores per target pixel from features and series.

    Args:
        layouts: of the sources; the pixels of the first are the target grid.
        classes: scores per pixel.
        season_days: length of the season, over which the steps of the single pixels' series are spread.
    """

    def __init__(
        self, layouts: Mapping[str, SourceLayout], classes: int, config: PixelDecoderConfig, season_days: int
    ) -> None:
        super().__init__()
        self.layouts, self.season_days = dict(layouts), season_days
        self.context = ContextPyramid(layouts, config.widths)
        self.basis = nn.ParameterDict(
            {
                source: triangular_basis(config.basis, layout.frames)
                for source, layout in layouts.items()
                if config.basis
            }
        )
        self.detail = nn.ModuleDict(
            {
                source: nn.Conv2d((config.basis or layout.frames) * layout.bands, config.detail, 1)
                for source, layout in layouts.items()
            }
        )
        self.drop = nn.Dropout(config.drop)
        # detail and context are projected to the same channels and added: cheaper than stacking them
        self.from_detail = nn.Conv2d(config.detail, config.hidden, 1)
        self.from_context = nn.Conv2d(config.widths[-1], config.hidden, 1)
        # a convolution per channel, then one over channels, needs a fraction of the multiply-adds of a full one
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
            images: per source (B, T, C, H, W), normalised, or observed; target pixels inside a coarser pixel share its
                series.
        """
        logits: Tensor = self.head(self.features(features, images, size))
        return logits

    def features(self, features: Mapping[str, EncoderOutput], images: Images, size: Size) -> Tensor:
        """What the head reads, (B, hidden, H, W)."""
        details = [self._detail(source, images[source], size) for source in features]
        # a sum has the same shape however many sources are present
        detail = functional.gelu(torch.stack(details).sum(dim=0))
        finest = self.layouts[self.context.target].cell(3)
        context = resample_cells(self.from_context(self.context(features, size)), finest, (1, 1), size)
        x_BCHW = self.from_detail(self.drop(detail)) + context
        return functional.gelu(x_BCHW + self.neighbours(x_BCHW))

    def _detail(self, source: str, series: Tensor | ObservedSeries | None, size: Size) -> Tensor:
        """The projected series of each target pixel (B, detail, H, W)."""
        assert series is not None, "features are of sources that are present"
        layout = self.layouts[source]
        if isinstance(series, ObservedSeries):
            # the projection has weights for each step, so the series needs a fixed number of them
            steps = season_steps(self.season_days, layout.frames)
            x_BTCHW = interpolate_to_steps(series, steps.to(series.day.device))
        else:
            x_BTCHW = series
        if source in self.basis:
            # (basis, T) @ (B, T, C H W): one product for all bands and pixels
            x_BTCHW = (self.basis[source] @ x_BTCHW.flatten(2)).unflatten(2, x_BTCHW.shape[2:])
        coarse: Tensor = self.detail[source](x_BTCHW.flatten(1, -3))
        if layout.pixel == 1:
            return coarse
        # project on the coarse grid, then repeat: one projection per coarse pixel instead of one per target pixel
        fine = coarse.repeat_interleave(layout.pixel, dim=2).repeat_interleave(layout.pixel, dim=3)
        return fine[..., : size[0], : size[1]]
