"""Seasons: their ends, crossing New Year, and the middles of equal periods."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.errors import ConfigError
from agrifm.season import Season, day_date, day_number

DATES = st.dates(date(1972, 1, 1), date(2060, 1, 1))


def test_days_are_counted_from_1970() -> None:
    """Unix time 1,709,251,200 s is 2024-03-01 00:00 UTC."""
    assert day_number(date(2024, 3, 1)) == 1_709_251_200 // 86_400
    assert day_number(date(1970, 1, 1)) == 0


@given(DATES)
def test_a_day_number_is_numpys_and_turns_back_into_its_date(day: date) -> None:
    assert day_number(day) == np.datetime64(day, "D").astype(int)
    assert day_date(day_number(day)) == day


def test_a_season_over_new_year_holds_days_of_both_years() -> None:
    season = Season(date(2023, 11, 1), date(2024, 2, 29))
    assert season.days == 30 + 31 + 31 + 29
    assert date(2023, 12, 31) in season
    assert date(2024, 2, 29) in season
    assert date(2024, 3, 1) not in season
    assert date(2023, 10, 31) not in season


def test_a_season_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ConfigError, match="New Year"):
        Season(date(2024, 11, 1), date(2024, 3, 1))


def test_steps_are_the_middle_days_of_equal_periods() -> None:
    """Ten days from 1 March 2024 (day 19783) in two periods: middles 2.5 and 7.5 days after the start."""
    assert Season(date(2024, 3, 1), date(2024, 3, 10)).steps(2).tolist() == [19785, 19790]


@given(DATES, st.integers(1, 500), st.integers(1, 200))
def test_steps_lie_in_the_season_and_are_evenly_spaced(start: date, length: int, frames: int) -> None:
    season = Season(start, start + timedelta(days=length))
    steps = season.steps(frames)
    assert steps.dtype == np.int32
    assert steps.shape == (frames,)
    assert all(day_date(step) in season for step in steps)
    gaps = np.diff(steps)
    assert np.all(np.abs(gaps - season.days / frames) < 1)
    if frames <= season.days:
        assert np.all(gaps > 0)


def test_periods_are_as_equal_as_whole_days_allow() -> None:
    """31 days in two: the noon of the 16th is the middle, which begins the second half; 31 in three: 10, 11, 10."""
    january = Season(date(1970, 1, 1), date(1970, 1, 31))
    assert january.periods(1).tolist() == [0, 31]
    assert january.periods(2).tolist() == [0, 15, 31]
    assert january.periods(3).tolist() == [0, 10, 21, 31]


@given(DATES, st.integers(1, 500), st.integers(1, 200))
def test_periods_hold_their_middles_and_cover_the_season(start: date, length: int, frames: int) -> None:
    season = Season(start, start + timedelta(days=length))
    edges, steps = season.periods(frames), season.steps(frames)
    assert (edges[0], edges[-1]) == (day_number(season.start), day_number(season.end) + 1)
    assert edges.dtype == np.int32
    assert np.all(np.abs(np.diff(edges) - season.days / frames) < 1)
    assert steps.tolist() == [day_number(start) + int((n + 0.5) * season.days / frames) for n in range(frames)]
    if frames <= season.days:
        assert np.all((edges[:-1] <= steps) & (steps < edges[1:]))
