"""The cubes that show points: that of a season, or of a divided area that of the tile which contains each point.

Shape letters: N points.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from agrifm.area_tile import AreaTile
from agrifm.area_tiles import LISTED, read_tile_list
from agrifm.config import PROJECT_FILE, Project, read_project
from agrifm.cube.info import find_cube
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import CubeError
from agrifm.files import AnyPath
from agrifm.grid import LONLAT, degrees_from_meridian

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

NOWHERE = -1
"""Number of the cube of a point that none shows."""


@dataclass(frozen=True)
class PointCubes:
    """Cubes, and which of them shows each point."""

    cubes: tuple[Cube, ...]
    """At least one. Those of a divided area have the same season and products."""
    of_point: NDArray[np.int64]
    """(N,), number of the cube, or `NOWHERE`."""

    @property
    def first(self) -> Cube:
        """A cube that stands for all: for the season, the sensors, and how they are shown."""
        return self.cubes[0]


def points_of_cube(cube: Cube, count: int) -> PointCubes:
    """Return one cube for a number of points."""
    return PointCubes((cube,), np.zeros(count, np.int64))


def find_point_cubes(season: AnyPath, points: "GeoDataFrame") -> PointCubes:
    """Open the cubes that show points.

    Args:
        season: a project, of which the area may be divided, or a cube.
        points: in any CRS.

    Raises:
        CubeError: there is no finished cube; of a divided area, in no tile with a point.
        ConfigError: the project or its list of tiles cannot be read.
    """
    place = Path(season)
    if (place / PROJECT_FILE).is_file():
        project = read_project(place)
        if project.season.tiles is not None:
            return _cubes_of_tiles(project, points)
    return points_of_cube(find_cube(season), len(points))


def _cubes_of_tiles(project: Project, points: "GeoDataFrame") -> PointCubes:
    tiles = read_tile_list(project.path("tiles") / LISTED)
    cubes: list[Cube] = []
    of_point = np.full(len(points), NOWHERE, np.int64)
    faults: list[CubeError] = []
    place = points.to_crs(LONLAT).geometry
    lonlat = place.x.to_numpy(), place.y.to_numpy()
    for tile in tiles:
        inside = _inside(tile, *lonlat)
        if not inside.any():
            continue
        try:
            cubes.append(open_cube(project.of_tile(tile).cube))
        except CubeError as error:
            faults.append(error)
            continue
        of_point[inside] = len(cubes) - 1
    if faults and not cubes:
        raise faults[0]
    if not cubes:
        about = f"reading the season of {project.directory}"
        raise CubeError(f"{about}: none of its {len(tiles)} tiles contains a point", points=len(points))
    return PointCubes(tuple(cubes), of_point)


def _inside(tile: AreaTile, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each point (N,) is in the square of a tile, and in its zone."""
    away = degrees_from_meridian(lon, tile.crs)
    near = np.flatnonzero((away >= -3) & (away < 3))
    x, y = Transformer.from_crs(LONLAT, tile.crs, always_xy=True).transform(lon[near], lat[near])
    west, south, east, north = tile.core
    found = np.zeros(len(lon), bool)
    found[near] = (x >= west) & (x < east) & (y >= south) & (y < north)
    return found
