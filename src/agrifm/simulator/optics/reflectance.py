"""Surface reflectance of fields in the bands of a sensor, from their state on a day.

Green and brown leaves (`leaf`) mix by their areas to one canopy (`canopy`) above the ground (`soil`); yellow flowers
cover a share of it; water, roads and roofs have fixed spectra. A band is a Gaussian with its centre and width, and the
model is averaged over it by Gauss-Hermite quadrature with three points. All coefficients are in `coefficients.toml`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.sensors import Band
from agrifm.simulator.optics.canopy import Angle, LeafAngles, canopy_reflectance
from agrifm.simulator.optics.coefficients import constant, spectrum
from agrifm.simulator.optics.leaf import LeafOptics
from agrifm.simulator.optics.soil import SoilOptics, shade

PLANTS, WATER, ROAD, ROOFS = range(4)
"""Materials of a cover: soil with or without plants; open water; asphalt and gravel; settlements."""

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class SurfaceState:
    """State of fields on one day, the input of the reflectance model; float32 arrays (fields,) except `material`."""

    material: NDArray[np.int8]
    """`PLANTS`, `WATER`, `ROAD` or `ROOFS`; the other arrays are used for `PLANTS` only."""
    green_area: Numbers
    """Green leaves and stems, m2 per m2 of ground, one side."""
    brown_area: Numbers
    """Standing dead leaves and stems, m2 per m2."""
    chlorophyll: Numbers
    """Chlorophyll a + b of the green leaves, micrograms per cm2 of leaf."""
    leaf_water: Numbers
    """Equivalent water thickness of the green leaves, cm."""
    leaf_dry_matter: Numbers
    """Dry matter of the leaves, g per cm2."""
    leaf_structure: Numbers
    """Leaf structure parameter N of PROSPECT, layers: about 1.2 (cereals) to 2.2."""
    leaf_projection: Numbers
    """Projection of leaves towards the zenith, G(0): 0.5 spherical, smaller for erect, larger for flat leaves."""
    clumping: Numbers
    """Clumping index: 1 = random leaves, smaller if rows or crowns leave gaps."""
    flower: Numbers
    """Share of the ground covered by yellow flowers, seen from above, 0..1."""
    residue: Numbers
    """Share of the soil covered by dead plant residue, 0..1."""
    flood: Numbers
    """Share of the soil under standing water, 0..1."""
    moisture: Numbers
    """Moisture of the soil surface, 0 (air-dry) .. 1 (saturated)."""
    soil_brightness: Numbers
    """Factor on the reflectance of dry soil, 1 = the spectrum of the table."""

    def take(self, index: NDArray[Any]) -> "SurfaceState":
        """The state of selected or repeated fields."""
        return SurfaceState(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


HALF_WIDTH = 2 * np.sqrt(2 * np.log(2))
"""Full width at half maximum of a Gaussian, in standard deviations."""
QUADRATURE = {-np.sqrt(3.0): 1 / 6, 0.0: 2 / 3, np.sqrt(3.0): 1 / 6}
"""Gauss-Hermite quadrature: position in standard deviations -> weight."""
MAX_ZENITH = 80.0
"""Zenith angles of sun and observer are limited to this, degrees: the model of a flat layer fails beyond."""
BLOCK_SIZE = 16384
"""Values (fields x wavelengths) computed at a time, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class ViewingGeometry:
    """Directions of sun and observer, degrees; single numbers, or arrays (fields,)."""

    sun_zenith: Angle
    view_zenith: Angle
    relative_azimuth: Angle
    """Between sun and observer, seen from the ground: 0 = the sun is behind the observer."""

    def take(self, rows: NDArray[np.intp]) -> "ViewingGeometry":
        """The geometry of selected fields."""
        angles = (self.sun_zenith, self.view_zenith, self.relative_azimuth)
        return ViewingGeometry(*(angle if np.ndim(angle) == 0 else np.asarray(angle)[rows] for angle in angles))


