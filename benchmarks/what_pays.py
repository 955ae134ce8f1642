"""Which parts of AgriFM pay on a finished demo: dates, validity, sensor dropout, sensors, backbones.

Every variant is trained from scratch with the same steps, batches and seeds, and scored on the demo's unseen blocks as
they are, under heavy cloud, and without Landsat. The rule of what pays stands in docs/decisions/0006 and was written
before the first run.

    python benchmarks/what_pays.py DIR --runs RUNS.jsonl [--part 0/2]       train what is missing, a line per run
    python benchmarks/what_pays.py DIR --runs RUNS.jsonl --table --out benchmarks/results/DATE-what-pays.txt

Each run is appended to RUNS.jsonl when it is finished, so a stopped benchmark continues. Parts may run beside each
other, each with a file of its own.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from variants import difference_of_counts, read_runs

from agrifm.config import ModelConfig, read_project
from agrifm.cube.store import open_cube
from agrifm.grid import Window
from agrifm.inference.tensors import tensor_batch
from agrifm.legend import UNLABELLED
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.agrifm.pixel_decoder import LeanConfig
from agrifm.models.classifier import Classifier
from agrifm.record import SensorRecord, SeriesKind
from agrifm.samples import patches
from agrifm.samples.patches import Patches, Tiles, labelled_windows
from agrifm.samples.sample import Sample, Series
from agrifm.scores import macro_f1
from agrifm.train.data import Data, prepare, project_labels
from agrifm.train.fit import Outcome, Recipe, finetune

SEEDS = (0, 1, 2)
LOST = 0.6
"""Share of the frames of a tile that heavy cloud takes."""
COLUMNS = ("as is", "heavy cloud", "without Landsat")


@dataclass(frozen=True)
class Variant:
    """One way of building and training the model."""

    name: str
    series: SeriesKind = "composites"
    dates: bool = True
    validity: bool = True
    shared: bool = False
    dropout: float = 0.0
    sensors: int = 3
    """How many of the sensors, finest first."""

    def architecture(self, sources: dict[str, int], classes: int, frames: int, season_days: int) -> AgriFMConfig:
        """Of the tiny preset."""
        config = preset("tiny", sources, classes, frames=frames, season_days=season_days)
        encoder = config.encoder.model_copy(update={"dates": self.dates, "validity": self.validity})
        # the first lean decoder, with which the table was made
        lean = LeanConfig()
        return config.model_copy(update={"encoder": encoder, "lean": lean, "shared": self.shared})


KNOWING = "composites, dates, validity"
VARIANTS = (
    Variant("interpolated", series="interpolated", dates=False, validity=False),
    Variant("composites", dates=False, validity=False),
    Variant("composites, dates", validity=False),
    Variant(KNOWING),
    Variant("+ sensor dropout", dropout=0.3),
    Variant("one shared backbone", shared=True),
    Variant("Sentinel-2 alone", sensors=1),
    Variant("Sentinel-2 and Landsat", sensors=2),
)
RULE = (
    ("dates", "composites, dates", "composites", "as is"),
    ("validity", KNOWING, "composites, dates", "heavy cloud"),
    ("sensor dropout", "+ sensor dropout", KNOWING, "without Landsat"),
    ("separate backbones", KNOWING, "one shared backbone", "as is"),
    ("Landsat", "Sentinel-2 and Landsat", "Sentinel-2 alone", "as is"),
    ("MODIS", KNOWING, "Sentinel-2 and Landsat", "as is"),
    ("composites that know", KNOWING, "interpolated", "as is"),
)


class Observations(Tiles):
    """Observed tiles; under heavy cloud most frames are lost, the same ones whatever the order of reading."""

    cloudy = False

    def _make(self, window: Window) -> Sample:
        sample = super()._make(window)
        if not self.cloudy:
            return sample
        series = {
            name: _clouded(own, [window.row, window.col, k]) for k, (name, own) in enumerate(sample.series.items())
        }
        return replace(sample, series=series)


def _clouded(series: Series, seed: list[int]) -> Series:
    left = np.random.default_rng(seed).random(len(series.date)) >= LOST
    valid = series.valid & left[:, None, None]
    return replace(series, valid=valid, image=np.where(valid[:, None], series.image, np.float32(0)))


class Bench:
    """The demo's data, prepared in every way that a variant needs."""

    def __init__(self, directory: Path, steps: int) -> None:
        patches.KEPT_BYTES = 6_000_000_000  # what the networks see stays in memory, raw observations do not
        project = read_project(directory)
        self.config: ModelConfig = project.model.model_copy(update={"steps": steps})
        cube = open_cube(project.cube)
        self.data: Data = prepare(cube, project_labels(project, cube), project.labels.block, self.config)
        self.tiles: dict[tuple[SeriesKind, bool], Tiles] = {}
        for cloudy in (False, True):
            raw = Observations(cube, self.data.sensors, self.data.tiles.steps, "observed", sharing=10_000)
            raw.cloudy = cloudy
            kinds: tuple[SeriesKind, ...] = ("interpolated", "composites")
            for kind in kinds:
                self.tiles[kind, cloudy] = Tiles(cube, self.data.sensors, self.data.tiles.steps, kind, raw)

    def patches(self, kind: SeriesKind, fold: Patches) -> Patches:
        """The patches of a fold, with series of a kind."""
        return Patches(self.tiles[kind, False], fold.label, fold.windows)

    def train(self, variant: Variant, seed: int, work: Path) -> tuple[AgriFM, Outcome]:
        """A trained network of a variant; a finished or stopped training in `work` is continued."""
        sensors = self.data.sensors[: variant.sensors]
        sources = {sensor.sensor: len(sensor.bands) for sensor in sensors}
        classes, days = len(self.data.labels.legend), self.data.cube.season.days
        torch.manual_seed(seed)
        network = AgriFM(variant.architecture(sources, classes, self.config.frames, days))
        recipe = Recipe(
            self.config.steps, self.config.batch, self.config.learning_rate, seed, variant.series, variant.dropout
        )
        scored = np.array([entry.scored for entry in self.data.labels.legend.classes])
        training, validation = (
            OfSensors(self.patches(variant.series, fold), sources)
            for fold in (self.data.training, self.data.validation)
        )
        return network, finetune(network, sensors, scored, training, validation, recipe, work)

    def run(self, variant: Variant, seed: int) -> dict[str, Any]:
        """Train and score one variant."""
        sensors = self.data.sensors[: variant.sensors]
        began = time.process_time()  # of the processor, so that other programs do not count
        with tempfile.TemporaryDirectory() as work:
            network, outcome = self.train(variant, seed, Path(work) / "work")
        seconds = time.process_time() - began
        counts = {
            column: self.counts(network, variant, sensors, column).tolist()
            for column in COLUMNS
            if column != "without Landsat" or variant.sensors > 1
        }
        return {
            "variant": variant.name,
            "seed": seed,
            "steps": outcome.steps,
            "seconds": seconds,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "counts": counts,
        }

    def counts(
        self, network: AgriFM, variant: Variant, sensors: Sequence[SensorRecord], column: str
    ) -> NDArray[np.int64]:
        """(block, predicted, true) on the unseen blocks."""
        tiles = self.tiles[variant.series, column == "heavy cloud"]
        unseen, side, names = self.data.unseen, self.config.side, [sensor.sensor for sensor in sensors]
        classes = len(self.data.labels.legend)
        blocks, number = np.unique(unseen.block[unseen.label != UNLABELLED], return_inverse=True)
        block = np.zeros(unseen.label.shape, np.intp)
        block[unseen.label != UNLABELLED] = number
        result = np.zeros((len(blocks), classes, classes), np.int64)
        classifier = Classifier(network, sensors, variant.series)
        for window in labelled_windows(unseen.label, side, side):
            sample = _of(tiles.sample(window), names if column != "without Landsat" else names[:1] + names[2:])
            batch = tensor_batch([sample], sensors, names)
            with torch.inference_mode():
                predicted = classifier(batch)[0].argmax(dim=0).numpy()
            known = unseen.label[window.slices] != UNLABELLED
            label = unseen.label[window.slices][known]
            np.add.at(result, (block[window.slices][known], predicted[known], label), 1)
        return result


