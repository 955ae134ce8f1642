"""Shares and areas from two-phase sampling, also called double sampling for stratification.

Many points are drawn at random and quickly put into strata (first phase); some points of each stratum are looked at
closely (second phase). The sizes of the strata are estimated from the first phase, and the error has a part of each.

    Cochran (1977), "Sampling Techniques", section 12.4.
    Rao (1973), "On double sampling for stratification and analytical surveys", Biometrika 60, 125-133.
    Särndal, Swensson & Wretman (1992), "Model Assisted Survey Sampling", section 9.4.

Points are few among pixels, so that there is no finite population correction in the first phase; in the second, where
the population is the points of the first, there is one.

Shape letters: N points of the second phase, S strata.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agrifm.assess.intervals import Floats
from agrifm.assess.point_estimators import Numbers, cautious_variances, within_variances
from agrifm.errors import AssessmentError


@dataclass(frozen=True)
class TwoPhasePoints:
    """Points of a second phase: a `agrifm.assess.probability_sample.ProbabilitySample`."""

    stratum: Numbers
    """(N,), number of the stratum of each point, 0..S-1."""
    first: Numbers
    """(S,), points of each stratum in the first phase."""
    hectares: float
    """The whole area."""

    @property
    def points(self) -> Numbers:
        """(S,), points of each stratum in the second phase."""
        return np.bincount(self.stratum, minlength=len(self.first))

    @property
    def weights(self) -> Floats:
        """(N,), hectares that each point stands for."""
        share = self.first / self.first.sum()
        return np.asarray((self.hectares * share / np.maximum(self.points, 1))[self.stratum])

    def degrees(self, concerned: NDArray[np.bool_]) -> float:
        """Infinite."""
        return np.inf

    def variances(self, residual: Floats, counted: Floats) -> tuple[float, float]:
        """Return the variance of a weighted sum, and a cautious one (Cochran, eq. 12.32 for many pixels; Rao)."""
        points, all_first = self.points, float(self.first.sum())
        share = self.first / all_first
        mean = np.bincount(self.stratum, residual, len(self.first)) / np.maximum(points, 1)
        variance = within_variances(residual, self.stratum, points)
        cautious = cautious_variances(variance, residual, counted, self.stratum, points)
        factor = share * (self.first - 1) / (all_first - 1) / np.maximum(points, 1)
        between = float(share @ (mean - share @ mean) ** 2) / (all_first - 1)
        area = self.hectares**2
        return area * (float(factor @ variance) + between), area * (float(factor @ cautious) + between)

    def independent(self, concerned: NDArray[np.bool_]) -> int:
        """Return the number of points of the largest weight that weigh as much, at least 1 if any is concerned.

        Any stratum may have a point that disagrees and was not drawn, also the one whose points weigh most: labels of
        the first phase are a quick look. So 10 points of a class in a stratum of small weight say less than 10 points.
        """
        weights = self.weights
        return max(int(weights[concerned].sum() / weights.max()), 1) if concerned.any() else 0


def two_phase_points(
    stratum: ArrayLike, first: ArrayLike, hectares: float, names: tuple[str, ...] = ()
) -> TwoPhasePoints:
    """Return points of a second phase with the counts of the first, checked.

    Args:
        stratum: (N,), number of each point's stratum.
        first: (S,), points of each stratum in the first phase.
        hectares: of the whole area.
        names: of the strata in messages; by default their numbers.

    Raises:
        AssessmentError: a stratum has more points than in the first phase, or a single one of several.
    """
    drawn = TwoPhasePoints(np.asarray(stratum, np.int64), np.asarray(first, np.int64), float(hectares))
    for number, (count, before) in enumerate(zip(drawn.points.tolist(), drawn.first.tolist(), strict=True)):
        name = names[number] if names else str(number)
        if not min(2, before) <= count <= before:
            raise AssessmentError(
                f"estimating areas from two phases: the stratum '{name}' has {count} labelled points, and {before} in "
                "the first phase; label at least two of them, and count the points of the first phase anew if there "
                "are more",
                name=name,
                points=count,
                first=before,
            )
    return drawn
