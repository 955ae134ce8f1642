"""The ground of a window: its land, how vigour and soil vary within fields, and what it reflects day by day."""

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
"""Patches of vigour and of soil within fields: size in metres, share of the variance."""
VIGOUR_SPREAD, VIGOUR_SPREAD_SPREAD = 0.42, 0.45
"""Median deviation of the logarithm of vigour within fields, and deviation of its logarithm between fields."""
VIGOUR_SKEW = 0.25
"""How much poorer poor patches (wet, stony, eaten, weedy) are than good ones are good."""
CHLOROPHYLL = 0.4
"""Power of the vigour with which chlorophyll goes: poor patches are pale too."""
SOIL_SPREAD = 0.09
"""Deviation of the soil's brightness within fields."""
SOIL_AGAINST_VIGOUR = -0.4
"""Correlation of both: stony and eroded ground is bright and poor."""
TRAMLINE_SPACING, TRAMLINE_LOSS = (21.0, 36.0), 0.22
"""Metres between a field's wheel tracks, from and to; share of the plants that a 5 m pixel loses under them."""
NO_TRAMLINES = ("grassland", "permanent_crops", "rice", *NO_CROPS)
"""Covers without tramlines."""
HEADLAND_LOSS = 0.10
"""Share of the plants that turning machines, trees and game cost within 10 m of a field's edge."""
SOIL_STEP = 0.2
"""How much brighter a field's soil is made to see what that changes."""


class Growing(Protocol):
    """What fields show day by day."""

    def state(self, day: int) -> SurfaceState:
        """Every field on a day (days since 1970-01-01)."""


@dataclass(frozen=True)
class Ground:
    """Everything that a sensor can see of a window."""

    cells: GroundPixels
    growth: Growing

    @classmethod
    def draw(cls, land: Land, growth: Growing, seed: int) -> "Ground":
        """The ground of a land on which something grows, with the variation within fields."""
        return cls(vary(land, seed), growth)

    def nodes(self, day: int, bands: Sequence[Band], geometry: ViewingGeometry) -> Plane:
        """Reflectance of every field at every level of vigour, and what a soil twice as bright would add.

        Returns:
            (fields x `NODES`, bands), in the order of footprints' columns.
        """
        state = self.growth.state(day)
        fields = len(state.material)
        kinds = np.tile(np.array([*VIGOUR_LEVELS, 1.0], np.float32), fields)
        brighter = np.tile(np.array([0] * len(VIGOUR_LEVELS) + [SOIL_STEP], np.float32), fields)
        every = state.take(np.repeat(np.arange(fields), NODES))
        every = replace(
            every,
            green_area=every.green_area * kinds,
            brown_area=every.brown_area * kinds,
            chlorophyll=every.chlorophyll * kinds ** np.float32(CHLOROPHYLL),
            soil_brightness=every.soil_brightness * (1 + brighter),
        )
        reflectance = surface_reflectance(every, bands, geometry).reshape(fields, NODES, len(bands))
        usual = reflectance[:, VIGOUR_LEVELS.index(1.0)]
        reflectance[:, -1] = (reflectance[:, -1] - usual) / np.float32(SOIL_STEP)
        return reflectance.reshape(fields * NODES, len(bands))

    def reflectance(self, footprint: csr_matrix, day: int, bands: Sequence[Band], geometry: ViewingGeometry) -> Plane:
        """What pixels show under a clear sky without noise, (pixels, bands)."""
        return np.asarray(footprint @ self.nodes(day, bands, geometry))


def vary(land: Land, seed: int) -> GroundPixels:
    """Vigour and soil of every ground pixel: patches, tramlines, headlands."""
    grid, field = land.grid, land.field
    x, y = grid.x[None], grid.y[:, None]
    patches, other = (_patches(seed, name, x, y) for name in ("patches of vigour", "patches of soil"))
    spread = VIGOUR_SPREAD * np.exp(VIGOUR_SPREAD_SPREAD * normal(seed, "vigour within the field", land.keys))
    skewed = patches - np.float32(VIGOUR_SKEW) * (patches**2 - 1)
    vigour = np.exp(spread.astype(np.float32)[field] * skewed)
    soil = np.float32(SOIL_AGAINST_VIGOUR) * patches + np.float32(np.sqrt(1 - SOIL_AGAINST_VIGOUR**2)) * other
    covers = np.array(land.covers)
    vigour *= 1 - np.float32(TRAMLINE_LOSS) * _tramlines(land, seed) * ~np.isin(covers, NO_TRAMLINES)[field]
    headland = (minimum_filter(field, 5) != field) | (maximum_filter(field, 5) != field)
    vigour *= 1 - np.float32(HEADLAND_LOSS) * (headland & ~np.isin(covers, NO_CROPS)[field])
    return GroundPixels(grid, field, len(land.covers), vigour, np.float32(SOIL_SPREAD) * soil)


def _patches(seed: int, name: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> Plane:
    planes = [
        np.float32(np.sqrt(share)) * smooth_noise(seed, f"{name} {size:g}", x, y, size) for size, share in PATCHES
    ]
    return np.asarray(sum(planes[1:], planes[0]), np.float32)


def _tramlines(land: Land, seed: int) -> Plane:
    """How much of each pixel's width wheel tracks take: 1 in their middle, 0 from 5 m on."""
    apart = TRAMLINE_SPACING[0] + (TRAMLINE_SPACING[1] - TRAMLINE_SPACING[0]) * uniform(seed, "tramlines", land.keys)
    offset = apart * uniform(seed, "first tramline", land.keys)
    sin, cos = np.sin(land.direction)[land.field], np.cos(land.direction)[land.field]
    apart, offset = apart[land.field], offset[land.field]
    place = (land.grid.y[:, None] * cos - land.grid.x[None] * sin + offset) % apart
    nearest = np.minimum(place, apart - place)
    return np.asarray(np.maximum(1 - nearest / 5, 0), np.float32)
