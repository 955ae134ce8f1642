"""Whether training waits for data: the share of its time spent waiting, and the loader compared with reading chunks.

    python benchmarks/loader.py DIR [--steps 50] [--tiles 40] [--out benchmarks/results/DATE-loader.txt]

DIR is a finished demo. Training is the demo's own: its network, windows, flips, batches and optimiser. A thread makes
the next batch during a step, and its processor time is part of the step's. Data that are read again come from the
system's file cache, so the work is measured and not the disk.

The goal is a share below 5 %.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import zarr
from measure import DEMO, Command, table, turns
from torch.utils.data import DataLoader
from variants import Demo, read_demo

from agrifm.grid import Window
from agrifm.inference.tensors import tensor_batch
from agrifm.models.agrifm.network import AgriFM
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.samples.patches import Patches, Tiles, tiles_under
from agrifm.train.batches import AugmentedPatches, PrefetchLoader, RoundSampler
from agrifm.train.fit import MAX_GRADIENT_NORM, Hyperparameters
from agrifm.train.losses import cross_entropy
from agrifm.train.objectives import LABEL_SMOOTHING

GOAL = 0.05
RUNS = 3


class StepTimes(NamedTuple):
    """Medians per step, seconds of the clock and of the processor."""

    waiting: float
    step: float
    waiting_processor: float
    step_processor: float

    @property
    def share(self) -> float:
        """Share of the time spent waiting."""
        return self.waiting / (self.waiting + self.step)

    @property
    def share_processor(self) -> float:
        """Share of the processor's time spent waiting."""
        return self.waiting_processor / (self.waiting_processor + self.step_processor)


def batches(demo: Demo) -> Iterator[TensorBatch]:
    """The batches of training, as `agrifm train` makes them, without end."""
    config, data = demo.config, demo.data
    samples = Hyperparameters(config.steps, config.batch, config.learning_rate, config.seed).round * config.batch
    sampler = RoundSampler(len(data.training), samples, config.seed)
    make = partial(tensor_batch, sensors=data.sensors)
    patches = AugmentedPatches(data.training)
    loader = PrefetchLoader(DataLoader(patches, config.batch, sampler=sampler, collate_fn=make))
    while True:
        yield from loader
        sampler.set_epoch(sampler.round + 1)


def stepper(demo: Demo) -> Callable[[TensorBatch], None]:
    """A function that makes one training step of the demo's network."""
    torch.manual_seed(demo.config.seed)
    network = Classifier(AgriFM(demo.network), demo.data.sensors, demo.config.series).train()
    optimiser = torch.optim.AdamW(network.parameters(), demo.config.learning_rate)

    def step(batch: TensorBatch) -> None:
        logits = network(batch)
        loss = cross_entropy(logits, batch.label, smoothing=LABEL_SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimiser.step()

    return step


def training(demo: Demo, steps: int) -> StepTimes:
    """Medians over the steps after the first one."""
    stream, step = batches(demo), stepper(demo)
    step(next(stream))
    times = []
    for _ in range(steps):
        start = time.perf_counter(), time.process_time()
        batch = next(stream)
        fed = time.perf_counter(), time.process_time()
        step(batch)
        done = time.perf_counter(), time.process_time()
        times.append((fed[0] - start[0], done[0] - fed[0], fed[1] - start[1], done[1] - fed[1]))
    return StepTimes(*(statistics.median(column) for column in zip(*times, strict=True)))


def read_chunks(demo: Demo, tiles: list[Window]) -> int:
    """Read values and validity of the tiles of every sensor by zarr alone; returns how many bytes they are."""
    cube, size = demo.data.cube, 0
    root = zarr.open_group(cube.path, mode="r")
    for tile in tiles:
        for sensor in demo.data.sensors:
            ratio = round(sensor.resolution / cube.target.resolution)
            rows, columns = tile.scaled(ratio).slices
            for name in ("values", "valid"):
                array = root[f"{sensor.sensor}/{name}"]
                assert isinstance(array, zarr.Array)
                size += np.asarray(array[..., rows, columns]).nbytes
    return size


def load_windows(demo: Demo, windows: list[Window]) -> None:
    """Read and prepare the samples of the windows from a cube opened anew."""
    fresh = Tiles(demo.data.cube, demo.data.sensors, demo.data.tiles.steps, demo.config.series)
    patches = Patches(fresh, demo.data.training.label, windows)
    for number in range(len(patches)):
        patches[number]


def load_again(demo: Demo, windows: list[Window]) -> None:
    """The same from tiles kept in memory, of which samples are views; each is copied into a batch."""
    for window in windows:
        tensor_batch([demo.data.network_tiles.sample(window)], demo.data.sensors)


def rates(demo: Demo, most: int, runs: int) -> dict[str, float]:
    """Samples per processor second of the loader and of zarr alone, medians of runs in turn, on windows of few tiles.

    Args:
        most: number of tiles that the windows may touch.
    """
    shape = demo.data.cube.target.shape
    tiles: dict[Window, None] = {}
    windows = []
    for window in demo.data.training.windows:
        under = tiles_under(window, shape)
        if len(tiles.keys() | set(under)) > most:
            continue
        tiles |= dict.fromkeys(under)
        windows.append(window)
    ways = {
        "chunks of zarr alone": lambda: read_chunks(demo, list(tiles)),
        "loader, first time": lambda: load_windows(demo, windows),
        "loader, tiles kept": lambda: load_again(demo, windows),
    }
    return {way: len(windows) / statistics.median(seconds) for way, seconds in turns(ways, runs).items()}


def lines(demo: Demo, steps: int, most: int, runs: int) -> Iterator[str]:
    """All lines."""
    model = demo.config
    yield (
        f"{model.preset}, {len(demo.data.sensors)} sensors, {model.frames} frames, {model.side} pixels, "
        f"batch {model.batch}"
    )
    yield ""
    spent = training(demo, steps)
    yield from table(
        (f"median of {steps} steps", "clock s", "CPU s"),
        [
            ("waiting for a batch", f"{spent.waiting:.4f}", f"{spent.waiting_processor:.4f}"),
            ("step of the network", f"{spent.step:.4f}", f"{spent.step_processor:.4f}"),
            ("share of waiting", f"{spent.share:.1%}", f"{spent.share_processor:.1%}"),
        ],
    )
    verdict = "reached" if max(spent.share, spent.share_processor) < GOAL else "missed"
    yield f"goal: below {GOAL:.0%}, {verdict}"
    yield ""
    by_way = rates(demo, most, runs)
    yield f"samples per CPU second, medians of {runs} runs in turn, windows on at most {most} tiles of 96 pixels"
    yield from table(("way", "samples/s"), [(way, f"{rate:.1f}") for way, rate in by_way.items()])
    yield f"first time compared with zarr alone: {by_way['loader, first time'] / by_way['chunks of zarr alone']:.0%}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """Training's waiting, then the loader alone, with one thread."""
    torch.set_num_threads(1)
    yield from lines(read_demo(options.directory, None), options.steps, options.tiles, RUNS)


OPTIONS = {
    **DEMO,
    "--steps": {"type": int, "default": 50, "help": "training steps that are timed"},
    "--tiles": {"type": int, "default": 40, "help": "most tiles that are read"},
}
main = Command(__doc__, report, OPTIONS, ("torch", "zarr"), quick={"steps": 1, "tiles": 4})

if __name__ == "__main__":
    main()
