"""Whether training is fed: the share of its time spent waiting for data, and the loader against reading chunks alone.

    python benchmarks/loader.py DIR [--steps 50] [--tiles 40] [--out benchmarks/results/DATE-loader.txt]

DIR is a finished demo. Training is the demo's own: its network, windows, flips, batches and optimiser, the next batch
made by a thread of its own during a step, whose processor time counts it. What is read again is read from the system's
file cache, so disks are not measured, only the work.

The goal is a share below 5 %.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import zarr
from measure import head, write
from torch.utils.data import DataLoader
from variants import Demo, read_demo

from agrifm.grid import Window
from agrifm.inference.tensors import tensor_batch
from agrifm.models.agrifm.network import AgriFM
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.samples.patches import Patches, Tiles, tiles_under
from agrifm.train.fit import GRADIENT_NORM, SMOOTHING, Ahead, Recipe, RoundSampler, Turned
from agrifm.train.losses import cross_entropy

GOAL = 0.05
RUNS = 3


class Spent(NamedTuple):
    """Medians per step, seconds of the clock and of the processor."""

    waiting: float
    step: float
    waiting_processor: float
    step_processor: float

    @property
    def share(self) -> float:
        """Of the time that is spent waiting."""
        return self.waiting / (self.waiting + self.step)

    @property
    def share_processor(self) -> float:
        """Of the processor's time that goes into what is waited for."""
        return self.waiting_processor / (self.waiting_processor + self.step_processor)


def batches(demo: Demo) -> Iterator[TensorBatch]:
    """The batches of training, as `agrifm train` makes them, without end."""
    own, data = demo.config, demo.data
    recipe = Recipe(own.steps, own.batch, own.learning_rate, own.seed, own.series)
    sampler = RoundSampler(len(data.training), recipe, turns=8)
    make = partial(tensor_batch, sensors=data.sensors)
    loader = Ahead(DataLoader(Turned(data.training), own.batch, sampler=sampler, collate_fn=make))
    while True:
        yield from loader
        sampler.set_epoch(sampler.round + 1)


def stepper(demo: Demo) -> Callable[[TensorBatch], None]:
    """One training step of the demo's network."""
    torch.manual_seed(demo.config.seed)
    network = Classifier(AgriFM(demo.network), demo.data.sensors, demo.config.series).train()
    optimiser = torch.optim.AdamW(network.parameters(), demo.config.learning_rate)

    def step(batch: TensorBatch) -> None:
        logits = network(batch)
        loss = cross_entropy(logits, batch.label, smoothing=SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimiser.step()

    return step


def training(demo: Demo, steps: int) -> Spent:
    """Medians over the steps after a first one."""
    given, step = batches(demo), stepper(demo)
    step(next(given))
    times = []
    for _ in range(steps):
        began = time.perf_counter(), time.process_time()
        batch = next(given)
        fed = time.perf_counter(), time.process_time()
        step(batch)
        done = time.perf_counter(), time.process_time()
        times.append((fed[0] - began[0], done[0] - fed[0], fed[1] - began[1], done[1] - fed[1]))
    return Spent(*(statistics.median(column) for column in zip(*times, strict=True)))


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
    """The samples of the windows from a cube that was not read before, prepared."""
    fresh = Tiles(demo.data.cube, demo.data.sensors, demo.data.tiles.steps, demo.config.series)
    patches = Patches(fresh, demo.data.training.label, windows)
    for number in range(len(patches)):
        patches[number]


def load_again(demo: Demo, windows: list[Window]) -> None:
    """The same from tiles that are kept, of which samples are views; each is copied into a batch of its own."""
    for window in windows:
        tensor_batch([demo.data.network_tiles.sample(window)], demo.data.sensors)


def rates(demo: Demo, most: int, runs: int) -> dict[str, float]:
    """Samples per processor second of the loader and of zarr alone, medians of runs in turn, on windows of few tiles.

    Args:
        most: tiles that the windows may lie on.
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
    ways["loader, tiles kept"]()
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, run in ways.items():
            began = time.process_time()
            run()
            taken[way].append(time.process_time() - began)
    return {way: len(windows) / statistics.median(seconds) for way, seconds in taken.items()}


def report(demo: Demo, steps: int, most: int, runs: int) -> Iterator[str]:
    """All lines."""
    own = demo.config
    yield f"{own.preset}, {len(demo.data.sensors)} sensors, {own.frames} frames, {own.side} pixels, batch {own.batch}"
    yield ""
    spent = training(demo, steps)
    yield f"median of {steps} steps{'':>12}clock s   CPU s"
    yield f"{'waiting for a batch':<30}{spent.waiting:>8.4f}{spent.waiting_processor:>8.4f}"
    yield f"{'step of the network':<30}{spent.step:>8.4f}{spent.step_processor:>8.4f}"
    yield f"{'share of waiting':<30}{spent.share:>8.1%}{spent.share_processor:>8.1%}"
    verdict = "reached" if max(spent.share, spent.share_processor) < GOAL else "missed"
    yield f"goal: below {GOAL:.0%}, {verdict}"
    yield ""
    yield f"samples per CPU second, medians of {runs} runs in turn, windows of at most {most} tiles of 96 pixels"
    found = rates(demo, most, runs)
    for way, rate in found.items():
        yield f"{way:<30}{rate:>10.1f}"
    share = found["loader, first time"] / found["chunks of zarr alone"]
    yield f"first time against zarr alone{share:>11.0%}"


def main() -> None:
    """Print the result, and write it with --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=50, help="training steps that are timed")
    parser.add_argument("--tiles", type=int, default=40, help="most tiles that are read")
    parser.add_argument("--out", type=Path, help="the result to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = head()
    lines += report(read_demo(options.directory, None), options.steps, options.tiles, RUNS)
    write(lines, options.out)


if __name__ == "__main__":
    main()
