"""Space-time window attention, the core of the encoder.

Shape letters: B samples, M windows per sample, N tokens per window, C channels, A heads, K channels per head.
A grid is (D, H, W): time steps, rows, columns of tokens. Tokens of a window are numbered time first, then rows,
then columns.

The operation is that of the public AgriFM code (Video Swin), including two habits that its trained weights depend on:

* `SHIFT_MASK = -100`: tokens that the cyclic shift brought together from opposite edges are discouraged, not
  forbidden.
* the *top-left-corner index*: a window that is clamped to a small grid reads the first N rows and columns of the
  position index of the full window. That is right when only time shrank; when rows or columns shrank, the biases
  belong to other offsets than the tokens have, always the same ones. Weights of our own may have the `exact` index.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

Triple = tuple[int, int, int]

SHIFT_MASK = -100.0
UNSEEN_MASK = -100.0
"""Added to the logits of tokens without a usable pixel."""
STRICT = 10.0
"""Beside unseen tokens the shift mask weighs so much more: those of one's own region come before those of another."""


def clamp_window(grid: Triple, window: Triple, shift: Triple) -> tuple[Triple, Triple]:
    """Window and shift that fit the grid: an axis no longer than the window is one window and is not shifted."""
    d, h, w = (
        (size, 0) if size <= side else (side, step) for size, side, step in zip(grid, window, shift, strict=True)
    )
    return (d[0], h[0], w[0]), (d[1], h[1], w[1])


def cut_windows(x_BDHWC: Tensor, window: Triple) -> Tensor:
    """Windows of a grid whose axes are multiples of the window, (B M) N C, the windows of a sample together."""
    d, h, w = window
    return rearrange(
        x_BDHWC,
        "b (nd d) (nh h) (nw w) c -> (b nd nh nw) (d h w) c",
        d=d,
        h=h,
        w=w,
    )


def paste_windows(x_BMNC: Tensor, window: Triple, grid: Triple) -> Tensor:
    """The inverse of `cut_windows`: the grid (B, D, H, W, C)."""
    (d, h, w), (D, H, W) = window, grid
    return rearrange(
        x_BMNC,
        "(b nd nh nw) (d h w) c -> b (nd d) (nh h) (nw w) c",
        nd=D // d,
        nh=H // h,
        nw=W // w,
        d=d,
        h=h,
        w=w,
    )


def relative_position_index(window: Triple) -> Tensor:
    """Row of the bias table for each pair of tokens of a window, (N, N) int64.

    Row of an offset (dd, dh, dw): (dd + D - 1)(2H - 1)(2W - 1) + (dh + H - 1)(2W - 1) + (dw + W - 1).
    """
    D, H, W = window
    place_3N = torch.cartesian_prod(torch.arange(D), torch.arange(H), torch.arange(W)).reshape(-1, 3).T
    dd, dh, dw = (place_3N[:, :, None] - place_3N[:, None, :]).unbind()
    return ((dd + D - 1) * (2 * H - 1) + dh + H - 1) * (2 * W - 1) + dw + W - 1


def shift_mask(grid: Triple, window: Triple, shift: Triple, device: torch.device) -> Tensor:
    """What to add to the logits of shifted windows, (M, N, N) float32: 0, or -100 between separate regions.

    Args:
        grid: the padded grid, multiples of `window`.
        window: the clamped window.
        shift: the clamped shift; an axis with shift 0 is one region.
        device: where the mask is needed.
    """
    regions = []
    for size, side, step in zip(grid, window, shift, strict=True):
        cell = torch.arange(size, device=device)
        in_last_window = (cell >= size - side).long()
        wrapped = (cell >= size - step).long()
        regions.append(in_last_window + wrapped if step else torch.zeros_like(cell))
    d, h, w = regions
    region_DHW = 9 * d[:, None, None] + 3 * h[:, None] + w
    region_MN = cut_windows(region_DHW[None, ..., None], window).squeeze(-1)
    return (region_MN[:, :, None] != region_MN[:, None, :]).float() * SHIFT_MASK


class WindowAttention(nn.Module):
    """Attention among the tokens of one window, plus a learned bias for relative position."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: Triple, exact: bool = False) -> None:
        super().__init__()
        self.heads, self.window, self.exact = heads, window, exact
        self.scale = (dim // heads) ** -0.5
        D, H, W = window
        offsets = (2 * D - 1) * (2 * H - 1) * (2 * W - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def position_bias(self, window: Triple) -> Tensor:
        """Bias of a (clamped) window, (A, N, N), by the top-left-corner index or, where `exact`, by the true offsets.

        The look-up is an embedding because its gradient, unlike that of indexing, is summed in a fixed order.
        """
        d, h, w = window
        tokens = d * h * w
        if self.exact:
            by_axis = self.relative_position_index.reshape(*self.window, *self.window)
            index_NN = by_axis[:d, :h, :w, :d, :h, :w].reshape(tokens, tokens)
        else:
            index_NN = self.relative_position_index[:tokens, :tokens]
        return functional.embedding(index_NN, self.relative_position_bias_table).permute(2, 0, 1)

    def forward(
        self, x_BMNC: Tensor, window: Triple, mask_MNN: Tensor | None = None, key_BMN: Tensor | None = None
    ) -> Tensor:
        """softmax(Q K^T / sqrt(K) + bias + mask) V, projected.

        Args:
            x_BMNC: (B M) N C, the windows of a sample together.
            window: the clamped window; N tokens.
            mask_MNN: see `shift_mask`; the same for every sample.
            key_BMN: (B M) N, added to the logits of every token's attention to these.

        Returns:
            (B M) N C.
        """
        q, k, v = rearrange(self.qkv(x_BMNC), "m n (three a k) -> three m a n k", three=3, a=self.heads)
        logits = (q * self.scale) @ k.transpose(-2, -1)
        logits = logits + self.position_bias(window)
        if mask_MNN is not None:
            by_sample = rearrange(logits, "(b m) a n o -> b m a n o", m=len(mask_MNN))
            logits = rearrange(by_sample + mask_MNN[:, None], "b m a n o -> (b m) a n o")
        if key_BMN is not None:
            logits = logits + key_BMN[:, None, None]
        mixed = rearrange(logits.softmax(dim=-1) @ v, "m a n k -> m n (a k)")
        projected: Tensor = self.proj(mixed)
        return projected
