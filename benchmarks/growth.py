"""How time and memory of a network grow with frames and with pixels: a table, fitted exponents and a figure.

    python benchmarks/growth.py --preset small --runs RUNS.jsonl                              measure what is missing
    python benchmarks/growth.py --preset small --runs RUNS.jsonl --table --figure docs/growth.png --out DATE-growth.txt

Each shape is measured in a process of its own, batch of one, one thread. An exponent is the slope of a straight line
through the logarithms: 1 is linear growth. Beside those of time and memory stands that of the multiply-adds, which are
counted, so a deviation has one of two reasons. Where the work itself does not grow linearly, windows of attention have
not yet reached their full size: within a window every token attends to every other. Where only time or memory does not,
small shapes are governed by what every pass costs whatever its size, or large ones outgrow the processor's cache.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measure import CLASSES, ONE_SOURCE, PASSES, head, load, measured, write
from presets import BYTES_PER_PARAMETER, PRESETS

from agrifm.models.agrifm.network import AgriFMConfig, preset
from agrifm.models.count import parameters, training_work, work

FRAMES = (12, 24, 48, 96)
SIDES = (48, 96, 144, 192)
USUAL = 24, 96
"""Frames and side where the other grows."""
RUNS = 5
LINEAR = 0.1
"""An exponent this close to 1 is called linear."""
COLORS = {"forward": "#0072B2", "training": "#D55E00"}
"""Told apart by every kind of sight (Okabe and Ito 2008)."""
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
        return [Shape(name, frames, USUAL[1]) for frames in FRAMES]
    return [Shape(name, USUAL[0], side) for side in SIDES]


Runs = dict[Shape, dict[str, Any]]


def read_runs(files: Sequence[Path]) -> Runs:
    """What was measured, by shape."""
    lines = [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]
    return {Shape(**line["shape"]): line for line in lines}


def measure(shape: Shape) -> dict[str, Any]:
    """Time of a shape's passes, memory beside the weights, and multiply-adds."""
    learned = sum(parameters(shape.config))
    adds = {
        "forward": work(shape.config, shape.frames, shape.side).whole,
        "training": training_work(shape.config, shape.frames, shape.side),
    }
    line: dict[str, Any] = {"shape": shape._asdict(), "load": load()}
    for kind in PASSES:
        found = measured(shape.config, shape.frames, shape.side, 1, kind, RUNS)
        line[kind] = {
            "seconds": found.seconds,
            "bytes": found.peak - learned * BYTES_PER_PARAMETER[kind],
            "multiply_adds": adds[kind],
        }
    return line


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of the line of least squares through the logarithms."""
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    return float(slope)


def series(axis: str, name: str, runs: Runs) -> tuple[list[int], list[dict[str, Any]]]:
    """Frames or pixels, and what was measured there."""
    along = shapes(name, axis)
    if missing := [shape for shape in along if shape not in runs]:
        raise SystemExit(f"{missing[0]} has not been measured; run without --table first")
    return [shape.frames if axis == "frames" else shape.side**2 for shape in along], [runs[shape] for shape in along]


def lines(name: str, runs: Runs) -> Iterator[str]:
    """A line per shape, then the exponents."""
    for axis in ("frames", "pixels"):
        sizes, found = series(axis, name, runs)
        at = f"{USUAL[1]} x {USUAL[1]} pixels" if axis == "frames" else f"{USUAL[0]} frames"
        yield f"{name}, {at}, one sensor of {ONE_SOURCE['sentinel-2']} bands"
        yield f"{axis:<10}{'pass':<10}{'multiply-adds':>15}{'CPU s':>10}{'MB beside weights':>20}   load"
        for kind in PASSES:
            for size, line in zip(sizes, found, strict=True):
                own = line[kind]
                yield (
                    f"{size:<10}{kind:<10}{own['multiply_adds'] / 1e9:>13.3f} G{own['seconds']:>10.3f}"
                    f"{own['bytes'] / 1e6:>20.0f}   {line['load']}"
                )
        for kind in PASSES:
            of = {
                key: exponent(sizes, [line[kind][key] for line in found])
                for key in ("multiply_adds", "seconds", "bytes")
            }
            called = "linear" if abs(of["seconds"] - 1) <= LINEAR and abs(of["bytes"] - 1) <= LINEAR else "not linear"
            yield (
                f"exponents of {kind} with {axis}: work {of['multiply_adds']:.2f}, time {of['seconds']:.2f}, "
                f"memory {of['bytes']:.2f}: {called}"
            )
        yield ""


def draw(name: str, runs: Runs, path: Path) -> None:
    """Time and memory against frames and pixels, both axes logarithmic."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    rows = {"seconds": ("processor seconds", 1.0), "bytes": ("MB beside weights", 1e6)}
    figure, panels = pyplot.subplots(2, 2, figsize=(8, 6), layout="constrained", sharex="col")
    for column, axis in enumerate(("frames", "pixels")):
        sizes, found = series(axis, name, runs)
        for panel, (key, (label, unit)) in zip(panels[:, column], rows.items(), strict=True):
            for kind in PASSES:
                values = [line[kind][key] / unit for line in found]
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


def main() -> None:
    """Measure what is missing, or write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="measured shapes; the first is written")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--figure", type=Path, help="docs/growth.png")
    parser.add_argument("--out", type=Path, help="the result to write")
    options = parser.parse_args()
    if options.table:
        runs = read_runs(options.runs)
        write([*head(), *lines(options.preset, runs)], options.out)
        if options.figure:
            draw(options.preset, runs, options.figure)
        return
    wanted = dict.fromkeys([*shapes(options.preset, "frames"), *shapes(options.preset, "pixels")])
    for shape in wanted:
        if shape in read_runs(options.runs):
            continue
        line = measure(shape)
        with options.runs[0].open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(*shape, *(f"{line[kind]['seconds']:.3f} s" for kind in PASSES), flush=True)


if __name__ == "__main__":
    main()