class OfSensors(Patches):
    """Patches with some of their sensors."""

    def __init__(self, whole: Patches, names: Sequence[str] | dict[str, int]) -> None:
        super().__init__(whole.tiles, whole.label, whole.windows)
        self.names = list(names)

    def __getitem__(self, index: int) -> Sample:
        return _of(super().__getitem__(index), self.names)


def _of(sample: Sample, names: Sequence[str]) -> Sample:
    return replace(sample, series={name: sample.series[name] for name in names})


def table(runs: Sequence[dict[str, Any]], scored: NDArray[np.bool_]) -> Iterator[str]:
    """A line per variant, then a line per question."""
    counts: dict[tuple[str, str], NDArray[np.int64]] = {}
    yield f"{'variant':<30}" + "".join(f"{column:>22}" for column in COLUMNS) + f"{'parameters':>12}{'CPU s/step':>12}"
    for variant in VARIANTS:
        own = sorted((run for run in runs if run["variant"] == variant.name), key=lambda run: run["seed"])
        if len(own) < len(SEEDS):
            continue
        cells = []
        for column in COLUMNS:
            if column not in own[0]["counts"]:
                cells.append(f"{'':>22}")
                continue
            # (block, seed, predicted, true), so that a drawn block is drawn for all seeds
            counts[variant.name, column] = np.stack([np.array(run["counts"][column]) for run in own], axis=1)
            each = [macro_f1(one, scored) for one in counts[variant.name, column].sum(axis=0)]
            cells.append(f"{np.mean(each):.3f} ({min(each):.3f}-{max(each):.3f})".rjust(22))
        speed = np.mean([run["seconds"] / run["steps"] for run in own])
        yield f"{variant.name:<30}" + "".join(cells) + f"{own[0]['parameters']:>12,}{speed:>12.2f}"
    yield ""
    yield f"{'what':<24}{'column':<18}{'difference of macro F1':<34}{'pays':<6}in other columns"
    for what, first, second, wanted in RULE:
        found = {
            column: difference_of_counts(counts[first, column], counts[second, column], scored)
            for column in COLUMNS
            if (first, column) in counts and (second, column) in counts
        }
        if wanted not in found:
            continue
        mean, low, high = found.pop(wanted)
        others = "; ".join(f"{column} {d:+.3f} ({a:+.3f} to {b:+.3f})" for column, (d, a, b) in found.items())
        shown = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
        yield f"{what:<24}{wanted:<18}{shown:<34}{'yes' if low > 0 else 'no':<6}{others}"


