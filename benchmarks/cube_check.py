"""What `agrifm cube check` finds in simulated cubes: planted swaps of bands and moved dates; alarms on clean cubes.

    python benchmarks/cube_check.py --out benchmarks/results                    simulates four regions, two seeds
    python benchmarks/cube_check.py --regions oceanic --seeds 5 --size 2.5      other ones
    python benchmarks/cube_check.py --cubes DIR/cube.zarr …                     cubes that exist, simulated or not

Swaps and dates are planted in memory, so that only what the pixels say counts: dates that leave the season, or that no
longer agree with the provenance or with the days on which composites begin, are found by the structure alone.
"""

import argparse
import datetime
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from agrifm.cube.between import SHIFTS, date_fit, judge_dates
from agrifm.cube.build import build_cube
from agrifm.cube.check import REFLECTANCE, check_cube, swapped_bands
from agrifm.cube.limits import Finding
from agrifm.cube.looks import Look, look_at
from agrifm.cube.store import Cube, open_cube
from agrifm.record import running_versions
from agrifm.scene.area import read_area
from agrifm.scene.products import PRODUCTS
from agrifm.scene.search import search_catalog
from agrifm.scene.simulator.catalogue import simulate
from agrifm.scene.simulator.region import read_region

REGIONS = ("oceanic", "mediterranean", "monsoon", "southern")
NAMES = ("sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061")
MOVES = (-30, 30)
STEP = int(SHIFTS[1] - SHIFTS[0])
WIDE = np.arange(SHIFTS[0] + min(MOVES), SHIFTS[-1] + max(MOVES) + 1, STEP)
SWAPPED = "sentinel-2"


@dataclass
class Row:
    """One cube."""

    name: str
    alarms: list[Finding]
    swaps: dict[tuple[str, str], str]
    """"named" where the two bands were named, "found" where another swap was, "missed"."""
    dates: dict[tuple[str, int], str]
    """By sensor and move: "named", "one of two", "laid to another" or "missed"."""
    seconds: float


def main() -> None:
    """Measure and print; with --out also write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cubes", type=Path, nargs="*", default=[])
    parser.add_argument("--regions", nargs="*", default=REGIONS)
    parser.add_argument("--seeds", type=int, nargs="*", default=(11, 12))
    parser.add_argument("--size", type=float, default=2.5, help="kilometres")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = simulated(Path(scratch), options.regions, options.seeds, options.size)
        rows = [measure(cube) for cube in (map(open_cube, options.cubes) if options.cubes else made)]
    text = written(rows)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{datetime.date.today()}-cube-check.txt").write_text(text + "\n", encoding="utf-8")


def simulated(scratch: Path, regions: Sequence[str], seeds: Sequence[int], size: float) -> Iterator[Cube]:
    """Cubes of simulated seasons, one after another."""
    for seed in seeds:
        for region in regions:
            directory = scratch / f"{region}-{seed}"
            season = read_region(region).orbits.season(2024)
            catalogue = simulate(directory / "imagery", region, 2024, size, seed)
            area = read_area(Path("area.geojson"), directory / "imagery").shape
            search = search_catalog(catalogue, [PRODUCTS[name] for name in NAMES], season, area)
            yield build_cube(directory / "cube.zarr", search, season, area)


def measure(cube: Cube) -> Row:
    """Alarms on the cube as it is; then every swap, and every move of dates."""
    start = time.process_time()
    alarms = list(check_cube(cube).findings)
    looks = {name: look for name, look in look_at(cube).items() if look.sensor.input.quantity == REFLECTANCE}
    swaps = dict(planted_swaps(looks))
    dates = dict(moved_dates(looks)) if len(looks) > 1 else {}
    return Row(cube.path.parent.name, alarms, swaps, dates, time.process_time() - start)


def planted_swaps(looks: Mapping[str, Look]) -> Iterator[tuple[tuple[str, str], str]]:
    """Each pair of bands with their names exchanged, which is the same as their pixels exchanged; Sentinel-2 alone."""
    if SWAPPED not in looks:
        return
    own = looks[SWAPPED]
    for pair in combinations(own.bands, 2):
        exchanged = dict([pair, pair[::-1]])
        bands = tuple(exchanged.get(band, band) for band in own.bands)
        sensor = replace(own.sensor, input=own.sensor.input.model_copy(update={"bands": bands}))
        found = swapped_bands({SWAPPED: Look(sensor, own.pieces)}, [])
        named = [finding for finding in found if set(pair) <= set(finding.where.split())]
        yield pair, "named" if named else "found" if found else "missed"


def moved_dates(looks: Mapping[str, Look]) -> Iterator[tuple[tuple[str, int], str]]:
    """Each sensor's dates moved: the fits of its pairs are those of the true dates, begun so many days off."""
    fits = {pair: date_fit(looks[pair[0]], looks[pair[1]], WIDE) for pair in combinations(looks, 2)}
    for name in looks:
        for move in MOVES:
            moved = {}
            for pair, fit in fits.items():
                if fit is not None:
                    lag = {pair[0]: -move, pair[1]: move}.get(name, 0) // STEP
                    begin = (len(WIDE) - len(SHIFTS)) // 2 + lag
                    moved[pair] = fit[begin : begin + len(SHIFTS)]
            found = judge_dates(moved)
            if any(finding.where == name for finding in found):
                yield (name, move), "named"
            elif any(name in finding.where for finding in found):
                yield (name, move), "one of two"
            else:
                yield (name, move), "laid to another" if found else "missed"


