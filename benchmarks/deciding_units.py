"""How many units of a sample decide an estimate, for the lines of `interval_coverage.py`."""

from typing import NamedTuple

import numpy as np
from field_population import CLASSES, Numbers
from numpy.typing import NDArray
from scipy.stats import skew

from agrifm.assess.estimators import Estimate
from agrifm.assess.probability_sample import ProbabilitySample


class Found(NamedTuple):
    """What one sample shows."""

    estimates: dict[str, Estimate]
    weight: NDArray[np.float64]
    """(S, K, K), area that the units of each stratum, map class and reference class stand for."""
    square: NDArray[np.float64]
    """(S, K, K), sum of the squares of these areas."""


def found_of(
    estimates: dict[str, Estimate],
    design: ProbabilitySample,
    stratum: Numbers,
    mapped: Numbers,
    true: Numbers,
    part: NDArray[np.bool_] | None = None,
) -> Found:
    """Estimates, with what the units of the sample stand for.

    Args:
        stratum, mapped, true: (N,), of each unit.
        part: (N,), whether each is in the part of the map that is estimated; None = everything.
    """
    weights = design.weights if part is None else design.weights * part
    sums = np.zeros((2, CLASSES + 1, CLASSES, CLASSES))
    for of_power, values in zip(sums, (weights, weights**2), strict=True):
        np.add.at(of_power, (stratum, mapped, true), values)
    return Found(estimates, *sums)


def deciding(estimates: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many points, at least, an estimate hangs on, (quantity,): as a count that varies and is skewed as much.

    Args:
        estimates: (draw, quantity).
        share: (quantity,), the true ones; NaN of what is not a share.
    """
    counts = np.zeros(len(share))
    # Where all draws agree no error was seen.
    for number in np.flatnonzero(np.nanstd(estimates, axis=0) > 1e-9):
        p, of_draws = share[number], estimates[np.isfinite(estimates[:, number]), number]
        count = p * (1 - p) / of_draws.var() * min(p, 1 - p)
        counts[number] = np.fmin(count, 1 / max(float(skew(of_draws)) ** 2, 1e-9))
    return counts


def rarer(name: str, weight: NDArray[np.float64], square: NDArray[np.float64], net: bool) -> NDArray[np.float64]:
    """How many units of a sample have the rarer outcome, by class: right or wrong; for areas, unlike most of a stratum.

    In a sample of the map's classes the area of a class is known but for units that are wrong, however many have the
    class. Units of unequal weight count as those of one weight that vary as much: (sum of weights) squared / sum of
    squares (Kish 1965, "Survey Sampling", section 11.7).

    Args:
        weight, square: as of `Found`, means over draws.
        net: whether the area is a net change from the first class to the second.
    """
    one, other = np.indices((CLASSES, CLASSES))
    right, counts = one == other, []
    for c in range(1 if name == "overall" else CLASSES):
        on_map, on_ground = one == c, other == c
        concerned = {"users": on_map, "producers": on_ground, "f1": on_map | on_ground}.get(name, on_map | ~on_map)
        outcome = on_ground * 1 - on_map * net if name == "area" else right * 1
        values = [concerned & (outcome == value) for value in np.unique(outcome)]
        sums, squares = (np.array([part[:, cells].sum(axis=1) for cells in values]) for part in (weight, square))
        if name == "area":
            unlike = np.arange(len(values))[:, None] != sums.argmax(axis=0)
            sums, squares = ((part * unlike).sum(axis=0, keepdims=True) for part in (sums, squares))
        of_outcomes = sums.sum(axis=1) ** 2 / np.maximum(squares.sum(axis=1), 1e-9)
        counts.append(float(of_outcomes.min()))
    return np.array(counts)
