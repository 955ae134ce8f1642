"""The climate and the sky of a place, drawn around those of the nearest stations.

`stations.toml` has about 190 places of the world's croplands: mean temperatures of January and July in degrees Celsius,
and rain of four times three months in mm. All numbers are recalled climatology, rounded; none was read in a publication
for this file. A place differs from its surroundings by altitude, the sea and the year, so it draws around them.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.simulator.acquisition.sky import SkyClimate
from agrifm.simulator.season.weather import Climate

NEAREST = 4
"""Stations whose mean, weighted by the inverse of the squared distance, is the climate around a place."""
MEAN_SPREAD, SWING_SPREAD = 1.3, 0.8
"""Standard deviations of a place's mean temperature and of half its range between months, degrees Celsius."""
LEAST_SUMMER = 13.0
"""Mean of the warmest month at least, degrees Celsius: there is no cropland without a summer."""
RAIN_SPREAD, SEASON_SPREAD, RAIN_LIMITS = 0.25, 0.15, (60.0, 3000.0)
"""Standard deviations of the logarithm of the rain of a year and of a month, and limits of a year, mm."""

Values = NDArray[np.float64]


@cache
def read_stations() -> Values:
    """Return latitude, longitude, temperature of January and July and rain of the four seasons, (stations, 8)."""
    text = files("agrifm.simulator.world").joinpath("stations.toml").read_text(encoding="utf-8")
    return np.array([numbers for _, *numbers in tomllib.loads(text)["stations"]], np.float64)


def climate_around(lat: float, lon: float) -> tuple[float, float, Values]:
    """Return temperatures of January and July and the rain of the four seasons around a place."""
    stations = read_stations()
    # a degree of longitude is shorter, and counts less for the climate
    east = (stations[:, 1] - lon + 180) % 360 - 180
    distance = np.hypot(stations[:, 0] - lat, 0.8 * np.cos(np.radians(lat)) * east)
    nearest = np.argsort(distance)[:NEAREST]
    weight = 1 / (distance[nearest] ** 2 + 0.5)
    january, july, *rain = (weight / weight.sum()) @ stations[nearest, 2:]
    return float(january), float(july), np.array(rain)


def draw_climate(rng: np.random.Generator, lat: float, lon: float) -> Climate:
    """Draw the climate of a place, degrees."""
    january, july, seasons = climate_around(lat, lon)
    mean = (january + july) / 2 + MEAN_SPREAD * rng.standard_normal()
    swing = (july - january) / 2 + SWING_SPREAD * rng.standard_normal()
    mean = max(mean, LEAST_SUMMER - abs(swing))
    months = np.arange(12) + 0.5
    # the warmest time is about three weeks after the summer solstice
    warmth = np.cos(2 * np.pi * (months - 6.6) / 12)
    # the middle of a season of three months is the middle of its second month
    monthly = np.interp(months, np.array([0.5, 3.5, 6.5, 9.5]), seasons / 3, period=12)
    monthly *= np.exp(RAIN_SPREAD * rng.standard_normal() + SEASON_SPREAD * rng.standard_normal(12))
    monthly = np.maximum(monthly, 0.5) * np.clip(monthly.sum(), *RAIN_LIMITS) / monthly.sum()
    wet = np.clip(monthly / rng.uniform(6, 11) / 30.4, 0.02, 0.8)
    span = np.clip(13.5 - 9 * wet + rng.standard_normal(), 4, 18)
    return Climate(
        temperature=tuple((mean + swing * warmth).tolist()),
        temperature_range=tuple(span.tolist()),
        temperature_gradient=0.0,
        rain=tuple(monthly.tolist()),
        wet_days=tuple(wet.tolist()),
        deviation=1.2 + 0.035 * abs(lat),
        common=0.0,
    )


def draw_sky(rng: np.random.Generator, climate: Climate) -> SkyClimate:
    """Draw the statistics of the sky, cloudier where it rains more often."""
    cloud = 0.12 + 0.8 * np.array(climate.wet_days) ** 0.6 + 0.06 * rng.standard_normal()
    january, february, march, *others = np.clip(cloud, 0.04, 0.93).tolist()
    return SkyClimate(
        cloud=(january, february, march, *others),
        cirrus=rng.uniform(0.03, 0.25),
        aerosol=float(np.clip(0.13 * np.exp(0.5 * rng.standard_normal()), 0.03, 0.8)),
        lost=rng.uniform(0, 0.08),
    )


def mean_temperature(climate: Climate, first: float, last: float) -> float:
    """Mean temperature between two days of any year, counted from 1 January, degrees Celsius."""
    return float(on_days(climate.temperature, np.arange(first, last + 1)).mean())


def on_days(monthly: Sequence[float], days: NDArray[Any]) -> Values:
    """Return the means of months on days of any year, counted from 1 January, between the middles of the months."""
    middles = (np.arange(12) + 0.5) * 365.25 / 12
    return np.asarray(np.interp(days, middles, monthly, period=365.25))


def crossing(climate: Climate, temperature: float, rises: bool, after: float) -> float | None:
    """The first day after `after` on which the mean temperature rises or falls through a temperature; None = never.

    Days are counted from 1 January, also beyond the year.
    """
    days = after + np.arange(366)
    above = on_days(climate.temperature, days) >= temperature
    passed = np.flatnonzero(above[1:] & ~above[:-1] if rises else ~above[1:] & above[:-1])
    return float(days[passed[0] + 1]) if len(passed) else None
