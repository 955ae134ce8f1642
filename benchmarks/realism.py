"""Compare simulated fields with real ones: quantity, real, simulated, tolerance, verdict.

    python benchmarks/realism.py                      every line; simulates parcels and two seasons (minutes)
    python benchmarks/realism.py --real               the real numbers only
    python benchmarks/realism.py --points             parcels only (lines a to d, h, i)
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
from measure import Command
from realism_metrics import curves, discrimination, field_images, parcels, read
from realism_metrics.table import Row, as_text, rows

from agrifm.simulator.catalog import simulate
from agrifm.simulator.points import PointSeries, simulate_points

SIZES = {"oceanic": 3.0, "southern": 10.0}
"""Sides of the simulated seasons, km."""
YEARS = 5
"""Simulated years, each 467 parcels with their own seed, weather and sky: a single year depends on chance as much as
the real one (`discrimination.interannual_rows` measures how much)."""

LINES_OF_PARCELS = "abcdhi"


def parcel_rows(line: str, real: PointSeries, simulated: Sequence[PointSeries]) -> list[Row]:
    """Rows of a line of parcels; `simulated` has the years, or nothing where only real numbers are wanted."""
    joined = parcels.pooled(simulated) if simulated else None
    match line:
        case "a":  # the mean over simulated years, each with its own forest
            years = [parcels.separability(year, seeds=(0,)) for year in simulated]
            scores = {name: [year[name] for year in years] for name in (years[0] if years else ())}
            notes = {name: ", ".join(f"{score:.2f}" for score in of_years) for name, of_years in scores.items()}
            means = {name: float(np.mean(of_years)) for name, of_years in scores.items()}
            real_rows = rows("a", parcels.separability(real), means)
            return [replace(row, note=notes.get(row.quantity, "")) for row in real_rows]
        case "b":
            return rows("b", {}, parcels.level_and_timing(real, joined) if joined else {})
        case "c":
            spread = parcels.equal_spread(real, joined) | parcels.spread(joined) if joined else {}
            return rows("c", parcels.spread(real), spread)
        case "d":
            return rows("d", parcels.gaps(real), parcels.gaps(joined) if joined else {})
        case "h":  # one year, because forests distinguish years too
            return discrimination.discrimination_rows(discrimination.Pair.of(real, simulated[0])) if simulated else []
        case _:
            return [discrimination.transfer(real, joined)] if joined else []


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


def report(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the table; with `--figures` also the curves."""
    yield from (f"seed {options.seed}", "")
    real = read.france()
    simulated = [] if options.real else simulated_parcels(options.points or "", options.seed)
    if simulated and options.figures:
        for quantity in curves.QUANTITIES:
            path = options.figures / f"realism-{quantity.lower()}.png"
            curves.draw(real, parcels.pooled(simulated), quantity, path)
    table_rows = [row for line in LINES_OF_PARCELS for row in parcel_rows(line, real, simulated)]
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
    "--seed": {"type": int, "default": 0, "help": "of the simulation, default 0"},
    "--figures": {"type": Path, "help": "folder for realism-<quantity>.png"},
}
main = Command(__doc__, report, OPTIONS, ("scikit-learn",))

if __name__ == "__main__":
    main()
