"""`agrifm cube compact`: a cube that grew in its place gets the bytes of one that is built at once."""

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.cube.test_build import MODIS, S2, add_modis
from tests.cube.test_extension import contents
from tests.damage import cut
from tests.scenes import AREA, SEASON, Catalogue, at, reflectance

from agrifm.cli import main
from agrifm.cube.append import append_frames
from agrifm.cube.build import build_cube
from agrifm.cube.compact import compact_cube
from agrifm.cube.resample import resample_cube, resampler
from agrifm.cube.store import open_cube
from agrifm.errors import CubeError, OutputError
from agrifm.locks import locked
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog
from agrifm.scene.search_result import SearchResult


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Three days of Sentinel-2 and two composites of MODIS."""
    catalogue = Catalogue(tmp_path_factory.mktemp("imagery"))
    for number, name in enumerate("ABC"):
        catalogue.add_sentinel_2(name, at(5, 1 + 5 * number), reflectance(10, 96, brighter=number))
    for first, last in (("2024-05-08", "2024-05-15"), ("2024-05-16", "2024-05-23")):
        add_modis(catalogue, first, last, np.full((12, 12), 140, np.uint16))
    return search_catalog(catalogue.save(), [find_product(S2), find_product(MODIS)], SEASON, AREA)


@pytest.fixture(scope="module")
def appended(tmp_path_factory: pytest.TempPathFactory, found: SearchResult) -> Path:
    """A cube that was appended to twice, and has a file of a frame that was never finished."""
    parts = (("A", "M2024-05-08"), ("B",), ("C", "M2024-05-16"))
    first, *more = (SearchResult([scene for scene in found.scenes if scene.id in ids]) for ids in parts)
    path = tmp_path_factory.mktemp("appended") / "cube.zarr"
    build_cube(path, first, SEASON, AREA)
    for part in more:
        append_frames(path, part)
    stray = path / "sentinel-2/values/c/9/0/0/0"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"of a stopped run")
    return path


@pytest.fixture
def grown(tmp_path: Path, appended: Path) -> Path:
    """A copy of that cube."""
    return Path(shutil.copytree(appended, tmp_path / "cube.zarr"))


def test_a_compacted_cube_has_the_bytes_of_one_built_at_once(tmp_path: Path, grown: Path, found: SearchResult) -> None:
    once = build_cube(tmp_path / "once.zarr", found, SEASON, AREA)
    before = contents(grown)
    assert before != contents(once)
    assert main(["cube", "compact", str(grown)]) == 0
    assert contents(grown) == contents(once)
    (shard,) = [file for file in (grown / "sentinel-2/values/c/0").rglob("*") if file.is_file()]
    assert shard.stat().st_nlink == 1
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.check
def test_a_cube_that_did_not_grow_and_a_resampled_one_keep_their_bytes(tmp_path: Path, found: SearchResult) -> None:
    once = build_cube(tmp_path / "once.zarr", found, SEASON, AREA)
    methods = {name: resampler("medoid", sensor, SEASON, 3) for name, sensor in once.sensors.items()}
    for cube in (once, resample_cube(once, tmp_path / "monthly.zarr", methods)):
        as_written = contents(cube)
        assert contents(compact_cube(cube.path)) == as_written


def test_a_damaged_cube_is_refused_and_stays(grown: Path) -> None:
    (shard,) = [file for file in (grown / "sentinel-2/values/c/2").rglob("*") if file.is_file()]
    cut(shard)
    before = contents(grown)
    with pytest.raises(CubeError):
        compact_cube(grown)
    assert contents(grown) == before


@pytest.mark.parametrize("work", ["partial", "append"])
def test_unfinished_work_is_not_thrown_away(grown: Path, work: str) -> None:
    journal = grown.with_name(f"{grown.name}.{work}.journal")
    journal.write_text("{}\n")
    with pytest.raises(CubeError) as caught:
        compact_cube(grown)
    assert caught.value.facts["path"].name == f"cube.zarr.{work}"
    assert journal.exists()


def test_a_second_writer_is_refused(grown: Path) -> None:
    refused: list[Exception] = []

    def compact() -> None:
        try:
            compact_cube(grown)
        except OutputError as error:
            refused.append(error)

    with locked(grown, "fetching"):
        thread = threading.Thread(target=compact)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert len(open_cube(grown).sensors["sentinel-2"].date) == 3
