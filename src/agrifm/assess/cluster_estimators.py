"""Totals and means from clusters of pixels or parcels, drawn in one or two stages.

Lohr (2019), "Sampling: Design and Analysis", chapter 5. Clusters are drawn at random without replacement; in the second
stage units are drawn at random within each. Finite population corrections are part of these estimators, because a
cluster is often seen whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from agrifm.assess.intervals import ROUNDING, TAIL, Clumps, Floats, unseen_variance
from agrifm.assess.point_estimators import Numbers, within_variances
from agrifm.assess.probability_sample import ClumpedSample
from agrifm.errors import AssessmentError

MIN_CLUSTERS, HALF = 2, 0.5


@dataclass(frozen=True)
class ClusterPoints(ClumpedSample):
    """Points in clusters that were drawn at random: a `agrifm.assess.probability_sample.ProbabilitySample`."""

    cluster: Numbers
    """(N,), number of the cluster of each point, 0..M-1."""
    size: Floats
    """(M,), hectares of each cluster."""
    units: Numbers
    """(M,), pixels of each cluster."""
    clusters: int
    """Number of clusters that could have been drawn."""
    hectares: float
    """The whole area."""

    @property
    def points(self) -> Numbers:
        """(M,), points in each cluster."""
        return np.bincount(self.cluster, minlength=len(self.size))

    @property
    def weights(self) -> Floats:
        """(N,), hectares that each point stands for."""
        return np.asarray((self.clusters / len(self.size) * self.size / self.points)[self.cluster])

    def degrees(self, concerned: NDArray[np.bool_]) -> float:
        """Return the clusters with such points less one, at least 1: the others say nothing of their variance."""
        return max(self.independent(concerned) - 1.0, 1.0)

    def variances(self, residual: Floats, counted: Floats) -> tuple[float, float]:
        """Return the variance of a weighted sum, and one that is 0 only if all clusters were seen whole.

        The cautious one is at least that of clusters which all agree, of which one that does not may have been missed:
        errors come in whole fields, and few clusters often miss all of them. So an interval is never narrower
        because a few points disagree.
        """
        count, points = len(self.size), self.points
        totals, sizes = (
            self.size * np.bincount(self.cluster, part, count) / points for part in (residual, np.abs(counted))
        )
        within = within_variances(residual, self.cluster, points)
        # A cluster of several pixels with one point takes the variance that the others have on average.
        several, alone = points > 1, (points == 1) & (self.units > 1)
        if several.any():
            within[alone] = np.average(within[several], weights=points[several] - 1)
        seen = np.minimum(points / np.maximum(self.units, points), 1)
        second = float((self.size**2 * (1 - seen) * within / points).sum())
        variance = _total_variance(totals, second, self.clusters)
        if variance <= ROUNDING * self.clusters**2 * float(self.size.mean()) ** 2:
            variance = 0.0
        if count == self.clusters:
            return variance, variance
        least = float(sizes @ sizes) * float(unseen_variance(np.count_nonzero(sizes)))
        return variance, max(variance, (self.clusters / count) ** 2 * least)

    def clumps(self, y: Floats, x: Floats, share: float) -> Clumps:
        """Return the skewness of a share, and how much of it a cluster that is mostly wrong, and was missed, may take.

        Of a share above one half, errors are what few clusters decide: whole fields that are wrong. Where the sample
        has no cluster of about the usual size with half of its points wrong, so many clusters that all agree cannot
        exclude the share that the exact binomial interval says.
        """
        totals, concerned, wrong, whole = (
            self.size * np.bincount(self.cluster, part, len(self.size)) / self.points
            for part in (y - share * x, (x > 0) * 1.0, x - y, x)
        )
        totals = totals - totals.mean()
        spread, squares = float(totals @ totals), float(concerned @ concerned)
        if not squares > 0:
            return Clumps(0.0, 0.0)
        skewness = float((totals**3).sum()) / spread**1.5 if spread > ROUNDING * squares else 0.0
        seen = 2 * wrong.max() >= squares / concerned.sum()
        if seen or share <= HALF:
            return Clumps(skewness, 0.0)
        alike = concerned.sum() ** 2 / squares
        return Clumps(skewness, float((1 - TAIL ** (1 / alike)) * concerned.sum() / whole.sum()))

    def independent(self, concerned: NDArray[np.bool_]) -> int:
        """Return the number of clusters with such points: within a cluster all may be alike."""
        return len(np.unique(self.cluster[concerned]))


@dataclass(frozen=True)
class Cluster:
    """One drawn cluster."""

    values: NDArray[np.float64]
    """(n,), what was observed at each drawn unit, such as 1 where it is maize."""
    size: float
    """Units in the cluster; as many as values if it was seen whole."""


@dataclass(frozen=True)
class ClusterEstimate:
    """A total over all clusters and a mean per unit, with standard errors."""

    total: float
    total_error: float
    mean: float
    """Total divided by the number of units, which is estimated too: a ratio."""
    mean_error: float
    total_interval: tuple[float, float]
    """95 % interval by Student's t of as many degrees of freedom as clusters less one, because clusters are few."""
    mean_interval: tuple[float, float]


