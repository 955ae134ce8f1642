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

    def steps(self, frames: int) -> NDArray[np.int32]:
        """The middle days of `frames` equal periods, days since 1970-01-01, shape (frames,)."""
        middles = (np.arange(frames) + 0.5) * self.days / frames
        return (day_number(self.start) + np.floor(middles)).astype(np.int32)
