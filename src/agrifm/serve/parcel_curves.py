"""Mean series of parcels: what all pixels of a parcel show together, with less noise than one of them.

Shape letters: P parcels, N pixels, T dates, C bands, H W rows and columns of a window.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio import features
from scipy.sparse import csr_array

from agrifm.cube.store import SensorCube
from agrifm.grid import LONLAT, Grid, Window, reproject
from agrifm.serve.pixel_answers import curves_of, sensor_facts
from agrifm.serve.refusals import TOO_LARGE, RefusedRequestError

MOST_READ = 24 * 1024**2
"""Pixels of all dates together that are read at once."""
LEAST_SEEN = 0.5
"""Share of a parcel's pixels that a date must have observed."""


def mean_series(sensor: SensorCube, shapes: NDArray[Any]) -> NDArray[np.float32]:
    """Mean stored values (P, T, C) of the pixels whose centres are in parcels.

    They are NaN on dates that observed less than `LEAST_SEEN` of a parcel, and of a parcel without such a pixel.

    Args:
        shapes: (P,), polygons in longitude and latitude. Where they overlap, a pixel is of the last one.

    Raises:
        RefusedRequestError: together they span more than `MOST_READ` pixels of all dates.
        CubeError: the cube is damaged.
    """
    dates, bands = len(sensor.date), len(sensor.input.bands)
    means = np.full((len(shapes), dates, bands), np.nan, np.float32)
    to_grid = Transformer.from_crs(LONLAT, sensor.grid.crs.to_wkt(), always_xy=True)
    moved = shapely.transform(shapes, lambda points: np.stack(to_grid.transform(*points.T), axis=1))
    window = _window(sensor.grid, shapely.total_bounds(moved))
    if window is None:
        return means
    if window.height * window.width * dates > MOST_READ:
        raise RefusedRequestError(TOO_LARGE, "the parcel is too large for a mean series")
    here = sensor.grid.window(window)
    owner = features.rasterize(
        zip(moved, range(1, len(shapes) + 1), strict=True), here.shape, transform=here.transform, dtype="int32"
    )
    inside = owner > 0
    count = int(inside.sum())
    rows, cols = window.slices
    stored = sensor.stored("values", (slice(None), slice(None), rows, cols))[..., inside]
    valid = sensor.stored("valid", (slice(None), rows, cols)).astype(bool)[:, inside]
    belongs = csr_array((np.ones(count), (owner[inside] - 1, np.arange(count))), shape=(len(shapes), count))
    pixels = belongs.sum(axis=1)
    for date in range(dates):
        seen = belongs @ valid[date].astype(np.float64)
        sums = belongs @ np.where(valid[date], stored[date], 0).T.astype(np.float64)
        enough = (seen > 0) & (seen >= LEAST_SEEN * pixels)
        means[enough, date] = sums[enough] / seen[enough, None]
    return means


def parcel_answer(sensor: SensorCube, shape: Any) -> dict[str, Any]:
    """The mean series of a parcel, as `series_answer` gives that of a pixel.

    Raises:
        RefusedRequestError, CubeError: see `mean_series`.
    """
    means = mean_series(sensor, np.array([shape], object))[0]
    seen = np.isfinite(means[:, 0])
    image = np.where(seen[:, None], means, 0).astype(np.float32) * np.float32(sensor.input.scale)
    return {**sensor_facts(sensor), "days": sensor.date.tolist(), "curves": curves_of(sensor, image, seen)}


def is_covered(grid: Grid, shape: Any) -> bool:
    """Whether a polygon in longitude and latitude is wholly on a grid."""
    west, south, east, north = reproject(shape, LONLAT, grid.crs.to_wkt()).bounds
    left, bottom, right, top = grid.bounds
    return bool(left <= west and bottom <= south and east <= right and north <= top)


def _window(grid: Grid, bounds: NDArray[np.float64]) -> Window | None:
    """The pixels of a grid that a box in its CRS touches; None if there are none."""
    if not np.isfinite(bounds).all():
        return None
    transform = grid.transform
    cols = (bounds[[0, 2]] - transform.c) / transform.a
    rows = (bounds[[3, 1]] - transform.f) / transform.e
    left, right = int(max(np.floor(cols[0]), 0)), int(min(np.ceil(cols[1]), grid.shape[1]))
    top, bottom = int(max(np.floor(rows[0]), 0)), int(min(np.ceil(rows[1]), grid.shape[0]))
    return Window(top, left, bottom - top, right - left) if left < right and top < bottom else None
