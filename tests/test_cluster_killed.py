"""Commands on a cluster make the bytes of one process, also when workers are killed at random moments; and on Slurm."""

import hashlib
import os
import random
import shutil
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any

import geopandas
import psutil
import pytest

from agrifm.classic import forest
from agrifm.cluster import open_cluster
from agrifm.config import Project, read_project
from agrifm.cube.fetch import fetch
from agrifm.errors import SceneError, WorkError
from agrifm.mapping.parcels import parcels_of_project
from agrifm.mapping.run import map_project
from agrifm.simulator.catalog import simulate
from agrifm.train.run import train

pytestmark = [pytest.mark.check, pytest.mark.filterwarnings("ignore")]

PROJECT = """\
[season]
area = "season/area.geojson"
start = 2024-04-01
end = 2024-08-31
[imagery]
catalog = "season/catalog.json"
products = ["sentinel-2-c1-l2a"]
[labels]
file = "season/truth/parcels.gpkg"
column = "crop"
legend = "season/truth/legend.json"
block = 480
[model]
names = ["random-forest"]
frames = 8
[map]
model = "random-forest"
window = 48
overlap = 0
[parcels]
file = "parcels.parquet"
"""
COMMANDS: dict[str, tuple[str, Callable[[Project, Executor | None], Any]]] = {
    "fetch": ("cube.zarr", fetch),
    "map": ("map", lambda project, executor: map_project(project, executor=executor)),
    "parcels": ("parcels", lambda project, executor: parcels_of_project(project, executor=executor)),
}
"""By name: what a command writes, and how it is called."""
KILLS = {"fetch": 8, "map": 6, "parcels": 6}
LONGEST_WAIT = 8.0
"""Seconds between two kills."""
SBATCH = """\
#!{python}
import shutil, subprocess, sys, tempfile
log = open({folder!r} + "/job.log", "a")
script = shutil.copy(sys.argv[-1], tempfile.mktemp(dir={folder!r}))
job = subprocess.Popen(["bash", script], stdout=log, stderr=log, start_new_session=True)
open({folder!r} + "/jobs", "a").write(f"{{job.pid}}\\n")
print(f"Submitted batch job {{job.pid}}")
"""
SCANCEL = """\
#!{python}
import os, signal, sys
for number in sys.argv[1:]:
    os.killpg(int(number), signal.SIGTERM)
"""


def digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file, of those without the moment of writing in them."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in ("item.json", "summary.json")
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A simulated season of 1.5 km with its cube, a forest of few trees, its map and its parcels, by this process."""
    directory = tmp_path_factory.mktemp("season")
    simulate(directory / "season", size=1.5)
    parcels = geopandas.read_file(directory / "season" / "truth" / "parcels.gpkg")
    parcels.to_parquet(directory / "parcels.parquet", row_group_size=4)
    (directory / "agrifm.toml").write_text(PROJECT, encoding="utf-8")
    made = read_project(directory)
    fetch(made)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forest, "TREES", 10)
        train(made)
    for name in ("map", "parcels"):
        COMMANDS[name][1](made, None)
    return made


@pytest.fixture(scope="module")
def expected(project: Project) -> dict[str, dict[str, str]]:
    return {name: digests(project.path(result)) for name, (result, _) in COMMANDS.items()}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("address", ["local:1", "local:2"])
def test_a_cluster_makes_the_bytes_of_one_process(
    project: Project, expected: dict[str, dict[str, str]], name: str, address: str
) -> None:
    result, run = COMMANDS[name]
    shutil.rmtree(project.path(result))
    with open_cluster(address, project.directory) as executor:
        run(project, executor)
    assert digests(project.path(result)) == expected[name]


class Killer(threading.Thread):
    """Kills workers of a local cluster at random moments until it is stopped or has killed enough."""

    def __init__(self, executor: Any, dice: random.Random, most: int) -> None:
        super().__init__()
        self.workers, self.dice, self.most = executor.client.cluster.workers, dice, most
        self.killed, self.ended = 0, threading.Event()

    def run(self) -> None:
        while self.killed < self.most and not self.ended.wait(self.dice.uniform(0.0, LONGEST_WAIT)):
            pids = [nanny.pid for nanny in list(self.workers.values()) if nanny.pid is not None]
            if pids:
                os.kill(self.dice.choice(pids), signal.SIGKILL)
                self.killed += 1


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_workers_lose_nothing(project: Project, expected: dict[str, dict[str, str]], name: str) -> None:
    """The command is repeated until the last kill; where a unit lost three workers, the same command does it."""
    result, run = COMMANDS[name]
    dice, killed, again, runs = random.Random(name), 0, 0, 0
    while killed < KILLS[name]:
        shutil.rmtree(project.path(result), ignore_errors=True)
        runs += 1
        while True:
            with open_cluster("local:2", project.directory) as executor:
                killer = Killer(executor, dice, KILLS[name] - killed)
                killer.start()
                try:
                    run(project, executor)
                    break
                except (WorkError, SceneError):
                    again += 1
                finally:
                    killer.ended.set()
                    killer.join()
                    killed += killer.killed
        assert digests(project.path(result)) == expected[name]
    print(f"{name}: {killed} workers killed in {runs} runs; units were left to the next run {again} times")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Programs that take the place of Slurm's: a job is a process of this machine."""
    import dask

    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        program = tmp_path / name
        program.write_text(text.format(python=sys.executable, folder=str(tmp_path)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    asked = {"cores": 1, "processes": 1, "memory": "2GB", "interface": "lo"}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in asked.items()}):
        yield tmp_path
    jobs = {int(job) for job in (tmp_path / "jobs").read_text().split()}
    end = time.monotonic() + 60
    while any(is_running(job) for job in jobs):  # all are cancelled
        assert time.monotonic() < end
        time.sleep(0.2)


def is_running(job: int) -> bool:
    """Whether a process of a job's group is there that has not ended."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == job and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def test_jobs_of_slurm_make_the_same_map_and_one_that_ends_is_submitted_again(
    project: Project, expected: dict[str, dict[str, str]], slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only job is killed with its worker before the first window is finished."""
    monkeypatch.setattr("agrifm.cluster_workers.GRACE_SECONDS", 2.0)
    shutil.rmtree(project.maps)
    with open_cluster("slurm", project.directory) as executor:
        (first,) = (slurm / "jobs").read_text().split()
        threading.Timer(2, os.killpg, (int(first), signal.SIGKILL)).start()
        map_project(project, executor=executor)
    assert digests(project.maps) == expected["map"]
    assert len((slurm / "jobs").read_text().split()) == 2
