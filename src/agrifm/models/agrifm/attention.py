"""Space-time window attention, the core of the encoder, and its fused kernel.

Shape letters: M windows, N cells per window, R real tokens (queries) among them, S keys, L tokens of all windows,
C channels, A heads, K channels per head. Tokens of a window are numbered time first, then rows, then columns.

The numbers are those of the public AgriFM code (Video Swin; `agrifm.models.agrifm.reference` spells it out), including
three habits that its trained weights depend on:

* `SHIFT_MASK` is -100 and not minus infinity: tokens that the cyclic shift brought together from opposite edges are
  discouraged, not forbidden.
* A window that is clamped to a small grid reads the *top left corner* of the position index of the full window: its
  first N rows and columns. That is right if only time shrank. If rows or columns shrank, the biases belong to other
  offsets than the tokens have, but always to the same ones, and the weights were trained with them.
* Padding is attended. Its tokens are zeros after the normalisation, so each has the bias of `qkv` as key and value.
  All of them together weigh as one key whose logit is the logarithm of the sum of their exponentials.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from agrifm.models.agrifm.window_partition import PatternWindows, Triple, WindowPattern

SHIFT_MASK = -100.0
"""Added to the logits of tokens that were not neighbours before the shift, as in the public code."""
EMPTY_TOKEN_MASK = -100.0
"""Added to the logits of tokens without a usable pixel; finite, so that windows of empty tokens have a softmax too."""
SHIFT_MASK_FACTOR = 10.0
"""Factor on the shift mask in series with empty tokens. An empty token of the same region (-100) ranks before a token
of another region (-1000), so that a region of empty tokens does not attend to the opposite edge."""
MAX_LOGITS_AT_ONCE = 2**21
"""Logits that the backward pass computes at once: 8 MiB in float32, about what the processor's cache holds."""


def relative_position_index(window: Triple) -> Tensor:
    """Row of the bias table for each pair of tokens of a window, (N, N) int64.

    The table holds one learned bias per head for every offset between two tokens, so pairs with equal offsets share it.
    Row of an offset (dd, dh, dw): (dd + D - 1)(2H - 1)(2W - 1) + (dh + H - 1)(2W - 1) + (dw + W - 1).
    """
    D, H, W = window
    position_3N = torch.cartesian_prod(torch.arange(D), torch.arange(H), torch.arange(W)).reshape(-1, 3).T
    dd, dh, dw = (position_3N[:, :, None] - position_3N[:, None, :]).unbind()
    # size - 1 is added, so that the smallest offset of an axis is 0
    return ((dd + D - 1) * (2 * H - 1) + dh + H - 1) * (2 * W - 1) + dw + W - 1


