"""Scores from confusion counts: overall accuracy, F1, macro F1, and their uncertainty between blocks.

Counts have rows = predicted (mapped) class and columns = true (reference) class, as in Olofsson et al. 2014.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.legend import UNLABELLED, Legend

Counts = NDArray[np.int64]

MIN_PLACES = 15
"""Fewest test parcels or points with which a class counts in the macro F1 of the scored classes."""


def merged_counts(counts: Counts, groups: Sequence[str]) -> tuple[Counts, tuple[str, ...]]:
    """Merge the classes of confusion counts (..., predicted, true) that belong to one group, such as their parent.

    Args:
        groups: (classes,), the group of each class.

    Returns:
        Counts (..., groups, groups), and the groups in the order of their first class.
    """
    order = tuple(dict.fromkeys(groups))
    belongs = np.array([[group == name for group in groups] for name in order], np.int64)
    return np.asarray(belongs @ counts @ belongs.T), order


def confusion_counts(predicted: NDArray[np.integer], true: NDArray[np.integer], classes: int) -> Counts:
    """Return counts (predicted class, true class) over places where both are known (neither is 255).

    Args:
        predicted, true: class numbers of equal shape, 255 = unlabelled.
        classes: number of classes.
    """
    known = (true != UNLABELLED) & (predicted != UNLABELLED)
    assert not known.any() or max(predicted[known].max(), true[known].max()) < classes, "a class number is too high"
    pairs = predicted[known].astype(np.int64) * classes + true[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def overall_accuracy(counts: Counts) -> float:
    """Return the share of places whose predicted class is true; NaN without places."""
    total = counts.sum()
    return float(np.trace(counts) / total) if total else float("nan")


def f1_per_class(counts: Counts) -> NDArray[np.float64]:
    """Return F1 = 2 TP / (2 TP + FP + FN) per class, shape (classes,); 0 for a class never predicted nor true."""
    hits = np.diagonal(counts).astype(float)
    denominator = counts.sum(0) + counts.sum(1)
    f1: NDArray[np.float64] = np.divide(2 * hits, denominator, out=np.zeros_like(hits), where=denominator > 0)
    return f1


def macro_f1(counts: Counts, scored: NDArray[np.bool_] | None = None) -> float:
    """Return the unweighted mean of F1 over classes; NaN if there are none.

    Args:
        scored: (classes,), the classes that count; by default all that occur in the reference, also those that were
            never predicted, which have 0.
    """
    counted = counts.sum(axis=0) > 0 if scored is None else scored
    return float(f1_per_class(counts)[counted].mean()) if counted.any() else float("nan")


def class_scores(counts: Counts, number: int) -> dict[str, float]:
    """Return F1, intersection over union, precision and recall of one class; NaN where it is undefined.

    A class that is in the reference and never predicted has the precision 0, as in its F1.
    """
    hits, predicted, true = float(counts[number, number]), float(counts[number].sum()), float(counts[:, number].sum())
    union = predicted + true - hits
    return {
        "f1": 2 * hits / (predicted + true) if union else float("nan"),
        "iou": hits / union if union else float("nan"),
        "precision": hits / predicted if predicted else (0.0 if true else float("nan")),
        "recall": hits / true if true else float("nan"),
    }


def probabilities_macro_f1(probabilities: NDArray[np.floating], label: NDArray[np.integer]) -> float:
    """Return the macro F1 of the most probable classes.

    Args:
        probabilities: (N, classes).
        label: (N,), class numbers.
    """
    return macro_f1(confusion_counts(probabilities.argmax(axis=1), label, probabilities.shape[1]))


def scored_classes(legend: Legend, places_per_class: Sequence[int], minimum: int = MIN_PLACES) -> NDArray[np.bool_]:
    """Return the scored classes: scored in the legend, with at least `minimum` test parcels or points."""
    wanted = np.array([entry.scored for entry in legend.classes])
    return wanted & (np.asarray(places_per_class) >= minimum)


def block_interval(
    block_counts: NDArray[np.int64], score: Callable[[Counts], float], draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of a score by a percentile bootstrap of blocks.

    It is NaN if the score is never defined, and for a single block, which says nothing of others.

    Args:
        block_counts: (block, predicted class, true class), or with more axes between.
        score: from summed counts to a number.
        draws: bootstrap samples.
    """
    drawn = draw_blocks(len(block_counts), draws, seed)
    return percentile_interval(np.array([score(np.tensordot(times, block_counts, 1)) for times in drawn]))


def draw_blocks(blocks: int, draws: int = 1000, seed: int = 0) -> NDArray[np.int64]:
    """Return how often each block is drawn in each bootstrap sample, (draws, blocks).

    Of a single block there are no samples, (0, 1): it says nothing of others, and drawn again and again it would seem
    certain. Intervals from no samples are NaN.
    """
    if blocks < 2:
        return np.zeros((0, blocks), np.int64)
    generator = np.random.default_rng(seed)
    samples = (generator.integers(blocks, size=blocks) for _ in range(draws))
    return np.stack([np.bincount(sample, minlength=blocks) for sample in samples])


