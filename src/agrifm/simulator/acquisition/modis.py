"""MOD09A1 composites: for each pixel of the sinusoidal MODIS grid, the best of eight days.

Terra passes every point once or twice a day, mostly with a large view angle. Of the eight days, a pixel shows the one
with the least cloud, shadow and cirrus and the smallest view angle. Real pixels grow with the view angle; here they do
not.
"""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.sparse import csr_matrix

from agrifm.grid import Grid
from agrifm.sensors import SENSORS
from agrifm.simulator.acquisition.orbits import COMPOSITE_DAYS, Overpass
from agrifm.simulator.acquisition.sky import Sky, SkyClimate, observed_through, sky_at
from agrifm.simulator.footprint import GroundPixels, Lattice, footprint_matrix, whiskbroom_spread
from agrifm.simulator.keyed_random import normal
from agrifm.simulator.optics.ground import Ground

Plane = NDArray[np.float32]

SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
"""CRS of the MODIS land products: a sphere of 6371007.181 m."""
MODIS_PIXEL = 463.312716527917
MODIS_CORNER = (-20015109.354, 10007554.677)
"""Upper left corner of the global sinusoidal grid, metres."""
MODIS_REACH = 480.0
"""Metres of ground needed beyond the centres of the pixels."""
SKY_STEP = 150.0
"""Metres between the points at which the sky is computed."""
BANDS = SENSORS["modis"].bands
RELATIVE_NOISE, ABSOLUTE_NOISE = 0.02, 0.003
"""Standard deviation of a pixel's noise, which includes geolocation and the coarse tables of the correction."""
MASK_ERROR = 0.12
"""Standard deviation of the error of the masked cloud share of a pixel."""
VIEW_ANGLE_WEIGHT = 0.3
"""Cloud share that counts as much as a view zenith angle of 65 degrees when the best day is chosen."""


@dataclass(frozen=True)
class SinusoidalGrid:
    """MODIS pixels with their centres in a window of the ground, and their footprints."""

    transform: Affine
    shape: tuple[int, int]
    """Rows and columns of the bounding rectangle of pixels."""
    index: NDArray[np.intp]
    """(pixels,) row-major indices in the rectangle; its other pixels are fill."""
    footprint: csr_matrix
    sky: csr_matrix
    """(pixels, points of the lattice) weight of each point of the sky in each pixel."""
    lattice: Lattice

    @classmethod
    def over(cls, ground_pixels: GroundPixels, window: Grid) -> "SinusoidalGrid":
        """The pixels with their centres in a UTM window; the ground must extend `MODIS_REACH` beyond it."""
        left, bottom, right, top = window.bounds
        to_sinusoidal = Transformer.from_crs(str(window.crs), SINUSOIDAL, always_xy=True)
        # The window in sinusoidal coordinates: nine by nine points, because its edges are curved there.
        edge = np.linspace(0, 1, 9)
        x, y = np.meshgrid(left + edge * (right - left), bottom + edge * (top - bottom))
        x, y = to_sinusoidal.transform(x.ravel(), y.ravel())
        columns = np.arange(*(int(np.floor((end - MODIS_CORNER[0]) / MODIS_PIXEL)) for end in (x.min(), x.max())))
        rows = np.arange(*(int(np.floor((MODIS_CORNER[1] - end) / MODIS_PIXEL)) for end in (y.max(), y.min())))
        columns, rows = np.append(columns, columns[-1:] + 1), np.append(rows, rows[-1:] + 1)
        column, row = (part.ravel() for part in np.meshgrid(columns, rows))
        x, y = to_sinusoidal.transform(
            MODIS_CORNER[0] + (column + 0.5) * MODIS_PIXEL,
            MODIS_CORNER[1] - (row + 0.5) * MODIS_PIXEL,
            direction="INVERSE",
        )
        inside = (x >= left) & (x < right) & (y > bottom) & (y <= top)
        row, column, x, y = row[inside], column[inside], x[inside], y[inside]
        first_row, first_column = int(row.min()), int(column.min())
        shape = (int(np.ptp(row)) + 1, int(np.ptp(column)) + 1)
        index = (row - first_row) * shape[1] + column - first_column
        transform = Affine(
            MODIS_PIXEL,
            0,
            MODIS_CORNER[0] + first_column * MODIS_PIXEL,
            0,
            -MODIS_PIXEL,
            MODIS_CORNER[1] - first_row * MODIS_PIXEL,
        )
        lattice = Lattice.around(_padded(window), SKY_STEP)
        spread = footprint_matrix(ground_pixels, x, y, whiskbroom_spread(MODIS_PIXEL))
        return cls(transform, shape, index, spread, _sky_weights(lattice, x, y), lattice)


@dataclass(frozen=True)
class ModisComposite:
    """The best day of a period for each MODIS pixel; arrays (pixels,) but for `reflectance`."""

    reflectance: Plane
    """(bands in the sensor's order, pixels)."""
    day: NDArray[np.int64]
    """Chosen day, since 1970-01-01."""
    cloud: Plane
    """Share of the pixel that is masked as cloudy on that day."""
    shadow: Plane
    cirrus: Plane
    """Reflectance added by thin cirrus."""
    haze: Plane
    """Residual haze reflectance in blue."""
    angles: NDArray[np.float32]
    """(3, pixels): zenith of the sun, of the view, and the azimuth between them, degrees."""


