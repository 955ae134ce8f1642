"""Outlines of scenes on a globe: those that cross longitude 180 or go around a pole are found where they are."""

from typing import Any

import numpy as np
from shapely import MultiPolygon, Polygon, box, union_all
from shapely.affinity import translate
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from agrifm.errors import SceneError


def outline_of(geometry: dict[str, Any], scene_id: str) -> BaseGeometry:
    """A GeoJSON geometry as one shape without a jump at longitude 180: longitudes may lie beyond 180 or -180.

    Providers write a scene across longitude 180 in three ways: cut in two, with longitudes beyond 180, or with edges
    that jump from 180 to -180 and would reach around the globe; all three come out the same.

    Raises:
        SceneError: it is not GeoJSON.
    """
    try:
        found = shape(geometry)
        if found.is_empty:
            raise ValueError("it is empty")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ShapelyError) as error:
        raise SceneError(f"reading scene {scene_id}: its geometry is not GeoJSON ({error}); repair the item") from error
    if not isinstance(found, Polygon | MultiPolygon):
        return found
    parts = [found] if isinstance(found, Polygon) else list(found.geoms)
    return union_all([_without_jump(part).buffer(0) for part in parts])


def touches(outline: BaseGeometry, area: BaseGeometry) -> bool:
    """True where an outline meets an area, whichever way their longitudes are counted."""
    return any(outline.intersects(translate(area, shift)) for shift in (-360, 0, 360))


def shared(one: BaseGeometry, other: BaseGeometry) -> float:
    """Area that two outlines share, as a share of the smaller one, 0 to 1."""
    smaller = min(one.area, other.area)
    if smaller == 0:
        return 0.0
    return float(max(one.intersection(translate(other, shift)).area for shift in (-360, 0, 360)) / smaller)


def _without_jump(part: Polygon) -> Polygon:
    ring = np.array(part.exterior.coords)[:, :2]
    steps = np.diff(ring[:, 0])
    if np.abs(steps).max(initial=0) <= 180:
        return part
    turns = np.concatenate([[0], np.cumsum(-360 * np.round(steps / 360))])
    if turns[-1] != 0:  # around a pole: all longitudes, from its lowest latitude up (or the highest down)
        latitudes = ring[:, 1]
        return box(-180, latitudes.min(), 180, 90) if latitudes.mean() > 0 else box(-180, -90, 180, latitudes.max())
    return Polygon(np.column_stack([ring[:, 0] + turns, ring[:, 1]]))
