"""The tiles of a divided area on the page: the map and the cube of each, and which tile a place is in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from pyproj import Transformer

from agrifm.area_tile import AreaTile, Edges
from agrifm.area_tiles import LISTED, read_tile_list
from agrifm.config import Project
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import AgriFMError, ServeError, doing
from agrifm.grid import LONLAT, Grid, Window, degrees_from_meridian
from agrifm.map_collection import COLLECTION, tile_maps
from agrifm.serve.map_layers import CLASSES, FILES, LayerRaster, PageLayer, joined_layers, map_layers

NAMED = 5
"""Tiles that are named where something is missing; of more, the number is given."""


@dataclass(frozen=True)
class SeasonTile:
    """A tile with a finished map."""

    tile: AreaTile
    maps: Path
    """Directory of its map."""
    layers: dict[str, PageLayer]
    cube: Cube | None
    why: str | None
    """Why there is no cube."""

    @cached_property
    def to_zone(self) -> Transformer:
        """From longitude and latitude to metres of the zone."""
        return Transformer.from_crs(LONLAT, self.tile.crs, always_xy=True)

    def contains(self, lon: float, lat: float) -> bool:
        """Whether a place is in the square of the tile."""
        if abs(_from_meridian(self.tile, lon)) > 4:  # degrees: what the halo of a zone's tiles never reaches
            return False
        x, y = self.to_zone.transform(lon, lat)
        west, south, east, north = self.tile.core
        return bool(west <= x < east and south <= y < north)


def open_tiles(project: Project, missing: dict[str, str]) -> tuple[SeasonTile, ...]:
    """Open the maps of a divided area's tiles, and their cubes as far as they are there.

    Args:
        missing: receives by title which tiles have no map, no cube, or not all layers.

    Raises:
        ServeError: there is no finished map, or it is damaged.
        ConfigError: the tiles are not listed.
    """
    maps = project.maps
    if not (maps / COLLECTION).exists():
        raise ServeError(
            f"serving {project.directory}: it has no finished map; run `agrifm map` first", path=maps / COLLECTION
        )
    with doing(f"reading the maps {maps}", ServeError, "run `agrifm map` again", path=maps):
        mapped = set(tile_maps(maps))
    listed = read_tile_list(project.path("tiles") / LISTED)
    tiles = [tile for tile in listed if maps / tile.name in mapped]
    if len(tiles) < len(mapped):
        raise ServeError(
            f"reading the maps {maps}: {len(mapped) - len(tiles)} of their tiles are not in "
            f"{project.path('tiles') / LISTED}, so the area was divided anew; run `agrifm fetch` and `agrifm map`",
            path=maps,
        )
    _note(missing, "Tiles without a map", [tile.name for tile in listed if tile not in tiles], len(listed))
    faults: dict[str, dict[str, str]] = {}
    opened = tuple(_opened(project, tile, faults) for tile in tiles)
    for title, why in faults.items():
        _note(missing, f"{title} of some tiles", list(why), len(tiles), next(iter(why.values())))
    without = [one for one in opened if one.cube is None]
    if without:
        title = "Imagery and series" if len(without) == len(opened) else "Imagery and series of some tiles"
        _note(missing, title, [one.tile.name for one in without], len(opened), without[0].why)
    return opened


def layers_of_tiles(tiles: Sequence[SeasonTile], missing: dict[str, str]) -> dict[str, PageLayer]:
    """The layers of all tiles by key, in the order of `FILES`.

    Args:
        missing: receives by title which tiles lack a layer that others have.

    Raises:
        ServeError: the legends of tiles differ.
    """
    joined = {}
    for key, (title, _) in FILES.items():
        having = [one for one in tiles if key in one.layers]
        if having:
            joined[key] = joined_layers([one.layers[key] for one in having])
            lacking = [one.tile.name for one in tiles if key not in one.layers]
            if f"{title} of some tiles" not in missing:
                _note(missing, f"{title} of some tiles", lacking, len(tiles))
    return joined


def tiles_at(tiles: Sequence[SeasonTile], lon: float, lat: float) -> list[SeasonTile]:
    """The tiles in whose squares a place is: the one of the zone that contains it first.

    Squares of the zone next to it may reach beyond its border; they have values there within half a pixel only.
    """
    found = [one for one in tiles if one.contains(lon, lat)]
    return sorted(found, key=lambda one: not -3 <= _from_meridian(one.tile, lon) < 3)


def shown_window(tile: AreaTile, grid: Grid) -> Window:
    """The pixels of a tile's grid that are in its square."""
    (west, south, east, north), resolution = _within(tile.core, tile.extent), grid.resolution
    left, _, _, top = grid.bounds
    row, col = round((top - north) / resolution), round((west - left) / resolution)
    return Window(row, col, round((north - south) / resolution), round((east - west) / resolution))


def _within(core: Edges, extent: Edges) -> Edges:
    (west, south, east, north), (left, bottom, right, top) = core, extent
    return max(west, left), max(south, bottom), min(east, right), min(north, top)


def _from_meridian(tile: AreaTile, lon: float) -> float:
    """Degrees from the middle of a tile's zone, -180 to 180."""
    return float(degrees_from_meridian(np.asarray(lon), tile.crs))


def _opened(project: Project, tile: AreaTile, faults: dict[str, dict[str, str]]) -> SeasonTile:
    """A tile with what there is of it.

    Args:
        faults: receives, by the title of a layer and the name of the tile, why it cannot be shown.
    """
    maps, here = project.maps / tile.name, dict[str, str]()
    layers = {key: _of_square(layer, tile) for key, layer in map_layers(maps, here).items()}
    assert CLASSES in layers
    for title, why in here.items():
        faults.setdefault(title, {})[tile.name] = why
    try:
        return SeasonTile(tile, maps, layers, open_cube(project.of_tile(tile).cube), None)
    except (AgriFMError, OSError) as error:
        return SeasonTile(tile, maps, layers, None, str(error))


def _of_square(layer: PageLayer, tile: AreaTile) -> PageLayer:
    raster = layer.raster
    return replace(layer, rasters=(LayerRaster(raster.path, raster.grid, shown_window(tile, raster.grid), tile.area),))


def _note(missing: dict[str, str], title: str, names: Sequence[str], count: int, why: str | None = None) -> None:
    if names:
        named = ", ".join(names[:NAMED]) + (" and others" if len(names) > NAMED else "")
        missing[title] = f"{len(names)} of {count} tiles ({named}){'' if why is None else f': {why}'}"
