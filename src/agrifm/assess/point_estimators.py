"""Accuracy and areas from points whose strata need not be the map's classes, and change between two dates.

Stehman (2014), "Estimating area and map accuracy for stratified random sampling when the strata are different from the
map classes", International Journal of Remote Sensing 35, 4923-4939, doi:10.1080/01431161.2014.930207. Every quantity is
a ratio of two totals over the area, R = Y / X, each estimated from the points of the strata.

Points are drawn at random within strata, or by a design that has its estimators in `agrifm.assess.cluster_estimators`
or `agrifm.assess.two_phase_estimators`. Within strata there is no finite population correction (`units` brings it back
to compare with publications that have it): strata have many more pixels than points, and without it an interval is
never too narrow.

Shape letters: N points, S strata, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, norm

from agrifm.assess.estimators import Estimate, Estimates
from agrifm.assess.intervals import (
    MIN_POINTS,
    ROUNDING,
    TAIL,
    Floats,
    clumped_interval,
    design_interval,
    student_factor,
    unseen_variance,
)
from agrifm.assess.probability_sample import ClumpedSample, CombinedStrata, ProbabilitySample
from agrifm.errors import AssessmentError

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class StratifiedPoints:
    """The stratum of each point, and how large the strata are."""

    stratum: Numbers
    """(N,), number of the stratum, 0..S-1."""
    size: Floats
    """(S,), area of each stratum in hectares (any other unit of area gives areas in that unit)."""
    units: Floats | None = None
    """(S,), pixels of each stratum, for the finite population correction; None = without it."""

    @property
    def points(self) -> Numbers:
        """(S,), points of each stratum."""
        return np.bincount(self.stratum, minlength=len(self.size))

    @property
    def hectares(self) -> float:
        """The area of all strata."""
        return float(self.size.sum())

    @property
    def weights(self) -> Floats:
        """(N,), hectares that each point stands for."""
        return np.asarray((self.size / np.maximum(self.points, 1))[self.stratum])

    def degrees(self, concerned: NDArray[np.bool_]) -> float:
        """Infinite."""
        return np.inf

    def variances(self, residual: Floats, counted: Floats) -> tuple[float, float]:
        """Return the variance of a weighted sum, and a cautious one: 0 only if every pixel is a point."""
        n_s = self.points
        many = np.maximum(n_s, MIN_POINTS)
        variance = within_variances(residual, self.stratum, n_s)
        cautious = cautious_variances(variance, residual, counted, self.stratum, n_s)
        factor = self.size**2 / many
        if self.units is not None:
            factor = factor * np.maximum(1 - n_s / np.maximum(self.units, 1), 0)
        return float(factor @ variance), float(factor @ cautious)

    def independent(self, concerned: NDArray[np.bool_]) -> int:
        """Return the number of points of one weight that would say as much (Kish 1965, section 11.7)."""
        weights = self.weights[concerned]
        return round(float(weights.sum() ** 2 / (weights @ weights))) if weights.size else 0


def stratified_points(
    stratum: ArrayLike, size: ArrayLike, units: ArrayLike | None = None, names: tuple[str, ...] = ()
) -> StratifiedPoints:
    """Return points with their strata, checked.

    Args:
        stratum: (N,), number of each point's stratum.
        size: (S,), hectares of each stratum.
        units: (S,), pixels of each stratum, to correct for a finite population.
        names: of the strata in messages; by default their numbers.

    Raises:
        AssessmentError: a stratum with an area has fewer than two points, or one without has any.
    """
    numbers, area = np.asarray(stratum, np.int64), np.asarray(size, np.float64)
    drawn = StratifiedPoints(numbers, area, None if units is None else np.asarray(units, np.float64))
    for number, (count, hectares) in enumerate(zip(drawn.points, area, strict=True)):
        name = names[number] if names else str(number)
        if hectares > 0 and count < MIN_POINTS:
            raise AssessmentError(
                f"estimating areas: the stratum '{name}' covers {hectares:,.2f} ha but has {count} reference points "
                f"with a label, and at least {MIN_POINTS} are needed; label more points there",
                name=name,
                points=int(count),
            )
        if not hectares > 0 and count:
            raise AssessmentError(
                f"estimating areas: the stratum '{name}' has {count} reference points but no area; give the hectares "
                "of every stratum that points were drawn in",
                name=name,
                points=int(count),
            )
    return drawn


def within_variances(values: Floats, group: Numbers, count: Numbers) -> Floats:
    """Return the variance of the values in each group, with n - 1 in the denominator; 0 for one value.

    Args:
        values: (N,).
        group: (N,), number of the group.
        count: (groups,), values in each.
    """
    sums, squares = (np.bincount(group, part, len(count)) for part in (values, values**2))
    many = np.maximum(count, MIN_POINTS)
    variance = np.maximum(squares - sums**2 / np.maximum(count, 1), 0) / (many - 1)
    variance[variance < ROUNDING] = 0
    return np.asarray(variance)


def cautious_variances(variance: Floats, residual: Floats, counted: Floats, group: Numbers, count: Numbers) -> Floats:
    """Return the variance in each group, but at least `unseen_variance` where all points that are counted agree.

    One that does not may have been missed. Where none of a group is counted, one may have been missed too.

    Args:
        variance: (groups,), of all points.
        residual, counted: (N,), as of `ProbabilitySample.variances`.
        group: (N,), number of the group.
        count: (groups,), points in each.
    """
    of, values = group[counted > 0], residual[counted > 0]
    high, low = np.full(len(count), -np.inf), np.full(len(count), np.inf)
    np.maximum.at(high, of, values)
    np.minimum.at(low, of, values)
    several = np.bincount(of, minlength=len(count))
    decide = np.where(several > 0, several, count)
    floor = decide / np.maximum(count, 1) * unseen_variance(decide)
    return np.where(high - low < ROUNDING, np.maximum(variance, floor), variance)


def ratio_of_totals(y: ArrayLike, x: ArrayLike, drawn: ProbabilitySample) -> Estimate:
    """Estimate R = Y / X of two properties of points (Stehman 2014, eqs. 27 and 28).

    Args:
        y: (N,), such as 1 where the point is of a class and the map has it right, else 0.
        x: (N,), such as 1 where the point is of the class; all 1 = a share of the area.

    Returns:
        Its value, standard error, and interval (`design_interval`), with the correction of Korn and Graubard (1998) for
        few degrees of freedom; NaN where X is 0. For the interval, a stratum whose points all agree has the variance
        of the share of other pixels that so few points cannot exclude, so no interval has a width of zero unless every
        pixel is a point. Such caution never makes the points that decide fewer than they are: near 0 and 1 a variance
        that was taken for another share would make them less than one. Points of a `ClumpedSample` have a wider one.
    """
    numerator, denominator = np.asarray(y, np.float64), np.asarray(x, np.float64)
    value, error, wider = _ratio_and_errors(numerator, denominator, drawn)
    if 0 < value - 1 < ROUNDING:  # the sum of shares that are all right
        value = 1.0
    concerned = denominator > 0
    points = drawn.independent(concerned)
    spread = error
    if isinstance(drawn, CombinedStrata) and wider > 0:
        whole = float(drawn.weights @ denominator)
        spread = float(np.sqrt(drawn.smooth_variance(numerator - value * denominator))) / whole
    half = max(interval_factor(drawn, concerned) * spread, _cautious_error(value, wider, points))
    low, high = design_interval(value, half, points) if wider else (value, value)
    if isinstance(drawn, ClumpedSample) and wider:
        low, high = clumped_interval(drawn.clumps(numerator, denominator, value), value, half, (low, high))
    if isinstance(drawn, CombinedStrata) and (denominator == 1).all():
        low, high = drawn.share_interval(numerator) or (low, high)
    return Estimate(*(np.asarray(number) for number in (value, error, low, high)))


def ratio_of_values(y: ArrayLike, x: ArrayLike, drawn: ProbabilitySample) -> Estimate:
    """Estimate R = Y / X of any numbers of points, such as yields or squared errors (Stehman 2014, eqs. 27 and 28).

    Args:
        y: (N,).
        x: (N,), such as 1 where the point counts, else 0.

    Returns:
        Its value, standard error, and the interval of Student's t: with the degrees of freedom of the design, and at
        most those of as many independent points as there are, less one. NaN where X is 0.
    """
    numerator, denominator = np.asarray(y, np.float64), np.asarray(x, np.float64)
    value, error, _ = _ratio_and_errors(numerator, denominator, drawn)
    concerned = denominator > 0
    degrees = max(min(drawn.degrees(concerned), drawn.independent(concerned) - 1.0), 1.0)
    half = float(norm.ppf(1 - TAIL) * student_factor(degrees)) * error
    return Estimate(*(np.asarray(number) for number in (value, error, value - half, value + half)))


def _cautious_error(share: float, wider: float, points: int) -> float:
    """A cautious standard error, but at most that of so many points of a simple random sample."""
    spread = share * (1 - share)
    return min(wider, float(np.sqrt(spread / max(points, 1)))) if spread > 0 else wider


def _ratio_and_errors(y: Floats, x: Floats, drawn: ProbabilitySample) -> tuple[float, float, float]:
    """R = Y / X, its standard error, and that of a cautious interval, which is 0 only if every pixel is a point."""
    weights = drawn.weights
    total = float(weights @ x)
    if not total > 0:
        return np.nan, np.nan, np.nan
    value = float(weights @ y) / total
    error, wider = (float(np.sqrt(part)) / total for part in drawn.variances(y - value * x, x))
    return value, error, wider


def interval_factor(drawn: ProbabilitySample, concerned: NDArray[np.bool_]) -> float:
    """How much wider an interval is by its degrees of freedom, the ratio of Student's to the normal quantile."""
    degrees = drawn.degrees(concerned)
    return 1.0 if np.isinf(degrees) else float(student_factor(degrees))


