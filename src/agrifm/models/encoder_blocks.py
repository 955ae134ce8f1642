"""Blocks of plain transformer encoders with attention masks: normalise, attend, add; normalise, transform, add.

Shape letters: B sequences, N tokens, C channels, A heads, D channels per head.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional


class MaskedAttention(nn.Module):
    """Attention among all tokens of a sequence that are not masked (Vaswani et al. 2017, section 3.2.2).

    The projections of query, key and value are one matrix `qkv`, or three (`q`, `k`, `v`), as weights have them.
    """

    def __init__(self, dim: int, heads: int, joint: bool = True) -> None:
        super().__init__()
        self.heads, self.joint = heads, joint
        if joint:
            self.qkv = nn.Linear(dim, 3 * dim)
        else:
            self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x_BNC: Tensor, mask_B11N: Tensor | None) -> Tensor:
        """Return (B, N, C).

        Args:
            mask_B11N: (B, 1, 1, N) bool, False for tokens to which none attends; a sequence has at least one True.
        """
        parts = self.qkv(x_BNC).chunk(3, dim=-1) if self.joint else (self.q(x_BNC), self.k(x_BNC), self.v(x_BNC))
        q, k, v = (rearrange(part, "b n (a d) -> b a n d", a=self.heads) for part in parts)
        out_BAND = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask_B11N)
        result: Tensor = self.proj(rearrange(out_BAND, "b a n d -> b n (a d)"))
        return result


class FeedForward(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of the input."""
        result: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return result


class EncoderBlock(nn.Module):
    """A pre-norm block of a vision transformer (Dosovitskiy et al. 2021, eqs. 2 and 3)."""

    def __init__(
        self, dim: int, heads: int, ratio: float = 4.0, joint: bool = True, drop_path: float = 0.0, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.drop_path, self.drop = drop_path, drop
        self.norm1, self.attn = nn.LayerNorm(dim), MaskedAttention(dim, heads, joint)
        self.norm2, self.mlp = nn.LayerNorm(dim), FeedForward(dim, round(dim * ratio))

    def forward(self, x_BNC: Tensor, mask_B11N: Tensor | None = None) -> Tensor:
        """Return (B, N, C); see `MaskedAttention`."""
        x_BNC = x_BNC + self._dropped(self.attn(self.norm1(x_BNC), mask_B11N))
        return x_BNC + self._dropped(self.mlp(self.norm2(x_BNC)))

    def _dropped(self, x_BNC: Tensor) -> Tensor:
        """Drop numbers, and whole sequences, at random in training; a block that is not trained drops none."""
        if not self.training or not self.norm1.weight.requires_grad:
            return x_BNC
        x_BNC = functional.dropout(x_BNC, self.drop)
        kept = 1 - self.drop_path
        if kept == 1:
            return x_BNC
        return x_BNC * (torch.rand(x_BNC.shape[0], 1, 1, device=x_BNC.device) < kept) / kept


def usable_keys(present_BN: Tensor) -> Tensor:
    """Return the mask of attention (B, 1, 1, N): tokens that are present; all, in a sequence that has none.

    Attention over no token is not a number; such a sequence has no token that counts afterwards.
    """
    return (present_BN | ~present_BN.any(dim=1, keepdim=True))[:, None, None]


def present_first(x_BNC: Tensor, present_BN: Tensor) -> tuple[Tensor, Tensor]:
    """Return the tokens that are present first, in their order, and without those that every sequence lacks behind.

    Attention and means over the tokens that are present are the same; the longest sequence decides the work.
    """
    if torch.compiler.is_compiling():  # an exported graph has one shape
        return x_BNC, present_BN
    longest = max(1, int(present_BN.sum(dim=1).max()))
    if longest == present_BN.shape[1]:
        return x_BNC, present_BN
    order_BN = present_BN.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :longest]
    tokens = x_BNC.gather(1, order_BN[..., None].expand(-1, -1, x_BNC.shape[-1]))
    return tokens, present_BN.gather(1, order_BN)


def mean_of_present(x_BNC: Tensor, present_BN: Tensor) -> Tensor:
    """Return the mean of the tokens that are present (B, C); 0 in a sequence that has none."""
    weight = present_BN.to(x_BNC.dtype)[..., None]
    return (x_BNC * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def sinusoids(position: Tensor, dim: int, longest: float = 10_000.0) -> Tensor:
    """Return sines and then cosines of positions (..., dim) (Vaswani et al. 2017, section 3.5).

    Args:
        position: any shape, in any unit.
        dim: an even number; frequency i of dim / 2 is `longest` ** (-2 i / dim).
        longest: ratio of the longest to the shortest period, approached with growing dim.
    """
    order = torch.arange(dim // 2, dtype=torch.float64, device=position.device)
    angle = position.to(torch.float64)[..., None] * longest ** (-2 * order / dim)
    return torch.cat([angle.sin(), angle.cos()], dim=-1).float()
