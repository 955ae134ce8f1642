"""Steps of months and dekads, and the middles of periods, as calendars have them."""

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.series_dates import middles, period_of_steps, step_dates


def days(*dates: str) -> np.ndarray:
    """Days since 1970-01-01."""
    return np.array(dates, "datetime64[D]").astype(np.int64)


def test_steps_of_dekads_begin_on_days_1_11_and_21() -> None:
    found = step_dates(days("2023-01-21"), np.arange(5), "dekad")[0]
    assert found.tolist() == days("2023-01-21", "2023-02-01", "2023-02-11", "2023-02-21", "2023-03-01").tolist()


def test_steps_of_months_keep_the_day_as_far_as_months_have_it() -> None:
    found = step_dates(days("2023-12-31"), np.arange(3), "month")[0]
    assert found.tolist() == days("2023-12-31", "2024-01-31", "2024-02-29").tolist()


def test_the_middle_of_a_period_is_its_middle_day_or_the_earlier_of_two() -> None:
    # February 2023 has 28 days, the last dekad of January 11, a composite of MODIS 16
    assert middles(days("2023-02-01"), "month").tolist() == days("2023-02-14").tolist()
    assert middles(days("2023-01-21"), "dekad").tolist() == days("2023-01-26").tolist()
    assert middles(days("2023-01-17"), 16).tolist() == days("2023-01-24").tolist()


def test_the_period_follows_from_first_and_last_date_or_is_asked_for() -> None:
    assert period_of_steps(days("2017-12-01"), days("2018-11-01"), 12, "reading") == "month"
    assert period_of_steps(days("2022-09-01"), days("2024-01-21"), 51, "reading") == "dekad"
    assert period_of_steps(days("2018-01-01"), days("2018-02-18"), 4, "reading") == 16
    with pytest.raises(LabelError) as error:
        period_of_steps(days("2018-01-01"), days("2018-02-20"), 4, "reading")
    assert error.value.facts["key"] == "period"
