"""Maps of numbers that agrifm makes: yields with their intervals, or shares of classes; counted, and read at places.

A raster is read window by window. Numbers are t/ha, or shares 0 to 1, as they are in the file.

Shape letters: L layers (bands), N places, D districts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapely import box

from agrifm.assess.class_map import area_warning, block_windows, north_up_grid, open_classified, pixel_of_points
from agrifm.assess.intervals import Floats
from agrifm.assess.sampling_frame import NONE, PolygonFile, polygon_strata, read_polygons
from agrifm.errors import AssessmentError
from agrifm.grid import Grid, Window
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend
from agrifm.mapping.parcel_pooling import PartOfMap, PooledMeans, pool_means
from agrifm.record import Task
from agrifm.shares import SHARES_TAG
from agrifm.yields import CROP_TAG, LEVEL_TAG, UNIT_TAG, YIELD_BANDS

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True)
class NumberMap:
    """A map of numbers on disk, counted."""

    path: Path
    grid: Grid
    task: Task
    """ "yield" or "fractions"."""
    layers: tuple[str, ...]
    """Names of the bands: `YIELD_BANDS`, or the codes of the classes."""
    legend: Legend
    """Classes of shares; of a map of yields its crops."""
    level: float | None
    """Of a map of yields, the share of the fields that its intervals are to hold."""
    hectares: float
    """With numbers; geodesic where pixels are in degrees."""
    totals: Floats
    """(L,), sum over the pixels of number times hectares."""
    nodata_ha: float
    """Of the raster, without numbers."""
    warnings: tuple[str, ...] = ()


class NumbersAt(NamedTuple):
    """What a map of numbers has at places."""

    values: Floats
    """(N, L), NaN where it has none."""
    inside: NDArray[np.bool_]
    """(N,), whether the place is on the raster."""
    rows: NDArray[np.int64]
    """(N,), of the pixel that holds the place, or a point inside it."""
    cols: NDArray[np.int64]


def task_of_numbers(path: Path) -> Task | None:
    """Return "yield" or "fractions" if a raster is such a map of agrifm, by its tags; None of any other.

    Raises:
        AssessmentError: it is absent or not a raster.
    """
    with open_classified(path) as source:
        tags = source.tags()
    return "fractions" if SHARES_TAG in tags else "yield" if UNIT_TAG in tags else None


def read_number_map(path: Path) -> NumberMap:
    """Count a map of yields or of shares.

    Raises:
        AssessmentError: it is absent, not such a map, rotated, without CRS, or every pixel is nodata.
    """
    about = f"reading the map {path}"
    task = task_of_numbers(path)
    with open_classified(path) as source:
        tags, grid, bands = source.tags(), north_up_grid(source, path), source.count
        legend = Legend.of([str(code) for code in tags.get(CROP_TAG, "crop").split()])
        if task == "fractions":
            legend = Legend.model_validate_json(tags.get(LEGEND_TAG, '{"classes": []}'))
        layers = YIELD_BANDS if task == "yield" else legend.codes
        if task is None or bands != len(layers) or tags.get(UNIT_TAG, "t/ha") != "t/ha":
            raise AssessmentError(
                f"{about}: its {bands} bands and tags are not those of a map of yields in t/ha or of shares that "
                "`agrifm map` wrote; give yield.tif or fractions.tif as they were written",
                path=path,
                bands=bands,
            )
        per_row, known, totals = grid.pixel_hectares(), 0.0, np.zeros(bands)
        for window in block_windows(source):
            hectares = per_row[window.row : window.row + window.height, None]
            for band in range(bands):
                values = source.read(band + 1, window=window.slices).astype(np.float64)
                there = ~np.isnan(values)
                known += float((there * hectares).sum()) if band == 0 else 0.0
                totals[band] += float((np.where(there, values, 0) * hectares).sum())
    if not known:
        raise AssessmentError(f"{about}: every pixel is nodata; choose another map", path=path)
    level = float(tags[LEVEL_TAG]) if task == "yield" and LEVEL_TAG in tags else None
    empty = float(per_row.sum() * grid.shape[1]) - known
    return NumberMap(
        path, grid, task, tuple(layers), legend, level, known, totals, empty, tuple(area_warning(grid, path))
    )


def numbers_at_points(mapped: NumberMap, points: "GeoDataFrame") -> NumbersAt:
    """Return the numbers of the pixel that contains each point.

    Args:
        points: in the CRS of the map.
    """
    rows, cols = pixel_of_points(mapped.grid, points)
    height, width = mapped.grid.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    values = np.full((len(points), len(mapped.layers)), np.nan)
    with open_classified(mapped.path) as source:
        # in the order of the file, so that GDAL's cache serves neighbours
        for at in sorted(np.flatnonzero(inside), key=lambda at: (rows[at], cols[at])):
            values[at] = source.read(window=Window(int(rows[at]), int(cols[at]), 1, 1).slices)[:, 0, 0]
    return NumbersAt(values, inside, rows, cols)


def numbers_in_polygons(mapped: NumberMap, polygons: "GeoDataFrame", least: float) -> NumbersAt:
    """Return the means over the pixels of each polygon, each pixel by the share of it that is inside.

    Args:
        polygons: valid, in the CRS of the map.
        least: share of a polygon's ground with numbers from which it has a mean.
    """
    points = polygons.set_geometry(polygons.geometry.representative_point())
    rows, cols = pixel_of_points(mapped.grid, points)
    touching = polygons.geometry.intersects(box(*mapped.grid.bounds)).to_numpy()
    with open_classified(mapped.path) as source:

        def read(window: Window) -> tuple[NDArray[Any], NDArray[np.uint8]]:
            bands = source.read(window=window.slices).astype(np.float64)
            known = ~np.isnan(bands[0])
            return np.where(known, bands, 0), np.where(known, np.uint8(0), np.uint8(UNLABELLED))

        part = PartOfMap(mapped.grid, read, np.arange(len(polygons)), polygons.geometry.to_numpy())
        found: PooledMeans = pool_means(len(polygons), [part], len(mapped.layers))
    return NumbersAt(np.where(found.mapped[:, None] >= least, found.means, np.nan), touching, rows, cols)


class NumbersOfDistricts(NamedTuple):
    """What a map of numbers has in districts."""

    codes: tuple[str, ...]
    hectares: Floats
    """(D,), with numbers."""
    totals: Floats
    """(D, L), sums of number times hectares."""
    at_place: NDArray[np.int64]
    """(N,), number of the district that contains each place; -1 = none."""


def numbers_of_districts(mapped: NumberMap, stated: PolygonFile, points: "GeoDataFrame") -> NumbersOfDistricts:
    """Sum the map in each district, and find the district of each place; districts without numbers are left out.

    Args:
        points: in the CRS of the map.

    Raises:
        AssessmentError: the file cannot be read, has no such column, a polygon has no code, districts overlap, or no
            pixel with numbers is in any.
    """
    polygons = read_polygons(stated.file, stated.column, f"reading the districts {stated.file}", stated.keys)
    drawn = polygon_strata(polygons, stated.column, mapped.grid)
    size, totals = np.zeros(len(drawn.names)), np.zeros((len(drawn.names), len(mapped.layers)))
    per_row = mapped.grid.pixel_hectares()
    with open_classified(mapped.path) as source:
        for window in block_windows(source):
            number = drawn.on(mapped.grid.window(window))
            hectares = np.broadcast_to(per_row[window.row : window.row + window.height, None], number.shape)
            for band in range(len(mapped.layers)):
                values = source.read(band + 1, window=window.slices)
                there = (number != NONE) & ~np.isnan(values)
                counted = number[there], hectares[there], len(size)
                size += np.bincount(*counted) if band == 0 else 0
                totals[:, band] += np.bincount(counted[0], counted[1] * values[there], counted[2])
    present = np.flatnonzero(size)
    if not len(present):
        raise AssessmentError(f"reading the districts {stated.file}: no pixel with numbers is in any", path=stated.file)
    place = np.full(len(size) + 1, NONE, np.int64)
    place[present] = np.arange(len(present))
    of_point, inside = (
        np.full(len(points), NONE, np.int64),
        drawn.placed.sindex.query(points.geometry, predicate="within"),
    )
    of_point[inside[0]] = drawn.number[inside[1]]
    return NumbersOfDistricts(
        tuple(drawn.names[number] for number in present), size[present], totals[present], place[of_point]
    )
