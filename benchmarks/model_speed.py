"""The fast path of AgriFM beside the plain one: seconds, memory, and the distance from the processor's peak.

Both paths have the same weights and take turns in one process, float32, batch of one. Memory is that of a process of
its own per path: the highest resident size less that with model and images loaded. The work of a stage is counted once
for both paths, in multiply-adds of real tokens (padding is no work), and its rate is compared with that of a matrix
product of 2048 x 2048.

    python benchmarks/model_speed.py --sides 128 256 --out benchmarks/results/DATE-model-speed.txt
"""

import argparse
import datetime
import multiprocessing
import os
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import agrifm  # noqa: F401  settles how threads wait, before torch starts any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from agrifm.models.agrifm.swin3d import PatchEmbedding, Stage

FRAMES, BANDS, CLASSES, SOURCE = 32, 10, 8, "sentinel-2"
Path_ = Literal["fast", "plain"]
Part = Literal["encoder", "training", "model"]
PATHS: tuple[Path_, ...] = ("fast", "plain")
PARTS: tuple[Part, ...] = ("encoder", "training", "model")
KINDS = {
    "aten::addmm": "linear",
    "aten::mm": "linear",
    "aten::mkldnn_convolution": "linear",
    "aten::slow_conv3d_forward": "linear",
    "aten::bmm": "attention",
    "aten::_softmax": "attention",
    "aten::_scaled_dot_product_flash_attention_for_cpu": "attention",
    "aten::copy_": "copies",
    "aten::cat": "copies",
    "aten::roll": "copies",
    "aten::index": "copies",
    "aten::index_select": "copies",
    "aten::index_copy_": "copies",
    "aten::constant_pad_nd": "copies",
}


class Work(NamedTuple):
    """Multiply-adds."""

    linear: float
    attention: float


def build(preset_name: str, part: Part, path: Path_) -> "nn.Module":
    """The model, or its encoder alone, in eval mode with weights of a fixed seed."""
    import torch

    from agrifm.models.agrifm.network import AgriFM, preset
    from agrifm.models.agrifm.reference import plain
    from agrifm.models.agrifm.swin3d import SwinEncoder

    torch.manual_seed(0)
    config = preset(preset_name, {SOURCE: BANDS}, CLASSES)
    network: nn.Module
    network = AgriFM(config) if part == "model" else SwinEncoder(BANDS, config.sources[0].patch, config.encoder)
    return plain(network.eval()) if path == "plain" else network.eval()


def series(side: int) -> "Tensor":
    import torch

    return torch.randn(1, FRAMES, BANDS, side, side, generator=torch.Generator().manual_seed(1))


def once(network: "nn.Module", part: Part, image: "Tensor") -> float:
    """Seconds of one pass; in training forward and backward."""
    import torch

    start = time.perf_counter()
    if part == "training":
        network(image).encoder_features.square().mean().backward()
        seconds = time.perf_counter() - start
        network.zero_grad()
        return seconds
    with torch.inference_mode():
        network({SOURCE: image} if part == "model" else image)
    return time.perf_counter() - start


def times(preset_name: str, part: Part, side: int, runs: int) -> dict[Path_, list[float]]:
    """Seconds per path, run by run in turn, after one pass of each to warm up."""
    networks = {path: build(preset_name, part, path) for path in PATHS}
    image = series(side)
    for network in networks.values():
        once(network, part, image)
    rounds = [{path: once(network, part, image) for path, network in networks.items()} for _ in range(runs)]
    return {path: [one[path] for one in rounds] for path in PATHS}


def memory(preset_name: str, part: Part, side: int, path: Path_) -> float:
    """Bytes at the peak of one pass beyond those with model and image loaded; in a process of its own."""
    network, image = build(preset_name, part, path), series(side)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = kilobytes("VmRSS")
    once(network, part, image)
    return 1024 * (kilobytes("VmHWM") - before)


