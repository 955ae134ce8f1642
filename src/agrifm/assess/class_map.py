"""Class maps, from agrifm or any other source: legend, number of pixels of each class in each row, single pixels.

A raster is read window by window; what is kept grows with its rows and classes, not with its pixels.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from shapely import Polygon

from agrifm.class_raster import ClassRaster, read_class_raster, require_whole
from agrifm.codes import code_of
from agrifm.errors import AssessmentError, doing
from agrifm.files import AnyPath, as_path
from agrifm.grid import LONLAT, Grid, Window, geodesic_hectares
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend
from agrifm.mosaics import open_raster_or_mosaic

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MAX_PIXELS_PER_READ = 2**22
"""Pixels read at once."""
CACHE_MB = 256
"""Decoded blocks that GDAL keeps, so that rows read one after another decode a row of tiles once."""
OUTSIDE, NODATA = -1, -2
"""What `ClassMap.sample` returns for points without a class."""
WARN_AREA_ERROR, MAX_AREA_ERROR = 0.01, 0.1
"""Relative error of a projection's areas above which there is a warning, and above which the map is refused."""


class PixelsOfPoints(NamedTuple):
    """The pixel of each point."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    numbers: NDArray[np.int64]
    """Class number; OUTSIDE the raster and NODATA are negative."""


@dataclass(frozen=True)
class ClassMap:
    """A class map on disk, counted."""

    path: Path
    grid: Grid
    legend: Legend
    """The legend in the file; without one, a class per pixel value with the value as code and name."""
    has_legend: bool
    """Whether the file contains a legend."""
    values: tuple[float, ...]
    """Pixel value of each class."""
    rows: NDArray[np.int64]
    """(class, row), number of pixels."""
    warnings: tuple[str, ...]

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Number of pixels, (class,)."""
        return np.asarray(self.rows.sum(1))

    def hectares(self) -> NDArray[np.float64]:
        """Return mapped hectares, (class,); geodesic where pixels are in degrees."""
        return self.rows @ self.grid.pixel_hectares()

    def nodata_hectares(self) -> float:
        """Return the hectares of the raster without a class."""
        return float((self.grid.shape[1] - self.rows.sum(0)) @ self.grid.pixel_hectares())

    def numbers(self, pixels: np.ma.MaskedArray[Any, Any]) -> NDArray[np.int16]:
        """Return the class number of each pixel value, any shape; NODATA where it is masked or no class."""
        values = np.array(self.values)
        order = np.argsort(values)
        at = np.searchsorted(values, pixels.data, sorter=order).clip(max=values.size - 1)
        known = ~np.ma.getmaskarray(pixels) & (values[order][at] == pixels.data)
        return np.where(known, order[at], NODATA).astype(np.int16)

    def sample(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class number at each pixel, (points,); OUTSIDE the raster and NODATA are negative."""
        height, width = self.grid.shape
        numbers_at = np.full(rows.size, OUTSIDE, np.int64)
        numbers = {value: number for number, value in enumerate(self.values)}
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        with open_classified(self.path) as source:
            # in the order of the file, so that GDAL's cache serves neighbours
            for i in sorted(np.flatnonzero(inside), key=lambda i: (rows[i], cols[i])):
                pixel = read_window(source, Window(int(rows[i]), int(cols[i]), 1, 1))[0, 0]
                numbers_at[i] = NODATA if pixel is np.ma.masked else numbers.get(float(pixel), NODATA)
        return numbers_at

    def locate(self, points: "GeoDataFrame") -> PixelsOfPoints:
        """Return row, column and class number at each point.

        Args:
            points: in the CRS of the map.
        """
        rows, cols = pixel_of_points(self.grid, points)
        return PixelsOfPoints(rows, cols, self.sample(rows, cols))


def read_map(path: AnyPath) -> ClassMap:
    """Count a class map: a GeoTIFF with a legend tag, any georeferenced raster of classes, or a mosaic of such tiles.

    All values are classes except nodata, masked pixels, NaN and, with a legend tag, 255.

    Raises:
        AssessmentError: the file is absent, is not a raster of classes, has no CRS, is rotated, has a projection with
            wrong areas, has no class, more than 255 of them, or a value outside its legend.
    """
    path = as_path(path)
    about = f"reading the map {path}"
    with open_classified(path) as source:
        grid, stated = north_up_grid(source, path), read_class_raster(source, path, about, AssessmentError)
        legend = stated.legend
        by_value = _count(source, path, stated)
    if legend is not None:
        unknown = [value for value in by_value if value not in range(len(legend))]
        if unknown:
            raise AssessmentError(
                f"{about}: pixels have the value {unknown[0]:g}, and its legend has the class numbers 0 "
                f"to {len(legend) - 1}; write the map again, or remove its {LEGEND_TAG} tag",
                path=path,
                value=unknown[0],
            )
        values = tuple(float(number) for number in range(len(legend)))
    else:
        values = tuple(sorted(by_value))
    if not by_value:
        raise AssessmentError(f"{about}: every pixel is nodata; choose another map", path=path)
    empty = np.zeros(grid.shape[0], np.int64)
    rows = np.stack([by_value.get(value, empty) for value in values])
    notes = area_warning(grid, path)
    notes += stated.notes(np.array(values), "declare it (`gdal_edit.py -a_nodata {value} FILE`)")
    legend = legend or stated.legend_of([code_of(value) for value in values])
    return ClassMap(path, grid, legend, stated.legend is not None, values, rows, tuple(notes))


@contextmanager
def open_classified(path: Path) -> Iterator[Any]:
    """Open a raster, or a plain mosaic of rasters in its folder, with rasterio for reading.

    Raises:
        AssessmentError: the file is absent, not a raster, or damaged where it is read.
    """
    with doing(f"reading the raster {path}", AssessmentError, "give a whole GeoTIFF", path=path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # read_map refuses a missing CRS, with a fix
            source = open_raster_or_mosaic(path)
        # By default GDAL keeps 5 % of the memory, which is more than a row of tiles and nothing gains from it.
        with rasterio.Env(GDAL_CACHEMAX=CACHE_MB), source:
            yield source


def block_windows(source: Any) -> Iterator[Window]:
    """Yield windows of whole blocks and at most about 4 million pixels that cover a raster once."""
    height, width = source.shape
    block_height, block_width = source.block_shapes[0]
    window_width = min(width, block_width * max(1, 2048 // block_width))
    window_height = min(height, block_height * max(1, MAX_PIXELS_PER_READ // window_width // block_height))
    for row in range(0, height, window_height):
        for col in range(0, width, window_width):
            yield Window(row, col, min(window_height, height - row), min(window_width, width - col))


def read_window(source: Any, window: Window) -> np.ma.MaskedArray[Any, Any]:
    """Read one window of the first band; masked where it is nodata, masked in the file, or NaN."""
    part = window.slices
    pixels, flags = source.read(1, window=part), source.mask_flag_enums[0]
    whole = pixels.dtype.kind in "iu"
    if whole and flags == [MaskFlags.all_valid]:  # the mask of the file would be read, and is known
        return np.ma.MaskedArray(pixels, np.zeros(pixels.shape, bool))
    if whole and flags == [MaskFlags.nodata] and float(source.nodata).is_integer():
        return np.ma.MaskedArray(pixels, pixels == int(source.nodata))
    # Only NaN differs from itself; it need not be in the mask of the file.
    return np.ma.MaskedArray(pixels, (source.read_masks(1, window=part) == 0) | (pixels != pixels))


def pixel_of_points(grid: Grid, points: "GeoDataFrame") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of the pixel that holds each point, (points,); -1 where a point could not be projected.

    Args:
        points: in the CRS of the grid.
    """
    x, y = points.geometry.get_coordinates().to_numpy().T
    finite = np.isfinite(x) & np.isfinite(y)
    transform = grid.transform
    # The pixel height e is negative, so y = inf becomes a row before the first.
    cols = np.floor((np.where(finite, x, -np.inf) - transform.c) / transform.a)
    rows = np.floor((np.where(finite, y, np.inf) - transform.f) / transform.e)
    # Infinite and huge indices fit into no integer; -1 and 2**40 are outside every raster.
    rows, cols = (np.clip(index, -1, 2**40).astype(np.int64) for index in (rows, cols))
    return rows, cols


def _count(source: Any, path: Path, stated: ClassRaster) -> dict[float, NDArray[np.int64]]:
    """Pixels per row, shape (rows,), of every value except nodata."""
    by_value: dict[float, NDArray[np.int64]] = {}
    for window in block_windows(source):
        pixels = read_window(source, window)
        valid = ~np.ma.getmaskarray(pixels) & ~stated.without_class(pixels.data)
        if pixels.dtype == np.uint8:
            values, table = np.arange(256), _table_of_bytes(pixels.data, valid)
        else:
            require_whole(pixels.data[valid], f"reading the map {path}", AssessmentError)
            values, positions = np.unique(pixels.data[valid], return_inverse=True)
            if len(by_value) + values.size > 2 * 256 + UNLABELLED:  # before the counts of reflectances fill the memory
                raise _too_many(path)
            # One bincount over (row, value) pairs gives the table of rows and values.
            row = np.nonzero(valid)[0]
            counts = np.bincount(row * values.size + positions, minlength=window.height * values.size)
            table = counts.reshape(window.height, values.size)
        for position in np.flatnonzero(table.any(0)):
            total = by_value.setdefault(float(values[position]), np.zeros(source.shape[0], np.int64))
            total[window.row : window.row + window.height] += table[:, position]
    if len(by_value) > UNLABELLED:
        raise _too_many(path)
    return by_value


def _table_of_bytes(pixels: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Valid pixels of each value in each row, (rows, 256); a row at a time, in the processor's cache."""
    return np.stack(
        [
            np.bincount(row if of_row.all() else row[of_row], minlength=256)
            for row, of_row in zip(pixels, valid, strict=True)
        ]
    )


def _too_many(path: Path) -> AssessmentError:
    return AssessmentError(
        f"reading the map {path}: it has more than {UNLABELLED} different values, so it is not a map of classes; "
        "give the raster of classes, not one of confidence or reflectance",
        path=path,
    )


def north_up_grid(source: Any, path: Path) -> Grid:
    """Return the grid of an open raster.

    Raises:
        AssessmentError: it has no CRS, or is rotated or mirrored.
    """
    if source.crs is None:
        raise AssessmentError(
            f"reading the map {path}: it has no coordinate reference system, so its location and hectares are unknown; "
            "assign the right one (`gdal_edit.py -a_srs EPSG:… FILE`)",
            path=path,
        )
    transform = source.transform
    if transform.b or transform.d or transform.a <= 0:
        raise AssessmentError(
            f"reading the map {path}: its pixels are rotated or mirrored; warp it to a north-up grid (`gdalwarp`)",
            path=path,
        )
    return Grid.of(source.crs.to_wkt(), transform, source.shape)


def area_warning(grid: Grid, path: Path) -> list[str]:
    """Warn of, or refuse, a projection whose areas differ from those on the ground.

    The pixels in the corners, the middles of the sides and the centre are compared with their geodesic areas.

    Raises:
        AssessmentError: areas are more than 10 % wrong.
    """
    if grid.crs.geographic:
        return []
    to_lonlat = Transformer.from_crs(grid.crs.to_wkt(), LONLAT, always_xy=True)
    hectares = float(grid.pixel_hectares()[0])
    half_width, half_height = abs(grid.transform.a) / 2, abs(grid.transform.e) / 2
    errors = []
    for y in grid.y[[0, grid.y.size // 2, -1]]:
        for x in grid.x[[0, grid.x.size // 2, -1]]:
            corners = to_lonlat.transform(
                x + half_width * np.array([-1, 1, 1, -1]), y + half_height * np.array([-1, -1, 1, 1])
            )
            if np.isfinite(corners).all():  # a corner of a world map may be off the globe
                errors.append(hectares / geodesic_hectares(Polygon(np.transpose(corners))) - 1)
    worst = max(errors, key=abs, default=0.0)
    about = f"the map's projection makes areas up to {abs(worst):.1%} {'larger' if worst > 0 else 'smaller'}"
    if abs(worst) > MAX_AREA_ERROR:
        raise AssessmentError(
            f"reading the map {path}: {about} than on the ground; warp it (nearest neighbour) to UTM, to degrees, or "
            "to an equal-area projection",
            path=path,
            error=worst,
        )
    return [f"{about} than on the ground; hectares are off by as much"] if abs(worst) > WARN_AREA_ERROR else []