def point_estimates(
    mapped: ArrayLike,
    reference: ArrayLike,
    classes: int,
    drawn: ProbabilitySample,
    domain: ArrayLike | None = None,
    size: float | None = None,
) -> Estimates:
    """Estimate accuracies and true areas of a map, or of a part of it, from points of any strata.

    Args:
        mapped: (N,), class number of the map at each point.
        reference: (N,), class number of the reference.
        classes: K.
        domain: (N,), whether each point is in the part, such as a district; None = everything.
        size: hectares of the part, which are known; None = those of all strata.

    Returns:
        As `agrifm.assess.estimators.stratified_estimates`, which it equals where the strata are the map's classes.
    """
    i, j = np.asarray(mapped, np.int64), np.asarray(reference, np.int64)
    inside = np.ones(len(i), bool) if domain is None else np.asarray(domain, bool)
    total = drawn.hectares if size is None else size
    by_class: dict[str, list[Estimate]] = {"users": [], "producers": [], "f1": [], "share": []}
    for c in range(classes):
        on_map, on_ground = (i == c) & inside, (j == c) & inside
        right = on_map & on_ground
        by_class["users"].append(ratio_of_totals(right, on_map, drawn))
        by_class["producers"].append(ratio_of_totals(right, on_ground, drawn))
        by_class["f1"].append(_f1_of(ratio_of_totals(right, on_map | on_ground, drawn)))
        by_class["share"].append(ratio_of_totals(on_ground, inside, drawn))
    users, producers, f1, share = (
        Estimate(*(np.array(parts) for parts in zip(*(vars(one).values() for one in several), strict=True)))
        for several in by_class.values()
    )
    area = Estimate(*(part * total for part in vars(share).values()))
    return Estimates(ratio_of_totals((i == j) & inside, inside, drawn), users, producers, f1, area)