def written(rows: Sequence[Row]) -> str:
    """The dated table."""
    versions = ", ".join(f"{name} {number}" for name, number in running_versions("scipy", "zarr").items())
    lines = [
        f"date       {datetime.date.today()}",
        f"hardware   {os.cpu_count()} x {platform.processor() or platform.machine()}",
        f"versions   {versions}",
        "command    python benchmarks/cube_check.py",
        "",
        f"{'cube':<22} {'alarms':>6} {'swaps named':>12} {'found':>6} {'missed':>7} {'dates named':>12} "
        f"{'one of two':>11} {'missed':>7} {'seconds':>8}",
    ]
    for row in rows:
        swaps, dates = list(row.swaps.values()), list(row.dates.values())
        lines.append(
            f"{row.name:<22} {len(row.alarms):>6} {swaps.count('named'):>12} {swaps.count('found'):>6} "
            f"{swaps.count('missed'):>7} {dates.count('named'):>12} {dates.count('one of two'):>11} "
            f"{dates.count('missed') + dates.count('laid to another'):>7} {row.seconds:>8.0f}"
        )
    swaps = [verdict for row in rows for verdict in row.swaps.values()]
    dates = [verdict for row in rows for verdict in row.dates.values()]
    lines += ["", f"clean cubes with an alarm: {sum(bool(row.alarms) for row in rows)} of {len(rows)}"]
    if swaps:
        lines.append(f"swaps of two Sentinel-2 bands: {swaps.count('named')} of {len(swaps)} named, "
                     f"{swaps.count('found')} found under another name, {swaps.count('missed')} missed")  # fmt: skip
    if dates:
        lines.append(f"dates moved by 30 days: {dates.count('named')} of {len(dates)} named, "
                     f"{dates.count('one of two')} told of two sensors, "
                     f"{dates.count('missed') + dates.count('laid to another')} missed or laid to another")  # fmt: skip
    for row in rows:
        lines += [f"alarm on {row.name}: {finding}" for finding in row.alarms]
        lines += [f"{row.name}: swap {'/'.join(pair)} {was}" for pair, was in row.swaps.items() if was != "named"]
        lines += [
            f"{row.name}: dates of {name} {move:+d} days {was}"
            for (name, move), was in row.dates.items()
            if was != "named"
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
