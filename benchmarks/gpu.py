"""A network on a GPU in bfloat16 with as many samples as fit: rate, share of the card's peak, memory, where time goes.

    python benchmarks/gpu.py [--preset base] [--side 256] [--out benchmarks/results/DATE-gpu.txt]
    python benchmarks/gpu.py --device cpu --quick                    a tiny shape, to see that the script works

The batch is doubled until the card's memory is full, for the fast path and for the reference one (decision 0007)
separately. Rates are of the counted multiply-adds, two operations each; recomputation in the backward pass is not
counted. They are compared with a large matrix product on the same card and with the data sheet's dense peak.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from measure import Command, table, turns
from network_pass import CLASSES, ONE_SOURCE, PASSES, NetworkPass, Workload
from torch.profiler import ProfilerActivity, profile

from agrifm.models.agrifm.network import preset
from agrifm.models.agrifm.network_cost import forward_multiply_adds, training_multiply_adds
from agrifm.models.precision import Compute

DATA_SHEET = {"H100 80GB HBM3": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense operations per second in bfloat16 by part of the card's name: NVIDIA's data sheets of the H100 and H200 (SXM,
half of the 1979e12 with sparsity) and of the A100."""
RUNS = 10
TOP = 10
"""Operations of the profile that are shown."""


PATHS = {"fast": False, "reference": True}


@dataclass(frozen=True)
class Setting:
    """What is measured and where."""

    workload: Workload
    most: int
    """Samples beyond which a batch is not doubled."""
    matrix: int
    """Side of the matrix product."""
    runs: int

    @property
    def device(self) -> torch.device:
        """Where everything is computed."""
        return torch.device(self.workload.device)


def finish(device: torch.device) -> None:
    """Wait until the device has done all work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], setting: Setting) -> list[float]:
    """Seconds of each of the runs, after one that does not count."""

    def finished() -> None:
        run()
        finish(setting.device)

    return turns({"run": finished}, setting.runs, time.perf_counter)["run"]


def matrix_peak(setting: Setting) -> float:
    """Operations per second of a matrix product in bfloat16, the best of the runs."""
    shape = setting.matrix, setting.matrix
    a, b = (torch.randn(shape, device=setting.device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * setting.matrix**3 / min(seconds(lambda: torch.mm(a, b), setting))


def most_samples(attempt: Callable[[int], None], most: int) -> tuple[int, str]:
    """The largest power of two, at most `most`, that an attempt manages, and why not more.

    Raises:
        RuntimeError: a single sample fails.
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
    """Why an attempt fails, in its first sentence; empty if it succeeds. Its memory is free on return."""
    try:
        attempt(samples)
    except RuntimeError as error:  # memory is full, or a tensor is larger than a kernel can index
        return f"{samples}: {str(error).splitlines()[0].split('. ')[0]}"
    return ""


def peak_bytes(device: torch.device) -> int:
    """Most memory of tensors on the device since the count began; 0 on a processor, where it is not counted."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def data_sheet(name: str) -> float | None:
    """The dense peak of a card, None if it is not listed."""
    return next((peak for part, peak in DATA_SHEET.items() if part in name), None)


def measure(setting: Setting, workload: Workload) -> tuple[int, str, float, int]:
    """Samples of the fullest batch and why not more, samples per second, bytes at the peak."""
    subject = NetworkPass(workload)

    def attempt(samples: int) -> None:
        subject.draw(samples)
        subject.run()
        finish(setting.device)

    samples, reason = most_samples(attempt, setting.most)
    subject.optimiser.zero_grad()
    subject.draw(samples)
    if setting.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(setting.device)
    taken = seconds(subject.run, setting)
    return samples, reason, samples / statistics.median(taken), peak_bytes(setting.device)


def top_operations(setting: Setting, samples: int) -> Iterator[str]:
    """Operations of a training step that need most of the device's time."""
    subject = NetworkPass(replace(setting.workload, kind="training", batch=samples))
    subject.run()
    on_card = setting.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_card else ProfilerActivity.CPU]) as profiled:
        subject.run()
        finish(setting.device)
    events = profiled.key_averages()
    times = {event.key: event.self_device_time_total if on_card else event.self_cpu_time_total for event in events}
    total = sum(times.values())
    for name in sorted(times, key=lambda key: -times[key])[:TOP]:
        yield f"{times[name] / total:>7.1%}  {name[:100]}"


def lines(setting: Setting, title: str) -> Iterator[str]:
    """All lines."""
    on_card = setting.device.type == "cuda"
    name = torch.cuda.get_device_name(setting.device) if on_card else "processor"
    product, listed = matrix_peak(setting), data_sheet(name)
    yield f"{title}, bfloat16, on {name}"
    sheet = f"{listed / 1e12:.0f} TFLOP/s" if listed else "not listed"
    yield f"matrix product of {setting.matrix}: {product / 1e12:.2f} TFLOP/s; data sheet, dense: {sheet}"
    yield ""
    shape = setting.workload.config, setting.workload.frames, setting.workload.side
    adds = {"forward": forward_multiply_adds(*shape).total, "training": training_multiply_adds(*shape)}
    rates: dict[tuple[str, str], float] = {}
    fullest = 1
    rows = []
    for kind in PASSES:
        for path, reference in PATHS.items():
            samples, reason, rates[kind, path], peak = measure(
                setting, replace(setting.workload, kind=kind, reference=reference)
            )
            rate = 2 * rates[kind, path] * adds[kind]
            rows.append(
                (
                    kind, path, str(samples), f"{rates[kind, path]:.2f}", f"{rate / 1e12:.2f}", f"{rate / product:.1%}",
                    f"{rate / listed:.1%}" if listed else "–", f"{peak / 1e9:.1f}" if on_card else "–", reason,
                )
            )  # fmt: skip
            if (kind, path) == ("training", "fast"):
                fullest = samples
    header = ("pass", "path", "samples", "samples/s", "TFLOP/s", "of product", "of sheet", "GB", "why not more")
    yield from table(header, rows, left=(0, 1, -1))
    for kind in PASSES:
        yield f"{kind}: the fast path is {rates[kind, 'fast'] / rates[kind, 'reference']:.2f} times as fast"
    yield ""
    yield f"a training step of {fullest} samples, fast path: share of the time of each operation"
    yield from top_operations(setting, fullest)


def report(options: argparse.Namespace) -> Iterator[str]:
    """Fill the device, or a tiny shape that shows that the script works."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU; use --device cpu --quick to see that the script works")
    frames, most, matrix, runs = (8, 2, 256, 1) if options.quick else (32, 4096, 8192, RUNS)
    config = preset(options.preset, ONE_SOURCE, CLASSES)
    workload = Workload(config, frames, options.side, compute=Compute("bfloat16"), device=options.device)
    title = f"{options.preset}, {frames} frames, {options.side} pixels"
    yield from lines(Setting(workload, most, matrix, runs), title)


OPTIONS = {
    "--preset": {"choices": ("base", "small", "tiny"), "default": "base"},
    "--side": {"type": int, "default": 256, "help": "pixels"},
    "--device": {"choices": ("cuda", "cpu"), "default": "cuda"},
}
main = Command(__doc__, report, OPTIONS, ("torch",), quick={"preset": "tiny", "side": 16})

if __name__ == "__main__":
    main()
