"""Reflectance of the ground: dry soil, darkened by moisture, under residue and standing water.

Moisture darkens soil exponentially from its dry to its saturated reflectance (Lobell and Asner 2002), more in the short
wave infrared, where water itself absorbs. All parts of the ground lie side by side and reflect evenly to all sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.scene.simulator.coefficients import spectrum

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class SoilOptics:
    """Spectra of the ground's parts at some wavelengths; every array (wavelengths,), float32."""

    dry: Numbers
    saturated: Numbers
    """Reflectance of the saturated soil as a share of the dry one's."""
    rate: Numbers
    """Of the exponential fall, per unit of moisture."""
    residue: Numbers
    wet_residue: Numbers
    water: Numbers

    @classmethod
    def at(cls, wavelengths: Sequence[float]) -> "SoilOptics":
        """For wavelengths in nm."""
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

    def reflectance(self, moisture: Numbers, brightness: Numbers, residue: Numbers, flood: Numbers) -> Numbers:
        """Reflectance of the ground, (fields, wavelengths).

        Args:
            moisture: of the surface, 0 (air-dry) .. 1 (saturated), (fields,) as all that follow.
            brightness: factor on the dry soil.
            residue: share of the soil under dead plant residue, 0..1; it darkens with the same moisture.
            flood: share of the ground under standing water, 0..1.
        """
        moisture, residue, flood = moisture[:, None], residue[:, None], flood[:, None]
        dryness = np.exp(-self.rate * moisture)
        soil = (self.saturated + (1 - self.saturated) * dryness) * (self.dry * brightness[:, None])
        straw = self.wet_residue + (self.residue - self.wet_residue) * dryness
        ground = soil + residue * (straw - soil)
        return np.asarray(ground + flood * (self.water - ground))
