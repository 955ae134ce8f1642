"""Shares and means of an area from reference points with the help of a map of the whole area.

The map need not be right: where it errs, the points correct it, and where it is good, the error becomes smaller.

    Särndal, Swensson & Wretman (1992), "Model Assisted Survey Sampling", chapter 6: difference and regression (GREG).
    Angelopoulos et al. (2023), "Prediction-powered inference", Science 382, 669; and "PPI++" (arXiv 2311.01453): the
    difference estimator with a slope. The map covers the area, so its mean has no sampling error, unlike there.

Shape letters: N points, S strata.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agrifm.assess.estimators import Estimate
from agrifm.assess.intervals import ROUNDING, korn_graubard_interval, unseen_variance
from agrifm.assess.point_estimators import StratifiedPoints, ratio_of_values
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.errors import AssessmentError

Method = Literal["sample", "difference", "regression"]
"""Which slope of the map is used: 0, 1, or the one that makes the error smallest."""
MIN_FOR_SLOPE = 3
"""Points of a stratum from which a slope of its own is estimated."""


def assisted_share(
    reference: ArrayLike,
    auxiliary: ArrayLike,
    auxiliary_mean: ArrayLike,
    drawn: StratifiedPoints,
    method: Method = "regression",
) -> Estimate:
    """Estimate the share of the area that has a property, with a map's class or probability as auxiliary.

    Within each stratum the mean of the points is moved by slope x (the map's mean over the stratum less its mean at
    the points).

    Args:
        reference: (N,), 1 where the point has the property, else 0.
        auxiliary: (N,), what the map says at the points: 0 or 1, or the probability.
        auxiliary_mean: (S,), mean of the map over every pixel of each stratum.
        drawn: the strata of the points.

    Returns:
        The share with its standard error and the interval of Korn and Graubard, for which a stratum whose points are
        all as the map says has the variance of the pixels that so few points cannot exclude.

    Raises:
        AssessmentError: the map's mean is not between 0 and 1, or a stratum has too few points for a slope.
    """
    y, f = np.asarray(reference, np.float64), np.asarray(auxiliary, np.float64)
    means = np.broadcast_to(np.asarray(auxiliary_mean, np.float64), drawn.size.shape)
    if not ((means >= 0) & (means <= 1)).all():
        raise AssessmentError(
            f"estimating a share with a map: the map's mean is {means.min():g} to {means.max():g}, and it must be a "
            "share between 0 and 1; give probabilities or classes of one property",
            found=(float(means.min()), float(means.max())),
        )
    share = drawn.size / drawn.size.sum()
    value = variance = cautious = 0.0
    for number in np.flatnonzero(share):
        here = drawn.stratum == number
        mean, error = _of_stratum(y[here], f[here], float(means[number]), method, int(number))
        value += share[number] * mean
        variance += share[number] ** 2 * error**2
        cautious += share[number] ** 2 * (error**2 or unseen_variance(int(here.sum())) / here.sum())
    low, high = korn_graubard_interval(float(np.clip(value, 0, 1)), float(np.sqrt(cautious)), len(y))
    return Estimate(*(np.asarray(part) for part in (value, float(np.sqrt(variance)), low, high)))


def assisted_mean(
    reference: ArrayLike,
    auxiliary: ArrayLike,
    auxiliary_mean: float,
    drawn: ProbabilitySample,
    method: Method = "regression",
    domain: ArrayLike | None = None,
) -> Estimate:
    """Estimate the mean of any number over an area, such as a yield, with a map of it as auxiliary; of any design.

    It is slope x the map's mean over the area + the mean over the points of reference - slope x map (Särndal, Swensson
    & Wretman 1992, sections 6.3 and 6.4; chapter 10 for a part of the area), the latter as a ratio of totals. The slope
    of the regression is one for all strata, from the points of the part by their weights. Times the hectares of the
    area it is a total.

    Args:
        reference: (N,), what was found at the points.
        auxiliary: (N,), what the map says there.
        auxiliary_mean: of the map over every pixel of the area, or of the part.
        drawn: the design of the points.
        domain: (N,), whether each point is in the part, such as a district; None = everything.

    Returns:
        The mean with its standard error, and the interval of Student's t; NaN if no point is in the part.

    Raises:
        AssessmentError: a regression of fewer than three points.
    """
    y, f = np.asarray(reference, np.float64), np.asarray(auxiliary, np.float64)
    inside = np.ones(len(y), bool) if domain is None else np.asarray(domain, bool)
    y, f = np.where(inside, y, 0), np.where(inside, f, 0)
    slope = {"sample": 0.0, "difference": 1.0}.get(method)
    if slope is None:
        slope = _slope(y[inside], f[inside], drawn.weights[inside])
    moved = ratio_of_values(y - slope * f, inside, drawn)
    shift = slope * auxiliary_mean
    return Estimate(moved.value + shift, moved.error, moved.low + shift, moved.high + shift)


def _slope(y: NDArray[np.float64], f: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    if len(y) < MIN_FOR_SLOPE:
        raise AssessmentError(
            f"estimating a mean with a map: it has {len(y)} points, and a regression needs at least {MIN_FOR_SLOPE}; "
            "give more points, or use the difference",
            points=len(y),
        )
    apart = f - np.average(f, weights=weights)
    spread = float(weights @ apart**2)
    return float(weights @ (apart * y)) / spread if spread else 0.0


def _of_stratum(
    y: NDArray[np.float64], f: NDArray[np.float64], mean: float, method: Method, number: int
) -> tuple[float, float]:
    """The estimate and standard error of one stratum."""
    count = len(y)
    if method == "regression" and count < MIN_FOR_SLOPE:
        raise AssessmentError(
            f"estimating a share with a map: stratum {number} has {count} points, and a regression needs at least "
            f"{MIN_FOR_SLOPE}; label more points, or use the difference",
            stratum=number,
            points=count,
        )
    spread = float(f.var())
    best = float(np.cov(y, f, ddof=0)[0, 1]) / spread if spread else 0.0
    slope = {"sample": 0.0, "difference": 1.0, "regression": best}[method]
    residual = y - slope * f
    error = float(residual.std(ddof=1) / np.sqrt(count))
    if error < ROUNDING:
        error = 0.0
    return float(y.mean() + slope * (mean - f.mean())), error