def _f1_of(jaccard: Estimate) -> Estimate:
    """F1 from the share J of the area with a class on the map or on the ground that has it on both: 2 J / (1 + J).

    The share is one of points that are right or wrong, as binomial intervals suppose; F1, which counts right ones
    twice, is not. The standard error is that of F1 as a ratio of totals, by the chain rule.
    """
    value, low, high = (2 * part / (1 + part) for part in (jaccard.value, jaccard.low, jaccard.high))
    return Estimate(value, jaccard.error * 2 / (1 + jaccard.value) ** 2, low, high)


def area_matrix(mapped: ArrayLike, reference: ArrayLike, classes: int, drawn: ProbabilitySample) -> Floats:
    """Return the estimated share of the area of each pair of map class and reference class, (K, K), summing to 1."""
    i, j = np.asarray(mapped, np.int64), np.asarray(reference, np.int64)
    weights = drawn.weights
    shares = np.zeros((classes, classes))
    np.add.at(shares, (i, j), weights / weights.sum())
    return shares


@dataclass(frozen=True)
class Change:
    """What became of the classes between two dates, from the same points at both."""

    transitions: Estimate
    """Hectares that were one class and became another, (K before, K after)."""
    net: Estimate
    """Hectares gained by each class less those lost, (K,); standard errors are of the paired difference."""


