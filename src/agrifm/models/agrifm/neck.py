"""The released decoder: a neck that fuses the features of several sources, and a head that scores each pixel.

Shape letters: B samples, C channels, H W rows and columns of a feature map.
Names and arithmetic follow the public AgriFM code (`MultiFusionNeck`).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.swin3d import EncoderOutput
from agrifm.models.agrifm.window_partition import Size

ROWS_PER_STRIP = 32
"""Rows of the map that the head computes at once outside training."""


def resize(x_BCHW: Tensor, size: Size) -> Tensor:
    """Resize bilinearly; pixel areas are aligned (not corner centres), without antialiasing."""
    return functional.interpolate(x_BCHW, size=size, mode="bilinear", align_corners=False)


def double_conv(channels: int, width: int) -> nn.Sequential:
    """Two 3 x 3 convolutions; only the first has normalisation and activation, as released."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
    )


def convolve_present(convolution: nn.Conv2d, parts: Sequence[Tensor | None], widths: Sequence[int]) -> Tensor:
    """Convolve parts stacked on channels; an absent part counts like zeros and costs nothing.

    Args:
        parts: (B, C, H, W) each.
        widths: channels of each part.
    """
    present = torch.cat([part for part in parts if part is not None], dim=1)
    if all(part is not None for part in parts):
        convolved: Tensor = convolution(present)
        return convolved
    # leave out the kernels of absent parts, instead of convolving zeros
    weights = torch.split(convolution.weight, list(widths), dim=1)
    weight = torch.cat([kernel for kernel, part in zip(weights, parts, strict=True) if part is not None], dim=1)
    return functional.conv2d(present, weight, convolution.bias, padding=convolution.padding)


class MultiFusionNeck(nn.Module):
    """Fuse the coarse features of the sources, then double the size at each level and add finer features.

    The first level uses the last but one entry of each source's `features_list`, the last level its first: with three
    levels the entries 2, 1, 0. Sizes follow from the size of the start; finer features are resized to match.

    Args:
        width: channels of the neck. There is no projection, so every source's `encoder_features` have as many.
        sources: the sources whose `encoder_features` start the map.
        levels: per level, channels of the finer features of each source, in the order in which they are joined.
    """

    def __init__(self, width: int, sources: Sequence[str], levels: Sequence[Mapping[str, int]]) -> None:
        super().__init__()
        self.width, self.sources = width, tuple(sources)
        self.levels = tuple(dict(level) for level in levels)
        several = len(self.sources) > 1
        self.in_conv = double_conv(len(self.sources) * width, width) if several else nn.Identity()
        self.fusion_list = nn.ModuleList(double_conv(width + sum(level.values()), width) for level in levels)
        self.out_conv = double_conv(width, width)

    def forward(self, features: Mapping[str, EncoderOutput], feature_size: Size) -> Tensor:
        """Fused features (B, width, H, W) at the size of the last level.

        Args:
            features: per source that is present; at least one of those that start the map.
            feature_size: rows and columns of the start, to which all `encoder_features` are resized.
        """
        start = [_resized(features, source, -1, feature_size) for source in self.sources]
        x_BCHW = start[0] if isinstance(self.in_conv, nn.Identity) else None
        if isinstance(self.in_conv, nn.Sequential):
            x_BCHW = _double(self.in_conv, start, [self.width] * len(start))
        assert x_BCHW is not None
        for i, (level, fuse) in enumerate(zip(self.levels, self.fusion_list, strict=True)):
            H, W = x_BCHW.shape[-2:]
            finer = (2 * H, 2 * W)
            # `features_list` is finest first
            entry = len(self.levels) - 1 - i
            skips = [_resized(features, source, entry, finer) for source in level]
            assert isinstance(fuse, nn.Sequential)
            x_BCHW = _double(fuse, [resize(x_BCHW, finer), *skips], [self.width, *level.values()])
        fused: Tensor = self.out_conv(x_BCHW)
        return fused


def _resized(features: Mapping[str, EncoderOutput], source: str, entry: int, size: Size) -> Tensor | None:
    """An entry of a source's `features_list` at that size, or for -1 its `encoder_features`; None if it is absent."""
    if source not in features:
        return None
    maps = features[source]
    return resize(maps.encoder_features if entry < 0 else maps.features_list[entry], size)


def _double(layers: nn.Sequential, parts: Sequence[Tensor | None], widths: Sequence[int]) -> Tensor:
    first, *rest = layers
    assert isinstance(first, nn.Conv2d)
    x_BCHW = convolve_present(first, parts, widths)
    for layer in rest:
        x_BCHW = layer(x_BCHW)
    return x_BCHW


class SegmentationHead(nn.Module):
    """Two convolutions at the resolution of the result; the first halves the channels."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width // 2, classes, 1),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits (B, classes, H, W)."""
        logits: Tensor = self.head(x_BCHW)
        return logits

    def at_size(self, x_BCHW: Tensor, size: Size) -> Tensor:
        """Logits (B, classes, *size) of a map resized to `size`; outside training strip by strip.

        The resized map is many times larger than everything else, so it is never built as a whole. A strip needs its
        own rows of it and one more on either side, for the 3 x 3 convolution.
        """
        if self.training:
            logits: Tensor = self(resize(x_BCHW, size))
            return logits
        return torch.cat([self._strip(x_BCHW, size, first) for first in range(0, size[0], ROWS_PER_STRIP)], dim=2)

    def _strip(self, x_BCHW: Tensor, size: Size, first: int) -> Tensor:
        """Logits of up to `ROWS_PER_STRIP` rows, starting at row `first`."""
        (rows, columns), height = size, x_BCHW.shape[2]
        last = min(first + ROWS_PER_STRIP, rows)
        # one more row on either side for the convolution, except at the ends of the map
        above, below = int(first > 0), int(last < rows)
        row = torch.arange(first - above, last + below, device=x_BCHW.device)
        # where bilinear interpolation reads each row of the result: between two rows of the map
        position = ((row + 0.5) * (height / rows) - 0.5).clamp(min=0)
        upper = position.long().clamp(max=height - 1)
        lower = (upper + 1).clamp(max=height - 1)
        top, bottom = int(upper[0]), int(lower[-1]) + 1
        # only columns are resized here; rows are interpolated below
        wide = resize(x_BCHW[:, :, top:bottom], (bottom - top, columns))
        share = (position - upper)[:, None].to(wide.dtype)
        resized = torch.lerp(wide.index_select(2, upper - top), wide.index_select(2, lower - top), share)
        if not (above and below):  # the convolution's zeros above and below the map
            resized = functional.pad(resized, (0, 0, 1 - above, 1 - below))
        first_layer, *rest = self.head
        assert isinstance(first_layer, nn.Conv2d)
        # no zeros above and below: the rows there are the neighbours, or were padded above
        hidden = functional.conv2d(resized, first_layer.weight, first_layer.bias, padding=(0, 1))
        for layer in rest:
            hidden = layer(hidden)
        return hidden