def modis_composite(
    ground: Ground, pixels: SinusoidalGrid, climate: SkyClimate, seed: int, first: int, overpasses: list[Overpass]
) -> ModisComposite:
    """The composite of a period from its overpasses.

    Args:
        first: first day of the period.
        overpasses: of the period; of several on a day the one with the smallest view angle is used.
    """
    of_day = {overpass.day: overpass for overpass in sorted(overpasses, key=lambda overpass: -overpass.view_zenith)}
    days = [of_day[day] for day in range(first, first + COMPOSITE_DAYS) if day in of_day]
    skies = [sky_at(climate, seed, overpass, pixels.lattice.x[None], pixels.lattice.y[:, None]) for overpass in days]
    # Row and column in the global grid: a pixel has the same random numbers in every window.
    column, row = pixels.index % pixels.shape[1], pixels.index // pixels.shape[1]
    keys = [round(pixels.transform.f / MODIS_PIXEL) - row, round(pixels.transform.c / MODIS_PIXEL) + column]

    def pixel_means(planes: list[Plane]) -> Plane:
        return np.stack([np.asarray(pixels.sky @ plane.ravel()) for plane in planes])

    # Choose the day by masked cloud, shadow, cirrus and view angle; a little noise decides between equal days.
    error = MASK_ERROR * np.stack([normal(seed, "mask of MODIS", overpass.day, *keys) for overpass in days])
    cloud = pixel_means([np.clip(sky.cloud, 0, 1) for sky in skies])
    cloud = np.where(cloud > 0, np.clip(cloud + error, 0, 1), 0).astype(np.float32)
    shadow = pixel_means([np.clip(sky.shadow, 0, 1) for sky in skies])
    cirrus, haze = (pixel_means([getattr(sky, name) for sky in skies]) for name in ("cirrus", "haze"))
    slant = np.array([overpass.view_zenith for overpass in days])[:, None] / 65
    best = np.argmin(cloud + 0.5 * shadow + 5 * cirrus + VIEW_ANGLE_WEIGHT * slant + 0.01 * error, axis=0)

    # Reflectance is computed only for the pixels that show a day.
    reflectance = np.empty((len(BANDS), len(pixels.index)), np.float32)
    for index, overpass in enumerate(days):
        shown = np.flatnonzero(best == index)
        if shown.size:
            clear = pixels.footprint[shown] @ ground.nodes(overpass.day, BANDS, overpass.geometry)
            reflectance[:, shown] = _under(skies[index], pixels.sky[shown], clear.T)
    noise = normal(seed, "noise of MODIS", first, np.arange(len(BANDS))[:, None], *keys).astype(np.float32)
    reflectance += noise * (np.float32(RELATIVE_NOISE) * reflectance + np.float32(ABSOLUTE_NOISE))
    angles = np.array([[day.sun_zenith, day.view_zenith, day.relative_azimuth] for day in days], np.float32)
    cloud, shadow, cirrus, haze = (np.take_along_axis(a, best[None], 0)[0] for a in (cloud, shadow, cirrus, haze))
    chosen = np.array([day.day for day in days])[best]
    return ModisComposite(reflectance, chosen, cloud, shadow, cirrus, haze, angles[best].T)


def _under(sky: Sky, points: csr_matrix, clear: Plane) -> Plane:
    """Reflectance (bands, pixels) under a sky that varies within pixels.

    The effect of the sky is linear in the reflectance, so its mean over a pixel follows from black and white ground.
    """
    shape = (len(BANDS), *sky.cloud.shape)
    wavelengths = [band.wavelength for band in BANDS]
    dark = observed_through(sky, np.zeros(shape, np.float32), wavelengths).reshape(len(BANDS), -1)
    bright = observed_through(sky, np.ones(shape, np.float32), wavelengths).reshape(len(BANDS), -1)
    dark, bright = ((points @ planes.T).T for planes in (dark, bright))
    return np.asarray(dark + (bright - dark) * clear)


def _sky_weights(lattice: Lattice, x: NDArray[np.float64], y: NDArray[np.float64]) -> csr_matrix:
    """Weight of each point of the lattice in each pixel: the pixel's point spread, coarsely sampled."""
    across = np.clip(1 - np.abs(lattice.x[None] - x[:, None]) / MODIS_PIXEL, 0, None)
    along = (np.abs(lattice.y[None] - y[:, None]) <= MODIS_PIXEL / 2).astype(np.float64)
    weights = (along[:, :, None] * across[:, None, :]).reshape(len(x), -1)
    return csr_matrix((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def _padded(window: Grid) -> Grid:
    extra = int(np.ceil(MODIS_REACH / window.resolution))
    corner = window.transform * Affine.translation(-extra, -extra)
    return Grid.of(str(window.crs), corner, (window.shape[0] + 2 * extra, window.shape[1] + 2 * extra))
