"""The parts of an encoder stage: blocks of attention and perceptron, and the merging of tokens.

Shape letters: B samples, C channels, D H W the token grid (time steps, rows, columns), L tokens of some windows.
Between layers the channels come last. Within a block a token depends on its own window only, so the block works on
chunks of windows: it gathers their tokens, processes them while they are in the processor's cache, and puts them back.
"""

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.attention import SHIFT_MASK, SHIFT_MASK_FACTOR, WindowAttention
from agrifm.models.agrifm.timeseries import Tokens, mean_of_pixels
from agrifm.models.agrifm.window_partition import Triple, WindowChunk, WindowPlan, pad_end

EMPTY_TOKEN_WEIGHT = 1e-6
"""Weight of a token without a usable pixel. It keeps the weights of a group defined in which every token is empty."""


class DropPath(nn.Module):
    """Stochastic depth: in training, drop a sample's branch with probability `rate` and scale the others up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def factors(self, x_BDHWC: Tensor) -> Tensor | None:
        """Factor of the branch of each sample (B,); None = all are kept as they are."""
        if not self.training or self.rate == 0:
            return None
        keep = 1 - self.rate
        return x_BDHWC.new_empty(len(x_BDHWC)).bernoulli_(keep) / keep

    def forward(self, x_BDHWC: Tensor) -> Tensor:
        kept_B = self.factors(x_BDHWC)
        return x_BDHWC if kept_B is None else x_BDHWC * kept_B[:, None, None, None, None]


class MLP(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class ReorderRows(torch.autograd.Function):
    """Reorder rows; the backward pass gathers by the inverse order, where that of indexing would add up rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(order, inverse)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        order, inverse = ctx.saved_tensors
        return reorder_rows(gradients[0], inverse, order), None, None


def reorder_rows(rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Return the rows in another order; `inverse` is the order that leads back."""
    ordered: Tensor = ReorderRows.apply(rows, order, inverse)  # type: ignore[no-untyped-call]  # torch's
    return ordered


class SwinBlock(nn.Module):
    """Window attention and a perceptron; each reads its normalised input and is added to it."""

    def __init__(self, dim: int, heads: int, window: Triple, shift: Triple, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, int(dim * mlp_ratio))

    def forward(self, x_BDHWC: Tensor, window: Triple, plan: WindowPlan, empty: Tensor | None) -> Tensor:
        """Return the tokens (B, D, H, W, C) after the block; without gradients, the same tensor changed in place.

        Args:
            x_BDHWC: contiguous.
            window: the clamped window.
            plan: see `plan_windows`; a single chunk if gradients are needed.
            empty: (B D H W), mask of the empty tokens, added to the logits of every query for them.
        """
        # the same for all chunks, so they are made once
        biases = self.attn.biases(
            window, plan.patterns, SHIFT_MASK if empty is None else SHIFT_MASK * SHIFT_MASK_FACTOR
        )
        # two draws: one for the attention branch, one for the perceptron
        kept = self.drop_path.factors(x_BDHWC), self.drop_path.factors(x_BDHWC)
        rows = x_BDHWC.view(-1, x_BDHWC.shape[-1])
        if torch.is_grad_enabled():
            # one chunk for the whole batch: autograd would copy the grid for every chunk that is put back
            (chunk,) = plan.chunks
            block_out = self._on_chunk(reorder_rows(rows, chunk.rows, plan.inverse), chunk, biases, empty, kept)
            return reorder_rows(block_out, plan.inverse, chunk.rows).view_as(x_BDHWC)
        for chunk in plan.chunks:
            # in place, because no other window of this block reads these tokens
            rows.index_copy_(
                0, chunk.rows, self._on_chunk(rows.index_select(0, chunk.rows), chunk, biases, empty, kept)
            )
        return x_BDHWC

    def _on_chunk(
        self,
        x_LC: Tensor,
        chunk: WindowChunk,
        biases: Sequence[Tensor],
        empty: Tensor | None,
        kept: tuple[Tensor | None, Tensor | None],
    ) -> Tensor:
        empty_L = None if empty is None else empty.index_select(0, chunk.rows)
        x_LC = _added(x_LC, self.attn(self.norm1(x_LC), chunk.groups, biases, empty_L), kept[0], chunk)
        return _added(x_LC, self.mlp(self.norm2(x_LC)), kept[1], chunk)


def _added(x_LC: Tensor, branch_LC: Tensor, kept_B: Tensor | None, chunk: WindowChunk) -> Tensor:
    if kept_B is None:
        return x_LC + branch_LC
    # whole samples are dropped, and a chunk has tokens of several
    return x_LC + branch_LC * kept_B[chunk.sample][:, None].to(branch_LC.dtype)


class PatchMerging(nn.Module):
    """Merge 2 x 2 neighbouring tokens, averaged over `step` time steps, into one token of twice the channels."""

    def __init__(self, dim: int, step: int) -> None:
        super().__init__()
        self.step = step
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, tokens: Tokens) -> Tokens:
        x_BDHWC, share = tokens
        if share is not None:
            weight, share = time_weights(share, self.step)
            x_BDHWC = x_BDHWC * weight[..., None]
        # one time step after another, so that intermediate results stay small
        merged = torch.stack([self._merged(frames) for frames in torch.split(x_BDHWC, self.step, dim=1)], dim=1)
        return Tokens(merged, None if share is None else mean_of_pixels(share, (2, 2)))

    def _merged(self, x_BSHWC: Tensor) -> Tensor:
        """One token grid (B, H / 2, W / 2, 2 C) of up to `step` time steps; missing ones count as zeros."""
        even_BSHWC = pad_end(x_BSHWC, (1, 2, 2))
        first, *rest = even_BSHWC.unbind(dim=1)
        # divided by `step` also if frames are missing at the end: they count as zeros
        mean_BHWC = sum(rest, first) / self.step if self.step > 1 else first
        # columns outermost: (row, column) phases come as (0, 0), (1, 0), (0, 1), (1, 1)
        phases = rearrange(mean_BHWC, "b (h p) (w q) c -> b h w (q p c)", p=2, q=2)
        out: Tensor = self.reduction(self.norm(phases))
        return out


def time_weights(share_BDHW: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Weights (B, D, H, W) for merging `step` time steps into one, and the merged shares (B, D / step, H, W).

    Weights are proportional to the shares of usable pixels, with a mean of 1 in each group, so that equal shares leave
    every token as it is.
    """
    D = share_BDHW.shape[1]
    padded = rearrange(functional.pad(share_BDHW, (0, 0, 0, 0, 0, -D % step)), "b (d s) h w -> b d s h w", s=step)
    # the last group may be shorter than `step`
    real = (D - torch.arange(0, D, step, device=share_BDHW.device)).clamp(max=step)[:, None, None]
    mean = padded.sum(dim=2) / real
    # an empty group gets equal weights: (0 + w) / (0 + w) = 1
    weight = (padded + EMPTY_TOKEN_WEIGHT) / (mean + EMPTY_TOKEN_WEIGHT)[:, :, None]
    return rearrange(weight, "b d s h w -> b (d s) h w")[:, :D], mean
