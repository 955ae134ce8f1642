"""Fetch killed (SIGKILL) at each request that changes an object store, map at every fifth; training from the store."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rasterio

from agrifm.cube.store import finish_store, open_cube, open_group
from agrifm.object_store import ObjectPath
from agrifm.published import current
from agrifm.publishing import publishing
from agrifm.stac import MAP_ITEM
from tests.object_server import BUCKET, ObjectServer, serving_objects
from tests.small_road import STAGES, Forks, before, forks, make_road, result, words_of
from tests.test_killed import contents

pytestmark = pytest.mark.check


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    with serving_objects() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, server: ObjectServer) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("log") / "log", **server.environment) as process:
        yield process


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory, running: Forks) -> Path:
    return make_road(tmp_path_factory.mktemp("road"), running, ("fetch", "train", "map"))


def run_until(running: Forks, words: list[str], server: ObjectServer, number: int) -> bool:
    """Run a command and kill it at its n-th request that changes something: before it is done, or just after it."""
    child, known, counted, moment = [0], threading.Event(), [0], ("before", "after")[number % 2]
    counting = threading.Lock()

    def at_write(now: str) -> None:
        known.wait(60)
        with counting:
            counted[0] += now == "before"
            if counted[0] < number or (counted[0] == number and now != moment):
                return
        os.kill(child[0], signal.SIGKILL)
        if now == "before":
            raise ConnectionError("the client has ended")

    server.at_write = at_write
    running.server.stdin.write(json.dumps(words) + "\n")
    child[0] = int(running._line())
    known.set()
    status = int(running._line())
    server.at_write = lambda moment: None
    assert status in (0, signal.SIGKILL), Path(running.log.name).read_text()[-3000:]
    return status == signal.SIGKILL


def stored(place: Path, prefix: str) -> None:
    """Let a project publish at a prefix."""
    file = place / "agrifm.toml"
    file.write_text(file.read_text().replace("[season]", f'[season]\nstore = "s3://{BUCKET}/{prefix}"'))


def content(place: Path | ObjectPath) -> dict[str, bytes]:
    if isinstance(place, ObjectPath):
        return {name: (place / name).read_bytes() for name in place.files()}
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in place.rglob("*") if file.is_file()}


def pixels(place: Path | ObjectPath) -> list[bytes]:
    """Dates and pixels that a reader sees, chunk by chunk compared with the cube's list."""
    sensor = open_cube(place).sensors["sentinel-2"]
    return [sensor.date.tobytes(), *(sensor.group[name][...].tobytes() for name in ("values", "valid"))]


@pytest.mark.parametrize(("stage", "step"), [("fetch", 1), ("map", 5)])
def test_a_stage_killed_at_its_requests_leaves_the_old_or_the_new_result(
    stage: str, step: int, road: Path, running: Forks, server: ObjectServer, tmp_path: Path
) -> None:
    """The old cube lacks two dates, and the old map a layer; the next run ends with an undisturbed run's bytes."""
    out, old = STAGES[stage].out, tmp_path / "old"
    shutil.copytree(road / "appended" / "cube.zarr" if stage == "fetch" else road / "results" / "map", old)
    if stage == "map":
        (old / "confidence.tif").unlink()
    seen: Callable[[Path | ObjectPath], object] = pixels if stage == "fetch" else content
    states, kind = [], "cube" if stage == "fetch" else "map"
    for number in range(1, 100, step):
        place, prefix = tmp_path / f"{number}", f"{stage}-{number}"
        address = ObjectPath(BUCKET, f"{prefix}/{out}")
        with publishing(old, address, kind) as published:
            published.publish()
        before(road, stage, place)
        stored(place, prefix)
        killed = run_until(running, words_of(stage, place), server, number)
        found = seen(current(address))
        if not killed:
            break
        is_old, is_new = found == seen(old), (place / out).exists() and found == seen(place / out)
        assert is_old or is_new
        states.append(is_new)
        running.run(words_of(stage, place))
        assert content(current(address)) == content(place / out)
        assert contents(place / out) == result(road, stage)
        shutil.rmtree(place)
    print(f"{stage}: killed at {len(states)} requests, {states.count(False)} left the old result")
    assert len(states) >= len(content(old)) / 2 / step
    assert states == sorted(states)
    assert states[0] is False
    assert states[-1] is True or step > 1


def test_models_and_maps_from_a_published_cube_are_those_from_the_local_one(
    road: Path, running: Forks, tmp_path: Path, server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine has no cube; GDAL reads the published map."""
    place = before(road, "train", tmp_path / "elsewhere")
    sensors = {name: {"frames": []} for name in ("landsat", "sentinel-2")}
    finish_store(open_group(place / "cube.zarr"), {"plan": "toy", "sensors": sensors})
    address = ObjectPath(BUCKET, "elsewhere/cube.zarr")
    with publishing(place / "cube.zarr", address, "cube") as published:
        published.publish()
    local = tmp_path / "local"
    shutil.copytree(place, local)
    shutil.rmtree(place / "cube.zarr")
    stored(place, "elsewhere")
    for directory in (local, place):
        for stage in ("train", "map"):
            running.run(words_of(stage, directory))
    assert not (place / "cube.zarr").exists()
    for name in ("models/agrifm.safetensors", "map/classes.tif", "map/confidence.tif"):
        assert (place / name).read_bytes() == (local / name).read_bytes()
    item = json.loads((place / "map" / MAP_ITEM).read_bytes())
    assert [link["href"] for link in item["links"] if link.get("title") == "cube"] == [str(current(address))]
    version = current(ObjectPath(BUCKET, "elsewhere/map"))
    assert isinstance(version, ObjectPath)
    gdal = {"S3_ENDPOINT": server.url.removeprefix("http://"), "HTTPS": "NO", "VIRTUAL_HOSTING": "NO"}
    for name, value in gdal.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    # In a process of its own: the server is a thread of this one, and GDAL lets no other thread run while it waits.
    read = "import sys, rasterio; sys.stdout.buffer.write(rasterio.open(sys.argv[1]).read().tobytes())"
    path = f"/vsis3/{version.bucket}/{version.key}/classes.tif"
    there = subprocess.run([sys.executable, "-c", read, path], check=True, stdout=subprocess.PIPE, timeout=120).stdout
    with rasterio.open(local / "map" / "classes.tif") as here:
        assert there == here.read().tobytes()
