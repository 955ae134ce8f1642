"""Cross-entropy: what it divides by, and what it ignores."""

import math

import pytest
import torch

from agrifm.train.losses import cross_entropy


def test_the_mean_is_over_labelled_pixels() -> None:
    logits = torch.zeros(1, 4, 1, 4)
    label = torch.tensor([[[0, 3, 255, 255]]], dtype=torch.uint8)
    assert cross_entropy(logits, label).item() == pytest.approx(math.log(4))
    assert cross_entropy(logits, label, reduction="reference").item() == pytest.approx(math.log(4) / 2)


def test_ignored_pixels_have_no_gradient() -> None:
    logits = torch.zeros(1, 2, 1, 2, requires_grad=True)
    cross_entropy(logits, torch.tensor([[[1, -1]]], dtype=torch.int8), ignore=-1).backward()
    assert logits.grad is not None
    assert logits.grad[0, :, 0].tolist() == [[0.5, 0], [-0.5, 0]]


def test_without_labels_the_loss_is_zero_and_can_be_differentiated() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = cross_entropy(logits, torch.full((2, 4, 4), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()
