"""The fast path of AgriFM compared with the reference one: seconds, memory, and the distance from the processor's peak.

Both paths have the same weights and take turns in one process, float32, batch of one. Memory is that of a process of
its own per path: the peak minus the memory with model and images loaded. The work of a stage is counted once for both
paths, in multiply-adds of real tokens (not of padding), and its rate is compared with that of a matrix product of
2048 x 2048.

    python benchmarks/model_speed.py --sides 128 256 --out benchmarks/results/DATE-model-speed.txt
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Literal, NamedTuple

import torch
from measure import Command, load, table, turns
from network_pass import ONE_SOURCE, NetworkPass, Workload, measured, product_rate, time_of_operations

from agrifm.models.agrifm.network import preset
from agrifm.models.agrifm.swin3d import MultiSourceEncoder, PatchEmbedding, Stage, SwinEncoder
from agrifm.models.agrifm.timeseries import Tokens
from agrifm.models.agrifm.window_partition import clamp_window

FRAMES, CLASSES = 32, 8
Way = Literal["fast", "reference"]
Part = Literal["encoder", "training", "model"]
PATHS: tuple[Way, ...] = ("fast", "reference")
PARTS: tuple[Part, ...] = ("encoder", "training", "model")
PRODUCT_SIDE = 2048
OPERATIONS = {
    "linear": ("addmm", "mm", "mkldnn_convolution", "slow_conv3d_forward"),
    "attention": ("bmm", "_softmax", "_scaled_dot_product_flash_attention_for_cpu"),
    "copies": ("copy_", "cat", "roll", "index", "index_select", "index_copy_", "constant_pad_nd"),
}
KINDS = {f"aten::{name}": kind for kind, names in OPERATIONS.items() for name in names}


class Work(NamedTuple):
    """Multiply-adds."""

    linear: float
    attention: float


def workload(options: argparse.Namespace, part: Part, side: int, path: Way) -> Workload:
    """The model, or its encoder alone, forward or forward and backward."""
    config = preset(options.preset, ONE_SOURCE, CLASSES)
    whole: Literal["network", "encoders"] = "network" if part == "model" else "encoders"
    kind: Literal["forward", "training"] = "training" if part == "training" else "forward"
    reference, threads = path == "reference", options.threads
    return Workload(config, FRAMES, side, kind=kind, part=whole, reference=reference, threads=threads)


def work_of(module: PatchEmbedding | Stage, grid: tuple[int, int, int]) -> Work:
    """Multiply-adds of a stage on its token grid, or of the embedding that makes it."""
    tokens = grid[0] * grid[1] * grid[2]
    if isinstance(module, PatchEmbedding):
        return Work(tokens * module.proj.weight.numel(), 0)
    (d, h, w), _ = clamp_window(grid, module.window, module.shift)
    channels, blocks = module.blocks[0].mlp.fc1.in_features, len(module.blocks)
    hidden = module.blocks[0].mlp.fc1.out_features
    linear = blocks * tokens * (4 * channels**2 + 2 * channels * hidden)
    if module.downsample is not None:
        merged = -(-grid[0] // module.downsample.step) * -(-grid[1] // 2) * -(-grid[2] // 2)
        linear += merged * module.downsample.reduction.weight.numel()
    return Work(linear, blocks * 2 * tokens * d * h * w * channels)


def stage_lines(options: argparse.Namespace, side: int, path: Way) -> Iterator[tuple[str, ...]]:
    """A row per stage: seconds, rate, share of the peak, and where the time goes."""
    subject = NetworkPass(workload(options, "encoder", side, path))
    assert isinstance(subject.network, MultiSourceEncoder)
    (encoder,), (features,) = subject.network.encoders.values(), subject.images.values()
    assert isinstance(encoder, SwinEncoder)
    assert encoder.backbone is not None
    stages = ((f"stage {i}", stage) for i, stage in enumerate(encoder.backbone.layers))
    with torch.inference_mode():
        for name, module in (("embedding", encoder.patch_emd), *stages):
            best = product_rate(PRODUCT_SIDE, 10)
            run = partial(module, features)
            fastest = min(turns({name: run}, 3, time.perf_counter)[name])
            spent = dict.fromkeys([*OPERATIONS, "rest"], 0.0)
            for operation, microseconds in time_of_operations(run).items():
                spent[KINDS.get(operation, "rest")] += microseconds
            share = {kind: microseconds / sum(spent.values()) for kind, microseconds in spent.items()}
            made = run()
            attended, features = (made, made) if isinstance(made, Tokens) else made
            work = work_of(module, tuple(attended.grid.shape[1:4]))
            rate = sum(work) / fastest
            cells = f"{fastest:.3f}", f"{2 * rate / 1e9:.1f}", f"{rate / best:.0%}"
            yield path, name, *cells, kind_of_time(share, work, fastest * best)


def kind_of_time(share: dict[str, float], work: Work, possible: float) -> str:
    """Shares of the time, and of the peak for counted work; `possible` is the work at the peak in all the time."""
    cells = []
    for kind, part in share.items():
        rate = f" at {getattr(work, kind) / (part * possible):.0%}" if kind in work._fields and part > 0.01 else ""
        cells.append(f"{kind} {part:.0%}{rate}")
    return ", ".join(cells)


def shapes(options: argparse.Namespace) -> Iterator[tuple[Part, int, str]]:
    """Parts, sides and their names; training and the whole model on the first side alone."""
    for side in options.sides:
        for part in PARTS if side == options.sides[0] else PARTS[:1]:
            yield part, side, f"{FRAMES}x{ONE_SOURCE['sentinel-2']}x{side}x{side}"


def time_rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """A row per part and side."""
    for part, side, name in shapes(options):
        passes = {path: NetworkPass(workload(options, part, side, path)).run for path in PATHS}
        timed = turns(passes, options.runs, time.perf_counter)
        middle = {path: statistics.median(each) for path, each in timed.items()}
        cells = [f"{middle[path]:.2f} ({min(timed[path]):.2f}..{max(timed[path]):.2f})" for path in PATHS]
        yield part, name, *cells, f"{middle['reference'] / middle['fast']:.2f}", load()


def memory_rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """A row per part and side."""
    for part, side, name in shapes(options):
        fast, reference = (measured(workload(options, part, side, path), runs=0).kept for path in PATHS)
        yield part, name, f"{fast / 1e9:.2f}", f"{reference / 1e9:.2f}", f"{fast / reference:.2f}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """Seconds and memory of both paths, then their stages."""
    torch.set_num_threads(options.threads)
    peak = f"peak {2 * product_rate(PRODUCT_SIDE, 10) / 1e9:.0f} GFLOP/s, product of {PRODUCT_SIDE} x {PRODUCT_SIDE}"
    yield from (f"{options.preset}, {options.threads} threads; {peak}", "")
    yield f"seconds, median of {options.runs} runs in turn; fewest and most in brackets"
    yield from table(("part", "input", *PATHS, "reference / fast", "load"), time_rows(options))
    yield from ("", "peak memory above weights and image, GB")
    yield from table(("part", "input", *PATHS, "fast / reference"), memory_rows(options))
    for side in options.sides:
        yield from (
            "",
            f"stages at {side} pixels, best of 3: share of the peak of all operations, then the time by kind of",
        )
        yield "operation, and the share of the peak of those that multiply"
        stages = (row for path in PATHS for row in stage_lines(options, side, path))
        yield from table(("path", "stage", "seconds", "GFLOP/s", "peak", "time by kind"), stages, left=(0, 1, -1))


OPTIONS = {
    "--preset": {"default": "base", "help": "default: base"},
    "--sides": {
        "type": int, "nargs": "+", "default": [128], "help": "pixels; training and the model on the first"
    },
    "--runs": {"type": int, "default": 5, "help": "timed passes, default 5"},
    "--threads": {"type": int, "default": 2, "help": "default 2"},
}  # fmt: skip
main = Command(__doc__, report, OPTIONS, ("torch",), quick={"preset": "tiny", "sides": [16], "runs": 1, "threads": 1})

if __name__ == "__main__":
    main()
