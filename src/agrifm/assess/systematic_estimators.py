"""Shares and areas from a systematic sample: points on a grid with a random start.

One random start gives no unbiased variance (Cochran 1977, "Sampling Techniques", section 8.11). That of a simple random
sample is cautious where a map's errors have no pattern, and too small where they follow the grid: borders of straight
fields along its rows put many errors into few rows. There, estimators from differences of neighbours are smaller still
(Wolter 1984, "An investigation of some estimators of variance for systematic sampling", Journal of the American
Statistical Association 79, 781-790; Matérn's of 2 x 2 points). So each row of the grid is a cluster, and each column.

    Cameron, Gelbach and Miller (2011), "Robust inference with multiway clustering", Journal of Business & Economic
    Statistics 29, 238-249, eq. 2.11: the variance by rows, and by columns, less that of points alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from agrifm.assess.intervals import TAIL, Floats
from agrifm.assess.point_estimators import Numbers, StratifiedPoints

MIN_LINES = 3
"""Rows, or columns, below which they say nothing of a pattern."""


@dataclass(frozen=True)
class SystematicPoints:
    """Points on a grid: a `agrifm.assess.point_estimators.ProbabilitySample`."""

    drawn: StratifiedPoints
    """The same points as a simple random sample."""
    row: Numbers
    """(N,), row of pixels of each point; points of one row of the grid share it."""
    column: Numbers
    """(N,)."""

    @property
    def hectares(self) -> float:
        """The whole area."""
        return self.drawn.hectares

    @property
    def weights(self) -> Floats:
        """(N,), hectares that each point stands for."""
        return self.drawn.weights

    def degrees(self, concerned: NDArray[np.bool_]) -> float:
        """Infinite; those of rows and columns are in `variances`."""
        return np.inf

    def variances(self, residual: Floats, counted: Floats) -> tuple[float, float]:
        """Return the larger variance, of a simple random sample or of rows and columns, and a cautious one.

        Sums of few rows vary much, so their part has the factor of Student's t of rows less one, squared.
        """
        variance, cautious = self.drawn.variances(residual, counted)
        weighted = self.weights * residual
        alone = float(weighted @ weighted)
        lines = _between(weighted, self.row) + _between(weighted, self.column) - alone
        return max(variance, lines), max(cautious, lines)

    def independent(self, concerned: NDArray[np.bool_]) -> int:
        """Return the number of the points."""
        return self.drawn.independent(concerned)


def _between(weighted: Floats, line: Numbers) -> float:
    """Variance of a sum from its parts in each line, as of clusters; that of single points of too few lines.

    Args:
        weighted: (N,), whose sum is about zero.
        line: (N,), number of the line.
    """
    names, number = np.unique(line, return_inverse=True)
    count = len(names)
    if count < MIN_LINES:
        return float(weighted @ weighted)
    sums = np.bincount(number, weighted)
    factor = float(t.ppf(1 - TAIL, count - 1) / norm.ppf(1 - TAIL)) ** 2
    return factor * float(sums @ sums) * count / (count - 1)
