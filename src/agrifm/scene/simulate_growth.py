"""What grows on the simulated land, day by day, and what it reflects.

Leaf area follows a double logistic of the day, with dates and vigour of each field's own. A pixel is a linear mixture
of a few materials:

    green = 1 - exp(-0.5 leaf area), dry = (1 - green) (1 - exp(-0.5 dry matter)), the rest is background;
    reflectance(wavelength) = sum over materials of weight x spectrum(wavelength)

(the first is Beer's law with an extinction coefficient of 0.5, leaves at random angles). There is no view or sun
angle, no shade within the canopy and no row structure. Because the mixture is linear, the average of the weights
over a coarse pixel gives the average of the reflectance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from agrifm.scene.simulate_land import BANK, FOREST, ROAD, WATER, Land
from agrifm.season import day_number

Weights = NDArray[np.float32]
"""(material, rows, columns): how much of each material a pixel shows; soil and cloud also carry their brightness."""

WAVELENGTHS = (400, 450, 490, 550, 600, 670, 705, 740, 780, 865, 1240, 1610, 2200, 2400)
"""Nanometres at which the spectra are tabled; between them they are interpolated linearly."""
# Nominal shapes, chosen by hand after what spectral libraries show for such materials; not measured.
SPECTRA = {
    "soil": (0.07, 0.09, 0.11, 0.15, 0.18, 0.21, 0.22, 0.235, 0.25, 0.28, 0.34, 0.38, 0.33, 0.28),
    "dry": (0.06, 0.08, 0.10, 0.16, 0.21, 0.25, 0.28, 0.31, 0.34, 0.39, 0.46, 0.40, 0.28, 0.23),
    "light leaf": (0.03, 0.03, 0.035, 0.085, 0.05, 0.03, 0.12, 0.36, 0.47, 0.50, 0.46, 0.25, 0.11, 0.08),
    "dark leaf": (0.012, 0.015, 0.018, 0.045, 0.025, 0.017, 0.065, 0.23, 0.31, 0.345, 0.31, 0.15, 0.06, 0.04),
    "flower": (0.04, 0.04, 0.07, 0.29, 0.34, 0.31, 0.34, 0.43, 0.48, 0.50, 0.44, 0.24, 0.11, 0.08),
    "water": (0.04, 0.045, 0.045, 0.042, 0.03, 0.022, 0.02, 0.014, 0.012, 0.009, 0.004, 0.002, 0.001, 0.001),
    "built": (0.09, 0.10, 0.115, 0.135, 0.15, 0.16, 0.165, 0.17, 0.175, 0.18, 0.21, 0.23, 0.22, 0.20),
    "cloud": (0.72, 0.72, 0.71, 0.70, 0.70, 0.69, 0.69, 0.69, 0.69, 0.68, 0.62, 0.48, 0.32, 0.25),
}
MATERIALS = tuple(SPECTRA)
SOIL, DRY, LIGHT, DARK, FLOWER, WATERY, BUILT, CLOUD = range(len(MATERIALS))
EXTINCTION = 0.5


@dataclass(frozen=True)
class Calendar:
    """The middle of what fields of one cover do; days count from 1 January, leaf areas are m2 per m2."""

    peak: float
    """Leaf area at the height of the main crop."""
    rise: float
    """Day of fastest growth."""
    fall: float
    """Day of fastest senescence."""
    harvest: float
    """Days from `fall` to harvest; 0 = none."""
    winter: float
    """Leaf area before the main crop: of the crop itself in winter crops, of a cover crop in summer crops."""
    sowing: float = 0.0
    """Days from the end of the winter cover to `rise`."""
    spread: float = 8.0
    """Standard deviation of the days between fields."""
    canopy: float = 0.7
    """Brightness of the leaves: 1 = light leaf, 0 = dark leaf."""
    bloom: float = 0.0
    """Days from `rise` to the middle of the bloom."""
    yellow: float = 0.0
    """Share of the green cover that blooms."""
    slope: float = 8.0
    """Days of the logistic rise; the fall takes as many."""
    mown: bool = False


CALENDARS = {
    "wheat": Calendar(4.6, 86, 171, 25, winter=0.9, canopy=0.62, slope=9),
    "barley": Calendar(4.2, 74, 157, 24, winter=1.0, canopy=0.68, slope=9),
    "rapeseed": Calendar(4.2, 70, 166, 24, winter=1.4, canopy=0.72, bloom=40, yellow=0.5, slope=9),
    "maize": Calendar(4.3, 168, 258, 18, winter=0.7, sowing=55, canopy=0.66),
    "soybean": Calendar(4.4, 175, 248, 20, winter=0.6, sowing=50, canopy=0.85),
    "sunflower": Calendar(3.5, 165, 231, 24, winter=0.6, sowing=55, canopy=0.72, bloom=30, yellow=0.16),
    "grassland": Calendar(3.0, 82, 300, 0, winter=1.0, canopy=0.72, slope=14, mown=True),
    "fallow": Calendar(0.8, 120, 230, 0, winter=0.3, spread=30, slope=15),
    FOREST: Calendar(4.8, 108, 298, 0, winter=0.7, spread=4, canopy=0.12, slope=6),
    BANK: Calendar(2.2, 90, 270, 0, winter=0.9, spread=0, canopy=0.6, slope=15),
    WATER: Calendar(0, 0, 0, 0, winter=0, spread=0),
    ROAD: Calendar(0, 0, 0, 0, winter=0, spread=0),
}
"""Nominal calendars of central France, after common farming practice; chosen by hand."""
EMERGENCE = -45.0
"""Day around which winter cover emerges: mid November."""
MOWINGS = 3
REGROWTH = 16.0
"""Days in which a meadow makes good 63 % of what was mown."""
STUBBLE = 1.1
"""Dry matter left by harvest, in units of leaf area."""


@dataclass(frozen=True)
class Growth:
    """The parameters of every field; arrays (fields,) unless said otherwise, days since 1970-01-01."""

    peak: NDArray[np.float64]
    winter: NDArray[np.float64]
    winter_end: NDArray[np.float64]
    winter_end_slope: NDArray[np.float64]
    emergence: NDArray[np.float64]
    rise: NDArray[np.float64]
    fall: NDArray[np.float64]
    slope: NDArray[np.float64]
    harvest: NDArray[np.float64]
    """Infinite where nothing is harvested."""
    tillage: NDArray[np.float64]
    autumn: NDArray[np.float64]
    """Leaf area of volunteers or a cover crop after tillage."""
    mowing: NDArray[np.float64]
    """(fields, mowings); infinite where nothing is mown."""
    bloom: NDArray[np.float64]
    yellow: NDArray[np.float64]
    canopy: NDArray[np.float64]
    soil: NDArray[np.float64]
    """Brightness of the soil, 1 = the tabled spectrum."""

    @classmethod
    def draw(cls, covers: Sequence[str], seed: int, year: int) -> "Growth":
        """Parameters for fields with these covers, each around its calendar.

        Args:
            year: the calendars' days count from 1 January of this year; nothing grows on beyond one cycle.
        """
        rng = np.random.default_rng([seed, 2])
        size = len(covers)
        spread = np.array([CALENDARS[cover].spread for cover in covers])

        def nominal(name: str) -> NDArray[np.float64]:
            return np.array([getattr(CALENDARS[cover], name) for cover in covers], np.float64)

        def normal(deviation: float) -> NDArray[np.float64]:
            return deviation * np.where(spread > 0, rng.standard_normal(size), 0)

        first = day_number(date(year, 1, 1))
        # The whole field is early or late, and each of its dates a little for itself; one in ten is much later.
        shift = spread * (normal(0.9) + np.where(rng.random(size) < 0.1, rng.uniform(1, 2, size), 0))
        rise = first + nominal("rise") + shift + normal(3)
        fall = first + nominal("fall") + 0.8 * shift + normal(5)
        harvest = np.where(nominal("harvest") > 0, fall + nominal("harvest") + normal(4), np.inf)
        sowing = nominal("sowing")
        has_winter = (sowing == 0) | (rng.random(size) < 0.5)
        tillage = harvest + rng.gamma(2, 14, size)
        mowing = first + np.sort(rng.uniform(125, 285, (size, MOWINGS)), axis=1)
        mown = np.array([CALENDARS[cover].mown for cover in covers])
        return cls(
            peak=nominal("peak") * np.exp(normal(0.22)) * np.where(nominal("spread") >= 30, rng.gamma(1, 1, size), 1),
            winter=nominal("winter") * has_winter * np.exp(normal(0.35)),
            winter_end=np.where(sowing > 0, rise - sowing + normal(4), rise),
            winter_end_slope=np.where(sowing > 0, 2, nominal("slope")),
            emergence=first + EMERGENCE + normal(10),
            rise=rise,
            fall=fall,
            slope=nominal("slope") * np.exp(normal(0.1)),
            harvest=harvest,
            tillage=tillage,
            autumn=np.where(rng.random(size) < 0.6, rng.gamma(2, 0.6, size), 0.1),
            mowing=np.where(mown[:, None], mowing, np.inf),
            bloom=rise + nominal("bloom") + normal(3),
            yellow=np.clip(nominal("yellow") * np.exp(normal(0.2)), 0, 0.8),
            canopy=np.clip(nominal("canopy") + normal(0.09), 0, 1),
            soil=np.exp(normal(0.16)),
        )

    def leaf_area(self, day: float) -> NDArray[np.float64]:
        """Green leaf area of each field on a day (days since 1970-01-01), m2 per m2."""
        emerged = _step(day - self.emergence, 10)
        winter = self.winter * emerged * (1 - _step(day - self.winter_end, self.winter_end_slope))
        main = self.peak * _step(day - self.rise, self.slope) * (1 - _step(day - self.fall, self.slope))
        since = np.maximum(day - self.mowing, 0)
        cut = np.where(day >= self.mowing, 0.75 * np.exp(-since / REGROWTH), 0)
        growing = np.where(day < self.harvest, winter + main, 0) * np.prod(1 - cut, axis=1)
        cover_crop = np.where(np.isfinite(self.tillage), self.autumn * _step(day - self.tillage - 25, 6), 0)
        return np.asarray(growing + cover_crop)

    def dry_matter(self, day: float) -> NDArray[np.float64]:
        """Senescent leaves before harvest, stubble from harvest to tillage, in units of leaf area."""
        faded = 0.7 * self.peak * _step(day - self.rise, self.slope) * _step(day - self.fall, self.slope)
        stubble = np.where(day < self.tillage, STUBBLE * np.exp(-np.maximum(day - self.harvest, 0) / 60), 0.15)
        return np.asarray(np.where(day < self.harvest, faded, stubble))

    def blooming(self, day: float) -> NDArray[np.float64]:
        """Share of the green cover in flower; half of the bloom lasts about three weeks."""
        return np.asarray(self.yellow * np.exp(-0.5 * ((day - self.bloom) / 9) ** 2))


def _step(days: NDArray[np.float64], slope: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Logistic function of days / slope."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * days / slope))


@dataclass(frozen=True)
class Ground:
    """The land with all that does not change from day to day."""

    land: Land
    growth: Growth
    vigour: NDArray[np.float32]
    """Factor on the leaf area of each pixel: variation within fields."""
    brightness: NDArray[np.float32]
    """Factor on the soil of each pixel."""
    seed: int

    @classmethod
    def draw(cls, land: Land, seed: int, year: int) -> "Ground":
        """The ground of a land, with the variation within fields."""
        rng = np.random.default_rng([seed, 3])
        rows, cols = land.grid.shape
        vigour = np.exp(0.16 * smooth_noise(rng, rows, cols, 6) + 0.05 * smooth_noise(rng, rows, cols, 1))
        soil = 1 + 0.07 * smooth_noise(rng, rows, cols, 10) + 0.02 * smooth_noise(rng, rows, cols, 1)
        return cls(land, Growth.draw(land.covers, seed, year), vigour, soil, seed)

    def weights(self, day: int) -> Weights:
        """Materials of every pixel under a clear sky on a day (days since 1970-01-01); no cloud in them."""
        growth, field = self.growth, self.land.field
        leaves = growth.leaf_area(day).astype(np.float32)[field] * self.vigour
        green = 1 - np.exp(-EXTINCTION * leaves)
        dry = (1 - green) * (1 - np.exp(-EXTINCTION * growth.dry_matter(day))).astype(np.float32)[field]
        bare = 1 - green - dry
        flower = growth.blooming(day).astype(np.float32)[field] * green
        canopy = growth.canopy.astype(np.float32)[field]
        wet_soil = (growth.soil * soil_darkening(self.seed, day)).astype(np.float32)[field] * self.brightness
        water, road = (field == self.land.covers.index(cover) for cover in (WATER, ROAD))
        weights = np.zeros((len(MATERIALS), *field.shape), np.float32)
        weights[SOIL] = np.where(water | road, 0, bare * wet_soil)
        weights[DRY] = np.where(water | road, 0, dry)
        weights[LIGHT] = (green - flower) * canopy
        weights[DARK] = (green - flower) * (1 - canopy)
        weights[FLOWER] = flower
        weights[WATERY], weights[BUILT] = water, road
        return weights

    def reflectance(self, day: int, wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Surface reflectance of the 10 m ground under a clear sky, (wavelengths, rows, columns)."""
        return mix(self.weights(day), wavelengths)


