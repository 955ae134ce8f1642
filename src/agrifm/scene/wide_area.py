"""Areas that are in several UTM zones or across longitude 180: longitudes brought to -180 to 180, and margins."""

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import Polygon, box, make_valid, union_all
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from agrifm.grid import LONLAT, MAX_UTM, MIN_UTM, divide_by_zone, zone_meridian

MARGIN_STEP = 0.02
"""Degrees between the points of an outline before a margin is added: straight lines become curves."""


def unfolded(shape: BaseGeometry) -> BaseGeometry:
    """Return polygons in longitude and latitude whose edges jump from 180 to -180 as they are, beyond 180.

    An edge that goes more than half around the globe is taken the shorter way: polygons of a projection get such edges
    where they cross longitude 180. An edge along a whole parallel stays as it is.
    """
    parts = [part for part in shapely.get_parts(shape) if isinstance(part, Polygon)]
    return union_all([make_valid(_unfolded_part(part)) for part in parts])


def _unfolded_part(part: Polygon) -> Polygon:
    outline = _straight(part.exterior)
    holes = [_straight(ring) for ring in part.interiors]
    for hole in holes:  # a hole may be on the other side of longitude 180 than the outline begins
        hole[:, 0] += 360 * np.round((outline[:, 0].mean() - hole[:, 0].mean()) / 360)
    return Polygon(outline, holes)


def _straight(ring: BaseGeometry) -> NDArray[np.float64]:
    """The points of a ring, (N, 2), each at most half around the globe from the one before."""
    points = shapely.get_coordinates(ring)
    steps = np.diff(points[:, 0])
    turns = np.where((abs(steps) > 180) & (abs(steps) < 360), -360 * np.round(steps / 360), 0.0)
    return np.column_stack([points[:, 0] + np.concatenate([[0.0], np.cumsum(turns)]), points[:, 1]])


def folded(shape: BaseGeometry) -> BaseGeometry:
    """Return a shape with longitudes from -540 to 540 within -180 to 180, cut where it crosses longitude 180."""
    west, south, east, north = shape.bounds
    if west >= -180 and east <= 180:
        return shape
    globe = box(-180, south - 1, 180, north + 1)
    return union_all([translate(shape, turn).intersection(globe) for turn in (-360, 0, 360)])


def with_margin(shape: BaseGeometry, metres: float) -> BaseGeometry:
    """Return an area of any extent with a margin of so many metres on all sides, true to 0.1 percent.

    The part of each UTM zone is widened in that zone, and the union of the parts is the area with its margin.

    Raises:
        CubeError: the area extends beyond UTM.
    """
    parts = [shape]
    for crs, part in divide_by_zone(shape, MAX_UTM - MIN_UTM).items():
        to_zone, meridian = Transformer.from_crs(LONLAT, crs, always_xy=True), zone_meridian(crs)

        def planar(points: NDArray[np.float64], turn: Transformer = to_zone) -> NDArray[np.float64]:
            return np.stack(turn.transform(*points.T), axis=-1)

        def around(
            points: NDArray[np.float64], turn: Transformer = to_zone, middle: float = meridian
        ) -> NDArray[np.float64]:
            x, y = turn.transform(*points.T, direction="INVERSE")
            return np.stack([middle + (x - middle + 180) % 360 - 180, y], axis=-1)

        wide = shapely.transform(part.segmentize(MARGIN_STEP), planar).buffer(metres)
        parts.append(folded(shapely.transform(wide, around)))
    return union_all(parts)
