"""From fused features to class scores. Shape letters: B samples, C channels, H W rows and columns."""

from torch import Tensor, nn


class SegmentationHead(nn.Module):
    """Two convolutions at the resolution of the map, halving the channels in between."""

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
