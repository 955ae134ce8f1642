"""Flags to usable pixels: one rule for all sensors, dilation in metres, and masks of the user's own."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from math import floor

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from agrifm.errors import ConfigError, SceneError
from agrifm.scene.quality import FLAGS, Flags, bits

Mask = Callable[[NDArray[np.float32], tuple[str, ...]], NDArray[np.bool_]]
"""Image (C, H, W) in the product's unit, 0 where nothing was recorded, and names of its bands -> usable (H, W)."""

MASK_GROUP = "agrifm.masks"
"""Entry points of other packages that are such functions. Each decides pixel by pixel, as images come in tiles."""
ALWAYS = ("nodata", "defective", "plug-in")
"""Flags that no choice makes usable."""
MASKED = ("cloud", "cloud-edge", "cirrus", "shadow", "dark", "snow")
"""Flags that make a pixel unusable unless the project says otherwise."""
GROWING = ("cloud", "cirrus", "shadow")
"""Flags that are dilated, where they are masked."""


@dataclass(frozen=True)
class MaskRule:
    """Which pixels are usable.

    Raises:
        ConfigError: an unknown flag, or a dilation that could have no effect.
    """

    masked: tuple[str, ...] = MASKED
    """Flags that make a pixel unusable, besides those in `ALWAYS`."""
    dilate: float = 0.0
    """Metres around masked clouds, cirrus and shadows that become cloud edge."""
    masks: tuple[str, ...] = ()
    """Names of plug-in masks, every one of which must call a pixel usable."""

    def __post_init__(self) -> None:
        known = [name for name in FLAGS if name not in ALWAYS]
        for name in self.masked:
            if name not in known:
                near = get_close_matches(name, known, n=1, cutoff=0)[0]
                raise ConfigError(
                    f"choosing usable pixels: `masked` has the unknown flag {name!r}; did you mean {near!r}? Known "
                    f"flags: {', '.join(known)}; {', '.join(ALWAYS)} are masked in any case"
                )
        if not 0 <= self.dilate <= 10_000:
            raise ConfigError(
                f"choosing usable pixels: `dilate` is {self.dilate:g} metres; give a number from 0 to 10000"
            )
        if self.dilate and not ("cloud-edge" in self.masked and set(GROWING) & set(self.masked)):
            raise ConfigError(
                f"choosing usable pixels: `dilate` is {self.dilate:g} metres but could have no effect; put "
                f"'cloud-edge' and one of {', '.join(GROWING)} into `masked`, or leave `dilate` out"
            )
        for name in self.masks:
            find_mask(name)

    def margin(self, resolution: float) -> int:
        """Pixels around a tile whose flags must be known as well."""
        return floor(self.dilate / resolution)

    def dilated(self, flags: Flags, resolution: float) -> Flags:
        """Flags (H, W) with cloud edge added to what lies within `dilate` metres of masked clouds, cirrus or shadows.

        Distances are between pixel centres. Pixels that have a growing flag themselves stay as they are.
        """
        growing = (flags & bits(set(GROWING) & set(self.masked))) != 0
        if not self.margin(resolution) or not growing.any():
            return flags
        near = distance_transform_edt(~growing) <= self.dilate / resolution + 1e-9
        return np.where(near & ~growing, flags | bits(["cloud-edge"]), flags)

    def usable(self, flags: Flags) -> NDArray[np.bool_]:
        """Where no flag forbids it."""
        usable: NDArray[np.bool_] = (flags & bits((*ALWAYS, *self.masked))) == 0
        return usable


DEFAULT_RULE = MaskRule()


def count_flags(flags: Flags) -> dict[str, int]:
    """Pixels that have each flag; flags that none has are left out."""
    numbers = {name: int(np.count_nonzero(flags & bits([name]))) for name in FLAGS}
    return {name: number for name, number in numbers.items() if number}


@cache
def find_mask(name: str) -> Mask:
    """The plug-in mask of that name, an entry point of the group `agrifm.masks` of an installed package.

    Raises:
        ConfigError: no installed package has it, or it cannot be imported.
    """
    found = {point.name: point for point in entry_points(group=MASK_GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigError(
            f"choosing usable pixels: no installed package has a mask named {name!r} (found: {known}); install the "
            f"package that declares it as an entry point of '{MASK_GROUP}', or take it out of `masks`"
        )
    try:
        function: Mask = found[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"choosing usable pixels: the mask {name!r} cannot be imported ({error})") from error
    return function


def apply_mask(name: str, image: NDArray[np.float32], bands: tuple[str, ...], about: str) -> NDArray[np.bool_]:
    """What a plug-in mask calls usable (H, W) in an image (C, H, W).

    Args:
        about: what is being done, such as "reading scene X", with which errors begin.

    Raises:
        SceneError: it failed, or gave something else than one truth value per pixel.
    """
    try:
        usable = np.asarray(find_mask(name)(image, bands))
    except Exception as error:  # a stranger's code may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise SceneError(
            f"{about}: the mask {name!r} failed ({reason}); repair it or take it out of `masks`"
        ) from error
    if usable.shape != image.shape[1:] or usable.dtype != bool:
        raise SceneError(
            f"{about}: the mask {name!r} gave {usable.dtype} of shape {usable.shape} instead of bool of shape "
            f"{image.shape[1:]}; repair it or take it out of `masks`"
        )
    return usable
