"""Simulated fields beside real ones: quantity, real, simulated, tolerance, verdict.

    python benchmarks/realism.py                      every line; simulates parcels and two seasons (minutes)
    python benchmarks/realism.py --real               the real numbers alone
    python benchmarks/realism.py --points             parcels alone (lines a to d, h, i)
    python benchmarks/realism.py --points --cases 40  only the medians behind line b, worst first
    python benchmarks/realism.py --points --causes    only where the sets differ: spread, noise, gaps, confusions
    python benchmarks/realism.py --points DIR         parcels from a folder with splits.csv and series.parquet

Real sets: AGRIFM_DATA (default ../shared/data). What each quantity is stands in `benchmarks/real_fields`, what it must
hold in `benchmarks/real_fields/table.py`.
"""

import argparse
import datetime
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from real_fields import apart, figures, ground, level, parcels, read, season, years
from real_fields.causes import causes
from real_fields.table import Row, rows, written

from agrifm.record import running_versions
from agrifm.simulator.points import PointSeries

SIZES = {"oceanic": 3.0, "southern": 10.0}
"""Sides of the simulated seasons, km."""
YEARS = 5
"""Simulated years, each a set of 467 parcels with a seed, weather and skies of its own: one year alone is as much a
matter of chance as the real one (`years.py` says how much)."""

Years = Sequence[PointSeries]


def line_a(real: PointSeries, simulated: Years) -> list[Row]:
    """How well a forest knows the labels: each simulated year by itself, then their mean."""
    of_years = [parcels.separability(year, seeds=(0,)) for year in simulated]
    found = {}
    for quantity in of_years[0] if of_years else ():
        found[quantity] = float(np.mean([one[quantity] for one in of_years]))
    notes = {name: ", ".join(f"{one[name]:.2f}" for one in of_years) for name in found}
    return [replace(row, note=notes.get(row.quantity, "")) for row in rows("a", parcels.separability(real), found)]


def line_b(real: PointSeries, simulated: Years) -> list[Row]:
    """Level and timing, all simulated years together."""
    return rows("b", {}, level.level_and_timing(real, years.together(simulated))) if simulated else []


def line_c(real: PointSeries, simulated: Years) -> list[Row]:
    """Spread, all simulated years together."""
    if not simulated:
        return rows("c", parcels.spread(real), {})
    joined = years.together(simulated)
    return rows("c", parcels.spread(real), level.equal_spread(real, joined) | parcels.spread(joined))


def line_d(real: PointSeries, simulated: Years) -> list[Row]:
    """Gaps, all simulated years together."""
    return rows("d", parcels.gaps(real), parcels.gaps(years.together(simulated)) if simulated else {})


def line_h(real: PointSeries, simulated: Years) -> list[Row]:
    """What gives simulated parcels of one year away."""
    return apart.told_apart(apart.Pair.of(real, simulated[0])) if simulated else []


def line_i(real: PointSeries, simulated: Years) -> list[Row]:
    """From simulated parcels of all years to real ones."""
    return [apart.transfer(real, years.together(simulated))] if simulated else []


LINES_OF_PARCELS = (line_a, line_b, line_c, line_d, line_h, line_i)


def compare_seasons(oceanic: read.Patch | None, southern: read.Composites | None) -> list[Row]:
    """Lines e and f, the real ones from Flanders, and g, from Mato Grosso."""
    flanders, mato_grosso = read.flanders(), read.mato_grosso()
    return [
        *rows(
            "e",
            ground.within_fields(flanders.sentinel, flanders.field),
            ground.within_fields(oceanic.sentinel, oceanic.field) if oceanic else {},
        ),
        *rows(
            "f",
            ground.same_day(flanders.sentinel, flanders.landsat),
            ground.same_day(oceanic.sentinel, oceanic.landsat) if oceanic else {},
        ),
        *rows("g", ground.coarse_series(mato_grosso), ground.coarse_series(southern) if southern else {}),
    ]


def simulated_seasons(folder: Path, seed: int) -> tuple[read.Patch, read.Composites]:
    """A season of `oceanic` and one of `southern`, written into a folder and read back."""
    from agrifm.simulator.catalog import simulate

    for region, size in SIZES.items():
        simulate(folder / region, region=region, year=parcels.YEAR, size=size, seed=seed)
    return season.patch(folder / "oceanic"), season.composites(folder / "southern")


