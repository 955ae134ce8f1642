"""Losses against scikit-learn, scipy and plain numpy; what is unknown or unlabelled changes nothing."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cosine
from scipy.special import expit, huber
from scipy.stats import norm
from sklearn.metrics import fbeta_score, log_loss, mean_absolute_error
from torch import Tensor

from agrifm.train.losses import (
    boundaries_loss,
    boundary_loss,
    cross_entropy,
    distance_loss,
    embedding_loss,
    extent_loss,
    fractions_loss,
    regression_loss,
)

RANDOM = np.random.default_rng(0)
B, K, H, W = 2, 3, 5, 4
KNOWN = RANDOM.random((B, H, W)) < 0.6
WEIGHT = KNOWN * RANDOM.uniform(0.1, 2, (B, H, W))
STD = (2.0, 0.5, 3.0)


def tensor(array: NDArray[np.generic]) -> Tensor:
    """As float32, or as it is if it is bool."""
    return torch.from_numpy(array if array.dtype == bool else array.astype(np.float32))


def rows(array_BKHW: NDArray[np.float64]) -> NDArray[np.float64]:
    """Known pixels only, one per row."""
    return np.moveaxis(array_BKHW, 1, -1)[KNOWN]


def shares() -> NDArray[np.float64]:
    return np.moveaxis(RANDOM.dirichlet(np.ones(K), (B, H, W)), -1, 1)


def test_fractions_l1_is_scikit_learns_mean_absolute_error() -> None:
    found, truth = shares(), shares()
    loss = fractions_loss(tensor(found), tensor(truth), tensor(KNOWN))
    assert loss.item() == pytest.approx(mean_absolute_error(rows(truth), rows(found)), rel=1e-5)
    weighted = fractions_loss(tensor(found), tensor(truth), tensor(WEIGHT))
    expected = mean_absolute_error(rows(truth), rows(found), sample_weight=WEIGHT[KNOWN])
    assert weighted.item() == pytest.approx(expected, rel=1e-5)


def test_fractions_cross_entropy_is_scikit_learns_where_one_class_has_all() -> None:
    found, number = shares(), RANDOM.integers(K, size=(B, H, W))
    truth = np.moveaxis(np.eye(K)[number], -1, 1)
    loss = fractions_loss(tensor(found), tensor(truth), tensor(KNOWN), "cross_entropy")
    assert loss.item() == pytest.approx(log_loss(number[KNOWN], rows(found), labels=range(K)), rel=1e-5)
    mixed = shares()
    loss = fractions_loss(tensor(found), tensor(mixed), tensor(KNOWN), "cross_entropy")
    assert loss.item() == pytest.approx(-(rows(mixed) * np.log(rows(found))).sum(axis=1).mean(), rel=1e-5)


def test_a_fraction_of_exactly_zero_has_a_finite_cross_entropy() -> None:
    found = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1).requires_grad_()
    truth = torch.tensor([0.0, 1.0]).flip(0).reshape(1, 2, 1, 1)
    loss = fractions_loss(found, truth, torch.ones(1, 1, 1), "cross_entropy")
    loss.backward()
    assert loss.isfinite()
    assert found.grad is not None
    assert found.grad.isfinite().all()


@pytest.mark.parametrize("positive_weight", [1.0, 4.0])
def test_boundary_cross_entropy_is_scikit_learns_with_weighted_positives(positive_weight: float) -> None:
    logit, truth = RANDOM.normal(size=(B, H, W)), RANDOM.random((B, H, W)) < 0.3
    loss = boundary_loss(tensor(logit), tensor(truth), tensor(WEIGHT), positive_weight, overlap=0)
    each = WEIGHT[KNOWN] * np.where(truth[KNOWN], positive_weight, 1)
    total = log_loss(truth[KNOWN], expit(logit[KNOWN]), sample_weight=each, normalize=False)
    assert loss.item() == pytest.approx(total / WEIGHT.sum(), rel=1e-5)


def test_the_tversky_index_of_sure_answers_is_scikit_learns_f_beta() -> None:
    """F-beta of the known pixels and one hit more, with beta squared = 0.7 / 0.3 (Salehi et al. 2017, eq. 3)."""
    found, truth = RANDOM.random((B, H, W)) < 0.5, RANDOM.random((B, H, W)) < 0.3
    arguments = tensor(np.where(found, 50.0, -50.0)), tensor(truth), tensor(KNOWN)
    index = 1 - (boundary_loss(*arguments) - boundary_loss(*arguments, overlap=0)).item()
    expected = fbeta_score([*truth[KNOWN], True], [*found[KNOWN], True], beta=math.sqrt(7 / 3))
    assert index == pytest.approx(expected, abs=1e-4)


def test_the_tversky_index_weighs_pixels() -> None:
    logit, truth = RANDOM.normal(size=(B, H, W)), RANDOM.random((B, H, W)) < 0.3
    arguments = tensor(logit), tensor(truth), tensor(WEIGHT)
    lacking = (boundary_loss(*arguments, overlap=3) - boundary_loss(*arguments, overlap=0)).item() / 3
    found = expit(logit)
    hit, false, missed = ((WEIGHT * part).sum() for part in (found * truth, found * ~truth, (1 - found) * truth))
    assert lacking == pytest.approx(1 - (hit + 1) / (hit + 0.3 * false + 0.7 * missed + 1), rel=1e-4)


def test_distance_counts_inside_fields_only() -> None:
    """Smooth L1 with a knee at 0.1 is the Huber function over it."""
    found, truth, extent = RANDOM.random((B, H, W)), RANDOM.random((B, H, W)), RANDOM.random((B, H, W)) < 0.5
    loss = distance_loss(tensor(found), tensor(truth), tensor(extent), tensor(KNOWN))
    inside = KNOWN & extent
    assert loss.item() == pytest.approx((huber(0.1, (found - truth)[inside]) / 0.1).mean(), rel=1e-5)


def test_extent_is_scikit_learns_log_loss() -> None:
    logit, truth = RANDOM.normal(size=(B, H, W)), RANDOM.random((B, H, W)) < 0.5
    loss = extent_loss(tensor(logit), tensor(truth), tensor(KNOWN))
    assert loss.item() == pytest.approx(log_loss(truth[KNOWN], expit(logit[KNOWN])), rel=1e-5)


def test_boundaries_are_the_sum_of_three() -> None:
    maps, target = tensor(RANDOM.random((B, 3, H, W))), tensor(RANDOM.random((B, 3, H, W)).round())
    parts = (
        boundary_loss(maps[:, 0], target[:, 0], tensor(KNOWN), 4),
        distance_loss(maps[:, 1], target[:, 1], target[:, 2], tensor(KNOWN)),
        extent_loss(maps[:, 2], target[:, 2], tensor(KNOWN)),
    )
    assert all(part > 0 for part in parts)
    assert boundaries_loss(maps, target, tensor(KNOWN), 4).item() == pytest.approx(sum(parts).item(), rel=1e-6)


def test_regression_per_pixel_is_scipys_huber_in_standard_deviations() -> None:
    found, truth = RANDOM.normal(size=(2, B, K, H, W)) * 3
    known = RANDOM.random((B, K, H, W)) < 0.5
    loss = regression_loss(tensor(found), tensor(truth), tensor(known), STD)
    error = (found - truth) / np.array(STD)[:, None, None]
    assert loss.item() == pytest.approx(huber(1, error)[known].mean(), rel=1e-5)


def test_regression_per_parcel_weighs_parcels() -> None:
    found, truth = RANDOM.normal(size=(2, 6, 2)) * 3
    area = np.array([1, 0, 2.5, 4, 0.25, 1])[:, None].repeat(2, axis=1)
    loss = regression_loss(tensor(found), tensor(truth), tensor(area), STD[:2])
    expected = np.average(huber(1, (found - truth) / np.array(STD[:2])), weights=area)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_regression_with_spread_is_scipys_gaussian_likelihood() -> None:
    found, truth, log_variance = RANDOM.normal(size=(3, 7, 2))
    known = RANDOM.random((7, 2)) < 0.7
    estimate = np.concatenate([found, log_variance], axis=1)
    loss = regression_loss(tensor(estimate), tensor(truth), tensor(known), STD[:2])
    error = (truth - found) / np.array(STD[:2])
    density = norm.logpdf(error, scale=np.exp(log_variance / 2))[known].mean()
    assert loss.item() == pytest.approx(-density - math.log(2 * math.pi) / 2, rel=1e-5)


def test_embedding_is_scipys_cosine_distance_and_leaves_the_teacher_alone() -> None:
    found, truth = tensor(RANDOM.normal(size=(B, K, H, W))), tensor(RANDOM.normal(size=(B, K, H, W)))
    found.requires_grad_()
    truth.requires_grad_()
    loss = embedding_loss(found, truth, tensor(KNOWN))
    pairs = zip(rows(found.detach().numpy()), rows(truth.detach().numpy()), strict=True)
    assert loss.item() == pytest.approx(np.mean([cosine(one, other) for one, other in pairs]), rel=1e-5)
    loss.backward()
    assert found.grad is not None
    assert truth.grad is None


LOSSES: dict[str, tuple[int, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "fractions by L1": (3, fractions_loss),
    "fractions by cross-entropy": (3, lambda found, truth, known: fractions_loss(found, truth, known, "cross_entropy")),
    "boundaries": (3, boundaries_loss),
    "boundary": (0, boundary_loss),
    "extent": (0, extent_loss),
    "distance": (0, lambda found, truth, known: distance_loss(found, truth, torch.ones_like(truth), known)),
    "regression": (3, lambda found, truth, known: regression_loss(found, truth, known[:, None].expand_as(truth), STD)),
    "regression with spread": (
        3,
        lambda found, truth, known: regression_loss(
            torch.cat([found, found], dim=1), truth, known[:, None].expand_as(truth), STD
        ),
    ),
    "embedding": (3, embedding_loss),
}


def arguments(channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (B, channels, H, W) if channels else (B, H, W)
    return torch.rand(shape, generator=generator) * 0.8 + 0.1, torch.rand(shape, generator=generator)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("content", [0.5, math.nan, math.inf])
def test_nothing_known_is_zero_with_a_gradient_of_zero(name: str, content: float) -> None:
    channels, loss_of = LOSSES[name]
    found, truth = (torch.full_like(one, content) for one in arguments(channels))
    found.requires_grad_()
    loss = loss_of(found, truth, torch.zeros(B, H, W, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert found.grad is not None
    assert (found.grad == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_unknown_changes_neither_loss_nor_gradient(name: str) -> None:
    channels, loss_of = LOSSES[name]
    known = tensor(KNOWN)
    along = known[:, None] if channels else known
    results = []
    for content in (0.0, math.nan, -math.inf):
        found, truth = (torch.where(along, one, content) for one in arguments(channels))
        found.requires_grad_()
        loss = loss_of(found, truth, known)
        loss.backward()
        assert found.grad is not None
        assert loss.item() > 0
        assert (found.grad[along.expand_as(found)] != 0).all()
        results.append((loss.detach(), found.grad))
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"boundary", "boundaries"}))
def test_only_the_ratios_of_weights_count(name: str) -> None:
    channels, loss_of = LOSSES[name]
    found, truth = arguments(channels)
    few = loss_of(found, truth, tensor(WEIGHT * 1e-3))
    torch.testing.assert_close(few, loss_of(found, truth, tensor(WEIGHT)))


@pytest.mark.parametrize("name", LOSSES)
def test_a_target_that_is_not_finite_is_unknown(name: str) -> None:
    channels, loss_of = LOSSES[name]
    found, truth = arguments(channels)
    known = tensor(KNOWN)
    holes = torch.where(known[:, None] if channels else known, truth, math.nan)
    assert torch.equal(loss_of(found, holes, torch.ones_like(known)), loss_of(found, truth, known))


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_computed_in_full(name: str) -> None:
    channels, loss_of = LOSSES[name]
    found, truth = (one.bfloat16() for one in arguments(channels))
    loss = loss_of(found, truth, tensor(KNOWN))
    assert loss.dtype == torch.float32
    assert torch.equal(loss, loss_of(found.float(), truth.float(), tensor(KNOWN)))


def test_no_parcel_at_all_is_zero() -> None:
    estimate = torch.zeros(0, 2, requires_grad=True)
    loss = regression_loss(estimate, torch.zeros(0, 2), torch.zeros(0, 2), STD[:2])
    loss.backward()
    assert loss.item() == 0


def test_the_mean_is_over_labelled_pixels() -> None:
    logits = torch.zeros(1, 4, 1, 4)
    label = torch.tensor([[[0, 3, 255, 255]]], dtype=torch.uint8)
    assert cross_entropy(logits, label).item() == pytest.approx(math.log(4))


def test_the_weight_of_a_sample_is_how_often_it_is_in_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 2, 2, generator=generator)
    label = torch.tensor([0, 3, 1, 255, 2, 2, 0, 1, 3, 255, 255, 255], dtype=torch.uint8).reshape(3, 2, 2)
    chosen = torch.tensor([0, 0, 2])
    weighted = cross_entropy(logits, label, smoothing=0.05, weight_B=torch.tensor([2.0, 0.0, 1.0]))
    repeated = cross_entropy(logits[chosen], label[chosen], smoothing=0.05)
    assert weighted.item() == pytest.approx(repeated.item(), rel=1e-6)
    weight = np.repeat([0.5, 1.5, 3.0], 4)
    known = label.flatten().numpy() != 255
    expected = log_loss(
        label.flatten().numpy()[known],
        logits.double().softmax(dim=1).permute(0, 2, 3, 1).reshape(-1, 4).numpy()[known],
        sample_weight=weight[known],
        labels=range(4),
    )
    assert cross_entropy(logits, label, weight_B=torch.tensor([0.5, 1.5, 3.0])).item() == pytest.approx(expected)
    assert cross_entropy(logits, label, weight_B=torch.zeros(3)).item() == 0


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
