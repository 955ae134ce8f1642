"""Variants of a demo's network: trained alike on the finished demo, a line per run, and compared on its unseen blocks.

A run is appended to its file when it is finished, so that a stopped benchmark continues. It counts as done only for the
very same network, steps and data. Parts (K/N) may run beside each other, each with a file of its own.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agrifm.config import ModelConfig, read_project
from agrifm.cube.store import open_cube
from agrifm.inference.tensors import tensor_batch
from agrifm.legend import UNLABELLED
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.classifier import Classifier
from agrifm.samples.patches import labelled_windows
from agrifm.scores import macro_f1, paired_interval
from agrifm.train.data import Data, prepare, project_labels
from agrifm.train.fit import Recipe, finetune

SEEDS = (0, 1, 2)

DECIDING = {"preset", "weights", "frames", "series", "side", "steps", "batch", "learning_rate", "sensor_dropout"}
"""What of a project's `[model]` decides the result of a run."""

Run = dict[str, Any]


class Effort(NamedTuple):
    """How a variant is trained, in parts of how the demo is."""

    rate: float = 1.0
    steps: int = 1


@dataclass(frozen=True)
class Demo:
    """A finished demo, ready for training."""

    config: ModelConfig
    data: Data

    @property
    def network(self) -> AgriFMConfig:
        """The network that the demo trains."""
        sources = {sensor.sensor: len(sensor.bands) for sensor in self.data.sensors}
        classes, days = len(self.data.labels.legend), self.data.cube.season.days
        return preset(self.config.preset, sources, classes, frames=self.config.frames, season_days=days)

    @property
    def digest(self) -> str:
        """Of what every run is trained and scored on."""
        digest = hashlib.sha256(self.config.model_dump_json(include=DECIDING).encode())
        digest.update(str(self.data.cube.provenance.get("plan")).encode())
        for label in (self.data.training.label, self.data.validation.label, self.data.unseen.label):
            digest.update(label.tobytes())
        return digest.hexdigest()[:16]


def read_demo(directory: Path, steps: int | None) -> Demo:
    """The demo in a directory; `steps` = most training steps where not the demo's own."""
    project = read_project(directory)
    config = project.model if steps is None else project.model.model_copy(update={"steps": steps})
    cube = open_cube(project.cube)
    return Demo(config, prepare(cube, project_labels(project, cube), project.labels.block, config))


def read_runs(files: Sequence[Path]) -> list[Run]:
    """All finished runs."""
    return [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]


def train_missing(
    demo: Demo,
    variants: Mapping[str, AgriFMConfig],
    files: Sequence[Path],
    part: str,
    efforts: Mapping[str, Effort] | None = None,
) -> None:
    """Train and score what is missing of a part (K/N) and append it to the first file.

    Args:
        efforts: of the variants that are trained otherwise than the demo.
    """
    number, parts = (int(text) for text in part.split("/"))
    wanted = [(name, seed) for seed in SEEDS for name in variants][number::parts]
    done = [
        (run["variant"], run["seed"], run["data"], AgriFMConfig.model_validate(run["network"]))
        for run in read_runs(files)
    ]
    for name, seed in wanted:
        if (name, seed, demo.digest, variants[name]) in done:
            continue
        network = variants[name].model_dump(mode="json")
        run = {"variant": name, "seed": seed, "data": demo.digest, "network": network}
        run |= _trained(demo, variants[name], seed, (efforts or {}).get(name, Effort()))
        with files[0].open("a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")
        print(f"{name}, seed {seed}: {macro(run):.3f}, {run['seconds']:.0f} s", flush=True)


def _trained(demo: Demo, config: AgriFMConfig, seed: int, effort: Effort) -> Run:
    data, own = demo.data, demo.config
    torch.manual_seed(seed)
    network = AgriFM(config)
    recipe = Recipe(own.steps * effort.steps, own.batch, own.learning_rate * effort.rate, seed, own.series)
    scored = np.array([entry.scored for entry in data.labels.legend.classes])
    began = time.process_time()  # of the processor, so that other programs do not count
    with tempfile.TemporaryDirectory() as work:
        outcome = finetune(network, data.sensors, scored, data.training, data.validation, recipe, Path(work) / "work")
    return {
        "steps": outcome.steps,
        "seconds": time.process_time() - began,
        "scored": data.unseen.scored.tolist(),
        "counts": block_counts(network, demo).tolist(),
    }


