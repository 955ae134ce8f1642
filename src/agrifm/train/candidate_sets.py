"""Thresholds of candidate sets are fitted on validation blocks, which count alike, whatever their number of pixels.

Shape letters: N labelled pixels or places, C classes.
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
LEAST_CLASS_BLOCKS = 3
"""A class that fewer validation blocks have is a candidate everywhere."""
LEVELS = np.linspace(1 - NOMINAL, 0, 21)
"""Quantiles that may be thresholds."""
DIGITS = 6


def fit_sets(
    probabilities: NDArray[np.floating], label: NDArray[np.uint8], block: NDArray[np.integer]
) -> CandidateSets:
    """Return the threshold of each class: the quantile of its true pixels' probabilities, pooled over blocks.

    Blocks are exchangeable, pixels are not: each block that has the class counts alike, so a threshold is a quantile
    of the mean of the blocks' distributions (Dunn, Wasserman and Ramdas 2022, "pooling CDFs"), within each class (Vovk
    2012). With few blocks the quantile of 1 - `NOMINAL` contains the class too seldom, and with the weight of one more
    block at 0 (their correction; Lee, Barber and Willett 2023) far too often, below 9 blocks always. So the quantile is
    the highest that contains `NOMINAL` of the pixels of each block in the mean if its threshold is of the other blocks.
    `benchmarks/conformal_coverage.py` compares the three.

    Args:
        probabilities: (N, C), calibrated, of a model and a calibration that did not see these pixels.
        label: (N,), class numbers.
        block: (N,), number of each pixel's block.
    """
    classes = probabilities.shape[1]
    least: list[float | None] = []
    counts = []
    for number in range(classes):
        inside = label == number
        _, index, pixels = np.unique(block[inside], return_inverse=True, return_counts=True)
        counts.append(len(pixels))
        if len(pixels) < LEAST_CLASS_BLOCKS:
            least.append(None)
            continue
        least.append(_threshold(probabilities[inside, number].astype(np.float64), index, pixels))
    return CandidateSets(nominal=NOMINAL, least=tuple(least), blocks=tuple(counts))


def _threshold(of_class: NDArray[np.float64], index: NDArray[np.intp], pixels: NDArray[np.intp]) -> float:
    """Return the lowest probability of candidates of one class.

    Args:
        of_class: (N,), probabilities of its true pixels.
        index: (N,), of each pixel's block among those that have the class.
        pixels: (blocks,), of the class.
    """
    weight = 1 / pixels[index]
    covered = np.zeros(len(LEVELS))
    for number in range(len(pixels)):
        held_out = index == number
        least = _quantiles(of_class[~held_out], weight[~held_out])
        covered += (of_class[held_out, None] >= least).mean(axis=0)
    enough = np.flatnonzero(covered >= (NOMINAL - 1e-9) * len(pixels))
    chosen = _quantiles(of_class, weight)[enough[0] if len(enough) else -1]
    return float(np.floor(chosen * 10**DIGITS) / 10**DIGITS)


def _quantiles(values: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted quantiles of `LEVELS`, each the lowest value above which the wished share is."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order])
    first = np.searchsorted(below / below[-1], LEVELS + 1e-9)
    return values[order][np.minimum(first, len(order) - 1)]


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
                        "validation_blocks": self.sets.blocks[number],
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
