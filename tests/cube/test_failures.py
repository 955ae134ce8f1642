"""Scenes that fail for good: all named at the end, or left out with their pixels not valid and asked for again."""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cube.projects import write_project
from tests.scenes import AREA, S2_BANDS, SEASON, Catalogue, at, reflectance, write_tiff
from tests.servers import Request, serving_files, serving_season

from agrifm.cli import main
from agrifm.config import read_project
from agrifm.cube import failures
from agrifm.cube.build import build_cube
from agrifm.cube.fetch import fetch
from agrifm.cube.frame_grids import nested_grids
from agrifm.cube.frames import FrameTile, group_frames
from agrifm.cube.info import describe_cube
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import SceneError
from agrifm.grid import tiles
from agrifm.scene import limits, remote_raster
from agrifm.scene.mask import DEFAULT_RULE
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog
from agrifm.work import Resumable

PRODUCT = "sentinel-2-c1-l2a"
NAMES = ("A", "B", "C", "D")
SKIP = 'missing = "skip"\n'


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """Four dates of one scene each."""
    made = Catalogue(tmp_path / "made")
    for number, name in enumerate(NAMES):
        made.add_sentinel_2(name, at(5, 1 + 5 * number), reflectance(10, 96, brighter=40 * number))
    return made.save()


def project(directory: Path, source: object, keys: str = "") -> Path:
    return write_project(directory, f'catalog = "{source}"\n{keys}', [PRODUCT])


def pixels(cube: Cube) -> tuple[np.ndarray, np.ndarray]:
    group = cube.sensors["sentinel-2"].group
    return np.asarray(group["values"][...]), np.asarray(group["valid"][...])


