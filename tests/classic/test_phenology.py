"""Phenology: the double logistic of scipy's least squares, curves with noise, and the days of simulated fields."""

from datetime import date

import numpy as np
import pytest
from scipy.optimize import curve_fit
from tests.simulator.season.test_growth import grown

from agrifm.classic.phenology import Phenology, fit_phenology
from agrifm.cube.temporal import interpolate
from agrifm.season import Season
from agrifm.sensors import SENSORS
from agrifm.simulator.optics.reflectance import ViewingGeometry, surface_reflectance
from agrifm.simulator.region import read_region

DAYS = np.arange(5, 245, 10)
SEASON = 245
SUMMER = Season(date(2023, 3, 1), date(2023, 11, 30))
CROPS = {"maize": 0, "sunflower": 1, "sugar_beet": 2}
FRAMES, FIELDS = 24, 60
STEP = SUMMER.days / FRAMES
"""Days between the steps of a series."""


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


@pytest.fixture(scope="module")
def greenness() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulated fields of summer crops: their number of crop (P,), daily NDVI without noise and leaf area (days, P)."""
    crop = np.repeat(list(CROPS.values()), FIELDS)
    growth = grown(read_region("oceanic"), SUMMER, [list(CROPS)[number] for number in crop])
    bands = [band for band in SENSORS["sentinel-2"].bands if band.name in ("B04", "B08")]
    days = range(growth.first, growth.first + SUMMER.days)
    seen = (surface_reflectance(growth.state(day), bands, ViewingGeometry(45.0, 0.0, 0.0)) for day in days)
    return crop, np.stack([(nir - red) / (nir + red) for red, nir in (one.T for one in seen)]), growth.history["crop"]


@pytest.fixture(scope="module")
def found(greenness: tuple[np.ndarray, ...]) -> Phenology:
    """From observations every five days, of which clouds hide 40 %, with noise of 0.03."""
    generator = np.random.default_rng(0)
    days = np.arange(2, SUMMER.days, 5, dtype=np.int32)
    series = greenness[1][days] + generator.normal(0, 0.03, (len(days), len(greenness[0])))
    valid = generator.random(series.shape) < 0.6
    steps = ((2 * np.arange(FRAMES) + 1) * SUMMER.days // (2 * FRAMES)).astype(np.int32)
    filled, _ = interpolate(series[:, None, None].astype(np.float32), valid[:, None], days, steps)
    return fit_phenology(filled[:, 0, 0], steps, SUMMER.days)


def test_the_days_of_simulated_crops_are_found_within_the_steps_of_the_series(
    greenness: tuple[np.ndarray, ...], found: Phenology
) -> None:
    """Truth: the days at which the simulator's daily NDVI is half-way up to its peak and half-way down from it, and the
    middle of the days on which it is at most 10 % below its peak: the top is flat, so the day of the peak itself is not
    determined.
    """
    crop, ndvi, _ = greenness
    truth = []
    for series in ndvi.T:
        peak = int(series.argmax())
        before, after = series[: peak + 1], series[peak:]
        up = np.flatnonzero(before < (before.min() + series[peak]) / 2)[-1] + 1
        down = peak + np.flatnonzero(after < (after.min() + series[peak]) / 2)[0]
        top = np.flatnonzero(series > series[peak] - 0.1 * np.ptp(series)).mean()
        truth.append([up, down, down - up, top])
    errors = np.abs(np.stack([found.start, found.end, found.length, found.peak], axis=1) - truth)
    for number in CROPS.values():
        start, end, length, peak = np.median(errors[crop == number], axis=0)
        assert start < STEP / 2
        assert max(end, peak) < STEP
        assert length < 1.5 * STEP


def test_simulated_crops_emerge_before_their_start_and_are_gone_after_their_end(
    greenness: tuple[np.ndarray, ...], found: Phenology
) -> None:
    """Truth: the simulator's leaf area of the crop itself, without weeds."""
    crop, _, leaves = greenness
    emerged = (leaves > 0.05).argmax(axis=0)
    gone = len(leaves) - (leaves[::-1] > 0.05).argmax(axis=0)
    assert (emerged > 0).all()
    for number in CROPS.values():
        these = crop == number
        assert 0 < np.median((found.start - emerged)[these]) < 3 * STEP
        assert np.median((gone - found.end)[these]) > 0
        assert ((emerged < found.peak) & (found.peak < gone))[these].mean() > 0.9
