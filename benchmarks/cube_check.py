"""What `agrifm cube check` finds in simulated cubes: planted swaps of bands and moved dates; alarms on clean cubes.

    python benchmarks/cube_check.py --out benchmarks/results        simulates four regions, seeds 1, 2, 14 and 15
    python benchmarks/cube_check.py --regions oceanic --seeds 5     other ones
    python benchmarks/cube_check.py --cubes DIR/cube.zarr …         cubes that exist, in directories such as oceanic-1

Swaps and dates are planted in memory, so that only the pixels count: dates that leave the season, or that no longer
agree with the provenance or with the days on which composites begin, are found by the structure alone. A swap is judged
by the sensor alone first; where that finds nothing, together with the other sensors of the cube.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
from measure import Command, region_options, table
from numpy.typing import NDArray

from agrifm.cube.build import build_cube
from agrifm.cube.qc.check import REFLECTANCE, check_cube, swapped_bands
from agrifm.cube.qc.cross_sensor import DATE_SHIFTS, date_fit, judge_dates, match_pairs
from agrifm.cube.qc.sample_windows import SensorWindows, read_sample_windows
from agrifm.cube.qc.thresholds import Finding
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import SceneError
from agrifm.scene.area import read_area
from agrifm.scene.products import PRODUCTS
from agrifm.scene.search import search_catalog
from agrifm.simulator.catalog import simulate
from agrifm.simulator.region import read_region

NAMES = ("sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061")
SENSORS = ("sentinel-2", "landsat", "modis")
MOVES = (-30, 30)
STEP = int(DATE_SHIFTS[1] - DATE_SHIFTS[0])
WORDS = {"together": "named with the other sensors", "found": "attributed to other bands", "missed": "missed"}
WIDE = np.arange(DATE_SHIFTS[0] + min(MOVES), DATE_SHIFTS[-1] + max(MOVES) + 1, STEP)
SET_ON = {"oceanic-1", "oceanic-2", "southern-1", "monsoon-1"}
"""Cubes on which the limits were set; all others are unseen."""


@dataclass
class Row:
    """One cube."""

    name: str
    alarms: list[Finding]
    swaps: dict[tuple[str, str, str], str]
    """By sensor and bands: "named" by the sensor alone, "together" with the others, "found" as another, "missed"."""
    dates: dict[tuple[str, int], str]
    """By sensor and move: "named", "one of two", "attributed to another" or "missed"."""


def simulated(scratch: Path, options: argparse.Namespace) -> Iterator[Cube]:
    """Cubes of simulated seasons, one after another."""
    for seed, region in product(options.seeds, options.regions):
        directory = scratch / f"{region}-{seed}"
        season = read_region(region).orbits.season(2024)
        catalogue = simulate(directory / "imagery", region, 2024, options.size, seed)
        area = read_area(Path("area.geojson"), directory / "imagery").shape
        search = search_catalog(catalogue, [PRODUCTS[name] for name in NAMES], season, area)
        try:
            yield build_cube(directory / "cube.zarr", search, season, area)
        except SceneError as error:
            print(f"{directory.name}: fetch refuses it, so its offsets are taken from the metadata: {error}")
            yield build_cube(directory / "cube.zarr", search, season, area, offset="metadata")


def measure(cube: Cube) -> Row:
    """Alarms on the cube as it is; then every swap, and every move of dates."""
    alarms = list(check_cube(cube).findings)
    windows = read_sample_windows(cube).items()
    sensors = {name: sensor for name, sensor in windows if sensor.cube.input.quantity == REFLECTANCE}
    swaps = dict(planted_swaps(sensors))
    fits = {pair: date_fit(sensors[pair[0]], sensors[pair[1]], WIDE) for pair in combinations(sensors, 2)}
    return Row(cube.path.parent.name, alarms, swaps, dict(moved_dates(fits)))


def planted_swaps(sensors: Mapping[str, SensorWindows]) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Each pair of each sensor's bands with their names exchanged, which is the same as their pixels exchanged."""
    others = {pair: match_pairs(sensors[pair[0]], sensors[pair[1]]) for pair in combinations(sensors, 2)}
    for name, windows in sensors.items():
        for pair in combinations(windows.bands, 2):
            exchanged = dict([pair, pair[::-1]])
            bands = tuple(exchanged.get(band, band) for band in windows.bands)
            renamed = replace(windows.cube, input=windows.cube.input.model_copy(update={"bands": bands}))
            planted = {**sensors, name: SensorWindows(renamed, windows.windows)}
            alone = named(swapped_bands({name: planted[name]}, []), name, pair)
            if alone == "named" or len(sensors) == 1:
                yield (name, *pair), alone
                continue
            matches = [
                match_pairs(planted[first], planted[second]) if name in (first, second) else matched
                for (first, second), matched in others.items()
            ]
            known = [matched for matched in matches if matched is not None]
            verdict = named(swapped_bands(planted, known), name, pair)
            yield (name, *pair), "together" if verdict == "named" else verdict


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
                    begin = (len(WIDE) - len(DATE_SHIFTS)) // 2 + lag
                    moved[pair] = fit[begin : begin + len(DATE_SHIFTS)]
            where = [finding.where for finding in judge_dates(moved)]
            one_of_two = "one of two" if any(name in text for text in where) else "attributed to another"
            yield (name, move), "named" if name in where else one_of_two if where else "missed"


