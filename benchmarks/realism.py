"""Compare simulated fields with real ones: quantity, real, simulated, tolerance, verdict.

    python benchmarks/realism.py                      every line; simulates parcels and two seasons (minutes)
    python benchmarks/realism.py --real               the real numbers only
    python benchmarks/realism.py --points             parcels only (lines a to d, h, i)
    python benchmarks/realism.py --points --cases 40  only the medians of line b, worst first
    python benchmarks/realism.py --points --causes    only tables of differences: spread, noise, gaps, confusions
    python benchmarks/realism.py --points DIR         parcels from a folder with splits.csv and series.parquet

Real data: AGRIFM_DATA (default ../shared/data). `realism_metrics` computes the quantities; its module `table` has their
tolerances.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from measure import Command, table
from realism_metrics import diagnostics, discrimination, field_images, parcels, read
from realism_metrics.table import Row, as_text, rows

from agrifm.simulator.catalog import simulate
from agrifm.simulator.points import PointSeries, simulate_points

SIZES = {"oceanic": 3.0, "southern": 10.0}
"""Sides of the simulated seasons, km."""
YEARS = 5
"""Simulated years, each 467 parcels with their own seed, weather and sky: a single year depends on chance as much as
the real one (`discrimination.interannual_rows` measures how much)."""

Years = Sequence[PointSeries]


def line_a(real: PointSeries, simulated: Years) -> list[Row]:
    """Accuracy of forests on the labels: the mean over simulated years, each with its own forest."""
    of_years = [parcels.separability(year, seeds=(0,)) for year in simulated]
    quantities = of_years[0] if of_years else ()
    means = {name: float(np.mean([scores[name] for scores in of_years])) for name in quantities}
    notes = {name: ", ".join(f"{scores[name]:.2f}" for scores in of_years) for name in quantities}
    return [replace(row, note=notes.get(row.quantity, "")) for row in rows("a", parcels.separability(real), means)]


def line_b(real: PointSeries, simulated: Years) -> list[Row]:
    """Level and timing of all simulated years together."""
    return rows("b", {}, parcels.level_and_timing(real, parcels.pooled(simulated)) if simulated else {})


def line_c(real: PointSeries, simulated: Years) -> list[Row]:
    """Spread of all simulated years together."""
    joined = parcels.pooled(simulated) if simulated else None
    simulated_spread = parcels.equal_spread(real, joined) | parcels.spread(joined) if joined else {}
    return rows("c", parcels.spread(real), simulated_spread)


def line_d(real: PointSeries, simulated: Years) -> list[Row]:
    """Gaps of all simulated years together."""
    return rows("d", parcels.gaps(real), parcels.gaps(parcels.pooled(simulated)) if simulated else {})


def line_h(real: PointSeries, simulated: Years) -> list[Row]:
    """Features that distinguish simulated parcels of one year from real ones."""
    return discrimination.discrimination_rows(discrimination.Pair.of(real, simulated[0])) if simulated else []


def line_i(real: PointSeries, simulated: Years) -> list[Row]:
    """Transfer of a forest from simulated parcels of all years to real ones."""
    return [discrimination.transfer(real, parcels.pooled(simulated))] if simulated else []


LINES_OF_PARCELS = (line_a, line_b, line_c, line_d, line_h, line_i)


def compare_seasons(oceanic: read.FieldPatch | None, southern: read.ModisSeries | None) -> list[Row]:
    """Lines e and f with real data of Flanders, and line g with real data of Mato Grosso."""
    flanders = read.flanders()
    within = [field_images.within_fields(patch.sentinel, patch.field) for patch in (flanders, oceanic) if patch]
    days = [field_images.same_day(patch.sentinel, patch.landsat) for patch in (flanders, oceanic) if patch]
    coarse = [field_images.coarse_series(series) for series in (read.mato_grosso(), southern) if series]
    return [row for line, sets in (("e", within), ("f", days), ("g", coarse)) for row in rows(line, *sets)]


def simulated_seasons(folder: Path, seed: int) -> tuple[read.FieldPatch, read.ModisSeries]:
    """Simulate a season of `oceanic` and one of `southern` in a folder, and read them."""
    for region, size in SIZES.items():
        simulate(folder / region, region=region, year=parcels.YEAR, size=size, seed=seed)
    return read.field_patch(folder / "oceanic"), read.modis_series(folder / "southern")


def simulated_parcels(source: str, seed: int) -> list[PointSeries]:
    """One set from a folder, or, without a folder, `YEARS` simulated sets."""
    if source:
        return [read.parcels(Path(source))]
    return [simulate_points("oceanic", year=parcels.YEAR, seed=seed + later) for later in range(YEARS)]


def medians(real: PointSeries, simulated: PointSeries, most: int) -> Iterator[str]:
    """NDVI of every class and month, real above simulated, then the cases beyond the tolerance, worst first."""
    cases = parcels.cases(real, simulated)
    yield "median NDVI by month, real above simulated; x = more than 0.10 apart"
    cells = []
    for label in dict.fromkeys(case.label for case in cases):
        months: list[tuple[str, str]] = [("- ", "- ")] * 12
        for case in cases:
            if case.label == label and case.quantity == "NDVI":
                mark = "x" if case.distance > 1 else " "
                months[case.month - 1] = f"{case.real.median:.2f} ", f"{case.simulated.median:.2f}{mark}"
        cells += [(name, *values) for name, values in zip((label, ""), zip(*months, strict=True), strict=True)]
    yield from table(("", *map(str, range(1, 13))), cells)
    failing = sorted((case for case in cases if case.distance > 1), key=lambda case: -case.distance)
    yield from ("", f"{len(failing)} of {len(cases)} cases too far, worst first; distance 1 = the tolerance")
    header = ("class", "month", "quantity", "real 10 %", "50 %", "90 %", "sim. 10 %", "50 %", "90 %", "distance")
    worst = [
        (case.label, case.month, case.quantity, *(f"{part:.3f}" for part in (*case.real, *case.simulated)),
         f"{case.distance:.1f}")
        for case in failing[:most]
    ]  # fmt: skip
    yield from table(header, worst, left=(0, 2))


def report(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the table, or of the tables of differences."""
    yield from (f"seed {options.seed}", "")
    real = read.france()
    simulated = [] if options.real else simulated_parcels(options.points or "", options.seed)
    if simulated and options.cases:
        yield from medians(real, parcels.pooled(simulated), options.cases)
        return
    if simulated and options.causes:
        yield from diagnostics.differences(real, simulated[0])
        return
    if simulated and options.figures:
        for quantity in diagnostics.QUANTITIES:
            path = options.figures / f"realism-{quantity.lower()}.png"
            diagnostics.curves(real, parcels.pooled(simulated), quantity, path)
    table_rows = [row for line in LINES_OF_PARCELS for row in line(real, simulated)]
    if len(simulated) > 1:
        table_rows += discrimination.interannual_rows(simulated)
    if options.real:
        table_rows += compare_seasons(None, None)
    elif options.points is None:
        with tempfile.TemporaryDirectory() as scratch:
            table_rows += compare_seasons(*simulated_seasons(Path(scratch), options.seed))
    yield from as_text(sorted(table_rows, key=lambda row: row.line))


OPTIONS = {
    "--real": {"action": "store_true", "help": "simulate nothing"},
    "--points": {"nargs": "?", "const": "", "metavar": "DIR", "help": "parcels only; without DIR: simulate them"},
    "--cases": {"type": int, "default": 0, "metavar": "N", "help": "print only the N worst medians"},
    "--causes": {"action": "store_true", "help": "print only tables of differences"},
    "--seed": {"type": int, "default": 0, "help": "of the simulation, default 0"},
    "--figures": {"type": Path, "help": "folder for realism-<quantity>.png"},
}
main = Command(__doc__, report, OPTIONS, ("scikit-learn",))

if __name__ == "__main__":
    main()
