"""The masks of the providers with their errors: cloud, shadow, cirrus, water and so on.

A mask detects opacity with noise: it misses thin edges and some whole patches of cloud, classifies some bright ground
as cloud, and misses part of the shadows. Values are those of Sentinel-2's scene classification (SCL) and of Landsat's
QA_PIXEL.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from agrifm.simulator.acquisition.orbits import Overpass
from agrifm.simulator.acquisition.sky import Sky
from agrifm.simulator.keyed_random import normal, smooth_noise

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]
Places = NDArray[np.float64]

MIN_CLOUD_OPACITY, MIN_DOUBTFUL_OPACITY = 0.30, 0.18
"""Opacity above which a mask classifies a pixel as cloud, or leaves it unclassified."""
MIN_SHADOW_OPACITY, SHADOW_NOISE = 0.45, 0.30
"""Opacity of a cloud above which its shadow is detected, and its standard deviation between points."""
MIN_CIRRUS_REFLECTANCE = 0.010
"""Reflectance above which cirrus is detected."""
OPACITY_NOISE, OPACITY_NOISE_SIZE = 0.08, 250.0
"""Standard deviation of the error of the detected opacity, and the size of these errors in metres."""
SCENE_NOISE = 0.05
"""Standard deviation of the error that a whole scene has in common."""
MISSED_PATCH_THRESHOLD, MISSED_PATCH_SIZE = 2.2, 1500.0
"""Clouds of opacity below 1 are missed where noise exceeds this threshold; size of that noise in metres."""
MIN_BRIGHT_BLUE, BRIGHT_BLUE_NOISE = 0.20, 0.035
"""Blue reflectance above which ground is classified as cloud, and its standard deviation between points."""
MAX_DARK_INFRARED = 0.07
"""Near infrared reflectance below which land is classified as dark."""
DILATION_PIXELS = 3
"""Pixels by which Landsat's clouds are dilated."""
# Landsat 8-9 Collection 2 Level 2 Science Product Guide, table of QA_PIXEL values. A shadow keeps its clear bit.
QA_CLEAR, QA_WATER, QA_CLOUD, QA_SHADOW, QA_CIRRUS, QA_DILATED = 21824, 21952, 22280, 23888, 54596, 21826


@dataclass(frozen=True)
class MaskBands:
    """Recorded reflectance in the bands that a mask uses; arrays of one shape."""

    blue: Plane
    green: Plane
    red: Plane
    infrared: Plane
    swir: Plane


@dataclass(frozen=True)
class CloudMasks:
    """Detected clouds, cirrus and shadows; arrays of one shape."""

    cloud: Mask
    thick: Mask
    """Clouds with high probability, a part of `cloud`."""
    cirrus: Mask
    shadow: Mask
    doubtful: Mask
    """Unclassified: neither cloud nor clear."""


def detect_clouds(sky: Sky, seed: int, overpass: Overpass, x: Places, y: Places, bands: MaskBands) -> CloudMasks:
    """Detect clouds, cirrus and shadows with the errors of a provider's mask; a pixel is in at most one of them.

    Args:
        sky, bands: of the pixels.
        x, y: of the pixels, metres, arrays that broadcast.
    """
    name = f"{overpass.satellite} on {overpass.day}"
    of_scene = normal(seed, f"mask of {name}", overpass.track, np.arange(3))
    rough = smooth_noise(seed, f"mask of {name}", x, y, OPACITY_NOISE_SIZE)
    patches = smooth_noise(seed, f"patches in the mask of {name}", x, y, MISSED_PATCH_SIZE)
    # Missed patches first, then errors of opacity between points and of the whole scene.
    opacity = np.clip(sky.cloud, 0, 1.5)
    opacity = np.where((patches > MISSED_PATCH_THRESHOLD) & (opacity < 1), 0, opacity)
    opacity += np.float32(OPACITY_NOISE) * rough + np.float32(SCENE_NOISE * of_scene[0])
    # Bright ground is mistaken for cloud.
    bright = bands.blue > np.float32(MIN_BRIGHT_BLUE) + np.float32(BRIGHT_BLUE_NOISE) * (
        patches + np.float32(of_scene[1])
    )
    cloud = (opacity > MIN_CLOUD_OPACITY) | bright
    thin = sky.cirrus + np.float32(0.25 * MIN_CIRRUS_REFLECTANCE) * (rough + np.float32(of_scene[2]))
    cirrus = (sky.cirrus > 0) & (thin > MIN_CIRRUS_REFLECTANCE) & ~cloud
    # Shadows are detected only outside clouds and cirrus.
    shade = np.clip(sky.shadow, 0, 1) + np.float32(SHADOW_NOISE) * patches
    shadow = (sky.shadow > 0) & (shade > MIN_SHADOW_OPACITY) & ~cloud & ~cirrus
    doubtful = (opacity > MIN_DOUBTFUL_OPACITY) & ~cloud & ~cirrus & ~shadow & (rough > 0.8)
    return CloudMasks(cloud, cloud & (opacity > 0.9), cirrus, shadow, doubtful)


def scene_classes(masks: CloudMasks, bands: MaskBands) -> NDArray[np.uint8]:
    """SCL: 2 dark, 3 shadow, 4 vegetation, 5 bare, 6 water, 7 unclassified, 8 and 9 cloud, 10 thin cirrus."""
    water = is_water(bands)
    green = (bands.infrared - bands.red) > 0.35 * (bands.infrared + bands.red)
    conditions = [
        masks.thick,
        masks.cloud,
        masks.cirrus,
        masks.shadow,
        masks.doubtful,
        water,
        bands.infrared < MAX_DARK_INFRARED,
        green,
    ]
    return np.select(conditions, [9, 8, 10, 3, 7, 6, 2, 4], 5).astype(np.uint8)


def landsat_quality(masks: CloudMasks, bands: MaskBands) -> NDArray[np.uint16]:
    """QA_PIXEL, (rows, columns); clouds are dilated by `DILATION_PIXELS` pixels."""
    near = maximum_filter(masks.cloud, 2 * DILATION_PIXELS + 1) & ~masks.cloud
    conditions = [masks.cloud, near, masks.cirrus, masks.shadow, is_water(bands)]
    values = [QA_CLOUD, QA_DILATED, QA_CIRRUS, QA_SHADOW, QA_WATER]
    return np.select(conditions, values, QA_CLEAR).astype(np.uint16)


def is_water(bands: MaskBands) -> Mask:
    """True where green exceeds both infrareds, the spectral test for water of the masks."""
    return np.asarray((bands.green > bands.infrared) & (bands.green > 1.5 * bands.swir))