def percentile_interval(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrapped scores; NaN where none is defined."""
    if np.isnan(scores).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(scores, [2.5, 97.5])
    return float(low), float(high)


def with_intervals(
    found: Mapping[str, Any], drawn: Mapping[str, NDArray[np.float64]], names: Sequence[str]
) -> dict[str, Any]:
    """Return scores by name, each with its interval as NAME_interval.

    Args:
        found, drawn: scores by name, and those of the bootstrap samples (D,).
    """
    pairs = ({name: float(found[name]), f"{name}_interval": percentile_interval(drawn[name])} for name in names)
    return {key: value for pair in pairs for key, value in pair.items()}


def interval_words(interval: Sequence[float | None], form: str = ".3f") -> str:
    """Return an interval in words."""
    low, high = interval
    if low is None or high is None:
        return "no interval from one block"
    return f"{low:{form}} to {high:{form}}"


def paired_interval(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    score: Callable[[Counts], float],
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % interval of the first score minus the second, both on the same blocks drawn with replacement.

    Args:
        first, second: (block, predicted class, true class) of two models over the same places.
        score: from summed counts to a number.

    Returns:
        Percentile bootstrap as in `block_interval`; NaN if the difference is never defined.
    """
    assert len(first) == len(second), "both models are scored on the same blocks"
    both = np.stack([first, second], axis=1)
    return block_interval(both, lambda drawn: score(drawn[0]) - score(drawn[1]), draws, seed)


def average_precision(
    probability: NDArray[np.floating], true: NDArray[np.bool_], weight: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the average precision of one class against all others: sum of (R_n - R_(n-1)) P_n over thresholds.

    Args:
        probability: of the class, (places,); places of equal probability enter together.
        true: (places,), whether a place is of the class.
        weight: (draws, places), how often each place counts in each draw.

    Returns:
        (draws,), NaN where no place of the class counts.
    """
    order = np.argsort(-probability, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(probability[order])), len(order) - 1]
    counted = weight[:, order].astype(np.float64)
    hits, all_ = (np.cumsum(part, axis=1)[:, last] for part in (counted * true[order], counted))
    precision = np.divide(hits, all_, out=np.zeros_like(hits), where=all_ > 0)
    with np.errstate(invalid="ignore"):
        gained: NDArray[np.float64] = np.diff(hits, axis=1, prepend=0) / hits[:, -1:]
    return np.asarray((gained * precision).sum(axis=1))


LEAST_PROBABILITY = 1e-6
"""In a log loss, which would be infinite for the 0 of a forest."""


def log_loss(probability: NDArray[np.floating], true: NDArray[np.integer]) -> float:
    """Return the mean of -ln of the true class's probability, nats.

    Args:
        probability: (places, classes).
        true: (places,), class numbers.
    """
    of_true = probability[np.arange(len(true)), true]
    return float(-np.log(np.maximum(of_true, LEAST_PROBABILITY)).mean())


CALIBRATION_BINS = 15
"""Bins of equal width of the highest probability (Guo et al. 2017, section 2)."""


def calibration_bins(
    probability: NDArray[np.floating], true: NDArray[np.integer], weight: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return for each draw and bin the places, the sum of their highest probabilities, and how many are right.

    Args:
        probability: (places, classes).
        true: (places,), class numbers.
        weight: (draws, places), how often each place counts in each draw.

    Returns:
        (draws, 3, bins).
    """
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == true
    in_bin = (_bin_numbers(confidence)[:, None] == np.arange(CALIBRATION_BINS)).astype(np.float64)
    parts = [weight * value for value in (np.ones(len(true)), confidence, right)]
    return np.stack([part @ in_bin for part in parts], axis=1)


def _bin_numbers(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    number = np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1
    return np.asarray(np.clip(number, 0, CALIBRATION_BINS - 1))


def block_calibration_bins(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], block: NDArray[np.integer], blocks: int
) -> NDArray[np.float64]:
    """Return for each block and bin the places, the sum of their probabilities, and how many are right.

    Args:
        confidence: (places,), probability of what was predicted, or of one class.
        right: (places,), whether it was predicted rightly, or is of that class.
        block: (places,), index of the block.
        blocks: number of blocks.

    Returns:
        (blocks, 3, bins).
    """
    cell = block * CALIBRATION_BINS + _bin_numbers(confidence)
    parts = [np.bincount(cell, value, blocks * CALIBRATION_BINS) for value in (None, confidence, right)]
    return np.stack([part.reshape(blocks, CALIBRATION_BINS) for part in parts], axis=1).astype(np.float64)


def expected_calibration_error(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over places of |share right - confidence| by bin (Guo et al. 2017, eq. 3), (draws,).

    Args:
        bins: (draws, 3, bins), from `calibration_bins`.
    """
    places, confidence, right = bins.transpose(1, 0, 2)
    with np.errstate(invalid="ignore"):
        error: NDArray[np.float64] = np.abs(right - confidence).sum(axis=1) / places.sum(axis=1)
    return error