def lines_of(rows: Sequence[Row]) -> Iterator[str]:
    """A line per cube, and the sums."""
    cells = [
        (row.name, len(row.alarms), *(_share(_swaps([row], name)) for name in SENSORS), *_dates([row])[:3])
        for row in rows
    ]
    yield from table(("cube", "alarms", *(f"{name} swaps" for name in SENSORS), "dates", "one of two", "missed"), cells)
    yield from ("swaps: of two bands, named; dates moved by 30 days: named, named as one of two sensors, missed", "")
    yield f"clean cubes with an alarm: {sum(bool(row.alarms) for row in rows)} of {len(rows)}"
    for name in SENSORS:
        if was := _swaps(rows, name):
            yield (
                f"swaps of two bands of {name}: {was.count('named')} of {len(was)} named by the sensor alone, "
                f"{was.count('together')} more with the others, {was.count('found')} attributed to other bands, "
                f"{was.count('missed')} missed"
            )
    named_, of_two, others, count = _dates(rows)
    if count:
        yield (
            f"dates moved by 30 days: {named_} of {count} named, {of_two} as one of two sensors, {others} missed or "
            "attributed to another"
        )


def _swaps(rows: Sequence[Row], sensor: str) -> list[str]:
    """Verdicts on the swaps of a sensor's bands."""
    return [verdict for row in rows for key, verdict in row.swaps.items() if key[0] == sensor]


def _dates(rows: Sequence[Row]) -> tuple[int, int, int, int]:
    """Moves that were named, named as one of two, missed or attributed to another, and all."""
    dates = [verdict for row in rows for verdict in row.dates.values()]
    named_, of_two = dates.count("named"), dates.count("one of two")
    return named_, of_two, len(dates) - named_ - of_two, len(dates)


def _share(verdicts: Sequence[str]) -> str:
    """Swaps named, alone or with other sensors, of all."""
    return f"{sum(verdict in ('named', 'together') for verdict in verdicts)} of {len(verdicts)}" if verdicts else "-"


def report(options: argparse.Namespace) -> Iterator[str]:
    """Tables of cubes on which the limits were set and of others, then every alarm and every fault that was missed."""
    with tempfile.TemporaryDirectory() as scratch:
        cubes = map(open_cube, options.cubes) if options.cubes else simulated(Path(scratch), options)
        rows = [measure(cube) for cube in cubes]
    for title, part in (
        ("cubes on which the limits were set", [row for row in rows if row.name in SET_ON]),
        ("unseen cubes", [row for row in rows if row.name not in SET_ON]),
    ):
        if part:
            yield from (title, *lines_of(part), "")
    for row in rows:
        yield from (f"alarm on {row.name}: {finding}" for finding in row.alarms)
        for (name, first, second), was in row.swaps.items():
            if was in WORDS:
                yield f"{row.name}: {name} {first}/{second} {WORDS[was]}"
        for (name, move), was in row.dates.items():
            if was != "named":
                yield f"{row.name}: dates of {name} {move:+d} days {was}"


OPTIONS = {
    "--cubes": {"type": Path, "nargs": "*", "default": [], "help": "cubes that exist, instead of simulated ones"},
    **region_options(1, 2, 14, 15),
}
main = Command(__doc__, report, OPTIONS, ("scipy", "zarr"), {"regions": ["oceanic"], "seeds": [1], "size": 1.0})

if __name__ == "__main__":
    main()
