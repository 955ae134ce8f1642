"""`agrifm fetch` of a divided area: the list of its tiles, and a cube for each of them."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agrifm.area_tile import AreaTile
from agrifm.area_tiles import LISTED, write_tile_list
from agrifm.config import Project
from agrifm.cube.fetch import fetch
from agrifm.cube.project_tiles import project_tiles
from agrifm.errors import CubeError, SceneError
from agrifm.files import MARKER, translate_os_errors, write_json
from agrifm.grid import geodesic_measures
from agrifm.tile_work import TilesDone, work_on_tiles

ACCOUNTS = "fetch.json"
"""Next to the tiles: what was found, and what was left out, for each tile."""


@dataclass(frozen=True)
class FetchedTiles:
    """The tiles of an area, and what became of their cubes."""

    tiles: tuple[AreaTile, ...]
    done: TilesDone
    notes: tuple[str, ...] = ()
    """On the area."""

    def lines(self) -> list[str]:
        """Describe them in sentences."""
        hectares = geodesic_measures(np.array([tile.area for tile in self.tiles]))[0].sum() / 1e4
        zones = list(dict.fromkeys(tile.crs for tile in self.tiles))
        made = sum(not account["kept"] for account in self.done.results.values())
        return [
            *self.notes,
            f"the area has {hectares:.0f} ha in {len(self.tiles)} tiles of {', '.join(zones)}",
            *self.done.lines("a cube", "fetch"),
            f"{made} cubes are new or have changed; tiles/{ACCOUNTS} has the account of each",
        ]


def fetch_project(project: Project, executor: Executor | None = None) -> list[str]:
    """Fetch the cube of a project, or those of its tiles, and return an account in sentences; see `fetch`."""
    if project.season.tiles is not None:
        return fetch_tiles(project, executor).lines()
    cube, account = fetch(project, executor)
    return [*account, *cube.notes]


def fetch_tiles(project: Project, executor: Executor | None = None) -> FetchedTiles:
    """Fetch the cubes of a project's tiles; a stopped run continues, and a tile that fails is left out and named.

    The tiles are listed in `tiles/tiles.geojson`; the cube of each is `tiles/ZONE/SQUARE/cube.zarr`.

    Args:
        executor: fetches several tiles at once; see `agrifm.work.run_tiles`.

    Raises:
        ConfigError: the area, the list of tiles, the provider or a product cannot be used.
        CubeError, SceneError: the area is not in UTM, or no tile could be fetched.
        OutputError: the disk is full, or another process fetches.
    """
    tiles, notes = project_tiles(project)
    place = project.path("tiles")
    with translate_os_errors(f"writing the tiles {place}"):
        place.mkdir(exist_ok=True)
        write_tile_list(place / LISTED, tiles)
        done = work_on_tiles(
            partial(_fetch_tile, project),
            tiles,
            place / ".fetch",
            [project.imagery.model_dump(mode="json"), project.season.model_dump(mode="json")],
            "fetch tiles",
            (CubeError, SceneError),
            lambda tile, account: project.of_tile(tile).is_fetched,
            executor,
        )
        write_json(place / ACCOUNTS, {**done.results, **{name: {"failed": text} for name, text in done.failed.items()}})
    return FetchedTiles(tiles, done, (*notes, *_strangers(place, tiles)))


def _fetch_tile(project: Project, tile: AreaTile) -> dict[str, Any]:
    of_tile = project.of_tile(tile)
    marker = of_tile.cube / MARKER
    before = marker.stat().st_mtime_ns if marker.exists() else None
    cube, account = fetch(of_tile)
    return {"kept": before == marker.stat().st_mtime_ns, "account": [*account, *cube.notes]}


def _strangers(place: Path, tiles: Sequence[AreaTile]) -> list[str]:
    """A note on cubes of tiles that are not on the list: of an earlier area, or of squares of another size."""
    listed = {tile.name for tile in tiles}
    names = sorted(str(path.parent.relative_to(place).as_posix()) for path in place.glob("*/*/cube.zarr"))
    others = [name for name in names if name not in listed]
    return [f"{len(others)} cubes are of other tiles and can be deleted: {', '.join(others[:3])} …"] if others else []
