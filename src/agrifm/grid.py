"""Grids: CRS, affine transform and shape; their windows and tiles. Pure arithmetic, no files.

Grids of a cube lie in the area's UTM zone, snapped to multiples of 480 m, so that pixels of 10, 30, 240 and
480 m nest. Shapes are (rows, columns); windows count pixels from the upper left corner.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from shapely import Polygon, box, orient_polygons, transform
from shapely.geometry.base import BaseGeometry

from agrifm.errors import CubeError

NEST = 480
"""Side in metres of the square in which all pixel sizes nest: the smallest MODIS pixel."""
LONLAT = "EPSG:4326"
MIN_UTM, MAX_UTM = -80.0, 84.0
"""Latitudes of UTM, degrees."""
MAX_LATITUDES = 20
"""Degrees of latitude that one area may span, 2200 km: a longer one has a wrong coordinate far more often."""
WARP_TOLERANCE = 1e-6
"""Pixels that a position may be wrong by when GDAL reprojects; its default of 0.125 takes the wrong neighbour of one
pixel in fourteen."""


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of pixels: upper left row and column, height and width."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices, for indexing an array."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def scaled(self, ratio: int) -> "Window":
        """The same ground on a grid whose pixels are `ratio` times as long; all four numbers must divide."""
        numbers = (self.row, self.col, self.height, self.width)
        assert not any(number % ratio for number in numbers), f"{self} does not nest in pixels {ratio} x as long"
        return Window(*(number // ratio for number in numbers))

    def grown(self, pixels: int, shape: tuple[int, int]) -> "Window":
        """The window with `pixels` more on each side, clipped to a grid of `shape`."""
        top, left = max(self.row - pixels, 0), max(self.col - pixels, 0)
        bottom, right = min(self.row + self.height + pixels, shape[0]), min(self.col + self.width + pixels, shape[1])
        return Window(top, left, bottom - top, right - left)

    def common(self, other: "Window") -> "Window":
        """The pixels that are in another window too; without height or width if there are none."""
        top, left = max(self.row, other.row), max(self.col, other.col)
        bottom = min(self.row + self.height, other.row + other.height)
        right = min(self.col + self.width, other.col + other.width)
        return Window(top, left, max(bottom - top, 0), max(right - left, 0))

    def outside(self, inner: "Window") -> list["Window"]:
        """What is left of the window without another one: above it, below it, left and right of it, where not empty."""
        common = self.common(inner)
        if not (common.height and common.width):
            return [self]
        low, end = common.row + common.height, common.col + common.width
        parts = [
            Window(self.row, self.col, common.row - self.row, self.width),
            Window(low, self.col, self.row + self.height - low, self.width),
            Window(common.row, self.col, common.height, common.col - self.col),
            Window(common.row, end, common.height, self.col + self.width - end),
        ]
        return [part for part in parts if part.height and part.width]

    def within(self, outer: "Window") -> "Window":
        """The same pixels, counted from the corner of a window that contains them."""
        return Window(self.row - outer.row, self.col - outer.col, self.height, self.width)


@dataclass(frozen=True)
class Grid:
    """CRS + affine transform + shape."""

    box: GeoBox

    @classmethod
    def of(cls, crs: str, transform: Affine, shape: tuple[int, int]) -> "Grid":
        """Grid from its three parts; `crs` is anything pyproj reads (EPSG code, WKT)."""
        return cls(GeoBox(shape, transform, crs))

    @property
    def crs(self) -> CRS:
        """Coordinate reference system."""
        assert self.box.crs is not None
        return self.box.crs

    @property
    def transform(self) -> Affine:
        """Pixel (column, row) to CRS coordinates (x, y)."""
        transform: Affine = self.box.transform
        return transform

    @property
    def cf_mapping(self) -> dict[str, str]:
        """Attributes of a `spatial_ref` variable: the CRS, and the transform in GDAL's order (CF conventions)."""
        a, b, c, d, e, f = self.transform[:6]
        corner = " ".join(repr(float(number)) for number in (c, a, b, f, d, e))
        return {"crs_wkt": self.crs.to_wkt(), "GeoTransform": corner}

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.box.shape
        return int(height), int(width)

    @property
    def resolution(self) -> float:
        """Pixel side in CRS units."""
        return abs(float(self.transform.a))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in CRS units."""
        left, bottom, right, top = self.box.boundingbox.bbox
        return left, bottom, right, top

    @property
    def x(self) -> NDArray[np.float64]:
        """Pixel centres along x, shape (columns,)."""
        centres = np.arange(self.shape[1], dtype=np.float64) + 0.5
        return np.asarray(self.transform.c + centres * self.transform.a)

    @property
    def y(self) -> NDArray[np.float64]:
        """Pixel centres along y, shape (rows,)."""
        centres = np.arange(self.shape[0], dtype=np.float64) + 0.5
        return np.asarray(self.transform.f + centres * self.transform.e)

    def window(self, window: Window) -> "Grid":
        """The grid of one window."""
        return Grid(self.box[window.slices])

    def place_of(self, inner: "Grid") -> Window | None:
        """Where the pixels of a grid are in this one; None if some are outside it, or are not its pixels."""
        mine, its = ((grid.crs.to_wkt(), grid.transform.a, grid.transform.e) for grid in (self, inner))
        if mine != its:
            return None
        col, row = ~self.transform * (inner.transform.c, inner.transform.f)
        place = Window(round(row), round(col), *inner.shape)
        nests = abs(row - place.row) < WARP_TOLERANCE and abs(col - place.col) < WARP_TOLERANCE
        inside = place.row >= 0 and place.col >= 0 and not place.outside(Window(0, 0, *self.shape))
        return place if nests and inside else None

    def at(self, resolution: float) -> "Grid":
        """The same ground in pixels of another side; the extent must be a multiple of it."""
        height, width = (side * self.resolution / resolution for side in self.shape)
        assert (height, width) == (int(height), int(width)), f"{self.bounds} is not a multiple of {resolution}"
        left, _, _, top = self.bounds
        corner = Affine(resolution, 0, left, 0, -resolution, top)
        return Grid.of(str(self.crs), corner, (int(height), int(width)))

    def footprint(self) -> Polygon:
        """Outline in longitude and latitude, edges followed by 16 points each."""
        left, bottom, right, top = self.bounds
        outline = box(left, bottom, right, top).segmentize(max(right - left, top - bottom) / 16)
        moved = reproject(outline, str(self.crs), LONLAT)
        assert isinstance(moved, Polygon)
        return moved

    def pixel_hectares(self) -> NDArray[np.float64]:
        """Area of one pixel in each row, hectares, shape (rows,); geodesic (WGS 84) where pixels are in degrees."""
        rows, _ = self.shape
        if not self.crs.geographic:
            unit = float(self.crs.proj.axis_info[0].unit_conversion_factor)
            return np.full(rows, abs(self.transform.a * self.transform.e) * unit**2 / 1e4)
        edges = self.transform.f + np.arange(rows + 1) * self.transform.e
        rows_between = pairwise(edges)
        return np.array([geodesic_hectares(box(0, min(pair), self.resolution, max(pair))) for pair in rows_between])


def shape_of(geometry: dict[str, Any]) -> BaseGeometry:
    """The shape of a GeoJSON geometry; raises ValueError if it is empty or has numbers that are not finite."""
    result: BaseGeometry = shapely.geometry.shape(geometry)
    if result.is_empty or not np.isfinite(shapely.get_coordinates(result)).all():
        raise ValueError("its area is empty or not finite")
    return result


def reproject(shape: BaseGeometry, source: str, target: str) -> BaseGeometry:
    """A geometry in another CRS, x before y in both."""
    transformer = Transformer.from_crs(source, target, always_xy=True)
    moved: BaseGeometry = transform(shape, lambda points: np.stack(transformer.transform(*points.T), axis=-1))
    return moved


def geodesic_hectares(shape: BaseGeometry) -> float:
    """Area of a geometry in longitude and latitude on the WGS 84 ellipsoid, hectares."""
    # Signed by winding: unless all parts wind alike and holes the other way, they would cancel or add up wrongly.
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(orient_polygons(shape))
    return float(abs(area)) / 1e4


def geodesic_measures(shapes: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return areas in m² and lengths of the outer rings in metres of polygons in longitude and latitude (WGS 84).

    Args:
        shapes: (N,), polygons and multipolygons that are not empty.
    """
    parts, of_part = shapely.get_parts(orient_polygons(shapes), return_index=True)
    rings, of_ring = shapely.get_rings(parts, return_index=True)
    points, of_point = shapely.get_coordinates(rings, return_index=True)
    edges = np.searchsorted(of_point, np.arange(len(rings) + 1))
    geod = Geod(ellps="WGS84")
    measured = [geod.polygon_area_perimeter(*points[start:end].T) for start, end in pairwise(edges)]
    area, length = np.array(measured, np.float64).T
    outer = np.diff(of_ring, prepend=-1) != 0  # the first ring of a part; holes wind the other way
    of_shape = of_part[of_ring]
    return (
        np.abs(np.bincount(of_shape, area, len(shapes))),
        np.asarray(np.bincount(of_shape, np.where(outer, length, 0.0), len(shapes)), np.float64),
    )


