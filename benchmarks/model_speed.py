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

from measure import Command, forget_peak, load, own_process, peak_bytes, resident_bytes, table, turns

# torch comes after measure, because importing agrifm settles how threads wait
from torch import Generator, Tensor, inference_mode, manual_seed, mm, nn, randn, set_num_threads
from torch.profiler import ProfilerActivity, profile

from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.models.agrifm.reference import use_reference
from agrifm.models.agrifm.swin3d import PatchEmbedding, Stage, SwinEncoder
from agrifm.models.agrifm.timeseries import Tokens
from agrifm.models.agrifm.window_partition import clamp_window

FRAMES, BANDS, CLASSES, SOURCE = 32, 10, 8, "sentinel-2"
Way = Literal["fast", "reference"]
Part = Literal["encoder", "training", "model"]
PATHS: tuple[Way, ...] = ("fast", "reference")
PARTS: tuple[Part, ...] = ("encoder", "training", "model")
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


def build(preset_name: str, part: Part, path: Way) -> nn.Module:
    """The model, or its encoder alone, in eval mode with weights of a fixed seed."""
    manual_seed(0)
    config = preset(preset_name, {SOURCE: BANDS}, CLASSES)
    network: nn.Module
    network = AgriFM(config) if part == "model" else SwinEncoder(BANDS, config.sources[0].patch, config.encoder)
    return use_reference(network.eval()) if path == "reference" else network.eval()


def series(side: int) -> Tensor:
    """A random series (1, T, C, H, W)."""
    return randn(1, FRAMES, BANDS, side, side, generator=Generator().manual_seed(1))


def run_once(network: nn.Module, part: Part, image: Tensor) -> None:
    """One pass; in training forward and backward."""
    if part == "training":
        network(image).encoder_features.square().mean().backward()
        network.zero_grad()
        return
    with inference_mode():
        network({SOURCE: image} if part == "model" else image)


def times(preset_name: str, part: Part, side: int, runs: int) -> dict[str, list[float]]:
    """Seconds per path, run by run in turn, after one pass of each to warm up."""
    networks = {path: build(preset_name, part, path) for path in PATHS}
    image = series(side)
    passes = {path: partial(run_once, network, part, image) for path, network in networks.items()}
    return turns(passes, runs, time.perf_counter)


def memory(preset_name: str, part: Part, side: int, path: Way) -> float:
    """Bytes at the peak of one pass beyond those with model and image loaded; for a process of its own."""
    network, image = build(preset_name, part, path), series(side)
    forget_peak()
    before = resident_bytes()
    run_once(network, part, image)
    return float(peak_bytes() - before)


def peak() -> float:
    """Multiply-adds per second of a matrix product, the best of 10."""
    side = 2048
    a, b = randn(side, side), randn(side, side)
    return side**3 / min(turns({"product": lambda: mm(a, b)}, 10, time.perf_counter)["product"])


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


def stage_lines(preset_name: str, side: int, path: Way) -> Iterator[tuple[str, ...]]:
    """A row per stage: seconds, rate, share of the peak, and where the time goes."""
    encoder = build(preset_name, "encoder", path)
    assert isinstance(encoder, SwinEncoder)
    assert encoder.backbone is not None
    with inference_mode():
        features: Tensor | Tokens = series(side)
        stages = ((f"stage {i}", stage) for i, stage in enumerate(encoder.backbone.layers))
        for name, module in (("embedding", encoder.patch_emd), *stages):
            best = peak()
            fastest = min(turns({name: partial(module, features)}, 3, time.perf_counter)[name])
            made = module(features)
            with profile(activities=[ProfilerActivity.CPU]) as profiled:
                module(features)
            spent = dict.fromkeys(["linear", "attention", "copies", "rest"], 0.0)
            for event in profiled.key_averages():
                spent[KINDS.get(event.key, "rest")] += event.self_cpu_time_total
            share = {kind: microseconds / sum(spent.values()) for kind, microseconds in spent.items()}
            attended = made if isinstance(made, Tokens) else made[0]
            work = work_of(module, tuple(attended.grid.shape[1:4]))
            rate = sum(work) / fastest
            cells = f"{fastest:.3f}", f"{2 * rate / 1e9:.1f}", f"{rate / best:.0%}"
            yield path, name, *cells, kind_of_time(share, work, fastest * best)
            features = made if isinstance(made, Tokens) else made[1]


def kind_of_time(share: dict[str, float], work: Work, possible: float) -> str:
    """Shares of the time, and of the peak for counted work; `possible` is the work at the peak in all the time."""
    cells = []
    for kind, part in share.items():
        rate = f" at {getattr(work, kind) / (part * possible):.0%}" if kind in work._fields and part > 0.01 else ""
        cells.append(f"{kind} {part:.0%}{rate}")
    return ", ".join(cells)


def time_rows(preset_name: str, sides: list[int], runs: int) -> Iterator[tuple[str, ...]]:
    """A row per part and side; training and the whole model on the first side alone."""
    for side in sides:
        for part in PARTS:
            if part != "encoder" and side != sides[0]:
                continue
            timed = times(preset_name, part, side, runs)
            middle = {path: statistics.median(each) for path, each in timed.items()}
            cells = [f"{middle[path]:.2f} ({min(timed[path]):.2f}..{max(timed[path]):.2f})" for path in PATHS]
            yield part, shape(side), *cells, f"{middle['reference'] / middle['fast']:.2f}", load()


def memory_rows(preset_name: str, sides: list[int]) -> Iterator[tuple[str, ...]]:
    """A row per part and side; training on the first side alone."""
    for side in sides:
        for part in PARTS:
            if part == "training" and side != sides[0]:
                continue
            fast, reference = (own_process(memory, preset_name, part, side, path).result for path in PATHS)
            yield part, shape(side), f"{fast / 1e9:.2f}", f"{reference / 1e9:.2f}", f"{fast / reference:.2f}"


def shape(side: int) -> str:
    """The shape of a series."""
    return f"{FRAMES}x{BANDS}x{side}x{side}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """Seconds and memory of both paths, then their stages."""
    set_num_threads(options.threads)
    yield f"{options.preset}, {options.threads} threads; peak {2 * peak() / 1e9:.0f} GFLOP/s, product of 2048 x 2048"
    yield ""
    yield f"seconds, median of {options.runs} runs in turn; fewest and most in brackets"
    rows = time_rows(options.preset, options.sides, options.runs)
    yield from table(("part", "input", *PATHS, "reference / fast", "load"), rows)
    yield ""
    yield "peak memory above weights and image, GB"
    yield from table(("part", "input", *PATHS, "fast / reference"), memory_rows(options.preset, options.sides))
    for side in options.sides:
        yield ""
        yield f"stages at {side} pixels, best of 3: share of the peak of all operations, then the time by kind of"
        yield "operation, and the share of the peak of those that multiply"
        stages = (row for path in PATHS for row in stage_lines(options.preset, side, path))
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
