"""The tiles of a project's area, before anything is fetched."""

from pathlib import Path

from agrifm.area_tile import AreaTile
from agrifm.area_tiles import PIXEL, tiles_of_area, tiles_of_list
from agrifm.config import Project
from agrifm.errors import ConfigError
from agrifm.grid import NEST
from agrifm.scene.area import read_area


def project_tiles(project: Project) -> tuple[tuple[AreaTile, ...], tuple[str, ...]]:
    """Return the tiles of a project's area, and notes on the area.

    Raises:
        ConfigError: there is no area, or it or the list of tiles cannot be used.
        CubeError: the area extends beyond UTM.
    """
    season = project.season
    if season.tiles is None or season.area is None:
        raise ConfigError("dividing the area: give `area` and `tiles` under [season]", key="tiles")
    area = read_area(season.area, project.directory, season.buffer, season, divided=True)
    # A square of 480 m more than the windows, for models that read a few pixels around them.
    windows = (project.map.window or project.model.side) * PIXEL + NEST if project.labels.on_cube else 0
    halo = float(windows) if season.halo is None else season.halo
    if isinstance(season.tiles, Path):
        tiles = tiles_of_list(project.path(season.tiles), area.shape, halo)
    else:
        tiles = tiles_of_area(area.shape, season.tiles, halo)
    if not tiles:
        raise ConfigError("dividing the area: it contains no pixel's centre; give a larger one", area=str(season.area))
    return tiles, area.notes