def cut(path: Path) -> bytes:
    """Cut a file short; returns what it held."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    return content


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "a file that was cut": lambda folder: cut(folder / "red.tif"),
    "no file": lambda folder: (folder / "red.tif").unlink(),
    "an empty file": lambda folder: (folder / "swir22.tif").write_bytes(b""),
    "a page instead of a file": lambda folder: (folder / "green.tif").write_text("<html>busy</html>"),
    "a damaged quality band": lambda folder: cut(folder / "scl.tif"),
    "no first band": lambda folder: (folder / "blue.tif").unlink(),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_all_that_failed_is_named_at_the_end(catalogue: Path, tmp_path: Path, name: str) -> None:
    for scene in ("A", "C"):
        DAMAGES[name](catalogue.parent / scene)
    with pytest.raises(SceneError) as error:
        fetch(read_project(project(tmp_path / "p", catalogue)))
    assert error.value.facts["failed"].keys() == {"A", "C"}
    assert not (tmp_path / "p" / "cube.zarr").exists()


@pytest.mark.parametrize("name", DAMAGES)
def test_scenes_that_failed_are_left_out_on_request(catalogue: Path, tmp_path: Path, name: str) -> None:
    whole, _ = fetch(read_project(project(tmp_path / "whole", catalogue)))
    for scene in ("A", "C"):
        DAMAGES[name](catalogue.parent / scene)
    cube, lines = fetch(read_project(project(tmp_path / "p", catalogue, SKIP)))
    values, valid = pixels(cube)
    expected, _ = pixels(whole)
    assert valid[[1, 3]].all()
    assert not valid[[0, 2]].any()
    assert (values[[1, 3]] == expected[[1, 3]]).all()
    assert cube.provenance["failed"].keys() == {"A", "C"}
    assert [frame["scenes"] for frame in cube.provenance["sensors"]["sentinel-2"]["frames"]] == [[], ["B"], [], ["D"]]
    assert "2 scenes failed" in "\n".join(lines)
    assert sum("scene A" in line or "scene C" in line for line in describe_cube(cube)) == 2


def spoil_items(catalogue: Path) -> None:
    """The item of A is cut off, that of C states a month instead of a day."""
    files = {path.stem: path for path in catalogue.parent.rglob("[A-D].json")}
    cut(files["A"])
    item = json.loads(files["C"].read_text())
    item["properties"]["datetime"] = "2024-05"
    files["C"].write_text(json.dumps(item))


def test_items_that_cannot_become_scenes_are_all_named_or_left_out(catalogue: Path, tmp_path: Path) -> None:
    whole, _ = fetch(read_project(project(tmp_path / "whole", catalogue)))
    spoil_items(catalogue)
    directory = project(tmp_path / "p", catalogue)
    with pytest.raises(SceneError) as error:
        fetch(read_project(directory))
    assert {Path(name).stem for name in error.value.facts["failed"]} == {"A", "C"}  # type: ignore[attr-defined]
    project(directory, catalogue, SKIP)
    cube, lines = fetch(read_project(directory))
    values, valid = pixels(cube)
    assert valid.all()
    assert (values == pixels(whole)[0][[1, 3]]).all()
    assert {Path(name).stem for name in cube.provenance["failed"]} == {"A", "C"}
    assert "2 scenes failed" in "\n".join(lines)
    # the scenes that were found are not all that there are: a cube from them says so too
    reach = f'reach = ["{catalogue.parent}"]\n'
    again, _ = fetch(read_project(project(tmp_path / "q", directory / "scenes.json", SKIP + reach)))
    assert {Path(name).stem for name in again.provenance["failed"]} == {"A", "C"}


def test_a_finished_cube_is_not_called_whole_when_an_item_went_bad(catalogue: Path, tmp_path: Path) -> None:
    content = json.loads(catalogue.read_text())
    directory = project(tmp_path / "p", catalogue, SKIP)
    whole, _ = fetch(read_project(directory))
    content["links"].append({"rel": "item", "href": str(tmp_path / "E.json")})
    catalogue.write_text(json.dumps(content))
    (tmp_path / "E.json").write_text("{")
    cube, _ = fetch(read_project(directory))
    assert len(cube.provenance["failed"]) == 1
    assert cube.provenance["plan"] != whole.provenance["plan"]
    for one, other in zip(pixels(cube), pixels(whole), strict=True):
        assert (one == other).all()


def test_files_that_cannot_be_opened_are_all_named_or_left_out(tmp_path: Path) -> None:
    numbers = reflectance(10, 96).astype(np.uint16)
    for day in (1, 6, 11):
        data = np.concatenate([numbers, np.full((1, 96, 96), 4, np.uint16)])
        write_tiff(tmp_path / "imagery" / f"S2_202405{day:02d}.tif", data, descriptions=(*S2_BANDS, "SCL"))
    cut(tmp_path / "imagery" / "S2_20240506.tif")
    (tmp_path / "imagery" / "S2_20240507.tif").write_bytes(b"no image")
    (tmp_path / "imagery" / "S2_no_day.tif").write_bytes(b"no image")
    (tmp_path / "imagery" / "S2_20240508.nc").write_bytes(b"\x89HDF no file")
    bad = {"S2_20240506.tif", "S2_20240507.tif", "S2_no_day.tif", "S2_20240508.nc"}
    files = '[[imagery.files]]\nproduct = "sentinel-2-worldcereal"\npattern = "imagery/*"\n'
    directory = write_project(tmp_path, files, [])
    with pytest.raises(SceneError) as error:
        fetch(read_project(directory))
    named = {Path(name).name for name in error.value.facts["failed"]}  # type: ignore[attr-defined]
    assert named >= bad - {"S2_20240506.tif"}
    write_project(tmp_path, f"{SKIP}{files}", [])
    cube, _ = fetch(read_project(directory))
    values, valid = pixels(cube)
    assert len(cube.provenance["failed"]) == 4
    assert valid[[0, -1]].all()
    assert (values[[0, -1]] == numbers).all()


def test_a_native_grid_is_that_of_the_first_file_that_can_be_opened(catalogue: Path, tmp_path: Path) -> None:
    cut(catalogue.parent / "A" / "blue.tif")
    cube, _ = fetch(read_project(project(tmp_path / "p", catalogue, f"native_grid = true\n{SKIP}")))
    assert cube.sensors["sentinel-2"].grid.shape == (96, 96)
    assert cube.provenance["failed"].keys() == {"A"}
    assert [bool(frame.all()) for frame in pixels(cube)[1]] == [False, True, True, True]


def test_scenes_that_were_left_out_are_asked_for_again(catalogue: Path, tmp_path: Path) -> None:
    whole, _ = fetch(read_project(project(tmp_path / "whole", catalogue)))
    content = cut(catalogue.parent / "B" / "red.tif")
    directory = project(tmp_path / "p", catalogue, SKIP)
    first, _ = fetch(read_project(directory))
    assert not pixels(first)[1][1].any()
    again, _ = fetch(read_project(directory))
    assert again.provenance["failed"].keys() == {"B"}
    (catalogue.parent / "B" / "red.tif").write_bytes(content)
    healed, _ = fetch(read_project(directory))
    assert "failed" not in healed.provenance
    for one, other in zip(pixels(healed), pixels(whole), strict=True):
        assert (one == other).all()
    assert healed.provenance["plan"] == whole.provenance["plan"]


def test_the_other_scene_of_a_day_fills_what_it_can(tmp_path: Path) -> None:
    made = Catalogue(tmp_path / "made")
    for name, brighter in (("A", 0), ("B", 50)):
        made.add_sentinel_2(name, at(5, 1), reflectance(10, 96, brighter=brighter))
    catalogue = made.save()
    cut(catalogue.parent / "A" / "red.tif")
    cube, _ = fetch(read_project(project(tmp_path / "p", catalogue, SKIP)))
    values, valid = pixels(cube)
    assert valid.all()
    assert (values[0] == reflectance(10, 96, brighter=50)).all()


def test_a_cube_without_any_scene_of_a_sensor_is_refused(catalogue: Path, tmp_path: Path) -> None:
    for name in NAMES:
        cut(catalogue.parent / name / "red.tif")
    with pytest.raises(SceneError) as error:
        fetch(read_project(project(tmp_path / "p", catalogue, SKIP)))
    assert error.value.facts["failed"].keys() == set(NAMES)


def test_only_what_is_missing_is_asked_for_again(catalogue: Path, tmp_path: Path) -> None:
    """From a server, on which a file of two scenes comes late; the third run finds a finished cube."""
    late = {"/files/B/red.tif", "/files/D/red.tif"}
    asked: list[str] = []

    def allowed(request: Request) -> bool:
        if request.method == "GET":
            asked.append(request.path)
        return f"/files{request.path}" not in late and request.path not in late

    with serving_season(catalogue, allowed=allowed) as server:
        directory = project(tmp_path / "p", server.url)
        # the offset check does not read green, and reads these before anything is written
        late = {"/files/B/green.tif", "/files/D/green.tif"}
        with pytest.raises(SceneError) as error:
            fetch(read_project(directory))
        assert error.value.facts["failed"].keys() == {"B", "D"}
        late = set()
        asked.clear()
        fetch(read_project(directory))
        again = {path.removeprefix("/files").split("/")[1] for path in asked if path.endswith("rededge1.tif")}
        assert again == {"B", "D"}


def test_a_server_that_is_down_is_not_asked_for_every_scene(tmp_path: Path) -> None:
    made = Catalogue(tmp_path / "made")
    for number in range(20):
        made.add_sentinel_2(f"S{number}", at(5, 1 + number))
    asked: set[str] = set()

    def allowed(request: Request) -> bool:
        asked.add(request.path.removeprefix("/files").split("/")[1])
        return False

    with serving_season(made.save(), allowed=allowed) as server, pytest.raises(SceneError):
        fetch(read_project(project(tmp_path / "p", server.url)))
    assert len(asked) <= 16


@pytest.mark.parametrize("times", [1, 100])
def test_tiles_of_a_frame_are_of_one_version_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A file is replaced after two of four tiles, as between two runs; one that is always replaced is refused."""
    made = Catalogue(tmp_path / "made")
    made.add_sentinel_2("A", at(5, 1))
    frames = group_frames(search_catalog(made.save(), [find_product(PRODUCT)], SEASON, AREA).scenes)
    path = write_tiff(tmp_path / "served" / "a.tif", np.full((96, 96), 1, np.uint16))
    written: dict[str, int] = {}
    calls: list[str] = []

    def write(tile: FrameTile) -> dict[str, Any]:
        calls.append(tile.key)
        if len(calls) % 3 == 0 and len(calls) // 3 <= times:
            write_tiff(path, np.full((96, 96), 1 + len(calls), np.uint16))
            remote_raster._HEADS.drop(f"{server.url}/a.tif")
        with remote_raster.open_remote(f"{server.url}/a.tif") as source:
            written[tile.key] = int(source.read(1)[0, 0])
        return {"valid": 1, "flags": {}}

    monkeypatch.setattr(failures, "write_frame_tile", write)
    grid = nested_grids(frames, AREA)["sentinel-2"]
    units = [FrameTile(tmp_path / "w", frames[0], window, grid, DEFAULT_RULE) for window in tiles(grid.shape, 48)]
    work = Resumable(tmp_path / "w", "plan")
    work.begin()
    with serving_files(path.parent) as server, ThreadPoolExecutor(1) as pool:
        if times == 1:
            assert failures.write_tiles(work, units, {}, "stop", pool, 1) == {}
            assert set(written.values()) == {4}
            assert len(calls) == 8
        else:
            with pytest.raises(SceneError):
                failures.write_tiles(work, units, {}, "stop", pool, 1)