def utm_zone(area: BaseGeometry, longest: float = MAX_LATITUDES) -> str:
    """EPSG code of the UTM zone that contains an area given in longitude and latitude.

    Args:
        longest: degrees of latitude that it may span.

    Raises:
        CubeError: the area is empty, outside UTM's latitudes (80 S to 84 N), too long, or in several zones.
    """
    if area.is_empty:
        raise CubeError("choosing a grid for the area: it is empty; give a polygon or a box with some extent")
    west, south, east, north = area.bounds
    if not (-180 <= west <= east <= 180 and MIN_UTM <= south <= north <= MAX_UTM):
        raise CubeError(
            f"choosing a grid for the area: it spans longitudes {west:.3f} to {east:.3f} and latitudes "
            f"{south:.3f} to {north:.3f}, outside UTM (80 S to 84 N); give it in longitude and latitude"
        )
    if north - south > longest:
        raise CubeError(
            f"choosing a grid for the area: it spans latitudes {south:.3f} to {north:.3f}, which is more than "
            f"{longest} degrees; correct the wrong coordinate, or divide the area: `tiles = 100` under [season]",
            south=south,
            north=north,
        )
    first = min(floor((west + 180) / 6) + 1, 60)  # 180 E belongs to zone 60, not to a zone 61
    last = max(ceil((east + 180) / 6), first)  # an area that ends on a border does not cross it
    if first != last:
        border = first * 6 - 180
        raise CubeError(
            f"choosing a grid for the area: it spans UTM zones {first} to {last}, and a cube has one; divide the area "
            f"into tiles, each with a cube (`tiles = 100` under [season]), or cut it at longitude {border}",
            first=first,
            last=last,
            border=border,
        )
    return f"EPSG:{(32700 if (south + north) / 2 < 0 else 32600) + first}"


