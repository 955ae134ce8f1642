"""Dates of series tables: numbered steps to dates, and composites to the middle of their period."""

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.series_columns import Period

Days = NDArray[np.int64]


def step_dates(first: Days, steps: NDArray[np.int64], period: Period) -> Days:
    """Return the first days of numbered steps (P, T), days since 1970-01-01.

    Args:
        first: (P,), first day of step 0.
        steps: (T,), numbers from 0.
    """
    if isinstance(period, int):
        return first[:, None] + steps * period
    start = first.astype("datetime64[D]")
    month: NDArray[np.datetime64] = start.astype("datetime64[M]")
    into = (start - month.astype("datetime64[D]")).astype(np.int64)
    if period == "month":
        of_step: NDArray[np.datetime64] = month[:, None] + steps
        return _in_month(of_step, into[:, None])
    dekad = np.minimum(into // 10, 2)[:, None] + steps
    of_dekad: NDArray[np.datetime64] = month[:, None] + dekad // 3
    return _in_month(of_dekad, 10 * (dekad % 3))


def _in_month(month: NDArray[np.datetime64], days: Days) -> Days:
    """The day `days` after the first of a month, at most the last of the month."""
    first = month.astype("datetime64[D]").astype(np.int64)
    last = (month + 1).astype("datetime64[D]").astype(np.int64) - 1
    result: Days = np.minimum(first + days, last)
    return result


def middles(first: Days, period: Period) -> Days:
    """Return the middle days of periods by their first days, days since 1970-01-01; of an even number the earlier."""
    middle: Days = first + (_lengths(first, period) - 1) // 2
    return middle


def last_days(first: Days, period: Period) -> Days:
    """Return the last days of periods by their first days, days since 1970-01-01."""
    last: Days = first + _lengths(first, period) - 1
    return last


def _lengths(first: Days, period: Period) -> Days:
    """Days of periods; a dekad is days 1 to 10, 11 to 20, or 21 to the end of a month."""
    if isinstance(period, int):
        return np.full_like(first, period)
    month = first.astype("datetime64[D]").astype("datetime64[M]")
    into = first - month.astype("datetime64[D]").astype(np.int64)
    if period == "month":
        following: Days = _in_month(month + 1, into) - first
        return following
    next_month = (month + 1).astype("datetime64[D]").astype(np.int64)
    length: Days = np.where(into >= 20, next_month - first, 10)
    return length


def observed_days(of_year: NDArray[np.float64], first: Days, otherwise: Days) -> Days:
    """Return the days on which composites were seen, days since 1970-01-01.

    Composites cross New Year: a day of the year more than half a year before the first day is of the next year, as in
    cubes.

    Args:
        of_year: (P, T), days of the year; what is not from 1 to 366 is unknown.
        first: (P, T), first days of the composites.
        otherwise: (P, T), where the day is unknown.
    """
    year: NDArray[np.datetime64] = first.astype("datetime64[D]").astype("datetime64[Y]")
    start, following = ((year + later).astype("datetime64[D]").astype(np.int64) for later in (0, 1))
    known = np.isfinite(of_year) & (of_year >= 1) & (of_year <= 366)
    into = np.where(known, of_year, 1).astype(np.int64) - 1
    days = np.where(into < first - start - 183, following, start) + into
    return np.where(known, days, otherwise)


def period_of_steps(first: Days, last: Days, steps: int, about: str) -> Period:
    """Return the period between numbered steps that every place's first and last date agree with.

    Args:
        first, last: (P,), first days of the first and of the last step.
        steps: how many there are.

    Raises:
        LabelError: neither months nor dekads nor whole days between the two dates fit.
    """
    number = np.array([steps - 1], np.int64)
    for period in ("month", "dekad"):
        reached = step_dates(first, number, period)[:, 0]
        beyond = step_dates(first, number + 1, period)[:, 0]
        if ((last >= reached) & (last < beyond)).all():
            return period
    days = np.unique(last - first)
    if len(days) == 1 and steps > 1 and days[0] > 0 and days[0] % (steps - 1) == 0:
        return int(days[0] // (steps - 1))
    raise LabelError(
        f"{about}: its columns are numbered, and the time between {steps} steps does not follow from their first and "
        'last dates; state `period` under [labels.columns]: "month", "dekad" or a number of days',
        key="period",
        steps=steps,
    )
