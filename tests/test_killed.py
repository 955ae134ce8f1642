"""Training and the demo, killed at random moments (SIGKILL) and run again, end with what an uninterrupted run makes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import load_file

from agrifm.classic.classic_model import ClassicModel, load_classic
from tests.toy import toy_project

pytestmark = pytest.mark.check

TRAIN = """
import sys
import lightning, sklearn.ensemble, skops.io, geopandas, zarr
from agrifm.classic import forest
from agrifm.cli import main
from agrifm.train import fit, run
fit.MAX_ROUND_STEPS = 3
forest.TREES, forest.TUNING_TREES, forest.TREE_CANDIDATES = 10, 3, ()
print("begun", file=sys.stderr, flush=True)
sys.exit(main(sys.argv[1:]))
"""
"""Rounds of three steps, so that there are several of them, and forests of few trees."""
DEMO = """
import sys
from dataclasses import replace
from agrifm import demo
from agrifm.cli import main
demo.WHOLE = replace(demo.WHOLE, kilometres=1.5, reference_points=60, frames=8, steps=6)
sys.exit(main(sys.argv[1:]))
"""
"""The demo on an area of 1.5 km, with less training."""
STAGES = ("simulate", "fetch", "train", "map", "assess")


class Run:
    """A command in a process of its own; what it writes to standard error is in a file."""

    def __init__(self, script: str, words: list[str], log: Path) -> None:
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", script, *words],
                stdout=subprocess.DEVNULL,
                stderr=file,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def reaches(self, line: str) -> bool:
        """Wait until it has begun to write a line; False if it ended before."""
        while not self._has(line):
            if self.process.poll() is not None:
                return self._has(line)
            time.sleep(0.01)
        return True

    def _has(self, line: str) -> bool:
        return any(one.startswith(line) for one in self.log.read_text().splitlines())

    def is_killed_after(self, seconds: float) -> bool:
        """Kill it after some seconds; False if it ended before, as it should."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            if self.process.wait() == -signal.SIGKILL:
                return True  # otherwise it ended in the moment before
        assert self.process.returncode == 0, self.log.read_text()
        return False

    def ends(self) -> float:
        """Wait until it ends, as it should; returns the seconds since now."""
        began = time.monotonic()
        self.process.wait(1200)
        assert self.process.returncode == 0, self.log.read_text()
        return time.monotonic() - began


def contents(directory: Path) -> dict[str, object]:
    """Every file of a directory except measured times; of formats that hold the moment of writing, what is in them."""
    found: dict[str, object] = {}
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = str(path.relative_to(directory))
        if path.suffix == ".skops":
            model = load_classic(path)
            assert isinstance(model, ClassicModel)
            (member,) = model.rows.state()["members"]
            forest = member["state"]["forest"]
            trees = [
                # Bytes between the fields of a node are whatever was in memory.
                [*(state["nodes"][field].tobytes() for field in state["nodes"].dtype.names), state["values"].tobytes()]
                for state in (tree.tree_.__getstate__() for tree in forest.estimators_)
            ]
            found[name] = (model.record, forest.get_params(), trees)
        elif path.suffix == ".gpkg":
            found[name] = geopandas.read_file(path).to_json()
        elif not name.endswith(".timing.json"):
            found[name] = path.read_bytes()
    return found


def trained(directory: Path) -> tuple[dict[str, object], float]:
    """Train without a stop; returns what it wrote, and the seconds after everything was imported."""
    run = Run(TRAIN, ["train", "--project", str(directory)], directory / "log")
    assert run.reaches("begun")
    seconds = run.ends()
    return contents(directory / "models"), seconds


NAMES = '"agrifm", "random-forest"'


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], float]:
    """What a training without a stop writes, and its seconds."""
    directory = tmp_path_factory.mktemp("calm")
    toy_project(directory, steps=8, names=NAMES)
    return trained(directory)


@pytest.mark.parametrize("seed", range(4))
def test_training_killed_at_random_ends_with_the_same_bytes(
    calm: tuple[dict[str, object], float], tmp_path: Path, seed: int
) -> None:
    """Weights, forest, records, items, scores and training parcels; at most four kills until a run ends before one."""
    dice = random.Random(seed)
    expected, seconds = calm
    assert {"agrifm.safetensors", "agrifm.json", "random-forest.skops", "scores.json"} <= expected.keys()
    toy_project(tmp_path / "killed", steps=8, names=NAMES)
    kills = 0
    while kills < 4:
        run = Run(TRAIN, ["train", "--project", str(tmp_path / "killed")], tmp_path / "log")
        assert run.reaches("begun")
        if not run.is_killed_after(dice.uniform(0, 1.1 * seconds)):
            break
        kills += 1
    found, _ = trained(tmp_path / "killed")
    print(f"seed {seed}: {kills} kills within {seconds:.1f} s each")
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert not list((tmp_path / "killed").glob("*.partial*"))


def test_the_demo_killed_in_every_stage_ends_with_the_same_map_and_hectares(tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    Run(DEMO, ["demo", str(calm)], tmp_path / "log").ends()
    seconds = json.loads((calm / "stages.json").read_text())["seconds"]
    dice, kills = random.Random(17), []
    for stage in STAGES:
        run = Run(DEMO, ["demo", str(killed)], tmp_path / "log")
        assert run.reaches(f"agrifm demo: {stage}")
        if run.is_killed_after(dice.uniform(0, 0.8 * seconds[stage])):
            kills.append(stage)
    Run(DEMO, ["demo", str(killed)], tmp_path / "log").ends()
    print(f"killed in {', '.join(kills)}; seconds {seconds}")
    assert len(kills) >= 3
    require_same_demo(calm, killed)


def require_same_demo(calm: Path, killed: Path) -> None:
    """The same map, weights, scores and hectares; fingerprints differ, as folders are part of them."""
    for name in ("map/classes.tif", "map/confidence.tif"):
        assert (killed / name).read_bytes() == (calm / name).read_bytes(), name
    expected, found = (load_file(place / "models/agrifm.safetensors") for place in (calm, killed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    scores, reports = (
        [json.loads((place / name).read_text()) for place in (calm, killed)]
        for name in ("models/scores.json", "report/report.json")
    )
    for content in (*scores, *reports):
        for entry in content["models"].values():
            entry.get("training", {}).pop("fingerprint", None)
    assert scores[0] == scores[1]
    assert reports[0]["models"] == reports[1]["models"]
    assert reports[0]["areas"] == reports[1]["areas"]
    item = json.loads((killed / "map/item.json").read_text())
    assert sum(item["properties"]["agrifm:hectares"].values()) == pytest.approx(225, rel=0.005)
    with rasterio.open(killed / "outside-training-parcels.tif") as source:  # what the report is of
        outside = np.count_nonzero(source.read(1) != source.nodata) * source.res[0] * source.res[1] / 10_000
    assert sum(entry["mapped_ha"] for entry in reports[1]["areas"]) == pytest.approx(outside, rel=0.001)
