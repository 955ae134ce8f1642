"""Fused attention against the formula, and its gradients against finite differences."""

import pytest
import torch
from torch import Tensor

from agrifm.models.agrifm import attention
from agrifm.models.agrifm.attention import fused_attention


def parts(dtype: torch.dtype, unseen: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Five windows, two heads, three queries, four keys, two channels per head."""
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(5, 2, 3, 2, generator=generator)
    k, v = torch.randn(2, 5, 2, 4, 2, generator=generator)
    bias = torch.randn(2, 3, 4, generator=generator)
    hidden = torch.randn(5, 4, generator=generator).to(dtype) if unseen else None
    q, k, v, bias = (x.to(dtype).requires_grad_() for x in (q, k, v, bias))
    return q, k, v, bias, hidden


def formula(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, unseen: Tensor | None) -> Tensor:
    logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + bias
    if unseen is not None:
        logits = logits + unseen[:, None, None]
    return logits.softmax(dim=-1) @ v


@pytest.mark.parametrize("unseen", [False, True])
@pytest.mark.parametrize("at_a_time", [1, 48, 10**6])
def test_gradients_are_the_finite_differences(unseen: bool, at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One window at a time, two, and all."""
    monkeypatch.setattr(attention, "MAX_LOGITS_AT_ONCE", at_a_time)
    inputs = parts(torch.float64, unseen)
    torch.testing.assert_close(fused_attention(*inputs), formula(*inputs))
    assert torch.autograd.gradcheck(fused_attention, inputs)


def test_biases_learn_alone_and_not_at_all() -> None:
    """As where all else is frozen, and where only the biases are."""
    q, k, v, bias, _ = parts(torch.float64, False)
    fused_attention(q.detach(), k.detach(), v.detach(), bias, None).square().sum().backward()
    (expected,) = torch.autograd.grad(formula(q, k, v, bias, None).square().sum(), bias)
    torch.testing.assert_close(bias.grad, expected)
    fused_attention(q, k, v, bias.detach(), None).square().sum().backward()
    (expected,) = torch.autograd.grad(formula(q, k, v, bias, None).square().sum(), q)
    torch.testing.assert_close(q.grad, expected)


def test_half_precision_is_summed_in_full() -> None:
    """The gradients of bfloat16 inputs are those of the same numbers in float64, to the digits of bfloat16."""
    rough, exact = (
        parts(torch.bfloat16, True),
        [x.detach().double().requires_grad_() for x in parts(torch.bfloat16, True)],
    )
    fused_attention(*rough).sum().backward()
    formula(*exact).sum().backward()
    for own, other in zip(rough[:4], exact[:4], strict=True):
        assert own.grad.dtype == torch.bfloat16
        torch.testing.assert_close(own.grad.double(), other.grad, rtol=0.03, atol=0.02)
