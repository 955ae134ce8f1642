"""Images of Sentinel-2 and Landsat from one overpass, in reflectance, before they are encoded.

From the reflectance of the nodes to the image: the footprint, adjacency (light of the surroundings that the air
scatters into the view), a shift by a part of a pixel, the sky, a gain of the scene, and noise.
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
"""Sensor and pixel size -> full width at half maximum of the point spread, metres."""
SHIFT = {"sentinel-2": 2.5, "landsat": 4.0}
"""Standard deviation of a scene's position along each axis, metres: about a quarter and an eighth of a pixel."""
RELATIVE_NOISE, ABSOLUTE_NOISE = 0.008, 0.0012
"""Standard deviation of the noise of a pixel: relative to its reflectance, and absolute."""
SCENE_GAIN = 0.012
"""Standard deviation of the gain of a band in one scene: calibration, and errors of the correction except haze."""
SURROUNDINGS = 400.0
"""Range of the adjacency effect: full width at half maximum of a pyramid, metres."""
ADJACENCY, ADJACENCY_EXPONENT = 0.045, -1.2
"""Share of a pixel's light at 490 nm that comes from its surroundings, and exponent of its power law."""
SKY_STEP = 60.0
"""Metres between the points at which the sky is computed."""
REACH = 2 * SURROUNDINGS
"""Metres of ground needed beyond the pixels."""

# A table of normal numbers: looking them up is much faster than drawing each one.
_LEVELS = 1 << 13
_NORMAL = normal(0, "table of noise", np.arange(_LEVELS))
_NORMAL = np.asarray((_NORMAL - _NORMAL.mean()) / _NORMAL.std(), np.float32)


@dataclass(frozen=True)
class Camera:
    """The bands of a sensor that share a pixel grid, and that grid over a window."""

    sensor: str
    bands: tuple[Band, ...]
    grid: Grid
    footprint: csr_matrix
    """Footprint of the grid and one pixel around it, row by row; the border is needed for the shift."""

    @classmethod
    def over(cls, ground_pixels: GroundPixels, sensor: str, size: int, grid: Grid) -> "Camera":
        """The bands of a sensor with a pixel size in metres, on a grid of such pixels."""
        bands = tuple(
            band for band in SENSORS[sensor].bands if sensor == "landsat" or band.ground_sampling_distance == size
        )
        wide = _wider(grid)
        x, y = np.meshgrid(wide.x, wide.y)
        spread = gaussian_spread(POINT_SPREAD[sensor, size])
        return cls(sensor, bands, grid, footprint_matrix(ground_pixels, x.ravel(), y.ravel(), spread))


@dataclass(frozen=True)
class Surroundings:
    """Footprints of the mean reflectance around the points of a lattice, for the adjacency effect."""

    lattice: Lattice
    footprint: csr_matrix

    @classmethod
    def over(cls, ground_pixels: GroundPixels, grid: Grid) -> "Surroundings":
        """The surroundings of the pixels of a grid; the ground must extend `REACH` beyond them."""
        lattice = Lattice.around(grid, SURROUNDINGS)
        x, y = np.meshgrid(lattice.x, lattice.y)
        pyramid = PointSpread(
            whiskbroom_spread(SURROUNDINGS).across, whiskbroom_spread(SURROUNDINGS).across, SURROUNDINGS
        )
        return cls(lattice, footprint_matrix(ground_pixels, x.ravel(), y.ravel(), pyramid))


@dataclass(frozen=True)
class View:
    """The image of one overpass on one grid."""

    camera: Camera
    reflectance: NDArray[np.float32]
    """(bands of the camera, rows, columns)."""
    sky: Sky


def views(
    ground: Ground, cameras: Sequence[Camera], around: Surroundings, climate: SkyClimate, seed: int, overpass: Overpass
) -> list[View]:
    """The images of one overpass, one for each camera."""
    bands = [band for camera in cameras for band in camera.bands]
    nodes = ground.nodes(overpass.day, bands, overpass.geometry)
    images, first = [], 0
    for camera in cameras:
        of_camera = np.ascontiguousarray(nodes[:, first : first + len(camera.bands)])
        first += len(camera.bands)
        sky = _sky_over(climate, seed, overpass, camera.grid)
        planes = observed_through(
            sky, _image(camera, around, of_camera, seed, overpass), [band.wavelength for band in camera.bands]
        )
        images.append(View(camera, _recorded(planes, camera, seed, overpass), sky))
    return images