class WindowAttention(nn.Module):
    """Attention among the tokens of one window, plus a learned bias for relative position."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: Triple) -> None:
        super().__init__()
        self.heads = heads
        # PyTorch's kernel scales by itself; the reference implementation reads this
        self.scale = (dim // heads) ** -0.5
        D, H, W = window
        offsets = (2 * D - 1) * (2 * H - 1) * (2 * W - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def position_bias(self, window: Triple) -> Tensor:
        """Position bias of a (clamped) window, (A, N, N), from the top left corner of the index."""
        d, h, w = window
        tokens = d * h * w
        index_NN = self.relative_position_index[:tokens, :tokens]
        # an embedding, because its gradient is summed in a fixed order, unlike that of indexing
        return functional.embedding(index_NN, self.relative_position_bias_table).permute(2, 0, 1)

    def biases(self, window: Triple, patterns: Sequence[WindowPattern], apart: float = SHIFT_MASK) -> list[Tensor]:
        """Bias and shift mask of the windows of each pattern, (A, R, S): S = R real tokens and one key for all padding.

        Args:
            window: the clamped window.
            patterns: of the windows.
            apart: added between separate regions.
        """
        bias_ANN = self.position_bias(window).contiguous()
        biases = []
        for pattern in patterns:
            padded = pattern.real < len(pattern.cells)
            bias_ARN = bias_ANN
            if padded:
                bias_ARN = bias_ANN.index_select(1, pattern.cells[: pattern.real]).index_select(2, pattern.cells)
            if pattern.apart is not None:
                bias_ARN = bias_ARN + apart * pattern.apart
            if padded:
                # all padding has the same key and value: one key with the sum of the weights is equal, and cheaper
                padding_AR1 = bias_ARN[..., pattern.real :].logsumexp(dim=-1, keepdim=True)
                bias_ARN = torch.cat([bias_ARN[..., : pattern.real], padding_AR1], dim=-1)
            biases.append(bias_ARN)
        return biases

    def forward(
        self, x_LC: Tensor, groups: Sequence[PatternWindows], biases: Sequence[Tensor], empty_L: Tensor | None = None
    ) -> Tensor:
        """Compute softmax(Q K^T / sqrt(K) + bias) V and its projection for the windows of all groups.

        Args:
            x_LC: real tokens, window by window.
            groups: the windows of each pattern, in the order of `x_LC`.
            biases: see `biases`.
            empty_L: added to the logits of every query for these keys; the mask of empty tokens.

        Returns:
            (L, C), in the order of `x_LC`.
        """
        # a group of alike windows is one call of the kernel, with one bias for all
        lengths = [windows * biases[pattern].shape[1] for pattern, windows in groups]
        empty = [None] * len(groups) if empty_L is None else torch.split(empty_L, lengths)
        mixed = []
        for (pattern, windows), qkv_LE, empty_l in zip(
            groups, torch.split(self.qkv(x_LC), lengths), empty, strict=True
        ):
            bias_ARS = biases[pattern]
            tokens, keys = bias_ARS.shape[1:]
            qkv = qkv_LE.view(windows, tokens, 3, self.heads, -1)
            # (3, M, A, R, K): three views of one tensor
            q_MARK, k_MASK, v_MASK = qkv.permute(2, 0, 3, 1, 4)
            if keys > tokens:
                k_MASK, v_MASK = self._with_padding(k_MASK, 1), self._with_padding(v_MASK, 2)
            empty_MS = None
            if empty_l is not None:
                empty_MR = empty_l.view(windows, tokens).to(qkv.dtype)
                # the key of the padding is never masked
                empty_MS = functional.pad(empty_MR, (0, keys - tokens))
            out_MARK = fused_attention(q_MARK, k_MASK, v_MASK, bias_ARS.to(qkv.dtype), empty_MS)
            mixed.append(out_MARK.transpose(1, 2).reshape(windows * tokens, -1))
        projected: Tensor = self.proj(torch.cat(mixed) if len(mixed) > 1 else mixed[0])
        return projected

    def _with_padding(self, part_MARK: Tensor, part: int) -> Tensor:
        """Append the padding to keys (part 1) or values (part 2): the bias of `qkv`, as padding is zero."""
        M, A, _, K = part_MARK.shape
        bias_AK = self.qkv.bias.view(3, A, K)[part].to(part_MARK.dtype)
        return torch.cat([part_MARK, bias_AK[:, None].expand(M, A, 1, K)], dim=2)


def fused_attention(
    q_MARK: Tensor, k_MASK: Tensor, v_MASK: Tensor, bias_ARS: Tensor, empty_MS: Tensor | None
) -> Tensor:
    """softmax(Q K^T / sqrt(K) + bias + empty) V, (M, A, R, K), without a stored matrix of logits.

    PyTorch's fused kernel runs only if the biases need no gradient. On a processor, where the biases learn,
    `FusedAttention` takes its place: the forward pass is PyTorch's; the backward pass computes the logits again, a few
    windows at a time, so that they stay in the cache.

    Args:
        q_MARK: queries.
        k_MASK: keys.
        v_MASK: values.
        bias_ARS: added to the logits of every window.
        empty_MS: added to the logits of every query for these keys, without gradient; None = nothing.
    """
    learns = torch.is_grad_enabled() and bias_ARS.requires_grad
    if learns and q_MARK.device.type == "cpu":
        mixed: Tensor = FusedAttention.apply(q_MARK, k_MASK, v_MASK, bias_ARS, empty_MS)  # type: ignore[no-untyped-call]  # torch's
        return mixed
    return functional.scaled_dot_product_attention(q_MARK, k_MASK, v_MASK, attn_mask=_mask(bias_ARS, empty_MS))


def _mask(bias_ARS: Tensor, empty_MS: Tensor | None) -> Tensor:
    # biases are for all windows, the mask of empty tokens for all heads and queries
    return bias_ARS[None] if empty_MS is None else bias_ARS + empty_MS[:, None, None]


class FusedAttention(torch.autograd.Function):
    """PyTorch's forward pass; a backward pass that gives the biases their gradient, summed in a fixed order."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, empty: Tensor | None) -> Tensor:
        # detached, because biases that need a gradient switch PyTorch to its slower kernel
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=_mask(bias.detach(), empty))
        ctx.save_for_backward(q, k, v, bias, empty, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        q, k, v, bias, empty, out = ctx.saved_tensors
        (gradient,) = gradients
        # sums of half precision are computed in float32
        exact = torch.promote_types(q.dtype, torch.float32)
        scale = q.shape[-1] ** -0.5
        bias_exact = bias.to(exact)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        to_bias = torch.zeros_like(bias_exact)
        step = max(1, MAX_LOGITS_AT_ONCE // bias.numel())  # windows at once
        for first in range(0, len(q), step):
            few = slice(first, first + step)
            few_q, few_k, few_v, few_out, few_gradient = (x[few].to(exact) for x in (q, k, v, out, gradient))
            logits = torch.matmul(few_q * scale, few_k.transpose(-2, -1)).add_(bias_exact)
            if empty is not None:
                logits.add_(empty[few, None, None])
            weight = logits.softmax(dim=-1)
            # out = weight @ v
            to_v = torch.matmul(weight.transpose(-2, -1), few_gradient)
            # gradient of a softmax: w (dw - sum(w dw)), and sum(w dw) = sum(out dout) saves a sum over the keys
            to_logits = torch.matmul(few_gradient, few_v.transpose(-2, -1))
            to_logits.sub_((few_gradient * few_out).sum(dim=-1, keepdim=True)).mul_(weight)
            # all windows of the pattern have this bias, so their gradients add up
            to_bias.add_(to_logits.sum(dim=0))
            # logits = scale q @ k^T + bias
            to_q = torch.matmul(to_logits, few_k).mul_(scale)
            to_k = torch.matmul(to_logits.transpose(-2, -1), few_q).mul_(scale)
            parts.append((to_q, to_k, to_v))
        to_q, to_k, to_v = (torch.cat(each).to(q.dtype) for each in zip(*parts, strict=True))
        return to_q, to_k, to_v, to_bias.to(bias.dtype), None
