"""Sampling frames: the pixels that reference points are drawn from, and the stratum of each.

A frame is a raster that is read window by window: the classes of a map, all of them as one, its classes with a stratum
along their edges, or polygons on its pixels. Another raster of strata is a frame of its own: it is read as a map is.

Shape letters: S strata, H W rows and columns of the raster, h w of a window.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rasterio import features
from shapely import box

from agrifm.assess.class_map import ClassMap, block_windows, open_classified, pixel_of_points, read_window
from agrifm.codes import listed, read_codes
from agrifm.errors import AssessmentError, did_you_mean
from agrifm.grid import Grid, Window
from agrifm.vectors import NOTHING_STATED, VectorKeys, read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

Numbers = NDArray[np.int16]
Reader = Callable[[Window], Numbers]
NONE = -1
"""Number of a pixel that is in no stratum."""
EDGE, WHOLE = "edge", "all"
"""Codes of the stratum along edges, and of the only stratum of a simple random sample."""
MAX_EDGE = 64
"""Widest stratum along edges, pixels."""


@dataclass(frozen=True)
class SamplingFrame:
    """The stratum of every pixel, counted."""

    grid: Grid
    codes: tuple[str, ...]
    """Of the strata that have pixels."""
    names: tuple[str, ...]
    rows: NDArray[np.int64]
    """Pixels of each stratum in each row, (S, H)."""
    open: Callable[[], AbstractContextManager[Reader]]
    """Opens the raster; the reader returns the number of the stratum of each pixel of a window (h, w), or NONE."""
    is_map: bool = False
    """Whether the strata are the classes of a map."""

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Pixels of each stratum, (S,)."""
        return np.asarray(self.rows.sum(axis=1))

    @property
    def pixels_per_row(self) -> NDArray[np.int64]:
        """Pixels of all strata in each row, (H,)."""
        return np.asarray(self.rows.sum(axis=0))

    def hectares(self) -> NDArray[np.float64]:
        """Return the hectares of each stratum, (S,); geodesic where pixels are in degrees."""
        return self.rows @ self.grid.pixel_hectares()


def frame_of_map(mapped: ClassMap) -> SamplingFrame:
    """Return the frame whose strata are the classes of a map."""
    present = np.flatnonzero(mapped.pixels)
    classes = [mapped.legend.classes[number] for number in present]
    return SamplingFrame(
        mapped.grid,
        tuple(entry.code for entry in classes),
        tuple(entry.name for entry in classes),
        mapped.rows[present],
        lambda: _open_map(mapped, present),
        is_map=True,
    )


def frame_of_whole(mapped: ClassMap) -> SamplingFrame:
    """Return the frame of all mapped pixels as one stratum, for simple random and systematic samples."""
    frame = frame_of_map(mapped)

    @contextmanager
    def opened() -> Iterator[Reader]:
        with frame.open() as read:
            yield lambda window: np.where(read(window) == NONE, np.int16(NONE), np.int16(0))

    return SamplingFrame(mapped.grid, (WHOLE,), ("the whole map",), frame.rows.sum(axis=0, keepdims=True), opened)


def frame_with_edges(mapped: ClassMap, width: float) -> SamplingFrame:
    """Return the classes of a map, and as one more stratum the pixels near a pixel of another class.

    Errors of maps are mostly near edges, so a stratum of their own brings them into the sample (Olofsson et al. 2020,
    doi:10.1016/j.rse.2019.111492).

    Args:
        width: of the stratum on each side of an edge, in units of the map's CRS; at least a pixel.

    Raises:
        AssessmentError: the width is less than a pixel or more than 64, or the map has a class of the code "edge".
    """
    inside = frame_of_map(mapped)
    reach = int(width / mapped.grid.resolution + 1e-6)
    if not 1 <= reach <= MAX_EDGE or EDGE in inside.codes:
        raise AssessmentError(
            f"drawing a stratum of {width:g} along the edges of {mapped.path}: its pixels are "
            f"{mapped.grid.resolution:g}, and its classes {listed(list(inside.codes))}; give a width of 1 to "
            f"{MAX_EDGE} pixels, and no class the code '{EDGE}'",
            width=width,
            pixel=mapped.grid.resolution,
        )
    edge = len(inside.codes)

    @contextmanager
    def opened() -> Iterator[Reader]:
        with inside.open() as read:

            def with_edges(window: Window) -> Numbers:
                grown = window.grown(reach, mapped.grid.shape)
                numbers = read(grown)
                near = _near_edges(numbers, reach)
                result = np.where(near & (numbers != NONE), np.int16(edge), numbers)
                return result[window.within(grown).slices]

            yield with_edges

    codes, names = (*inside.codes, EDGE), (*inside.names, f"within {width:g} of another class")
    return _counted(mapped, codes, names, opened)


