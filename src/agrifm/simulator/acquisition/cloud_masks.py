"""What the providers' masks call the pixels: cloud, shadow, cirrus, water ... with what they miss and what they invent.

A mask sees opacity through noise: it misses thin edges and, here and there, a whole patch; it takes what is bright for
cloud and leaves part of the shadows. Values are those of Sentinel-2's scene classification (SCL), of Landsat's QA_PIXEL
and of MOD09's state word.
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

CLOUD_SEEN, DOUBT_FROM = 0.30, 0.18
"""Opacity from which an average mask calls a pixel cloud, or cannot tell."""
SHADOW_SEEN, SHADOW_ROUGHNESS = 0.45, 0.30
"""Opacity of the cloud from which its shadow is found, and the deviation of that."""
CIRRUS_SEEN = 0.010
"""Reflectance of cirrus from which it is found."""
ROUGHNESS, ROUGHNESS_SIZE = 0.08, 250.0
"""Deviation of the opacity that a mask sees, and the size of its errors in metres."""
SCENE_ROUGHNESS = 0.05
"""The same for a whole scene."""
BLIND_THRESHOLD, BLIND_SIZE = 2.2, 1500.0
"""Patches in which clouds of opacity below 1 are missed: where noise of this size (metres) exceeds this."""
MIN_BRIGHT_BLUE, BRIGHT_ROUGHNESS = 0.20, 0.035
"""Reflectance in blue above which ground may be called cloud, and its deviation between places."""
MAX_DARK_INFRARED = 0.07
"""Reflectance in near infrared below which land is called dark."""
DILATION_PIXELS = 3
"""Landsat's clouds are dilated by so many pixels."""
# Landsat 8-9 Collection 2 Level 2 Science Product Guide, table of QA_PIXEL values. A shadow keeps the clear bit.
QA_CLEAR, QA_WATER, QA_CLOUD, QA_SHADOW, QA_CIRRUS, QA_DILATED = 21824, 21952, 22280, 23888, 54596, 21826


@dataclass(frozen=True)
class MaskBands:
    """What the mask sees of the pixels besides the sky: reflectance as recorded; arrays of one shape."""

    blue: Plane
    green: Plane
    red: Plane
    infrared: Plane
    swir: Plane


@dataclass(frozen=True)
class CloudMasks:
    """What a mask finds; arrays of one shape."""

    cloud: Mask
    thick: Mask
    """Of the clouds, those found with high probability."""
    cirrus: Mask
    shadow: Mask
    doubtful: Mask
    """Neither cloud nor clear."""


def detect_clouds(sky: Sky, seed: int, overpass: Overpass, x: Places, y: Places, colours: MaskBands) -> CloudMasks:
    """Clouds, cirrus and shadows as a provider's mask finds them, exclusive of each other.

    Args:
        sky, colours: of the pixels.
        x, y: of the pixels, metres, arrays that broadcast.
    """
    name = f"{overpass.satellite} on {overpass.day}"
    of_scene = normal(seed, f"mask of {name}", overpass.track, np.arange(3))
    rough = smooth_noise(seed, f"mask of {name}", x, y, ROUGHNESS_SIZE)
    patches = smooth_noise(seed, f"patches in the mask of {name}", x, y, BLIND_SIZE)
    opacity = np.clip(sky.cloud, 0, 1.5)
    opacity = np.where((patches > BLIND_THRESHOLD) & (opacity < 1), 0, opacity)
    opacity += np.float32(ROUGHNESS) * rough + np.float32(SCENE_ROUGHNESS * of_scene[0])
    bright = colours.blue > np.float32(MIN_BRIGHT_BLUE) + np.float32(BRIGHT_ROUGHNESS) * (
        patches + np.float32(of_scene[1])
    )
    cloud = (opacity > CLOUD_SEEN) | bright
    thin = sky.cirrus + np.float32(0.25 * CIRRUS_SEEN) * (rough + np.float32(of_scene[2]))
    cirrus = (sky.cirrus > 0) & (thin > CIRRUS_SEEN) & ~cloud
    shade = np.clip(sky.shadow, 0, 1) + np.float32(SHADOW_ROUGHNESS) * patches
    shadow = (sky.shadow > 0) & (shade > SHADOW_SEEN) & ~cloud & ~cirrus
    doubtful = (opacity > DOUBT_FROM) & ~cloud & ~cirrus & ~shadow & (rough > 0.8)
    return CloudMasks(cloud, cloud & (opacity > 0.9), cirrus, shadow, doubtful)


def scene_classes(found: CloudMasks, colours: MaskBands) -> NDArray[np.uint8]:
    """SCL: 2 dark, 3 shadow, 4 vegetation, 5 bare, 6 water, 7 unclassified, 8 and 9 cloud, 10 thin cirrus."""
    water = is_water(colours)
    green = (colours.infrared - colours.red) > 0.35 * (colours.infrared + colours.red)
    conditions = [
        found.thick,
        found.cloud,
        found.cirrus,
        found.shadow,
        found.doubtful,
        water,
        colours.infrared < MAX_DARK_INFRARED,
        green,
    ]
    return np.select(conditions, [9, 8, 10, 3, 7, 6, 2, 4], 5).astype(np.uint8)


def landsat_quality(found: CloudMasks, colours: MaskBands) -> NDArray[np.uint16]:
    """QA_PIXEL, (rows, columns): clouds grown by `DILATION_PIXELS` pixels, as the provider grows them."""
    near = maximum_filter(found.cloud, 2 * DILATION_PIXELS + 1) & ~found.cloud
    conditions = [found.cloud, near, found.cirrus, found.shadow, is_water(colours)]
    values = [QA_CLOUD, QA_DILATED, QA_CIRRUS, QA_SHADOW, QA_WATER]
    return np.select(conditions, values, QA_CLEAR).astype(np.uint16)


def is_water(colours: MaskBands) -> Mask:
    """Where green exceeds both infrareds, as the masks' spectral tests for water ask."""
    return np.asarray((colours.green > colours.infrared) & (colours.green > 1.5 * colours.swir))
