"""Space-time window attention, the core of the encoder.

Shape letters: M windows, N cells per window, R real tokens among them, S keys, L tokens of all windows, C channels,
A heads, K channels per head. Tokens of a window are numbered time first, then rows, then columns.

The numbers are those of the public AgriFM code (Video Swin; `agrifm.models.agrifm.reference` spells it out), including
three habits that its trained weights depend on:

* `SHIFT_MASK = -100`: tokens that the cyclic shift brought together from opposite edges are discouraged, not
  forbidden.
* the *top-left-corner index*: a window that is clamped to a small grid reads the first N rows and columns of the
  position index of the full window. That is right when only time shrank; when rows or columns shrank, the biases
  belong to other offsets than the tokens have, always the same ones.
* padding is attended. Its tokens are zeros, so all have the bias of `qkv` as key and value: together they weigh as one
  key whose logit is the logarithm of the sum of theirs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from agrifm.models.agrifm.window_partition import Pattern, Piece, Triple

SHIFT_MASK = -100.0
UNSEEN_MASK = -100.0
"""Added to the logits of tokens without a usable pixel."""
STRICT = 10.0
"""Beside unseen tokens the shift mask weighs so much more: those of one's own region come before those of another."""
LOGITS = 2**21
"""Logits computed at a time in the backward pass."""


def relative_position_index(window: Triple) -> Tensor:
    """Row of the bias table for each pair of tokens of a window, (N, N) int64.

    Row of an offset (dd, dh, dw): (dd + D - 1)(2H - 1)(2W - 1) + (dh + H - 1)(2W - 1) + (dw + W - 1).
    """
    D, H, W = window
    place_3N = torch.cartesian_prod(torch.arange(D), torch.arange(H), torch.arange(W)).reshape(-1, 3).T
    dd, dh, dw = (place_3N[:, :, None] - place_3N[:, None, :]).unbind()
    return ((dd + D - 1) * (2 * H - 1) + dh + H - 1) * (2 * W - 1) + dw + W - 1


