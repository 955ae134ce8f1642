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

from agrifm.errors import AssessmentError

Z95 = 1.96
"""Half width of a 95 % interval in standard errors, as in the paper."""
MIN_POINTS = 2
"""Reference points that a map class needs for a standard error."""


@dataclass(frozen=True)
class Estimate:
    """Values with their standard errors, equal shapes; NaN where undefined."""

    value: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def low(self) -> NDArray[np.float64]:
        """Lower end of the 95 % interval; not clipped, so a rare class can reach below zero."""
        return self.value - Z95 * self.error

    @property
    def high(self) -> NDArray[np.float64]:
        """Upper end of the 95 % interval; not clipped."""
        return self.value + Z95 * self.error


@dataclass(frozen=True)
class Estimates:
    """Accuracies and areas of a map, estimated from reference points."""

    overall: Estimate
    """Overall accuracy, shape ()."""
    users: Estimate
    """User's accuracy (1 - commission) per map class; NaN for a class that the map does not have."""
    producers: Estimate
    """Producer's accuracy (1 - omission) per reference class; NaN for a class without reference points."""
    area: Estimate
    """True area per reference class, hectares."""


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
        accuracy (eqs. 3 and 7) and area (eqs. 8 to 11), shares of area being estimated by eq. 4.

    Raises:
        AssessmentError: a mapped class has fewer than two points, a class has points but no mapped area, or
            nothing is mapped.
    """
    n_ij, mapped = np.asarray(counts, np.float64), np.asarray(mapped_ha, np.float64)
    assert n_ij.shape == (mapped.size, mapped.size), f"counts {n_ij.shape} do not fit {mapped.size} classes"
    known = np.zeros(mapped.size, bool) if complete is None else np.asarray(complete, bool)
    _require_points(n_ij.sum(1), mapped, names or [str(i) for i in range(mapped.size)], known)

    n_i = n_ij.sum(1, keepdims=True)
    # Share of each reference class within a map class, and the variance of that share.
    share = np.divide(n_ij, n_i, out=np.zeros_like(n_ij), where=n_i > 0)
    # Classes whose every pixel is a point have no sampling error.
    sampled = (n_i > 1) & ~known[:, None]
    variance = np.divide(share * (1 - share), n_i - 1, out=np.zeros_like(n_ij), where=sampled)
    hit, hit_variance = np.diagonal(share), np.diagonal(variance)

    total = mapped.sum()
    # Hectares in place of shares of area (W_i = mapped / total) give areas directly.
    # Eqs. 1 and 5.
    overall = Estimate(np.asarray(mapped @ hit / total), np.asarray(np.sqrt(mapped**2 @ hit_variance) / total))
    absent = n_i[:, 0] == 0  # classes that only the reference has
    # Eqs. 2 and 6.
    users = Estimate(np.where(absent, np.nan, hit), np.where(absent, np.nan, np.sqrt(hit_variance)))
    # Eqs. 8 to 11.
    area = Estimate(mapped @ share, np.sqrt(mapped**2 @ variance))
    return Estimates(overall, users, _producers(mapped, hit, variance, area.value), area)


def _producers(
    mapped: NDArray[np.float64], hit: NDArray[np.float64], variance: NDArray[np.float64], area: NDArray[np.float64]
) -> Estimate:
    """Producer's accuracy and its standard error (eqs. 3 and 7)."""
    unknown = np.full_like(area, np.nan)
    # Eq. 3: correctly mapped hectares of a class among all its hectares.
    accuracy = np.divide(mapped * hit, area, out=unknown.copy(), where=area > 0)
    # Eq. 7: the first sum is over the class itself, the second over all other map classes.
    elsewhere = variance * (1 - np.eye(mapped.size))
    same_class = (mapped * (1 - accuracy)) ** 2 * np.diagonal(variance)
    error = np.sqrt(same_class + accuracy**2 * (mapped**2 @ elsewhere))
    return Estimate(accuracy, np.divide(error, area, out=unknown, where=area > 0))


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
