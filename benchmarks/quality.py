"""How well rules on quality flags find the true clouds, shadows and cirrus of a simulated season, sensor by sensor.

    python benchmarks/quality.py --out benchmarks/results               simulates a region with three seeds
    python benchmarks/quality.py --seasons DIR DIR --seeds 0 1 --size 5    what `agrifm simulate` wrote with these

Each seed gives rates; their mean and range are stated. The truth is the simulator's sky at the pixels' centres (for
MODIS at 16 points in each pixel, on the pixel's day). A pixel is truly spoiled by a cloud of opacity 0.25 or more, else
by a shadow as deep, else by cirrus of reflectance 0.01 or more; it is truly clear below a tenth of each; in between it
is not counted. Omission: spoiled pixels that the rule leaves usable. Commission: clear pixels that it masks.
"""

import argparse
import datetime
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
from measure import Command, table
from numpy.typing import NDArray

from agrifm.cube.frames import group_frames
from agrifm.grid import Grid, Window, area_grid
from agrifm.scene.mask import DEFAULT_MASKED, MaskRule
from agrifm.scene.products import find_product
from agrifm.scene.quality import NO_QUALITY, QUALITY_RULES, bits
from agrifm.scene.read import read_asset
from agrifm.scene.scene import Scene
from agrifm.scene.search import search_catalog
from agrifm.season import Season, day_date, day_number
from agrifm.sensors import find_sensor
from agrifm.simulator.acquisition.orbits import Overpass
from agrifm.simulator.acquisition.sky import Sky, sky_at
from agrifm.simulator.catalog import write_season
from agrifm.simulator.granule import Simulation
from agrifm.simulator.region import read_region

PRODUCTS = ("sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061")
OPACITY, CIRRUS = 0.25, 0.01
RULES = {
    "default": MaskRule(),
    "clouds alone": MaskRule(("cloud",)),
    "without cloud edge": MaskRule(tuple(name for name in DEFAULT_MASKED if name != "cloud-edge")),
    "with the doubtful": MaskRule((*DEFAULT_MASKED, "uncertain", "light-cirrus", "near-cloud")),
    "dilated by 60 m": MaskRule(dilate=60.0),
    "dilated by 150 m": MaskRule(dilate=150.0),
    "dilated by 300 m": MaskRule(dilate=300.0),
}
MARGIN = 480
"""Metres along the edges that are not judged, because dilation cannot look beyond."""
KINDS = ("cloud", "shadow", "cirrus")
Counts = Mapping[str, tuple[int, int]]
"""(wrong, all) pixels by kind."""
Total = Mapping[tuple[str, str], Counts]
"""Counts by sensor and rule, of one season."""


class Truth(NamedTuple):
    """Arrays (H, W): how much of each pixel is truly spoiled by each kind, and by nothing at all."""

    cloud: NDArray[np.float64]
    shadow: NDArray[np.float64]
    cirrus: NDArray[np.float64]
    clear: NDArray[np.float64]


