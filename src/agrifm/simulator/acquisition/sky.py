"""The sky of a day, the same for all sensors: clouds and their shadows, thin cirrus, and residual haze.

Cloudiness is a smooth random variable of point and day, normal with standard deviation 1. One part is common to the
region and one to a few hundred kilometres, both persistent for days; the rest are the shapes of single clouds. A point
is cloudy if its cloudiness exceeds the quantile of the month's cloud share. So the share of clear overpasses, the
correlation between neighbours and the length of gaps can be set and measured independently.

Everything depends on point and day only: granules of a large area fit together, and single points see the same sky.
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
"""Shares of the variance of cloudiness that are common to the whole region, and to about `SYNOPTIC_SIZE` metres.

Missing dekads of 2022 and 2023 north and south of the middle of western France have a correlation of 0.21.
"""
SYNOPTIC_SIZE = 150e3
SPELLS = ((10.0, 0.15), (1.6, 0.85))
"""Spells of weather: days between the random values that splines join, and share of the persistent variance."""
SHAPES = ((9000.0, 0.52), (3000.0, 0.25), (1100.0, 0.13), (400.0, 0.07), (150.0, 0.03))
"""Sizes of clouds in metres, and the share of each in the variance of their shapes."""
SOFTNESS = 0.3
"""Rise of the shapes, in their standard deviations, from the edge of a cloud to its opaque part."""
CLOUD_BASE, CLOUD_BASE_SPREAD = 1500.0, 0.45
"""Median height of the cloud base, metres above ground, and standard deviation of its logarithm between days."""
CIRRUS_BRIGHTNESS = 0.018
"""Reflectance added by cirrus for each standard deviation beyond its edge."""
AEROSOL_SPREAD = 0.5
"""Standard deviation of the logarithm of the aerosol optical depth between days."""
CORRECTION_BIAS, CORRECTION_ERROR = 0.01, 0.045
"""Residual reflectance at 490 nm for each unit of optical depth: mean, and standard deviation between scenes."""
ANGSTROM = 1.4
"""Exponent of the power law of aerosol scattering, a mean over smoke, dust and urban air."""
# Spectra relative to 490 nm: typical shapes for water and ice clouds in spectral libraries, recalled.
SPECTRUM_AT = np.array([400.0, 865.0, 1240.0, 1610.0, 2200.0, 2400.0])
CLOUD_SPECTRUM = np.array([1.0, 0.98, 0.90, 0.68, 0.42, 0.35])
CIRRUS_SPECTRUM = np.array([1.0, 0.95, 0.85, 0.50, 0.40, 0.35])


class SkyClimate(Frozen):
    """Statistics of the sky of a region."""

    cloud: tuple[float, float, float, float, float, float, float, float, float, float, float, float]
    """Share of the land under cloud in the morning, January to December."""
    cirrus: float = Field(ge=0, le=1)
    """Share of the land without other clouds that is under thin cirrus."""
    aerosol: float = Field(gt=0, le=2)
    """Median optical depth of aerosols at 550 nm."""
    lost: float = Field(ge=0, le=1)
    """Share of the scenes that were never acquired or delivered."""


@dataclass(frozen=True)
class Sky:
    """The atmosphere between a sensor and points on the ground; float32 arrays of the same shape."""

    cloud: Plane
    """Opacity of clouds: 0 clear, 1 opaque; larger = thicker and brighter, negative = distance from a cloud."""
    shadow: Plane
    """Opacity of the clouds between the point and the sun, like `cloud`."""
    cirrus: Plane
    """Reflectance added by thin cirrus at 490 nm, 0 or more."""
    haze: Plane
    """Residual haze after atmospheric correction: reflectance at 490 nm, negative where too much was removed."""


def cloudiness(seed: int, day: int, x: Places, y: Places) -> tuple[Plane, float]:
    """The persistent part of cloudiness at points on a day, and its share of the variance.

    Args:
        x, y: metres, arrays that broadcast.

    Returns:
        Normal numbers with mean 0 whose variance is the share; large values are cloudy.
    """
    persistent = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for days, share in SPELLS:
        for knot, weight in spell_weights(day, days):
            common = float(normal(seed, f"weather of {days} days", knot))
            synoptic = smooth_noise(seed, f"weather of {days} days, {knot}", x, y, SYNOPTIC_SIZE)
            persistent += np.float32(np.sqrt(share) * weight) * (
                np.float32(np.sqrt(REGIONAL) * common) + np.float32(np.sqrt(SYNOPTIC)) * synoptic
            )
    return persistent, REGIONAL + SYNOPTIC


def cloud_share(climate: SkyClimate, day: int) -> float:
    """Share of the land under cloud on a day of the year, interpolated between the middles of months."""
    date = day_date(day)
    position = date.month - 1 + (date.day - 15.5) / 30.4
    months = np.array([climate.cloud[-1], *climate.cloud, climate.cloud[0]])
    return float(np.interp(position, np.arange(-1, 13), months))


def sky_at(climate: SkyClimate, seed: int, overpass: Overpass, x: Places, y: Places) -> Sky:
    """The sky between the sensor of an overpass and points on the ground.

    Args:
        x, y: metres in the region's UTM zone; arrays that broadcast to the shape of the result, such as `x[None]` and
            `y[:, None]` of a grid, or the coordinates of single points.
    """
    # A cloud's shadow is displaced away from the sun, the farther the higher the cloud and the lower the sun.
    base = CLOUD_BASE * np.exp(CLOUD_BASE_SPREAD * float(normal(seed, "cloud base", overpass.day)))
    shadow_length = base * np.tan(np.radians(min(overpass.sun_zenith, 75.0)))
    east, north = (
        np.sin(np.radians(overpass.sun_azimuth)) * shadow_length,
        np.cos(np.radians(overpass.sun_azimuth)) * shadow_length,
    )
    persistent, share = cloudiness(seed, overpass.day, x, y)  # the shadow is so near that it has the same value
    # Threshold of cloudiness such that the month's share of points is cloudy.
    edge = np.float32(ndtri(1 - cloud_share(climate, overpass.day)))
    persistent = (persistent - edge) / np.float32(np.sqrt(1 - share))
    return Sky(
        cloud=(persistent + _shapes(seed, overpass.day, x, y)) / np.float32(SOFTNESS),
        shadow=(persistent + _shapes(seed, overpass.day, x + east, y + north)) / np.float32(SOFTNESS),
        cirrus=_cirrus(climate, seed, overpass.day, x, y),
        haze=_haze(climate, seed, overpass, x, y),
    )


def is_lost(climate: SkyClimate, seed: int, overpass: Overpass) -> bool:
    """Whether the scene never reached the archive."""
    return bool(uniform(seed, f"lost {overpass.satellite}", overpass.day, overpass.track) < climate.lost)


def observed_through(sky: Sky, reflectance: Plane, wavelengths: Sequence[float]) -> Plane:
    """Surface reflectance as an atmospherically corrected image shows it through a sky.

    Args:
        reflectance: of the ground, (bands, ...) where the dots are the shape of the sky.
        wavelengths: of the bands, nanometres.
    """
    observed = np.empty_like(reflectance)
    # Clouds mix with the ground by their opacity; thicker clouds are brighter.
    clear = 1 - np.clip(sky.cloud, 0, 1)
    shade = np.clip(sky.shadow, 0, 1)
    bright = np.clip(0.34 + 0.06 * sky.cloud, 0.34, 0.85) * (1 - clear)
    overcast, shaded = bool((clear < 1).any()), bool((shade > 0).any())
    for band, wavelength in enumerate(wavelengths):
        plane = reflectance[band]
        # Haze brightens dark ground and darkens bright ground.
        plane = plane + sky.haze * np.float32((wavelength / 490) ** -ANGSTROM) * (1 - 2 * plane)
        plane += sky.cirrus * np.float32(np.interp(wavelength, SPECTRUM_AT, CIRRUS_SPECTRUM))
        if shaded:  # the light in a shadow is scattered by the sky, more of it in blue
            plane *= 1 - np.float32(0.75 - 0.3 * 490 / wavelength) * shade
        if overcast:
            plane = plane * clear + bright * np.float32(np.interp(wavelength, SPECTRUM_AT, CLOUD_SPECTRUM))
        observed[band] = plane
    return observed


def _shapes(seed: int, day: int, x: Places, y: Places) -> Plane:
    """The part of cloudiness due to single clouds, standard deviation 1."""
    shapes = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for size, part in SHAPES:
        shapes += np.float32(np.sqrt(part)) * smooth_noise(seed, f"clouds of {size:g} m on {day}", x, y, size)
    return shapes


def _cirrus(climate: SkyClimate, seed: int, day: int, x: Places, y: Places) -> Plane:
    """Cirrus streaks: stretched along one direction, which changes from day to day."""
    turn = 2 * np.pi * float(uniform(seed, "direction of cirrus", day))
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    streaks = smooth_noise(seed, f"cirrus on {day}", along / 4, across, 3000.0)
    regime = np.float32(normal(seed, "cirrus", day))
    number = np.sqrt(np.float32(0.7)) * regime + np.sqrt(np.float32(0.3)) * streaks
    edge = np.float32(ndtri(1 - climate.cirrus)) if climate.cirrus > 0 else np.float32(np.inf)
    return np.asarray(np.maximum(number - edge, 0) * np.float32(CIRRUS_BRIGHTNESS / 0.55), np.float32)


def _haze(climate: SkyClimate, seed: int, overpass: Overpass, x: Places, y: Places) -> Plane:
    optical_depth = climate.aerosol * np.exp(AEROSOL_SPREAD * float(normal(seed, "aerosol", overpass.day)))
    left = CORRECTION_BIAS + CORRECTION_ERROR * float(
        normal(seed, f"haze {overpass.satellite}", overpass.day, overpass.track)
    )
    plumes = smooth_noise(seed, f"haze on {overpass.day}", x, y, 4000.0)
    return np.asarray(
        np.float32(optical_depth) * (np.float32(left) + np.float32(0.4 * CORRECTION_ERROR) * plumes), np.float32
    )


def spell_weights(day: int, days: float) -> list[tuple[int, float]]:
    """Indices and weights of the four random values around a day; the squared weights sum to 1."""
    first = int(np.floor(day / days))
    part = day / days - first
    rest = 1 - part
    weights = np.array(
        [rest**3 / 6, (3 * part**3 - 6 * part**2 + 4) / 6, (3 * rest**3 - 6 * rest**2 + 4) / 6, part**3 / 6]
    )
    weights /= np.sqrt((weights**2).sum())
    return [(first - 1 + number, float(weight)) for number, weight in enumerate(weights)]
