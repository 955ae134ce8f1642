"""Does an explanation find what the simulator knows: flooding of rice, flowering of rapeseed, harvest?

    python benchmarks/explain_truth.py --directory DIR [--regions monsoon oceanic] [--models lightgbm] [--periods month]

For each region a season is simulated, fetched and trained on in DIR (finished parts are used again), the models are
explained by month or by dekad on unseen blocks, and the period of each event is compared with what the explanation
ranks highest. The period of an event is known from the growth of the simulated fields: of flooding and of harvest
the one in which most fields of the crop are first flooded, or harvested; of flowering the one of the most flowers; of
open water the one in which most water is seen between the leaves, exp(-leaf area / 2) of it. An event that does not
happen in the season is left out.

In the seasons of most regions crops differ long before they are harvested, so that harvest need not decide anything.
The region "harvest" is made so that it must: its fields are maize, much alike until some are cut green for silage and
the others weeks later for grain. There the true period is the one in which the shares of harvested fields of the two
classes differ most.

A rank is that of the best of the event's period and, by dekad, its two neighbours, among all periods of the season,
by the fall of the true class's probability when the period is hidden (occlusion), or by the sum of absolute integrated
gradients of the period. Chance is the probability that periods in random order have a rank at least as good.
"""

import argparse
import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import SEASON_PROJECT, Command, table
from numpy.typing import NDArray

from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.explain.explanation import Request
from agrifm.explain.periods import Periods, season_periods
from agrifm.explain.write_explanation import TABLE, write_explanation
from agrifm.record import model_file
from agrifm.season import Season
from agrifm.simulator.catalog import simulate
from agrifm.simulator.granule import Granule, Simulation
from agrifm.simulator.region import read_region
from agrifm.simulator.season.growth import Growth
from agrifm.simulator.season.plants import read_flora
from agrifm.train.project import train_project

MODEL = """\
offset = "metadata"
[model]
names = {models}
side = 48
steps = {steps}
batch = 2
learning_rate = 3e-3
calibration = false
series = "{series}"
[model.recipe]
cut = {cut}
"""
SEASONS = {
    "monsoon": Season(date(2024, 5, 1), date(2024, 11, 30)),
    "oceanic": Season(date(2024, 3, 1), date(2024, 9, 30)),
    "mediterranean": Season(date(2024, 3, 1), date(2024, 10, 31)),
    "harvest": Season(date(2024, 5, 1), date(2024, 11, 30)),
}
SIZES = {"monsoon": 4.5, "oceanic": 4.0, "mediterranean": 4.0, "harvest": 3.0}
"""Sides of the areas, kilometres."""
PLANTS = {
    "rice": ("rice",), "rapeseed_rape": ("rapeseed",), "wheat": ("winter_wheat", "spring_cereal"),
    "barley": ("winter_barley", "spring_cereal"), "maize": ("maize", "silage_maize"), "cotton": ("cotton",),
    "other_temporary_crop": ("silage_maize",),
}  # fmt: skip
"""Of the crop's main cycle: others may grow before or after it in the same season."""
EVENTS = {
    "monsoon": (
        ("rice", "flooding"),
        ("rice", "open water"),
        ("rice", "harvest"),
        ("cotton", "harvest"),
        ("rapeseed_rape", "flowering"),
    ),
    "oceanic": (
        ("rapeseed_rape", "flowering"),
        ("rapeseed_rape", "harvest"),
        ("wheat", "harvest"),
        ("maize", "harvest"),
    ),
    "mediterranean": (
        ("rice", "flooding"),
        ("rice", "open water"),
        ("rice", "harvest"),
        ("wheat", "harvest"),
        ("barley", "harvest"),
        ("maize", "harvest"),
    ),
    "harvest": (("maize", "harvest of one of two"), ("other_temporary_crop", "harvest of one of two")),
}
TWO_HARVESTS = """
[crops.maize]
name = "Maize for grain"
share = 0.5
[[crops.maize.types]]
name = "grain"
cycles = [{ plant = "maize", sowing = 118, spread = 8 }]
[crops.other_temporary_crop]
name = "Maize for silage"
share = 0.5
[[crops.other_temporary_crop.types]]
name = "silage"
cycles = [{ plant = "silage_maize", sowing = 118, spread = 8 }]
"""
"""Crops of the region "harvest"; everything else is as in the oceanic one."""


class Key(NamedTuple):
    """A crop as one method explains it."""

    code: str
    method: str


