"""Intervals against published tables and against plain counting."""

import numpy as np
import pytest
from scipy.stats import binom

from agrifm.assess.intervals import (
    Shares,
    design_interval,
    proportion_interval,
    ratio_interval,
    skewed_interval,
    stratum_shares,
    sum_interval,
)

JEFFREYS = [
    (1, 20, 0.00545, 0.21082),
    (5, 10, 0.22353, 0.77647),
    (48, 50, 0.87782, 0.99160),
    (81, 263, 0.25452, 0.36565),
    (15, 148, 0.06045, 0.15764),
    (0, 20, 0.0, 0.11664),
    (50, 50, 0.95124, 1.0),
]
"""Points with a property, points, and the interval's ends; 81 of 263 and 15 of 148 are Newcombe's of 1998."""


@pytest.mark.parametrize(("count", "points", "low", "high"), JEFFREYS)
def test_the_interval_of_a_share_is_the_published_one(count, points, low, high):
    assert np.array(proportion_interval(count, points)) == pytest.approx([low, high], abs=5e-6)


@pytest.mark.parametrize("points", [15, 30, 100])
def test_few_points_hold_the_truth_in_934_of_1000_at_any_share(points):
    """The probability of every count is the binomial one, so nothing is drawn; FEW of 5 would hold it in 92.2 %."""
    counts = np.arange(points + 1)
    ends = [design_interval(x / points, (x * (points - x) / points**3) ** 0.5, points) for x in counts]
    low, high = np.array(ends).T
    expected = np.arange(0.1, min(25, points / 2), 0.01)[:, None]
    inside = (low <= expected / points) & (expected / points <= high)
    held = (inside * binom.pmf(counts, points, expected / points)).sum(axis=1)
    few = expected[:, 0] < 10
    assert held[few].min() >= 0.934
    assert few.all() or held[~few].mean() == pytest.approx(0.95, abs=0.004)


def test_without_points_anything_is_possible():
    assert np.array(proportion_interval(0, 0)).tolist() == [0, 1]


def shares(*counts):
    x, n = np.array(counts, float).T
    return stratum_shares(x, n, np.zeros(len(x), bool))


def test_one_stratum_keeps_its_interval_and_a_negative_factor_turns_it():
    one = shares((3, 20))
    assert sum_interval(np.array([2.0]), one) == pytest.approx((2 * one.low[0], 2 * one.high[0]))
    assert sum_interval(np.array([-2.0]), one) == pytest.approx((-2 * one.high[0], -2 * one.low[0]))


def test_a_difference_of_two_shares_is_the_published_one():
    """Newcombe 1998, method 10 (a difference of Wilson intervals), is this rule: 56/70 - 48/80, 0.0524 to 0.3339."""
    x, n, z = np.array([56, 48]), np.array([70, 80]), 1.959964
    middle, half = (x + z**2 / 2) / (n + z**2), z / (n + z**2) * np.sqrt(x * (n - x) / n + z**2 / 4)
    found = sum_interval(np.array([1.0, -1.0]), Shares(x / n, middle - half, middle + half))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_a_ratio_with_a_known_denominator_is_a_sum():
    one = shares((3, 20), (7, 10))
    factors = np.array([4.0, 6.0])
    expected = np.array(sum_interval(factors, one)) / 10
    assert ratio_interval(factors, np.zeros(2), 10.0, one) == pytest.approx(tuple(expected))


def test_a_ratio_is_the_inverse_of_its_complement():
    """right / (right + omitted) and omitted / (right + omitted) add up to one, and so do their intervals."""
    two, whole = shares((18, 20), (2, 50)), np.array([10.0, 90.0])
    right = ratio_interval(np.array([10.0, 0.0]), whole, 0.0, two)
    omitted = ratio_interval(np.array([0.0, 90.0]), whole, 0.0, two)
    assert right == pytest.approx((1 - omitted[1], 1 - omitted[0]), abs=1e-9)
    assert 0 < right[0] < right[1] < 1


def test_a_single_point_of_a_stratum_has_the_exact_end():
    """Clopper and Pearson's 1 of 20 begins at 0.00127 and 19 of 20 ends at 0.99873; the other ends are Jeffreys'."""
    one = shares((1, 20), (19, 20))
    assert one.low == pytest.approx([0.00127, 1 - 0.21082], abs=5e-6)
    assert one.high == pytest.approx([0.21082, 0.99873], abs=5e-6)


def test_a_sum_of_few_equal_events_has_the_interval_of_their_number():
    """Garwood (1936): 5 events, 1.62349 to 11.66833; where they are errors, of what is right."""
    size = 0.01
    few = skewed_interval(5 * size, 5**0.5 * size, 5**-0.5)
    assert few == pytest.approx((0.0162349, 0.1166833), abs=1e-7)
    right = skewed_interval(1 - 5 * size, 5**0.5 * size, -(5**-0.5))
    assert right == pytest.approx((1 - 0.1166833, 1 - 0.0162349), abs=1e-7)


def test_a_sum_without_skewness_has_196_standard_errors():
    assert skewed_interval(0.5, 0.01, 1e-4) == pytest.approx((0.4804, 0.5196), abs=2e-6)
