"""Variants of a demo's network: trained alike on the finished demo, a line per run, and compared on its unseen blocks.

A run is appended to its file when it is finished, so that a stopped benchmark continues. It counts as done only for the
very same network, steps and data. Parts (K/N) can run at the same time, each with a file of its own.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from measure import RUNS, Run, add_run, part_of, read_runs, table
from numpy.typing import NDArray

from agrifm.config import read_project
from agrifm.cube.store import open_cube
from agrifm.inference.tensors import tensor_batch
from agrifm.legend import UNLABELLED
from agrifm.model_config import ModelConfig
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.classifier import Classifier
from agrifm.record import SensorRecord, SeriesKind
from agrifm.samples.patches import Patches, labelled_windows
from agrifm.samples.sample import Sample
from agrifm.scores import macro_f1, paired_interval
from agrifm.train.data import Data, prepare, project_labels
from agrifm.train.fit import Hyperparameters, fit
from agrifm.train.objectives import Classification

SEEDS = (0, 1, 2)
DECIDING = {"preset", "weights", "frames", "series", "side", "steps", "batch", "learning_rate", "sensor_dropout"}
"""Keys of a project's `[model]` that decide the result of a run."""
OPTIONS = {
    "directory": {"type": Path, "nargs": "?", "help": "a finished demo; left out, nothing is trained"},
    **RUNS,
}
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Variant:
    """A network, the series it sees, and how it is trained relative to the demo's."""

    network: AgriFMConfig
    rate: float = 1.0
    """Of the demo's learning rate."""
    steps: int = 1
    """Times the demo's steps."""
    series: SeriesKind | None = None
    """The demo's where None."""
    dropout: float = 0.0
    """Share of the steps without one of the sensors."""


@dataclass(frozen=True)
class Demo:
    """A finished demo, ready for training."""

    config: ModelConfig
    data: Data

    @property
    def network(self) -> AgriFMConfig:
        """The network that the demo trains."""
        return self.preset(self.config.preset)

    def preset(self, name: str, sensors: int | None = None) -> AgriFMConfig:
        """A preset for the demo's data, with the first `sensors` sensors."""
        sources = {sensor.sensor: len(sensor.bands) for sensor in self.data.sensors[:sensors]}
        classes, days = len(self.data.labels.legend), self.data.cube.season.days
        return preset(name, sources, classes, frames=self.config.frames, season_days=days)

    def sensors(self, variant: Variant) -> tuple[SensorRecord, ...]:
        """The sensors that a variant sees."""
        names = {source.name for source in variant.network.sources}
        return tuple(sensor for sensor in self.data.sensors if sensor.sensor in names)

    @property
    def digest(self) -> str:
        """Of the data and settings that every run is trained and scored on."""
        digest = hashlib.sha256(self.config.model_dump_json(include=DECIDING).encode())
        digest.update(str(self.data.cube.provenance.get("plan")).encode())
        for label in (self.data.training.label, self.data.validation.label, self.data.unseen.label):
            digest.update(label.tobytes())
        return digest.hexdigest()[:16]


class OfSensors(Patches):
    """Patches with some of their sensors."""

    def __init__(self, whole: Patches, names: Sequence[str]) -> None:
        super().__init__(whole.tiles, whole.label, whole.windows)
        self.names = names

    def __getitem__(self, index: int) -> Sample:
        return with_sensors(super().__getitem__(index), self.names)


def with_sensors(sample: Sample, names: Sequence[str]) -> Sample:
    """The sample with some of its sensors."""
    return replace(sample, series={name: sample.series[name] for name in names})


def read_demo(directory: Path, steps: int | None = None) -> Demo:
    """The demo in a directory; `steps` = most training steps where not the demo's own."""
    project = read_project(directory)
    config = project.model if steps is None else project.model.model_copy(update={"steps": steps})
    cube = open_cube(project.cube)
    return Demo(config, prepare(cube, project_labels(project, cube), project.labels.block, config))


Score = Callable[[AgriFM, Variant, Demo], dict[str, Counts]]


def train_missing(
    demo: Demo, variants: Mapping[str, Variant], files: Sequence[Path], part: str, score: Score | None = None
) -> None:
    """Train and score what is missing of a part (K/N) and append it to the first file.

    Args:
        score: counts by condition ("counts" is the demo as it is); left out, `block_counts` of the demo as it is.
    """
    keys = ("variant", "seed", "data")
    done = [(*(run[key] for key in keys), AgriFMConfig.model_validate(run["network"])) for run in read_runs(files)]
    for name, seed in part_of([(name, seed) for seed in SEEDS for name in variants], part):
        if (name, seed, demo.digest, variants[name].network) in done:
            continue
        network = variants[name].network.model_dump(mode="json")
        run = {"variant": name, "seed": seed, "data": demo.digest, "network": network}
        run |= _trained(demo, variants[name], seed, score or (lambda *given: {"counts": block_counts(*given)}))
        add_run(files, run)
        print(f"{name}, seed {seed}: {macro(run):.3f}, {run['seconds']:.0f} s", flush=True)


