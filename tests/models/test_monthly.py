"""Months of dates, and which groups of bands sensors have."""

from datetime import date, timedelta

import pytest
import torch

from agrifm.models.monthly import group_places, month_number


@pytest.mark.parametrize("start", [date(2022, 3, 1), date(2022, 10, 17), date(2021, 12, 31)])
def test_months_are_those_of_the_calendar(start: date) -> None:
    """500 days from the start, none of them in a leap year, by Python's calendar."""
    days = torch.arange(0.0, 500.0)[None]
    found = month_number(days, torch.tensor([float(start.timetuple().tm_yday)]))[0]
    dates = [start + timedelta(days=int(day)) for day in days[0]]
    assert [12 * (one.year - start.year) + one.month - 1 for one in dates] == found.tolist()


def test_in_a_leap_year_only_last_days_of_months_count_in_the_next() -> None:
    start = date(2024, 1, 1)
    found = month_number(torch.arange(0.0, 366.0)[None], torch.tensor([1.0]))[0].tolist()
    dates = [start + timedelta(days=day) for day in range(366)]
    wrong = [one for one, month in zip(dates, found, strict=True) if one.month - 1 != month]
    assert len(wrong) == 11
    assert all((one + timedelta(days=1)).day == 1 for one in wrong)


def test_a_group_needs_all_its_bands_of_one_sensor() -> None:
    sensors = {"landsat": ("B02", "B03", "B04"), "sentinel-2": ("B8A", "B04", "B08", "B11")}
    assert group_places(sensors) == {
        "S2_NIR_10m": ("sentinel-2", (2,)),
        "S2_NIR_20m": ("sentinel-2", (0,)),
        "NDVI": ("sentinel-2", (2, 1)),
    }