def cluster_estimate(values: Sequence[ArrayLike], sizes: ArrayLike, clusters: int) -> ClusterEstimate:
    """Estimate from clusters that were seen whole (one stage) or in part (two stages).

    Args:
        values: of each drawn cluster the values of its drawn units.
        sizes: (drawn,), units in each drawn cluster.
        clusters: number of clusters that could have been drawn.

    Returns:
        The unbiased total, and the ratio estimate of the mean per unit (Lohr, sections 5.2 and 5.3).

    Raises:
        AssessmentError: fewer than two clusters were drawn, more than there are, or a cluster has more values than
            units, or one value of several units.
    """
    drawn = [
        Cluster(np.asarray(part, np.float64), float(size))
        for part, size in zip(values, np.asarray(sizes, np.float64), strict=True)
    ]
    _require_clusters(drawn, clusters)
    count = len(drawn)
    totals = np.array([one.size * one.values.mean() for one in drawn])
    units = np.array([one.size for one in drawn])
    within = sum(_within(one) for one in drawn)
    total, mean = clusters / count * totals.sum(), totals.sum() / units.sum()
    total_variance = _total_variance(totals, within, clusters)
    # The residuals of the ratio sum to zero.
    mean_variance = _total_variance(totals - mean * units, within, clusters) / (clusters / count * units.sum()) ** 2
    errors, wide = np.sqrt([total_variance, mean_variance]), float(t.ppf(1 - TAIL, count - 1))
    ends = [
        (float(value - wide * one), float(value + wide * one)) for value, one in zip((total, mean), errors, strict=True)
    ]
    return ClusterEstimate(float(total), float(errors[0]), float(mean), float(errors[1]), *ends)


def _total_variance(totals: Floats, within: float, clusters: int) -> float:
    """Variance of the total over all clusters (Lohr, eq. 5.24).

    Args:
        totals: (M,), estimated total of each drawn cluster.
        within: sum of the variances of these totals.
    """
    count = len(totals)
    between = clusters**2 * (1 - count / clusters) * float(totals.var(ddof=1)) / count
    return between + clusters / count * within


def _within(cluster: Cluster) -> float:
    """Variance of a cluster's total, from the units drawn in it; 0 if it was seen whole."""
    count = len(cluster.values)
    if count >= cluster.size:
        return 0.0
    return float(cluster.size**2 * (1 - count / cluster.size) * cluster.values.var(ddof=1) / count)


def _require_clusters(drawn: Sequence[Cluster], clusters: int) -> None:
    if not MIN_CLUSTERS <= len(drawn) <= clusters:
        raise AssessmentError(
            f"estimating from clusters: {len(drawn)} of {clusters} clusters were drawn, and at least {MIN_CLUSTERS} "
            "are needed, at most all; draw more clusters, or correct their number",
            drawn=len(drawn),
            clusters=clusters,
        )
    for number, one in enumerate(drawn):
        if not 1 <= len(one.values) <= one.size or (len(one.values) == 1 and one.size > 1):
            raise AssessmentError(
                f"estimating from clusters: cluster {number} has {len(one.values)} values of {one.size:g} units; "
                "observe at least two units of it, or all, and correct its size",
                cluster=number,
                values=len(one.values),
                size=one.size,
            )