def _trained(demo: Demo, variant: Variant, seed: int, score: Score) -> Run:
    data, config, sensors = demo.data, demo.config, demo.sensors(variant)
    torch.manual_seed(seed)
    network = AgriFM(variant.network)
    classifier = Classifier(network, sensors, variant.series or config.series)
    objective = Classification(np.array([entry.scored for entry in data.labels.legend.classes]))
    parameters = Hyperparameters(
        config.steps * variant.steps, config.batch, config.learning_rate * variant.rate, seed, variant.dropout
    )
    tiles = data.network_tiles if variant.series is None else data.tiles_of(variant.series)
    training, validation = (
        OfSensors(Patches(tiles, fold.label, fold.windows), [sensor.sensor for sensor in sensors])
        for fold in (data.training, data.validation)
    )
    start = time.process_time()  # of this process, so that other programs do not count
    with tempfile.TemporaryDirectory() as work:
        outcome = fit(
            classifier, objective, sensors, training, validation, parameters, Path(work) / "work",
            channels=network.config.encoder.embed_dim,
        )  # fmt: skip
    seconds = time.process_time() - start
    counts = {condition: counted.tolist() for condition, counted in score(network, variant, demo).items()}
    return {"steps": outcome.steps, "seconds": seconds, "scored": data.unseen.scored.tolist(), **counts}


def block_counts(
    network: AgriFM, variant: Variant, demo: Demo, sample_of: Callable[..., Sample] | None = None, seen: bool = True
) -> Counts:
    """Pixels (block, predicted class, true class) of the unseen blocks.

    Args:
        sample_of: the sample of a window, if not the demo's own; it may lack sensors of the network.
        seen: only count pixels that some sensor saw.
    """
    data, side = demo.data, demo.config.side
    sensors, series = demo.sensors(variant), variant.series or demo.config.series
    unseen, classes = data.unseen, len(data.labels.legend)
    classifier = Classifier(network, sensors, series)
    blocks = np.unique(unseen.block[unseen.label != UNLABELLED])
    result = np.zeros((len(blocks), classes, classes), np.int64)
    for window in labelled_windows(unseen.label, side, side):
        sample = (sample_of or data.network_tiles.sample)(window)
        batch = tensor_batch([sample], sensors, [sensor.sensor for sensor in sensors])
        with torch.inference_mode():
            scores = classifier(batch)
        true, block = unseen.label[window.slices], unseen.block[window.slices]
        known = true != UNLABELLED
        if seen:
            known &= sample.any_valid
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
    complete = {}
    for name in names:
        seeds = sorted((run for run in runs if run["variant"] == name), key=lambda run: run["seed"])
        if [run["seed"] for run in seeds] == list(SEEDS):
            complete[name] = seeds
        else:
            print(f"{name}: {len(seeds)} of {len(SEEDS)} seeds are trained, left out of the table")
    return complete


def score_lines(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """A line per variant: steps, macro F1 and processor time; nothing without runs."""
    if not runs:
        return
    rows = []
    for name, seeds in runs.items():
        steps = [run["steps"] for run in seeds]
        extent = "-".join(map(str, dict.fromkeys((min(steps), max(steps)))))
        rows.append((name, extent, spread([macro(run) for run in seeds]), f"{speed(seeds):.3f}"))
    yield from table(("variant", "steps", "macro F1 (fewest-most)", "CPU s/step with validation"), rows)


def spread(values: Sequence[float]) -> str:
    """Mean, lowest and highest."""
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def speed(runs: Sequence[Run]) -> float:
    """Mean processor seconds per training step."""
    return float(np.mean([run["seconds"] / run["steps"] for run in runs]))


def difference(first: Sequence[Run], second: Sequence[Run], condition: str = "counts") -> tuple[float, float, float]:
    """Mean over seeds of the difference of macro F1, and its paired interval over blocks."""
    # (block, seed, predicted, true), so that a drawn block is drawn for all seeds
    one, other = (np.stack([np.array(run[condition]) for run in runs], axis=1) for runs in (first, second))
    scored = np.array(first[0]["scored"])

    def mean(counts: Counts) -> float:
        return float(np.mean([macro_f1(of_seed, scored) for of_seed in counts]))

    low, high = paired_interval(one, other, mean)
    return mean(one.sum(axis=0)) - mean(other.sum(axis=0)), low, high


def macro(run: Run, condition: str = "counts") -> float:
    """Macro F1 of a run."""
    return macro_f1(np.array(run[condition]).sum(axis=0), np.array(run["scored"]))
