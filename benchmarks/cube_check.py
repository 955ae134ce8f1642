"""What `agrifm cube check` finds in simulated cubes: planted swaps of bands and moved dates; alarms on clean cubes.

    python benchmarks/cube_check.py --out benchmarks/results        simulates four regions, seeds 1, 2, 14 and 15
    python benchmarks/cube_check.py --regions oceanic --seeds 5     other ones
    python benchmarks/cube_check.py --cubes DIR/cube.zarr …         cubes that exist, in directories such as oceanic-1

Swaps and dates are planted in memory, so that only what the pixels say counts: dates that leave the season, or that no
longer agree with the provenance or with the days on which composites begin, are found by the structure alone. A swap is
judged by the sensor alone first; where that says nothing, beside the other sensors of the cube.
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
from numpy.typing import NDArray

from agrifm.cube.build import build_cube
from agrifm.cube.qc.check import REFLECTANCE, check_cube, swapped_bands
from agrifm.cube.qc.cross_sensor import SHIFTS, date_fit, judge_dates, meet
from agrifm.cube.qc.sample_windows import Look, look_at
from agrifm.cube.qc.thresholds import Finding
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import SceneError
from agrifm.record import running_versions
from agrifm.scene.area import read_area
from agrifm.scene.products import PRODUCTS
from agrifm.scene.search import search_catalog
from agrifm.simulator.catalogue import simulate
from agrifm.simulator.region import read_region

REGIONS = ("oceanic", "mediterranean", "monsoon", "southern")
NAMES = ("sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061")
MOVES = (-30, 30)
STEP = int(SHIFTS[1] - SHIFTS[0])
WORDS = {"beside": "named beside the other sensors", "found": "laid to other bands", "missed": "missed"}
WIDE = np.arange(SHIFTS[0] + min(MOVES), SHIFTS[-1] + max(MOVES) + 1, STEP)
SET_ON = {"oceanic-1", "oceanic-2", "southern-1", "monsoon-1"}
"""Cubes on which the limits were set; all others are unseen."""


@dataclass
class Row:
    """One cube."""

    name: str
    alarms: list[Finding]
    swaps: dict[tuple[str, str, str], str]
    """By sensor and bands: "named" by the sensor alone, "beside" others, "found" as another swap, "missed"."""
    dates: dict[tuple[str, int], str]
    """By sensor and move: "named", "one of two", "laid to another" or "missed"."""
    seconds: float


def main() -> None:
    """Measure and print; with --out also write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cubes", type=Path, nargs="*", default=[])
    parser.add_argument("--regions", nargs="*", default=REGIONS)
    parser.add_argument("--seeds", type=int, nargs="*", default=(1, 2, 14, 15))
    parser.add_argument("--size", type=float, default=2.5, help="kilometres")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = simulated(Path(scratch), options.regions, options.seeds, options.size)
        rows = [measure(cube) for cube in (map(open_cube, options.cubes) if options.cubes else made)]
    ground = (
        f"--regions {' '.join(options.regions)} --seeds {' '.join(map(str, options.seeds))} --size {options.size:g}"
    )
    text = written(rows, f"python benchmarks/cube_check.py {'--cubes …' if options.cubes else ground}")
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
            try:
                yield build_cube(directory / "cube.zarr", search, season, area)
            except SceneError as error:
                print(f"{directory.name}: fetch refuses it, so its offsets are taken from the metadata: {error}")
                yield build_cube(directory / "cube.zarr", search, season, area, offset="metadata")


def measure(cube: Cube) -> Row:
    """Alarms on the cube as it is; then every swap, and every move of dates."""
    start = time.process_time()
    alarms = list(check_cube(cube).findings)
    looks = {name: look for name, look in look_at(cube).items() if look.sensor.input.quantity == REFLECTANCE}
    swaps = dict(planted_swaps(looks))
    fits = {pair: date_fit(looks[pair[0]], looks[pair[1]], WIDE) for pair in combinations(looks, 2)}
    dates = dict(moved_dates(fits))
    return Row(cube.path.parent.name, alarms, swaps, dates, time.process_time() - start)


