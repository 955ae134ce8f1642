"""Phenology: the double logistic of scipy's least squares, and the days of a simulated curve with noise."""

import numpy as np
from scipy.optimize import curve_fit

from agrifm.classic.phenology import fit_phenology

DAYS = np.arange(5, 245, 10)
SEASON = 245


def curve(day: np.ndarray, base: float, amplitude: float, start: float, end: float, rise: float, fall: float):
    """Beck et al. 2006, equation 3."""
    return base + amplitude * (1 / (1 + np.exp((start - day) / rise)) + 1 / (1 + np.exp((day - end) / fall)) - 1)


def test_it_finds_the_days_of_curves_with_noise() -> None:
    """Starts and ends that are known; with 3 % noise of the amplitude they are found within a few days."""
    generator = np.random.default_rng(0)
    start, end = generator.uniform(40, 90, 200), generator.uniform(140, 200, 200)
    series = np.stack([curve(DAYS, 0.2, 0.6, *pair, 10, 15) for pair in zip(start, end, strict=True)], axis=1)
    found = fit_phenology((series + generator.normal(0, 0.02, series.shape)).astype(np.float32), DAYS, SEASON)
    assert np.median(np.abs(found.start - start)) < 3
    assert np.median(np.abs(found.end - end)) < 4
    assert np.percentile(np.abs(found.length - (end - start)), 90) < 15
    assert np.median(np.abs(found.amplitude - 0.6)) < 0.06


def test_it_is_as_near_the_truth_and_the_series_as_scipy_s_least_squares() -> None:
    """Oracle: scipy.optimize.curve_fit with all six parameters free, from the true values."""
    generator = np.random.default_rng(1)
    ours, theirs, errors = [], [], []
    for _ in range(30):
        true = (0.15, generator.uniform(0.3, 0.7), generator.uniform(40, 90), generator.uniform(140, 200), 12.0, 12.0)
        series = curve(DAYS, *true) + generator.normal(0, 0.03, len(DAYS))
        best, _ = curve_fit(curve, DAYS, series, p0=true, maxfev=5000)
        found = fit_phenology(series[:, None].astype(np.float32), DAYS, SEASON)
        errors.append(found.residual[0] / np.sqrt(np.mean((curve(DAYS, *best) - series) ** 2)))
        ours.append([abs(found.start[0] - true[2]), abs(found.end[0] - true[3])])
        theirs.append(np.abs(best[2:4] - true[2:4]))
    assert max(errors) < 1.3
    assert (np.median(ours, axis=0) <= np.median(theirs, axis=0) + 1).all()


def test_a_flat_series_has_no_amplitude() -> None:
    found = fit_phenology(np.full((len(DAYS), 3), 0.4, np.float32), DAYS, SEASON)
    np.testing.assert_allclose(found.amplitude, 0, atol=1e-3)
    np.testing.assert_allclose(found.residual, 0, atol=1e-3)