def truth_of(sky: Sky, points: int) -> Truth:
    """What a sky of (H * points, W * points) does to pixels (H, W)."""
    cloud = sky.cloud >= OPACITY
    shadow = (sky.shadow >= OPACITY) & ~cloud
    cirrus = (sky.cirrus >= CIRRUS) & ~cloud & ~shadow
    clear = (sky.cloud < OPACITY / 10) & (sky.shadow < OPACITY / 10) & (sky.cirrus < CIRRUS / 10)
    rows, cols = (length // points for length in cloud.shape)
    split = (rows, points, cols, points)
    return Truth(*(part.reshape(split).mean(axis=(1, 3)) for part in (cloud, shadow, cirrus, clear)))


def rates(counts: Counts) -> dict[str, float]:
    """Percent of each kind that were judged wrongly, from (wrong, all); nan where there were none."""
    return {kind: 100 * wrong / whole if whole else float("nan") for kind, (wrong, whole) in counts.items()}


def judge(truth: Truth, usable: NDArray[np.bool_], recorded: NDArray[np.bool_]) -> Counts:
    """(wrong, all) pixels by kind: omitted clouds, shadows, cirrus, and clear pixels that were masked.

    A pixel is of the kind that spoils half of it or more, and clear if all of it is.
    """
    spoiled = {kind: recorded & (getattr(truth, kind) >= 0.5) for kind in KINDS}
    counts = {kind: (int((pixels & usable).sum()), int(pixels.sum())) for kind, pixels in spoiled.items()}
    clear = recorded & (truth.clear == 1)
    return counts | {"clear": (int((clear & ~usable).sum()), int(clear.sum()))}


def truth_over(plan: Simulation, taken: Overpass, grid: Grid, points: int) -> Truth:
    """The truth of a pass, from the sky at `points` x `points` regular points in each pixel of a grid."""
    fine = grid.at(grid.resolution / points) if points > 1 else grid
    return truth_of(sky_at(plan.region.sky, plan.seed, taken, fine.x[None], fine.y[:, None]), points)


def judged(scene: Scene, plan: Simulation, grid: Grid, passes: list[Overpass]) -> Iterator[tuple[str, Counts]]:
    """The counts of each rule for one scene."""
    flags = np.zeros(grid.shape, np.uint16)
    for asset, encoding in scene.product.quality_bands.items():
        flags |= QUALITY_RULES[encoding](read_asset(scene, asset, "quality", grid, "nearest", NO_QUALITY[encoding]))
    if scene.product.day_asset is None:
        truth = truth_over(plan, passes[0], grid, 1)
    else:
        of_year = read_asset(scene, scene.product.day_asset, "day", grid, "nearest", 0).astype(int)
        truth = Truth(*np.zeros((4, *grid.shape)))
        for taken in passes:
            of_pass = of_year == day_date(taken.day).timetuple().tm_yday
            if of_pass.any():
                whole = truth_over(plan, taken, grid, 4)
                truth = Truth(*(np.where(of_pass, new, old) for new, old in zip(whole, truth, strict=True)))
    edge = int(MARGIN / grid.resolution)
    inner = np.s_[edge:-edge, edge:-edge]
    recorded = (flags & bits(["nodata"])) == 0
    for name, rule in RULES.items():
        usable = rule.usable(rule.dilated(flags, grid.resolution))
        yield name, judge(Truth(*(part[inner] for part in truth)), usable[inner], recorded[inner])


def measure(season: Path, plan: Simulation, every: int, side: int) -> Total:
    """Summed counts by sensor and rule, over every so many frames."""
    base = area_grid(plan.area)
    passes = {(taken.collection, taken.first): list(taken.overpasses) for taken in plan.acquisitions}
    total: dict[tuple[str, str], Counts] = defaultdict(lambda: dict.fromkeys((*KINDS, "clear"), (0, 0)))
    for product in (find_product(name) for name in PRODUCTS):
        whole = base.at(find_sensor(product.sensor).resolution)
        size = min(round(side / whole.resolution), *whole.shape) if product.day_asset is None else min(whole.shape)
        corner = [(length - size) // 2 for length in whole.shape]
        grid = whole.window(Window(*corner, size, size))
        everything = Season(plan.season.start - datetime.timedelta(days=8), plan.season.end)
        frames = group_frames(search_catalog(season / "catalog.json", [product], everything, plan.area).scenes)
        for frame in frames[:: every if product.day_asset is None else 1]:
            taken = passes[product.collection, day_number(frame.day)]
            if len(frame.scenes) == 1 and (len(taken) == 1 or product.day_asset):
                for rule, counts in judged(frame.scenes[0], plan, grid, taken):
                    before = total[product.sensor, rule]
                    total[product.sensor, rule] = {
                        kind: (before[kind][0] + wrong, before[kind][1] + whole_)
                        for kind, (wrong, whole_) in counts.items()
                    }
    return total


def spread(values: Sequence[float]) -> str:
    """Mean, lowest and highest of what the seeds gave, as a cell; those without such pixels are left out."""
    known = [value for value in values if not isnan(value)]
    return f"{mean(known):.1f} ({min(known):.1f}-{max(known):.1f})" if known else "-"


def rows(totals: Sequence[Total]) -> Iterator[tuple[str, ...]]:
    """A row for each sensor and rule."""
    for sensor, rule in totals[0]:
        counts = [total[sensor, rule] for total in totals]
        percents = [rates(count) for count in counts]
        spoiled = sum(count[kind][1] for count in counts for kind in KINDS) / 1000
        cells = [spread([percent[kind] for percent in percents]) for kind in (*KINDS, "clear")]
        yield sensor, rule, *cells, f"{spoiled:.1f}", f"{sum(count['clear'][1] for count in counts) / 1000:.1f}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """Simulate or read a season for each seed, and judge its rules."""
    if options.seasons and len(options.seasons) != len(options.seeds):
        counts = f"{len(options.seasons)} seasons and {len(options.seeds)} seeds"
        raise SystemExit(f"{counts}; name one seed for each season")
    region = read_region(options.region)
    totals = []
    for number, seed in enumerate(options.seeds):
        plan = Simulation.of(region, options.size, seed, region.orbits.season(options.year))
        with tempfile.TemporaryDirectory() as scratch:
            season = options.seasons[number] if options.seasons else write_season(Path(scratch) / "season", plan).parent
            totals.append(measure(season, plan, options.every, options.side))
    yield f"percent, mean and range of {len(totals)} seeds; omission of truly spoiled pixels by kind, commission of"
    yield from ("truly clear ones; pixels judged in thousands, all seeds together", "")
    yield from table(("sensor", "rule", *KINDS, "clear masked", "spoiled", "clear"), rows(totals), left=(0, 1))


OPTIONS = {
    "--seasons": {"type": Path, "nargs": "*", "help": "directories that `agrifm simulate` wrote, one a seed"},
    "--region": {"default": "oceanic", "help": "default oceanic"},
    "--seeds": {"type": int, "nargs": "+", "default": [0, 1, 2], "help": "default 0 1 2"},
    "--size": {"type": float, "default": 5.0, "help": "km, default 5"},
    "--year": {"type": int, "default": 2024, "help": "default 2024"},
    "--every": {"type": int, "default": 3, "help": "judge every so many frames (all of MODIS), default 3"},
    "--side": {"type": int, "default": 3840, "help": "side of the judged square, metres, default 3840"},
}
main = Command(__doc__, report, OPTIONS, ("scipy",), quick={"seeds": [0], "size": 2.5, "every": 30, "side": 1920})

if __name__ == "__main__":
    main()
