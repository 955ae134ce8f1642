"""Frames: units of work that go to threads and processes, and fingerprints of what decides a frame."""

import pickle
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from tests.scenes import AREA, SEASON, Catalogue, at, reflectance

from agrifm.cube import build
from agrifm.cube.build import build_cube
from agrifm.cube.frame_grids import nested_grids
from agrifm.cube.frames import Frame, FrameTile, group_frames, write_frame_tile
from agrifm.grid import Window
from agrifm.scene.mask import DEFAULT_RULE, MaskRule
from agrifm.scene.products import find_product
from agrifm.scene.providers import PROVIDERS
from agrifm.scene.scene import ArrayAsset, RemoteAsset
from agrifm.scene.search import search_catalog
from agrifm.scene.search_result import SearchResult


@pytest.fixture
def search(tmp_path: Path) -> SearchResult:
    """Three days of noise; two scenes on the first, of which one is partly cloudy."""
    catalogue = Catalogue(tmp_path / "catalogue")
    rng = np.random.default_rng(0)
    scl = np.where(rng.random((96, 96)) < 0.5, 9, 4).astype(np.uint8)
    for name, day, classes in (("A", 1, scl), ("B", 1, None), ("C", 11, scl), ("D", 21, None)):
        catalogue.add_sentinel_2(name, at(5, day, 9), rng.integers(1, 9000, (10, 96, 96)), classes)
    return search_catalog(catalogue.save(), [find_product("sentinel-2-c1-l2a")], SEASON, AREA)


def chunks(cube: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cube)): path.read_bytes() for path in cube.rglob("*") if path.is_file()}


def processes() -> Executor:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@pytest.mark.check
def test_threads_and_processes_build_the_same_bytes(
    search: SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SHARD", 96)
    built = {}
    executors: dict[str, Callable[[], Executor]] = {
        "one thread": lambda: ThreadPoolExecutor(1),
        "threads": lambda: ThreadPoolExecutor(3),
        "processes": processes,
    }
    for name, start in executors.items():
        with start() as executor:
            cube = build_cube(tmp_path / name, search, SEASON, AREA, executor=executor)
        built[name] = chunks(cube.path)
    built["in this process"] = chunks(build_cube(tmp_path / "alone", search, SEASON, AREA).path)
    assert all(content == built["one thread"] for content in built.values())
    assert sum("values/c/" in path for path in built["one thread"]) == 3


def test_a_unit_is_pickled_and_runs_from_its_own_copy(search: SearchResult, tmp_path: Path) -> None:
    frames = group_frames(search.scenes)
    grid = nested_grids(frames, AREA)["sentinel-2"]
    cube = build_cube(tmp_path / "cube.zarr", search, SEASON, AREA)
    unit = FrameTile(cube.path, frames[0], Window(0, 0, 96, 96), grid, DEFAULT_RULE)
    before = chunks(cube.path)
    copy = pickle.loads(pickle.dumps(unit))
    assert copy.key == unit.key
    assert unit.key.startswith("sentinel-2/0/0/0/")
    assert write_frame_tile(copy)["valid"] == 96 * 96
    assert chunks(cube.path) == before


def test_scenes_of_servers_and_in_memory_are_pickled_too(search: SearchResult) -> None:
    import xarray as xr

    scene = search.scenes[0]
    assets = {
        "blue": RemoteAsset("https://example.com/blue.tif", PROVIDERS["planetary-computer"]),
        "red": ArrayAsset(xr.DataArray(reflectance(1, 3)[0], dims=("y", "x")), "EPSG:32631", None),  # type: ignore[arg-type] # no georeference is needed to be pickled
    }
    copy = pickle.loads(pickle.dumps(Frame("sentinel-2", 0, (replace(scene, assets=assets),)))).scenes[0]
    assert copy.assets["blue"] == assets["blue"]
    assert (copy.assets["red"].pixels == reflectance(1, 3)[0]).all()


def test_a_fingerprint_changes_with_what_decides_the_pixels(search: SearchResult) -> None:
    frame, later, _ = group_frames(search.scenes)
    grid = nested_grids([frame], AREA)["sentinel-2"]
    first = frame.scenes[0]

    def changed(**values: object) -> Frame:
        return replace(frame, scenes=(replace(first, **values), *frame.scenes[1:]))

    fingerprints = {
        "as it is": frame.fingerprint(grid, DEFAULT_RULE, "refuse"),
        "another frame": later.fingerprint(grid, DEFAULT_RULE, "refuse"),
        "one scene fewer": replace(frame, scenes=frame.scenes[:1]).fingerprint(grid, DEFAULT_RULE, "refuse"),
        "another scene": changed(id="Z").fingerprint(grid, DEFAULT_RULE, "refuse"),
        "another day": changed(day=date(2024, 5, 2)).fingerprint(grid, DEFAULT_RULE, "refuse"),
        "another baseline": changed(baseline="02.14").fingerprint(grid, DEFAULT_RULE, "refuse"),
        "another file": changed(assets={**first.assets, "red": first.assets["blue"]}).fingerprint(
            grid, DEFAULT_RULE, "refuse"
        ),
        "another rule": frame.fingerprint(grid, MaskRule(("cloud",)), "refuse"),
        "another choice": frame.fingerprint(grid, DEFAULT_RULE, "pixels"),
        "another grid": frame.fingerprint(grid.window(Window(0, 0, 48, 96)), DEFAULT_RULE, "refuse"),
    }
    assert len(set(fingerprints.values())) == len(fingerprints)
    assert replace(frame, index=7).fingerprint(grid, DEFAULT_RULE, "refuse") == fingerprints["as it is"]


def test_the_cube_keeps_the_fingerprint_of_each_frame(search: SearchResult, tmp_path: Path) -> None:
    cube = build_cube(tmp_path / "cube.zarr", search, SEASON, AREA)
    frames = group_frames(search.scenes)
    grid = cube.sensors["sentinel-2"].grid
    kept = [entry["fingerprint"] for entry in cube.provenance["sensors"]["sentinel-2"]["frames"]]
    assert kept == [frame.fingerprint(grid, DEFAULT_RULE, "refuse") for frame in frames]
