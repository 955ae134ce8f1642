"""Yields: factors of intervals by hand and by their definition, and ends of intervals."""

import numpy as np
import pytest

from agrifm.yields import conformal_factor, interval_of, least_parcels, scale_of


def test_the_factor_is_the_order_statistic_of_split_conformal_prediction():
    """Lei et al. 2018, algorithm 2: of nine residuals the ceil(10 x 0.9) = 9th, of nineteen the 18th."""
    assert conformal_factor(np.arange(-9.0, 0.0), np.ones(9), 0.9) == 9
    assert conformal_factor(np.arange(19.0, 0.0, -1), np.full(19, 2.0), 0.9) == 9
    assert (least_parcels(0.9), least_parcels(0.8), least_parcels(0.95)) == (9, 4, 19)


def test_new_parcels_are_in_their_intervals_as_often_as_stated():
    """Over many drawn sets the coverage is between 0.9 and 0.9 + 1 / (n + 1) (Lei et al. 2018, theorem 2.2)."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(3000):
        spread = rng.uniform(0.2, 2, 40)
        error = spread * rng.standard_t(4, 40)  # errors of another form than the Gaussian of the training
        held.append(np.abs(error[39]) <= conformal_factor(error[:39], spread[:39], 0.9) * spread[39])
    assert 0.9 - 0.017 < np.mean(held) < 0.9 + 1 / 40 + 0.017  # three standard errors of 3000 draws


def test_no_interval_is_below_zero_and_the_highest_yield_is_above_all_in_training():
    low, high = interval_of(np.array([1.0, 8.0]), np.array([1.0, 0.5]), 2.0)
    assert low.tolist() == [0, 7]
    assert high.tolist() == [3, 9]
    scale = scale_of(np.array([2.0, 4.0, 9.0]))
    assert scale.highest >= 13.5
    assert scale.mean == pytest.approx(5)
