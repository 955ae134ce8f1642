"""How many points, and how many in each stratum: the paper's example, and what an optimal division must satisfy."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.assess.allocation import (
    allocate,
    describe_plan,
    deviations,
    expected_accuracies,
    overall_error,
    sample_size,
)
from agrifm.assess.sampling_design import ALLOCATIONS
from agrifm.errors import AssessmentError

# Olofsson et al. 2014, section 5.1: deforestation, gain, stable forest, stable other; pixels of 30 m, user's accuracies
HECTARES = np.array([18_000.0, 13_500.0, 288_000.0, 580_500.0])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
USERS = np.array([0.7, 0.6, 0.9, 0.95])


def test_the_papers_example_needs_641_points_for_an_error_of_one_percent():
    assert sample_size(0.01, HECTARES, PIXELS, "neyman", USERS) == 641


def test_the_expected_error_of_the_papers_allocations():
    """The divisions that the paper compares in its table 5, with the errors that its equation 5 gives for them."""
    shares = HECTARES / HECTARES.sum()
    for points in ([160, 160, 160, 161], [75, 75, 155, 336], [50, 50, 170, 371]):
        variance = sum(w**2 * u * (1 - u) / n for w, u, n in zip(shares, USERS, points, strict=True))
        assert overall_error(np.array(points), HECTARES, USERS) == pytest.approx(variance**0.5, rel=1e-12)
    assert overall_error(np.array([13, 10, 205, 413]), HECTARES, USERS) == pytest.approx(0.0102, abs=5e-5)


def test_a_rare_class_gets_its_minimum_and_the_rest_is_in_proportion():
    numbers = allocate(400, np.array([10.0, 300.0, 690.0]), np.array([1000, 30_000, 69_000]))
    assert numbers.tolist() == [50, 106, 244]
    assert numbers[1] / 350 == pytest.approx(300 / 990, abs=0.002)


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.floats(0.001, 1)), min_size=1, max_size=8),
    st.integers(0, 3000),
)
def test_allocated_points_sum_to_n_within_their_bounds(classes, n):
    pixels = np.array([size for size, _ in classes])
    hectares = np.array([size * each for size, each in classes])
    n = min(max(n, 2 * len(classes)), int(pixels.sum()))
    if n < 2 * len(classes):
        return
    numbers = allocate(n, hectares, pixels)
    least = np.minimum(max(2, min(50, n // (2 * len(classes)))), pixels)
    assert numbers.sum() == n
    assert (numbers >= least).all()
    assert (numbers <= pixels).all()


def test_neyman_allocation_is_the_best_of_all_divisions():
    """Three small strata, every division of 24 points tried."""
    hectares, pixels, users = np.array([5.0, 3.0, 2.0]), np.array([500, 300, 200]), np.array([0.95, 0.5, 0.8])
    chosen = overall_error(allocate(24, hectares, pixels, "neyman", users), hectares, users)
    every = [
        overall_error(np.array([a, b, 24 - a - b]), hectares, users)
        for a, b in itertools.product(range(2, 21), repeat=2)
        if 24 - a - b >= 2
    ]
    assert chosen == pytest.approx(min(every), rel=2e-3)


def test_the_expected_error_is_that_of_simulated_samples():
    generator, points = np.random.default_rng(0), np.array([30, 60])
    hectares, users = np.array([1.0, 3.0]), np.array([0.7, 0.9])
    drawn = generator.binomial(points, users, size=(4000, 2)) / points @ (hectares / hectares.sum())
    assert overall_error(points, hectares, users) == pytest.approx(drawn.std(), rel=0.05)


def test_equal_and_proportional_allocation():
    hectares, pixels = np.array([10.0, 30.0, 60.0]), np.array([100, 300, 600])
    assert allocate(90, hectares, pixels, "equal").tolist() == [30, 30, 30]
    assert allocate(90, hectares, pixels, "proportional").tolist() == [9, 27, 54]
    assert allocate(90, hectares, pixels, "proportional", least=20).tolist()[0] == 20


def test_a_stratum_without_expected_errors_still_takes_what_others_have_no_pixels_for():
    assert allocate(60, np.array([1.0, 1.0]), np.array([10, 100]), "neyman", np.array([0.5, 1.0])).tolist() == [10, 50]


@pytest.mark.parametrize("rule", ALLOCATIONS)
def test_the_sample_size_is_the_smallest_that_reaches_the_error(rule):
    n = sample_size(0.02, HECTARES, PIXELS, rule, USERS)

    def error(points):
        return overall_error(allocate(points, HECTARES, PIXELS, rule, USERS), HECTARES, USERS)

    assert error(n) <= 0.02 < error(n - 1)


def test_expected_accuracies_are_of_all_and_of_single_strata():
    assert expected_accuracies(["0.9", "b=0.6"], ["a", "b"]).tolist() == [0.9, 0.6]
    assert deviations(np.array([0.5, 1.0])).tolist() == [0.5, 0.0]
    for wrong in ("1.2", "c=0.5", "a=", "high"):
        with pytest.raises(AssessmentError) as error:
            expected_accuracies([wrong], ["a", "b"])
        assert error.value.facts["stated"] == wrong


def test_impossible_wishes_are_refused():
    for error in (0.0, -1.0, float("nan")):
        with pytest.raises(AssessmentError):
            sample_size(error, HECTARES, PIXELS)
    with pytest.raises(AssessmentError) as caught:
        sample_size(1e-9, np.array([1.0, 2.0]), np.array([10, 20]))
    assert caught.value.facts["points"] == 30


def test_a_plan_states_its_error_and_its_cost():
    lines = describe_plan({"a": 100, "b": 300}, np.array([1.0, 3.0]), np.array([0.8, 0.8]), 2.5)
    assert "0.0200" in lines[1]
    assert "1,000.00" in lines[2]
