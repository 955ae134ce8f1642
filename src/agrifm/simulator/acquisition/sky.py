"""The sky of a day, one for all sensors: clouds and their shadows, thin cirrus, and haze that the correction leaves.

Cloudiness is one smooth random number of place and day, normal with deviation 1: a part is common to the region, a
part to a few hundred kilometres, both lasting for days, and a part is the clouds' own shapes. It is cloudy where the
number exceeds the quantile that the month's cloud share asks for. So the share of clear passes at a place, whether
neighbours share their clouds, and how long gaps last can be set and measured one by one.

Everything is drawn by place and day: pieces of a large area fit together, and single places see the same sky.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtri

from agrifm.season import day_date
from agrifm.simulator.acquisition.orbits import Overpass
from agrifm.simulator.keyed_random import normal, smooth_noise, uniform
from agrifm.validation import Frozen

Places = NDArray[np.float64]
Plane = NDArray[np.float32]

REGIONAL, SYNOPTIC = 0.15, 0.6
"""Shares of the variance of cloudiness that the whole region has in common, and that `SYNOPTIC_SIZE` metres have.

In western France, north and south of the region's middle, missing dekads of 2022 and 2023 correlate by 0.21.
"""
SYNOPTIC_SIZE = 150e3
SPELLS = ((10.0, 0.15), (1.6, 0.85))
"""Spells of weather: days between the random values that splines join, and share of the lasting variance."""
SHAPES = ((9000.0, 0.52), (3000.0, 0.25), (1100.0, 0.13), (400.0, 0.07), (150.0, 0.03))
"""Sizes in metres of the clouds' own shapes, and share of their variance."""
SOFTNESS = 0.3
"""Rise of the shapes' number, in their deviations, from a cloud's edge to where it is opaque."""
CLOUD_BASE, CLOUD_BASE_SPREAD = 1500.0, 0.45
"""Median height above ground of the clouds that cast shadows, metres, and deviation of its logarithm between days."""
CIRRUS_BRIGHTNESS = 0.018
"""Reflectance that cirrus adds for each deviation beyond its edge."""
AEROSOL_SPREAD = 0.5
"""Deviation of the logarithm of the aerosols' optical depth between days."""
CORRECTION_BIAS, CORRECTION_ERROR = 0.01, 0.045
"""Reflectance at 490 nm for each optical depth that atmospheric correction leaves: its mean and deviation of scenes."""
ANGSTROM = 1.4
"""Exponent of the power law of aerosol scattering: of smoke, dust and city air together."""
# Spectra relative to 490 nm: shapes of ice and water clouds as spectral libraries show them, recalled.
SPECTRUM_AT = np.array([400.0, 865.0, 1240.0, 1610.0, 2200.0, 2400.0])
CLOUD_SPECTRUM = np.array([1.0, 0.98, 0.90, 0.68, 0.42, 0.35])
CIRRUS_SPECTRUM = np.array([1.0, 0.95, 0.85, 0.50, 0.40, 0.35])


class SkyClimate(Frozen):
    """The sky of the region."""

    cloud: tuple[float, float, float, float, float, float, float, float, float, float, float, float]
    """Share of the land under cloud in the forenoon, January to December."""
    cirrus: float = Field(ge=0, le=1)
    """Share of the land under thin cirrus where no other cloud is."""
    aerosol: float = Field(gt=0, le=2)
    """Median optical depth of aerosols at 550 nm."""
    lost: float = Field(ge=0, le=1)
    """Share of the scenes that were never taken or delivered."""


@dataclass(frozen=True)
class Sky:
    """What lies between a sensor and places on the ground; arrays of one shape, float32."""

    cloud: Plane
    """Opacity of clouds: 0 clear, 1 opaque; beyond 1 the thicker and brighter, below 0 the farther from a cloud."""
    shadow: Plane
    """Opacity of the clouds between the place and the sun, as `cloud`."""
    cirrus: Plane
    """Reflectance that thin cirrus adds at 490 nm, 0 or more."""
    haze: Plane
    """Reflectance at 490 nm that atmospheric correction left of the haze, or took too much."""


def cloudiness(seed: int, day: int, x: Places, y: Places) -> tuple[Plane, float]:
    """The part of cloudiness that lasts, at places on a day, and its share of the variance.

    Args:
        x, y: metres, arrays that broadcast.

    Returns:
        Normal numbers of mean 0 whose variance is the share; large where it is cloudy. Rain may follow them.
    """
    lasting = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for days, share in SPELLS:
        for knot, weight in _knots(day, days):
            common = float(normal(seed, f"weather of {days} days", knot))
            own = smooth_noise(seed, f"weather of {days} days, {knot}", x, y, SYNOPTIC_SIZE)
            lasting += np.float32(np.sqrt(share) * weight) * (
                np.float32(np.sqrt(REGIONAL) * common) + np.float32(np.sqrt(SYNOPTIC)) * own
            )
    return lasting, REGIONAL + SYNOPTIC


def cloud_share(climate: SkyClimate, day: int) -> float:
    """Share of the land under cloud on a day of the year, interpolated between the middles of months."""
    date = day_date(day)
    place = date.month - 1 + (date.day - 15.5) / 30.4
    months = np.array([climate.cloud[-1], *climate.cloud, climate.cloud[0]])
    return float(np.interp(place, np.arange(-1, 13), months))


