"""The sky over the fields of a place on every day of a season.

The statistics are those of `agrifm.simulator.acquisition.sky`; only the shapes of clouds are not drawn in the plane:
their part of cloudiness is drawn for each day, and for each field of the day.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from agrifm.simulator.acquisition.sky import (
    AEROSOL_SPREAD,
    CIRRUS_BRIGHTNESS,
    CORRECTION_BIAS,
    CORRECTION_ERROR,
    REGIONAL,
    SOFTNESS,
    SPELLS,
    SYNOPTIC,
    Sky,
    SkyClimate,
    spell_weights,
)
from agrifm.simulator.points import CLOUD_THRESHOLD, MASK_NOISE, MISSED_SHARE, SHADOW_THRESHOLD

Plane = NDArray[np.float32]

NEAR = 0.45
"""Share of the variance of clouds' shapes that the fields of a place have in common: they are kilometres apart."""
SHADOW_LIKENESS = 0.6
"""Correlation of the shapes above a field with those between it and the sun."""


@dataclass(frozen=True)
class Skies:
    """The sky over fields, day by day; arrays (days, fields)."""

    sky: Sky
    masked: NDArray[np.bool_]
    """Whether the mask of a product would drop the pixel."""

    def on(self, days: NDArray[np.int64]) -> "Skies":
        """Return the sky on days, counted from the first; one day may occur several times."""
        sky = Sky(*(getattr(self.sky, name)[days] for name in ("cloud", "shadow", "cirrus", "haze")))
        return Skies(sky, self.masked[days])


def draw_skies(rng: np.random.Generator, climate: SkyClimate, first: int, days: int, fields: int) -> Skies:
    """Draw the sky of a place.

    Args:
        first: first day, days since 1970-01-01.
        days: how many.
    """

    def normals(*shape: int) -> Plane:
        return rng.standard_normal(shape, dtype=np.float32)

    share = REGIONAL + SYNOPTIC
    persistent = np.sqrt(share) * sum(
        np.float32(np.sqrt(part)) * (weights @ normals(weights.shape[1]))
        for (_, part), weights in zip(SPELLS, _all_weights(days), strict=True)
    )
    of_year = (first + np.arange(days)) % 365.25
    middles = (np.arange(12) + 0.5) * 365.25 / 12
    edge = ndtri(1 - np.interp(of_year, middles, climate.cloud, period=365.25))
    persistent = ((persistent - edge) / np.sqrt(1 - share)).astype(np.float32)[:, None]
    common, here, beside = normals(days, 1), normals(days, fields), normals(days, fields)
    shapes = np.sqrt(NEAR) * common + np.sqrt(1 - NEAR) * here
    apart = np.sqrt(1 - SHADOW_LIKENESS**2)
    shaded = np.sqrt(NEAR) * common + np.sqrt(1 - NEAR) * (SHADOW_LIKENESS * here + apart * beside)
    streaks = np.sqrt(0.7) * normals(days, 1) + np.sqrt(0.3) * normals(days, fields)
    cirrus = np.maximum(streaks - ndtri(1 - climate.cirrus), 0) * CIRRUS_BRIGHTNESS / 0.55
    depth = climate.aerosol * np.exp(AEROSOL_SPREAD * normals(days, 1))
    left = CORRECTION_BIAS + CORRECTION_ERROR * normals(days, 1)
    haze = depth * (left + 0.4 * CORRECTION_ERROR * normals(days, fields))
    planes = ((persistent + shapes) / SOFTNESS, (persistent + shaded) / SOFTNESS, cirrus, haze)
    sky = Sky(*(np.asarray(plane, np.float32) for plane in planes))
    doubt = MASK_NOISE * normals(days, fields)
    masked = (sky.cloud + doubt > CLOUD_THRESHOLD) | (sky.shadow + doubt > SHADOW_THRESHOLD)
    masked &= rng.random((days, fields), dtype=np.float32) > MISSED_SHARE
    return Skies(sky, masked)


@cache
def _all_weights(days: int) -> tuple[Plane, ...]:
    """For each of the spells the weights (days, knots) of its random numbers."""
    result = []
    for spell, _ in SPELLS:
        of_day = [spell_weights(day, spell) for day in range(days)]
        first = of_day[0][0][0]
        weights = np.zeros((days, of_day[-1][-1][0] - first + 1), np.float32)
        for day, knots in enumerate(of_day):
            for knot, weight in knots:
                weights[day, knot - first] = weight
        result.append(weights)
    return tuple(result)
