"""The climate and the sky of a place, drawn around zonal means.

No climatology is part of the package, so temperatures follow the latitude, with altitude and distance from the sea
drawn at random, and rain follows the regimes of the latitude. All numbers are recalled climatology.
"""

import numpy as np

from agrifm.simulator.acquisition.sky import SkyClimate
from agrifm.simulator.season.weather import Climate

EQUATOR_MEAN, LATITUDE_EFFECT, MEAN_SPREAD = 28.0, 0.0086, 2.5
"""Mean temperature of the year: at the equator, its decrease with the squared latitude, and its spread, degrees."""
LEAST_SUMMER = 13.0
"""Mean of the warmest month at least, degrees Celsius: there is no cropland without a summer."""
TROPICS = 24.0
"""Degrees of latitude."""
RAIN_MEDIAN, RAIN_SPREAD, RAIN_LIMITS = 700.0, 0.65, (100.0, 2800.0)
"""Rain of a year, mm: median, standard deviation of the logarithm, limits."""


def draw_climate(rng: np.random.Generator, lat: float) -> Climate:
    """Draw the climate of a place at a latitude in degrees."""
    poleward = abs(lat)
    mean = EQUATOR_MEAN - LATITUDE_EFFECT * poleward**2 + MEAN_SPREAD * rng.standard_normal()
    swing = poleward * rng.uniform(0.12, 0.34) + rng.uniform(0.5, 2.0)
    mean = max(mean, LEAST_SUMMER + rng.uniform(0, 4) - swing)
    months = np.arange(12) + 0.5
    # the warmest time is about three weeks after the summer solstice
    warmth = np.cos(2 * np.pi * (months - (6.6 if lat >= 0 else 0.6)) / 12)
    rain = float(np.clip(RAIN_MEDIAN * np.exp(RAIN_SPREAD * rng.standard_normal()), *RAIN_LIMITS))
    kind = rng.random()
    if poleward < TROPICS:
        seasonality = rng.uniform(0.4, 1.3) if kind < 0.8 else rng.uniform(-0.3, 0.3)
    else:
        seasonality = float(rng.choice([rng.uniform(0.2, 0.9), rng.uniform(-0.25, 0.25), rng.uniform(-1.0, -0.3)]))
    shape = np.maximum(1 + seasonality * warmth + 0.1 * rng.standard_normal(12), 0.03)
    monthly = rain * shape / shape.sum()
    wet = np.clip(monthly / rng.uniform(6, 11) / 30.4, 0.02, 0.8)
    span = np.clip(13.5 - 9 * wet + rng.standard_normal(), 4, 18)
    return Climate(
        temperature=tuple((mean + swing * warmth).tolist()),
        temperature_range=tuple(span.tolist()),
        temperature_gradient=0.0,
        rain=tuple(monthly.tolist()),
        wet_days=tuple(wet.tolist()),
        deviation=1.2 + 0.035 * poleward,
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
    days = np.arange(first, last + 1)
    middles = (np.arange(12) + 0.5) * 365.25 / 12
    return float(np.interp(days, middles, climate.temperature, period=365.25).mean())
