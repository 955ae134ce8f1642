"""What the tasks beyond one class per pixel learn from: field targets from parcels, fractions from classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED


@dataclass(frozen=True)
class FieldTargets:
    """Where fields are, (H, W) each."""

    boundary: NDArray[np.bool_]
    """Another field, or land of no field, lies within the width asked for, centre to centre; on both sides."""
    distance: NDArray[np.float32]
    """Distance to the nearest pixel outside the field, as a share of the field's greatest; 0 outside fields."""
    extent: NDArray[np.bool_]
    """Inside a field."""
    known: NDArray[np.bool_]
    """Inside a field, or known to be land of none."""

    def stacked(self) -> NDArray[np.float32]:
        """(3, H, W): boundary, distance, extent, in the order of the head's maps."""
        return np.stack([self.boundary, self.distance, self.extent]).astype(np.float32)


def field_targets(place: NDArray[np.integer], known: NDArray[np.bool_] | None = None, width: int = 1) -> FieldTargets:
    """Boundary, distance and extent of the fields of a raster.

    The raster's end is no boundary, and no distance is measured to it: fields go on there. So make the targets of the
    whole area and cut windows out of them, not the other way round.

    Args:
        place: (H, W), number of the field at each pixel, negative = none, as `Labels.place`.
        known: (H, W), whether land of no field is known to be none; left out, it is everywhere.
        width: of a boundary on each of its sides, pixels.

    Raises:
        LabelError: the width is not positive, or `known` has another shape.
    """
    if known is not None and known.shape != place.shape:
        raise LabelError(
            f"making field targets: fields lie on {place.shape} pixels, but what is known on {known.shape}; "
            "give both on one grid"
        )
    if width < 1:
        raise LabelError(f"making field boundaries: the width is {width} pixels; give at least 1")
    extent = place >= 0
    number = np.where(extent, place, -1).astype(np.int64)
    rows, columns = np.ogrid[-width : width + 1, -width : width + 1]
    disk = rows**2 + columns**2 <= width**2
    # a pixel repeated beyond the raster's end is never farther away than where it lies
    highest, lowest = (
        filter_(number, footprint=disk, mode="nearest") for filter_ in (ndimage.maximum_filter, ndimage.minimum_filter)
    )
    everywhere = np.ones(place.shape, bool)
    return FieldTargets(highest != lowest, _distance(number), extent, everywhere if known is None else extent | known)


def _distance(number: NDArray[np.int64]) -> NDArray[np.float32]:
    """Distance to the nearest pixel of another number, 1 at each field's greatest; a field without an edge has 1."""
    result = np.zeros(number.shape, np.float32)
    height, width = number.shape
    found, dense = np.unique(number, return_inverse=True)
    dense = dense.reshape(number.shape) + int(found[0] >= 0)
    for field, box in enumerate(ndimage.find_objects(dense), start=1):
        assert box is not None
        rows, columns = (
            slice(max(side.start - 1, 0), min(side.stop + 1, size))
            for side, size in zip(box, (height, width), strict=True)
        )
        own = dense[rows, columns] == field
        distance = np.ones(own.shape) if own.all() else ndimage.distance_transform_edt(own)
        result[rows, columns][own] = (distance / distance.max())[own]
    return result


def class_fractions(
    label: NDArray[np.integer], classes: int, side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shares of the classes in coarse pixels, and the share of each coarse pixel that is labelled.

    Coarse pixels start at the first row and column; where the raster ends inside one, the part inside counts.

    Args:
        label: (H, W), class numbers, 255 = unlabelled.
        classes: how many there are.
        side: of a coarse pixel, pixels of the raster.

    Returns:
        (classes, h, w), shares of the labelled pixels, all 0 where none is; and (h, w), 0..1.

    Raises:
        LabelError: a label is neither a class nor 255, or the side is not positive.
    """
    if side < 1:
        raise LabelError(f"making class fractions: the side of a coarse pixel is {side} pixels; give at least 1")
    known = label != UNLABELLED
    if (wrong := label[known & ((label < 0) | (label >= classes))]).size:
        raise LabelError(
            f"making class fractions: there is a label {wrong.flat[0]}, but classes are 0 to {classes - 1} and "
            f"{UNLABELLED} is unlabelled; give labels of the model's legend"
        )
    rows, columns = (np.arange(size) // side for size in label.shape)
    height, width = rows[-1] + 1, columns[-1] + 1
    coarse = rows[:, None] * width + columns
    size = np.bincount(coarse.ravel(), minlength=height * width)
    counts = np.bincount(label[known].astype(np.int64) * size.size + coarse[known], minlength=classes * size.size)
    counts = counts.reshape(classes, size.size)
    labelled = counts.sum(axis=0)
    shares = counts / np.maximum(labelled, 1)
    return (
        shares.reshape(classes, height, width).astype(np.float32),
        (labelled / size).reshape(height, width).astype(np.float32),
    )
