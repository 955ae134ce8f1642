"""What precision, compilation and recomputed activations cost compared with plain float32, in time and memory.

    python benchmarks/precision.py [--presets tiny small] [--side 96] [--batch 4] --out DATE-precision.txt

Every line is measured in a process of its own with one thread. Time is the processor time of that process, so that
other programs hardly change it. A way of computing takes turns with float32, and its ratio is the median of those of
the turns. The first pass is the one that compiles; it includes the C++ compiler's time. Memory is that of the first
pass beyond the libraries, without the optimiser's first step, next to the estimate of `agrifm.models.cost`; it is left
out where the compiler's own memory is part of it.
"""

import argparse
import os
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from measure import Command, own_process, table, turns
from network_pass import ONE_SOURCE, PASSES, NetworkPass, Pass, Workload, bytes_of_libraries
from presets import FRAMES, Shape

from agrifm.models.cost import window_shapes
from agrifm.models.family import FAMILIES
from agrifm.models.precision import DEFAULT_COMPUTE, Compute, bfloat16_is_native
from agrifm.process_memory import forget_peak, peak_bytes

WAYS = {
    "float32": DEFAULT_COMPUTE,
    "bfloat16": Compute("bfloat16"),
    "compiled": Compute(compiled=True),
    "recomputed": Compute(recompute=True),
}


class Row(NamedTuple):
    """Cost of a way of computing."""

    first: float
    """Processor seconds of the first pass, including those of programs that it starts."""
    usual: float
    """Processor seconds of a pass in float32."""
    ratio: float
    """Those of the way over those of float32."""
    peak: float
    """Bytes at the peak beyond those of the libraries."""
    estimate: int
    """Bytes that `agrifm.models.cost` expects of float32, recomputed or not."""


def measured(preset_name: str, side: int, batch: int, kind: Pass, way: str, runs: int) -> Row:
    """A row of the table; for a process of its own."""
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # compiled in this process, so that its time is known
    config, frames = Shape(preset_name, 1, side).config, FRAMES[preset_name]
    shapes = window_shapes(dict.fromkeys(ONE_SOURCE, 1), dict.fromkeys(ONE_SOURCE, frames), batch, side, side)
    before = bytes_of_libraries()
    subject = NetworkPass(Workload(config, frames, side, batch, kind, compute=WAYS[way]))
    forget_peak()
    start = _processor_seconds()
    subject.run()
    first, peak = _processor_seconds() - start, float(peak_bytes() - before)
    usual = NetworkPass(Workload(config, frames, side, batch, kind))
    seconds = turns({"float32": usual.run, "way": subject.run}, runs)
    ratios = (ours / usual for usual, ours in zip(*seconds.values(), strict=True))
    estimate = FAMILIES["agrifm"].memory_needed(config, shapes, kind == "training", way == "recomputed")
    return Row(first, statistics.median(seconds["float32"]), statistics.median(ratios), peak, estimate)


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def rows(presets: Sequence[str], side: int, batch: int, ways: Sequence[str], runs: int) -> Iterator[tuple[str, ...]]:
    """A row per preset, pass and way."""
    for name in presets:
        for kind in PASSES:
            for way in ways:
                if way == "recomputed" and kind == "forward":
                    continue  # without gradients nothing is kept, and so nothing is recomputed
                samples = batch if kind == "training" else 1
                row: Row = own_process(measured, name, side, samples, kind, way, runs).result
                peak = "-" if way == "compiled" else f"{row.peak / 1e6:.0f}"
                estimate = f"{row.estimate / 1e6:.0f}" if way in ("float32", "recomputed") else "-"
                yield name, kind, way, f"{row.first:.1f}", f"{row.usual:.2f}", f"{row.ratio:.2f}", peak, estimate


def report(options: argparse.Namespace) -> Iterator[str]:
    """What is measured, and the table."""
    native = "instructions" if bfloat16_is_native() else "no instructions"
    frames = " and ".join(str(FRAMES[name]) for name in options.presets)
    yield (
        f"{options.side} x {options.side} pixels, {frames} frames of ten bands, batch {options.batch} in training, 1 "
        f"in a forward pass; one thread; {native} for bfloat16; {options.runs} turns"
    )
    yield ""
    header = ("preset", "pass", "way", "first s", "float32 s", "ratio", "peak MB", "estimate MB")
    measurements = rows(options.presets, options.side, options.batch, options.ways, options.runs)
    yield from table(header, measurements, left=(0, 1, 2))


OPTIONS = {
    "--presets": {"nargs": "+", "default": ["tiny"], "choices": FRAMES, "help": "default: tiny"},
    "--ways": {"nargs": "+", "default": list(WAYS), "choices": WAYS, "help": "default: all"},
    "--side": {"type": int, "default": 96, "help": "pixels, default 96"},
    "--batch": {"type": int, "default": 4, "help": "of a training step, default 4"},
    "--runs": {"type": int, "default": 5, "help": "turns, default 5"},
}
QUICK = {"ways": ["float32", "recomputed"], "side": 48, "batch": 1, "runs": 1}
main = Command(__doc__, report, OPTIONS, ("torch",), QUICK)

if __name__ == "__main__":
    main()
