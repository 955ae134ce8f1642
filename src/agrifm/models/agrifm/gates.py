"""How much each source counts at each place, by its content and by how often it saw the place.

A source's weight is n times its share among the n sources that are present, so that all begin at exactly 1.

Shape letters: B samples, C channels, H W rows and columns.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.swin3d import EncoderOutput

Place = Callable[[str, Tensor], Tensor]
"""Brings a map of a source onto the grid where the sources meet."""


def often(output: EncoderOutput) -> Tensor:
    """Usable observations of each pixel of a source (B, 1, H, W)."""
    assert output.often is not None, "an encoder counts what it saw"
    return output.often


class SourceGates(nn.Module):
    """Weights of the sources where their features meet.

    Args:
        channels: of each source's features.
    """

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.score = nn.ModuleDict({source: nn.Conv2d(count + 1, 1, 1) for source, count in channels.items()})
        for layer in self.score.values():
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Mapping[str, Tensor], counts: Mapping[str, Tensor], place: Place) -> dict[str, Tensor]:
        """Weights (B, 1, H, W) of the sources that are present, on the grid where they meet.

        Args:
            maps: features (B, C, h, w) of each source that is present, on its own grid.
            counts: usable observations (B, 1, ., .) of each of their pixels.
        """
        scores = []
        for source, own in maps.items():
            height, width = own.shape[-2:]
            seen = functional.adaptive_avg_pool2d(counts[source].log1p(), (height, width))
            scores.append(place(source, self.score[source](torch.cat([own, seen.to(own.dtype)], dim=1))))
        weights = len(scores) * torch.stack(scores).softmax(dim=0)
        return dict(zip(maps, weights.unbind(), strict=True))