def mix(weights: Weights, wavelengths: Sequence[float]) -> NDArray[np.float32]:
    """Reflectance at wavelengths in nm, (wavelengths, rows, columns), of weights (material, rows, columns)."""
    spectra = np.array([np.interp(wavelengths, WAVELENGTHS, SPECTRA[name]) for name in MATERIALS], np.float32)
    return np.tensordot(spectra.T, weights, axes=1)


def soil_darkening(seed: int, day: int) -> float:
    """Factor 0.7 (soaked) to 1 (dry) on the soil of the whole area: rain of this day and of the ten before it."""
    wet = 0.0
    for ago in range(11):
        rng = np.random.default_rng([seed, 4, day - ago])
        rain = rng.gamma(1.0, 0.6) if rng.random() < 0.3 else 0.0
        wet += rain * np.exp(-ago / 3)
    return float(1 - 0.3 * min(1.0, wet))


def smooth_noise(rng: np.random.Generator, rows: int, cols: int, scale: float) -> NDArray[np.float32]:
    """Normal noise of mean 0 and deviation 1 that varies over about `scale` pixels (and repeats at the edges)."""
    white = np.fft.rfft2(rng.standard_normal((rows, cols)))
    ky, kx = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)[None]
    noise = np.fft.irfft2(white * np.exp(-2 * (np.pi * scale / 2) ** 2 * (kx**2 + ky**2)), s=(rows, cols))
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)
