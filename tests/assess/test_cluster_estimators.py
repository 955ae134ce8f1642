"""Clusters against the worked examples of Lohr and of R's survey package, and a simulated population."""

import numpy as np
import pytest

from agrifm.assess.cluster_estimators import ClusterPoints, cluster_estimate
from agrifm.assess.point_estimators import point_estimates, ratio_of_totals
from agrifm.errors import AssessmentError


def test_one_stage_as_lohr_computes_it() -> None:
    """5 of 100 suites of 4 students; only the suites' totals are printed, so they are spread evenly over students."""
    totals = [12.16, 11.36, 8.96, 12.96, 11.08]
    found = cluster_estimate([[total / 4] * 4 for total in totals], [4] * 5, 100)
    assert found.total == pytest.approx(1130.4)
    assert found.total_error == pytest.approx(65.46596, abs=5e-6)
    assert found.mean == pytest.approx(2.826)
    assert found.mean_error == pytest.approx(0.1636649, abs=5e-8)


def test_two_stages_as_the_survey_package_computes_them() -> None:
    """3 of 23 clusters, of 100, 50 and 75 units (R-help, July 2006)."""
    found = cluster_estimate([[23, 33, 77, 25], [35, 74, 27], [37, 72]], [100, 50, 75], 23)
    assert found.total == pytest.approx(78_998.61, abs=0.005)
    assert found.total_error == pytest.approx(13_642.63, abs=0.005)
    assert found.mean == pytest.approx(45.79630, abs=5e-6)
    assert found.mean_error == pytest.approx(5.548261, abs=5e-7)


def test_errors_match_the_spread_of_draws_in_two_stages() -> None:
    generator = np.random.default_rng(0)
    sizes = generator.integers(20, 60, 80)
    population = [(generator.random(size) < generator.beta(2, 4)).astype(float) for size in sizes]
    truth = sum(values.sum() for values in population)
    found = []
    for _ in range(1500):
        drawn = generator.choice(80, 20, replace=False)
        values = [generator.choice(population[number], 8, replace=False) for number in drawn]
        found.append(cluster_estimate(values, sizes[drawn], 80))
    totals = np.array([one.total for one in found])
    assert totals.mean() == pytest.approx(truth, abs=4 * totals.std() / 1500**0.5)
    assert np.mean([one.total_error**2 for one in found]) == pytest.approx(totals.var(), rel=0.15)
    means = np.array([one.mean for one in found])
    assert np.mean([one.mean_error**2 for one in found]) == pytest.approx(means.var(), rel=0.15)


def test_a_census_has_no_error() -> None:
    found = cluster_estimate([[1.0, 0.0], [1.0, 1.0]], [2, 2], 2)
    assert (found.total, found.total_error, found.mean_error) == (3.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("values", "sizes", "clusters", "facts"),
    [
        ([[1.0, 2.0]], [2], 9, {"drawn": 1, "clusters": 9}),
        ([[1.0, 2.0]] * 3, [2, 2, 2], 2, {"drawn": 3, "clusters": 2}),
        ([[1.0, 2.0], [1.0]], [2, 5], 9, {"cluster": 1, "values": 1, "size": 5.0}),
        ([[1.0, 2.0], [1.0, 2.0, 3.0]], [2, 2], 9, {"cluster": 1, "values": 3, "size": 2.0}),
    ],
)
def test_impossible_clusters_are_refused(values, sizes, clusters, facts) -> None:
    with pytest.raises(AssessmentError) as error:
        cluster_estimate(values, sizes, clusters)
    assert error.value.facts == facts


def test_intervals_are_those_of_students_t() -> None:
    """Lohr's suites: 5 clusters, so 4 degrees of freedom and 2.776 standard errors."""
    values = [[12.16 / 4] * 4, [11.36 / 4] * 4, [8.96 / 4] * 4, [12.96 / 4] * 4, [11.08 / 4] * 4]
    found = cluster_estimate(values, [4] * 5, 100)
    assert found.total_interval == pytest.approx((1130.4 - 2.776445 * 65.46596, 1130.4 + 2.776445 * 65.46596), rel=1e-6)
    assert found.mean_interval == pytest.approx((2.826 - 2.776445 * 0.1636649, 2.826 + 2.776445 * 0.1636649), rel=1e-6)


