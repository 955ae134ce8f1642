"""Several sources into one feature map: an encoder per source, then the neck that joins and refines.

Shape letters: B samples, T frames, C channels, H W rows and columns of the map at hand.
Names and arithmetic follow the public AgriFM code (`MultiModalEncoder`, `MultiFusionNeck`).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.gates import SourceGates, often
from agrifm.models.agrifm.swin3d import EncoderOutput, SwinBackbone, SwinEncoder
from agrifm.models.agrifm.timeseries import Observed

Size = tuple[int, int]


Images = Mapping[str, Tensor | Observed | None]
"""By source: images (B, T, C, H, W) or an observed series; None where the source is absent."""


class MultiSourceEncoder(nn.Module):
    """One encoder per source, each with a backbone of its own, or one backbone for all."""

    def __init__(self, encoders: Mapping[str, SwinEncoder], backbone: SwinBackbone | None = None) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.backbone = backbone

    def forward(self, images: Images) -> dict[str, EncoderOutput]:
        """Features of each source that is present; other entries of `images` are ignored."""
        present = {source: encoder for source, encoder in self.encoders.items() if images[source] is not None}
        return {source: encoder(images[source], self.backbone) for source, encoder in present.items()}


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


def convolve_present(convolution: nn.Conv2d, parts: Sequence[Tensor | None], widths: Sequence[int]) -> Tensor:
    """A convolution of parts side by side on channels; a part that is absent counts like zeros and costs nothing.

    Args:
        parts: (B, C, H, W) each.
        widths: channels of each part.
    """
    present = torch.cat([part for part in parts if part is not None], dim=1)
    if all(part is not None for part in parts):
        found: Tensor = convolution(present)
        return found
    weights = torch.split(convolution.weight, list(widths), dim=1)
    weight = torch.cat([own for own, part in zip(weights, parts, strict=True) if part is not None], dim=1)
    return functional.conv2d(present, weight, convolution.bias, padding=convolution.padding)


class MultiFusionNeck(nn.Module):
    """From the coarse features of the sources to one map, doubled in size at each level with finer features.

    Level 0 takes the last-but-one entry of each source's `features_list`, the last level its first: with three
    levels the entries 2, 1, 0. The sizes follow from the size of the start, not from the finer features, which
    are resized to fit.

    Args:
        width: channels of the neck; there is no projection, so every source's `encoder_features` have as many.
        sources: the sources whose `encoder_features` start the map.
        levels: per level, channels of the finer features of each source, in the order in which they are joined.
        gated: whether the sources are weighted where they meet.
    """

    def __init__(
        self, width: int, sources: Sequence[str], levels: Sequence[Mapping[str, int]], gated: bool = False
    ) -> None:
        super().__init__()
        self.width, self.sources = width, tuple(sources)
        self.levels = tuple(dict(level) for level in levels)
        several = len(self.sources) > 1
        self.in_conv = double_conv(len(self.sources) * width, width) if several else nn.Identity()
        self.fusion_list = nn.ModuleList(double_conv(width + sum(level.values()), width) for level in levels)
        self.out_conv = double_conv(width, width)
        meetings = [dict.fromkeys(self.sources, width), *self.levels]
        self.gates = nn.ModuleList(SourceGates(channels) for channels in meetings) if gated else None

    def forward(self, features: Mapping[str, EncoderOutput], feature_size: Size, out_size: Size) -> Tensor:
        """Fused features (B, width, *out_size).

        Args:
            features: per source that is present; at least one of those that start the map.
            feature_size: rows and columns of the start, to which all `encoder_features` are resized.
            out_size: rows and columns of the result.
        """
        return resize(self.joined(features, feature_size), out_size)

    def joined(self, features: Mapping[str, EncoderOutput], feature_size: Size) -> Tensor:
        """Fused features (B, width, H, W) at the size of the last level, which `forward` resizes."""
        coarse = {source: features[source].encoder_features for source in self.sources if source in features}
        start = self._meet(0, coarse, features, feature_size)
        x_BCHW = start[self.sources[0]] if isinstance(self.in_conv, nn.Identity) else None
        if isinstance(self.in_conv, nn.Sequential):
            parts = [start.get(source) for source in self.sources]
            x_BCHW = _double(self.in_conv, parts, [self.width] * len(parts))
        assert x_BCHW is not None
        for i, (level, fuse) in enumerate(zip(self.levels, self.fusion_list, strict=True)):
            H, W = x_BCHW.shape[-2:]
            finer = (2 * H, 2 * W)
            entry = len(self.levels) - 1 - i
            maps = {source: features[source].features_list[entry] for source in level if source in features}
            skips = self._meet(i + 1, maps, features, finer)
            assert isinstance(fuse, nn.Sequential)
            parts = [resize(x_BCHW, finer), *(skips.get(source) for source in level)]
            x_BCHW = _double(fuse, parts, [self.width, *level.values()])
        joined: Tensor = self.out_conv(x_BCHW)
        return joined

    def weights(self, features: Mapping[str, EncoderOutput], feature_size: Size) -> list[dict[str, Tensor]]:
        """Weights (B, 1, H, W) of the sources present, at the start and at each level; sizes as in `forward`."""
        coarse = {source: features[source].encoder_features for source in self.sources if source in features}
        found = [self._weights(0, coarse, features, feature_size)]
        for number, level in enumerate(self.levels, start=1):
            entry = len(self.levels) - number
            maps = {source: features[source].features_list[entry] for source in level if source in features}
            size = (feature_size[0] * 2**number, feature_size[1] * 2**number)
            found.append(self._weights(number, maps, features, size) if maps else {})
        return found

    def _weights(
        self, meeting: int, maps: Mapping[str, Tensor], features: Mapping[str, EncoderOutput], size: Size
    ) -> dict[str, Tensor]:
        assert self.gates is not None, "only gates weigh"
        counts = {source: often(features[source]) for source in maps}
        found: dict[str, Tensor] = self.gates[meeting](maps, counts, lambda _, score: resize(score, size))
        return found

    def _meet(
        self, meeting: int, maps: Mapping[str, Tensor], features: Mapping[str, EncoderOutput], size: Size
    ) -> dict[str, Tensor]:
        """Maps of the sources at one size, weighted."""
        met = {source: resize(own, size) for source, own in maps.items()}
        if self.gates is None or len(maps) < 2:
            return met
        weights = self._weights(meeting, maps, features, size)
        return {source: own * weights[source] for source, own in met.items()}


def _double(layers: nn.Sequential, parts: Sequence[Tensor | None], widths: Sequence[int]) -> Tensor:
    first, *rest = layers
    assert isinstance(first, nn.Conv2d)
    x_BCHW = convolve_present(first, parts, widths)
    for layer in rest:
        x_BCHW = layer(x_BCHW)
    return x_BCHW
