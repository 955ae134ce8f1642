"""Scores from confusion counts: overall accuracy, F1, macro F1, and their uncertainty between blocks.

Counts have rows = predicted (mapped) class and columns = true (reference) class, as in Olofsson et al. 2014.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from agrifm.legend import UNLABELLED, Legend

Counts = NDArray[np.int64]

MIN_PLACES = 15
"""Fewest test parcels or points with which a class counts in macro F1."""


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


def macro_f1(counts: Counts, scored: NDArray[np.bool_]) -> float:
    """Return the unweighted mean of F1 over the scored classes; NaN if no class is scored."""
    return float(f1_per_class(counts)[scored].mean()) if scored.any() else float("nan")


def scored_classes(legend: Legend, places_per_class: Sequence[int], minimum: int = MIN_PLACES) -> NDArray[np.bool_]:
    """Return which classes macro F1 counts: scored in the legend, with at least `minimum` test parcels or points."""
    wanted = np.array([entry.scored for entry in legend.classes])
    return wanted & (np.asarray(places_per_class) >= minimum)


def block_interval(
    block_counts: NDArray[np.int64], score: Callable[[Counts], float], draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of a score by a percentile bootstrap of blocks; NaN if the score is never defined.

    Args:
        block_counts: (block, predicted class, true class), or with more axes between.
        score: from summed counts to a number.
        draws: bootstrap samples.
    """
    generator = np.random.default_rng(seed)
    blocks = len(block_counts)
    scores = np.array([score(block_counts[generator.integers(blocks, size=blocks)].sum(0)) for _ in range(draws)])
    if np.isnan(scores).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(scores, [2.5, 97.5])
    return float(low), float(high)


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