def block_counts(network: AgriFM, demo: Demo) -> NDArray[np.int64]:
    """Pixels (block, predicted class, true class) of the unseen blocks, where some sensor saw the ground."""
    data, side = demo.data, demo.config.side
    unseen, classes = data.unseen, len(data.labels.legend)
    blocks = np.unique(unseen.block[unseen.label != UNLABELLED])
    result = np.zeros((len(blocks), classes, classes), np.int64)
    classifier = Classifier(network, data.sensors, demo.config.series)
    for window in labelled_windows(unseen.label, side, side):
        sample = data.network_tiles.sample(window)
        with torch.inference_mode():
            scores = classifier(tensor_batch([sample], data.sensors))
        true, block = unseen.label[window.slices], unseen.block[window.slices]
        known = (true != UNLABELLED) & sample.seen
        predicted = scores[0].argmax(dim=0).numpy()[known]
        np.add.at(result, (np.searchsorted(blocks, block[known]), predicted, true[known]), 1)
    return result


def by_variant(runs: Sequence[Run], names: Sequence[str]) -> dict[str, list[Run]]:
    """The runs of each variant in the order of their seeds; variants that lack a seed are left out.

    Raises:
        SystemExit: the runs are not all of the same data.
    """
    if len({run["data"] for run in runs}) > 1:
        raise SystemExit("the runs are of different data or steps; keep those of one demo in a file of their own")
    found = {}
    for name in names:
        own = sorted((run for run in runs if run["variant"] == name), key=lambda run: run["seed"])
        if [run["seed"] for run in own] == list(SEEDS):
            found[name] = own
        else:
            print(f"{name}: {len(own)} of {len(SEEDS)} seeds are trained, left out of the table")
    return found


def score_lines(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """A line per variant: steps, macro F1 and processor time."""
    yield f"{'variant':<40}{'steps':>12}{'macro F1 (fewest-most)':>26}{'CPU s/step with validation':>30}"
    for name, own in runs.items():
        each = [macro(run) for run in own]
        steps = sorted({run["steps"] for run in own})
        took = str(steps[0]) if len(steps) == 1 else f"{steps[0]}-{steps[-1]}"
        speed = np.mean([run["seconds"] / run["steps"] for run in own])
        yield f"{name:<40}{took:>12}{f'{np.mean(each):.3f} ({min(each):.3f}-{max(each):.3f})':>26}{speed:>30.3f}"


def difference(first: Sequence[Run], second: Sequence[Run]) -> tuple[float, float, float]:
    """Mean over seeds of the difference of macro F1, and its paired interval over blocks."""
    one, other = (np.stack([np.array(run["counts"]) for run in runs], axis=1) for runs in (first, second))
    return difference_of_counts(one, other, np.array(first[0]["scored"]))


def difference_of_counts(
    first: NDArray[np.int64], second: NDArray[np.int64], scored: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """The same from counts (block, seed, predicted, true), so that a drawn block is drawn for all seeds."""

    def mean(counts: NDArray[np.int64]) -> float:
        return float(np.mean([macro_f1(one, scored) for one in counts]))

    low, high = paired_interval(first, second, mean)
    return mean(first.sum(axis=0)) - mean(second.sum(axis=0)), low, high


def macro(run: Run) -> float:
    """Macro F1 of a run."""
    return macro_f1(np.array(run["counts"]).sum(axis=0), np.array(run["scored"]))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a benchmark that trains variants."""
    parser.add_argument("directory", type=Path, nargs="?", help="a finished demo; left out, nothing is trained")
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help="files of finished runs; the first is written")
    parser.add_argument("--steps", type=int, help="training steps of every run; left out, the demo's")
    parser.add_argument("--part", default="0/1", help="K/N: every N-th run, from the K-th")
    parser.add_argument("--out", type=Path, help="file of the result")
