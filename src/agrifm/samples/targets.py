"""Training targets of tasks other than pixel classes: field boundaries from parcels, fractions from classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED

MAPS, NUMBER = "field maps", "field number"
"""Targets of a sample for boundaries: the stacked maps (3, H, W), and the number of the field (H, W), -1 = none."""


@dataclass(frozen=True)
class FieldTargets:
    """Maps of fields, (H, W) each."""

    boundary: NDArray[np.bool_]
    """True within `width` pixels, centre to centre, of another field or of other land; on both sides."""
    distance: NDArray[np.float32]
    """Distance to the nearest pixel outside the field, as a share of the field's greatest; 0 outside fields."""
    extent: NDArray[np.bool_]
    """Inside a field."""
    known: NDArray[np.bool_]
    """Inside a field, or known to be other land."""

    def stacked(self) -> NDArray[np.float32]:
        """Return boundary, distance, extent (3, H, W), in the order of the head's maps."""
        return np.stack([self.boundary, self.distance, self.extent]).astype(np.float32)


def field_targets(place: NDArray[np.integer], known: NDArray[np.bool_] | None = None, width: int = 1) -> FieldTargets:
    """Return boundary, distance and extent of the fields of a raster.

    The edge of the raster does not count as a boundary, because fields continue beyond it. So make the targets of the
    whole area and cut windows out of them, not the other way round.

    Args:
        place: (H, W), number of the field at each pixel, negative = none, as `Labels.place`.
        known: (H, W), True where it is known whether there is a field; None = everywhere.
        width: of a boundary on each side, pixels.

    Raises:
        LabelError: the width is not positive, or `known` has another shape.
    """
    if known is not None and known.shape != place.shape:
        raise LabelError(
            f"making field targets: fields have the shape {place.shape}, but `known` has {known.shape}; give both "
            "on one grid",
            shape=known.shape,
        )
    if width < 1:
        raise LabelError(f"making field boundaries: the width is {width} pixels; give at least 1", width=width)
    extent = place >= 0
    number = np.where(extent, place, -1).astype(np.int64)
    rows, columns = np.ogrid[-width : width + 1, -width : width + 1]
    disk = rows**2 + columns**2 <= width**2
    # Edge pixels are repeated beyond the raster; a repeated pixel is never nearer than the pixel itself.
    highest, lowest = (
        filter_(number, footprint=disk, mode="nearest") for filter_ in (ndimage.maximum_filter, ndimage.minimum_filter)
    )
    everywhere = np.ones(place.shape, bool)
    # Two different numbers within the disk: another field, or other land, is near.
    return FieldTargets(highest != lowest, _distance(number), extent, everywhere if known is None else extent | known)


def _distance(number: NDArray[np.int64]) -> NDArray[np.float32]:
    """Distance to the nearest pixel of another number, divided by the greatest of the field; 1 if it has no edge."""
    result = np.zeros(number.shape, np.float32)
    height, width = number.shape
    # Dense numbers from 1, with 0 for other land, as `find_objects` needs them.
    numbers, dense = np.unique(number, return_inverse=True)
    dense = dense.reshape(number.shape) + int(numbers[0] >= 0)
    for field, box in enumerate(ndimage.find_objects(dense), start=1):
        assert box is not None
        # One pixel more on each side, so that the distance is to the neighbours and not to the end of the box.
        rows, columns = (
            slice(max(side.start - 1, 0), min(side.stop + 1, size))
            for side, size in zip(box, (height, width), strict=True)
        )
        inside = dense[rows, columns] == field
        # A field that fills the raster has no edge that a distance could refer to.
        distance = np.ones(inside.shape) if inside.all() else ndimage.distance_transform_edt(inside)
        result[rows, columns][inside] = (distance / distance.max())[inside]
    return result


def class_fractions(
    label: NDArray[np.integer], classes: int, side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the shares of the classes in coarse pixels, and the share of each coarse pixel that is labelled.

    Coarse pixels start at the first row and column; at the edge of the raster only the part inside counts.

    Args:
        label: (H, W), class numbers, 255 = unlabelled.
        classes: number of classes.
        side: side of a coarse pixel, pixels of the raster.

    Returns:
        (classes, h, w), shares among the labelled pixels, all 0 if none is labelled; and (h, w), 0..1.

    Raises:
        LabelError: a label is neither a class nor 255, or the side is not positive.
    """
    if side < 1:
        raise LabelError(
            f"making class fractions: the side of a coarse pixel is {side} pixels; give at least 1", side=side
        )
    known = label != UNLABELLED
    if (wrong := label[known & ((label < 0) | (label >= classes))]).size:
        raise LabelError(
            f"making class fractions: found the label {wrong.flat[0]}, but classes are 0 to {classes - 1} and "
            f"{UNLABELLED} is unlabelled; give labels of the model's legend",
            label=int(wrong.flat[0]),
        )
    # Counts by one index over (class, coarse pixel).
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
