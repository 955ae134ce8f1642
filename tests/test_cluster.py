"""Clusters: addresses, what is refused before work begins, units that fail for a while or for good, the same bytes."""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Lock, Timer
from time import sleep
from typing import Any

import distributed
import numpy as np
import psutil
import pytest

from agrifm import cluster
from agrifm.cluster import ClusterExecutor, cluster_address, open_cluster, shared_path
from agrifm.cube import build, failures
from agrifm.cube.build import build_cube
from agrifm.errors import ConfigError, LabelError, WorkError
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog
from agrifm.train.world_shards import make_world_shards
from agrifm.work import Resumable, fingerprint, run_tiles
from tests.scenes import AREA, SEASON, Catalogue, at

calls: Counter[Any] = Counter()
"""How often each unit was called, by the threads of the cluster in this process."""
counting, go_on = Lock(), Event()


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    """A scheduler with two workers that are threads of this process."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
    ) as started:
        yield started


@pytest.fixture
def workers(scheduler: Any, tmp_path: Path) -> Iterator[ClusterExecutor]:
    calls.clear()
    with open_cluster(scheduler.scheduler_address, tmp_path) as executor:
        assert isinstance(executor, ClusterExecutor)
        yield executor


def count(unit: Any) -> int:
    """Count a call; returns how many there were of this unit."""
    with counting:
        calls[unit] += 1
        return calls[unit]


def square(number: int) -> int:
    return number**2


def busy_at_first(number: int) -> int:
    """Every third unit fails at its first two tries."""
    if count(number) < 3 and number % 3 == 0:
        raise ConnectionResetError
    return number


def never_at_five(number: int) -> int:
    if count(number) and number == 5:
        raise OSError(errno.ESTALE, "stale file handle")
    return number


def refuses_five(number: int) -> int:
    if count(number) and number == 5:
        raise LabelError("five is not a class", number=5)
    return number


def wait_to_go_on(number: int) -> int:
    go_on.wait(60)
    return number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("local:2", ("local", 2, "")),
        ("slurm", ("slurm", 1, "")),
        ("slurm:12", ("slurm", 12, "")),
        ("tcp://node-7.example.org:8786", ("scheduler", 1, "tcp://node-7.example.org:8786")),
        ("tls://[::1]:8786", ("scheduler", 1, "tls://[::1]:8786")),
    ],
)
def test_an_address_names_processes_jobs_or_a_scheduler(text: str, expected: tuple[str, int, str]) -> None:
    found = cluster_address(text)
    assert (found.kind, found.count, found.url) == expected


@pytest.mark.parametrize("text", ["", "local", "local:0", "local:two", "local:-1", "host:8786", "tcp://host", "pbs:3"])
def test_what_is_not_an_address_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error, open_cluster(text, tmp_path):
        pass
    assert error.value.facts["address"] == text


def test_paths_are_from_the_root_only_where_workers_are_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert shared_path("tcp://host:8786", Path("season")) == tmp_path / "season"
    assert [shared_path(address, Path("season")) for address in (None, "local:2", "slurm")] == [Path("season")] * 3


def test_without_an_address_there_is_no_executor(tmp_path: Path) -> None:
    with open_cluster(None, tmp_path) as executor:
        assert executor is None


def test_a_scheduler_that_does_not_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.5)
    with pytest.raises(ConfigError) as error, open_cluster("tcp://127.0.0.1:9", tmp_path):
        pass
    assert error.value.facts["address"] == "tcp://127.0.0.1:9"


def test_a_scheduler_without_workers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.5)
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
        ) as empty,
        pytest.raises(ConfigError) as error,
        open_cluster(empty.scheduler_address, tmp_path),
    ):
        pass
    assert error.value.facts["seconds"] == 0.5


def test_a_cluster_without_its_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agrifm.errors.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as error, open_cluster("slurm", tmp_path):
        pass
    assert error.value.facts["package"] == "distributed"


def test_workers_of_another_version_are_refused(scheduler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0.7")
    with pytest.raises(ConfigError) as error, open_cluster(scheduler.scheduler_address, tmp_path):
        pass
    assert error.value.facts["version"] == "0.0.7"


def test_a_worker_that_came_later_does_no_unit_of_another_version(
    workers: ClusterExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "__version__", "0.0.7")
    with pytest.raises(ConfigError) as error:
        list(run_tiles(square, range(3), workers))
    assert error.value.facts["version"] == "0.0.7"


def test_workers_that_see_another_directory_are_refused(
    scheduler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads_elsewhere(self: Path) -> bytes:
        return b"of another disk"

    monkeypatch.setattr(Path, "read_bytes", reads_elsewhere)
    with pytest.raises(ConfigError) as error, open_cluster(scheduler.scheduler_address, tmp_path):
        pass
    assert error.value.facts["path"] == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_units_that_failed_twice_are_done_at_the_third_try(workers: ClusterExecutor) -> None:
    assert sorted(run_tiles(busy_at_first, range(20), workers)) == [(number, number) for number in range(20)]
    assert [calls[number] for number in range(20)] == [3 if number % 3 == 0 else 1 for number in range(20)]


def test_a_unit_that_fails_three_times_is_left_out_and_named(workers: ClusterExecutor) -> None:
    done: list[int] = []
    with pytest.raises(WorkError) as error:
        done.extend(unit for unit, _ in run_tiles(never_at_five, range(40), workers, name="unit {}".format))
    assert sorted(done) == [number for number in range(40) if number != 5]
    assert calls[5] == 3
    assert error.value.facts["units"] == ["unit 5"]
    assert "unit 5" in str(error.value)


def test_a_permanent_error_is_not_tried_again(workers: ClusterExecutor) -> None:
    with pytest.raises(LabelError, match="five"):
        list(run_tiles(refuses_five, range(1000), workers))
    assert calls[5] == 1
    assert sum(calls.values()) < 40


def test_what_was_left_out_is_done_by_the_next_run(workers: ClusterExecutor, tmp_path: Path) -> None:
    scratch = tmp_path / "work"
    for attempt in range(2):
        work = Resumable(scratch, fingerprint("plan"))
        if attempt:
            calls.clear()
            results = work.run(square, range(9), str, "square", workers)
        else:
            work.begin()
            with pytest.raises(WorkError):
                work.run(never_at_five, range(9), str, "square", workers)
    assert results == {str(number): 25 if number == 5 else number for number in range(9)}


def test_units_of_a_run_that_was_killed_are_waited_for(scheduler: Any, tmp_path: Path) -> None:
    """A run is gone while its unit still writes; a run that goes on in the same project is not waited for."""
    go_on.clear()
    with open_cluster(scheduler.scheduler_address, tmp_path) as killed:
        assert killed is not None
        killed.submit(wait_to_go_on, 1)
        while not cluster._running:
            sleep(0.01)
        with open_cluster(scheduler.scheduler_address, tmp_path):
            assert len(cluster._running) == 1
    Timer(0.3, go_on.set).start()
    with open_cluster(scheduler.scheduler_address, tmp_path):
        assert not cluster._running


def test_as_many_units_are_in_flight_as_workers_need(workers: ClusterExecutor, monkeypatch: pytest.MonkeyPatch):
    assert workers.ahead == 4
    monkeypatch.setattr(workers.client, "nthreads", lambda: {str(worker): 3 for worker in range(50)})
    assert workers.ahead == 4  # as it was known a moment ago
    monkeypatch.setattr(cluster, "WIDTH_SECONDS", 0.0)
    assert workers.ahead == 300


@pytest.fixture
def search(tmp_path: Path) -> Any:
    """Three days of noise."""
    catalogue = Catalogue(tmp_path / "catalogue")
    rng = np.random.default_rng(0)
    for name, day in (("A", 1), ("B", 11), ("C", 21)):
        catalogue.add_sentinel_2(name, at(5, day, 9), rng.integers(1, 9000, (10, 96, 96)))
    return search_catalog(catalogue.save(), [find_product("sentinel-2-c1-l2a")], SEASON, AREA)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_frame_whose_tile_fails_is_left_out_and_read_by_the_next_fetch(
    workers: ClusterExecutor, search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tile of frame B is never written: the cube is made without B, and made whole by the next run."""
    monkeypatch.setattr(build, "SHARD", 96)
    whole = build_cube(tmp_path / "whole.zarr", search, SEASON, AREA)
    write = failures.write_frame_tile

    def fails_for_b(tile: Any) -> Any:
        if tile.frame.scenes[0].id == "B" and not tile.without and tile.window.col == 0:
            count("B")
            raise TimeoutError
        return write(tile)

    with monkeypatch.context() as patched:
        patched.setattr(failures, "write_frame_tile", fails_for_b)
        first = build_cube(tmp_path / "cube.zarr", search, SEASON, AREA, executor=workers, missing="skip")
    assert calls["B"] == 3
    assert set(first.provenance["failed"]) == {"B"}
    assert not np.asarray(first.sensors["sentinel-2"].group["valid"][1]).any()
    again = build_cube(tmp_path / "cube.zarr", search, SEASON, AREA, executor=workers, missing="skip")
    assert "failed" not in again.provenance
    assert contents(again.path) == contents(whole.path)


@pytest.mark.check
def test_shards_are_the_same_on_a_cluster_and_in_this_process(workers: ClusterExecutor, tmp_path: Path) -> None:
    settings = {"seed": 2, "places": 3, "fields": 2, "places_per_shard": 1}
    here = make_world_shards(tmp_path / "here", **settings)
    there = make_world_shards(tmp_path / "there", **settings, executor=workers)
    assert contents(there.directory) == contents(here.directory)


def test_processes_of_this_machine_are_not_reached_from_others(tmp_path: Path) -> None:
    with open_cluster("local:1", tmp_path) as executor:
        assert executor is not None
        assert executor.submit(square, 3).result() == 9
        pids = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
        found = [one for pid in pids for one in psutil.Process(pid).net_connections("tcp") if one.status == "LISTEN"]
    assert len(found) >= 3  # scheduler, its page, worker
    assert {one.laddr.ip for one in found} == {"127.0.0.1"}
