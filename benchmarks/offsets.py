"""How often the check of offsets alarms on true metadata, and how many planted errors it notices.

    python benchmarks/offsets.py --out benchmarks/results               simulates four regions, two seeds
    python benchmarks/offsets.py --regions oceanic --seeds 5 --size 2.5 --every 1
    python benchmarks/offsets.py --seasons DIR …                        what `agrifm simulate` wrote
    AGRIFM_DATA=DIR python benchmarks/offsets.py …                      also a real season (Flanders, 2018)

Every scene's numbers are brought into four states: with the 1000 that ESA adds, without them (clipped at 0), subtracted
twice and added twice. What the item states is true or false. A false statement is planted into one scene of a true
season, and then into all of them. Scenes with too few clear pixels are counted and left out of the rates.
"""

import argparse
import datetime
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product as pairs_of
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from measure import Command, region_options, table
from numpy.typing import NDArray

from agrifm.grid import Grid, area_grid
from agrifm.scene.area import read_area
from agrifm.scene.local_files import search_files
from agrifm.scene.offset_check import DARK_BANDS, FEW_CLEAR, DarkStatistics, judge_offset, measure_scene
from agrifm.scene.products import Product, find_product
from agrifm.scene.read import read_asset
from agrifm.scene.scene import ArrayAsset, Scene
from agrifm.scene.search import search_catalog
from agrifm.season import Season
from agrifm.sensors import find_sensor
from agrifm.simulator.acquisition.level2 import SENTINEL_2
from agrifm.simulator.catalog import write_season
from agrifm.simulator.granule import Simulation
from agrifm.simulator.region import read_region

SIMULATED, FLAGGED = find_product("sentinel-2-c1-l2a"), find_product("sentinel-2-l2a-earth-search")
REAL = find_product("sentinel-2-l2a-earth-search-v0")
"""Its assets have the names of the real set's variables."""
ALWAYS = Season(datetime.date(2000, 1, 1), datetime.date(2099, 12, 31))


class State(NamedTuple):
    """Numbers and what their metadata say."""

    added: int
    """What is added to 10000 times reflectance."""
    baseline: str
    removed: bool


TRUE = {
    "with offset, baseline 05.10": State(1000, "05.10", False),
    "without, baseline 03.01": State(0, "03.01", False),
    "removed, and the flag says so": State(0, "05.10", True),
}
FALSE = {
    "flag says removed, it is there": State(1000, "05.10", True),
    "flag says there, it was removed": State(0, "05.10", False),
    "subtracted twice, flag says removed": State(-1000, "05.10", True),
    "subtracted twice, flag says there": State(-1000, "05.10", False),
    "added twice, flag says there": State(2000, "05.10", False),
    "added twice, flag says removed": State(2000, "05.10", True),
}
HOW = ("one scene", "all scenes")


class Counts(NamedTuple):
    """Verdicts of one season: by state, and by how many scenes have it, of "alarm", "agree" and "not judged"."""

    name: str
    scenes: int
    few_clear: int
    verdicts: dict[tuple[str, str], Counter[str]]
    seconds: float


def looks_of(scene: Scene, grid: Grid, product: Product) -> dict[State, DarkStatistics]:
    """What the check sees of a scene in every state."""
    bands = [band.name for band in find_sensor(product.sensor).bands if band.common_name in DARK_BANDS]
    shift = round(scene.encoding.offset / scene.product.scale)
    plain = {
        product.assets[band]: read_asset(scene, scene.product.assets[band], band, grid, "nearest", 0) for band in bands
    }
    assert scene.product.quality_asset is not None
    classes = read_asset(scene, scene.product.quality_asset, "quality", grid, "nearest", 0)
    looks: dict[State, DarkStatistics] = {}
    for added in (1000, 0, -1000, 2000):
        planes = {key: shifted(numbers, shift + added) for key, numbers in plain.items()}
        planes[str(product.quality_asset)] = classes
        assets = {
            key: ArrayAsset(xr.DataArray(plane, dims=("y", "x"), name=key), str(grid.crs), grid.transform)
            for key, plane in planes.items()
        }
        made = Scene(scene.id, product, scene.day, assets, "made", baseline="05.10")
        seen = measure_scene(made, {product.sensor: grid})
        for state in (*TRUE.values(), *FALSE.values()):
            if state.added == added:
                stated = replace(made, baseline=state.baseline, offset_removed=state.removed)
                looks[state] = replace(seen, scene=stated, stated=stated.encoding)
    return looks


def shifted(numbers: NDArray[np.integer], by: int) -> NDArray[np.uint16]:
    """Digital numbers with `by` added, clipped at 0; nodata stays nodata."""
    moved = np.clip(numbers.astype(np.int64) + by, 0, 65535)
    return np.where(numbers == 0, 0, moved).astype(np.uint16)


