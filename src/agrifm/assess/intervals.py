"""95 % intervals of accuracies and areas that hold for few points too: never of width zero, never beyond 0 and 1.

1.96 standard errors are too few where a class was hardly sampled, and none where every point agrees. Here each
stratum's share has Jeffreys' interval, and strata are combined by the method of variance estimates recovery, which
keeps the asymmetry of each. With many points the result is that of 1.96 standard errors.

    Brown, Cai and DasGupta (2001), "Interval estimation for a binomial proportion", Statistical Science 16, 101-133.
    Zou and Donner (2008), "Construction of confidence limits about effect measures: a general approach", Statistics in
    Medicine 27, 1693-1702: sums. A ratio is in its interval where that of (numerator - ratio x denominator) has zero.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betaincinv, gammaincinv, ndtri, stdtrit  # those of scipy.stats take 20 times as long

TAIL = 0.025
MIN_POINTS = 2
"""Reference points that a stratum needs for a standard error."""
ABOUT_ONE = 1.5
"""Largest number of points that counts as a single one, where they are not whole."""
FEW = 6
"""Observed count below which the exact interval is used, because that of Jeffreys may hold the truth too seldom.

It is less than 10, the expected count from which intervals are to hold the truth in 95 % and not in more: where 10 are
expected, half of the samples show fewer, and the exact interval is too wide. With 6 the truth is held in 93.4 % or more
at any share of 15 points or more that is expected in fewer than 10; with 5 in 92.2 %.
"""
ROUNDING = 1e-9
"""Standard errors and variances of shares below it are rounding errors."""

Floats = NDArray[np.float64]


class Clumps(NamedTuple):
    """What points that come many at once do to the interval of a share, beyond its standard error."""

    skewness: float
    """Of the estimated share."""
    unseen: float
    """Part of the share that may be wrong in units of which the sample has none."""


class Shares(NamedTuple):
    """Shares of the strata with their intervals, arrays of one shape."""

    value: Floats
    low: Floats
    high: Floats


def student_factor(degrees: ArrayLike) -> Floats:
    """Return how much wider an interval is by its degrees of freedom: the ratio of Student's to the normal quantile."""
    return np.asarray(stdtrit(degrees, 1 - TAIL) / ndtri(1 - TAIL))


def proportion_interval(count: ArrayLike, points: ArrayLike) -> tuple[Floats, Floats]:
    """Return the ends of Jeffreys' 95 % interval of the share that `count` of `points` random points show.

    It begins at 0 if no point has the property, and ends at 1 if every point has it. Without points it is 0 to 1.
    """
    x, n = np.asarray(count, np.float64), np.asarray(points, np.float64)
    low, high = (betaincinv(x + 0.5, n - x + 0.5, tail) for tail in (TAIL, 1 - TAIL))
    return np.where(x == 0, 0.0, low), np.where(x == n, 1.0, high)


