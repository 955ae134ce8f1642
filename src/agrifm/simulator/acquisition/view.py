"""What Sentinel-2 and Landsat see of the ground in one pass: images in reflectance, before they are encoded.

From the nodes' reflectance to the image: the footprint, light from the surroundings that the air scatters into the
view, a shift of a part of a pixel, the sky, a gain of the scene, and noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from agrifm.grid import Grid
from agrifm.sensors import SENSORS, Band
from agrifm.simulator.acquisition.orbits import Overpass
from agrifm.simulator.acquisition.sky import Sky, SkyClimate, observed_through, sky_at
from agrifm.simulator.footprint import (
    GroundPixels,
    Lattice,
    PointSpread,
    footprint_matrix,
    gaussian_spread,
    whiskbroom_spread,
)
from agrifm.simulator.keyed_random import normal, uniform
from agrifm.simulator.optics.ground import Ground

Plane = NDArray[np.float32]

# Sentinel-2: modulation transfer of 0.15 to 0.35 at the Nyquist frequency (ESA, MSI performance reports), Landsat: 0.3
# to 0.4 (Storey et al., 2014); as Gaussians, with the cubic resampling of both: 12.5, 23 and 32 m. Recalled.
POINT_SPREAD = {("sentinel-2", 10): 12.5, ("sentinel-2", 20): 23.0, ("landsat", 30): 32.0}
"""Sensor and pixel size -> full width at half maximum of its point spread, metres."""
SHIFT = {"sentinel-2": 2.5, "landsat": 4.0}
"""Deviation of a scene's position along each axis, metres: about a quarter and an eighth of a pixel."""
RELATIVE_NOISE, ABSOLUTE_NOISE = 0.008, 0.0012
"""Deviation of the noise of a pixel: relative to its reflectance, and of reflectance."""
SCENE_GAIN = 0.012
"""Deviation of the gain of a band in one scene: calibration, and the part of the correction that is not haze."""
SURROUNDINGS = 400.0
"""Metres over which the air mixes the light of neighbours, full width at half maximum of a pyramid."""
ADJACENCY, ADJACENCY_EXPONENT = 0.045, -1.2
"""Share of a pixel's light at 490 nm that is its surroundings', and exponent of its power law of the wavelength."""
SKY_STEP = 60.0
"""Metres between the points at which the sky is drawn."""
REACH = 2 * SURROUNDINGS
"""Metres of ground that must be known beyond the pixels."""

_LEVELS = 1 << 13
_NORMAL = normal(0, "table of noise", np.arange(_LEVELS))
_NORMAL = np.asarray((_NORMAL - _NORMAL.mean()) / _NORMAL.std(), np.float32)


@dataclass(frozen=True)
class Camera:
    """The pixels on which some bands of a sensor are delivered over a window."""

    sensor: str
    bands: tuple[Band, ...]
    grid: Grid
    footprint: csr_matrix
    """Of the grid and one pixel around it, row by row."""

    @classmethod
    def over(cls, cells: GroundPixels, sensor: str, size: int, grid: Grid) -> "Camera":
        """The bands of a sensor that come in pixels of a size (metres) on a grid of such pixels."""
        bands = tuple(
            band for band in SENSORS[sensor].bands if sensor == "landsat" or band.ground_sampling_distance == size
        )
        wide = _wider(grid)
        x, y = np.meshgrid(wide.x, wide.y)
        spread = gaussian_spread(POINT_SPREAD[sensor, size])
        return cls(sensor, bands, grid, footprint_matrix(cells, x.ravel(), y.ravel(), spread))


@dataclass(frozen=True)
class Surroundings:
    """Mean reflectance around every point of a lattice."""

    lattice: Lattice
    footprint: csr_matrix

    @classmethod
    def over(cls, cells: GroundPixels, grid: Grid) -> "Surroundings":
        """For the pixels of a grid; the ground must reach `REACH` beyond them."""
        lattice = Lattice.around(grid, SURROUNDINGS)
        x, y = np.meshgrid(lattice.x, lattice.y)
        pyramid = PointSpread(
            whiskbroom_spread(SURROUNDINGS).across, whiskbroom_spread(SURROUNDINGS).across, SURROUNDINGS
        )
        return cls(lattice, footprint_matrix(cells, x.ravel(), y.ravel(), pyramid))


@dataclass(frozen=True)
class View:
    """One pass on one grid."""

    camera: Camera
    reflectance: NDArray[np.float32]
    """(bands of the camera, rows, columns)."""
    sky: Sky


