"""Reflectance and transmittance of single leaves: the plate model PROSPECT (Jacquemoud and Baret 1990).

A leaf is a pile of N plates of a rough, absorbing material. Light enters the first plate within a cone, and the others
from all directions. The transmission of a plate follows from its refractive index and its absorption (Allen et al.
1969); N plates follow from one by the equations of Stokes (1862), which also hold for fractions of a plate. The ratio
of carotenoids to chlorophyll is fixed. Absorption and refraction are those of PROSPECT-D (Feret et al. 2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import exp1

from agrifm.simulator.optics.coefficients import constant, spectrum

Numbers = NDArray[np.float32]

TABLE_END = 14.0
"""Absorption of a plate above which it is opaque."""
TABLE_SIZE = 8192
"""Entries of the table of transmissions."""


@dataclass(frozen=True)
class LeafOptics:
    """Coefficients of PROSPECT at some wavelengths; float32 arrays (wavelengths,) except the first."""

    absorption: Numbers
    """Specific absorption of chlorophyll (with its carotenoids), water, dry matter and brown, (4, wavelengths)."""
    cone_in: Numbers
    """Transmission of a surface for light from the cone."""
    everywhere_in: Numbers
    """Transmission of a surface for light from all directions."""
    everywhere_out: Numbers
    """Transmission of a surface for light from inside."""

    @classmethod
    def at(cls, wavelengths: Sequence[float]) -> "LeafOptics":
        """The coefficients at wavelengths in nm."""
        chlorophyll, carotenoids, *others = (
            spectrum("leaf", name, wavelengths)
            for name in ("chlorophyll", "carotenoid", "water", "dry_matter", "brown")
        )
        chlorophyll = chlorophyll + constant("leaf_constants", "carotenoids") * carotenoids
        refraction = spectrum("leaf", "refraction", wavelengths)
        everywhere = surface_transmission(90.0, refraction)
        return cls(
            np.stack([chlorophyll, *others]).astype(np.float32),
            surface_transmission(constant("leaf_constants", "cone"), refraction).astype(np.float32),
            everywhere.astype(np.float32),
            (everywhere / refraction**2).astype(np.float32),
        )

    def scattering(
        self,
        chlorophyll: Numbers,
        water: Numbers,
        dry_matter: Numbers,
        structure: Numbers,
        brown: float = 0.0,
    ) -> tuple[Numbers, Numbers]:
        """Reflectance and transmittance of leaves, both (leaves, wavelengths).

        Args:
            chlorophyll: micrograms per cm2, (leaves,) like all the following.
            water: equivalent thickness, cm.
            dry_matter: g per cm2.
            structure: number of plates N, at least 1.
            brown: brown pigment, arbitrary units, 0 (none) .. 1 and more.
        """
        contents = (chlorophyll, water, dry_matter, np.full_like(chlorophyll, brown))
        # Term by term: a matrix product would round a leaf differently in another batch of leaves.
        terms = [
            (amount / structure)[:, None] * absorbed for amount, absorbed in zip(contents, self.absorption, strict=True)
        ]
        observed_through = plate_transmission(terms[0] + terms[1] + terms[2] + terms[3])
        back, inside = 1 - self.everywhere_in, 1 - self.everywhere_out
        # One plate, lit from the cone (first) or from all directions (the others): Allen et al. 1969.
        passed = self.everywhere_out * observed_through / (1 - (inside * observed_through) ** 2)
        first_through = self.cone_in * passed
        first_back = (1 - self.cone_in) + inside * observed_through * first_through
        plate_through = self.everywhere_in * passed
        plate_back = back + inside * observed_through * plate_through
        # The first plate on top of the pile of the others; light is reflected back and forth between them.
        rest_back, rest_through = _pile(plate_back, plate_through, structure[:, None] - 1)
        between = 1 - rest_back * plate_back
        transmittance = first_through * rest_through / between
        reflectance = first_back + first_through * rest_back * plate_through / between
        return reflectance, transmittance


def _pile(reflectance: Numbers, transmittance: Numbers, plates: Numbers) -> tuple[Numbers, Numbers]:
    """Reflectance and transmittance of a pile of equal plates, for any number >= 0 of plates: Stokes 1862."""
    transmittance = np.maximum(transmittance, np.float32(1e-6))
    squares = reflectance**2 - transmittance**2
    total = reflectance + transmittance
    # This is 0 without absorption, where Stokes' equations are singular; the lower bound avoids the singularity.
    lost = (1 - total) * (1 + total) * (1 + reflectance - transmittance) * (1 - reflectance + transmittance)
    root = np.sqrt(np.maximum(lost, np.float32(1e-8)))
    a = (1 + squares + root) / (2 * reflectance)
    b = (1 - squares + root) / (2 * transmittance)
    power = b**plates
    scale = a * power - 1 / (a * power)
    return (power - 1 / power) / scale, (a - 1 / a) / scale


def surface_transmission(angle: float, refraction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transmission of a plane surface for unpolarised light from a cone: the mean of Fresnel's formulas.

    Stern (1964) and Allen (1973) give closed forms; here Fresnel's formulas are integrated numerically.

    Args:
        angle: half width of the cone, degrees.
        refraction: refractive indices of the material, (wavelengths,).
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    # Light from a cone is uniform in the squared sine of the angle of incidence; v concentrates the nodes near grazing.
    top = np.sin(np.radians(angle)) ** 2
    v = 0.5 * (nodes + 1)
    squared_sine = top * (1 - (1 - v) ** 2)
    share = weights * (1 - v)
    outside = np.sqrt(1 - squared_sine)[:, None]
    within = np.sqrt(1 - squared_sine[:, None] / refraction**2)
    across = (outside - refraction * within) / (outside + refraction * within)
    along = (refraction * outside - within) / (refraction * outside + within)
    return np.asarray(share @ (1 - 0.5 * (across**2 + along**2)))


def plate_transmission(absorption: Numbers) -> Numbers:
    """Transmission of a plate for diffuse light, (1 - k) exp(-k) + k^2 E1(k), interpolated in a table."""
    value, step = _transmission_table()
    position = np.sqrt(absorption) * np.float32((TABLE_SIZE - 1) / np.sqrt(TABLE_END))
    position = np.minimum(position, np.float32(TABLE_SIZE - 2))
    index = position.astype(np.int32)
    return np.asarray(value[index] + step[index] * (position - index), np.float32)


@lru_cache(maxsize=1)
def _transmission_table() -> tuple[Numbers, Numbers]:
    """The transmission at even steps of the square root of the absorption, and the difference to the next step."""
    k = np.linspace(0, np.sqrt(TABLE_END), TABLE_SIZE) ** 2
    k[0] = 1e-12
    value = (1 - k) * np.exp(-k) + k**2 * exp1(k)
    return value.astype(np.float32), np.append(np.diff(value), 0).astype(np.float32)