def binomial_interval(count: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Return Jeffreys' 95 % interval, or the exact one where fewer than `FEW` points have the property or lack it.

    Of few points that of Jeffreys holds the truth too seldom for some shares (Brown, Cai and DasGupta 2001); the exact
    one of Clopper and Pearson (1934, Biometrika 26, 404-413) in 95 % or more.
    """
    x, n = np.asarray(count, np.float64), np.asarray(points, np.float64)
    low, high = proportion_interval(x, n)
    with np.errstate(invalid="ignore"):
        least = np.where(x == 0, 0.0, betaincinv(x, n - x + 1, TAIL))
        most = np.where(x == n, 1.0, betaincinv(x + 1, n - x, 1 - TAIL))
    few = np.minimum(x, n - x) < FEW
    return np.where(few, least, low), np.where(few, most, high)


def unseen_variance(points: ArrayLike) -> Floats:
    """Return the variance of a stratum whose points all agree: that of a share of 0.5 / (points + 1) of other pixels.

    Jeffreys' prior and so many points leave that share to pixels that were not seen.
    """
    share = 0.5 / (np.asarray(points, np.float64) + 1)
    return np.asarray(share * (1 - share))


def korn_graubard_interval(share: float, error: float, points: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share from any design (Korn and Graubard 1998, section 3).

    The exact binomial interval of the simple random sample that would have the same standard error. Where the error is
    0, because all points agree, it is that of as many points as there are.

        Korn and Graubard (1998), "Confidence intervals for proportions with small expected number of positive counts
        estimated from survey data", Survey Methodology 24, 193-201; without the correction for degrees of freedom.

    Args:
        share: 0..1; one that is not gives an interval of NaN.
        points: points that decide it.
    """
    if not 0 <= share <= 1:
        return np.nan, np.nan
    effective = share * (1 - share) / error**2 if error > 0 and 0 < share < 1 else float(points)
    count = share * effective
    low = 0.0 if count <= 0 else float(betaincinv(count, effective - count + 1, TAIL))
    return low, 1.0 if count >= effective else float(betaincinv(count + 1, effective - count, 1 - TAIL))


def design_interval(share: float, error: float, points: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share from any design: of Jeffreys, or of Korn and Graubard if few.

    Both are binomial, of the simple random sample that would have the same standard error. The exact one of Korn and
    Graubard holds the truth in 95 % or more, mostly more; that of Jeffreys in 95 % on average, and is taken where at
    least `FEW` such points have the property and as many do not.

        Franco, Little, Louis and Slud (2019), "Comparative study of confidence intervals for proportions in complex
        sample surveys", Journal of Survey Statistics and Methodology 7, 334-364, section 2: the effective sample size
        in the intervals of Jeffreys, Wilson and Clopper-Pearson.

    Args:
        share, error, points: as of `korn_graubard_interval`.
    """
    effective = share * (1 - share) / error**2 if error > 0 and 0 < share < 1 else 0.0
    if not effective * min(share, 1 - share) >= FEW:
        return korn_graubard_interval(share, error, points)
    low, high = proportion_interval(share * effective, effective)
    return float(low), float(high)


def skewed_interval(share: float, error: float, skewness: float) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a sum whose parts are so uneven that few of them decide.

    Such a sum is like a count of 1 / skewness squared events of one size, whose interval is brought to its standard
    error: the exact one of Poisson counts, or with half the probability of the count itself where `FEW` or more decide.

        Dobson, Kuulasmaa, Eberle and Scherer (1991), "Confidence intervals for weighted sums of Poisson parameters",
        Statistics in Medicine 10, 457-462; events of unequal weight are as many as their skewness says.

    Args:
        skewness: of the estimated share; positive where few high parts decide.
    """
    events = 1 / max(skewness**2, ROUNDING)
    below, above = (0.0, 1.0) if events < FEW else (0.5, 0.5)
    least, most = (float(gammaincinv(events + of, tail)) for tail, of in ((TAIL, below), (1 - TAIL, above)))
    size = error / events**0.5
    down, up = size * (events - least), size * (most - events)
    return (share - down, share + up) if skewness >= 0 else (share - up, share + down)


def clumped_interval(clumps: Clumps, share: float, error: float, ends: tuple[float, float]) -> tuple[float, float]:
    """The ends of an interval, farther out where few units decide, or where one that is mostly wrong was not seen."""
    low, high = ends
    if clumps.skewness:
        least, most = skewed_interval(share, error, clumps.skewness)
        low, high = max(min(low, least), 0.0), min(max(high, most), 1.0)
    return min(low, share * (1 - clumps.unseen)), high


def effective_shares(share: Floats, effective: Floats, points: Floats) -> Shares:
    """Return shares of strata with intervals of the random samples that would have the same standard errors.

    They are those of Jeffreys, but exact at an end that one point or none decides (as in `stratum_shares`), and where
    all agree, because one large unit that does not may have been missed.

    Args:
        share: (S,).
        effective: (S,), points of such a random sample where a share is neither 0 nor 1.
        points: (S,), those where all agree.
    """
    alike = (share <= ROUNDING) | (share >= 1 - ROUNDING)
    n = np.where(alike, points, effective)
    x = np.where(alike, np.round(share), share) * n
    low, high = proportion_interval(x, n)
    with np.errstate(invalid="ignore"):
        least = np.where(x == 0, 0.0, betaincinv(x, n - x + 1, TAIL))
        most = np.where(x == n, 1.0, betaincinv(x + 1, n - x, 1 - TAIL))
    below, above = alike | (x <= ABOUT_ONE), alike | (n - x <= ABOUT_ONE)
    return Shares(share, np.where(below, least, low), np.where(above, most, high))


def stratum_shares(counts: Floats, points: Floats, complete: NDArray[np.bool_]) -> Shares:
    """Return the shares of strata, with Jeffreys' intervals modified (Brown, Cai and DasGupta 2001, section 4.1.2).

    Where a single point has the property, or lacks it, the end next to it is exact: that of Jeffreys is so far from 0
    that it often misses a rare share, and in a ratio such as a producer's accuracy that one point decides.

    Args:
        counts, points: points that have a property, and all points; arrays that broadcast.
        complete: whether the points cover every pixel, so that the share is known.
    """
    counts, points = np.broadcast_arrays(counts, points)
    value = np.divide(counts, points, out=np.zeros(counts.shape), where=points > 0)
    low, high = proportion_interval(counts, points)
    several = np.maximum(points, MIN_POINTS)
    low = np.where((counts == 1) & (points > 1), 1 - (1 - TAIL) ** (1 / several), low)
    high = np.where((counts == points - 1) & (points > 1), (1 - TAIL) ** (1 / several), high)
    return Shares(value, np.where(complete, value, low), np.where(complete, value, high))


def sum_interval(factors: Floats, shares: Shares) -> tuple[float, float]:
    """Return the interval of the sum of factor x share over independent strata (Zou and Donner, section 2).

    Args:
        factors: (stratum,), of either sign.
    """
    value = float(factors @ shares.value)
    below, above = factors * (shares.value - shares.low), factors * (shares.high - shares.value)
    # A negative factor turns a stratum's interval around.
    down, up = np.where(factors >= 0, below, above), np.where(factors >= 0, above, below)
    return value - float(np.sqrt(down @ down)), value + float(np.sqrt(up @ up))


def ratio_interval(numerator: Floats, denominator: Floats, constant: float, shares: Shares) -> tuple[float, float]:
    """Return the interval of a ratio, between 0 and 1, of two sums over strata.

    Args:
        numerator, denominator: (stratum,), factors of the shares.
        constant: added to the denominator.
    """
    if not denominator.any():
        low, high = sum_interval(numerator, shares)
        return low / constant, high / constant

    def end(which: int) -> float:
        """The ratio at which an end of the interval of (numerator - ratio x denominator) is zero; it falls."""

        def difference(ratio: float) -> float:
            return sum_interval(numerator - ratio * denominator, shares)[which] - ratio * constant

        if difference(0.0) <= 0:
            return 0.0
        return 1.0 if difference(1.0) >= 0 else float(brentq(difference, 0.0, 1.0, xtol=1e-12))

    return end(0), end(1)
