"""The plan next to what happened: requests, bytes, disk, memory and time of every step.

Each step runs in a process of its own, whose memory, bytes read and seconds are counted (Linux). The scenes are a
simulated season on disk, or the same season behind a STAC API with range requests on this machine. Seconds are those of
the clock, and of the processor where other programs run too.

    python benchmarks/plan_forecast.py DEMO --out benchmarks/results
    python benchmarks/plan_forecast.py DEMO --latency 20 --steps fetch --out benchmarks/results

Of steps that are not run, what they left in the demo is used.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import DEMO, Command, own_process, table
from tests.servers import serving_season

from agrifm.config import read_project
from agrifm.plan.forecast import StepForecast
from agrifm.plan.make_plan import plan_project
from agrifm.scene.remote import TRAFFIC

RUNS = {
    "fetch": ("agrifm.cube.fetch", "fetch"),
    "train": ("agrifm.train.project", "train_project"),
    "map": ("agrifm.mapping.run", "map_project"),
    "parcels": ("agrifm.mapping.parcels", "parcels_of_project"),
}
LEAVES = {"fetch": ("cube.zarr",), "train": ("models",), "map": ("map",), "parcels": ("parcels",)}


def run_step(name: str, directory: Path) -> dict[str, float]:
    """Run one step of a project; returns what it took."""
    module, function = RUNS[name]
    started, clock = time.process_time(), time.perf_counter()
    run, before = getattr(import_module(module), function), _read_bytes()
    run(read_project(directory))
    traffic = TRAFFIC.totals().values()
    return {
        "seconds": time.perf_counter() - clock,
        "core_seconds": time.process_time() - started,
        "requests": sum(one.requests for one in traffic),
        "moved_bytes": sum(one.bytes for one in traffic),
        "read_bytes": _read_bytes() - before,
    }


def _read_bytes() -> int:
    """Bytes that this process has read from files."""
    return int(Path("/proc/self/io").read_text().split()[1])


def make_plan(directory: Path, cache: Path) -> dict[str, Any]:
    """The plan of a project in a process that has opened no file."""
    began = time.perf_counter()
    plan = plan_project(read_project(directory), cache=cache)
    return {"steps": plan.steps, "seconds": time.perf_counter() - began, "content": plan.content()}


def _serve(catalog: Path, latency: float, addresses: Any) -> None:
    with serving_season(catalog, latency) as server:
        addresses.put(server.url)
        time.sleep(24 * 3600)


@contextmanager
def source(season: Path, latency: float | None) -> Iterator[str]:
    """Address of the catalogue: on disk, or on a server in a process of its own."""
    if latency is None:
        yield str(season / "catalog.json")
        return
    spawn = multiprocessing.get_context("spawn")
    addresses = spawn.Queue()
    process = spawn.Process(target=_serve, args=(season / "catalog.json", latency / 1000, addresses))
    process.start()
    try:
        yield addresses.get()
    finally:
        process.terminate()
        process.join()


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the result."""
    demo = options.directory.resolve()
    with tempfile.TemporaryDirectory() as folder, source(demo / "season", options.latency) as catalog:
        project = Path(folder) / "project"
        project.mkdir()
        text = (demo / "agrifm.toml").read_text(encoding="utf-8")
        text = text.replace('catalog = "season/catalog.json"', f'catalog = "{catalog}"')
        for name in ("area.geojson", "truth"):
            text = text.replace(f'"season/{name}', f'"{demo}/season/{name}')
        if "[parcels]" not in text and "parcels" in options.steps:
            text += f'\n[parcels]\nfile = "{demo}/season/truth/parcels.gpkg"\n'
        (project / "agrifm.toml").write_text(text, encoding="utf-8")
        cache = Path(folder) / "costs.json"
        where = "on disk" if options.latency is None else f"on a server, {options.latency:g} ms before every answer"
        yield f"{text.splitlines()[0].lstrip('# ')}  Scenes {where}; {os.cpu_count()} cores."
        first, made = (own_process(make_plan, project, cache).result for _ in range(2))
        yield f"The plan took {first['seconds']:.1f} s with the probe, {made['seconds']:.1f} s after it."
        yield "Each number: forecast / measured."
        yield ""
        steps: dict[str, StepForecast] = {step.name: step for step in made["steps"]}
        for name in set(RUNS) - set(options.steps):  # what steps that are not run would have left
            for left in LEAVES[name]:
                if (demo / left).exists():
                    (project / left).symlink_to(demo / left)
        yield from table(HEAD, (_row(steps[name], project) for name in options.steps))
        shutil.rmtree(project)


HEAD = ("step", "requests", "download MB", "read MB", "disk MB", "memory MB", "seconds", "of a processor")


def _row(step: StepForecast, project: Path) -> list[str]:
    done = own_process(run_step, step.name, project)
    took = done.result
    left = sum(
        path.stat().st_size for name in LEAVES[step.name] for path in (project / name).rglob("*") if path.is_file()
    )
    pairs = (
        (step.requests, took["requests"], 1),
        (step.moved_bytes, took["moved_bytes"], 1e6),
        (step.read_bytes, took["read_bytes"], 1e6),
        (step.disk_bytes, left, 1e6),
        (step.memory_bytes, done.peak_bytes, 1e6),
        (step.seconds, took["seconds"], 1),
        (step.core_seconds, took["core_seconds"], 1),
    )
    return [step.name, *(_pair(forecast / unit, real / unit) for forecast, real, unit in pairs)]


def _pair(forecast: float, real: float) -> str:
    if not real:
        return f"{forecast:.0f} / 0"
    digits = 0 if max(forecast, real) >= 20 else 2
    return f"{forecast:.{digits}f} / {real:.{digits}f} = {forecast / real:.2f}"


main = Command(
    __doc__,
    report,
    {
        **DEMO,
        "--latency": {"type": float, "help": "serve the scenes, so many milliseconds before every answer"},
        "--steps": {"nargs": "+", "choices": tuple(RUNS), "default": tuple(RUNS)},
    },
    ("rasterio", "zarr", "torch"),
)

if __name__ == "__main__":
    main()
