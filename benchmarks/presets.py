"""What each preset costs: parameters, multiply-adds, memory, and samples per second of a processor core.

    python benchmarks/presets.py --runs RUNS.jsonl [--presets tiny small base] [--part 0/2]    measure what is missing
    python benchmarks/presets.py --runs RUNS.jsonl --table --page docs/presets.md --out DATE-presets.txt

Every shape is measured in a process of its own with a batch of one, one thread and float32, and appended to RUNS.jsonl;
a stopped benchmark continues. A shape that would not fit into the free memory is left out, and the table says so.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from measure import RUNS as RUN_OPTIONS
from measure import Command, Run, add_run, free_bytes, load, part_of, read_runs
from network_pass import CLASSES, ONE_SOURCE, PASSES, SOURCES, Pass, Workload, measured

from agrifm.models.agrifm.network import AgriFMConfig, preset
from agrifm.models.cost import count_parameters, forward_multiply_adds

PRESETS = ("base", "small", "tiny")
FRAMES = {"base": 32, "small": 24, "tiny": 24}
SIDES = {1: (64, 128, 256), 3: (48, 96, 192)}
"""By the number of sensors, pixels."""
RUNS = 3
BYTES_PER_PARAMETER: dict[Pass, int] = {"forward": 4, "training": 16}
"""A weight; in training also its gradient and the optimiser's two means."""
USED = 0.8
"""Share of the free memory that a shape may fill."""

RESULTS = Path(__file__).parent / "results"
GROWTH = (
    "",
    "## How it grows",
    "",
    "`benchmarks/growth.py` measures one sample with more and more frames and pixels; an exponent of 1 is linear. The",
    "multiply-adds are. Time and memory grow more slowly as long as the fixed cost of a pass, above all the library's",
    "own memory, is a large part of it; nothing grows faster than the work.",
    "",
    "![Time and memory against frames and pixels](growth.png)",
)


class Shape(NamedTuple):
    """One line of the table."""

    preset: str
    sensors: int
    side: int

    @property
    def config(self) -> AgriFMConfig:
        """The network: `small` and `tiny` with the decoder that a project gets."""
        frames = None if self.preset == "base" else FRAMES[self.preset]
        return preset(self.preset, ONE_SOURCE if self.sensors == 1 else SOURCES, CLASSES, frames=frames)


def shapes(presets: Sequence[str]) -> list[Shape]:
    """All shapes of some presets."""
    return [Shape(name, sensors, side) for sensors in SIDES for name in presets for side in SIDES[sensors]]


Runs = dict[Shape, Run]


def by_shape(files: Sequence[Path]) -> Runs:
    """Finished runs by shape."""
    return {Shape(**run["shape"]): run for run in read_runs(files)}


def estimated_bytes(learned: int, kind: Pass, side: int, smaller: tuple[int, float] | None) -> float:
    """Memory of a pass: weights, and what a smaller side needed beyond them, in proportion to the pixels.

    Args:
        learned: parameters of the network.
        smaller: side and bytes measured.
    """
    fixed = learned * BYTES_PER_PARAMETER[kind]
    if smaller is None:
        return fixed
    smaller_side, peak = smaller
    return fixed + max(0.0, peak - fixed) * (side / smaller_side) ** 2


def measure(shape: Shape, known: Runs) -> Run:
    """Time and memory of a shape's passes, or why one is left out."""
    line: Run = {"shape": shape._asdict(), "date": str(date.today()), "load": load()}
    for kind in PASSES:
        before = [other for other in known if other[:2] == shape[:2] and other.side < shape.side]
        peaks = [(other.side, known[other][kind]["peak"]) for other in before if "peak" in known[other][kind]]
        needed = estimated_bytes(sum(count_parameters(shape.config)), kind, shape.side, max(peaks, default=None))
        free = free_bytes()
        if needed > USED * free:
            line[kind] = {"left_out": f"needs about {needed / 1e9:.0f} GB, {free / 1e9:.0f} GB were free"}
        else:
            workload = Workload(shape.config, FRAMES[shape.preset], shape.side, kind=kind)
            line[kind] = measured(workload, RUNS)._asdict()
    return line


