"""Thresholds of candidate sets are fitted on unseen blocks: quantiles of the mean block, for a share of all pixels.

Shape letters: N labelled pixels or places, C classes, L levels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.certainty import CandidateSets, candidates
from agrifm.files import finite_or_none
from agrifm.inference.certainty_levels import CERTAIN, TWO, UNKNOWN, certainty_levels
from agrifm.legend import Legend
from agrifm.scores import draw_blocks, percentile_interval

NOMINAL = 0.9
"""Share of the pixels of each class whose set is to contain it."""
SHARED = 1.0
"""Weight of the other classes in the threshold of a class, in blocks."""
LEVELS = np.linspace(2 * (1 - NOMINAL), 0, 41)
"""Quantiles that may be thresholds."""
DIGITS = 6


def fit_sets(
    probabilities: NDArray[np.floating],
    label: NDArray[np.uint8],
    block: NDArray[np.integer],
    importance: NDArray[np.float64] | None = None,
) -> CandidateSets:
    """Return the threshold of each class: a quantile of its true pixels' probabilities, pooled over blocks.

    Blocks are exchangeable, pixels are not: each block that has the class counts alike, so a threshold is a quantile
    of the mean of the blocks' distributions (Dunn, Wasserman and Ramdas 2022, "pooling CDFs"), within each class (Vovk
    2012). All other classes together count as one block more: the threshold of a class in few blocks is near a common
    one, and that of a class in none is the common one, as in clustered conformal prediction (Ding, Angelopoulos, Bates,
    Jordan and Tibshirani 2023).

    With few blocks the quantile of 1 - `NOMINAL` contains the class too seldom, and with the weight of one more block
    at 0 (the correction of Dunn et al.; Lee, Barber and Willett 2023) far too often, below 9 blocks always. So the
    quantile is the highest with which `NOMINAL` of all pixels are contained, each block left out in turn: one quantile
    for all classes, because that of each by itself would be chosen by chance. Here pixels count alike, because the
    coverage that is stated, and seen on a map, is a share of pixels: where large blocks are easier than small ones,
    thresholds that contain the mean block often enough contain more of the pixels.
    `benchmarks/conformal_coverage.py` compares them.

    Args:
        probabilities: (N, C), calibrated, of models and calibrations that did not see these pixels.
        label: (N,), class numbers.
        block: (N,), number of each pixel's block.
        importance: (N,), weights of pixels in the share that is contained, of mean 1; None = all count alike.
    """
    classes = probabilities.shape[1]
    true = probabilities[np.arange(len(label)), label].astype(np.float64)
    order = np.argsort(true, kind="stable")
    true, label, index = true[order], label[order], np.unique(block, return_inverse=True)[1][order]
    group, inverse, pixels = np.unique(index * classes + label, return_inverse=True, return_counts=True)
    weight = 1 / pixels[inverse]
    covered, counted = np.zeros(len(LEVELS)), np.ones(len(label)) if importance is None else importance[order]
    for number in range(index.max() + 1):
        left_out = index == number
        for code in np.unique(label[left_out]):
            least = _thresholds(true, label == code, weight * ~left_out)
            inside = left_out & (label == code)
            covered += counted[inside] @ (true[inside, None] >= least)
    enough = np.flatnonzero(covered >= (NOMINAL - 1e-9) * len(label))
    chosen = enough[0] if len(enough) else -1
    thresholds = [float(_thresholds(true, label == code, weight)[chosen]) for code in range(classes)]
    counts = np.bincount(group % classes, minlength=classes)
    rounded = tuple(float(np.floor(one * 10**DIGITS) / 10**DIGITS) for one in thresholds)
    return CandidateSets(nominal=NOMINAL, least=rounded, blocks=tuple(counts.tolist()))


def _thresholds(
    true: NDArray[np.float64], inside: NDArray[np.bool_], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the quantiles of `LEVELS` (L,), each the lowest probability of candidates of one class.

    Args:
        true: (N,), probabilities of the true class, ascending.
        inside: (N,), the pixels of the class.
        weight: (N,), those of a block and class sum to 1, or are 0 if they are left out.
    """
    others = float(weight @ ~inside)
    mixed = np.where(inside, weight, weight * (SHARED / others if others > 0 else 0))
    below = np.cumsum(mixed)
    first = np.searchsorted(below, LEVELS * below[-1] + 1e-9)
    return np.asarray(true[np.minimum(first, len(true) - 1)])


class SetCoverage:
    """Counts how often sets contain the true class, part by part of the test pixels."""

    def __init__(self, sets: CandidateSets, blocks: int) -> None:
        self.sets = sets
        self._counts = np.zeros((blocks, len(sets.least), 5), np.int64)  # pixels, covered, each level

    def add(self, probabilities: NDArray[np.floating], label: NDArray[np.uint8], index: NDArray[np.integer]) -> None:
        """Count pixels.

        Args:
            probabilities: (N, C), calibrated, none of them NaN.
            label: (N,), class numbers.
            index: (N,), of each pixel's block.
        """
        inside = candidates(self.sets, probabilities, axis=1)
        level, _ = certainty_levels(self.sets, probabilities, axis=1)
        covered = inside[np.arange(len(label)), label]
        levels = [level == one for one in (CERTAIN, TWO, UNKNOWN)]
        columns = np.stack([np.ones(len(label), bool), covered, *levels], axis=1)
        np.add.at(self._counts, (index, label), columns)

    def describe(self, legend: Legend) -> dict[str, Any]:
        """Return the coverage of all pixels and by class, with 95 % intervals over blocks, for JSON."""
        counts = self._counts[self._counts[:, :, 0].sum(axis=1) > 0]
        drawn = np.tensordot(draw_blocks(len(counts)), counts, 1)
        shares = counts.sum(axis=(0, 1))
        described: dict[str, Any] = finite_or_none(
            {
                "nominal": self.sets.nominal,
                "coverage": float(shares[1] / shares[0]),
                "coverage_interval": _interval(drawn.sum(axis=1)),
                "shares": dict(zip(("certain", "two", "unknown"), (shares[2:] / shares[0]).tolist(), strict=True)),
                "classes": {
                    code: {
                        "pixels": int(counts[:, number, 0].sum()),
                        "blocks": self.sets.blocks[number],
                        "coverage": _share(counts[:, number].sum(axis=0)),
                        "coverage_interval": _interval(drawn[:, number]),
                    }
                    for number, code in enumerate(legend.codes)
                },
            }
        )
        return described


def _share(counts: NDArray[np.int64]) -> float:
    return float(counts[1] / counts[0]) if counts[0] else float("nan")


def _interval(drawn: NDArray[np.int64]) -> tuple[float, float]:
    """Of covered pixels among all, from counts (draws, 5)."""
    pixels = drawn[:, 0]
    return percentile_interval(np.divide(drawn[:, 1], pixels, out=np.full(len(pixels), np.nan), where=pixels > 0))
