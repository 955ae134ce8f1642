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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import RUNS as RUN_OPTIONS
from measure import Command, Run, by_shape, load, measure_missing, table
from network_pass import CLASSES, ONE_SOURCE, PASSES, Workload, measured
from presets import BYTES_PER_PARAMETER, PRESETS

from agrifm.models.agrifm.network import AgriFMConfig, preset
from agrifm.models.agrifm.network_cost import count_parameters, forward_multiply_adds, training_multiply_adds

FRAMES = (12, 24, 48, 96)
SIDES = (48, 96, 144, 192)
DEFAULT_COMPUTE = 24, 96
"""Frames and side where the other grows."""
RUNS = 5
LINEAR = 0.1
"""An exponent this close to 1 is called linear."""
COLORS = {"forward": "#0072B2", "training": "#D55E00"}
"""Safe for colour-blind readers (Okabe and Ito 2008)."""
MARKERS = {"forward": "o", "training": "s"}


class Shape(NamedTuple):
    """One measurement."""

    preset: str
    frames: int
    side: int

    @property
    def config(self) -> AgriFMConfig:
        """`base` with as many frames as its shape allows to grow: its maps are averaged over time."""
        if self.preset == "base":
            config = preset("base", ONE_SOURCE, CLASSES)
            return config.model_copy(update={"encoder": config.encoder.model_copy(update={"fusion": "mean"})})
        return preset(self.preset, ONE_SOURCE, CLASSES, frames=self.frames)


def shapes(name: str, axis: str) -> list[Shape]:
    """The four shapes along an axis."""
    if axis == "frames":
        return [Shape(name, frames, DEFAULT_COMPUTE[1]) for frames in FRAMES]
    return [Shape(name, DEFAULT_COMPUTE[0], side) for side in SIDES]


Runs = Mapping[Shape, Run]


def measure(shape: Shape, _: Runs) -> Run:
    """Time of a shape's passes, memory beyond the weights, and multiply-adds."""
    learned = sum(count_parameters(shape.config))
    adds = {
        "forward": forward_multiply_adds(shape.config, shape.frames, shape.side).total,
        "training": training_multiply_adds(shape.config, shape.frames, shape.side),
    }
    line: Run = {"shape": shape._asdict(), "load": load()}
    for kind in PASSES:
        cost = measured(Workload(shape.config, shape.frames, shape.side, kind=kind), RUNS)
        beyond = cost.peak - learned * BYTES_PER_PARAMETER[kind]
        line[kind] = {"seconds": cost.seconds, "bytes": beyond, "multiply_adds": adds[kind]}
    return line


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of the line of least squares through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def series(axis: str, name: str, runs: Runs) -> tuple[list[int], list[Run]]:
    """Frames or pixels, and what was measured there."""
    along = shapes(name, axis)
    if missing := [shape for shape in along if shape not in runs]:
        raise SystemExit(f"{missing[0]} has not been measured; run without --table first")
    return [shape.frames if axis == "frames" else shape.side**2 for shape in along], [runs[shape] for shape in along]


def lines(name: str, runs: Runs) -> Iterator[str]:
    """A table per axis, and its exponents."""
    for axis in ("frames", "pixels"):
        sizes, measurements = series(axis, name, runs)
        frames, side = DEFAULT_COMPUTE
        fixed = f"{side} x {side} pixels" if axis == "frames" else f"{frames} frames"
        yield f"{name}, {fixed}, one sensor of {ONE_SOURCE['sentinel-2']} bands"
        rows = [
            (
                size, kind, f"{line[kind]['multiply_adds'] / 1e9:.3f} G", f"{line[kind]['seconds']:.3f}",
                f"{line[kind]['bytes'] / 1e6:.0f}", line["load"],
            )
            for kind in PASSES
            for size, line in zip(sizes, measurements, strict=True)
        ]  # fmt: skip
        yield from table((axis, "pass", "multiply-adds", "CPU s", "MB beyond weights", "load"), rows, left=(0, 1))
        for kind in PASSES:
            work_, time_, memory = (
                exponent(sizes, [line[kind][key] for line in measurements])
                for key in ("multiply_adds", "seconds", "bytes")
            )
            verdict = "linear" if abs(time_ - 1) <= LINEAR and abs(memory - 1) <= LINEAR else "not linear"
            exponents = f"work {work_:.2f}, time {time_:.2f}, memory {memory:.2f}"
            yield f"exponents of {kind} with {axis}: {exponents}: {verdict}"
        yield ""


def draw(name: str, runs: Runs, path: Path) -> None:
    """A figure of time and memory by frames and pixels, both axes logarithmic."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    rows = {"seconds": ("processor seconds", 1.0), "bytes": ("MB beyond weights", 1e6)}
    figure, panels = pyplot.subplots(2, 2, figsize=(8, 6), layout="constrained", sharex="col")
    for column, axis in enumerate(("frames", "pixels")):
        sizes, measurements = series(axis, name, runs)
        for panel, (key, (label, unit)) in zip(panels[:, column], rows.items(), strict=True):
            for kind in PASSES:
                values = [line[kind][key] / unit for line in measurements]
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