@dataclass(frozen=True)
class PolygonFile:
    """A file of polygons, such as districts or parcels."""

    file: Path
    column: str
    """Of their codes or names."""
    keys: VectorKeys = NOTHING_STATED


def read_polygons(path: Path, column: str, about: str, keys: VectorKeys = NOTHING_STATED) -> "GeoDataFrame":
    """Read polygons with a column of their codes, for `frame_of_polygons`.

    Args:
        about: what is being done, for messages.
        keys: what the user states of the file.

    Raises:
        AssessmentError: the file cannot be read, or has no such column.
    """
    polygons = read_vector(path, about, AssessmentError, ["polygon"], keys).frame
    columns = [str(name) for name in polygons.columns if name != polygons.geometry.name]
    if column not in columns:
        raise AssessmentError(
            f"{about}: it has no column '{column}'{did_you_mean(column, columns)} (its columns: {', '.join(columns)}); "
            "name the column of the codes",
            column=column,
            columns=columns,
        )
    return polygons


@dataclass(frozen=True)
class PolygonStrata:
    """Polygons, such as districts, that are drawn on the pixels of a raster."""

    names: tuple[str, ...]
    """Codes of the strata; polygons with one code are one stratum."""
    number: NDArray[np.int64]
    """(polygons,), of the stratum."""
    placed: "GeoDataFrame"
    """In the CRS of the raster."""
    column: str

    def on(self, grid: Grid) -> Numbers:
        """Return the number of the stratum that contains the centre of each pixel of a grid (h, w), or NONE.

        Raises:
            AssessmentError: a pixel is in two strata.
        """
        result = np.full(grid.shape, NONE, np.int16)
        near = self.placed.sindex.query(box(*grid.bounds))
        for stratum in np.unique(self.number[near]):
            shapes = self.placed.geometry.iloc[near[self.number[near] == stratum]]
            burnt = features.rasterize(shapes, grid.shape, transform=grid.transform, dtype=np.uint8) == 1
            if (burnt & (result != NONE)).any():
                other = self.names[result[burnt & (result != NONE)][0]]
                raise AssessmentError(
                    f"reading the strata of column '{self.column}': '{self.names[stratum]}' and '{other}' overlap; "
                    "strata must not share any pixel",
                    strata=(other, self.names[stratum]),
                )
            result[burnt] = stratum
        return result


def polygon_strata(polygons: "GeoDataFrame", column: str, grid: Grid) -> PolygonStrata:
    """Return polygons as strata on a grid.

    Args:
        polygons: in any CRS.
        column: of their codes.

    Raises:
        AssessmentError: a polygon has no code.
    """
    codes, _ = read_codes(polygons[column])
    if not all(codes):
        raise AssessmentError(
            f"reading the strata of column '{column}': {codes.count('')} polygons have no code; fill it in",
            column=column,
            polygons=codes.count(""),
        )
    names, number = np.unique(codes, return_inverse=True)
    return PolygonStrata(tuple(names.tolist()), number, polygons.to_crs(str(grid.crs)), column)


def frame_of_polygons(mapped: ClassMap, polygons: "GeoDataFrame", column: str) -> SamplingFrame:
    """Return the frame whose strata are polygons, such as districts, on the mapped pixels of a map.

    A pixel belongs to the polygon that contains its centre. Polygons with one code are one stratum.

    Args:
        polygons: in any CRS.
        column: of their codes.

    Raises:
        AssessmentError: a polygon has no code, or a pixel is in two strata.
    """
    drawn, inside = polygon_strata(polygons, column, mapped.grid), frame_of_map(mapped)

    @contextmanager
    def opened() -> Iterator[Reader]:
        with inside.open() as read:

            def of_window(window: Window) -> Numbers:
                result = drawn.on(mapped.grid.window(window))
                return np.where(read(window) == NONE, np.int16(NONE), result)

            yield of_window

    return _counted(mapped, drawn.names, drawn.names, opened)


def frame_outside(frame: SamplingFrame, mapped: ClassMap, polygons: "GeoDataFrame") -> SamplingFrame:
    """Return a frame without the pixels whose centre is in a polygon, such as one of a complete list of parcels.

    Args:
        mapped: the map or raster of strata that the frame is of.
        polygons: in any CRS.

    Raises:
        AssessmentError: no pixel is left.
    """
    placed = polygons.to_crs(str(mapped.grid.crs))
    tree = placed.sindex

    @contextmanager
    def opened() -> Iterator[Reader]:
        with frame.open() as read:

            def outside(window: Window) -> Numbers:
                grid, numbers = mapped.grid.window(window), read(window)
                near = tree.query(box(*grid.bounds))
                if not len(near):
                    return numbers
                burnt = features.rasterize(
                    placed.geometry.iloc[near], grid.shape, transform=grid.transform, dtype=np.uint8
                )
                return np.where(burnt == 1, np.int16(NONE), numbers)

            yield outside

    return _counted(mapped, frame.codes, frame.names, opened)


