"""Ratios of totals of three designs against `samplics`, another implementation of the estimators of surveys.

It has no two-phase sampling, and no finite population correction in the second stage, so that the clusters here are few
of very many.
"""

import numpy as np
import pytest

from agrifm.assess.cluster_estimators import ClusterPoints
from agrifm.assess.point_estimators import point_estimates, ratio_of_totals, stratified_points

pytestmark = pytest.mark.filterwarnings("ignore")  # of samplics


def survey_ratio(y, x, weights, **design):
    """The ratio of two totals and its standard error, by Taylor linearisation."""
    samplics = pytest.importorskip("samplics", reason="samplics is not installed; it is in the extra `dev`")
    estimator = samplics.TaylorEstimator(samplics.PopParam.ratio)
    estimator.estimate(np.asarray(y, float), weights, np.asarray(x, float), **design)
    return estimator.point_est, estimator.stderror


def classified(n, seed):
    """Reference and map class of n points; four of five are right."""
    generator = np.random.default_rng(seed)
    reference = generator.integers(0, 3, n)
    return reference, np.where(generator.random(n) < 0.8, reference, generator.integers(0, 3, n))


def accuracies_and_shares(found, reference, mapped):
    """Estimates of a class with y and x of each."""
    for number in range(3):
        on_ground, on_map, everywhere = reference == number, mapped == number, np.ones(len(reference))
        right = on_ground & on_map
        for name, y, x in (("users", right, on_map), ("producers", right, on_ground), ("area", on_ground, everywhere)):
            yield getattr(found, name).of(number), y, x


def test_strata_of_unequal_sizes_and_numbers():
    stratum = np.repeat([0, 1, 2, 3], [12, 30, 55, 103])
    size = np.array([100.0, 7.0, 2000.0, 450.0])
    reference, mapped = classified(200, 0)
    drawn = stratified_points(stratum, size)
    found = point_estimates(mapped, reference, 3, drawn, size=1.0)
    weights = size[stratum] / np.bincount(stratum)[stratum]
    for estimate, y, x in accuracies_and_shares(found, reference, mapped):
        expected = survey_ratio(y, x, weights, stratum=stratum)
        assert (float(estimate.value), float(estimate.error)) == pytest.approx(expected)
    domain = np.arange(200) % 3 == 0
    estimate = ratio_of_totals((reference == 1) & domain, domain, drawn)
    expected = survey_ratio((reference == 1) & domain, domain, weights, stratum=stratum)
    assert (float(estimate.value), float(estimate.error)) == pytest.approx(expected)


@pytest.mark.parametrize("whole", [True, False], ids=["one stage", "two stages"])
def test_clusters_of_unequal_sizes(whole):
    points = np.random.default_rng(1).integers(2, 9, 25)
    cluster = np.repeat(range(25), points)
    units = points if whole else points * 3
    reference, mapped = classified(len(cluster), 2)
    alike = np.arange(25)[cluster] % 3  # most points of a cluster have one class
    reference = np.where(np.arange(len(cluster)) % 4 > 0, alike, reference)
    drawn = ClusterPoints(cluster, units * 0.09, units, 10**9, 1.0)
    found = point_estimates(mapped, reference, 3, drawn)
    weights = units[cluster] / points[cluster]
    for estimate, y, x in accuracies_and_shares(found, reference, mapped):
        expected = survey_ratio(y, x, weights, psu=cluster)
        assert (float(estimate.value), float(estimate.error)) == pytest.approx(expected, rel=1e-6)