def planted_swaps(looks: Mapping[str, Look]) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Each pair of each sensor's bands with their names exchanged, which is the same as their pixels exchanged."""
    others = {pair: meet(looks[pair[0]], looks[pair[1]]) for pair in combinations(looks, 2)}
    for name, own in looks.items():
        for pair in combinations(own.bands, 2):
            exchanged = dict([pair, pair[::-1]])
            bands = tuple(exchanged.get(band, band) for band in own.bands)
            sensor = replace(own.sensor, input=own.sensor.input.model_copy(update={"bands": bands}))
            planted = {**looks, name: Look(sensor, own.pieces)}
            alone = named(swapped_bands({name: planted[name]}, []), name, pair)
            if alone == "named" or len(looks) == 1:
                yield (name, *pair), alone
                continue
            meetings = [
                meet(planted[one], planted[two]) if name in (one, two) else meeting
                for (one, two), meeting in others.items()
            ]
            beside = named(swapped_bands(planted, [meeting for meeting in meetings if meeting is not None]), name, pair)
            yield (name, *pair), "beside" if beside == "named" else beside


def named(findings: Sequence[Finding], sensor: str, pair: tuple[str, str]) -> str:
    """Whether findings name a sensor and two of its bands."""
    if any({f"{sensor},", *pair} <= set(finding.where.split()) for finding in findings):
        return "named"
    return "found" if findings else "missed"


def moved_dates(
    fits: Mapping[tuple[str, str], NDArray[np.float64] | None],
) -> Iterator[tuple[tuple[str, int], str]]:
    """Each sensor's dates moved: the fits of its pairs are those of the true dates, begun so many days off."""
    for name in dict.fromkeys(name for pair in fits for name in pair):
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


def table(rows: Sequence[Row]) -> list[str]:
    """A line per cube, and the sums."""
    lines = [
        f"{'':<25}{'swapped bands named':>36}{'dates moved by 30 days':>29}",
        f"{'cube':<18}{'alarms':>7}{'sentinel-2':>12}{'landsat':>12}{'modis':>12}{'named':>9}{'one of two':>12}"
        f"{'missed':>8}",
    ]
    sensors = ("sentinel-2", "landsat", "modis")
    for row in rows:
        swaps = [_share([was for key, was in row.swaps.items() if key[0] == name]) for name in sensors]
        dates = list(row.dates.values())
        missed = len(dates) - dates.count("named") - dates.count("one of two")
        lines.append(
            f"{row.name:<18}{len(row.alarms):>7}{swaps[0]:>12}{swaps[1]:>12}{swaps[2]:>12}"
            f"{dates.count('named'):>9}{dates.count('one of two'):>12}{missed:>8}"
        )
    lines += ["", f"clean cubes with an alarm: {sum(bool(row.alarms) for row in rows)} of {len(rows)}"]
    for name in sensors:
        was = [verdict for row in rows for key, verdict in row.swaps.items() if key[0] == name]
        if was:
            lines.append(
                f"swaps of two bands of {name}: {was.count('named')} of {len(was)} named by the sensor alone, "
                f"{was.count('beside')} more beside the others, {was.count('found')} laid to other bands, "
                f"{was.count('missed')} missed"
            )
    dates = [verdict for row in rows for verdict in row.dates.values()]
    if dates:
        others = len(dates) - dates.count("named") - dates.count("one of two")
        lines.append(
            f"dates moved by 30 days: {dates.count('named')} of {len(dates)} named, {dates.count('one of two')} told "
            f"of two sensors, {others} missed or laid to another"
        )
    return lines


def _share(verdicts: Sequence[str]) -> str:
    """Swaps named, alone or beside other sensors, of all."""
    return f"{sum(one in ('named', 'beside') for one in verdicts)} of {len(verdicts)}" if verdicts else "-"


def written(rows: Sequence[Row], command: str) -> str:
    """The dated table, cubes on which the limits were set apart from others."""
    versions = ", ".join(f"{name} {number}" for name, number in running_versions("scipy", "zarr").items())
    lines = [
        f"date       {datetime.date.today()}",
        f"hardware   {os.cpu_count()} x {platform.processor() or platform.machine()}",
        f"versions   {versions}",
        f"command    {command}",
    ]
    for title, own in (
        ("cubes on which the limits were set", [row for row in rows if row.name in SET_ON]),
        ("unseen cubes", [row for row in rows if row.name not in SET_ON]),
    ):
        if own:
            lines += ["", title, *table(own)]
    lines.append("")
    for row in rows:
        lines += [f"alarm on {row.name}: {finding}" for finding in row.alarms]
        lines += [
            f"{row.name}: {name} {one}/{two} {WORDS[was]}"
            for (name, one, two), was in row.swaps.items()
            if was in WORDS
        ]
        lines += [
            f"{row.name}: dates of {name} {move:+d} days {was}"
            for (name, move), was in row.dates.items()
            if was != "named"
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
