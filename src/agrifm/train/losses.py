"""The losses that training minimises, for classes and for every other task.

Every loss is a mean over what is known, weighted where `known` holds weights; it is exactly 0, with a gradient of
exactly 0, where nothing is known. Predictions and targets that are unknown may hold anything, NaN included. The losses
of other tasks than classes are computed in float32.

Shape letters: B samples, K classes or numbers, H W rows and columns, h w coarse pixels, N quantities, P parcels.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from agrifm.legend import UNLABELLED

FALSE_BOUNDARY, MISSED_BOUNDARY = 0.3, 0.7
"""Weights of a false and of a missed boundary pixel in the Tversky index (Salehi et al. 2017)."""
DISTANCE_KNEE = 0.1
"""Largest error of the distance (0..1) that is squared; larger ones count linearly."""
REGRESSION_KNEE = 1.0
"""Largest error, in standard deviations, that is squared; larger ones count linearly."""


def cross_entropy(
    logits_BKHW: Tensor,
    label_BHW: Tensor,
    ignore: int = UNLABELLED,
    smoothing: float = 0.0,
    weight_B: Tensor | None = None,
) -> Tensor:
    """Return the mean cross-entropy in nats, classes unweighted.

    Args:
        logits_BKHW: class scores.
        label_BHW: class numbers, any integer type.
        ignore: label of pixels that do not count.
        smoothing: share of each label that is spread evenly over all classes (Szegedy et al. 2016, section 7).
        weight_B: weight of each sample in the mean, at least 0: 2 is as if it were twice in the batch, 0 as if it were
            not; None = all alike.
    """
    if weight_B is not None:
        each_BHW = functional.cross_entropy(
            logits_BKHW, label_BHW.long(), ignore_index=ignore, reduction="none", label_smoothing=smoothing
        )
        return _mean(each_BHW, weight_B[:, None, None] * (label_BHW != ignore))
    total = functional.cross_entropy(
        logits_BKHW, label_BHW.long(), ignore_index=ignore, reduction="sum", label_smoothing=smoothing
    )
    # The public AgriFM code divides by all pixels; then sparse labels would shrink the loss.
    return total / (label_BHW != ignore).sum().clamp(min=1)


def fractions_loss(
    fractions_BKhw: Tensor,
    target_BKhw: Tensor,
    known_Bhw: Tensor,
    kind: Literal["l1", "cross_entropy"] = "l1",
) -> Tensor:
    """Return the error of the shares of classes in coarse pixels.

    Args:
        fractions_BKhw: estimated shares, 0..1.
        target_BKhw: true shares; a pixel with a share that is not finite is unknown.
        known_Bhw: True where known, or a weight, such as the share of the coarse pixel that is labelled.
        kind: `l1`, the mean absolute difference over classes, with which AgriFM was pretrained; or `cross_entropy`
            in nats, whose minimum is the entropy of the true shares and not 0.
    """
    estimate, truth, weight_Bhw = _known_only(fractions_BKhw, target_BKhw, known_Bhw)
    if kind == "l1":
        each_Bhw = (estimate - truth).abs().mean(dim=1)
    else:
        # The logarithm of 0 is infinite, and 0 times infinity is NaN.
        each_Bhw = -(truth * estimate.clamp(min=torch.finfo(estimate.dtype).tiny).log()).sum(dim=1)
    return _mean(each_Bhw, weight_Bhw)


def boundary_loss(
    logit_BHW: Tensor, target_BHW: Tensor, known_BHW: Tensor, positive_weight: float = 2.0, overlap: float = 1.0
) -> Tensor:
    """Return the binary cross-entropy in nats plus 1 - the Tversky index of all known pixels.

    Args:
        logit_BHW: score of being a boundary.
        target_BHW: 1 on a boundary, 0 elsewhere.
        known_BHW: True where known, or a weight.
        positive_weight: weight of the cross-entropy of a boundary pixel; other pixels have 1.
        overlap: weight of the second term, which counts thin lines as much as wide ones.
    """
    logit, truth, weight = _known_only(logit_BHW, target_BHW, known_BHW)
    entropy = functional.binary_cross_entropy_with_logits(
        logit, truth, reduction="none", pos_weight=logit.new_tensor(positive_weight)
    )
    estimate = logit.sigmoid()
    hit = (weight * estimate * truth).sum()
    false = (weight * estimate * (1 - truth)).sum()
    missed = (weight * (1 - estimate) * truth).sum()
    # One hit is added, so that the index is defined and has a gradient where no boundary is known.
    index = (hit + 1) / (hit + FALSE_BOUNDARY * false + MISSED_BOUNDARY * missed + 1)
    return _mean(entropy, weight) + overlap * (1 - index)


def distance_loss(distance_BHW: Tensor, target_BHW: Tensor, extent_BHW: Tensor, known_BHW: Tensor) -> Tensor:
    """Return the smooth L1 error of the distance to the field's edge, inside fields.

    Args:
        distance_BHW: estimate, 0..1.
        target_BHW: truth, 0..1.
        extent_BHW: 1 or True inside fields.
        known_BHW: True where known, or a weight.
    """
    estimate, truth, weight = _known_only(distance_BHW, target_BHW, known_BHW * (extent_BHW > 0))
    return _mean(functional.smooth_l1_loss(estimate, truth, reduction="none", beta=DISTANCE_KNEE), weight)


def extent_loss(logit_BHW: Tensor, target_BHW: Tensor, known_BHW: Tensor) -> Tensor:
    """Return the binary cross-entropy in nats of being inside a field (target 1) or not (0)."""
    logit, truth, weight = _known_only(logit_BHW, target_BHW, known_BHW)
    return _mean(functional.binary_cross_entropy_with_logits(logit, truth, reduction="none"), weight)


def boundaries_loss(maps_B3HW: Tensor, target_B3HW: Tensor, known_BHW: Tensor, positive_weight: float = 2.0) -> Tensor:
    """Return the sum of the losses of boundary, distance and extent.

    Args:
        maps_B3HW: boundary logit, distance, extent logit, from the head for boundaries.
        target_B3HW: boundary, distance, extent, from `agrifm.samples.targets.field_targets`.
        known_BHW: True where known, or a weight.
        positive_weight: as in `boundary_loss`.
    """
    boundary, distance, extent = maps_B3HW.unbind(dim=1)
    true_boundary, true_distance, true_extent = target_B3HW.unbind(dim=1)
    return (
        boundary_loss(boundary, true_boundary, known_BHW, positive_weight)
        + distance_loss(distance, true_distance, true_extent, known_BHW)
        + extent_loss(extent, true_extent, known_BHW)
    )


def regression_loss(estimate: Tensor, target: Tensor, known: Tensor, std: Sequence[float]) -> Tensor:
    """Return the Huber loss of errors in standard deviations, or the Gaussian likelihood with estimated variances.

    With log-variances v it is the mean of (v + error² / exp v) / 2: the negative logarithm of the Gaussian density,
    without its constant.

    Args:
        estimate: per pixel (B, N, H, W) or per parcel (P, N), in the unit of each quantity; or (B, 2 N, H, W) and
            (P, 2 N) with the log-variances after the quantities.
        target: (B, N, H, W) or (P, N), in the unit of each quantity; values that are not finite are unknown.
        known: of the target's shape, or one that broadcasts to it: True where known, or a weight, such as the area of
            a parcel.
        std: (N,), standard deviation of each quantity, in its unit.
    """
    assert estimate.shape[1] in (len(std), 2 * len(std)), "as many channels as quantities, or twice as many"
    weight = torch.where(target.isfinite(), known, 0).float()
    unit = weight.new_tensor(std).reshape(1, -1, *[1] * (target.ndim - 2))
    value, log_variance = estimate[:, : len(std)], estimate[:, len(std) :]
    error = _where(weight, value) / unit - _where(weight, target) / unit
    if not log_variance.shape[1]:
        none = torch.zeros_like(error)
        return _mean(functional.huber_loss(error, none, reduction="none", delta=REGRESSION_KNEE), weight)
    spread = _where(weight, log_variance)
    return _mean((spread + error.square() * torch.exp(-spread)) / 2, weight)


def embedding_loss(embedding_BKHW: Tensor, target_BKHW: Tensor, known_BHW: Tensor) -> Tensor:
    """Return 1 - cosine of the angle between vectors: 0 for the same direction, 2 for the opposite one.

    Args:
        embedding_BKHW: estimate; its length does not matter.
        target_BKHW: of a teacher, which gets no gradient; a pixel with a value that is not finite is unknown.
        known_BHW: True where known, or a weight.
    """
    estimate, truth, weight = _known_only(embedding_BKHW, target_BKHW.detach(), known_BHW)
    cosine = (functional.normalize(estimate, dim=1) * functional.normalize(truth, dim=1)).sum(dim=1)
    return _mean(1 - cosine, weight)


def _known_only(estimate: Tensor, truth: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Estimate and truth with 0 where unknown, and their weights; `known` may lack the channel axis 1."""
    assert estimate.shape == truth.shape, "prediction and target have the same shape"
    finite = truth.isfinite()
    each = finite if truth.ndim == known.ndim else finite.all(dim=1)
    weight = torch.where(each, known, 0).float()
    weight_of_channels = weight if truth.ndim == known.ndim else weight[:, None]
    return _where(weight_of_channels, estimate), _where(weight_of_channels, truth), weight


def _where(weight: Tensor, x: Tensor) -> Tensor:
    """x where the weight is not 0, else 0, so that unknown values, even NaN, reach neither loss nor gradient."""
    return torch.where(weight > 0, x, 0).float()


def _mean(each: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean; 0 if all weights are 0."""
    assert each.shape == weight.shape, "`known` has an entry per element"
    total = weight.sum()
    # Dividing 0 by 0 would give NaN, also as the gradient.
    return (each * weight).sum() / torch.where(total > 0, total, 1)
