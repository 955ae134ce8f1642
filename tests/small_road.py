"""A small season for every stage, each before it runs, and a process that forks one command after the other.

A command that is killed costs no imports, so many kills are quick.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import geopandas

from tests.cube.test_extension import LARGE, Season
from tests.test_killed import contents
from tests.toy import toy_project

FORK = """
import json, os, sys, traceback
from dataclasses import replace
import geopandas, lightning, matplotlib.figure, pyarrow.parquet, pyogrio, rasterio.features
import sklearn.ensemble, skops.io, torch, zarr
import agrifm.cube.fetch, agrifm.cube.append, agrifm.mapping.run, agrifm.mapping.parcels, agrifm.assess.report
import agrifm.train.run
from agrifm import vector_batches
from agrifm.classic import forest
from agrifm.cli import main
from agrifm.config import read_project
from agrifm.cube.append import append_frames
from agrifm.cube.project_scenes import search_source, wanted_imagery
from agrifm.train import fit
from tests.small_road import APPENDED
fit.MAX_ROUND_STEPS = 3
forest.TREES, forest.TUNING_TREES, forest.TREE_CANDIDATES = 10, 3, ()
vector_batches.BATCH_ROWS = 50

def append(project):
    of = read_project(project)
    search = search_source(of, wanted_imagery(of)).search
    scenes = [scene for scene in search.scenes if scene.id in APPENDED]
    append_frames(of.cube, replace(search, scenes=scenes))
    return 0

for line in sys.stdin:
    words = json.loads(line)
    child = os.fork()
    if child == 0:
        os.close(0)
        code = 1
        try:
            code = append(words[1]) if words[0] == "append" else main(words)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Small rounds, forests and batches, so that there are several of them."""
APPENDED = ("C", "D")
"""Scenes that are appended to the cube of the others."""


class Stage(NamedTuple):
    """A command with its arguments, where "@" stands for the project; the project; and what it writes."""

    words: tuple[str, ...]
    project: str
    out: str


REPORT = (
    "assess",
    "--map",
    "@/map/classes.tif",
    "--reference",
    "@/points.gpkg",
    "--sampling",
    "simple",
    "--out",
    "@/report",
)
STAGES = {
    "fetch": Stage(("fetch", "--project", "@"), "season", "cube.zarr"),
    "append": Stage(("append", "@"), "appended", "cube.zarr"),
    "train": Stage(("train", "--project", "@"), "toy", "models"),
    "map": Stage(("map", "--project", "@"), "toy", "map"),
    "parcels": Stage(("parcels", "--project", "@"), "toy", "parcels"),
    "assess": Stage((*REPORT, "--project", "@"), "toy", "report"),
}
PROJECT = """\
[season]
area = {area}
start = 2024-05-01
end = 2024-05-31
[imagery]
catalog = "{catalog}"
products = ["sentinel-2-c1-l2a"]
{more}
[labels]
file = "labels.gpkg"
"""
ON_TOY = """
model = "random-forest"
[parcels]
file = "labels.gpkg"
"""


def words_of(stage: str, directory: Path) -> list[str]:
    """The words of a stage's command in a directory."""
    return [word.replace("@", str(directory)) for word in STAGES[stage].words]


class Forks:
    """Runs commands in processes of its own, one at a time."""

    def __init__(self, log: Path, prelude: str, **environment: str) -> None:
        self.log = log.open("w")
        self.server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", prelude + FORK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        )

    def run(self, words: list[str], kill_after: float | None = None) -> tuple[bool, float]:
        """Run a command that must succeed unless it is killed; returns whether it was, and its seconds."""
        status, seconds = self._run(words, kill_after)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0, Path(self.log.name).read_text()[-3000:]
        return killed, seconds

    def outcome(self, words: list[str]) -> tuple[int, str]:
        """Run a command that may fail; returns its exit code and what it wrote to standard error."""
        before = Path(self.log.name).stat().st_size
        status, _ = self._run(words)
        return os.waitstatus_to_exitcode(status), Path(self.log.name).read_bytes()[before:].decode()

    def _run(self, words: list[str], kill_after: float | None = None) -> tuple[int, float]:
        self.server.stdin.write(json.dumps(words) + "\n")
        child = int(self._line())
        began = time.monotonic()
        if kill_after is not None and not select.select([self.server.stdout], [], [], kill_after)[0]:
            os.kill(child, signal.SIGKILL)
        return int(self._line()), time.monotonic() - began

    def _line(self) -> str:
        """The next line of the server; lines that a command printed are left out."""
        while not (line := self.server.stdout.readline()).strip().isdigit():
            assert line, Path(self.log.name).read_text()[-3000:]
        return line

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait(60)
        self.server.stdout.close()
        self.log.close()


@contextmanager
def forks(log: Path, prelude: str = "", **environment: str) -> Iterator[Forks]:
    """A server of commands until the block ends; the prelude is run, and the environment set, before it begins."""
    running = Forks(log, prelude, **environment)
    try:
        yield running
    finally:
        running.close()


def make_road(directory: Path, running: Forks, stages: Iterable[str] = tuple(STAGES)) -> Path:
    """The projects `season`, `appended` and `toy` as they are before their stages, and the results of all stages.

    Results lie below `results`, by stage; what a stage reads is taken from there.
    """
    season = Season(directory / "imagery")
    for number, name in enumerate("ABCD"):
        season.sentinel_2(name, 1 + 5 * number)
    catalog, area = season.save(), list(LARGE.bounds)
    for name, more in (("season", ""), ("appended", f"skip = {json.dumps(APPENDED)}")):
        (directory / name).mkdir()
        (directory / name / "agrifm.toml").write_text(PROJECT.format(area=area, catalog=catalog, more=more))
    running.run(["fetch", "--project", str(directory / "appended")])
    (directory / "appended" / "agrifm.toml").write_text(PROJECT.format(area=area, catalog=catalog, more=""))
    toy_project(directory / "toy", steps=8, names='"agrifm", "random-forest"')
    with (directory / "toy" / "agrifm.toml").open("a") as file:
        file.write(ON_TOY)
    labels = geopandas.read_file(directory / "toy" / "labels.gpkg")
    points = labels.assign(label=labels.crop, geometry=labels.centroid).iloc[::3]
    points[["label", "geometry"]].to_file(directory / "toy" / "points.gpkg")
    for stage in stages:
        running.run(words_of(stage, before(directory, stage, directory / "calm")))
        shutil.copytree(directory / "calm" / STAGES[stage].out, directory / "results" / stage)
    return directory


def before(road: Path, stage: str, place: Path) -> Path:
    """A copy of a stage's project as it is before the stage; returns `place`."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(road / STAGES[stage].project, place)
    if STAGES[stage].project == "toy":
        for earlier in ("train", "map")[: ("train", "map", "parcels", "assess").index(stage)]:
            shutil.copytree(road / "results" / earlier, place / STAGES[earlier].out)
    return place


def result(road: Path, stage: str) -> dict[str, object]:
    """What a stage writes that nothing disturbs; without the moments at which it was written."""
    return contents(road / "results" / stage)