def simulated_parcels(source: str, seed: int) -> list[PointSeries]:
    """One set from a folder, or `YEARS` freshly simulated ones where none is named."""
    if source:
        return [read.parcels(Path(source))]
    from agrifm.simulator.points import simulate_points

    return [simulate_points("oceanic", year=parcels.YEAR, seed=seed + later) for later in range(YEARS)]


def medians(real: PointSeries, simulated: PointSeries, most: int) -> str:
    """NDVI of every class and month, real over simulated, then the cases that fail, worst first."""
    cases = level.cases(real, simulated)
    lines = ["median NDVI by month, real above simulated; x = more than 0.10 apart"]
    for label in dict.fromkeys(case.label for case in cases):
        own = {case.month: case for case in cases if case.label == label and case.quantity == "NDVI"}
        for name, values in (
            (label, {month: f"{case.real.median:.2f} " for month, case in own.items()}),
            ("", {m: f"{case.simulated.median:.2f}{'x' if case.distance > 1 else ' '}" for m, case in own.items()}),
        ):
            lines.append(f"{name:<22}" + "".join(f"{values.get(month, ' - '):>6}" for month in range(1, 13)))
    failing = sorted((case for case in cases if case.distance > 1), key=lambda case: -case.distance)
    lines += [
        "",
        f"{len(failing)} of {len(cases)} cases too far, worst first; distance 1 = the tolerance",
        f"{'class':<22}{'month':>5} {'quantity':<9}{'real 10 %':>10}{'50 %':>7}{'90 %':>7}"
        f"{'sim. 10 %':>10}{'50 %':>7}{'90 %':>7}{'distance':>10}",
    ]
    for case in failing[:most]:
        parts = [f"{part.low:>10.3f}{part.median:>7.3f}{part.high:>7.3f}" for part in (case.real, case.simulated)]
        lines.append(f"{case.label:<22}{case.month:>5} {case.quantity:<9}{parts[0]}{parts[1]}{case.distance:>10.1f}")
    return "\n".join(lines) + "\n"


def header(options: argparse.Namespace) -> str:
    """Date, hardware, versions, seed."""
    versions = ", ".join(f"{name} {number}" for name, number in running_versions("scikit-learn").items())
    return (
        f"date       {datetime.date.today().isoformat()}\n"
        f"hardware   {platform.processor() or platform.machine()}, {os.cpu_count()} cores\n"
        f"versions   {versions}\n"
        f"seed       {options.seed}\n\n"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it with --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--real", action="store_true", help="simulate nothing")
    parser.add_argument(
        "--points", nargs="?", const="", metavar="DIR", help="parcels alone; without DIR: simulated now"
    )
    parser.add_argument(
        "--cases", type=int, default=0, metavar="N", help="print the N worst medians, and leave the rest"
    )
    parser.add_argument("--causes", action="store_true", help="print where the sets differ, and leave the rest")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation, default 0")
    parser.add_argument("--figures", type=Path, help="folder for realism-<quantity>.png")
    parser.add_argument("--out", type=Path, help="folder for <date>-realism.txt")
    options = parser.parse_args(arguments)
    real = read.france()
    simulated = [] if options.real else simulated_parcels(options.points or "", options.seed)
    if simulated and (options.cases or options.causes):
        joined = years.together(simulated)
        print(medians(real, joined, options.cases) if options.cases else causes(real, simulated[0]), end="")
        return
    if simulated and options.figures:
        for quantity in figures.QUANTITIES:
            path = options.figures / f"realism-{quantity.lower()}.png"
            figures.curves(real, years.together(simulated), quantity, path)
    table = [row for line in LINES_OF_PARCELS for row in line(real, simulated)]
    if len(simulated) > 1:
        table += years.years(simulated)
    if options.real:
        table += compare_seasons(None, None)
    elif options.points is None:
        with tempfile.TemporaryDirectory() as scratch:
            table += compare_seasons(*simulated_seasons(Path(scratch), options.seed))
    text = header(options) + written(sorted(table, key=lambda row: row.line))
    print(text, end="")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{datetime.date.today().isoformat()}-realism.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
