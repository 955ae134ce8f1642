"""A network on a GPU in bfloat16 with as many samples as fit: rate, share of the card's peak, memory, where time goes.

    python benchmarks/gpu.py [--preset base] [--side 256] [--out benchmarks/results/DATE-gpu.txt]
    python benchmarks/gpu.py --device cpu --quick                    a tiny shape, to see that the script works

The batch is doubled until the card's memory is full, for the fast path and for the plain one (docs/decisions/0007) by
themselves. Rates are of the counted multiply-adds, two operations each; what the backward pass computes again is not
counted. They are compared with a large matrix product on the same card and with the data sheet's dense peak.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from measure import CLASSES, ONE_SOURCE, PASSES, Pass, head, write
from model_speed import PATHS, Path_
from torch import nn
from torch.profiler import ProfilerActivity, profile

from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.models.agrifm.reference import plain
from agrifm.models.count import training_work, work

DATA_SHEET = {"H100 80GB HBM3": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense operations per second in bfloat16 by part of the card's name: NVIDIA's data sheets of the H100 and H200 (SXM,
half of the 1979e12 with sparsity) and of the A100."""
RUNS = 10
TOP = 10
"""Operations of the profile that are shown."""


@dataclass(frozen=True)
class Setting:
    """What is measured and where."""

    preset: str
    frames: int
    side: int
    device: torch.device
    most: int
    """Samples beyond which a batch is not doubled."""
    matrix: int
    """Side of the matrix product."""
    runs: int


class Subject:
    """A network on the device, with its optimiser where it is trained."""

    def __init__(self, setting: Setting, kind: Pass, path: Path_) -> None:
        torch.manual_seed(0)
        self.setting, self.kind = setting, kind
        network: nn.Module = AgriFM(preset(setting.preset, ONE_SOURCE, CLASSES)).train(kind == "training")
        self.network = (plain(network) if path == "plain" else network).to(setting.device)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-6)

    def give(self, samples: int) -> None:
        """Make the batch."""
        setting = self.setting
        shape = samples, setting.frames, ONE_SOURCE["sentinel-2"], setting.side, setting.side
        self.images = {"sentinel-2": torch.randn(shape, device=setting.device)}
        self.labels = torch.randint(CLASSES, (samples, setting.side, setting.side), device=setting.device)

    def run(self) -> None:
        """One forward pass, or one training step."""
        half = torch.autocast(self.setting.device.type, torch.bfloat16)
        if self.kind == "forward":
            with torch.inference_mode(), half:
                self.network(self.images)
            return
        with half:
            loss = nn.functional.cross_entropy(self.network(self.images), self.labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def finish(device: torch.device) -> None:
    """Wait until the device has done all work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], None], device: torch.device, runs: int) -> list[float]:
    """Seconds of each of the runs, after one that does not count."""
    run()
    taken = []
    for _ in range(runs):
        finish(device)
        began = time.perf_counter()
        run()
        finish(device)
        taken.append(time.perf_counter() - began)
    return taken


def matrix_peak(setting: Setting) -> float:
    """Operations per second of a matrix product in bfloat16, the best of the runs."""
    a, b = (torch.randn(setting.matrix, setting.matrix, device=setting.device, dtype=torch.bfloat16) for _ in range(2))
    best = min(seconds(lambda: torch.mm(a, b), setting.device, setting.runs))
    return 2 * setting.matrix**3 / best


def most_samples(attempt: Callable[[int], None], most: int) -> tuple[int, str]:
    """The largest power of two that an attempt takes, at most `most`, and why there is no larger one.

    Raises:
        RuntimeError: not even one sample works.
    """
    samples = 1
    attempt(samples)
    while 2 * samples <= most:
        reason = _failure(attempt, 2 * samples)
        if reason:
            return samples, reason
        samples *= 2
    return samples, f"{most} samples are the most that are tried"


def _failure(attempt: Callable[[int], None], samples: int) -> str:
    """Why an attempt fails, in its first sentence; empty where it does not. What it held is let go on return."""
    try:
        attempt(samples)
    except RuntimeError as error:  # memory is full, or a tensor is larger than a kernel can index
        return f"{samples}: {str(error).splitlines()[0].split('. ')[0]}"
    return ""


def peak_bytes(device: torch.device) -> int:
    """Most memory that tensors took on the device since the count began; 0 where it is not counted."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def data_sheet(name: str) -> float | None:
    """The dense peak of a card, None where it is not listed."""
    return next((peak for part, peak in DATA_SHEET.items() if part in name), None)


def measure(setting: Setting, kind: Pass, path: Path_) -> tuple[int, str, float, int]:
    """Samples of the fullest batch and why no more, samples per second, bytes at the peak."""
    device = setting.device
    subject = Subject(setting, kind, path)

    def attempt(samples: int) -> None:
        subject.give(samples)
        subject.run()
        finish(device)

    samples, reason = most_samples(attempt, setting.most)
    subject.optimiser.zero_grad()
    subject.give(samples)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    taken = seconds(subject.run, device, setting.runs)
    return samples, reason, samples / statistics.median(taken), peak_bytes(device)


def top_operations(setting: Setting, samples: int) -> Iterator[str]:
    """Operations of a training step that take most of the device's own time."""
    subject = Subject(setting, "training", "fast")
    subject.give(samples)
    subject.run()
    on_card = setting.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_card else ProfilerActivity.CPU]) as profiled:
        subject.run()
        finish(setting.device)
    events = profiled.key_averages()
    own = {event.key: event.self_device_time_total if on_card else event.self_cpu_time_total for event in events}
    whole = sum(own.values())
    for name in sorted(own, key=lambda key: -own[key])[:TOP]:
        yield f"{own[name] / whole:>7.1%}  {name[:100]}"