@dataclass(frozen=True)
class Truth:
    """When an event happens in the fields of a crop."""

    share: NDArray[np.float64]
    """(days,), of the fields that are first flooded or harvested on each day, or of all flowers."""
    fields: int

    def period(self, periods: Periods, season: Season) -> tuple[int, float]:
        """The period with most of it, and its share."""
        number = periods.number_of(periods.edges[0] + np.arange(season.days))
        found = np.bincount(number, self.share, len(periods))
        return int(found.argmax()), float(found.max())


def harvests_apart(growth: Growth, covers: list[str]) -> Truth:
    """On each day, by how much the shares of harvested fields of the two kinds of maize differ."""
    fields = np.array(covers)
    shares = [event_truth(growth, covers, code, "harvest").share.cumsum() for code in ("maize", "other_temporary_crop")]
    apart = np.abs(shares[0] - shares[1])
    return Truth(apart / apart.sum(), int(np.isin(fields, ("maize", "other_temporary_crop")).sum()))


def event_truth(growth: Growth, covers: list[str], code: str, event: str) -> Truth:
    """When an event happens, from the growth of simulated fields."""
    own = np.array([cover == code for cover in covers])
    plants = list(read_flora().plants)
    wanted = np.isin(growth.plant[:, own], [plants.index(name) for name in PLANTS[code] if name in plants])
    if event == "flowering":
        daily = growth.history["flower"][:, own].sum(axis=1).astype(np.float64)
    elif event == "open water":
        green = growth.history["crop"][:, own] + growth.history["sward"][:, own]
        daily = (growth.history["flood"][:, own] * np.exp(-green / 2)).sum(axis=1).astype(np.float64)
    else:
        here = wanted if event == "harvest" else growth.history["flood"][:, own] > 0
        change = np.diff(here.astype(np.int8), axis=0)
        first = change == (-1 if event == "harvest" else 1)
        # the last harvest, and the first flood, of each field
        once = first[::-1].cumsum(axis=0)[::-1] == 1 if event == "harvest" else first.cumsum(axis=0) == 1
        daily = np.r_[0.0, (first & once).sum(axis=1)]
    total = daily.sum()
    return Truth(daily / total if total else daily, int(own.sum()))


def region_of(directory: Path, region: str) -> str | Path:
    """The name of a region, or the file of the one that is made here."""
    if region != "harvest":
        return region
    oceanic = files("agrifm.simulator").joinpath("regions", "oceanic.toml").read_text(encoding="utf-8")
    head = oceanic[: oceanic.index("# Crops:")]
    file = directory / "region.toml"
    file.write_text(head.replace('name = "oceanic"', 'name = "harvest"') + TWO_HARVESTS, "utf-8")
    return file


def prepare(directory: Path, region: str, seed: int, options: argparse.Namespace) -> Season:
    """Simulate, fetch and train, as far as it is not done."""
    season = SEASONS[region]
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / "season" / "catalog.json").exists():
        simulate(directory / "season", region_of(directory, region), size=SIZES[region], seed=seed, season=season)
    if not (directory / "agrifm.toml").exists():
        text = (SEASON_PROJECT + MODEL).format(
            start=season.start,
            end=season.end,
            steps=options.steps,
            models=json.dumps(options.models),
            series=options.series,
            cut=options.cut,
        )
        (directory / "agrifm.toml").write_text(text, encoding="utf-8")
    project = read_project(directory)
    if not (directory / "cube.zarr").exists():
        fetch(project)
    if not (project.models / "scores.json").exists():
        train_project(project)
    return season


def grown(directory: Path, region: str, seed: int) -> Granule:
    """The fields of a season with their growth; an area of up to 10 km is one granule."""
    simulation = Simulation.of(read_region(region_of(directory, region)), SIZES[region], seed, SEASONS[region])
    (part,) = simulation.windows
    return simulation.granule(part)


def contributions(file: Path, periods: Periods) -> dict[Key, NDArray[np.float64]]:
    """By crop and method what each period contributes, (periods,)."""
    number = {start.isoformat(): at for at, start in enumerate(periods.starts)}
    ends = [end.isoformat() for end in periods.ends]
    found: dict[Key, NDArray[np.float64]] = {}
    with file.open(encoding="utf-8") as text:
        for row in csv.DictReader(text):
            at = number[row["start"]]
            if row["kind"] != "class" or row["end"] != ends[at] or not row["contribution"]:
                continue
            key = Key(row["class"], row["method"])
            values = found.setdefault(key, np.zeros(len(periods)))
            if row["method"] == "occlusion" and row["unit"] == "probability" and row["band"] == "all":
                values[at] = float(row["contribution"])
            elif row["method"] == "integrated gradients" and row["band"] != "all":
                values[at] += abs(float(row["contribution"]))
    return found


