"""Quality bands to usable pixels: one plain function per encoding, from integers to True = usable.

Snow is not usable; water is.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Quality = NDArray[np.integer]
Usable = NDArray[np.bool_]


def scl(values: Quality) -> Usable:
    """Sentinel-2 scene classification: 4 vegetation, 5 not vegetated, 6 water, 7 unclassified are usable.

    Source: Sentinel-2 Level-2A Algorithm Theoretical Basis Document, scene classification map.
    """
    return np.isin(values, (4, 5, 6, 7))


def landsat_qa_pixel(values: Quality) -> Usable:
    """Landsat Collection 2 QA_PIXEL: none of fill, dilated cloud, cirrus, cloud, shadow, snow (bits 0 to 5).

    Source: Landsat 8-9 Collection 2 Level 2 Science Product Guide, QA_PIXEL.
    """
    usable: Usable = (values & 0b111111) == 0
    return usable


def landsat_pixel_qa(values: Quality) -> Usable:
    """Landsat Collection 1 pixel_qa: clear or water (bits 1, 2), no fill, shadow, snow or cloud (bits 0, 3 to 5).

    Source: Landsat 8 Surface Reflectance Code (LaSRC) Product Guide, pixel_qa.
    """
    usable: Usable = ((values & 0b110) != 0) & ((values & 0b111001) == 0)
    return usable


def modis_state(values: Quality) -> Usable:
    """MOD09A1 state flags: clear or assumed clear, no shadow, no high cirrus, no internal cloud, no snow.

    Bits 0-1 cloud (0 clear, 3 assumed clear), 2 shadow, 8-9 cirrus (3 high), 10 internal cloud, 12 and 15 snow.
    Source: MODIS Surface Reflectance User's Guide, Collection 6.1, table of the 500 m state flags.
    """
    values = values.astype(np.int32)  # bit 15 does not fit int16
    cloud, cirrus = values & 0b11, (values >> 8) & 0b11
    flags = 1 << 2 | 1 << 10 | 1 << 12 | 1 << 15
    usable: Usable = np.isin(cloud, (0, 3)) & (cirrus != 3) & ((values & flags) == 0)
    return usable


QUALITY_RULES: dict[str, Callable[[Quality], Usable]] = {
    "scl": scl,
    "landsat_qa_pixel": landsat_qa_pixel,
    "landsat_pixel_qa": landsat_pixel_qa,
    "modis_state": modis_state,
}

UNUSABLE = {"scl": 0, "landsat_qa_pixel": 1, "landsat_pixel_qa": 1, "modis_state": 1}
"""By rule, a value that is not usable and stands where the quality band has no pixel: fill, or (MODIS) cloudy."""
