"""Daily weather of sites in a region: temperature, rain, radiation and reference evapotranspiration.

Monthly means come from the region's file. Temperature and wetness vary around them as first-order autoregressive
series. These are computed as finite sums of keyed random numbers, so that the weather of a day does not depend on the
first day of the series.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.signal import lfilter
from scipy.special import gammaincinv, ndtr, ndtri

from agrifm.simulator import keyed_random
from agrifm.validation import Frozen

Days = NDArray[np.float64]
"""(sites, days)."""
Monthly = Annotated[tuple[float, ...], Field(min_length=12, max_length=12)]
"""January to December."""
MEMORY = 60
"""Days of weather that influence a day: 0.85 ** 60 is less than 0.0001."""
WET_DAY_RANGE = 0.7
"""Daily temperature range of a wet day relative to a dry day."""
GAMMA_SHAPE = 0.75
"""Shape parameter of the rain on wet days: many small amounts, few large ones (Richardson 1981 used shape 1)."""


class Climate(Frozen):
    """Means and variability of the weather of a region; sites differ by latitude."""

    temperature: Monthly
    """Mean temperature of each month at the middle latitude, degrees Celsius."""
    temperature_range: Monthly
    """Mean difference between the maximum and minimum temperature of a day, degrees."""
    temperature_gradient: float
    """Change of temperature per degree of latitude towards the pole, degrees Celsius."""
    rain: Monthly
    """Mean rain of each month, mm."""
    wet_days: Monthly
    """Share of days with rain."""
    deviation: float = Field(2.6, ge=0)
    """Standard deviation of daily mean temperature around the season, degrees."""
    persistence: float = Field(0.75, ge=0, le=0.85)
    """Correlation of temperature with that of the previous day."""
    wet_persistence: float = Field(0.6, ge=0, le=0.85)
    """The same for the hidden normal variable that determines rain."""
    common: float = Field(0.85, ge=0, le=1)
    """Share of the variance that is common to the whole region."""


class DayWeather(NamedTuple):
    """Weather of fields on one day, (fields,); units as in `Weather`."""

    temperature: NDArray[np.float64]
    rain: NDArray[np.float64]
    radiation: NDArray[np.float64]
    evapotranspiration: NDArray[np.float64]
    day_length: NDArray[np.float64]


@dataclass(frozen=True)
class Weather:
    """Weather of sites day by day; arrays (sites, days)."""

    first: int
    """First day, days since 1970-01-01."""
    temperature: Days
    """Daily mean, degrees Celsius."""
    rain: Days
    """mm per day."""
    radiation: Days
    """Solar radiation on the ground, MJ per m2 and day."""
    evapotranspiration: Days
    """Evapotranspiration of a well-watered reference grass, mm per day."""
    day_length: Days
    """Hours between sunrise and sunset."""

    @classmethod
    def draw(
        cls,
        climate: Climate,
        first: int,
        last: int,
        latitudes: NDArray[np.float64],
        middle: float,
        keys: NDArray[np.int64],
        seed: int,
    ) -> "Weather":
        """Draw the weather from the first to the last day inclusive (days since 1970-01-01).

        Args:
            latitudes: of the sites, degrees, negative in the south, (sites,).
            middle: latitude of the climate's temperatures.
            keys: identity of each site, (sites,).
        """
        days = np.arange(first, last + 1)
        names = ("temperature", "temperature_range", "rain")
        of_day = {name: daily_means(getattr(climate, name), days) for name in names}
        wetness = _persistent(seed, "wetness", climate.wet_persistence, climate.common, keys, days)
        share = np.clip(daily_means(climate.wet_days, days), 0.001, 0.999)
        wet = wetness < ndtri(share)
        # The rank of a wet day among wet days is uniform; a smaller number means a wetter day.
        amount = gammaincinv(GAMMA_SHAPE, np.clip(1 - ndtr(wetness) / share, 0, 0.999)) / GAMMA_SHAPE
        mean = of_day["rain"] * 12 / (365.25 * share)
        anomaly = _persistent(seed, "temperature", climate.persistence, climate.common, keys, days)
        poleward = (np.abs(latitudes) - abs(middle))[:, None]
        temperature = of_day["temperature"] + climate.temperature_gradient * poleward + climate.deviation * anomaly
        span = of_day["temperature_range"] * np.where(wet, WET_DAY_RANGE, 1.0)
        above = extraterrestrial_radiation(latitudes, days)
        return cls(
            first,
            temperature,
            np.where(wet, mean * amount, 0.0),
            # Hargreaves' radiation formula, FAO-56 (Allen et al. 1998) equation 50, inland coefficient.
            0.16 * np.sqrt(span) * above,
            # Hargreaves and Samani (1985), FAO-56 equation 52; 0.408 turns MJ per m2 into mm of water.
            np.maximum(0.0023 * (temperature + 17.8) * np.sqrt(span) * above * 0.408, 0.0),
            24 / np.pi * _sunset(latitudes, days)[1],
        )

    def on(self, day: int, site: NDArray[np.intp]) -> DayWeather:
        """The weather on a day (days since 1970-01-01) for fields with these rows of sites."""
        return DayWeather(*(getattr(self, name)[site, day - self.first] for name in DayWeather._fields))


def extraterrestrial_radiation(latitudes: NDArray[np.float64], days: NDArray[np.int64]) -> Days:
    """Daily solar radiation above the atmosphere, MJ per m2, (sites, days): FAO-56 equations 21 to 25."""
    declination, sunset = _sunset(latitudes, days)
    distance = 1 + 0.033 * np.cos(2 * np.pi * _day_of_year(days) / 365)
    latitude = np.radians(latitudes)[:, None]
    height = sunset * np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.sin(sunset)
    return np.asarray(24 * 60 / np.pi * 0.0820 * distance * height)


def _sunset(latitudes: NDArray[np.float64], days: NDArray[np.int64]) -> tuple[Days, Days]:
    """Declination of the sun and hour angle of sunset, radians: FAO-56 equations 24 and 25."""
    declination = 0.409 * np.sin(2 * np.pi * _day_of_year(days) / 365 - 1.39)
    angle = np.arccos(np.clip(-np.tan(np.radians(latitudes)[:, None]) * np.tan(declination), -1, 1))
    return np.broadcast_to(declination, angle.shape), angle


def _day_of_year(days: NDArray[np.int64]) -> NDArray[np.int64]:
    dates = days.astype("datetime64[D]")
    return np.asarray((dates - dates.astype("datetime64[Y]")).astype(np.int64) + 1)


def daily_means(monthly: tuple[float, ...], days: NDArray[np.int64]) -> NDArray[np.float64]:
    """Daily values, interpolated linearly between the middles of the months."""
    middles = (np.arange(12) + 0.5) * 365.25 / 12
    return np.asarray(np.interp(_day_of_year(days) - 0.5, middles, monthly, period=365.25))


def _persistent(
    seed: int, purpose: str, persistence: float, common: float, keys: NDArray[np.int64], days: NDArray[np.int64]
) -> Days:
    """Normal series with standard deviation 1, correlated between days and between sites, (sites, days)."""
    before = np.arange(days[0] - MEMORY, days[-1] + 1)
    everywhere = keyed_random.normal(seed, purpose, before)
    here = keyed_random.normal(seed, purpose, keys[:, None], before)
    steps = np.sqrt(common) * everywhere + np.sqrt(1 - common) * here
    taps = persistence ** np.arange(MEMORY + 1)
    return np.asarray(lfilter(taps / np.sqrt((taps**2).sum()), [1.0], steps, axis=1)[:, MEMORY:])
