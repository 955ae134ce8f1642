"""How AgriFM is trained on the windows of a cube: the side of windows, and single pixels among them, on inner blocks.

The project is a finished demo. The validation blocks, which the test never touches, give the macro F1 of their pixels.
Trainings of one table see as many pixels in a step. "Quarter of blocks" has windows of a quarter of the training blocks
alone; places are one pixel of each parcel of all training blocks, as a table of points would have them. The rule was
written before the first run: the side of 48 and no places stay unless the gain is above twice its standard error.

    python benchmarks/window_recipes.py DIR --runs RUNS.jsonl     measure what is missing
    python benchmarks/window_recipes.py --runs RUNS.jsonl --table --out benchmarks/results
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from measure import RUNS, Command, Run, by_shape, measure_missing, table
from numpy.typing import NDArray

from agrifm.config import read_project
from agrifm.cube.store import open_cube
from agrifm.inference.tensors import tensor_batch
from agrifm.legend import UNLABELLED
from agrifm.model_config import ModelConfig
from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.models.classifier import Classifier
from agrifm.samples.mixed_samples import MixedSamples
from agrifm.samples.patches import Patches
from agrifm.samples.pixel_table import table_of_cube
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_samples import TableSamples
from agrifm.scores import confusion_counts, macro_f1
from agrifm.train.data import Data, prepare, project_labels
from agrifm.train.fit import Hyperparameters, fit
from agrifm.train.objectives import Classification


class Trial(NamedTuple):
    """Windows of a step, and what they are mixed with."""

    side: int = 48
    batch: int = 4
    part: float = 1.0
    """Of the training blocks, whose windows are seen."""
    share: float = 0.0
    """Of the steps, which are of places."""


TRIALS: dict[str, Trial] = {
    "48 px, 4 windows": Trial(),
    "96 px, 1 window": Trial(96, 1),
    "48 px, places in 25 % of steps": Trial(share=0.25),
    "quarter of blocks": Trial(part=0.25),
    "quarter of blocks, places in 25 %": Trial(part=0.25, share=0.25),
    "quarter of blocks, places in 50 %": Trial(part=0.25, share=0.5),
}
AGAINST = {name: "quarter of blocks" if trial.part < 1 else "48 px, 4 windows" for name, trial in TRIALS.items()}
"""What the gain of a trial counts from."""


class Shape(NamedTuple):
    """One training."""

    trial: str
    seed: int
    steps: int


@dataclass(frozen=True)
class Prepared:
    """A demo, prepared for windows of one side."""

    data: Data
    config: ModelConfig
    places: SeriesTable
    """One pixel of each parcel of the training blocks."""


@cache
def prepared(directory: Path, side: int) -> Prepared:
    """Read a finished demo."""
    project = read_project(directory)
    config = project.model.model_copy(update={"side": side, "names": ("agrifm",)})
    cube = open_cube(project.cube)
    labels = project_labels(project, cube)
    data = prepare(cube, labels, project.labels.block, config)
    every = table_of_cube(cube, labels, project.labels.block, 1, config.seed)
    training = np.unique(data.split.block[data.training.label != UNLABELLED])
    places = every.of(np.flatnonzero(np.isin(every.block, training)))
    ordered = {sensor.sensor: places.series[sensor.sensor] for sensor in data.sensors}
    return Prepared(data, config, replace(places, series=ordered))


def samples(demo: Prepared, trial: Trial) -> tuple[Patches | MixedSamples, Patches | MixedSamples]:
    """The training windows of a trial, with places among them if it has any, and the validation windows."""
    windows = demo.data.training
    if trial.part < 1:
        blocks = np.unique(demo.data.split.block[windows.label != UNLABELLED])
        kept = np.random.default_rng(0).permutation(blocks)[: round(len(blocks) * trial.part)]
        label = np.where(np.isin(demo.data.split.block, kept), windows.label, np.uint8(UNLABELLED))
        seen = [window for window in windows.windows if (label[window.slices] != UNLABELLED).any()]
        windows = Patches(windows.tiles, label, seen)
    if not trial.share:
        return windows, demo.data.validation
    places, none = (
        TableSamples(part, demo.config.series, demo.config.frames)
        for part in (demo.places, demo.places.of(np.zeros(0, np.intp)))
    )
    return MixedSamples(windows, places, trial.share), MixedSamples(demo.data.validation, none, trial.share)


def measure(shape: Shape, directory: Path) -> Run:
    """Train once, and score the pixels of the validation blocks."""
    trial = TRIALS[shape.trial]
    demo = prepared(directory, trial.side)
    data, config = demo.data, demo.config
    torch.manual_seed(shape.seed)
    sources = {sensor.sensor: len(sensor.bands) for sensor in data.sensors}
    days = data.cube.season.days
    network = AgriFM(preset(config.preset, sources, len(data.labels.legend), frames=config.frames, season_days=days))
    classifier = Classifier(network, data.sensors, config.series)
    objective = Classification(np.array([entry.scored for entry in data.labels.legend.classes]))
    parameters = Hyperparameters(shape.steps, trial.batch, config.learning_rate, shape.seed)
    training, validation = samples(demo, trial)
    began = time.process_time()
    with TemporaryDirectory() as work:
        fit(
            classifier, objective, data.sensors, training, validation, parameters,
            Path(work, "work"), channels=network.config.encoder.embed_dim,
        )  # fmt: skip
    seconds = time.process_time() - began
    return {"shape": shape._asdict(), "macro_f1": score(classifier, data), "seconds": round(seconds, 1)}


def score(classifier: Classifier, data: Data) -> float:
    """Macro F1 of the labelled pixels of the validation blocks, over the classes that are scored."""
    classes = len(data.labels.legend)
    counts: NDArray[np.int64] = np.zeros((classes, classes), np.int64)
    classifier.eval()
    for index, window in enumerate(data.validation.windows):
        batch = tensor_batch([data.validation[index]], data.sensors)
        with torch.inference_mode():
            guess = classifier(batch)[0].argmax(dim=0).numpy()
        true = data.validation.label[window.slices]
        known = true != UNLABELLED
        counts += confusion_counts(guess[known], true[known], classes)
    return macro_f1(counts, np.array([entry.scored for entry in data.labels.legend.classes]))


def report(options: argparse.Namespace) -> Iterator[str]:
    """Measure what is missing, or report the table."""
    shapes = [Shape(trial, seed, options.steps) for seed in range(options.seeds) for trial in options.trials]
    if not options.table:
        measure_missing(Shape, shapes, options, lambda shape, known: measure(shape, options.directory))
        return
    runs: Mapping[Shape, Run] = by_shape(Shape, options.runs)
    rows = []
    for trial in options.trials:
        seeds = [seed for seed in range(options.seeds) if Shape(trial, seed, options.steps) in runs]
        values = np.array([runs[Shape(trial, seed, options.steps)]["macro_f1"] for seed in seeds])
        base = np.array([runs[Shape(AGAINST[trial], seed, options.steps)]["macro_f1"] for seed in seeds])
        gain = values - base
        error = f"{gain.std(ddof=1) / np.sqrt(len(gain)):.3f}" if len(gain) > 1 and AGAINST[trial] != trial else "-"
        taken = np.median([runs[Shape(trial, seed, options.steps)]["seconds"] for seed in seeds])
        rows.append((trial, len(seeds), f"{values.mean():.3f}", f"{gain.mean():+.3f}", error, f"{taken:.0f}"))
    yield f"{options.steps} steps; macro F1 of the pixels of the validation blocks"
    yield from table(("trial", "seeds", "macro F1", "gain", "its standard error", "processor seconds"), rows)


OPTIONS = {
    "directory": {"type": Path, "nargs": "?", "help": "a finished demo; left out with --table"},
    **RUNS,
    "--steps": {"type": int, "default": 400},
    "--trials": {"nargs": "+", "choices": list(TRIALS), "default": list(TRIALS)},
    "--seeds": {"type": int, "default": 3, "help": "trainings of each trial, default 3"},
    "--table": {"action": "store_true", "help": "report what was measured"},
}
main = Command(__doc__, report, OPTIONS, ("torch",))

if __name__ == "__main__":
    main()
