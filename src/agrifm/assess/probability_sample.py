"""What estimators need to know of a sample: the area that each point stands for, and how uncertain their sums are.

Shape letters: N points.
"""

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.intervals import Clumps, Floats


class ProbabilitySample(Protocol):
    """Points with the design that drew them, from which totals over the area are estimated."""

    @property
    def hectares(self) -> float:
        """The whole area, which is known."""

    @property
    def weights(self) -> Floats:
        """(N,), hectares that each point stands for."""

    def degrees(self, concerned: NDArray[np.bool_]) -> float:
        """Return the degrees of freedom of an interval of the points that are concerned, (N,); infinite = many."""

    def variances(self, residual: Floats, counted: Floats) -> tuple[float, float]:
        """Return the variance of the weighted sum of a value of each point, and that of a cautious interval.

        Args:
            residual: (N,), whose weighted sum is about zero: y - R x.
            counted: (N,), the x of these.
        """

    def independent(self, concerned: NDArray[np.bool_]) -> int:
        """Return how many independent draws the points that are concerned, (N,), amount to at least."""


class ClumpedSample(ABC):
    """A `ProbabilitySample` of points that come many at once."""

    @abstractmethod
    def clumps(self, y: Floats, x: Floats, share: float) -> Clumps:
        """Return what its units do to the interval of the share Y / X.

        Args:
            y, x: (N,), as of `ratio_of_totals`.
        """


class CombinedStrata(ABC):
    """A `ProbabilitySample` whose shares of the whole area have intervals that are combined from those of strata."""

    @abstractmethod
    def share_interval(self, y: Floats) -> tuple[float, float] | None:
        """Return the interval of the share of the area with a property, y (N,) being 1 or 0; None of one stratum."""

    @abstractmethod
    def smooth_variance(self, residual: Floats) -> float:
        """Return the variance of a weighted sum for its interval, which few units do not decide alone.

        Args:
            residual: (N,), as of `ProbabilitySample.variances`.
        """
