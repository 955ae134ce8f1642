"""Reflectance of the ground: dry soil, darkened by moisture, under residue and standing water.

Moisture darkens soil exponentially from its dry to its saturated reflectance (Lobell and Asner 2002), more in the short
wave infrared, where water absorbs. The parts of the ground mix by their areas. Clods and stubble cast shadows, so that
soil is darkest when viewed against a low sun (Roujean et al. 1992); water reflects equally in all directions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.simulator.optics.coefficients import constant, spectrum

Numbers = NDArray[np.float32]
Angle = float | NDArray[np.floating]

SHADE_LIMITS = (0.6, 1.3)
"""Minimum and maximum factor of shadows on soil."""


@dataclass(frozen=True)
class SoilOptics:
    """Spectra of the ground's parts at some wavelengths; every array (wavelengths,), float32."""

    dry: Numbers
    saturated: Numbers
    """Reflectance of saturated soil relative to dry soil."""
    rate: Numbers
    """Rate of the exponential decrease, per unit of moisture."""
    residue: Numbers
    wet_residue: Numbers
    water: Numbers

    @classmethod
    def at(cls, wavelengths: Sequence[float]) -> "SoilOptics":
        """The spectra at wavelengths in nm."""
        residue = spectrum("residue", "reflectance", wavelengths)
        parts = (
            spectrum("soil", "dry", wavelengths),
            spectrum("soil_moisture", "saturated", wavelengths),
            spectrum("soil_moisture", "rate", wavelengths),
            residue,
            residue * spectrum("residue", "saturated", wavelengths),
            spectrum("water", "reflectance", wavelengths),
        )
        return cls(*(part.astype(np.float32) for part in parts))

    def reflectance(
        self, moisture: Numbers, brightness: Numbers, residue: Numbers, flood: Numbers, shade: Angle = 1.0
    ) -> Numbers:
        """Reflectance of the ground, (fields, wavelengths).

        Args:
            moisture: of the surface, 0 (air-dry) .. 1 (saturated), (fields,) like all the following.
            brightness: factor on the dry soil.
            residue: share of the soil under dead plant residue, 0..1; it darkens with the same moisture.
            flood: share of the ground under standing water, 0..1.
            shade: factor on soil and residue, see the function `shade`; single or (fields,).
        """
        moisture, residue, flood = moisture[:, None], residue[:, None], flood[:, None]
        # From the dry (dryness 1) to the saturated reflectance; residue darkens in the same way.
        dryness = np.exp(-self.rate * moisture)
        soil = (self.saturated + (1 - self.saturated) * dryness) * (self.dry * brightness[:, None])
        straw = self.wet_residue + (self.residue - self.wet_residue) * dryness
        ground = (soil + residue * (straw - soil)) * np.reshape(np.float32(shade), (-1, 1))
        return np.asarray(ground + flood * (self.water - ground))


def shade(sun_zenith: Angle, view_zenith: Angle, relative_azimuth: Angle) -> Angle:
    """Factor on rough soil for visible shadows, 1 at nadir with the sun at 45 degrees; angles in degrees.

    Roujean et al. 1992: the geometric kernel f1, shadows of randomly placed blocks on a plane.
    """
    ratio = constant("soil_roughness", "ratio")
    shadows = 1 + ratio * _roujean(sun_zenith, view_zenith, relative_azimuth)
    return np.clip(shadows / (1 + ratio * _roujean(45.0, 0.0, 0.0)), *SHADE_LIMITS)


def _roujean(sun_zenith: Angle, view_zenith: Angle, relative_azimuth: Angle) -> Angle:
    """The kernel f1: 0 with sun and view overhead, negative with visible shadows."""
    # `apart` is the horizontal distance between both directions per unit of height.
    sun, view = np.tan(np.radians(sun_zenith)), np.tan(np.radians(view_zenith))
    azimuth = np.radians(np.abs((np.asarray(relative_azimuth) + 180) % 360 - 180))
    apart = np.sqrt(np.maximum(sun**2 + view**2 - 2 * sun * view * np.cos(azimuth), 0))
    facing = (np.pi - azimuth) * np.cos(azimuth) + np.sin(azimuth)
    return np.asarray(facing * sun * view / (2 * np.pi) - (sun + view + apart) / np.pi)
