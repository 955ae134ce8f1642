"""Several sources into one feature map: an encoder per source, then the neck that joins and refines.

Shape letters: B samples, T frames, C channels, H W rows and columns of the map at hand.
Names and arithmetic follow the public AgriFM code (`MultiModalEncoder`, `MultiFusionNeck`).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.swin3d import EncoderOutput

Size = tuple[int, int]


class MultiSourceEncoder(nn.Module):
    """One encoder per source; weights are not shared."""

    def __init__(self, encoders: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)

    def forward(self, images: Mapping[str, Tensor]) -> dict[str, EncoderOutput]:
        """Features of each source from its images (B, T, C, H, W); other entries of `images` are ignored."""
        return {source: encoder(images[source]) for source, encoder in self.encoders.items()}


def resize(x_BCHW: Tensor, size: Size) -> Tensor:
    """Bilinear, pixel areas aligned (not corner centres), no antialiasing."""
    return functional.interpolate(x_BCHW, size=size, mode="bilinear", align_corners=False)


def double_conv(channels: int, width: int) -> nn.Sequential:
    """Two 3 x 3 convolutions; only the first is followed by normalisation and activation."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
    )


class MultiFusionNeck(nn.Module):
    """From the coarse features of the sources to one map, doubled in size at each level with finer features.

    Level 0 takes the last-but-one entry of each source's `features_list`, the last level its first: with three
    levels the entries 2, 1, 0. The sizes follow from the size of the start, not from the finer features, which
    are resized to fit.

    Args:
        width: channels of the neck; there is no projection, so every source's `encoder_features` have as many.
        sources: the sources whose `encoder_features` start the map.
        levels: per level, channels of the finer features of each source, in the order in which they are joined.
    """

    def __init__(self, width: int, sources: Sequence[str], levels: Sequence[Mapping[str, int]]) -> None:
        super().__init__()
        self.sources = tuple(sources)
        self.levels = tuple(tuple(level) for level in levels)
        several = len(self.sources) > 1
        self.in_conv = double_conv(len(self.sources) * width, width) if several else nn.Identity()
        self.fusion_list = nn.ModuleList(double_conv(width + sum(level.values()), width) for level in levels)
        self.out_conv = double_conv(width, width)

    def forward(self, features: Mapping[str, EncoderOutput], feature_size: Size, out_size: Size) -> Tensor:
        """Fused features (B, width, *out_size).

        Args:
            features: per source.
            feature_size: rows and columns of the start, to which all `encoder_features` are resized.
            out_size: rows and columns of the result.
        """
        start = [resize(features[source].encoder_features, feature_size) for source in self.sources]
        x_BCHW: Tensor = self.in_conv(torch.cat(start, dim=1))
        for i, (level, fuse) in enumerate(zip(self.levels, self.fusion_list, strict=True)):
            H, W = x_BCHW.shape[-2:]
            finer = (2 * H, 2 * W)
            entry = len(self.levels) - 1 - i
            skips = [resize(features[source].features_list[entry], finer) for source in level]
            x_BCHW = fuse(torch.cat([resize(x_BCHW, finer), *skips], dim=1))
        return resize(self.out_conv(x_BCHW), out_size)
