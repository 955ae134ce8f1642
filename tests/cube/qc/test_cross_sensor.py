"""Which sensor has wrong dates, from fits drawn by hand: seasons differ the more, the more days lie between them."""

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.qc.cross_sensor import DATE_SHIFTS, judge_dates


def fit(best: int) -> NDArray[np.float64]:
    """Mean difference of NDVI: 0.05, and 0.003 more for each day away from the best shift."""
    return 0.05 + 0.003 * np.abs(DATE_SHIFTS - best)


def test_of_three_sensors_the_one_that_disagrees_with_both_others_is_named() -> None:
    fits = {("landsat", "modis"): fit(0), ("landsat", "sentinel-2"): fit(-30), ("modis", "sentinel-2"): fit(-25)}
    findings = judge_dates(fits)
    assert {finding.where for finding in findings} == {"sentinel-2"}
    assert "-30 days" in findings[0].found


def test_of_two_sensors_both_are_named_as_possible() -> None:
    (finding,) = judge_dates({("landsat", "sentinel-2"): fit(30)})
    assert finding.where == "landsat or sentinel-2"
    assert finding.confidence == "possible"


def test_dates_that_fit_best_within_ten_days_are_right() -> None:
    assert judge_dates({("landsat", "sentinel-2"): fit(10), ("modis", "sentinel-2"): fit(-5)}) == []


def test_a_season_without_change_gives_no_finding() -> None:
    """A forest: every shift fits almost alike."""
    assert judge_dates({("landsat", "sentinel-2"): 0.05 + 0.0001 * np.abs(DATE_SHIFTS - 30)}) == []


def test_a_fit_without_a_number_at_the_given_dates_is_not_assessed() -> None:
    unknown = fit(30)
    unknown[len(DATE_SHIFTS) // 2] = np.nan
    assert judge_dates({("landsat", "sentinel-2"): unknown}) == []


def weak(best: int) -> NDArray[np.float64]:
    """Mean difference of NDVI: 0.05, and 0.0003 more for each day: 30 days off it is 1.18 times as large."""
    return 0.05 + 0.0003 * np.abs(DATE_SHIFTS - best)


def test_two_weak_pairs_together_name_the_sensor_that_they_share() -> None:
    """1.18 times 1.18 is 1.39; the third pair fits as it is."""
    fits = {("landsat", "modis"): weak(-30), ("landsat", "sentinel-2"): fit(0), ("modis", "sentinel-2"): weak(30)}
    (finding,) = judge_dates(fits)
    assert finding.where == "modis"
    assert "-30 days" in finding.found


def test_two_weak_pairs_that_disagree_name_nobody() -> None:
    fits = {("landsat", "modis"): weak(-30), ("landsat", "sentinel-2"): fit(0), ("modis", "sentinel-2"): weak(-30)}
    assert judge_dates(fits) == []