def _image(camera: Camera, around: Surroundings, nodes: Plane, seed: int, overpass: Overpass) -> Plane:
    """Reflectance with adjacency and shift, without sky and noise, (bands, rows, columns)."""
    rows, cols = camera.grid.shape
    wide = (camera.footprint @ nodes).T.reshape(len(camera.bands), rows + 2, cols + 2)
    mean = (around.footprint @ nodes).T.reshape(len(camera.bands), len(around.lattice.y), len(around.lattice.x))
    # The camera's lattice is a window of that of the surroundings.
    lattice = Lattice.around(camera.grid, SURROUNDINGS)
    top, left = (
        round(abs(window[0] - whole[0]) / SURROUNDINGS)
        for window, whole in ((lattice.y, around.lattice.y), (lattice.x, around.lattice.x))
    )
    shift = SHIFT[camera.sensor] * normal(
        seed, f"position {overpass.satellite}", overpass.day, overpass.track, np.arange(2)
    )
    east, south = (np.float32(metres / camera.grid.resolution / 2) for metres in shift)
    planes = np.empty((len(camera.bands), rows, cols), np.float32)
    for index, band in enumerate(camera.bands):
        # Shift to first order: the gradient times the displacement.
        plane = wide[index]
        sharp = plane[1:-1, 1:-1] + east * (plane[1:-1, 2:] - plane[1:-1, :-2])
        sharp += south * (plane[2:, 1:-1] - plane[:-2, 1:-1])
        share = np.float32(ADJACENCY * (band.wavelength / 490) ** ADJACENCY_EXPONENT)
        near = mean[index, top : top + len(lattice.y), left : left + len(lattice.x)]
        planes[index] = sharp + share * (lattice.onto(np.ascontiguousarray(near)) - sharp)
    return planes


def _sky_over(climate: SkyClimate, seed: int, overpass: Overpass, grid: Grid) -> Sky:
    lattice = Lattice.around(grid, SKY_STEP)
    coarse = sky_at(climate, seed, overpass, lattice.x[None], lattice.y[:, None])
    return Sky(*(lattice.onto(plane) for plane in (coarse.cloud, coarse.shadow, coarse.cirrus, coarse.haze)))


def _recorded(planes: Plane, camera: Camera, seed: int, overpass: Overpass) -> Plane:
    """Apply the gain of the scene and the noise of the pixels, in place."""
    name = f"{overpass.satellite} {camera.grid.resolution:g} m"
    gain = 1 + SCENE_GAIN * normal(seed, f"gain {name}", overpass.day, overpass.track, np.arange(len(planes)))
    noise = pixel_noise(seed, f"noise {name} {overpass.track}", overpass.day, camera.grid, len(planes))
    for plane, factor, error in zip(planes, gain, noise, strict=True):
        error *= np.float32(RELATIVE_NOISE) * plane + np.float32(ABSOLUTE_NOISE)
        plane *= np.float32(factor)
        plane += error
    return planes


def pixel_noise(seed: int, purpose: str, day: int, grid: Grid, planes: int) -> Plane:
    """Standard normal noise (planes, rows, columns); a pixel has the same noise in every window."""
    size = grid.resolution
    row, col = np.floor(grid.y / size).astype(np.int64)[:, None], np.floor(grid.x / size).astype(np.int64)[None]
    noise = np.empty((planes, *grid.shape), np.float32)
    for first in range(0, planes, 4):  # 52 random bits make four numbers of 13 bits
        bits = (uniform(seed, f"{purpose} {first}", day, row, col) * 2.0**52).astype(np.int64)
        for plane in range(first, min(first + 4, planes)):
            noise[plane] = _NORMAL[(bits >> (13 * (plane - first))) & (_LEVELS - 1)]
    return noise


def _wider(grid: Grid) -> Grid:
    """The grid with one more pixel on each side."""
    corner = grid.transform * Affine.translation(-1, -1)
    return Grid.of(str(grid.crs), corner, (grid.shape[0] + 2, grid.shape[1] + 2))
