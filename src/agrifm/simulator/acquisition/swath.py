"""What the swath of a pass covers of a grid."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import MultiPoint, Polygon

from agrifm.grid import LONLAT, Grid, reproject
from agrifm.simulator.acquisition.orbits import ORBITS, Pass

FAR = 10_000.0
"""Metres from a place at which the distance to the track is taken again; in between it is linear."""


@dataclass(frozen=True)
class Covered:
    """What a swath covers of a grid."""

    pixels: NDArray[np.bool_]
    """(rows, columns)."""
    outline: Polygon
    """Of the covered pixels, in longitude and latitude."""


def covered(taken: Pass, grid: Grid, x: float, y: float) -> Covered | None:
    """What a pass covers of a grid, None where it covers nothing.

    Args:
        x, y: a place near by in the grid's CRS, from which the swath's edge is computed: the same for all windows of
            an area, so that they fit together.
    """
    across, east, north = _plane(taken.sensor, taken.track, str(grid.crs), x, y)
    distance = across + east * (grid.x - x)[None] + north * (grid.y - y)[:, None]
    pixels = np.abs(distance) <= ORBITS[taken.sensor].half_swath
    if pixels.all():
        return Covered(pixels, grid.footprint())
    return Covered(pixels, _outline(grid, pixels)) if pixels.any() else None


@lru_cache(maxsize=64)
def _plane(sensor: str, track: int, crs: str, x: float, y: float) -> tuple[float, float, float]:
    """Kilometres from a track at a place, and how they grow with each metre east and north."""
    turn = Transformer.from_crs(crs, LONLAT, always_xy=True)
    places = [turn.transform(x + right, y + up) for right, up in ((0, 0), (FAR, 0), (0, FAR))]
    here, east, north = (ORBITS[sensor].across(track, lon, lat)[0] for lon, lat in places)
    return here, (east - here) / FAR, (north - here) / FAR


def _outline(grid: Grid, pixels: NDArray[np.bool_]) -> Polygon:
    """Outline in longitude and latitude of pixels between straight edges, which is convex."""
    rows = np.flatnonzero(pixels.any(axis=1))
    left, _, _, top = grid.bounds
    west = left + grid.resolution * pixels[rows].argmax(axis=1)
    east = left + grid.resolution * (grid.shape[1] - pixels[rows, ::-1].argmax(axis=1))
    north, south = top - grid.resolution * rows, top - grid.resolution * (rows + 1)
    corners = [np.column_stack([x, y]) for x in (west, east) for y in (north, south)]
    outline = reproject(MultiPoint(np.concatenate(corners)).convex_hull, str(grid.crs), LONLAT)
    assert isinstance(outline, Polygon)
    return outline
