"""A season: its first and last day, and days as integers since 1970-01-01."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import ConfigError

EPOCH = date(1970, 1, 1)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def day_date(number: int) -> date:
    """The date `number` days after 1970-01-01."""
    return EPOCH + timedelta(days=int(number))


@dataclass(frozen=True)
class Season:
    """Start and end date, both included; may cross New Year. "Early" counts days from the start."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ConfigError(
                f"the season ends on {self.end}, not after its start on {self.start}; "
                "a season that crosses New Year ends in the next year"
            )

    @property
    def days(self) -> int:
        """Length in days, both ends included."""
        return (self.end - self.start).days + 1

    def __contains__(self, day: date) -> bool:
        return self.start <= day <= self.end

    def periods(self, frames: int) -> NDArray[np.int32]:
        """The first days of `frames` equal periods, and the day after the last: days since 1970-01-01, (frames + 1,).

        A day belongs to the period that holds its noon.
        """
        # In whole numbers, so that no rounding decides: 2 x frames times the days from the start to half a day before.
        halves = 2 * np.arange(frames + 1) * self.days - frames
        return (day_number(self.start) - (-halves) // (2 * frames)).astype(np.int32)

    def steps(self, frames: int) -> NDArray[np.int32]:
        """The middle days of the `frames` equal periods: days since 1970-01-01, (frames,)."""
        middles = (2 * np.arange(frames) + 1) * self.days // (2 * frames)
        return (day_number(self.start) + middles).astype(np.int32)
