"""How time and memory of a network grow with frames and with pixels: a table, fitted exponents and a figure.

    python benchmarks/growth.py --preset small --runs RUNS.jsonl                              measure what is missing
    python benchmarks/growth.py --preset small --runs RUNS.jsonl --table --figure docs/growth.png --out DATE-growth.txt

Each shape is measured in a process of its own with a batch of one and one thread. An exponent is the slope of a
straight line through the logarithms: 1 is linear growth. It is given for time, memory and multiply-adds. Multiply-adds
are counted, so a deviation has one of two reasons. Where the work itself does not grow linearly, windows of attention
have not yet reached their full size: within a window every token attends to every other. Where only time or memory does
not, the fixed cost of a pass dominates small shapes, or large ones exceed the processor's cache.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import presets
from measure import RUNS as RUN_OPTIONS
from measure import Command, Run, by_shape, measure_missing, table
from network_pass import ONE_SOURCE, PASSES, Pass
from presets import BYTES_PER_PARAMETER, PRESETS, Runs, Shape

from agrifm.models.agrifm.network_cost import count_parameters, forward_multiply_adds, training_multiply_adds

FRAMES = (12, 24, 48, 96)
SIDES = (48, 96, 144, 192)
MIDDLE = 24, 96
"""Frames and side where the other grows."""
RUNS = 5
LINEAR = 0.1
"""An exponent this close to 1 is called linear."""
COLORS = {"forward": "#0072B2", "training": "#D55E00"}
"""Safe for colour-blind readers (Okabe and Ito 2008)."""
MARKERS = {"forward": "o", "training": "s"}


def shapes(name: str, axis: str) -> list[Shape]:
    """The four shapes along an axis."""
    frames, side = MIDDLE
    if axis == "frames":
        return [Shape(name, 1, side, length) for length in FRAMES]
    return [Shape(name, 1, side, frames) for side in SIDES]


def measure(shape: Shape, known: Runs) -> Run:
    """Time and memory of a shape's passes."""
    return presets.measure(shape, known, RUNS)


def growing(shape: Shape, run: Run, kind: Pass) -> tuple[float, float, float]:
    """Multiply-adds, seconds and bytes beyond the weights of a pass."""
    size = shape.config, shape.frames, shape.side
    work = forward_multiply_adds(*size).total if kind == "forward" else training_multiply_adds(*size)
    fixed = sum(count_parameters(shape.config)) * BYTES_PER_PARAMETER[kind]
    return work, run[kind]["seconds"], run[kind]["peak"] - fixed


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of the line of least squares through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def series(axis: str, name: str, runs: Runs) -> tuple[list[int], list[Shape]]:
    """Frames or pixels, and their shapes."""
    along = shapes(name, axis)
    if missing := [shape for shape in along if "seconds" not in runs.get(shape, {}).get("training", {})]:
        raise SystemExit(f"{missing[0]} has not been measured; run without --table first, with enough free memory")
    return [shape.frames if axis == "frames" else shape.side**2 for shape in along], along


def lines(name: str, runs: Runs) -> Iterator[str]:
    """A table per axis, and its exponents."""
    for axis in ("frames", "pixels"):
        sizes, along = series(axis, name, runs)
        fixed = f"{MIDDLE[1]} x {MIDDLE[1]} pixels" if axis == "frames" else f"{MIDDLE[0]} frames"
        yield f"{name}, {fixed}, one sensor of {ONE_SOURCE['sentinel-2']} bands"
        costs = {kind: [growing(shape, runs[shape], kind) for shape in along] for kind in PASSES}
        rows = [
            (size, kind, f"{work / 1e9:.3f} G", f"{seconds:.3f}", f"{memory / 1e6:.0f}", runs[shape]["load"])
            for kind in PASSES
            for size, shape, (work, seconds, memory) in zip(sizes, along, costs[kind], strict=True)
        ]
        yield from table((axis, "pass", "multiply-adds", "CPU s", "MB beyond weights", "load"), rows, left=(0, 1))
        for kind in PASSES:
            work, seconds, memory = (exponent(sizes, values) for values in zip(*costs[kind], strict=True))
            verdict = "linear" if abs(seconds - 1) <= LINEAR and abs(memory - 1) <= LINEAR else "not linear"
            exponents = f"work {work:.2f}, time {seconds:.2f}, memory {memory:.2f}"
            yield f"exponents of {kind} with {axis}: {exponents}: {verdict}"
        yield ""


def draw(name: str, runs: Runs, path: Path) -> None:
    """A figure of time and memory by frames and pixels, both axes logarithmic."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    rows = {1: ("processor seconds", 1.0), 2: ("MB beyond weights", 1e6)}
    figure, panels = pyplot.subplots(2, 2, figsize=(8, 6), layout="constrained", sharex="col")
    for column, axis in enumerate(("frames", "pixels")):
        sizes, along = series(axis, name, runs)
        for panel, (key, (label, unit)) in zip(panels[:, column], rows.items(), strict=True):
            for kind in PASSES:
                values = [growing(shape, runs[shape], kind)[key] / unit for shape in along]
                shown = f"{kind}, exponent {exponent(sizes, values):.2f}"
                panel.loglog(sizes, values, marker=MARKERS[kind], color=COLORS[kind], label=shown)
            panel.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
            panel.minorticks_off()
            panel.set(ylabel=label)
            panel.grid(alpha=0.3)
            panel.legend(frameon=False)
        panels[-1, column].set(xlabel=axis)
    figure.suptitle(f"{name}: one sample, one thread")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def report(options: argparse.Namespace) -> Iterator[str]:
    """Measure what is missing, or report table and figure."""
    if not options.table:
        wanted = dict.fromkeys([*shapes(options.preset, "frames"), *shapes(options.preset, "pixels")])
        measure_missing(Shape, list(wanted), options, measure)
        return
    runs = by_shape(Shape, options.runs)
    yield from lines(options.preset, runs)
    if options.figure:
        draw(options.preset, runs, options.figure)


OPTIONS = {
    "--preset": {"choices": PRESETS, "default": "small"},
    **RUN_OPTIONS,
    "--table": {"action": "store_true", "help": "report what was measured"},
    "--figure": {"type": Path, "help": "the figure to draw, docs/growth.png"},
}
main = Command(__doc__, report, OPTIONS, ("torch",))

if __name__ == "__main__":
    main()
