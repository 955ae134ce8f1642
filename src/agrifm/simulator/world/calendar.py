"""Where the places of the pretraining world can be, and the two seasons of crops there.

`crop_calendar.npz` is the crop calendar of WorldCereal (github.com/WorldCereal/worldcereal-classification,
`seasonality_lookup.geoparquet`, MIT licence, Copyright ESA WorldCereal), read on 2026-11-30 and reduced to one point in
each square degree by `benchmarks/reduce_crop_calendar.py`. Regions on which models are evaluated are left out
(`excluded.toml`).
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.simulator.world.covers import FOLDER

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


@cache
def excluded_boxes() -> dict[str, tuple[float, float, float, float]]:
    """Return the regions that never occur: name -> west, south, east, north in degrees."""
    content = tomllib.loads(files(FOLDER).joinpath("excluded.toml").read_text(encoding="utf-8"))
    return {name: tuple(box) for name, box in content.items()}


def is_excluded(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether points are in a region on which models are evaluated."""
    inside = np.zeros(np.broadcast_shapes(np.shape(lon), np.shape(lat)), bool)
    for west, south, east, north in excluded_boxes().values():
        inside |= (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
    return inside


@cache
def read_calendar() -> CropCalendar:
    """Read the calendar, without the points whose square of a quarter of a degree touches an excluded region."""
    with files(FOLDER).joinpath("crop_calendar.npz").open("rb") as file, np.load(file) as stored:
        content = {name: stored[name].astype(np.int64) for name in stored.files}
    seasons = np.stack(
        [np.stack([content[f"{name}_start"], content[f"{name}_end"]], axis=1) for name in ("first", "second")], axis=1
    )
    whole = CropCalendar(content["lon"] / DEGREE_PARTS, content["lat"] / DEGREE_PARTS, seasons, content["year_start"])
    near = np.zeros(len(whole), bool)
    half = JITTER / 2
    for east in (-half, half):
        for north in (-half, half):
            near |= is_excluded(whole.lon + east, whole.lat + north)
    return whole.of(~near)


JITTER = 0.9
"""Side of the square around a point of the calendar in which a place is, degrees."""
