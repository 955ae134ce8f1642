"""What each preset costs: parameters, multiply-adds, memory, and samples per second of a processor core.

    python benchmarks/presets.py --runs RUNS.jsonl [--presets tiny small base] [--part 0/2]    measure what is missing
    python benchmarks/presets.py --runs RUNS.jsonl --table --page docs/presets.md --out DATE-presets.txt

Every shape is measured in a process of its own with a batch of one, one thread and float32, and appended to RUNS.jsonl;
a stopped benchmark continues. A shape that would not fit into the free memory is left out, and the table says so.
"""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from measure import RUNS as RUN_OPTIONS
from measure import Command, Run, by_shape, free_bytes, load, measure_missing
from network_pass import CLASSES, ONE_SOURCE, PASSES, SOURCES, Pass, Workload, measured

from agrifm.models.agrifm.network import AgriFMConfig, preset
from agrifm.models.agrifm.network_cost import count_parameters, forward_multiply_adds

PRESETS = ("base", "small", "tiny")
FRAMES = {"base": 32, "small": 24, "tiny": 24}
SIDES = {1: (64, 128, 256), 3: (48, 96, 192)}
"""By the number of sensors, pixels."""
RUNS = 3
BYTES_PER_PARAMETER: dict[Pass, int] = {"forward": 4, "training": 16}
"""A weight; in training also its gradient and the optimiser's two means."""
USED = 0.8
"""Share of the free memory that a shape may fill."""


class Shape(NamedTuple):
    """One line of the table."""

    preset: str
    sensors: int
    side: int
    length: int | None = None
    """Frames, where not those of the preset."""

    @property
    def frames(self) -> int:
        """Frames of each series."""
        return self.length or FRAMES[self.preset]

    @property
    def config(self) -> AgriFMConfig:
        """The network: `small` and `tiny` with the decoder that a project gets."""
        sources = ONE_SOURCE if self.sensors == 1 else SOURCES
        if self.preset != "base":
            return preset(self.preset, sources, CLASSES, frames=self.frames)
        config = preset("base", sources, CLASSES)
        if self.length is None:
            return config
        # its own fusion is for one number of frames; the mean over time is for any
        return config.model_copy(update={"encoder": config.encoder.model_copy(update={"fusion": "mean"})})


def shapes(presets: Sequence[str]) -> list[Shape]:
    """All shapes of some presets."""
    return [Shape(name, sensors, side) for sensors in SIDES for name in presets for side in SIDES[sensors]]


Runs = Mapping[Shape, Run]


def estimated_bytes(learned: int, kind: Pass, side: int, smaller: tuple[int, float] | None) -> float:
    """Memory of a pass: weights, and what a smaller side (with its bytes) needed beyond them, by the pixels."""
    fixed = learned * BYTES_PER_PARAMETER[kind]
    smaller_side, peak = smaller or (side, 0.0)
    return fixed + max(0.0, peak - fixed) * (side / smaller_side) ** 2


def measure(shape: Shape, known: Runs, runs: int = RUNS) -> Run:
    """Time and memory of a shape's passes, or why one is left out."""
    line: Run = {"shape": shape._asdict(), "date": str(date.today()), "load": load()}
    for kind in PASSES:
        before = [other for other in known if other._replace(side=shape.side) == shape and other.side < shape.side]
        peaks = [(other.side, known[other][kind]["peak"]) for other in before if "peak" in known[other][kind]]
        needed = estimated_bytes(sum(count_parameters(shape.config)), kind, shape.side, max(peaks, default=None))
        free = free_bytes()
        if needed > USED * free:
            line[kind] = {"left_out": f"needs about {needed / 1e9:.0f} GB, {free / 1e9:.0f} GB were free"}
        else:
            workload = Workload(shape.config, shape.frames, shape.side, kind=kind)
            line[kind] = measured(workload, runs)._asdict()
    return line


def table(sensors: int, runs: Runs) -> Iterator[str]:
    """A Markdown table of the shapes with so many sensors; a dash where nothing was measured."""
    yield (
        "| preset | frames | pixels | parameters | multiply-adds | of them decoder | forward GB | forward samples/s "
        "| training GB | training samples/s |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for shape in (shape for shape in shapes(PRESETS) if shape.sensors == sensors):
        frames, side = shape.frames, shape.side
        counted = forward_multiply_adds(shape.config, frames, side)
        parameters = f"{sum(count_parameters(shape.config)) / 1e6:.2f} M"
        adds = f"{counted.total / 1e9:,.2f} G | {counted.decoder / counted.total:.0%}"
        costs = " | ".join(cell for kind in PASSES for cell in measured_cells(runs.get(shape, {}).get(kind)))
        yield f"| {shape.preset} | {frames} | {side} x {side} | {parameters} | {adds} | {costs} |"


def measured_cells(cost: Mapping[str, Any] | None) -> tuple[str, str]:
    """Memory and samples per second."""
    if cost is None:
        return "–", "–"
    if "left_out" in cost:
        return f"left out: {cost['left_out']}", "–"
    return f"{cost['peak'] / 1e9:.2f}", f"{1 / cost['seconds']:.2g}"


def updated(page: str, tables: Sequence[str], days: Sequence[str]) -> str:
    """The page with new tables, in their order, and the days on which they were measured."""
    new = iter(tables)
    page = re.sub(r"(^\|.*\n)+", lambda _: next(new), page, flags=re.MULTILINE)
    return re.sub(r"Measured on [^,]+", f"Measured on {' and '.join(days)}", page)


def report(options: argparse.Namespace) -> Iterator[str]:
    """Measure what is missing, or report the tables and write them into the page."""
    if not options.table:
        measure_missing(Shape, shapes(options.presets), options, measure)
        return
    runs = by_shape(Shape, options.runs)
    tables = {sensors: list(table(sensors, runs)) for sensors in SIDES}
    if options.page:
        texts = ["".join(f"{line}\n" for line in lines) for lines in tables.values()]
        days = sorted({run["date"] for run in runs.values()})
        options.page.write_text(updated(options.page.read_text("utf-8"), texts, days), encoding="utf-8")
    for sensors, lines in tables.items():
        yield from (f"Sensors: {sensors}", "", *lines, "")
    yield "Load averages when each shape was measured"
    yield from (f"{' '.join(map(str, shape[:3]))}: load {run['load']} on {run['date']}" for shape, run in runs.items())


OPTIONS = {
    **RUN_OPTIONS,
    "--presets": {"nargs": "+", "choices": PRESETS, "default": PRESETS[::-1]},
    "--table": {"action": "store_true", "help": "report what was measured"},
    "--page": {"type": Path, "help": "the page whose tables are replaced, docs/presets.md"},
}
main = Command(__doc__, report, OPTIONS, ("torch",))

if __name__ == "__main__":
    main()
