"""Series of single parcels in dekads: the form in which simulated fields are compared with real ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINT_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
"""Bands of a series, by Sentinel-2's names and in this order."""


@dataclass(frozen=True)
class PointSeries:
    """What Sentinel-2 saw of n parcels in T dekads (first, second and last third of a month).

    A parcel-dekad without a usable pixel is NaN in every band; clouds that the mask missed stay in the values.
    """

    label: NDArray[np.str_]
    """(n,) crop codes, such as `wheat`."""
    cell: NDArray[np.str_]
    """(n,) name of the cell of about 0.1 degrees in which the parcel lies; no cell is in two folds."""
    fold: NDArray[np.int64]
    """(n,) fold of the cross-validation, 0 .. 4."""
    dekads: NDArray[np.datetime64]
    """(T,) datetime64[D], increasing: the first day (1st, 11th or 21st) of each dekad."""
    values: NDArray[np.float32]
    """(n, T, 9) surface reflectance of `POINT_BANDS`, about 0..1, NaN = missing."""
    present: NDArray[np.bool_]
    """(n, T) whether the table has a row for the parcel-dekad; where it has none the values are NaN."""

    @property
    def ndvi(self) -> NDArray[np.float32]:
        """(n, T) normalised difference vegetation index, (B08 - B04) / (B08 + B04), NaN = missing."""
        red, near_infrared = self.values[..., POINT_BANDS.index("B04")], self.values[..., POINT_BANDS.index("B08")]
        return np.asarray((near_infrared - red) / np.maximum(near_infrared + red, 1e-6), np.float32)

    @property
    def months(self) -> NDArray[np.datetime64]:
        """(T,) datetime64[M], the calendar month of each dekad."""
        return self.dekads.astype("datetime64[M]")

    def take(self, parcels: NDArray[Any]) -> "PointSeries":
        """The series of some parcels, by index or by mask."""
        return PointSeries(
            self.label[parcels],
            self.cell[parcels],
            self.fold[parcels],
            self.dekads,
            self.values[parcels],
            self.present[parcels],
        )