def table(sensors: int, runs: Runs) -> Iterator[str]:
    """A Markdown table of the shapes with so many sensors; a dash where nothing was measured."""
    yield (
        "| preset | frames | pixels | parameters | multiply-adds | of them decoder | forward GB | forward samples/s "
        "| training GB | training samples/s |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for shape in shapes(PRESETS):
        if shape.sensors != sensors:
            continue
        counted = forward_multiply_adds(shape.config, FRAMES[shape.preset], shape.side)
        cells = [
            shape.preset,
            str(FRAMES[shape.preset]),
            f"{shape.side} x {shape.side}",
            f"{sum(count_parameters(shape.config)) / 1e6:.2f} M",
            f"{counted.total / 1e9:,.2f} G",
            f"{counted.decoder / counted.total:.0%}",
        ]
        for kind in PASSES:
            cells += measured_cells(runs.get(shape, {}).get(kind))
        yield f"| {' | '.join(cells)} |"


def measured_cells(cost: Mapping[str, Any] | None) -> tuple[str, str]:
    """Memory and samples per second."""
    if cost is None:
        return "–", "–"
    if "left_out" in cost:
        return f"left out: {cost['left_out']}", "–"
    return f"{cost['peak'] / 1e9:.2f}", f"{1 / cost['seconds']:.2g}"


def page(runs: Runs, figure: bool, gpu: Sequence[str]) -> list[str]:
    """The whole page.

    Args:
        figure: whether the figure of growth is in the same folder.
        gpu: names of results measured on a GPU.
    """
    days = sorted({line["date"] for line in runs.values()})
    when = f"Measured on {' and '.join(days)}" if days else "Nothing has been measured yet"
    return [
        "# What the presets cost",
        "",
        "Written by `benchmarks/presets.py`; hardware, versions and load are in the result of the same date in",
        f"`benchmarks/results`. {when}, on a processor.",
        "",
        f"Batch of one, float32, {CLASSES} classes. Samples per second are those of one thread, by the processor time",
        "of the process, so they hardly depend on what else runs; two threads do up to twice as many. Memory is the",
        "peak beyond that of the loaded libraries: weights, the series and what the pass keeps; in training also",
        "the gradients and the optimiser's means. Multiply-adds are those of a forward pass, as counted by",
        "`agrifm.models.cost`. A shape that would fill more than "
        f"{USED:.0%} of the free memory is left out; a dash means",
        "that it was not measured.",
        "",
        f"## One sensor: Sentinel-2, {ONE_SOURCE['sentinel-2']} bands",
        "",
        *table(1, runs),
        "",
        "## Three sensors: Sentinel-2, Landsat and MODIS",
        "",
        "Pixels are those of Sentinel-2.",
        "",
        *table(3, runs),
        *(GROWTH if figure else ()),
        "",
        "## On a GPU",
        "",
        "`benchmarks/gpu.py` fills a GPU with `base` in bfloat16 and compares it with the card's peak. "
        + (f"Results: {', '.join(gpu)} in `benchmarks/results`." if gpu else "Not measured yet."),
    ]


def report(options: argparse.Namespace) -> Iterator[str]:
    """Measure what is missing, or report the table and write the page."""
    if options.table:
        runs = by_shape(options.runs)
        figure = options.page is not None and (options.page.parent / "growth.png").exists()
        lines = page(runs, figure, [file.name for file in sorted(RESULTS.glob("*-gpu.txt"))])
        if options.page:
            options.page.write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield from (*lines, "", "Load averages when each shape was measured")
        yield from (f"{' '.join(map(str, shape))}: load {run['load']} on {run['date']}" for shape, run in runs.items())
        return
    for shape in shapes(part_of(options.presets, options.part)):
        known = by_shape(options.runs)
        if shape not in known:
            add_run(options.runs, line := measure(shape, known))
            print(*shape, *(measured_cells(line[kind]) for kind in PASSES), flush=True)


OPTIONS = {
    **RUN_OPTIONS,
    "--presets": {"nargs": "+", "choices": PRESETS, "default": PRESETS[::-1]},
    "--table": {"action": "store_true", "help": "report what was measured"},
    "--page": {"type": Path, "help": "the page to write, docs/presets.md"},
}
main = Command(__doc__, report, OPTIONS, ("torch",))

if __name__ == "__main__":
    main()
