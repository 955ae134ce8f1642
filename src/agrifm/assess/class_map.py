"""Reads a class map, ours or another's: its legend, how many pixels of each class lie in each row, single pixels.

A raster is read window by window; what is kept grows with its rows and classes, not with its pixels.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pydantic import ValidationError
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from shapely import Polygon

from agrifm.errors import AssessmentError
from agrifm.grid import LONLAT, Grid, Window, geodesic_hectares
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend

MOST_PIXELS = 2**22
"""Pixels read at once."""
OUTSIDE, NODATA = -1, -2
"""What `ClassMap.sample` says of places that have no class."""
DOUBTFUL_STRETCH, UNUSABLE_STRETCH = 0.01, 0.1
"""Share by which a projection may falsify areas before there is a warning, and before the map is refused."""


@dataclass(frozen=True)
class ClassMap:
    """A class map on disk, counted."""

    path: Path
    grid: Grid
    legend: Legend
    """Every class of the map's own legend; without one, a class per pixel value with the value as code and name."""
    own_legend: bool
    """Whether the legend came with the file."""
    values: tuple[float, ...]
    """Pixel value of each class."""
    rows: NDArray[np.int64]
    """(class, row), number of pixels."""
    warnings: tuple[str, ...]

    @property
    def pixels(self) -> NDArray[np.int64]:
        """(class,), number of pixels."""
        return np.asarray(self.rows.sum(1))

    def hectares(self) -> NDArray[np.float64]:
        """(class,), mapped hectares; geodesic where pixels are in degrees."""
        return self.rows @ self.grid.pixel_hectares()

    def nodata_hectares(self) -> float:
        """Hectares of the raster without a class."""
        return float((self.grid.shape[1] - self.rows.sum(0)) @ self.grid.pixel_hectares())

    def sample(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.int64]:
        """Class number at each pixel; OUTSIDE the raster and NODATA are negative. Shape (points,) everywhere."""
        height, width = self.grid.shape
        found = np.full(rows.size, OUTSIDE, np.int64)
        numbers = {value: number for number, value in enumerate(self.values)}
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        with open_raster(self.path) as source:
            for i in sorted(np.flatnonzero(inside), key=lambda i: (rows[i], cols[i])):
                pixel = read_window(source, Window(int(rows[i]), int(cols[i]), 1, 1))[0, 0]
                found[i] = NODATA if pixel is np.ma.masked else numbers.get(float(pixel), NODATA)
        return found


def read_map(path: Path) -> ClassMap:
    """Count a class map: a GeoTIFF with our legend tag, or any georeferenced raster of classes.

    Nodata, masked pixels, NaN and, with our legend, 255 are no class; all other values are.

    Raises:
        AssessmentError: the file is absent, is no raster, has no CRS, is rotated, has a projection that falsifies
            areas, holds no class, more than 255 of them, or a value outside its legend.
    """
    with open_raster(path) as source:
        grid, legend = _grid(source, path), _legend(source, path)
        notes = [f"the map has {source.count} bands; the first was assessed"] if source.count > 1 else []
        found = _count(source, path)
    if legend is not None:
        found.pop(UNLABELLED, None)
        strange = [value for value in found if value not in range(len(legend))]
        if strange:
            raise AssessmentError(
                f"reading the map {path}: pixels have the value {strange[0]:g}, and its legend has the class numbers 0 "
                f"to {len(legend) - 1}; write the map again, or remove its {LEGEND_TAG} tag"
            )
        values = tuple(float(number) for number in range(len(legend)))
    else:
        values = tuple(sorted(found))
    if not found:
        raise AssessmentError(f"reading the map {path}: every pixel is nodata; choose another map")
    empty = np.zeros(grid.shape[0], np.int64)
    rows = np.stack([found.get(value, empty) for value in values])
    own = legend is not None
    return ClassMap(path, grid, legend or Legend.of(values), own, values, rows, (*notes, *_stretch_warning(grid, path)))


@contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """A rasterio dataset, open for reading.

    Raises:
        AssessmentError: the file is absent or no raster.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a missing CRS is an error of ours, with its fix
        try:
            source = rasterio.open(path)
        except RasterioError as error:
            raise AssessmentError(f"reading the raster {path}: {error}; give a GeoTIFF that exists") from error
    with source:
        yield source


def windows(source: Any) -> Iterator[Window]:
    """Windows of whole blocks and at most about 4 million pixels that cover a raster once."""
    height, width = source.shape
    block_height, block_width = source.block_shapes[0]
    wide = min(width, block_width * max(1, 2048 // block_width))
    high = min(height, block_height * max(1, MOST_PIXELS // wide // block_height))
    for row in range(0, height, high):
        for col in range(0, width, wide):
            yield Window(row, col, min(high, height - row), min(wide, width - col))


def read_window(source: Any, window: Window) -> np.ma.MaskedArray[Any, Any]:
    """One window of the first band; masked where nodata, masked in the file, or NaN."""
    pixels = source.read(1, window=rasterio.windows.Window(window.col, window.row, window.width, window.height))
    mask = source.read_masks(1, window=rasterio.windows.Window(window.col, window.row, window.width, window.height))
    return np.ma.MaskedArray(pixels, (mask == 0) | (pixels != pixels))


def _count(source: Any, path: Path) -> dict[float, NDArray[np.int64]]:
    """Pixels per row, shape (rows,), of every value that is no nodata."""
    found: dict[float, NDArray[np.int64]] = {}
    for window in windows(source):
        pixels = read_window(source, window)
        valid = ~np.ma.getmaskarray(pixels)
        if pixels.dtype == np.uint8:
            values, positions = np.arange(256), pixels.data[valid]
        else:
            values, positions = np.unique(pixels.data[valid], return_inverse=True)
        if len(found) + values.size > 2 * 256 + UNLABELLED:
            raise _too_many(path)
        row = np.nonzero(valid)[0]
        counts = np.bincount(row * values.size + positions, minlength=window.height * values.size)
        table = counts.reshape(window.height, values.size)
        for position in np.flatnonzero(table.any(0)):
            total = found.setdefault(float(values[position]), np.zeros(source.shape[0], np.int64))
            total[window.row : window.row + window.height] += table[:, position]
    if len(set(found) - {float(UNLABELLED)}) > UNLABELLED:
        raise _too_many(path)
    return found


def _too_many(path: Path) -> AssessmentError:
    return AssessmentError(
        f"reading the map {path}: it has more than {UNLABELLED} different values, so it is no map of classes; "
        "give the raster of classes, not one of confidence or reflectance"
    )


def _legend(source: Any, path: Path) -> Legend | None:
    text = source.tags().get(LEGEND_TAG)
    try:
        return None if text is None else Legend.model_validate_json(text)
    except ValidationError as error:
        raise AssessmentError(
            f"reading the map {path}: its {LEGEND_TAG} tag is no legend ({str(error).splitlines()[0]}); write the map "
            "again, or remove the tag"
        ) from error


def _grid(source: Any, path: Path) -> Grid:
    if source.crs is None:
        raise AssessmentError(
            f"reading the map {path}: it has no coordinate reference system, so neither places nor hectares are known; "
            "assign the right one (`gdal_edit.py -a_srs EPSG:… FILE`)"
        )
    transform = source.transform
    if transform.b or transform.d or transform.a <= 0:
        raise AssessmentError(
            f"reading the map {path}: its pixels are rotated or mirrored; warp it to a grid along its axes (`gdalwarp`)"
        )
    return Grid.of(source.crs.to_wkt(), transform, source.shape)


def _stretch_warning(grid: Grid, path: Path) -> list[str]:
    """Warn of, or refuse, a projection whose areas differ from those on the ground."""
    if grid.crs.geographic:
        return []
    to_lonlat = Transformer.from_crs(grid.crs.to_wkt(), LONLAT, always_xy=True)
    hectares = float(grid.pixel_hectares()[0])
    wide, high = abs(grid.transform.a) / 2, abs(grid.transform.e) / 2
    stretches = []
    for y in grid.y[[0, grid.y.size // 2, -1]]:
        for x in grid.x[[0, grid.x.size // 2, -1]]:
            corners = to_lonlat.transform(
                [x - wide, x + wide, x + wide, x - wide], [y - high, y - high, y + high, y + high]
            )
            if np.isfinite(corners).all():  # a corner of a world map may lie off the globe
                stretches.append(hectares / geodesic_hectares(Polygon(np.transpose(corners))) - 1)
    worst = max(stretches, key=abs, default=0.0)
    about = f"the map's projection makes areas up to {abs(worst):.1%} {'larger' if worst > 0 else 'smaller'}"
    if abs(worst) > UNUSABLE_STRETCH:
        raise AssessmentError(
            f"reading the map {path}: {about} than on the ground; warp it (nearest neighbour) to UTM, to degrees, or "
            "to an equal-area projection"
        )
    return [f"{about} than on the ground; hectares are off by as much"] if abs(worst) > DOUBTFUL_STRETCH else []
