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
from dataclasses import replace
from itertools import product as pairs

import torch
from measure import Command, table, turns
from network_pass import CLASSES, ONE_SOURCE, PASSES, NetworkPass, Workload, product_rate, time_of_operations

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


def data_sheet(name: str) -> float | None:
    """The dense peak of a card, None if it is not listed."""
    return next((peak for part, peak in DATA_SHEET.items() if part in name), None)


def measure(subject: NetworkPass, options: argparse.Namespace, most: int) -> tuple[int, str, float]:
    """Samples of the fullest batch and why not more, and samples per second."""

    def attempt(samples: int) -> None:
        subject.draw(samples)
        subject.run()

    samples, reason = most_samples(attempt, most)
    subject.optimiser.zero_grad()
    subject.draw(samples)
    if options.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    taken = turns({"run": subject.run}, 1 if options.quick else RUNS, time.perf_counter)["run"]
    return samples, reason, samples / statistics.median(taken)


def report(options: argparse.Namespace) -> Iterator[str]:
    """Fill the device, or a tiny shape that shows that the script works."""
    on_card = options.device == "cuda"
    if on_card and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU; use --device cpu --quick to see that the script works")
    frames, most, side, runs = (8, 2, 256, 1) if options.quick else (32, 4096, 8192, RUNS)
    config = preset(options.preset, ONE_SOURCE, CLASSES)
    name = torch.cuda.get_device_name() if on_card else "processor"
    product, listed = 2 * product_rate(side, runs, options.device, torch.bfloat16), data_sheet(name)
    yield f"{options.preset}, {frames} frames, {options.side} pixels, bfloat16, on {name}"
    sheet = f"{listed / 1e12:.0f} TFLOP/s" if listed else "not listed"
    yield from (f"matrix product of {side}: {product / 1e12:.2f} TFLOP/s; data sheet, dense: {sheet}", "")
    shape = config, frames, options.side
    adds = {"forward": forward_multiply_adds(*shape).total, "training": training_multiply_adds(*shape)}
    rates, rows, fullest = {}, [], 1
    for kind, path in pairs(PASSES, PATHS):
        work = Workload(*shape, kind=kind, reference=PATHS[path], compute=Compute("bfloat16"), device=options.device)
        samples, reason, rates[kind, path] = measure(NetworkPass(work), options, most)
        rate = 2 * rates[kind, path] * adds[kind]
        of_sheet = f"{rate / listed:.1%}" if listed else "–"
        peak = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if on_card else "–"
        shares = f"{rate / 1e12:.2f}", f"{rate / product:.1%}", of_sheet
        rows.append((kind, path, samples, f"{rates[kind, path]:.2f}", *shares, peak, reason))
        if (kind, path) == ("training", "fast"):
            fullest, training = samples, work
    header = ("pass", "path", "samples", "samples/s", "TFLOP/s", "of product", "of sheet", "GB", "why not more")
    yield from table(header, rows, left=(0, 1, -1))
    for kind in PASSES:
        yield f"{kind}: the fast path is {rates[kind, 'fast'] / rates[kind, 'reference']:.2f} times as fast"
    yield from ("", f"a training step of {fullest} samples, fast path: share of the time of each operation")
    subject = NetworkPass(replace(training, batch=fullest))
    subject.run()
    times = time_of_operations(subject.run, options.device)
    for operation in sorted(times, key=lambda key: -times[key])[:TOP]:
        yield f"{times[operation] / sum(times.values()):>7.1%}  {operation[:100]}"


OPTIONS = {
    "--preset": {"choices": ("base", "small", "tiny"), "default": "base"},
    "--side": {"type": int, "default": 256, "help": "pixels"},
    "--device": {"choices": ("cuda", "cpu"), "default": "cuda"},
}
main = Command(__doc__, report, OPTIONS, ("torch",), quick={"preset": "tiny", "side": 16})

if __name__ == "__main__":
    main()