def sky_at(climate: SkyClimate, seed: int, overpass: Overpass, x: Places, y: Places) -> Sky:
    """The sky between a passing sensor and places.

    Args:
        x, y: metres in the region's UTM zone; arrays that broadcast to the shape of the result, such as `x[None]` and
            `y[:, None]` of a grid, or the coordinates of single places.
    """
    base = CLOUD_BASE * np.exp(CLOUD_BASE_SPREAD * float(normal(seed, "cloud base", overpass.day)))
    away = base * np.tan(np.radians(min(overpass.sun_zenith, 75.0)))
    east, north = np.sin(np.radians(overpass.sun_azimuth)) * away, np.cos(np.radians(overpass.sun_azimuth)) * away
    lasting, share = cloudiness(seed, overpass.day, x, y)  # at the clouds' shadows too, a hundredth of its size away
    edge = np.float32(ndtri(1 - cloud_share(climate, overpass.day)))
    lasting = (lasting - edge) / np.float32(np.sqrt(1 - share))
    return Sky(
        cloud=(lasting + _shapes(seed, overpass.day, x, y)) / np.float32(SOFTNESS),
        shadow=(lasting + _shapes(seed, overpass.day, x + east, y + north)) / np.float32(SOFTNESS),
        cirrus=_cirrus(climate, seed, overpass.day, x, y),
        haze=_haze(climate, seed, overpass, x, y),
    )


def is_lost(climate: SkyClimate, seed: int, overpass: Overpass) -> bool:
    """Whether the scene never reached the archive."""
    return bool(uniform(seed, f"lost {overpass.satellite}", overpass.day, overpass.track) < climate.lost)


def observed_through(sky: Sky, reflectance: Plane, wavelengths: Sequence[float]) -> Plane:
    """What a corrected image shows of the ground under a sky.

    Args:
        reflectance: of the ground, (bands, ...) with the shape of the sky behind the bands.
        wavelengths: of the bands, nanometres.
    """
    seen = np.empty_like(reflectance)
    clear = 1 - np.clip(sky.cloud, 0, 1)
    shade = np.clip(sky.shadow, 0, 1)
    bright = np.clip(0.34 + 0.06 * sky.cloud, 0.34, 0.85) * (1 - clear)
    overcast, shaded = bool((clear < 1).any()), bool((shade > 0).any())
    for band, wavelength in enumerate(wavelengths):
        plane = reflectance[band]
        # Haze brightens what is dark and veils what is bright.
        plane = plane + sky.haze * np.float32((wavelength / 490) ** -ANGSTROM) * (1 - 2 * plane)
        plane += sky.cirrus * np.float32(np.interp(wavelength, SPECTRUM_AT, CIRRUS_SPECTRUM))
        if shaded:  # what light is left in a shadow comes from the sky, more of it in blue
            plane *= 1 - np.float32(0.75 - 0.3 * 490 / wavelength) * shade
        if overcast:
            plane = plane * clear + bright * np.float32(np.interp(wavelength, SPECTRUM_AT, CLOUD_SPECTRUM))
        seen[band] = plane
    return seen


def _shapes(seed: int, day: int, x: Places, y: Places) -> Plane:
    """The clouds' own part of cloudiness, deviation 1."""
    shapes = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for size, part in SHAPES:
        shapes += np.float32(np.sqrt(part)) * smooth_noise(seed, f"clouds of {size:g} m on {day}", x, y, size)
    return shapes


def _cirrus(climate: SkyClimate, seed: int, day: int, x: Places, y: Places) -> Plane:
    """Streaks: longer along one direction of the day than across it."""
    turn = 2 * np.pi * float(uniform(seed, "direction of cirrus", day))
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    streaks = smooth_noise(seed, f"cirrus on {day}", along / 4, across, 3000.0)
    regime = np.float32(normal(seed, "cirrus", day))
    number = np.sqrt(np.float32(0.7)) * regime + np.sqrt(np.float32(0.3)) * streaks
    edge = np.float32(ndtri(1 - climate.cirrus)) if climate.cirrus > 0 else np.float32(np.inf)
    return np.asarray(np.maximum(number - edge, 0) * np.float32(CIRRUS_BRIGHTNESS / 0.55), np.float32)


def _haze(climate: SkyClimate, seed: int, overpass: Overpass, x: Places, y: Places) -> Plane:
    depth = climate.aerosol * np.exp(AEROSOL_SPREAD * float(normal(seed, "aerosol", overpass.day)))
    left = CORRECTION_BIAS + CORRECTION_ERROR * float(
        normal(seed, f"haze {overpass.satellite}", overpass.day, overpass.track)
    )
    plumes = smooth_noise(seed, f"haze on {overpass.day}", x, y, 4000.0)
    return np.asarray(np.float32(depth) * (np.float32(left) + np.float32(0.4 * CORRECTION_ERROR) * plumes), np.float32)


def _knots(day: int, days: float) -> list[tuple[int, float]]:
    """Numbers and weights of the four random values around a day; squared weights sum to 1."""
    first = int(np.floor(day / days))
    part = day / days - first
    rest = 1 - part
    weights = np.array(
        [rest**3 / 6, (3 * part**3 - 6 * part**2 + 4) / 6, (3 * rest**3 - 6 * rest**2 + 4) / 6, part**3 / 6]
    )
    weights /= np.sqrt((weights**2).sum())
    return [(first - 1 + number, float(weight)) for number, weight in enumerate(weights)]
