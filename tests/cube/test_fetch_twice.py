"""Two fetches at once, links as cubes, and files of others beside the cube."""

import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.cube.test_fetch import run
from tests.scenes import Catalogue, at

from agrifm.cube import fetch as fetching
from agrifm.errors import OutputError


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    catalogue = Catalogue(tmp_path)
    catalogue.add_sentinel_2("A", at(5, 1))
    catalogue.save()
    return catalogue


def test_a_second_fetch_is_refused_before_it_searches(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, refused = fetching.search_source, []

    def second() -> None:
        try:
            run(tmp_path)
        except OutputError as error:
            refused.append(error.facts["pid"])

    def searching(*arguments):
        monkeypatch.setattr(fetching, "search_source", lambda *_: pytest.fail("the second one searches"))
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        return usual(*arguments)

    monkeypatch.setattr(fetching, "search_source", searching)
    cube, _ = run(tmp_path)
    assert refused == [os.getpid()]
    assert len(cube.sensors["sentinel-2"].date) == 1


def test_a_cube_may_be_a_link_to_another_disk(tmp_path: Path, catalogue: Catalogue) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "cube.zarr").symlink_to("disk/season.zarr")
    first, _ = run(tmp_path)
    values = np.asarray(first.sensors["sentinel-2"].group["values"][:])
    catalogue.add_sentinel_2("B", at(5, 11))
    catalogue.save()
    second, _ = run(tmp_path)
    assert len(second.sensors["sentinel-2"].date) == 2
    assert (second.sensors["sentinel-2"].group["values"][0] == values[0]).all()
    assert os.readlink(tmp_path / "cube.zarr") == "disk/season.zarr"
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["season.zarr"]


def test_a_project_that_is_moved_with_its_scenes_keeps_its_cube(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    catalogue = Catalogue(here)
    catalogue.add_sentinel_2("A", at(5, 1))
    catalogue.save()
    run(here)
    pixels = chunks(here)
    here.rename(there)
    for file in there.glob("**/*.json"):  # the catalogue of this test has absolute paths
        if "cube.zarr" not in file.parts:
            file.write_text(file.read_text().replace(str(here), str(there)))
    run(there)
    assert pixels
    assert chunks(there) == pixels
    with (there / "A" / "red.tif").open("ab") as file:  # another content of the same name
        file.write(b"0")
    run(there)
    assert chunks(there).keys() == pixels.keys()
    assert chunks(there) != pixels


def chunks(directory: Path) -> dict[str, int]:
    """When each file of a cube's pixels was written."""
    files = (directory / "cube.zarr").glob("sentinel-2/values/c/**/*")
    return {str(file.relative_to(directory)): file.stat().st_mtime_ns for file in files if file.is_file()}


@pytest.mark.parametrize("name", ["cube.zarr.partial", "cube.zarr", "scenes.json"])
def test_files_of_others_are_refused_and_kept(tmp_path: Path, catalogue: Catalogue, name: str) -> None:
    mine = tmp_path / name
    if name == "scenes.json":
        mine.write_text('{"my": "scenes"}')
    else:
        mine.mkdir()
        (mine / "precious.txt").write_text("mine")
    with pytest.raises(OutputError) as error:
        run(tmp_path)
    assert name in str(error.value)
    assert json.loads(mine.read_text()) == {"my": "scenes"} if mine.is_file() else (mine / "precious.txt").exists()
    shutil.move(mine, tmp_path / "elsewhere")  # what the sentence says mends it
    run(tmp_path)
