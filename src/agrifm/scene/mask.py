"""Masks of usable pixels from quality flags: one rule for all sensors, dilation in metres, and plug-in masks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from math import floor

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from agrifm.errors import ConfigError, SceneError, did_you_mean
from agrifm.scene.quality import FLAGS, Flags, bits

Mask = Callable[[NDArray[np.float32], tuple[str, ...]], NDArray[np.bool_]]
"""Function of an image (C, H, W) in the product's unit, 0 where nothing was recorded, and the names of its bands;
returns True for usable pixels (H, W)."""

MASK_GROUP = "agrifm.masks"
"""Group of entry points of other packages that are such functions. Each decides pixel by pixel, since images come in
tiles."""
ALWAYS_MASKED = ("nodata", "defective", "plug-in")
"""Flags that are masked in any case."""
DEFAULT_MASKED = ("cloud", "cloud-edge", "cirrus", "shadow", "dark", "snow")
"""Flags that make a pixel unusable by default."""
DILATED = ("cloud", "cirrus", "shadow")
"""Flags that are dilated if they are masked."""


@dataclass(frozen=True)
class MaskRule:
    """Which pixels are usable.

    Raises:
        ConfigError: an unknown flag, or a dilation that could have no effect.
    """

    masked: tuple[str, ...] = DEFAULT_MASKED
    """Flags that make a pixel unusable, in addition to those in `ALWAYS_MASKED`."""
    dilate: float = 0.0
    """Distance in metres around masked clouds, cirrus and shadows that becomes cloud edge."""
    masks: tuple[str, ...] = ()
    """Names of plug-in masks; a pixel is usable if all of them say so."""

    def __post_init__(self) -> None:
        known = [name for name in FLAGS if name not in ALWAYS_MASKED]
        for name in self.masked:
            if name not in known:
                raise ConfigError(
                    f"choosing usable pixels: `masked` has the unknown flag {name!r}{did_you_mean(name, known)} Known "
                    f"flags: {', '.join(known)}; {', '.join(ALWAYS_MASKED)} are always masked",
                    name=name,
                )
        if not 0 <= self.dilate <= 10_000:
            raise ConfigError(
                f"choosing usable pixels: `dilate` is {self.dilate:g} metres; give a number from 0 to 10000"
            )
        if self.dilate and not ("cloud-edge" in self.masked and set(DILATED) & set(self.masked)):
            raise ConfigError(
                f"choosing usable pixels: `dilate` is {self.dilate:g} metres but has no effect; put "
                f"'cloud-edge' and one of {', '.join(DILATED)} into `masked`, or leave `dilate` out"
            )
        for name in self.masks:
            find_mask(name)

    def margin(self, resolution: float) -> int:
        """Return the pixels around a tile whose flags must be known too, at a resolution in metres."""
        return floor(self.dilate / resolution)

    def dilated(self, flags: Flags, resolution: float) -> Flags:
        """Add cloud edge to the flags (H, W) within `dilate` metres of masked clouds, cirrus or shadows.

        Distances are between pixel centres. Pixels with a dilated flag of their own stay as they are.
        """
        growing = (flags & bits(set(DILATED) & set(self.masked))) != 0
        if not self.margin(resolution) or not growing.any():
            return flags
        # 1e-9: a distance of exactly `dilate` counts as within, whatever its division rounds to
        near = distance_transform_edt(~growing) <= self.dilate / resolution + 1e-9
        return np.where(near & ~growing, flags | bits(["cloud-edge"]), flags)

    def usable(self, flags: Flags) -> NDArray[np.bool_]:
        """Return True for the pixels without a masked flag."""
        usable: NDArray[np.bool_] = (flags & bits((*ALWAYS_MASKED, *self.masked))) == 0
        return usable


DEFAULT_RULE = MaskRule()


def count_flags(flags: Flags) -> dict[str, int]:
    """Count the pixels with each flag; flags that no pixel has are left out."""
    counts = {name: int(np.count_nonzero(flags & bits([name]))) for name in FLAGS}
    return {name: count for name, count in counts.items() if count}


@cache
def find_mask(name: str) -> Mask:
    """Load the plug-in mask of that name, an entry point of the group `agrifm.masks` of an installed package.

    Raises:
        ConfigError: no installed package has it, or it cannot be imported.
    """
    points = {point.name: point for point in entry_points(group=MASK_GROUP)}
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise ConfigError(
            f"choosing usable pixels: no installed package has a mask named {name!r} (known: {known}); install the "
            f"package that declares it as an entry point of '{MASK_GROUP}', or take it out of `masks`"
        )
    try:
        function: Mask = points[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"choosing usable pixels: the mask {name!r} cannot be imported ({error})") from error
    return function


def apply_mask(name: str, image: NDArray[np.float32], bands: tuple[str, ...], about: str) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of an image (C, H, W) that a plug-in mask calls usable.

    Args:
        about: what is being done, such as "reading scene X", with which errors begin.

    Raises:
        SceneError: the mask failed, or did not return one truth value per pixel.
    """
    try:
        usable = np.asarray(find_mask(name)(image, bands))
    except Exception as error:  # code of other packages may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise SceneError(
            f"{about}: the mask {name!r} failed ({reason}); repair it or take it out of `masks`"
        ) from error
    if usable.shape != image.shape[1:] or usable.dtype != bool:
        raise SceneError(
            f"{about}: the mask {name!r} returned {usable.dtype} of shape {usable.shape} instead of bool of shape "
            f"{image.shape[1:]}; repair it or take it out of `masks`"
        )
    return usable