def main() -> None:
    """Train what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="the first one is written")
    parser.add_argument("--steps", type=int, default=400, help="training steps of every run")
    parser.add_argument("--part", default="0/1", help="K/N: every N-th run, from the K-th")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    bench = Bench(options.directory, options.steps)
    if options.table:
        head = (
            f"what pays, {date.today()}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}; "
            f"tiny, {options.steps} steps, batch {bench.config.batch}, seeds {SEEDS}; macro F1 on unseen blocks"
        )
        lines = [head, "", *table(read_runs(options.runs), bench.data.unseen.scored)]
        print("\n".join(lines))
        if options.out:
            options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    number, parts = (int(text) for text in options.part.split("/"))
    wanted = [(variant, seed) for seed in SEEDS for variant in VARIANTS][number::parts]
    done = {(run["variant"], run["seed"]) for run in read_runs(options.runs)}
    for variant, seed in wanted:
        if (variant.name, seed) in done:
            continue
        began = time.perf_counter()
        run = bench.run(variant, seed)
        with options.runs[0].open("a") as file:
            file.write(json.dumps(run) + "\n")
        summed = np.array(run["counts"]["as is"]).sum(axis=0)
        score = macro_f1(summed, bench.data.unseen.scored)
        print(f"{variant.name}, seed {seed}: {score:.3f}, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