def test_points_in_clusters_give_the_published_ratios():
    """The same examples as above (R's `survey`): suites seen whole, and clusters seen in part."""
    y = np.array([23, 33, 77, 25, 35, 74, 27, 37, 72])
    sizes = np.array([100, 50, 75])
    drawn = ClusterPoints(np.repeat([0, 1, 2], [4, 3, 2]), sizes * 1.0, sizes, 23, 1725.0)
    found = ratio_of_totals(y, np.ones(9), drawn)
    assert float(found.value) == pytest.approx(45.79630, abs=1e-5)
    assert float(found.error) == pytest.approx(5.548261, abs=1e-6)
    totals = np.array([12.16, 11.36, 8.96, 12.96, 11.08])
    suites = ClusterPoints(np.repeat(range(5), 4), np.full(5, 4.0), np.full(5, 4), 100, 400.0)
    found = ratio_of_totals(np.repeat(totals / 4, 4), np.ones(20), suites)
    assert float(found.error) == pytest.approx(0.1636649, abs=1e-7)


def test_clusters_that_all_agree_have_intervals_by_their_number():
    """24 points in 4 clusters say less than 24 points."""
    drawn = ClusterPoints(np.repeat(range(4), 6), np.full(4, 9.0), np.full(4, 9), 1000, 9000.0)
    found = point_estimates(np.zeros(24, int), np.zeros(24, int), 2, drawn)
    assert found.area.value.tolist() == [9000, 0]
    assert float(found.overall.error) == 0
    assert float(found.overall.low) == pytest.approx(0.025 ** (1 / 4))  # Clopper-Pearson, 4 of 4
    assert found.area.high[1] == pytest.approx(9000 * (1 - 0.025 ** (1 / 4)))


def test_a_cluster_with_one_label_takes_the_variance_of_the_others():
    y = np.array([0.0, 1, 0, 1, 1, 1])
    drawn = ClusterPoints(np.array([0, 0, 0, 0, 1, 1]), np.full(2, 8.0), np.full(2, 8), 2, 16.0)
    alone = ClusterPoints(np.array([0, 0, 0, 0, 1]), np.full(2, 8.0), np.full(2, 8), 2, 16.0)
    # every cluster was drawn, so only the variance within: 64 (1 - 4 / 8) (1 / 3) / 4 and 64 (1 - 1 / 8) (1 / 3)
    assert alone.variances(y[:5], np.ones(5))[0] == pytest.approx(64 * (0.5 / 3 / 4 + 0.875 / 3))
    assert drawn.variances(y, np.ones(6))[0] == pytest.approx(64 * 0.5 / 3 / 4)


def test_an_interval_is_not_narrower_because_a_point_disagrees():
    """Errors come in whole fields: of 10 clusters one wrong point of 490 shows no more than none does."""
    cluster = np.repeat(range(10), 49)
    drawn = ClusterPoints(cluster, np.full(10, 49.0), np.full(10, 49), 1000, 49_000.0)
    all_right, one_wrong = np.ones(490), np.arange(490) > 0
    low = [float(ratio_of_totals(right, np.ones(490), drawn).low) for right in (all_right, one_wrong)]
    assert low[1] < low[0] + 0.05
    # 1.96 of its standard errors, 0.006, would promise 0.993
    assert low[1] < 0.85
    # and it says as much as 10 clusters do, whose exact interval begins at 0.692 if all are right
    assert low[0] == pytest.approx(0.692, abs=5e-4)
    assert low[1] > 0.6


def test_only_clusters_that_have_the_class_count_for_its_degrees_of_freedom():
    """Half a class right in each of 3 of 60 clusters: 2 degrees of freedom, whose quantile is 4.303 and not 2.001."""
    cluster = np.repeat(range(60), 4)
    drawn = ClusterPoints(cluster, np.full(60, 4.0), np.full(60, 4), 10_000, 40_000.0)
    assert drawn.degrees(cluster < 3) == 2
    assert drawn.degrees(cluster >= 0) == 59
    assert drawn.degrees(cluster < 1) == 1


def test_three_clusters_that_are_wrong_as_a_whole_are_three_events():
    """200 clusters with one wrong point of ten, and three wholly wrong: far below the estimate, less above."""
    right = np.ones((200, 10))
    right[:, 0], right[:3] = 0, 0
    drawn = ClusterPoints(np.repeat(range(200), 10), np.full(200, 10.0), np.full(200, 10), 10_000, 100_000.0)
    found = ratio_of_totals(right.ravel(), np.ones(2000), drawn)
    # the error is that of three events of 9 points among 200 clusters: 3 is 0.619 to 8.767 in the exact interval
    event = 9 / 2000
    assert float(found.error) == pytest.approx(3**0.5 * event, rel=0.02)
    assert float(found.value - found.low) == pytest.approx((8.767 - 3) * event, rel=0.06)
    assert float(found.low) < float(found.value) - 2.5 * float(found.error)
