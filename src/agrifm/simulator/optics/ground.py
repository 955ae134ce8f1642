"""The ground of a window: the variation of vigour and soil within fields, and its reflectance day by day."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.sparse import csr_matrix

from agrifm.sensors import Band
from agrifm.simulator.footprint import NODES, VIGOUR_LEVELS, GroundPixels
from agrifm.simulator.keyed_random import normal, smooth_noise, uniform
from agrifm.simulator.land.field_map import NO_CROPS, Land
from agrifm.simulator.optics.reflectance import SurfaceState, ViewingGeometry, surface_reflectance

Plane = NDArray[np.float32]

PATCHES = ((130.0, 0.30), (28.0, 0.58), (9.0, 0.12))
"""Patches of vigour and of soil within fields: size in metres and share of the variance."""
VIGOUR_SPREAD, VIGOUR_SPREAD_SPREAD = 0.42, 0.45
"""Standard deviation of the logarithm of vigour within fields: its median, and its spread between fields."""
VIGOUR_SKEW = 0.25
"""Skewness of vigour: poor patches (wet, stony, eaten, weedy) deviate more than good ones."""
CHLOROPHYLL = 0.4
"""Exponent of vigour in the chlorophyll content: poor patches are also pale."""
SOIL_SPREAD = 0.09
"""Standard deviation of the soil brightness within fields."""
SOIL_AGAINST_VIGOUR = -0.4
"""Correlation of soil brightness and vigour: stony and eroded ground is bright and poor."""
TRAMLINE_SPACING, TRAMLINE_LOSS = (21.0, 36.0), 0.22
"""Minimum and maximum distance of wheel tracks, metres; loss of plants in a 5 m pixel on them."""
NO_TRAMLINES = ("grassland", "permanent_crops", "rice", *NO_CROPS)
"""Covers without tramlines."""
HEADLAND_LOSS = 0.10
"""Loss of plants within 10 m of a field's edge, because of turning machines, trees and game."""
SOIL_STEP = 0.2
"""Relative increase of soil brightness for the derivative of reflectance with respect to it."""


class Growing(Protocol):
    """Anything with a state of fields on each day."""

    def state(self, day: int) -> SurfaceState:
        """State of every field on a day (days since 1970-01-01)."""


@dataclass(frozen=True)
class Ground:
    """Ground pixels of a window and the growth of its fields."""

    pixels: GroundPixels
    growth: Growing

    @classmethod
    def draw(cls, land: Land, growth: Growing, seed: int) -> "Ground":
        """Draw the variation within the fields of a land."""
        return cls(vary(land, seed), growth)

    def nodes(self, day: int, bands: Sequence[Band], geometry: ViewingGeometry) -> Plane:
        """Reflectance of every field at every level of vigour, and its increase for a soil twice as bright.

        Returns:
            (fields x `NODES`, bands), in the order of the columns of footprint matrices.
        """
        # Each field is repeated for its levels of vigour, and once more with brighter soil.
        state = self.growth.state(day)
        fields = len(state.material)
        vigour = np.tile(np.array([*VIGOUR_LEVELS, 1.0], np.float32), fields)
        brighter = np.tile(np.array([0] * len(VIGOUR_LEVELS) + [SOIL_STEP], np.float32), fields)
        repeated = state.take(np.repeat(np.arange(fields), NODES))
        repeated = replace(
            repeated,
            green_area=repeated.green_area * vigour,
            brown_area=repeated.brown_area * vigour,
            chlorophyll=repeated.chlorophyll * vigour ** np.float32(CHLOROPHYLL),
            soil_brightness=repeated.soil_brightness * (1 + brighter),
        )
        reflectance = surface_reflectance(repeated, bands, geometry).reshape(fields, NODES, len(bands))
        usual = reflectance[:, VIGOUR_LEVELS.index(1.0)]
        reflectance[:, -1] = (reflectance[:, -1] - usual) / np.float32(SOIL_STEP)
        return reflectance.reshape(fields * NODES, len(bands))

    def reflectance(self, footprint: csr_matrix, day: int, bands: Sequence[Band], geometry: ViewingGeometry) -> Plane:
        """Reflectance of pixels under a clear sky without noise, (pixels, bands)."""
        return np.asarray(footprint @ self.nodes(day, bands, geometry))


def vary(land: Land, seed: int) -> GroundPixels:
    """Draw vigour and soil of every ground pixel: patches, tramlines, headlands."""
    grid, field = land.grid, land.field
    x, y = grid.x[None], grid.y[:, None]
    patches, other = (_patches(seed, name, x, y) for name in ("patches of vigour", "patches of soil"))
    spread = VIGOUR_SPREAD * np.exp(VIGOUR_SPREAD_SPREAD * normal(seed, "vigour within the field", land.keys))
    # Skewed towards poor patches; the mean stays 0.
    skewed = patches - np.float32(VIGOUR_SKEW) * (patches**2 - 1)
    vigour = np.exp(spread.astype(np.float32)[field] * skewed)
    soil = np.float32(SOIL_AGAINST_VIGOUR) * patches + np.float32(np.sqrt(1 - SOIL_AGAINST_VIGOUR**2)) * other
    covers = np.array(land.covers)
    vigour *= 1 - np.float32(TRAMLINE_LOSS) * _tramlines(land, seed) * ~np.isin(covers, NO_TRAMLINES)[field]
    # Within two pixels of another field.
    headland = (minimum_filter(field, 5) != field) | (maximum_filter(field, 5) != field)
    vigour *= 1 - np.float32(HEADLAND_LOSS) * (headland & ~np.isin(covers, NO_CROPS)[field])
    return GroundPixels(grid, field, len(land.covers), vigour, np.float32(SOIL_SPREAD) * soil)


def _patches(seed: int, name: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> Plane:
    planes = [
        np.float32(np.sqrt(share)) * smooth_noise(seed, f"{name} {size:g}", x, y, size) for size, share in PATCHES
    ]
    return np.asarray(sum(planes[1:], planes[0]), np.float32)


def _tramlines(land: Land, seed: int) -> Plane:
    """Influence of wheel tracks on each pixel: 1 in their middle, decreasing to 0 at 5 m."""
    apart = TRAMLINE_SPACING[0] + (TRAMLINE_SPACING[1] - TRAMLINE_SPACING[0]) * uniform(seed, "tramlines", land.keys)
    offset = apart * uniform(seed, "first tramline", land.keys)
    sin, cos = np.sin(land.direction)[land.field], np.cos(land.direction)[land.field]
    apart, offset = apart[land.field], offset[land.field]
    position = (land.grid.y[:, None] * cos - land.grid.x[None] * sin + offset) % apart
    nearest = np.minimum(position, apart - position)
    return np.asarray(np.maximum(1 - nearest / 5, 0), np.float32)