@dataclass(frozen=True)
class _Optics:
    """Everything that depends on the wavelength only."""

    leaf: LeafOptics
    soil: SoilOptics
    brown_leaf: tuple[Numbers, Numbers]
    """Reflectance and transmittance, (1, wavelengths)."""
    flower: Numbers
    materials: dict[int, Numbers]

    @classmethod
    def at(cls, wavelengths: Sequence[float]) -> "_Optics":
        leaf = LeafOptics.at(wavelengths)
        water, dry_matter, structure, none = (
            np.array([value], np.float32)
            for value in (*(constant("brown_leaf", name) for name in ("water", "dry_matter", "structure")), 0)
        )
        brown_leaf = leaf.scattering(none, water, dry_matter, structure, constant("brown_leaf", "brown"))
        materials = {WATER: "water", ROAD: "road", ROOFS: "roofs"}
        flat = {key: spectrum(name, "reflectance", wavelengths).astype(np.float32) for key, name in materials.items()}
        flower = spectrum("flower", "reflectance", wavelengths).astype(np.float32)
        return cls(leaf, SoilOptics.at(wavelengths), brown_leaf, flower, flat)


_optics = lru_cache(maxsize=16)(_Optics.at)


def surface_reflectance(state: SurfaceState, bands: Sequence[Band], geometry: ViewingGeometry) -> Numbers:
    """Bidirectional reflectance factor of fields under a clear sky, (fields, bands), 0..1.

    Args:
        bands: Gaussians with their `wavelength` and `width` (full width at half maximum).
        geometry: one for all fields, or (fields,).
    """
    deviations = np.array([band.width for band in bands]) / HALF_WIDTH
    centres = np.array([band.wavelength for band in bands])
    wavelengths = np.concatenate([centres + offset * deviations for offset in QUADRATURE]).tolist()
    spectra = spectral_reflectance(state, wavelengths, geometry)
    weights = np.fromiter(QUADRATURE.values(), np.float32)
    return np.asarray(np.einsum("fqb,q->fb", spectra.reshape(len(spectra), len(weights), len(bands)), weights))


def spectral_reflectance(state: SurfaceState, wavelengths: Sequence[float], geometry: ViewingGeometry) -> Numbers:
    """Bidirectional reflectance factor at single wavelengths in nm, (fields, wavelengths), 0..1."""
    optics = _optics(tuple(wavelengths))
    result = np.empty((len(state.material), len(wavelengths)), np.float32)
    for material, values in optics.materials.items():
        result[state.material == material] = values
    # Blocks of fields, so that intermediate arrays stay in the processor's cache.
    plants = np.flatnonzero(state.material == PLANTS)
    angle = geometry.take(plants)
    sun, view = (np.minimum(zenith, MAX_ZENITH) for zenith in (angle.sun_zenith, angle.view_zenith))
    angles = LeafAngles.between(sun, view, angle.relative_azimuth, state.leaf_projection[plants])
    shades = np.broadcast_to(shade(sun, view, angle.relative_azimuth), len(plants))
    rows = max(1, BLOCK_SIZE // len(wavelengths))
    for start in range(0, len(plants), rows):
        some = slice(start, start + rows)
        result[plants[some]] = _plants(state.take(plants[some]), optics, angles.take(some), shades[some])
    return np.clip(result, 0, 1)


def _plants(state: SurfaceState, optics: _Optics, angles: LeafAngles, shades: NDArray[np.floating]) -> Numbers:
    """Reflectance of fields with or without plants, (fields, wavelengths)."""
    ground = optics.soil.reflectance(state.moisture, state.soil_brightness, state.residue, state.flood, shades)
    area = state.green_area + state.brown_area
    brown = (state.brown_area / np.maximum(area, np.float32(1e-6)))[:, None]
    # Leaves of green and brown area act as one mixed leaf.
    green_leaf = optics.leaf.scattering(
        state.chlorophyll, state.leaf_water, state.leaf_dry_matter, state.leaf_structure
    )
    reflectance, transmittance = (
        green + brown * (dead - green) for green, dead in zip(green_leaf, optics.brown_leaf, strict=True)
    )
    effective_area = (state.clumping * area)[:, None]
    canopy = canopy_reflectance(
        reflectance, transmittance, ground, effective_area, angles, constant("canopy", "hot_spot")
    )
    return canopy + state.flower[:, None] * (optics.flower - canopy)
