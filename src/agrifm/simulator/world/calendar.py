"""Where the places of the pretraining world can be: the points of the crop calendar, without regions of evaluation.

Regions on which models are evaluated are left out (`excluded.toml`).
"""

import tomllib
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from agrifm.crop_calendar import CropCalendar, read_crop_calendar
from agrifm.simulator.world.covers import FOLDER


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
    whole = read_crop_calendar()
    near = np.zeros(len(whole), bool)
    half = JITTER / 2
    for east in (-half, half):
        for north in (-half, half):
            near |= is_excluded(whole.lon + east, whole.lat + north)
    return whole.of(~near)


JITTER = 0.9
"""Side of the square around a point of the calendar in which a place is, degrees."""