class WindowAttention(nn.Module):
    """Attention among the tokens of one window, plus a learned bias for relative position."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: Triple) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        D, H, W = window
        offsets = (2 * D - 1) * (2 * H - 1) * (2 * W - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def position_bias(self, window: Triple) -> Tensor:
        """Bias of a (clamped) window, (A, N, N), by the top-left-corner index.

        The look-up is an embedding because its gradient, unlike that of indexing, is summed in a fixed order.
        """
        d, h, w = window
        tokens = d * h * w
        index_NN = self.relative_position_index[:tokens, :tokens]
        return functional.embedding(index_NN, self.relative_position_bias_table).permute(2, 0, 1)

    def biases(self, window: Triple, patterns: Sequence[Pattern], apart: float = SHIFT_MASK) -> list[Tensor]:
        """What is added to the logits in the windows of each pattern, (A, R, S): S = R real tokens, and the padding.

        Args:
            window: the clamped window.
            patterns: of the windows.
            apart: added between separate regions.
        """
        bias_ANN = self.position_bias(window).contiguous()
        found = []
        for pattern in patterns:
            padded = pattern.real < len(pattern.cells)
            bias_ARN = bias_ANN
            if padded:
                bias_ARN = bias_ANN.index_select(1, pattern.cells[: pattern.real]).index_select(2, pattern.cells)
            if pattern.apart is not None:
                bias_ARN = bias_ARN + apart * pattern.apart
            if padded:
                padding_AR1 = bias_ARN[..., pattern.real :].logsumexp(dim=-1, keepdim=True)
                bias_ARN = torch.cat([bias_ARN[..., : pattern.real], padding_AR1], dim=-1)
            found.append(bias_ARN)
        return found

    def forward(
        self, x_LC: Tensor, pieces: Sequence[Piece], biases: Sequence[Tensor], unseen_L: Tensor | None = None
    ) -> Tensor:
        """softmax(Q K^T / sqrt(K) + bias) V, projected, of the windows of all pieces.

        Args:
            x_LC: real tokens, window by window.
            pieces: which windows they are.
            biases: see `biases`.
            unseen_L: added to the logits of every token's attention to these.

        Returns:
            (L, C), in the order of `x_LC`.
        """
        lengths = [windows * biases[pattern].shape[1] for pattern, windows in pieces]
        unseen = [None] * len(pieces) if unseen_L is None else torch.split(unseen_L, lengths)
        mixed = []
        for (pattern, windows), own_LE, unseen_l in zip(
            pieces, torch.split(self.qkv(x_LC), lengths), unseen, strict=True
        ):
            bias_ARS = biases[pattern]
            tokens, keys = bias_ARS.shape[1:]
            qkv = own_LE.view(windows, tokens, 3, self.heads, -1)
            q_MARK, k_MASK, v_MASK = qkv.permute(2, 0, 3, 1, 4)
            if keys > tokens:
                k_MASK, v_MASK = self._with_padding(k_MASK, 1), self._with_padding(v_MASK, 2)
            unseen_MS = None
            if unseen_l is not None:
                unseen_MR = unseen_l.view(windows, tokens).to(qkv.dtype)
                unseen_MS = functional.pad(unseen_MR, (0, keys - tokens))
            out_MARK = fused_attention(q_MARK, k_MASK, v_MASK, bias_ARS.to(qkv.dtype), unseen_MS)
            mixed.append(out_MARK.transpose(1, 2).reshape(windows * tokens, -1))
        projected: Tensor = self.proj(torch.cat(mixed) if len(mixed) > 1 else mixed[0])
        return projected

    def _with_padding(self, part_MARK: Tensor, number: int) -> Tensor:
        """Keys (number 1) or values (2) with that of the padding behind them."""
        M, A, _, K = part_MARK.shape
        own_AK = self.qkv.bias.view(3, A, K)[number].to(part_MARK.dtype)
        return torch.cat([part_MARK, own_AK[:, None].expand(M, A, 1, K)], dim=2)


def fused_attention(
    q_MARK: Tensor, k_MASK: Tensor, v_MASK: Tensor, bias_ARS: Tensor, unseen_MS: Tensor | None
) -> Tensor:
    """softmax(Q K^T / sqrt(K) + bias + unseen) V, (M, A, R, K).

    Args:
        q_MARK: queries.
        k_MASK: keys.
        v_MASK: values.
        bias_ARS: added to the logits of every window.
        unseen_MS: added to the logits of every query's attention to these keys; None = nothing. No gradient.
    """
    learns = torch.is_grad_enabled() and bias_ARS.requires_grad
    if learns and q_MARK.device.type == "cpu":
        found: Tensor = FusedAttention.apply(q_MARK, k_MASK, v_MASK, bias_ARS, unseen_MS)  # type: ignore[no-untyped-call]  # torch's
        return found
    return functional.scaled_dot_product_attention(q_MARK, k_MASK, v_MASK, attn_mask=_mask(bias_ARS, unseen_MS))


def _mask(bias_ARS: Tensor, unseen_MS: Tensor | None) -> Tensor:
    return bias_ARS[None] if unseen_MS is None else bias_ARS + unseen_MS[:, None, None]


class FusedAttention(torch.autograd.Function):
    """The library's forward pass; a backward pass that gives the biases their gradient, summed in a fixed order."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, unseen: Tensor | None) -> Tensor:
        # biases that ask for a gradient would lead the library away from its fused kernel
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=_mask(bias.detach(), unseen))
        ctx.save_for_backward(q, k, v, bias, unseen, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        q, k, v, bias, unseen, out = ctx.saved_tensors
        (gradient,) = gradients
        # sums of half precision are taken in full
        exact = torch.promote_types(q.dtype, torch.float32)
        scale = q.shape[-1] ** -0.5
        bias_exact = bias.to(exact)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        to_bias = torch.zeros_like(bias_exact)
        step = max(1, LOGITS // bias.numel())
        for first in range(0, len(q), step):
            few = slice(first, first + step)
            own_q, own_k, own_v, own_out, own_gradient = (x[few].to(exact) for x in (q, k, v, out, gradient))
            logits = torch.matmul(own_q * scale, own_k.transpose(-2, -1)).add_(bias_exact)
            if unseen is not None:
                logits.add_(unseen[few, None, None])
            weight = logits.softmax(dim=-1)
            to_v = torch.matmul(weight.transpose(-2, -1), own_gradient)
            to_logits = torch.matmul(own_gradient, own_v.transpose(-2, -1))
            to_logits.sub_((own_gradient * own_out).sum(dim=-1, keepdim=True)).mul_(weight)
            to_bias.add_(to_logits.sum(dim=0))
            to_q = torch.matmul(to_logits, own_k).mul_(scale)
            to_k = torch.matmul(to_logits.transpose(-2, -1), own_q).mul_(scale)
            parts.append((to_q, to_k, to_v))
        to_q, to_k, to_v = (torch.cat(each).to(q.dtype) for each in zip(*parts, strict=True))
        return to_q, to_k, to_v, to_bias.to(bias.dtype), None
