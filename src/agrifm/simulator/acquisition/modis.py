"""What MODIS sees: for each pixel of its sinusoidal grid the best of eight days, as MOD09A1 delivers it.

Terra passes every place once or twice a day, mostly far from the vertical. Each day is seen whole; of the eight, a
pixel shows the one with the least cloud, then the steepest view. Pixels do not grow with the view angle here.
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
"""Metres of ground that must be known beyond the pixels' centres."""
SKY_STEP = 150.0
"""Metres between the points at which the sky is drawn."""
BANDS = SENSORS["modis"].bands
RELATIVE_NOISE, ABSOLUTE_NOISE = 0.02, 0.003
"""Deviation of a pixel's noise, which is also that of its true place and of the correction's coarse tables."""
MASK_ERROR = 0.12
"""Deviation of the share of cloud that the mask sees in a pixel."""
VIEW_ANGLE_WEIGHT = 0.3
"""How much share of cloud a view from 65 degrees off the vertical is worth when days are chosen."""


@dataclass(frozen=True)
class SinusoidalGrid:
    """MODIS pixels whose centres lie in a window of the ground, and what each sees."""

    transform: Affine
    shape: tuple[int, int]
    """Rows and columns of the smallest rectangle of pixels around them."""
    place: NDArray[np.intp]
    """(pixels,) row-major places in the rectangle; its other pixels are fill."""
    footprint: csr_matrix
    sky: csr_matrix
    """(pixels, points of the lattice): what share of the pixel each point stands for."""
    lattice: Lattice

    @classmethod
    def over(cls, cells: GroundPixels, window: Grid) -> "SinusoidalGrid":
        """The pixels with their centres in a UTM window; the ground must reach `MODIS_REACH` beyond it."""
        left, bottom, right, top = window.bounds
        to_sinusoidal = Transformer.from_crs(str(window.crs), SINUSOIDAL, always_xy=True)
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
        place = (row - first_row) * shape[1] + column - first_column
        transform = Affine(
            MODIS_PIXEL,
            0,
            MODIS_CORNER[0] + first_column * MODIS_PIXEL,
            0,
            -MODIS_PIXEL,
            MODIS_CORNER[1] - first_row * MODIS_PIXEL,
        )
        lattice = Lattice.around(_padded(window), SKY_STEP)
        spread = footprint_matrix(cells, x, y, whiskbroom_spread(MODIS_PIXEL))
        return cls(transform, shape, place, spread, _points_in(lattice, x, y), lattice)


@dataclass(frozen=True)
class ModisComposite:
    """The best day of a period for each MODIS pixel; arrays (pixels,) but for `reflectance`."""

    reflectance: Plane
    """(bands in the sensor's order, pixels)."""
    day: NDArray[np.int64]
    """Day that was chosen, since 1970-01-01."""
    cloud: Plane
    """Share of the pixel that the mask calls cloudy on that day."""
    shadow: Plane
    cirrus: Plane
    """Reflectance that thin cirrus adds."""
    haze: Plane
    """Reflectance that the correction of haze left in blue."""
    angles: NDArray[np.float32]
    """(3, pixels): zenith of the sun, of the view, and the azimuth between them, degrees."""


def modis_composite(
    ground: Ground, own: SinusoidalGrid, climate: SkyClimate, seed: int, first: int, overpass: list[Overpass]
) -> ModisComposite:
    """The composite of a period from its passes.

    Args:
        first: first day of the period.
        taken: passes of the period; of several on a day the steepest counts.
    """
    steepest = {one.day: one for one in sorted(overpass, key=lambda one: -one.view_zenith)}
    days = [steepest[day] for day in range(first, first + COMPOSITE_DAYS) if day in steepest]
    skies = [sky_at(climate, seed, one, own.lattice.x[None], own.lattice.y[:, None]) for one in days]
    column, row = own.place % own.shape[1], own.place // own.shape[1]
    chance = [round(own.transform.f / MODIS_PIXEL) - row, round(own.transform.c / MODIS_PIXEL) + column]

    def share(plane: Plane) -> Plane:
        return np.asarray(own.sky @ plane.ravel())

    error = MASK_ERROR * np.stack([normal(seed, "mask of MODIS", one.day, *chance) for one in days])
    cloud = np.stack([share(np.clip(sky.cloud, 0, 1)) for sky in skies])
    found = np.where(cloud > 0, np.clip(cloud + error, 0, 1), 0).astype(np.float32)
    shadow = np.stack([share(np.clip(sky.shadow, 0, 1)) for sky in skies])
    cirrus, haze = (np.stack([share(getattr(sky, name)) for sky in skies]) for name in ("cirrus", "haze"))
    slant = np.array([one.view_zenith for one in days])[:, None] / 65
    best = np.argmin(found + 0.5 * shadow + 5 * cirrus + VIEW_ANGLE_WEIGHT * slant + 0.01 * error, axis=0)

    reflectance = np.empty((len(BANDS), len(own.place)), np.float32)
    for number, one in enumerate(days):
        here = np.flatnonzero(best == number)
        if here.size:
            clear = own.footprint[here] @ ground.nodes(one.day, BANDS, one.geometry)
            reflectance[:, here] = _under(skies[number], own.sky[here], clear.T)
    noise = normal(seed, "noise of MODIS", first, np.arange(len(BANDS))[:, None], *chance).astype(np.float32)
    reflectance += noise * (np.float32(RELATIVE_NOISE) * reflectance + np.float32(ABSOLUTE_NOISE))
    angles = np.array([[one.sun_zenith, one.view_zenith, one.relative_azimuth] for one in days], np.float32)
    chosen = best[None]
    cloud, shadow, cirrus, haze = (np.take_along_axis(all_, chosen, 0)[0] for all_ in (found, shadow, cirrus, haze))
    return ModisComposite(
        reflectance, np.array([one.day for one in days])[best], cloud, shadow, cirrus, haze, angles[best].T
    )


def _under(sky: Sky, points: csr_matrix, clear: Plane) -> Plane:
    """Reflectance (bands, pixels) under a sky that differs within pixels; what it does is linear in the reflectance."""
    shape = (len(BANDS), *sky.cloud.shape)
    wavelengths = [band.wavelength for band in BANDS]
    added = observed_through(sky, np.zeros(shape, np.float32), wavelengths).reshape(len(BANDS), -1)
    whole = observed_through(sky, np.ones(shape, np.float32), wavelengths).reshape(len(BANDS), -1)
    added, whole = ((points @ planes.T).T for planes in (added, whole))
    return np.asarray(added + (whole - added) * clear)


def _points_in(lattice: Lattice, x: NDArray[np.float64], y: NDArray[np.float64]) -> csr_matrix:
    """How much each point of the lattice counts for each pixel: the pixel's point spread, coarsely."""
    across = np.clip(1 - np.abs(lattice.x[None] - x[:, None]) / MODIS_PIXEL, 0, None)
    along = (np.abs(lattice.y[None] - y[:, None]) <= MODIS_PIXEL / 2).astype(np.float64)
    weights = (along[:, :, None] * across[:, None, :]).reshape(len(x), -1)
    return csr_matrix((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def _padded(window: Grid) -> Grid:
    extra = int(np.ceil(MODIS_REACH / window.resolution))
    corner = window.transform * Affine.translation(-extra, -extra)
    return Grid.of(str(window.crs), corner, (window.shape[0] + 2 * extra, window.shape[1] + 2 * extra))
