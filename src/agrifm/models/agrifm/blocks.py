"""What the stages of the encoder are made of: blocks of attention and perceptron, and the merging of tokens.

Shape letters: B samples, C channels, D H W the token grid (time steps, rows, columns), L tokens of some windows.
Between layers the channels come last. A block gives every token an addition that depends on its own window alone, so
it works on runs of windows: they are gathered, worked on while they are in the processor's cache, and put back.
"""

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.attention import SHIFT_MASK, STRICT, WindowAttention
from agrifm.models.agrifm.timeseries import Tokens, mean_of_pixels
from agrifm.models.agrifm.window_partition import Plan, Run, Triple, pad_end

LITTLE = 1e-6
"""Share of usable pixels that an unseen token counts for, where all that are merged are unseen."""


class DropPath(nn.Module):
    """Stochastic depth: in training, drop a sample's branch with probability `rate` and scale the kept ones."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def factors(self, x_BDHWC: Tensor) -> Tensor | None:
        """Factors (B,) of the branches of a batch; None = all are kept."""
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


class Reordered(torch.autograd.Function):
    """Rows in another order; the gradient is that of the inverse order, without sums."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(order, inverse)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        order, inverse = ctx.saved_tensors
        return reordered(gradients[0], inverse, order), None, None


def reordered(rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Rows in another order, which has an inverse."""
    found: Tensor = Reordered.apply(rows, order, inverse)  # type: ignore[no-untyped-call]  # torch's
    return found


class SwinBlock(nn.Module):
    """Window attention and a perceptron, each normalised before and added to its input."""

    def __init__(self, dim: int, heads: int, window: Triple, shift: Triple, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, int(dim * mlp_ratio))

    def forward(self, x_BDHWC: Tensor, window: Triple, plan: Plan, unseen: Tensor | None) -> Tensor:
        """The tokens (B, D, H, W, C) after the block; without gradients, the same tensor changed in place.

        Args:
            x_BDHWC: contiguous.
            window: the clamped window.
            plan: see `plan_windows`; one run where gradients are needed.
            unseen: (B D H W), added to the logits of every token's attention to these.
        """
        biases = self.attn.biases(window, plan.patterns, SHIFT_MASK if unseen is None else SHIFT_MASK * STRICT)
        kept = self.drop_path.factors(x_BDHWC), self.drop_path.factors(x_BDHWC)
        rows = x_BDHWC.view(-1, x_BDHWC.shape[-1])
        if torch.is_grad_enabled():
            (run,) = plan.runs
            done = self._on_run(reordered(rows, run.rows, plan.inverse), run, biases, unseen, kept)
            return reordered(done, plan.inverse, run.rows).view_as(x_BDHWC)
        for run in plan.runs:
            rows.index_copy_(0, run.rows, self._on_run(rows.index_select(0, run.rows), run, biases, unseen, kept))
        return x_BDHWC

    def _on_run(
        self,
        x_LC: Tensor,
        run: Run,
        biases: Sequence[Tensor],
        unseen: Tensor | None,
        kept: tuple[Tensor | None, Tensor | None],
    ) -> Tensor:
        unseen_L = None if unseen is None else unseen.index_select(0, run.rows)
        x_LC = _added(x_LC, self.attn(self.norm1(x_LC), run.pieces, biases, unseen_L), kept[0], run)
        return _added(x_LC, self.mlp(self.norm2(x_LC)), kept[1], run)


def _added(x_LC: Tensor, branch_LC: Tensor, kept_B: Tensor | None, run: Run) -> Tensor:
    if kept_B is None:
        return x_LC + branch_LC
    return x_LC + branch_LC * kept_B[run.sample][:, None].to(branch_LC.dtype)


class PatchMerging(nn.Module):
    """Four neighbouring tokens, averaged over `step` time steps, become one token of twice the channels."""

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
        # one time step after another, so that what lies between stays small
        merged = torch.stack([self._merged(frames) for frames in torch.split(x_BDHWC, self.step, dim=1)], dim=1)
        return Tokens(merged, None if share is None else mean_of_pixels(share, (2, 2)))

    def _merged(self, x_BSHWC: Tensor) -> Tensor:
        """One token grid (B, H / 2, W / 2, 2 C) of up to `step` time steps; those that lack count as zeros."""
        even_BSHWC = pad_end(x_BSHWC, (1, 2, 2))
        first, *rest = even_BSHWC.unbind(dim=1)
        mean_BHWC = sum(rest, first) / self.step if self.step > 1 else first
        # columns outermost: (row, column) phases come as (0, 0), (1, 0), (0, 1), (1, 1)
        phases = rearrange(mean_BHWC, "b (h p) (w q) c -> b h w (q p c)", p=2, q=2)
        out: Tensor = self.reduction(self.norm(phases))
        return out


def time_weights(share_BDHW: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Weights of the tokens that `step` by `step` become one, and the shares of these ones (B, D / step, H, W).

    Weights follow the shares and have a mean of 1 in each group, so that equal shares leave everything as it is.
    """
    D = share_BDHW.shape[1]
    padded = rearrange(functional.pad(share_BDHW, (0, 0, 0, 0, 0, -D % step)), "b (d s) h w -> b d s h w", s=step)
    real = (D - torch.arange(0, D, step, device=share_BDHW.device)).clamp(max=step)[:, None, None]
    mean = padded.sum(dim=2) / real
    weight = (padded + LITTLE) / (mean + LITTLE)[:, :, None]
    return rearrange(weight, "b d s h w -> b (d s) h w")[:, :D], mean