def kilobytes(name: str) -> int:
    """Resident size of this process now (VmRSS) or at its peak (VmHWM); Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def peak() -> float:
    """Multiply-adds per second of a matrix product, the best of 10."""
    import torch

    side = 2048
    a, b = torch.randn(side, side), torch.randn(side, side)
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return side**3 / best


def work_of(module: "PatchEmbedding | Stage", grid: tuple[int, int, int]) -> Work:
    """Of a stage on its token grid, or of the embedding that makes it."""
    from agrifm.models.agrifm.swin3d import PatchEmbedding
    from agrifm.models.agrifm.window_partition import clamp_window

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


def stage_lines(preset_name: str, side: int, path: Path_) -> list[str]:
    """A line per stage: seconds, rate, share of the peak, and where the time goes."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from agrifm.models.agrifm.swin3d import SwinEncoder
    from agrifm.models.agrifm.timeseries import Tokens

    encoder = build(preset_name, "encoder", path)
    assert isinstance(encoder, SwinEncoder)
    assert encoder.backbone is not None
    lines = []
    with torch.inference_mode():
        given: Tensor | Tokens = series(side)
        for name, module in [
            ("embedding", encoder.patch_emd),
            *((f"stage {i}", s) for i, s in enumerate(encoder.backbone.layers)),
        ]:
            module(given)
            best, fastest = peak(), float("inf")
            for _ in range(3):
                start = time.perf_counter()
                made = module(given)
                fastest = min(fastest, time.perf_counter() - start)
            with profile(activities=[ProfilerActivity.CPU]) as profiled:
                module(given)
            spent = dict.fromkeys(["linear", "attention", "copies", "rest"], 0.0)
            for event in profiled.key_averages():
                spent[KINDS.get(event.key, "rest")] += event.self_cpu_time_total
            share = {kind: microseconds / sum(spent.values()) for kind, microseconds in spent.items()}
            attended = made if isinstance(made, Tokens) else made[0]
            work = work_of(module, tuple(attended.grid.shape[1:4]))
            lines.append(
                f"{path:6} {name:10} {fastest:8.3f} {2 * sum(work) / fastest / 1e9:8.1f} "
                f"{sum(work) / fastest / best:6.0%}  {kind_of_time(share, work, fastest * best)}"
            )
            given = made if isinstance(made, Tokens) else made[1]
    return lines


def kind_of_time(share: dict[str, float], work: Work, possible: float) -> str:
    """Shares of the time, and of the peak where there is work to count; `possible` at the peak in all the time."""
    cells = []
    for kind, own in share.items():
        rate = f" at {getattr(work, kind) / (own * possible):.0%}" if kind in work._fields and own > 0.01 else ""
        cells.append(f"{kind} {own:.0%}{rate}")
    return ", ".join(cells)


def processor() -> str:
    """Model name of the processor where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def report(preset_name: str, sides: list[int], runs: int, threads: int) -> list[str]:
    """All lines of the result, printed as they come."""
    import torch

    torch.set_num_threads(threads)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    say(f"date       {datetime.date.today().isoformat()}")
    say(f"hardware   {processor()}, {threads} threads, load average {os.getloadavg()[0]:.1f} at the start")
    say(f"versions   torch {torch.__version__}, Python {platform.python_version()}")
    options = f"--preset {preset_name} --sides {' '.join(map(str, sides))} --runs {runs} --threads {threads}"
    say(f"command    python benchmarks/model_speed.py {options}")
    say(f"peak       {2 * peak() / 1e9:.0f} GFLOP/s, matrix product of 2048 x 2048")
    say("")
    say(f"seconds, median of {runs} runs in turn; fewest and most in brackets")
    say(f"{'part':9}{'input':>16}  {'fast':22}{'plain':22}{'ratio':>6}   load")
    for side in sides:
        for part in PARTS:
            if part != "encoder" and side != sides[0]:
                continue
            found = times(preset_name, part, side, runs)
            middle = {path: statistics.median(own) for path, own in found.items()}
            cells = [f"{middle[p]:.2f} ({min(found[p]):.2f}..{max(found[p]):.2f})" for p in PATHS]
            shape = f"{FRAMES}x{BANDS}x{side}x{side}"
            ratio = middle["plain"] / middle["fast"]
            say(f"{part:9}{shape:>16}  {cells[0]:22}{cells[1]:22}{ratio:>6.2f}   {os.getloadavg()[0]:.1f}")
    say("")
    say("peak memory above weights and image, GB")
    say(f"{'part':9}{'input':>16}{'fast':>8}{'plain':>8}{'fast / plain':>14}")
    spawn = multiprocessing.get_context("spawn")
    for side in sides:
        for part in PARTS:
            if part == "training" and side != sides[0]:
                continue
            with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
                used = [pool.submit(memory, preset_name, part, side, path).result() for path in PATHS]
            shape = f"{FRAMES}x{BANDS}x{side}x{side}"
            say(f"{part:9}{shape:>16}{used[0] / 1e9:>8.2f}{used[1] / 1e9:>8.2f}{used[0] / used[1]:>14.2f}")
    for side in sides:
        say("")
        say(f"stages at {side} pixels, best of 3: share of the peak in all, then what the time goes to, by kind of")
        say("operation, and the share of the peak of those that multiply")
        say(f"{'path':6} {'stage':10} {'seconds':>8} {'GFLOP/s':>8} {'peak':>6}")
        for path in PATHS:
            for line in stage_lines(preset_name, side, path):
                say(line)
    say("")
    say(f"load average at the end {os.getloadavg()[0]:.1f}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", default="base", help="default: base")
    parser.add_argument(
        "--sides",
        type=int,
        nargs="+",
        default=[128],
        help="pixels, default 128; on the first also training and the whole model are timed",
    )
    parser.add_argument("--runs", type=int, default=5, help="timed passes, default 5")
    parser.add_argument("--threads", type=int, default=2, help="default 2")
    parser.add_argument("--out", type=Path, help="file of the result")
    args = parser.parse_args()
    lines = report(args.preset, args.sides, args.runs, args.threads)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
