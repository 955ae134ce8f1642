"""What a cluster adds to a unit of work, how two workers compare with one, and on paper a country and a continent.

    python benchmarks/cluster.py --out benchmarks/results
    python benchmarks/cluster.py --tiles 1000 --size 1.5

A unit that does nothing shows what handing it out costs: in this thread, by a pool of two processes, and by Dask. Then
a simulated season is fetched and mapped with a forest in this process and by one and two workers; seconds are those of
the clock, so they are worth as much as the load of the machine lets them be. The last table divides the area of a
country and of a continent into tiles of a fetch (Sentinel-2, one frame in 2.5 days of eight months) and windows of a
map. Seconds of a tile are those of `agrifm plan` for this machine, seconds of a window are measured here, both of a
processor. One command hands out all units, so it cannot end before units x overhead, however many workers there are.
"""

import argparse
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import SEASON_PROJECT, Command, table

from agrifm.classic import forest
from agrifm.cluster import open_cluster
from agrifm.config import Project, read_project
from agrifm.cube.fetch import fetch
from agrifm.cube.store import SHARD
from agrifm.mapping.run import map_project
from agrifm.plan.measured_costs import machine_costs
from agrifm.scene.products import find_product
from agrifm.season import Season
from agrifm.simulator.catalog import simulate
from agrifm.train.run import train
from agrifm.work import run_tiles

START, END = date(2024, 4, 1), date(2024, 6, 30)
MORE = """
[model]
names = ["random-forest"]
frames = 8
[map]
model = "random-forest"
window = 96
overlap = 0
"""
PLACES = {"a country (France)": 551_500, "a continent (Europe)": 10_180_000}
"""Square kilometres of land."""
FRAMES = 96
"""Of Sentinel-2 in eight months, as in docs/plan.md."""
WORKERS = (2, 64, 1024)
MAP_WINDOW = 96


def nothing(number: int) -> int:
    """A free unit."""
    return number


def overheads(tiles: int) -> dict[str, float]:
    """Seconds of the clock for each unit that does nothing, by where it runs."""
    spawn = get_context("spawn")
    places: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "this thread": nullcontext,
        "two processes (a pool)": lambda: ProcessPoolExecutor(2, spawn),
        "local:1": lambda: open_cluster("local:1", Path()),
        "local:2": lambda: open_cluster("local:2", Path()),
    }
    found = {}
    for name, start in places.items():
        with start() as executor:
            list(run_tiles(nothing, range(20), executor))  # workers have loaded what they need
            began = time.perf_counter()
            done = sum(1 for _ in run_tiles(nothing, range(tiles), executor))
            found[name] = (time.perf_counter() - began) / done
    return found


def season(directory: Path, size: float) -> Project:
    """A simulated season with a small forest."""
    simulate(directory / "season", size=size, season=Season(START, END))
    text = SEASON_PROJECT.format(start=START, end=END) + MORE
    (directory / "agrifm.toml").write_text(text, encoding="utf-8")
    project = read_project(directory)
    fetch(project)
    forest.TREES = 30
    train(project)
    return project


def steps(project: Project, turns: int) -> Iterator[tuple[str, float, float, float]]:
    """Where; the least seconds of opening, of the fetch, and of the map."""
    found: dict[str | None, list[tuple[float, float, float]]] = {None: [], "local:1": [], "local:2": []}
    for _ in range(turns):
        for address, measured in found.items():
            for made in (project.observed_cube, project.maps):
                shutil.rmtree(made, ignore_errors=True)
            began = time.perf_counter()
            with open_cluster(address, project.directory) as executor:
                opened = time.perf_counter()
                fetch(project, executor)
                fetched = time.perf_counter()
                map_project(project, executor=executor)
                measured.append((opened - began, fetched - opened, time.perf_counter() - fetched))
    for address, measured in found.items():
        opening, fetching, mapping = map(min, zip(*measured, strict=True))
        yield address or "this process", opening, fetching, mapping


def window_seconds(project: Project) -> float:
    """Seconds of a processor for a window of the map, rasters included."""
    shutil.rmtree(project.maps)
    began = time.process_time()
    summary = map_project(project)
    return (time.process_time() - began) / summary.windows


def on_paper(overhead: float, tile: float, window: float) -> Iterator[tuple[object, ...]]:
    """Units and hours of large areas, from seconds of a unit."""
    for name, area in PLACES.items():
        for step, side, frames, seconds in (("fetch", SHARD, FRAMES, tile), ("map", MAP_WINDOW, 1, window)):
            units = round(area / (side / 100) ** 2) * frames
            handed = units * overhead
            hours = [max(units * (seconds + overhead) / workers, handed) / 3600 for workers in WORKERS]
            core = units * seconds / 3600
            shown = (f"{value:,.1f}" for value in (core, handed / 3600, *hours))
            yield name, step, f"{units:,}", f"{seconds:.2f}", *shown


def report(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the result."""
    found = overheads(options.tiles)
    yield f"a unit that does nothing, mean of {options.tiles:,}"
    yield from table(("where", "ms"), ((name, f"{1000 * seconds:.3f}") for name, seconds in found.items()))
    with TemporaryDirectory() as folder:
        project = season(Path(folder), options.size)
        yield ""
        yield f"a season of {options.size:g} km, Sentinel-2, {START} to {END}"
        yield f"seconds of the clock, least of {options.turns} turns"
        rows = ((name, *(f"{value:.1f}" for value in values)) for name, *values in steps(project, options.turns))
        yield from table(("where", "opening", "fetch", "map"), rows)
        window = window_seconds(project)
    costs, note = machine_costs(None)
    assets = len(find_product("sentinel-2-c1-l2a").assets) + 1
    tile = assets * (costs.fetch_asset_seconds + SHARD**2 * costs.fetch_pixel_seconds)
    yield ""
    yield f"on paper, with {1000 * found['local:2']:.1f} ms for each unit; {note}"
    hours = tuple(f"h, {workers:,} workers" for workers in WORKERS)
    header = ("area", "step", "units", "s of a unit", "core hours", "h to hand out", *hours)
    yield from table(header, on_paper(found["local:2"], tile, window), left=(0, 1))


main = Command(
    __doc__,
    report,
    {
        "--tiles": {"type": int, "default": 10_000, "help": "units that do nothing, default 10,000"},
        "--turns": {"type": int, "default": 2, "help": "of the season, default 2"},
        "--size": {"type": float, "default": 2.5, "help": "kilometres of the season, default 2.5"},
    },
    ("distributed", "zarr", "scikit-learn"),
    quick={"tiles": 100, "size": 1.0, "turns": 1},
)

if __name__ == "__main__":
    main()