def counted(name: str, scenes: Sequence[Scene], grid: Grid, product: Product) -> Counts:
    """Verdicts on a season whose metadata are known to be true."""
    start = time.process_time()
    every = [looks_of(scene, grid, product) for scene in scenes]
    few = [judge_offset(seen[TRUE["with offset, baseline 05.10"]], []).unjudged == FEW_CLEAR for seen in every]
    every = [seen for seen, is_few in zip(every, few, strict=True) if not is_few]
    verdicts: dict[tuple[str, str], Counter[str]] = {}
    # around a scene with a false statement the others are in the first true state
    truth = [seen[TRUE["with offset, baseline 05.10"]] for seen in every]
    for label, state in {**TRUE, **FALSE}.items():
        season = [seen[state] for seen in every]
        verdicts[label, HOW[1]] = Counter(verdict(scene, season) for scene in season)
        if label in FALSE:
            verdicts[label, HOW[0]] = Counter(
                verdict(scene, [*truth[:number], scene, *truth[number + 1 :]]) for number, scene in enumerate(season)
            )
    return Counts(name, len(scenes), sum(few), verdicts, time.process_time() - start)


def verdict(scene: DarkStatistics, season: Sequence[DarkStatistics]) -> str:
    """The check's verdict on a scene among the others."""
    judgement = judge_offset(scene, season)
    return "alarm" if judgement.doubt is not None else "not judged" if judgement.unjudged is not None else "agree"


def simulated(scratch: Path, options: argparse.Namespace) -> Iterator[Path]:
    """Seasons of Sentinel-2 alone, of every so many passes, one after another."""
    for seed, name in pairs_of(options.seeds, options.regions):
        region = read_region(name)
        plan = Simulation.of(region, options.size, seed, region.orbits.season(2024))
        taken = [taken for taken in plan.acquisitions if taken.collection == SENTINEL_2][:: options.every]
        yield write_season(scratch / f"{name}-{seed}", replace(plan, acquisitions=taken)).parent


def of_catalogue(directory: Path) -> Counts:
    """Verdicts on what `agrifm simulate` wrote."""
    area = read_area(Path("area.geojson"), directory).shape
    scenes = search_catalog(directory / "catalog.json", [SIMULATED], ALWAYS, area).scenes
    return counted(directory.name, scenes, area_grid(area), FLAGGED)


def of_flanders(data: Path) -> Counts | None:
    """Verdicts on the real season, whose numbers hold no offset; None without the data set."""
    files = sorted(data.glob("flanders_multisource_2018/*/s2_l2a_10m.nc"))
    if not files:
        return None
    scenes = search_files(files[0].parent, "s2_l2a_*m.nc", REAL, ALWAYS, baseline="02.07").scenes
    asset = scenes[0].assets["B02"]
    assert isinstance(asset, ArrayAsset)
    height, width = asset.pixels.shape
    return counted("Flanders, real", scenes, Grid.of(asset.crs, asset.transform, (height, width)), REAL)


def lines(seasons: Sequence[Counts]) -> Iterator[str]:
    """Seasons, then alarms by state of the metadata."""
    rows = [(row.name, row.scenes, row.few_clear, f"{row.seconds:.0f}") for row in seasons]
    yield from table(("season", "scenes", "too few clear pixels", "seconds"), rows)
    for label, how in seasons[0].verdicts:
        yield from ("", f"true metadata: {label}" if label in TRUE else f"false metadata: {label}; {how}")
        counts = [(row.name, row.verdicts[label, how]) for row in seasons]
        counts.append(("all", sum((counter for _, counter in counts), Counter())))
        yield from table(("", "alarms", "judged", "share", "not judged"), [cells(*row) for row in counts])


def cells(name: str, verdicts: Counter[str]) -> tuple[object, ...]:
    """Alarms among the scenes that were judged, and how many were not."""
    judged = verdicts["alarm"] + verdicts["agree"]
    share = f"{100 * verdicts['alarm'] / judged:.1f} %" if judged else "-"
    return name, verdicts["alarm"], judged, share, verdicts["not judged"]


def report(options: argparse.Namespace) -> Iterator[str]:
    """Every season, simulated or read, and the real one."""
    with tempfile.TemporaryDirectory() as scratch:
        seasons = [of_catalogue(path) for path in options.seasons or simulated(Path(scratch), options)]
    real = of_flanders(Path(os.environ["AGRIFM_DATA"])) if "AGRIFM_DATA" in os.environ else None
    yield from lines([*seasons, real] if real else seasons)


OPTIONS = {
    "--seasons": {"type": Path, "nargs": "*", "default": [], "help": "directories that `agrifm simulate` wrote"},
    **region_options(41, 42),
    "--every": {"type": int, "default": 1, "help": "simulate every so many passes, default 1"},
}
QUICK = {"regions": ["oceanic"], "seeds": [41], "size": 1.5, "every": 20}
main = Command(__doc__, report, OPTIONS, ("rasterio",), QUICK)

if __name__ == "__main__":
    main()