def strata_at_points(frame: SamplingFrame, points: "GeoDataFrame") -> NDArray[np.int64]:
    """Return the stratum of the pixel that holds each point, (N,), or NONE.

    Args:
        points: on the raster, in its CRS.
    """
    rows, cols = pixel_of_points(frame.grid, points)
    found = np.full(len(points), NONE, np.int64)
    with frame.open() as read:
        for at in np.lexsort((cols, rows)):  # in the order of the file, so that GDAL's cache serves neighbours
            found[at] = read(Window(int(rows[at]), int(cols[at]), 1, 1))[0, 0]
    return found


@contextmanager
def _open_map(mapped: ClassMap, present: NDArray[np.intp]) -> Iterator[Reader]:
    values = np.array(mapped.values)[present]
    order = np.argsort(values)
    ordered = values[order]
    of_byte = np.full(256, NONE, np.int16)
    bytes_of = (values >= 0) & (values < 256) & (values == np.floor(values))
    of_byte[values[bytes_of].astype(int)] = np.flatnonzero(bytes_of)
    with open_classified(mapped.path) as source:

        def read(window: Window) -> Numbers:
            pixels = read_window(source, window)
            if pixels.dtype == np.uint8:  # looked up, not searched
                numbers: Numbers = of_byte[pixels.data]
                numbers[np.ma.getmaskarray(pixels)] = NONE
                return numbers
            at = np.searchsorted(ordered, pixels.data).clip(max=len(ordered) - 1)
            known = ~np.ma.getmaskarray(pixels) & (ordered[at] == pixels.data)
            return np.where(known, order[at], NONE).astype(np.int16)

        yield read


def _near_edges(numbers: Numbers, reach: int) -> NDArray[np.bool_]:
    """Whether a pixel of another class is within `reach` pixels, (h, w); pixels without a class make no edge."""
    if numbers.max() < np.iinfo(np.int8).max:  # half of the bytes to move
        numbers = numbers.astype(np.int8)
    most = _of_disc(np.maximum, numbers, reach)
    least = _of_disc(np.minimum, np.where(numbers == NONE, np.iinfo(numbers.dtype).max, numbers), reach)
    near: NDArray[np.bool_] = (most != NONE) & (least < most)
    return near


def _of_disc(function: np.ufunc, numbers: NDArray[np.integer], reach: int) -> NDArray[np.integer]:
    """The maximum or minimum of the pixels within `reach` pixels of each, (h, w).

    A disc is made of rows, and a wider row of a narrower one: 4 x `reach` operations on whole windows, and not one for
    each pixel of the disc, as `scipy.ndimage.maximum_filter` has.
    """
    height, width = numbers.shape
    padded = np.pad(numbers, reach, mode="edge")
    row, result = padded[:, reach : reach + width].copy(), numbers.copy()
    of_width: dict[int, list[int]] = {}
    for down in range(1, reach + 1):
        of_width.setdefault(isqrt(reach**2 - down**2), []).append(down)
    for wide in range(reach + 1):
        if wide:
            for start in (reach - wide, reach + wide):
                function(row, padded[:, start : start + width], out=row)
        for down in of_width.get(wide, []):
            for start in (reach - down, reach + down):
                function(result, row[start : start + height], out=result)
    function(result, row[reach : reach + height], out=result)
    return result


def _counted(
    mapped: ClassMap,
    codes: tuple[str, ...],
    names: tuple[str, ...],
    opened: Callable[[], AbstractContextManager[Reader]],
) -> SamplingFrame:
    """A frame on the grid of a map, its strata counted row by row, without those that have no pixel."""
    rows = np.zeros((len(codes), mapped.grid.shape[0]), np.int64)
    with open_classified(mapped.path) as source:
        windows = list(block_windows(source))
    with opened() as read:
        for window in windows:
            numbers = read(window)
            row = np.arange(window.height)[:, None] * (len(codes) + 1) + numbers + 1
            counts = np.bincount(row.ravel(), minlength=window.height * (len(codes) + 1))
            rows[:, window.row : window.row + window.height] += counts.reshape(window.height, -1).T[1:]
    present = np.flatnonzero(rows.any(axis=1))
    if not len(present):
        raise AssessmentError(f"reading the strata of {mapped.path}: no pixel with a class is in any of them")
    places = np.full(len(codes) + 1, NONE, np.int16)  # the last one answers NONE, which is -1
    places[present] = np.arange(len(present))

    @contextmanager
    def renumbered() -> Iterator[Reader]:
        with opened() as read:
            yield lambda window: places[read(window)]

    return SamplingFrame(
        mapped.grid,
        tuple(codes[number] for number in present),
        tuple(names[number] for number in present),
        rows[present],
        renumbered,
    )
