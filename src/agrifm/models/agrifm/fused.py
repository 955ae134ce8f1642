"""Fused attention with additive biases that learn.

The library's fused attention keeps no matrix of logits, but only where the biases need no gradient. Here the forward
pass is the library's, and the backward pass computes the logits again, a few windows at a time, so that they stay in
the processor's cache and none is stored.

Shape letters: M windows, A heads, R queries, S keys, K channels per head.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

LOGITS = 2**21
"""Logits computed at a time in the backward pass."""


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