def zone_meridian(crs: str) -> float:
    """Longitude of the middle of a UTM zone, which is given by its EPSG code."""
    return int(crs[-2:]) * 6.0 - 183.0


def degrees_from_meridian(lon: NDArray[np.float64], crs: str) -> NDArray[np.float64]:
    """Degrees from the middle of a UTM zone eastwards, -180 to 180, of longitudes."""
    return (lon - zone_meridian(crs) + 180) % 360 - 180


def divide_by_zone(area: BaseGeometry, longest: float = MAX_LATITUDES) -> dict[str, BaseGeometry]:
    """Parts of an area in longitude and latitude by the EPSG code of their UTM zone, from west to east.

    A zone contains its western border and not its eastern one, so that every point belongs to one zone. Parts touch
    along the border; a pixel of one zone's cube whose centre is beyond the border belongs to the other zone.

    Args:
        longest: degrees of latitude that a part may span.

    Raises:
        CubeError: the area is empty or extends beyond UTM.
    """
    west, south, east, north = area.bounds
    if not (-180 <= west <= east <= 180):
        return {utm_zone(area, longest): area}  # raises, and says what is wrong
    parts, first = {}, floor((west + 180) / 6)
    for zone in range(first, max(ceil((east + 180) / 6), first + 1)):
        part = area.intersection(box(zone * 6 - 180, south, zone * 6 - 174, north))
        if not part.is_empty and (part.area > 0 or area.area == 0):
            parts[utm_zone(part, longest)] = part
    return parts


def area_grid(area: BaseGeometry, resolution: float = 10) -> Grid:
    """The grid of an area given in longitude and latitude: its UTM zone, snapped outwards to multiples of 480 m."""
    crs = utm_zone(area)
    extent = max(area.bounds[2] - area.bounds[0], area.bounds[3] - area.bounds[1])
    left, bottom, right, top = reproject(area.segmentize(max(extent / 64, 1e-9)), LONLAT, crs).bounds
    left, bottom = np.floor(left / NEST) * NEST, np.floor(bottom / NEST) * NEST
    width, height = max(ceil((right - left) / NEST), 1), max(ceil((top - bottom) / NEST), 1)
    corner = Affine(resolution, 0, left, 0, -resolution, bottom + height * NEST)
    cells = NEST / resolution
    assert cells == int(cells), f"pixels of {resolution} m do not nest in {NEST} m"
    return Grid.of(crs, corner, (height * int(cells), width * int(cells)))


def tiles(shape: tuple[int, int], side: int) -> Iterator[Window]:
    """Windows of `side` pixels that cover a grid once, row by row; the last ones are cut at the edge."""
    for row in range(0, shape[0], side):
        for col in range(0, shape[1], side):
            yield Window(row, col, min(side, shape[0] - row), min(side, shape[1] - col))


def starts(length: int, side: int, stride: int) -> list[int]:
    """The starts of windows of `side` along an axis, so that every pixel is inside one.

    Steps of `stride`, and a last start that touches the end; [0] where the axis is not longer than `side`.
    """
    if length <= side:
        return [0]
    regular = list(range(0, length - side, stride))
    return [*regular, length - side]
