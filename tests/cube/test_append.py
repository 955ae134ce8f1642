"""Frames added to a finished cube: as if built at once, nothing of before touched, old or new for every reader."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from tests.cube.test_build import LANDSAT, MODIS, S2, add_modis
from tests.damage import cut, emptied, zeroed
from tests.scenes import AREA, LANDSAT_KEYS, SEASON, Catalogue, at, landsat_numbers, reflectance

from agrifm.cube import store
from agrifm.cube.append import append_frames
from agrifm.cube.build import build_cube
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import CubeError, SceneError
from agrifm.scene.mask import MaskRule
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog
from agrifm.scene.search_result import SearchResult
from agrifm.season import Season
from agrifm.work import Resumable

FIRST, SECOND = ("A", "B", "M2024-05-08", "L1"), ("C", "D", "M2024-05-16")
"""Scenes of both parts of the season: the second has two days of Sentinel-2, one of MODIS, none of Landsat."""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    catalogue = Catalogue(tmp_path_factory.mktemp("catalogue"))
    rng = np.random.default_rng(0)
    for name, day in (("A", 1), ("B", 11), ("C", 12), ("D", 21)):
        scl = np.where(rng.random((96, 96)) < 0.3, 9, 4).astype(np.uint8)
        catalogue.add_sentinel_2(name, at(5, day), rng.integers(1, 9000, (10, 96, 96)), scl)
    for first, last in (("2024-05-08", "2024-05-15"), ("2024-05-16", "2024-05-23")):
        add_modis(catalogue, first, last, rng.integers(129, 145, (12, 12)).astype(np.uint16))
    bands = dict(zip(LANDSAT_KEYS, landsat_numbers(reflectance(6, 32)), strict=True))
    catalogue.add(LANDSAT, "L1", at(5, 3), {**bands, "qa_pixel": np.full((32, 32), 21824, np.uint16)})
    products = [find_product(name) for name in (S2, LANDSAT, MODIS)]
    return search_catalog(catalogue.save(), products, SEASON, AREA)


def part(everything: SearchResult, ids: tuple[str, ...]) -> SearchResult:
    scenes = [scene for scene in everything.scenes if scene.id in ids]
    assert len(scenes) == len(ids)
    return SearchResult(scenes)


@pytest.fixture(scope="module")
def at_once(everything: SearchResult, tmp_path_factory: pytest.TempPathFactory) -> Cube:
    path = tmp_path_factory.mktemp("once") / "cube.zarr"
    return build_cube(path, part(everything, FIRST + SECOND), SEASON, AREA)


@pytest.fixture(scope="module")
def built(everything: SearchResult, tmp_path_factory: pytest.TempPathFactory) -> Cube:
    return build_cube(tmp_path_factory.mktemp("first") / "cube.zarr", part(everything, FIRST), SEASON, AREA)


@pytest.fixture
def first(built: Cube, tmp_path: Path) -> Cube:
    """A copy of the cube of the first part."""
    return open_cube(shutil.copytree(built.path, tmp_path / "cube.zarr"))


def require_same(cube: Cube, other: Cube) -> None:
    """Arrays, dates and metadata; only where the time axis is cut into chunks may differ."""
    assert cube.provenance == other.provenance
    assert list(cube.sensors) == list(other.sensors)
    for name, sensor in cube.sensors.items():
        theirs = other.sensors[name]
        assert set(sensor.group.array_keys()) == set(theirs.group.array_keys())
        for array in sensor.group.array_keys():
            assert dict(sensor.group[array].attrs) == dict(theirs.group[array].attrs)
            assert (sensor.group[array][...] == theirs.group[array][...]).all(), (name, array)
            if array in ("values", "valid", "day"):
                assert sensor.group[array].metadata == theirs.group[array].metadata


def state(path: Path) -> dict[str, tuple[bytes, int]]:
    files = [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def chunks(files: dict[str, Any]) -> dict[str, Any]:
    return {name: content for name, content in files.items() if "/c/" in name}


def test_appended_frames_make_the_cube_that_is_built_at_once(
    everything: SearchResult, at_once: Cube, first: Cube
) -> None:
    before = state(first.path)
    cube = append_frames(first.path, part(everything, SECOND))
    require_same(cube, at_once)
    after = state(first.path)
    assert {name: after[name] for name in chunks(before)} == chunks(before)
    assert not list(first.path.parent.glob("*.append*"))
    # The pixels of the new frames are the same bytes too.
    for name, (content, _) in chunks(state(at_once.path)).items():
        assert "/time" in name or after[name][0] == content, name
    opened = xr.open_zarr(cube.path, group="sentinel-2")
    assert opened.time.dt.day.values.tolist() == [1, 11, 12, 21]


def test_the_cube_of_all_scenes_is_not_built_again(
    everything: SearchResult, first: Cube, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_frames(first.path, part(everything, SECOND))
    before = state(first.path)
    monkeypatch.setattr("agrifm.cube.failures.write_frame_tile", lambda tile: pytest.fail(f"built {tile.key} again"))
    build_cube(first.path, part(everything, FIRST + SECOND), SEASON, AREA)
    assert append_frames(first.path, part(everything, SECOND)).provenance == open_cube(first.path).provenance
    assert state(first.path) == before


def test_frames_are_appended_one_after_the_other(everything: SearchResult, at_once: Cube, first: Cube) -> None:
    for name in SECOND:
        cube = append_frames(first.path, part(everything, (name,)))
    require_same(cube, at_once)


class Stop(BaseException):
    """A kill."""


def test_a_stopped_append_leaves_the_cube_and_goes_on(
    everything: SearchResult, at_once: Cube, first: Cube, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(first.path)
    written = []

    def stopping(tile: Any) -> Any:
        if len(written) == 2:
            raise Stop
        written.append(tile.key)
        return write(tile)

    from agrifm.cube import build, failures

    write = failures.write_frame_tile
    monkeypatch.setattr(failures, "write_frame_tile", stopping)
    monkeypatch.setattr(build, "THREADS", 1)
    with pytest.raises(Stop):
        append_frames(first.path, part(everything, SECOND))
    assert state(first.path) == before
    monkeypatch.setattr(failures, "write_frame_tile", lambda tile: written.append(tile.key) or write(tile))
    require_same(append_frames(first.path, part(everything, SECOND)), at_once)
    assert len(written) == len(set(written)) == len(SECOND)


def test_an_append_stopped_just_before_its_list_of_files_goes_on(
    everything: SearchResult, at_once: Cube, first: Cube, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metadata state the new frames by then, but neither the dates nor the files of all of them."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "seal", stopped)
        with pytest.raises(KeyboardInterrupt):
            append_frames(first.path, part(everything, SECOND))
    require_same(append_frames(first.path, part(everything, SECOND)), at_once)


@pytest.mark.parametrize(
    ("name", "damage"),
    [("zarr.json", emptied), ("sentinel-2/zarr.json", cut), ("sentinel-2/valid/zarr.json", zeroed)],
)
def test_damaged_leftovers_of_an_append_are_written_again(
    everything: SearchResult, at_once: Cube, first: Cube, name: str, damage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("agrifm.cube.append.finish_store", stop)
        with pytest.raises(Stop):
            append_frames(first.path, part(everything, SECOND))
    damage(first.path.with_name("cube.zarr.append") / name)
    require_same(append_frames(first.path, part(everything, SECOND)), at_once)
    assert not list(first.path.parent.glob("*.append*"))


def test_damaged_metadata_of_appended_frames_are_repaired_by_a_build(
    everything: SearchResult, at_once: Cube, first: Cube
) -> None:
    append_frames(first.path, part(everything, SECOND))
    for name in ("zarr.json", "sentinel-2/zarr.json", "sentinel-2/valid/zarr.json"):
        cut(first.path / name)
    with pytest.raises(CubeError):
        open_cube(first.path)
    require_same(build_cube(first.path, part(everything, FIRST + SECOND), SEASON, AREA), at_once)


@pytest.mark.parametrize("stopped", [pytest.param(None, marks=pytest.mark.check), 1, 9, 17])
def test_readers_see_all_new_frames_or_none(
    everything: SearchResult, at_once: Cube, first: Cube, monkeypatch: pytest.MonkeyPatch, stopped: int | None
) -> None:
    """A reader that comes between any two files that are moved; and one that opened the cube before."""
    old = {name: sensor.group["values"][...] for name, sensor in first.sensors.items()}
    seen, replace_file = [], Path.replace

    def watched(self: Path, target: Path) -> Path:
        if ".append" not in str(self) or self.name.endswith(".partial"):
            return replace_file(self, target)
        if stopped is not None and len(seen) == stopped:
            raise Stop
        moved = replace_file(self, target)
        cube = open_cube(first.path)
        expected = first if len(cube.sensors["sentinel-2"].date) == 2 else at_once
        seen.append(len(cube.sensors["sentinel-2"].date))
        for name, sensor in cube.sensors.items():
            assert (sensor.date == expected.sensors[name].date).all()
            values = sensor.group["values"][...]
            assert (values == (old[name] if expected is first else at_once.sensors[name].group["values"][...])).all()
            assert (first.sensors[name].group["values"][...] == old[name]).all()
            assert (first.sensors[name].group["time"][...] == first.sensors[name].date).all()
        return moved

    monkeypatch.setattr(Path, "replace", watched)
    if stopped is not None:
        with pytest.raises(Stop):
            append_frames(first.path, part(everything, SECOND))
        monkeypatch.undo()
        assert len(open_cube(first.path).sensors["sentinel-2"].date) == 2
        # Another frame takes the position of the half moved one: nothing of that one may show in it.
        shutil.copytree(first.path, first.path.with_name("copy.zarr"))
        empty = append_frames(first.path.with_name("copy.zarr"), part(everything, ("D",)))
        assert (
            empty.sensors["sentinel-2"].group["values"][2] == at_once.sensors["sentinel-2"].group["values"][3]
        ).all()
    require_same(append_frames(first.path, part(everything, SECOND)), at_once)
    if stopped is None:
        assert seen == [2] * (len(seen) - 1) + [4]
        assert len(seen) > 17


def test_a_run_stopped_after_its_last_move_leaves_nothing_when_repeated(
    everything: SearchResult, at_once: Cube, first: Cube, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(work: Resumable) -> None:
        if work.begun:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Resumable, "remove", stop)
        with pytest.raises(Stop):
            append_frames(first.path, part(everything, SECOND))
    require_same(append_frames(first.path, part(everything, SECOND)), at_once)
    assert [path.name for path in first.path.parent.iterdir()] == ["cube.zarr"]


def other_product(search: SearchResult) -> SearchResult:
    product = replace(find_product(S2), name="another")
    return SearchResult([replace(scene, product=product) for scene in search.scenes])


def other_description(search: SearchResult) -> SearchResult:
    product = replace(find_product(S2), description={"scale": 0.5})
    return SearchResult([replace(scene, product=product) for scene in search.scenes])


@pytest.mark.parametrize(
    ("ids", "change", "kind", "fact"),
    [
        (("D",), other_description, CubeError, "description"),
        (
            ("D",),
            lambda search: SearchResult([replace(search.scenes[0], day=date(2024, 5, 11))]),
            CubeError,
            "2024-05-11",
        ),
        (("A",), lambda search: SearchResult([replace(search.scenes[0], id="Z")]), CubeError, "not later"),
        (("D",), other_product, CubeError, "'another'"),
        (
            ("D",),
            lambda search: SearchResult([replace(search.scenes[0], day=date(2025, 5, 1))]),
            CubeError,
            "2024-09-30",
        ),
        (
            ("C", "D"),
            lambda search: SearchResult([search.scenes[0], *other_product(search).scenes[1:]]),
            SceneError,
            "one",
        ),
    ],
    ids=["description", "same day", "earlier", "product", "season", "two products"],
)
def test_frames_that_do_not_continue_the_cube_are_refused(
    everything: SearchResult,
    first: Cube,
    ids: tuple[str, ...],
    change: Callable[[SearchResult], SearchResult],
    kind: type,
    fact: str,
) -> None:
    before = state(first.path)
    with pytest.raises(kind, match=fact):
        append_frames(first.path, change(part(everything, ids)))
    assert state(first.path) == before


def test_another_rule_sensor_or_kind_of_cube_is_refused(everything: SearchResult, first: Cube, tmp_path: Path) -> None:
    with pytest.raises(CubeError) as caught:
        append_frames(first.path, part(everything, SECOND), MaskRule(("cloud",)))
    assert caught.value.facts["key"] == "masked"
    only = build_cube(tmp_path / "modis.zarr", part(everything, ("M2024-05-08",)), SEASON, AREA)
    with pytest.raises(CubeError) as caught:
        append_frames(only.path, part(everything, ("C",)))
    assert caught.value.facts["product"] == S2


def test_files_of_another_grid_are_refused_on_a_native_grid(tmp_path: Path) -> None:
    def scenes(name: str, day: int, pixels: int) -> SearchResult:
        catalogue = Catalogue(tmp_path / name)
        catalogue.add_sentinel_2(name, at(5, day), reflectance(10, pixels))
        return search_catalog(catalogue.save(), [find_product(S2)], SEASON, AREA)

    cube = build_cube(tmp_path / "cube.zarr", scenes("A", 1, 60), SEASON, AREA, native_grid=True)
    with pytest.raises(CubeError) as caught:
        append_frames(cube.path, scenes("B", 2, 48))
    assert caught.value.facts["sensor"] == "sentinel-2"
    assert append_frames(cube.path, scenes("C", 3, 60)).sensors["sentinel-2"].date.size == 2


def test_a_season_of_another_cube_is_another_plan(everything: SearchResult, at_once: Cube, tmp_path: Path) -> None:
    shorter = Season(SEASON.start, date(2024, 8, 31))
    cube = build_cube(tmp_path / "cube.zarr", part(everything, FIRST), shorter, AREA)
    assert append_frames(cube.path, part(everything, SECOND)).provenance["plan"] != at_once.provenance["plan"]