def report(setting: Setting) -> Iterator[str]:
    """All lines."""
    on_card = setting.device.type == "cuda"
    name = torch.cuda.get_device_name(setting.device) if on_card else "processor"
    measured, listed = matrix_peak(setting), data_sheet(name)
    yield f"{setting.preset}, {setting.frames} frames, {setting.side} pixels, bfloat16, on {name}"
    sheet = f"{listed / 1e12:.0f} TFLOP/s" if listed else "not listed"
    yield f"matrix product of {setting.matrix}: {measured / 1e12:.2f} TFLOP/s; data sheet, dense: {sheet}"
    yield ""
    yield (
        f"{'pass':<10}{'path':<7}{'samples':>8}{'samples/s':>11}{'TFLOP/s':>9}{'of product':>12}"
        f"{'of sheet':>10}{'GB':>7}   why no more"
    )
    config = preset(setting.preset, ONE_SOURCE, CLASSES)
    adds = {
        "forward": work(config, setting.frames, setting.side).whole,
        "training": training_work(config, setting.frames, setting.side),
    }
    fullest = 1
    for kind in PASSES:
        rates = {}
        for path in PATHS:
            samples, reason, rates[path], peak = measure(setting, kind, path)
            rate = 2 * rates[path] * adds[kind]
            of_sheet = f"{rate / listed:.1%}" if listed else "–"
            memory = f"{peak / 1e9:.1f}" if on_card else "–"
            yield (
                f"{kind:<10}{path:<7}{samples:>8}{rates[path]:>11.2f}{rate / 1e12:>9.2f}{rate / measured:>12.1%}"
                f"{of_sheet:>10}{memory:>7}   {reason}"
            )
            if (kind, path) == ("training", "fast"):
                fullest = samples
        yield f"{kind}: the fast path is {rates['fast'] / rates['plain']:.2f} times as fast"
    yield ""
    yield f"a training step of {fullest} samples, fast path: share of the time of each operation"
    yield from top_operations(setting, fullest)


def main() -> None:
    """Print the result, and write it with --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=("base", "small", "tiny"), default="base")
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="`tiny` with 8 frames of 16 pixels, at most two samples")
    parser.add_argument("--out", type=Path, help="the result to write")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU; give --device cpu --quick to see that the script works")
    setting = Setting(options.preset, 32, options.side, device, 4096, 8192, RUNS)
    if options.quick:
        setting = Setting("tiny", 8, 16, device, 2, 256, 1)
    lines = head()
    lines += report(setting)
    write(lines, options.out)


if __name__ == "__main__":
    main()
