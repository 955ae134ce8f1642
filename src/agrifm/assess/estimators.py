"""Accuracy and areas of a map from reference points: the stratified estimators of Olofsson et al. 2014.

Olofsson, Foody, Herold, Stehman, Woodcock and Wulder (2014), "Good practices for estimating area and assessing
accuracy of land change", Remote Sensing of Environment 148, 42-57, doi:10.1016/j.rse.2014.02.015. The map's classes
are the strata; points are drawn at random within each.

In this file i counts map classes (rows) and j reference classes (columns); both run over one list of classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agrifm.assess.intervals import MIN_POINTS, Floats, Shares, binomial_interval, ratio_interval, stratum_shares
from agrifm.errors import AssessmentError


@dataclass(frozen=True)
class Estimate:
    """Values with their standard errors and 95 % intervals, equal shapes; NaN where undefined."""

    value: Floats
    error: Floats
    low: Floats
    high: Floats

    def of(self, number: int) -> "Estimate":
        """The estimate of one class."""
        return Estimate(*(np.asarray(part[number]) for part in vars(self).values()))


@dataclass(frozen=True)
class Estimates:
    """Accuracies and areas of a map, estimated from reference points."""

    overall: Estimate
    """Overall accuracy, shape ()."""
    users: Estimate
    """User's accuracy (1 - commission) per map class; NaN for a class that the map does not have."""
    producers: Estimate
    """Producer's accuracy (1 - omission) per reference class; NaN for a class without reference points."""
    f1: Estimate
    """F1 per class, 2 x correct / (mapped + true) hectares; NaN for a class without either."""
    area: Estimate
    """True area per reference class, hectares."""


@dataclass(frozen=True)
class _Ratio:
    """A ratio of two sums over strata: factors (stratum,) of the strata's shares of points with a property."""

    numerator: Floats
    denominator: Floats
    constant: float
    """Added to the denominator."""


def stratified_estimates(
    counts: ArrayLike,
    mapped_ha: ArrayLike,
    names: Sequence[str] | None = None,
    complete: ArrayLike | None = None,
) -> Estimates:
    """Estimate accuracies and true areas from a sample stratified by map class.

    Args:
        counts: (map class, reference class), number of reference points; both axes list the same classes. A class
            that the map does not have is a row of zeros.
        mapped_ha: (map class,), mapped area in hectares (any other unit of area gives areas in that unit).
        names: of the classes in error messages; by default their positions.
        complete: (map class,), True where the points cover every pixel of the class, which then has no sampling
            error; by default no class.

    Returns:
        Estimates with standard errors: overall accuracy (eqs. 1 and 5), user's accuracy (eqs. 2 and 6), producer's
        accuracy (eqs. 3 and 7) and area (eqs. 8 to 11), shares of area being estimated by eq. 4; F1 by the same
        Taylor expansion. There is no finite population correction, as in the paper: classes have many more pixels
        than points. Intervals are those of `agrifm.assess.intervals`; a user's accuracy, which is the share of a single
        stratum, has the exact one where few of its points are right or few are wrong.

    Raises:
        AssessmentError: a mapped class has fewer than two points, a class has points but no mapped area, or
            nothing is mapped.
    """
    n_ij, mapped = np.asarray(counts, np.float64), np.asarray(mapped_ha, np.float64)
    assert n_ij.shape == (mapped.size, mapped.size), f"counts {n_ij.shape} do not fit {mapped.size} classes"
    known = np.zeros(mapped.size, bool) if complete is None else np.asarray(complete, bool)
    n_i, total = n_ij.sum(1), float(mapped.sum())
    _require_points(n_i, mapped, names or [str(i) for i in range(mapped.size)], known)

    shares = stratum_shares(n_ij, n_i[:, None], known[:, None])
    # Strata whose every pixel is a point have no sampling error.
    spread = np.divide(1.0, n_i - 1, out=np.zeros_like(n_i), where=(n_i > 1) & ~known)
    nothing = np.zeros_like(mapped)
    overall = _estimate(_Ratio(mapped, nothing, total), Shares(*map(np.diagonal, shares)), spread)
    by_class: dict[str, list[Estimate]] = {"users": [], "producers": [], "f1": [], "share": []}
    for c in range(mapped.size):
        # Hectares of the class that the map has right: the map class's hectares times its share of right points.
        correct = np.where(np.arange(mapped.size) == c, mapped, 0.0)
        ratios = {
            "users": _Ratio(correct, nothing, mapped[c]),
            "producers": _Ratio(correct, mapped, 0.0),
            "f1": _Ratio(2 * correct, mapped, mapped[c]),
            "share": _Ratio(mapped, nothing, total),
        }
        of_class = Shares(*(part[:, c] for part in shares))
        for name, ratio in ratios.items():
            by_class[name].append(_estimate(ratio, of_class, spread))
    users, producers, f1, share = (_stack(estimates) for estimates in by_class.values())
    sampled = (n_i > 0) & ~known
    ends = binomial_interval(np.diagonal(n_ij)[sampled], n_i[sampled])
    for end, exact in zip((users.low, users.high), ends, strict=True):
        end[sampled] = exact
    area = Estimate(*(part * total for part in vars(share).values()))
    return Estimates(overall, users, producers, f1, area)


def _estimate(ratio: _Ratio, shares: Shares, spread: Floats) -> Estimate:
    """Estimate a ratio.

    Args:
        shares: (stratum,), of the points that have the ratio's property.
        spread: (stratum,), 1 / (n - 1), 0 without a sampling error.
    """
    whole = float(ratio.denominator @ shares.value) + ratio.constant
    if not whole > 0:
        return Estimate(*(np.asarray(np.nan) for _ in range(4)))
    value = float(ratio.numerator @ shares.value) / whole
    # Taylor expansion: how the ratio changes with each stratum's share.
    slopes = (ratio.numerator - value * ratio.denominator) / whole
    error = float(np.sqrt(slopes**2 @ (shares.value * (1 - shares.value) * spread)))
    interval = ratio_interval(ratio.numerator, ratio.denominator, ratio.constant, shares)
    return Estimate(*(np.asarray(number) for number in (value, error, *interval)))


def _stack(estimates: list[Estimate]) -> Estimate:
    """The estimates of all classes."""
    return Estimate(*(np.array(parts) for parts in zip(*(vars(one).values() for one in estimates), strict=True)))


def _require_points(
    points: NDArray[np.float64], mapped: NDArray[np.float64], names: Sequence[str], complete: NDArray[np.bool_]
) -> None:
    """Refuse counts that give no standard error, naming the first class."""
    if not mapped.sum() > 0:
        raise AssessmentError("estimating areas: the map has no pixel of any class; check its nodata value")
    for name, count, hectares, covered in zip(names, points, mapped, complete, strict=True):
        if hectares > 0 and count < MIN_POINTS and not covered:
            raise AssessmentError(
                f"estimating areas: the map class '{name}' covers {hectares:,.2f} ha but has {int(count)} reference "
                f"point{'' if count == 1 else 's'} with a label, and at least {MIN_POINTS} are needed; label more "
                "points in that class (`agrifm assess design` draws some in every class)",
                name=name,
                points=int(count),
            )
        if not hectares > 0 and count:
            raise AssessmentError(
                f"estimating areas: the class '{name}' has {int(count)} reference points but no mapped area; count "
                "points and hectares on the same map",
                name=name,
                points=int(count),
            )
