"""Double sampling for stratification: a published example, and every sample of a small population."""

from itertools import combinations, product

import numpy as np
import pytest

from agrifm.assess.point_estimators import area_matrix, point_estimates, ratio_of_totals
from agrifm.assess.two_phase_estimators import two_phase_points
from agrifm.errors import AssessmentError


def test_the_share_of_the_published_example():
    """Cochran (1977), chapter 12: 374 households, 292 and 82 by a first look; 31 of 74 and 4 of 18 own their house."""
    y = np.repeat([1, 0, 1, 0], [31, 43, 4, 14])
    found = ratio_of_totals(y, np.ones(92), two_phase_points([0] * 74 + [1] * 18, [292, 82], 1.0))
    assert round(float(found.value), 3) == 0.376
    assert float(found.error) == pytest.approx(0.0503, abs=5e-5)
    assert found.low < 0.376 - 1.8 * 0.0503 < 0.376 + 1.8 * 0.0503 < found.high


def test_the_variance_is_right_on_average_over_every_sample():
    """Two strata; four points with replacement, as from many pixels; half of each stratum's points, at least two.

    Every first phase (6^4) and every second phase of it is made: the mean of the estimated variances is the variance of
    the estimates, where no stratum has a single point in the second phase of several in the first.
    """
    stratum, y = np.array([0, 0, 0, 1, 1, 1]), np.array([1.0, 1, 0, 0, 0, 1])
    estimates, variances, chances = [], [], []
    for first in product(range(6), repeat=4):
        at = np.array(first)
        parts = [np.flatnonzero(stratum[at] == number) for number in (0, 1)]
        choices = [list(combinations(part, min(2, len(part)))) for part in parts]
        for second in product(*choices):
            drawn = np.concatenate([np.array(part, int) for part in second])
            sample = two_phase_points(stratum[at][drawn], [len(part) for part in parts], 1.0)
            estimates.append(sample.weights @ y[at][drawn])
            variances.append(sample.variances(y[at][drawn] - estimates[-1], np.ones(len(drawn)))[0])
            chances.append(1 / 6**4 / np.prod([len(choice) for choice in choices]))
    mean = np.average(estimates, weights=chances)
    assert sum(chances) == pytest.approx(1)
    assert mean == pytest.approx(0.5)
    assert np.average(variances, weights=chances) == pytest.approx(
        np.average((np.array(estimates) - mean) ** 2, weights=chances)
    )


def test_all_points_in_both_phases_give_the_simple_random_sample():
    y = np.arange(50) % 3 == 0
    found = ratio_of_totals(y, np.ones(50), two_phase_points(np.arange(50) % 2, [25, 25], 1.0))
    assert float(found.value) == pytest.approx(y.mean())
    assert float(found.error) == pytest.approx(y.std(ddof=1) / 50**0.5)


def test_areas_sum_to_the_whole_and_intervals_have_a_width():
    drawn = two_phase_points(np.repeat([0, 1], 10), [300, 100], 80.0)
    found = point_estimates(np.repeat([0, 1], 10), np.repeat([0, 1], 10), 2, drawn)
    assert found.area.value.tolist() == pytest.approx([60, 20])
    assert found.area.error.tolist() == pytest.approx([80 * (0.75 * 0.25 / 399) ** 0.5] * 2)
    assert float(found.overall.error) == 0
    assert found.overall.low < 0.95
    assert area_matrix(np.zeros(20, int), np.ones(20, int), 2, drawn)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize(("stratum", "first"), [([0, 0, 1], [5, 5]), ([0, 0, 0], [2]), ([0, 0], [5, 5])])
def test_strata_with_too_few_points_or_too_many_are_refused(stratum, first):
    with pytest.raises(AssessmentError) as error:
        two_phase_points(stratum, first, 1.0, ("a", "b"))
    assert error.value.facts["first"] in first


def test_points_of_small_weight_say_less_than_their_number():
    """20 points of a stratum of 500 of 1,000 weigh as much as 10 of the other, where one may be wrong unseen."""
    drawn = two_phase_points(np.repeat([0, 1], [20, 10]), [500, 500], 1000.0)
    assert drawn.independent(np.arange(30) < 20) == 10
    assert drawn.independent(np.arange(30) >= 20) == 10
    assert drawn.independent(np.zeros(30, bool)) == 0
    found = ratio_of_totals(np.arange(30) < 20, np.arange(30) < 20, drawn)
    assert (float(found.value), float(found.high)) == (1, 1)
    assert float(found.low) == pytest.approx(0.025 ** (1 / 10))  # Clopper-Pearson, 10 of 10