def test_processes_that_live_on_do_not_remember_failures(catalogue: Path, tmp_path: Path) -> None:
    content = cut(catalogue.parent / "B" / "rededge1.tif")
    season = read_project(project(tmp_path / "p", catalogue)).season.season
    search = search_catalog(catalogue, [find_product(PRODUCT)], season, AREA)
    with ProcessPoolExecutor(1) as pool:
        with pytest.raises(SceneError) as error:
            build_cube(tmp_path / "a.zarr", search, season, AREA, executor=pool)
        assert error.value.facts["failed"].keys() == {"B"}
        (catalogue.parent / "B" / "rededge1.tif").write_bytes(content)
        assert pixels(build_cube(tmp_path / "a.zarr", search, season, AREA, executor=pool))[1].all()


def test_the_command_ends_well_without_scenes_that_failed(
    catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(catalogue.parent / "B" / "red.tif")
    directory = project(tmp_path / "p", catalogue)
    assert main(["fetch", "--project", str(directory)]) == 2
    assert "scene B" in capsys.readouterr().err
    project(directory, catalogue, SKIP)
    assert main(["fetch", "--project", str(directory)]) == 0
    assert "scene B" in capsys.readouterr().out
    assert open_cube(directory / "cube.zarr").provenance["failed"].keys() == {"B"}
