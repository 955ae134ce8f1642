"""Harmonic regression: numpy's least squares on the valid dates of each pixel."""

import numpy as np

from agrifm.classic.harmonics import RIDGE, harmonic_coefficients, harmonic_terms


def test_each_pixel_is_its_own_least_squares_on_irregular_dates_with_gaps() -> None:
    """Oracle: numpy.linalg.lstsq with the ridge as further rows."""
    generator = np.random.default_rng(0)
    days = np.sort(generator.uniform(0, 300, (25, 6)), axis=0)
    valid = generator.random(days.shape) < 0.6
    values = generator.random(days.shape)
    found = harmonic_coefficients(values, valid, days, 300)
    for pixel in range(6):
        used = valid[:, pixel]
        angle = 2 * np.pi * days[used, pixel] / 300
        terms = np.stack([np.ones(used.sum()), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], 1)
        ridge = np.sqrt(RIDGE * used.sum()) * np.diag([0, 1, 1, 1, 1])
        right = np.r_[values[used, pixel], np.zeros(5)]
        expected = np.linalg.lstsq(np.r_[terms, ridge], right, rcond=None)[0]
        np.testing.assert_allclose(found[:, pixel], expected, rtol=1e-4, atol=1e-5)


def test_dates_that_all_pixels_share_give_the_same_and_no_date_gives_0() -> None:
    days = np.linspace(0, 290, 24)
    values = (harmonic_terms(days, 300) @ np.array([0.4, 0.2, -0.1, 0.05, 0.0]))[:, None]
    shared = harmonic_coefficients(values, np.ones((24, 1), bool), days, 300)
    np.testing.assert_allclose(shared[:, 0], [0.4, 0.2, -0.1, 0.05, 0], atol=2e-3)
    each = harmonic_coefficients(np.c_[values, values], np.array([[True, False]] * 24), days, 300)
    np.testing.assert_allclose(each[:, 0], shared[:, 0], atol=1e-5)
    np.testing.assert_array_equal(each[:, 1], 0)