def rank_of(values: NDArray[np.float64], period: int, around: int) -> tuple[int, float]:
    """Rank of the best of a period and its neighbours, and the chance of one at least as good."""
    count = len(values)
    near = range(max(0, period - around), min(count, period + around + 1))
    order = np.argsort(-values, kind="stable").tolist()
    rank = 1 + min(order.index(at) for at in near)
    worse = math.comb(count - len(near), rank) / math.comb(count, rank)
    return rank, 1 - worse


def place_of(options: argparse.Namespace, region: str, seed: int) -> Path:
    """The project of a season."""
    directory: Path = options.directory
    return directory / (region if seed == 0 else f"{region}-{seed}")


def rows_of(options: argparse.Namespace, region: str, seed: int) -> Iterator[list[str]]:
    """The rows of the table of one season."""
    directory = place_of(options, region, seed)
    season = prepare(directory, region, seed, options)
    granule = grown(directory, region, seed)
    project = read_project(directory)
    for name in options.models:
        for kind in options.periods:
            out, periods = directory / f"why-{name}-{kind}", season_periods(season, kind)
            if not (out / TABLE).exists():
                request = Request(period=kind, pixels=options.pixels, blocks=options.blocks, bands=False)
                write_explanation(project, model_file(project.models, name), out, request)
            found = contributions(out / TABLE, periods)
            for code, event in EVENTS[region]:
                covers = list(granule.land.covers)
                alone = region != "harvest"
                truth = (
                    event_truth(granule.growth, covers, code, event)
                    if alone
                    else harvests_apart(granule.growth, covers)
                )
                if not truth.share.any():
                    continue
                period, share = truth.period(periods, season)
                for method in ("occlusion", "integrated gradients"):
                    if (values := found.get(Key(code, method))) is None:
                        continue
                    rank, chance = rank_of(values, period, int(kind == "dekad"))
                    at = int(values.argmax())
                    unit = 100 if method == "occlusion" else 1
                    yield [
                        region, f"{code} {event}", name, kind, method, f"{periods.starts[period]} ({share:.0%})",
                        f"{unit * values[period]:.1f}", f"{periods.starts[at]}", f"{unit * values[at]:.1f}",
                        f"{rank} of {len(periods)}", f"{chance:.2f}",
                    ]  # fmt: skip


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the result."""
    rows = [row for region in options.regions for seed in options.seeds for row in rows_of(options, region, seed)]
    header = (
        "season", "event", "model", "period", "method", "true period", "effect", "strongest", "effect", "rank",
        "chance",
    )  # fmt: skip
    yield from table(header, rows, left=(0, 1, 2, 3, 4, 5, 7))
    yield ""
    yield "effects: of occlusion in points of probability, of integrated gradients in nats (absolute, of all bands)"
    for region in options.regions:
        for seed in options.seeds:
            scores = json.loads((place_of(options, region, seed) / "models" / "scores.json").read_text("utf-8"))
            for name in options.models:
                f1 = ", ".join(
                    f"{code} {scores['models'][name]['f1'][code]:.2f}"
                    for code in dict.fromkeys(code for code, _ in EVENTS[region])
                    if scores["models"][name]["f1"].get(code) is not None
                )
                yield f"F1 on unseen blocks, {region} {seed}, {name}: {f1}"
    yield ""
    for method in ("occlusion", "integrated gradients"):
        for kind in ("month", "dekad"):
            chances = [float(row[-1]) for row in rows if row[4] == method and row[3] == kind]
            if chances:
                ranks = [row[-2] for row in rows if row[4] == method and row[3] == kind]
                first = sum(rank.startswith("1 of") for rank in ranks)
                mean = float(np.mean(chances))
                yield f"{method} by {kind}: strongest in {first} of {len(ranks)} cases; mean chance {mean:.2f}"


main = Command(
    __doc__,
    report,
    {
        "--directory": {"type": Path, "required": True, "help": "of the seasons; finished ones are used again"},
        "--regions": {"nargs": "+", "default": ["monsoon", "oceanic"], "choices": tuple(SEASONS)},
        "--seeds": {"type": int, "nargs": "+", "default": [0]},
        "--models": {"nargs": "+", "default": ["tempcnn", "lightgbm"]},
        "--periods": {"nargs": "+", "default": ["month", "dekad"], "choices": ("month", "dekad")},
        "--steps": {"type": int, "default": 150, "help": "of training, default 150"},
        "--series": {"default": "interpolated", "help": "that networks read, default interpolated"},
        "--cut": {"type": float, "default": 0.0, "help": "share of samples whose season ends early in training"},
        "--pixels": {"type": int, "default": 100, "help": "most of a class, default 100"},
        "--blocks": {"type": int, "default": 12, "help": "most test blocks, default 12"},
    },
    ("torch", "lightgbm"),
)

if __name__ == "__main__":
    main()
