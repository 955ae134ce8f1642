"""The minimum mapping unit: regions of one class that are too small take the class around them.

A region is a set of pixels of one class that are connected by their sides. One with too few pixels takes the class with
which it shares the longest border, counting only regions that are large enough; without such a neighbour it stays.

Shape letters: H rows, W columns.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from agrifm.legend import UNLABELLED


def margin_of(pixels: int) -> int:
    """Return how many pixels around a tile decide what becomes of its regions below `pixels` pixels.

    A small region reaches less than `pixels` beyond the tile, and so does a small neighbour of it beyond that.
    """
    return 2 * pixels


def without_small_regions(number: NDArray[np.uint8], pixels: int, cut: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return class numbers (H, W) in which regions of fewer than `pixels` pixels have the class around them.

    Args:
        number: (H, W), 255 = nodata, which does not count.
        pixels: least size of a region.
        cut: (H, W), pixels at an edge beyond which the map continues; regions that touch it count as large.
    """
    region, classes = _regions(number)
    size = np.bincount(region.ravel(), minlength=len(classes))
    small = size < pixels
    small[0] = False  # nodata
    small[region[cut]] = False
    border = np.zeros((len(classes), UNLABELLED), np.int64)
    for one, other in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        for here, there in ((region[one], region[other]), (region[other], region[one])):
            counts = small[here] & ~small[there] & (there > 0)
            np.add.at(border, (here[counts], classes[there[counts]]), 1)
    becomes = classes.copy()
    surrounded = small & border.any(axis=1)
    becomes[surrounded] = border[surrounded].argmax(axis=1)
    return becomes[region].astype(np.uint8)


def _regions(number: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The region of each pixel (H, W), 0 = nodata, and the class of each region."""
    region = np.zeros(number.shape, np.int64)
    classes = [UNLABELLED]
    for one in np.unique(number[number != UNLABELLED]):
        found, count = label(number == one)
        region[found > 0] = found[found > 0] + len(classes) - 1
        classes += [int(one)] * count
    return region, np.asarray(classes, np.int64)
