"""Cohen's kappa of two interpreters, of the points alone and of the area that they stand for.

    Cohen (1960), "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 37-46.
    Fleiss, Cohen and Everitt (1969), "Large sample standard errors of kappa and weighted kappa", Psychological Bulletin
    72, 323-327, eq. 13.

Kappa is (p - e) / (1 - e), with p the share on which both agree and e what chance would give. Its standard error is
that of the mean of each point's influence on it (Taylor expansion), which for points that are equally likely is the
formula of Fleiss, Cohen and Everitt, and holds for any design.

Shape letters: N points, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agrifm.assess.estimators import Estimate
from agrifm.assess.intervals import ROUNDING, Floats, korn_graubard_interval
from agrifm.assess.point_estimators import area_matrix, interval_factor
from agrifm.assess.probability_sample import ProbabilitySample

UNDEFINED = Estimate(*(np.asarray(np.nan) for _ in range(4)))


@dataclass(frozen=True)
class _EquallyLikely:
    """Points of which all are equally likely: sums have the variance of N values with N in the denominator."""

    points: int

    @property
    def hectares(self) -> float:
        """The number of points, each of which is one unit."""
        return float(self.points)

    @property
    def weights(self) -> Floats:
        """(N,), ones."""
        return np.ones(self.points)

    def degrees(self, concerned: NDArray[np.bool_]) -> float:
        """Infinite: the formula is of large samples."""
        return np.inf

    def variances(self, residual: Floats, counted: Floats) -> tuple[float, float]:
        """Return the variance of the sum, twice."""
        variance = float(self.points * residual.var())
        return variance, variance

    def independent(self, concerned: NDArray[np.bool_]) -> int:
        """Return the number of the points."""
        return int(concerned.sum())


def kappa_of_points(first: ArrayLike, second: ArrayLike, classes: int) -> Estimate:
    """Return Cohen's kappa of the points, each counted once, as `design_kappa`.

    Args:
        first, second: (N,), class numbers of two interpreters.
        classes: K.
    """
    return design_kappa(first, second, classes, _EquallyLikely(len(np.asarray(first))))


def design_kappa(first: ArrayLike, second: ArrayLike, classes: int, drawn: ProbabilitySample) -> Estimate:
    """Return Cohen's kappa of the area that points stand for, with its standard error and 95 % interval.

    The interval is that of Korn and Graubard of the share on which both agree, for the simple random sample that would
    give kappa's standard error, with the agreement by chance as estimated; so it has a width where all points agree.

    Args:
        first, second: (N,), class numbers of two interpreters.
        classes: K.
        drawn: the design of the points.

    Returns:
        NaN where both use one class only, so that they agree by chance alone, or where there are no points.
    """
    one, other = np.asarray(first, np.int64), np.asarray(second, np.int64)
    if not len(one):
        return UNDEFINED
    shares = area_matrix(one, other, classes, drawn)
    of_first, of_second = shares.sum(axis=1), shares.sum(axis=0)
    agree, chance = float(np.trace(shares)), float(of_first @ of_second)
    if not chance < 1 - ROUNDING:
        return UNDEFINED
    if agree > 1 - ROUNDING:  # a sum of shares
        agree = 1.0
    value = (agree - chance) / (1 - chance)
    # influence of a point on kappa, times (1 - chance), so that it changes by about 1 with the agreement of a point
    influence = (one == other) - (1 - value) * (of_second[one] + of_first[other])
    mean = agree - 2 * (1 - value) * chance
    everywhere = np.ones(len(influence))
    errors = [float(np.sqrt(part)) / drawn.hectares for part in drawn.variances(influence - mean, everywhere)]
    error, wider = (one if one > ROUNDING else 0.0 for one in errors)  # 0 where one of them uses a single class
    points = drawn.independent(np.ones(len(one), bool))
    low, high = korn_graubard_interval(agree, interval_factor(drawn, everywhere > 0) * wider, points)
    numbers = (value, error / (1 - chance), *((end - chance) / (1 - chance) for end in (low, high)))
    return Estimate(*(np.asarray(number) for number in numbers))
