"""`agrifm fetch` of a divided area: cubes on one grid of each zone, and what a stop or a failure leaves."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.cube.tiled import catalogue_around, tiled_project

from agrifm.area_tiles import read_tile_list
from agrifm.cli import main
from agrifm.cube import fetch_tiles as module
from agrifm.cube.fetch import fetch
from agrifm.cube.fetch_tiles import fetch_tiles
from agrifm.cube.project_tiles import project_tiles
from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, CubeError
from agrifm.files import MARKER
from agrifm.status import status

PLACE = (3.0, 49.8)
BOX = (2.9805, 49.7925, 2.9972, 49.8033)
"""1.2 x 1.2 km around a corner of squares of 1920 m, (499200, 5516160) in zone 31: parts of four tiles."""


@pytest.fixture
def project(tmp_path: Path):
    catalogue_around(tmp_path, *PLACE, "EPSG:32631").save()
    return tiled_project(tmp_path, BOX, more="halo = 480")


def made(of_tile):
    """Instead of a cube, which other tests fetch: the mark of a finished one."""
    of_tile.cube.mkdir(parents=True)
    (of_tile.cube / MARKER).touch()
    return SimpleNamespace(notes=("made",)), ["1 frame"]


def markers(project) -> dict[str, int]:
    tiles = read_tile_list(project.path("tiles/tiles.geojson"))
    files = {tile.name: project.of_tile(tile).cube / MARKER for tile in tiles}
    return {name: file.stat().st_mtime_ns for name, file in files.items() if file.exists()}


def test_cubes_of_tiles_are_parts_of_the_cube_of_the_whole(tmp_path: Path, project) -> None:
    fetched = fetch_tiles(project)
    whole_place = tmp_path / "whole"
    whole_place.mkdir()
    whole = tiled_project(whole_place, BOX)
    catalogue = project.imagery.model_copy(update={"catalog": str(tmp_path / "catalog.json")})
    season = whole.season.model_copy(update={"tiles": None})
    cube, _ = fetch(whole.model_copy(update={"season": season, "imagery": catalogue}))
    target, values = cube.target, cube.sensors["sentinel-2"].group["values"][...]
    assert len(fetched.tiles) == 4
    for tile in fetched.tiles:
        part = open_cube(project.of_tile(tile).cube)
        top, left = part.target.transform.f, part.target.transform.c
        assert (left % 480, top % 480) == (0, 0)
        row, col = round((target.transform.f - top) / 10), round((left - target.transform.c) / 10)
        height, width = part.target.shape
        rows = np.arange(row, row + height)
        cols = np.arange(col, col + width)
        ours = np.ix_((rows >= 0) & (rows < target.shape[0]), (cols >= 0) & (cols < target.shape[1]))
        found = part.sensors["sentinel-2"].group["values"][...][:, :, ours[0], ours[1]]
        expected = values[:, :, rows[ours[0][:, 0]][:, None], cols[ours[1][0]][None]]
        assert np.array_equal(found, expected)


def test_a_tile_that_fails_is_named_and_done_by_the_next_run(tmp_path: Path, project, monkeypatch) -> None:
    broken = project_tiles(project)[0][1].name

    def fails(of_tile):
        if of_tile.tile.name == broken:
            raise CubeError("the server is asleep")
        return made(of_tile)

    monkeypatch.setattr(module, "fetch", fails)
    fetched = fetch_tiles(project)
    assert fetched.done.failed == {broken: "the server is asleep"}
    assert any(broken in line and "asleep" in line for line in fetched.lines())
    before = markers(project)
    assert len(before) == len(fetched.tiles) - 1
    assert json.loads(project.path("tiles/fetch.json").read_text(encoding="utf-8"))[broken] == {
        "failed": "the server is asleep"
    }
    assert any(line.startswith("fetch: started") and f"{len(before)} of" in line for line in status(tmp_path))
    asked = []
    monkeypatch.setattr(module, "fetch", lambda of_tile: asked.append(of_tile.tile.name) or made(of_tile))
    assert not fetch_tiles(project).done.failed
    assert asked == [broken]
    assert {name: markers(project)[name] for name in before} == before
    assert any(line.startswith("fetch: done") for line in status(tmp_path))


def test_a_stopped_run_continues_with_what_is_missing(project, monkeypatch) -> None:
    asked: list[str] = []

    def stops(of_tile):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(of_tile.tile.name)
        return made(of_tile)

    monkeypatch.setattr(module, "fetch", stops)
    with pytest.raises(KeyboardInterrupt):
        fetch_tiles(project)
    again: list[str] = []
    monkeypatch.setattr(module, "fetch", lambda of_tile: again.append(of_tile.tile.name) or made(of_tile))
    fetched = fetch_tiles(project)
    assert not set(again) & set(asked)
    assert len(markers(project)) == len(fetched.tiles) == len(again) + 2


def test_when_nothing_can_be_fetched_the_reason_is_stated_once(tmp_path: Path, project, capsys) -> None:
    for image in tmp_path.glob("scene*/red.tif"):
        image.unlink()
    assert main(["fetch", "--project", str(tmp_path)]) == 2
    assert "red.tif" in capsys.readouterr().err


def test_an_area_without_tiles_says_that_it_needs_them(tmp_path: Path) -> None:
    catalogue_around(tmp_path, 6.0, 49.0, "EPSG:32631").save()
    project = tiled_project(tmp_path, (5.99, 48.99, 6.01, 49.01))
    season = project.season.model_copy(update={"tiles": None})
    with pytest.raises(CubeError, match="tiles = 100") as error:
        fetch(project.model_copy(update={"season": season}))
    assert (error.value.facts["first"], error.value.facts["last"]) == (31, 32)


@pytest.mark.parametrize(
    "line", ["tiles = 1", "tiles = true", "halo = 480", "tiles = 50\n[imagery]\nnative_grid = true"]
)
def test_tiles_that_cannot_be_are_refused(tmp_path: Path, line: str, capsys) -> None:
    tiled_project(tmp_path, BOX)
    file = tmp_path / "agrifm.toml"
    text = file.read_text(encoding="utf-8").replace("tiles = 2", line)
    file.write_text(text.replace("\n[imagery]\nproducts", "\nproducts") if "native" in line else text, encoding="utf-8")
    assert main(["fetch", "--project", str(tmp_path)]) == 2
    assert "tiles" in capsys.readouterr().err
    assert not (tmp_path / "tiles").exists()


def test_commands_of_one_cube_refuse_a_divided_area(project) -> None:
    with pytest.raises(ConfigError) as error:
        _ = project.cube
    assert error.value.facts["key"] == "tiles"
