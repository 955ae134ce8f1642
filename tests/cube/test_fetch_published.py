"""Cubes in an object store: the files of the local one, read in place; fetch publishes, brings back and adds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.cube.test_extension import LARGE, Season
from tests.object_server import BUCKET, ObjectServer, serving_objects
from tests.small_road import PROJECT

from agrifm.cli import main
from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import CubeError, StoreError
from agrifm.grid import Window
from agrifm.object_store import ObjectPath
from agrifm.published import current


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    with serving_objects() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    season = Season(tmp_path_factory.mktemp("imagery"))
    for number, name in enumerate("ABC"):
        season.sentinel_2(name, 1 + 5 * number)
    return season.save()


def project(directory: Path, catalogue: Path, prefix: str, more: str = "") -> Path:
    directory.mkdir(exist_ok=True)
    text = PROJECT.format(area=list(LARGE.bounds), catalog=catalogue, more=more)
    stored = f'[season]\nstore = "s3://{BUCKET}/{prefix}"'
    (directory / "agrifm.toml").write_text(text.replace("[season]", stored) if prefix else text)
    return directory


def made(directory: Path) -> tuple[Cube, list[str]]:
    return fetch(read_project(directory))


def content(place: Path | ObjectPath) -> dict[str, bytes]:
    """Every file of a cube, by name."""
    if isinstance(place, ObjectPath):
        return {name: (place / name).read_bytes() for name in place.files()}
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in place.rglob("*") if file.is_file()}


def pixels(cube: Cube) -> list[bytes]:
    """What a reader sees of every pixel."""
    found = []
    for sensor in cube.sensors.values():
        image, valid, _ = sensor.read(Window(0, 0, *sensor.grid.shape))
        found += [sensor.date.tobytes(), image.tobytes(), valid.tobytes()]
    return found


def test_a_fetched_cube_is_in_the_store_file_by_file_and_is_read_there(
    tmp_path: Path, catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cube, _ = made(project(tmp_path / "p", catalogue, "whole"))
    address = f"s3://{BUCKET}/whole/cube.zarr"
    assert content(current(ObjectPath.of(address))) == content(cube.directory)
    assert pixels(open_cube(address)) == pixels(cube)
    for words in (["cube", "info", address], ["cube", "info", f"s3://{BUCKET}/whole"]):
        assert main(words) == 0
        assert "sentinel-2" in capsys.readouterr().out
    assert main(["cube", "compact", address]) == 2
    with pytest.raises(CubeError):
        open_cube(f"s3://{BUCKET}/nothing/cube.zarr")


def test_another_machine_adds_what_is_new_and_a_reader_keeps_what_it_opened(
    tmp_path: Path, catalogue: Path, server: ObjectServer
) -> None:
    first, _ = made(project(tmp_path / "one", catalogue, "grown", 'skip = ["C"]'))
    reader = open_cube(f"s3://{BUCKET}/grown/cube.zarr")
    before = pixels(first)
    server.requests.clear()
    grown, lines = made(project(tmp_path / "two", catalogue, "grown"))
    alone, _ = made(project(tmp_path / "alone", catalogue, ""))
    assert [path for path in server.sent if "/values/c/" in path or "/valid/c/" in path] == [
        path for path in server.sent if "/c/2/" in path
    ]  # the earlier frames are copied within the store
    assert sum(method == "COPY" and "/values/c/" in path for method, path in server.requests) == 2
    assert pixels(grown) == pixels(alone)
    assert pixels(open_cube(f"s3://{BUCKET}/grown/cube.zarr")) == pixels(alone)
    assert pixels(reader) == before
    assert "sent" in lines[-1]


def test_a_file_that_is_lost_or_another_one_in_the_store_is_refused_where_it_is_read(
    tmp_path: Path, catalogue: Path
) -> None:
    made(project(tmp_path / "p", catalogue, "damaged"))
    address = ObjectPath.of(f"s3://{BUCKET}/damaged/cube.zarr")
    place = current(address)
    assert isinstance(place, ObjectPath)
    cube = open_cube(address)
    chunks = sorted(name for name in place.files() if "/values/c/" in name)
    (tmp_path / "other").write_bytes((place / chunks[1]).read_bytes())
    (place / chunks[0]).upload(tmp_path / "other")
    place.remove([chunks[2]])
    sensor = cube.sensors["sentinel-2"]
    for frame, chunk in ((0, chunks[0]), (2, chunks[2])):
        with pytest.raises(CubeError) as error:
            sensor.stored("values", (frame, slice(None), slice(None), slice(None)))
        assert str(error.value.facts["path"]) == str(place / chunk)
    assert np.asarray(sensor.stored("values", (1, 0, 0, slice(None)))).size == sensor.grid.shape[1]


def test_a_bucket_without_rights_is_one_sentence_and_exit_code_2(
    tmp_path: Path, catalogue: Path, server: ObjectServer, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = project(tmp_path / "p", catalogue, "rights")
    with server.refusing():
        for words in (["fetch", "--project", str(directory)], ["cube", "info", f"s3://{BUCKET}/rights/cube.zarr"]):
            assert main(words) == 2
            sentence = capsys.readouterr().err.strip()
            assert BUCKET in sentence
            assert len(sentence.splitlines()) == 1
        with pytest.raises(StoreError) as error:
            made(directory)
    assert error.value.facts["reason"] == "rights"
    assert not (directory / "cube.zarr").exists()
    made(directory)
    sensor = open_cube(f"s3://{BUCKET}/rights/cube.zarr").sensors["sentinel-2"]
    with server.refusing(), pytest.raises(StoreError):  # rights that end while a cube is read are no damage
        sensor.read(Window(0, 0, *sensor.grid.shape))
