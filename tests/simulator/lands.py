"""Windows of the regions' land, for tests."""

from functools import cache

from affine import Affine
from shapely import Point

from agrifm.grid import LONLAT, Grid, reproject
from agrifm.simulator.land.field_map import GROUND_PIXEL, Land, draw_land
from agrifm.simulator.region import read_region


def window(name: str, left: float, bottom: float, width: float, height: float) -> Grid:
    """The grid of a window; left and bottom are metres from the region's centre, on whole pixels."""
    place = read_region(name).place
    x, y = (
        GROUND_PIXEL * round(value / GROUND_PIXEL)
        for value in reproject(Point(place.lon, place.lat), LONLAT, place.crs).coords[0]
    )
    corner = Affine(GROUND_PIXEL, 0, x + left, 0, -GROUND_PIXEL, y + bottom + height)
    return Grid.of(place.crs, corner, (int(height / GROUND_PIXEL), int(width / GROUND_PIXEL)))


def land(name: str, side: float = 10_000, seed: int = 0) -> Land:
    """The square of a side in metres about the region's centre."""
    return _land(name, side, seed)


@cache
def _land(name: str, side: float, seed: int) -> Land:
    region = read_region(name)
    return draw_land(region.land, region.shares, seed, window(name, -side / 2, -side / 2, side, side))
