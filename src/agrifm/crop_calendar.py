"""The two seasons of crops at any place of the cultivated world.

`crop_calendar.npz` is the crop calendar of WorldCereal (github.com/WorldCereal/worldcereal-classification,
`seasonality_lookup.geoparquet`, MIT licence, Copyright ESA WorldCereal), read on 2026-11-30 and reduced to one point in
each square degree by `benchmarks/reduce_crop_calendar.py`.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.season import Season

DEGREE_PARTS = 4
"""Coordinates are stored in quarters of a degree."""


@dataclass(frozen=True)
class CropCalendar:
    """Points with their seasons; arrays (points,), days counted from 1 January of the year of the main harvests."""

    lon: NDArray[np.float64]
    """Degrees."""
    lat: NDArray[np.float64]
    """Degrees."""
    seasons: NDArray[np.int64]
    """(points, 2, 2), first and last day of the first season (the one that begins in autumn in the north) and the
    second."""
    year_start: NDArray[np.int64]
    """First day of the year of crops."""

    def __len__(self) -> int:
        return len(self.lon)

    def of(self, rows: NDArray[Any]) -> "CropCalendar":
        """Return selected points, by index or by mask."""
        return CropCalendar(self.lon[rows], self.lat[rows], self.seasons[rows], self.year_start[rows])


@dataclass(frozen=True)
class NearSeasons:
    """The seasons of the nearest point of the calendar."""

    seasons: tuple[Season, Season]
    kilometres: float
    """Distance of that point."""


@cache
def read_crop_calendar() -> CropCalendar:
    """Read all points of the calendar."""
    with files("agrifm").joinpath("crop_calendar.npz").open("rb") as file, np.load(file) as stored:
        content = {name: stored[name].astype(np.int64) for name in stored.files}
    seasons = np.stack(
        [np.stack([content[f"{name}_start"], content[f"{name}_end"]], axis=1) for name in ("first", "second")], axis=1
    )
    return CropCalendar(content["lon"] / DEGREE_PARTS, content["lat"] / DEGREE_PARTS, seasons, content["year_start"])


def seasons_near(lon: float, lat: float, year: int) -> NearSeasons:
    """Return the two seasons of crops whose main harvests are in a year, at the calendar's point nearest to a place.

    Args:
        lon: degrees.
        lat: degrees.
        year: of the harvests, as the calendar counts it; in the south the second season ends in it, too.
    """
    from pyproj import Geod

    calendar = read_crop_calendar()
    # only points nearby, because geodesics of all of them take a while; across longitude 180 they are near as well
    east = np.abs((calendar.lon - lon + 180) % 360 - 180) * np.cos(np.radians(lat))
    close = np.argsort(east**2 + (calendar.lat - lat) ** 2)[:50]
    metres = Geod(ellps="WGS84").inv(
        np.full(len(close), lon), np.full(len(close), lat), calendar.lon[close], calendar.lat[close]
    )[2]
    nearest = int(np.argmin(metres))
    new_year = date(year, 1, 1)
    first, second = (
        Season(new_year + timedelta(days=int(start)), new_year + timedelta(days=int(end)))
        for start, end in calendar.seasons[close[nearest]]
    )
    return NearSeasons((first, second), float(metres[nearest]) / 1000)
