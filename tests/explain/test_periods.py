"""Months and dekads of a season follow the calendar, also across New Year."""

from datetime import date

import numpy as np

from agrifm.explain.periods import season_periods
from agrifm.season import Season, day_number

WINTER = Season(date(2023, 11, 12), date(2024, 2, 29))


def test_months_are_cut_at_the_ends_of_the_season():
    found = season_periods(WINTER)
    assert found.starts == [date(2023, 11, 12), date(2023, 12, 1), date(2024, 1, 1), date(2024, 2, 1)]
    assert found.ends == [date(2023, 11, 30), date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 29)]


def test_dekads_begin_on_the_1st_the_11th_and_the_21st():
    found = season_periods(Season(date(2024, 2, 1), date(2024, 3, 15)), "dekad")
    lengths = np.diff(found.edges).tolist()
    assert lengths == [10, 10, 9, 10, 5]  # February 2024 has 29 days


def test_a_day_outside_the_season_has_no_period():
    days = [date(2023, 11, 11), date(2023, 11, 12), date(2023, 12, 31), date(2024, 1, 1), date(2024, 3, 1)]
    numbers = np.array([day_number(day) for day in days])
    assert season_periods(WINTER).number_of(numbers).tolist() == [-1, 0, 1, 2, -1]
