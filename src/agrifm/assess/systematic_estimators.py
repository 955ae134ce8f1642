"""Shares and areas from a systematic sample: two points in each cell, or points on a grid with a random start.

Two random points of a cell show its variance without bias, as those of a stratum do (Cochran 1977, "Sampling
Techniques", section 5.3); `agrifm assess design` draws these. Other programs draw grids.

One random start of a grid gives no unbiased variance (Cochran, section 8.11). That of a simple random sample is
cautious where a map's errors have no pattern, and too small where they follow the grid: borders of straight fields
along its rows put many errors into few rows. There, estimators from differences of neighbours are smaller still (Wolter
1984, "An investigation of some estimators of variance for systematic sampling", Journal of the American Statistical
Association 79, 781-790; Matérn's of 2 x 2 points). So each row of the grid is a cluster, and each column.

    Cameron, Gelbach and Miller (2011), "Robust inference with multiway clustering", Journal of Business & Economic
    Statistics 29, 238-249, eq. 2.11: the variance by rows, and by columns, less that of points alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.intervals import Floats, student_factor
from agrifm.assess.point_estimators import Numbers, StratifiedPoints, within_variances

SCARCE = 5
"""Points with a property, or without it, below which their places say nothing of how alike neighbours are."""
MIN_LINES = 3
"""Rows, or columns, below which they say nothing of a pattern."""


@dataclass(frozen=True)
class _SpreadPoints:
    """What points that are spread over the area share with a simple random sample."""

    drawn: StratifiedPoints
    """The same points as a simple random sample."""

    @property
    def hectares(self) -> float:
        """The whole area."""
        return self.drawn.hectares

    @property
    def weights(self) -> Floats:
        """(N,), hectares that each point stands for."""
        return self.drawn.weights

    def independent(self, concerned: NDArray[np.bool_]) -> int:
        """Return the number of the points."""
        return self.drawn.independent(concerned)


@dataclass(frozen=True)
class CellPoints(_SpreadPoints):
    """Points in cells of the same area: a `agrifm.assess.probability_sample.ProbabilitySample`."""

    group: Numbers
    """(N,), number of the cell of each point, 0..G-1, or of neighbouring cells that have one labelled point each."""

    def degrees(self, concerned: NDArray[np.bool_]) -> float:
        """Return the number of cells with such points: two points of a cell show one difference."""
        return max(float(len(np.unique(self.group[concerned]))), 1.0)

    def variances(self, residual: Floats, counted: Floats) -> tuple[float, float]:
        """Return the variance from the differences within cells, and a cautious one.

        Where fewer than `SCARCE` points decide, or no two of a cell differ, those that do may share cells by chance;
        both are then at least those of a simple random sample.
        """
        count = np.bincount(self.group)
        of_groups = float(count @ within_variances(residual, self.group, count))
        variance = of_groups * (self.drawn.hectares / len(residual)) ** 2
        alike, cautious = self.drawn.variances(residual, counted)
        of_counted = residual[counted > 0]
        decide = min(np.count_nonzero(of_counted > 0), np.count_nonzero(of_counted < 0))
        if variance > 0 and decide >= SCARCE:
            return variance, variance
        return max(variance, alike), max(variance, cautious)


def cell_points(drawn: StratifiedPoints, cell: Numbers) -> CellPoints:
    """Return points with their cells; one that is alone counts as of the next cell on the line (Cochran, 5A.12).

    Args:
        drawn: the same points as a simple random sample.
        cell: (N,), number of the cell of each point along the line; points without a label are not among them.
    """
    order = np.argsort(cell, kind="stable")
    group = np.empty(len(order), np.int64)
    number, last, size = 0, 0, 0
    for at in order:
        if size > 1 and cell[at] != last:
            number, size = number + 1, 0
        group[at], last, size = number, int(cell[at]), size + 1
    if size == 1 and number:
        group[group == number] = number - 1
    return CellPoints(drawn, group)


@dataclass(frozen=True)
class SystematicPoints(_SpreadPoints):
    """Points on a grid: a `agrifm.assess.probability_sample.ProbabilitySample`."""

    row: Numbers
    """(N,), row of pixels of each point; points of one row of the grid share it."""
    column: Numbers
    """(N,)."""

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
    factor = float(student_factor(count - 1)) ** 2
    return factor * float(sums @ sums) * count / (count - 1)
