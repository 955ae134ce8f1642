"""`agrifm map` of a divided area: a map of each tile that has a cube, mosaics of them, and a STAC collection.

maps/collection.json         STAC collection: hectares of all tiles, the mosaics, an item for each tile
maps/ZONE/SQUARE/            the map of a tile, as `agrifm.mapping.run` writes it
maps/ZONE/classes.vrt        the mosaic of a zone; one for each raster of the maps
maps/classes.vrt             the mosaic over all zones
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

from agrifm.area_tile import AreaTile
from agrifm.area_tiles import LISTED, read_tile_list
from agrifm.config import Project
from agrifm.errors import CubeError, MapError, ModelError
from agrifm.files import MARKER, AnyPath, as_path, translate_os_errors
from agrifm.map_collection import COLLECTION
from agrifm.mapping.kept_map import cube_digest, request_for_maps
from agrifm.mapping.run import map_project, named_model
from agrifm.mapping.tile_collection import write_map_collection
from agrifm.mapping.tile_mosaics import write_common_mosaic, write_zone_mosaic
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.tile_work import TilesDone, work_on_tiles


@dataclass(frozen=True)
class MappedTiles:
    """The maps of an area's tiles."""

    path: Path
    done: TilesDone
    hectares: dict[str, float]
    """Of all tiles, by class code."""
    nodata_hectares: float
    """Inside the area and the tiles that have a map, without a valid observation."""
    mosaics: tuple[str, ...]
    """Over all tiles, relative to `path`."""
    without_cube: tuple[str, ...] = ()
    """Tiles that are not fetched."""

    def lines(self) -> list[str]:
        """Describe them in sentences."""
        areas = ", ".join(f"{code} {hectares:.0f}" for code, hectares in self.hectares.items())
        missing = f"{len(self.without_cube)} tiles have no cube, as `agrifm fetch` says; they are not mapped"
        return [
            *([missing] if self.without_cube else []),
            *self.done.lines("a map", "map"),
            f"mapped hectares: {areas}; without a valid observation {self.nodata_hectares:.0f}",
            f"wrote {self.path / COLLECTION}, {', '.join(self.mosaics)}",
        ]


def map_tiles(
    project: Project,
    model: AnyPath | None = None,
    out: AnyPath | None = None,
    compute: Compute = DEFAULT_COMPUTE,
    executor: Executor | None = None,
    until: date | Literal["today"] | None = None,
) -> MappedTiles:
    """Map the tiles of a project that have a cube; a stopped run continues, and what has not changed is kept.

    Args:
        model, compute, until: see `map_project`.
        out: directory of the maps; by default `maps/`, and `maps-until-DAY/` with `until`.
        executor: maps several tiles at once; see `agrifm.work.run_tiles`.

    Raises:
        ConfigError: the tiles are not listed; `agrifm fetch` does it.
        MapError, CubeError: no tile can be mapped.
        ModelError, OutputError: see `map_project`.
    """
    place = project.path("tiles")
    tiles = read_tile_list(place / LISTED)
    ready = [tile for tile in tiles if project.of_tile(tile).is_fetched]
    if not ready:
        raise CubeError(f"mapping the tiles of {place}: none has a finished cube; run `agrifm fetch`", path=place)
    file = named_model(project) if model is None else as_path(model)
    if not file.exists():
        raise ModelError(f"mapping with {file}: it does not exist; run `agrifm train`, or give --model", path=file)
    maps = as_path(out) if out is not None else project.path("maps" if until is None else f"maps-until-{until}")
    with translate_os_errors(f"writing the maps {maps}"):
        maps.mkdir(parents=True, exist_ok=True)
        done = work_on_tiles(
            partial(_map_tile, project, file, maps, compute, until),
            ready,
            maps / ".map",
            request_for_maps(file, [project.map.model_dump(mode="json"), compute.precision, str(until)]),
            "map tiles",
            (MapError, CubeError),
            lambda tile, digest: (maps / tile.name / MARKER).exists() and digest == _digest(project, tile),
            executor,
            daily=False,
        )
        finished = [tile for tile in ready if tile.name in done.results]
        mosaics = write_mosaics(maps, finished)
        names = {path.relative_to(maps).with_suffix("").as_posix().replace("/", "-"): path for path in mosaics}
        without = tuple(tile.name for tile in tiles if tile not in ready)
        failed = {**dict.fromkeys(without, "it has no cube"), **done.failed}
        stated = write_map_collection(maps, finished, project.season.season, names, failed)
    over_all = tuple(path.name for path in mosaics if path.parent == maps)
    return MappedTiles(maps, done, stated["agrifm:hectares"], stated["agrifm:nodata_hectares"], over_all, without)


def write_mosaics(maps: Path, tiles: Sequence[AreaTile]) -> list[Path]:
    """Write a mosaic of each raster that all tiles have, for each zone and over all; returns their paths."""
    zones: dict[str, list[AreaTile]] = {}
    for tile in tiles:
        zones.setdefault(tile.crs, []).append(tile)
    rasters = set.intersection(*({path.name for path in (maps / tile.name).glob("*.tif")} for tile in tiles))
    written = []
    for raster in sorted(rasters):
        of_zones = {}
        for crs, of_zone in zones.items():
            path = (maps / of_zone[0].name).parent / Path(raster).with_suffix(".vrt")
            write_zone_mosaic(path, [(tile, maps / tile.name / raster) for tile in of_zone])
            of_zones[crs] = path
        common = maps / Path(raster).with_suffix(".vrt")
        if len(zones) == 1:
            write_zone_mosaic(common, [(tile, maps / tile.name / raster) for tile in tiles])
        else:
            write_common_mosaic(common, of_zones, tiles)
        written += [*of_zones.values(), common]
    return written


def _map_tile(
    project: Project,
    model: Path,
    maps: Path,
    compute: Compute,
    until: date | Literal["today"] | None,
    tile: AreaTile,
) -> str:
    map_project(project.of_tile(tile), model, maps / tile.name, compute, until=until)
    return _digest(project, tile)


def _digest(project: Project, tile: AreaTile) -> str:
    return cube_digest(project.of_tile(tile).cube)
