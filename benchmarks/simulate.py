"""Time, memory and disk space of simulated seasons of several areas, each in its own process.

Peak memory (resident, libraries included) must not grow with the area beyond one granule of about eleven kilometres.

    python benchmarks/simulate.py --sizes 5 10 20 --out benchmarks/results
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from measure import Command, own_process, table

from agrifm.season import Season
from agrifm.simulator.catalog import simulate
from agrifm.simulator.region import read_region


def measure(region: str, size: float, months: int) -> tuple[int, int, float, int]:
    """Simulate a season, or its first months: days, scenes, seconds and bytes on disk."""
    season = read_region(region).orbits.season(2024)
    if months:
        season = Season(season.start, season.start + timedelta(days=round(30.5 * months) - 1))
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        root = simulate(Path(scratch) / "season", region, size=size, season=season).parent
        seconds = time.perf_counter() - start
        scenes = sum(1 for _ in root.glob("*/*/*.json"))
        return season.days, scenes, seconds, sum(file.stat().st_size for file in root.rglob("*") if file.is_file())


def rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """A row for each area."""
    for size, months in zip(options.sizes, options.months, strict=True):
        (days, scenes, seconds, disk), peak = own_process(measure, options.region, size, months)
        yield f"{size:g}", f"{days}", f"{scenes}", f"{seconds:.1f}", f"{peak / 1e9:.2f}", f"{disk / 1e9:.2f}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """The table of areas."""
    yield from table(("km", "days", "scenes", "seconds", "peak GB", "disk GB"), rows(options), left=())


OPTIONS = {
    "--sizes": {"nargs": "+", "type": float, "default": [5.0, 10.0, 20.0], "help": "km, default 5 10 20"},
    "--months": {"nargs": "+", "type": int, "default": [0, 0, 2], "help": "first months, 0 = all; default 0 0 2"},
    "--region": {"default": "oceanic", "help": "default oceanic"},
}
main = Command(__doc__, report, OPTIONS, ("scipy", "rasterio"), {"sizes": [1.0], "months": [1]})

if __name__ == "__main__":
    main()
