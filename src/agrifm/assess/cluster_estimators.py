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

from agrifm.assess.intervals import TAIL
from agrifm.errors import AssessmentError

MIN_CLUSTERS = 2


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
    factor, unseen = clusters / count, 1 - count / clusters
    total, mean = factor * totals.sum(), totals.sum() / units.sum()
    total_variance = clusters**2 * unseen * totals.var(ddof=1) / count + factor * within
    residual = totals - mean * units
    mean_variance = (clusters**2 * unseen * (residual @ residual) / (count - 1) / count + factor * within) / (
        factor * units.sum()
    ) ** 2
    errors, wide = np.sqrt([total_variance, mean_variance]), float(t.ppf(1 - TAIL, count - 1))
    ends = [
        (float(value - wide * one), float(value + wide * one)) for value, one in zip((total, mean), errors, strict=True)
    ]
    return ClusterEstimate(float(total), float(errors[0]), float(mean), float(errors[1]), *ends)


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