def estimate_change(
    before: ArrayLike, after: ArrayLike, classes: int, drawn: ProbabilitySample, domain: ArrayLike | None = None
) -> Change:
    """Estimate change from the reference classes of the same points at two dates.

    Because points are paired, what did not change has no part in the error of a net change.

    Args:
        before, after: (N,), class numbers.
        classes: K.
        domain: (N,), points whose class is known at both dates; the others are taken to have changed alike. None = all.
    """
    first, second = np.asarray(before, np.int64), np.asarray(after, np.int64)
    known = np.ones(len(first), bool) if domain is None else np.asarray(domain, bool)
    everywhere, total = known * 1.0, drawn.hectares
    cells = [
        ratio_of_totals((first == one) & (second == other) & known, everywhere, drawn)
        for one in range(classes)
        for other in range(classes)
    ]
    transitions = Estimate(
        *(
            np.array(parts).reshape(classes, classes) * total
            for parts in zip(*(vars(cell).values() for cell in cells), strict=True)
        )
    )
    return Change(transitions, _net(first, second, classes, drawn, total, everywhere))


@dataclass(frozen=True)
class PairedDifference:
    """How much better a first map is than a second one on the same points."""

    difference: Estimate
    """Share of the area that is right on the first map less that on the second, -1..1."""
    only_first: int
    """Points at which only the first map is right."""
    only_second: int
    mcnemar: float
    """Two-sided p-value of the exact test of McNemar, for simple random samples only; 1 where no point differs."""


def paired_difference(
    first_right: ArrayLike, second_right: ArrayLike, drawn: ProbabilitySample, domain: ArrayLike | None = None
) -> PairedDifference:
    """Estimate the difference of the accuracies of two maps from one sample.

    Points where both maps are right or both wrong have no part in it. The interval is that of Bonett and Price (2012,
    "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data", Journal of
    Educational and Behavioral Statistics 37, 479-488) of the simple random sample that would have the same standard
    error; where no point differs, of as many points as there are.

    Args:
        first_right, second_right: (N,), whether each map is right at the point.
        domain: (N,), points that count, such as those where both maps have a class; None = all.

    Raises:
        AssessmentError: no point counts.
    """
    one, other = np.asarray(first_right, bool), np.asarray(second_right, bool)
    inside = np.ones(len(one), bool) if domain is None else np.asarray(domain, bool)
    if not inside.any():
        raise AssessmentError("comparing two maps: at none of the points both have a class; check that they overlap")
    counted = inside * 1.0
    better, worse = (one & ~other & inside) * 1.0, (other & ~one & inside) * 1.0
    value, error, _ = _ratio_and_errors(better - worse, counted, drawn)
    gain, loss = (_ratio_and_errors(part, counted, drawn)[0] for part in (better, worse))
    spread = gain + loss - value**2
    effective = spread / error**2 if error > 0 and spread > 0 else float(drawn.independent(inside))
    many = effective + 2
    gained, lost = (gain * effective + 1) / many, (loss * effective + 1) / many
    half = interval_factor(drawn, inside) * norm.ppf(1 - TAIL) * np.sqrt((gained + lost - (gained - lost) ** 2) / many)
    low, high = max(gained - lost - half, -1.0), min(gained - lost + half, 1.0)
    estimate = Estimate(*(np.asarray(number) for number in (value, error, low, high)))
    counts = int(better.sum()), int(worse.sum())
    return PairedDifference(estimate, *counts, float(binomtest(counts[0], sum(counts)).pvalue) if sum(counts) else 1.0)


def _net(
    first: Numbers, second: Numbers, classes: int, drawn: ProbabilitySample, total: float, counted: Floats
) -> Estimate:
    """Net change with 1.96 cautious standard errors, or Student's: it is a difference, of either sign, and no share."""
    parts = [_ratio_and_errors(counted * ((second == c) * 1.0 - (first == c)), counted, drawn) for c in range(classes)]
    value, error, wider = np.array(parts).T * total
    half = 1.96 * interval_factor(drawn, counted > 0) * wider
    return Estimate(value, error, value - half, value + half)
