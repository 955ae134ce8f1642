"""Months and dekads of a season: the parts of the calendar that an explanation speaks of."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agrifm.season import Season, day_date, day_number

PeriodKind = Literal["month", "dekad"]
"""Calendar months, or their thirds: from the 1st, the 11th and the 21st."""


@dataclass(frozen=True)
class Periods:
    """The calendar months or dekads of a season; the first and the last are cut at its ends."""

    edges: NDArray[np.int32]
    """(P + 1,), the first days and the day after the last, days since 1970-01-01."""

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def starts(self) -> list[date]:
        """First day of each."""
        return [day_date(int(day)) for day in self.edges[:-1]]

    @property
    def ends(self) -> list[date]:
        """Last day of each."""
        return [day_date(int(day) - 1) for day in self.edges[1:]]

    def number_of(self, days: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the number of the period of each day (since 1970-01-01), -1 outside the season."""
        found = np.searchsorted(self.edges, days, side="right") - 1
        return np.where((found >= 0) & (found < len(self)), found, -1)

    def later(self, days: int) -> "Periods":
        """Return the same periods some days later, of a season that begins then."""
        return Periods(self.edges + np.int32(days))


def season_periods(season: Season, kind: PeriodKind = "month") -> Periods:
    """Return the calendar months or dekads of a season."""
    first_days = (1,) if kind == "month" else (1, 11, 21)
    days = (season.start + timedelta(days=number) for number in range(season.days))
    begins = [day_number(day) for day in days if day.day in first_days or day == season.start]
    return Periods(np.array([*begins, day_number(season.end) + 1], np.int32))