def views(
    ground: Ground, cameras: Sequence[Camera], around: Surroundings, climate: SkyClimate, seed: int, overpass: Overpass
) -> list[View]:
    """What one pass shows on each camera's grid."""
    bands = [band for camera in cameras for band in camera.bands]
    nodes = ground.nodes(overpass.day, bands, overpass.geometry)
    seen, first = [], 0
    for camera in cameras:
        own = np.ascontiguousarray(nodes[:, first : first + len(camera.bands)])
        first += len(camera.bands)
        sky = _sky_over(climate, seed, overpass, camera.grid)
        planes = observed_through(
            sky, _image(camera, around, own, seed, overpass), [band.wavelength for band in camera.bands]
        )
        seen.append(View(camera, _recorded(planes, camera, seed, overpass), sky))
    return seen


def _image(camera: Camera, around: Surroundings, nodes: Plane, seed: int, overpass: Overpass) -> Plane:
    """Clean reflectance with adjacency and shift, (bands, rows, columns)."""
    rows, cols = camera.grid.shape
    wide = (camera.footprint @ nodes).T.reshape(len(camera.bands), rows + 2, cols + 2)
    mean = (around.footprint @ nodes).T.reshape(len(camera.bands), len(around.lattice.y), len(around.lattice.x))
    lattice = Lattice.around(camera.grid, SURROUNDINGS)
    top, left = (
        round(abs(own[0] - whole[0]) / SURROUNDINGS)
        for own, whole in ((lattice.y, around.lattice.y), (lattice.x, around.lattice.x))
    )
    shift = SHIFT[camera.sensor] * normal(
        seed, f"position {overpass.satellite}", overpass.day, overpass.track, np.arange(2)
    )
    east, south = (np.float32(metres / camera.grid.resolution / 2) for metres in shift)
    planes = np.empty((len(camera.bands), rows, cols), np.float32)
    for number, band in enumerate(camera.bands):
        plane = wide[number]
        sharp = plane[1:-1, 1:-1] + east * (plane[1:-1, 2:] - plane[1:-1, :-2])
        sharp += south * (plane[2:, 1:-1] - plane[:-2, 1:-1])
        share = np.float32(ADJACENCY * (band.wavelength / 490) ** ADJACENCY_EXPONENT)
        near = mean[number, top : top + len(lattice.y), left : left + len(lattice.x)]
        planes[number] = sharp + share * (lattice.onto(np.ascontiguousarray(near)) - sharp)
    return planes


def _sky_over(climate: SkyClimate, seed: int, overpass: Overpass, grid: Grid) -> Sky:
    lattice = Lattice.around(grid, SKY_STEP)
    coarse = sky_at(climate, seed, overpass, lattice.x[None], lattice.y[:, None])
    return Sky(*(lattice.onto(plane) for plane in (coarse.cloud, coarse.shadow, coarse.cirrus, coarse.haze)))


def _recorded(planes: Plane, camera: Camera, seed: int, overpass: Overpass) -> Plane:
    """Gain of the scene and noise of the pixels, in place."""
    name = f"{overpass.satellite} {camera.grid.resolution:g} m"
    gain = 1 + SCENE_GAIN * normal(seed, f"gain {name}", overpass.day, overpass.track, np.arange(len(planes)))
    noise = pixel_noise(seed, f"noise {name} {overpass.track}", overpass.day, camera.grid, len(planes))
    for plane, factor, own in zip(planes, gain, noise, strict=True):
        own *= np.float32(RELATIVE_NOISE) * plane + np.float32(ABSOLUTE_NOISE)
        plane *= np.float32(factor)
        plane += own
    return planes


def pixel_noise(seed: int, purpose: str, day: int, grid: Grid, planes: int) -> Plane:
    """Standard normal noise (planes, rows, columns) that follows from the place of each pixel."""
    size = grid.resolution
    row, col = np.floor(grid.y / size).astype(np.int64)[:, None], np.floor(grid.x / size).astype(np.int64)[None]
    noise = np.empty((planes, *grid.shape), np.float32)
    for first in range(0, planes, 4):  # 52 random bits make four numbers of 13 bits
        bits = (uniform(seed, f"{purpose} {first}", day, row, col) * 2.0**52).astype(np.int64)
        for plane in range(first, min(first + 4, planes)):
            noise[plane] = _NORMAL[(bits >> (13 * (plane - first))) & (_LEVELS - 1)]
    return noise


def _wider(grid: Grid) -> Grid:
    """One pixel more on each side."""
    corner = grid.transform * Affine.translation(-1, -1)
    return Grid.of(str(grid.crs), corner, (grid.shape[0] + 2, grid.shape[1] + 2))
