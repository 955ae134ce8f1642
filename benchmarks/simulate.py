"""Time, memory and disk of simulated seasons at several areas, each in a process of its own.

The peak memory (resident, libraries included) is then each season's own. It must not grow with the area beyond one
granule of some eleven kilometres.

    python benchmarks/simulate.py --sizes 5 10 20 --out benchmarks/results
"""

import argparse
import datetime
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple


class Result(NamedTuple):
    size: float
    scenes: int
    seconds: float
    peak_bytes: int
    disk_bytes: int
    days: int
    versions: dict[str, str]


def measure(directory: Path, region: str, size: float, months: int) -> Result:
    """Simulate one season, or its first months, and weigh it."""
    from agrifm.record import running_versions
    from agrifm.season import Season
    from agrifm.simulator.catalog import simulate
    from agrifm.simulator.region import read_region

    season = read_region(region).orbits.season(2024)
    if months:
        season = Season(season.start, season.start + datetime.timedelta(days=round(30.5 * months) - 1))
    start = time.perf_counter()
    root = simulate(directory, region, size=size, season=season).parent
    return Result(
        size=size,
        scenes=sum(1 for _ in root.glob("*/*/*.json")),
        seconds=time.perf_counter() - start,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        disk_bytes=sum(file.stat().st_size for file in root.rglob("*") if file.is_file()),
        days=season.days,
        versions=running_versions("numpy", "scipy", "rasterio"),
    )


def processor() -> str:
    """Model name of the processor where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def table(results: list[Result], args: argparse.Namespace, load: float) -> str:
    """Header and one line for each area."""
    versions = ", ".join(f"{name} {number}" for name, number in results[0].versions.items())
    sizes = " ".join(f"{size:g}" for size in args.sizes)
    months = " ".join(str(count) for count in args.months)
    lines = [
        f"date       {datetime.date.today().isoformat()}",
        f"hardware   {processor()}; busy processes before the start (load average) {load:.1f}",
        f"versions   {versions}",
        f"command    python benchmarks/simulate.py --region {args.region} --sizes {sizes} --months {months}",
        "",
        f"{'km':>6}{'days':>6}{'scenes':>8}{'seconds':>9}{'peak GB':>9}{'disk GB':>9}",
    ]
    for one in results:
        lines.append(
            f"{one.size:>6g}{one.days:>6}{one.scenes:>8}{one.seconds:>9.1f}{one.peak_bytes / 1e9:>9.2f}"
            f"{one.disk_bytes / 1e9:>9.2f}"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=float, default=[5, 10, 20], help="km, default 5 10 20")
    parser.add_argument(
        "--months", nargs="+", type=int, default=[0, 0, 2], help="of each season, 0 = all; default 0 0 2"
    )
    parser.add_argument("--region", default="oceanic", help="default oceanic")
    parser.add_argument("--out", type=Path, help="folder for <date>-simulate.txt")
    args = parser.parse_args()

    spawn = multiprocessing.get_context("spawn")
    load = os.getloadavg()[0]
    results = []
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for size, months in zip(args.sizes, args.months, strict=True):
            with tempfile.TemporaryDirectory() as scratch:
                results.append(pool.submit(measure, Path(scratch) / "season", args.region, size, months).result())
    text = table(results, args, load)
    print(text, end="")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"{datetime.date.today().isoformat()}-simulate.txt").write_text(text)


if __name__ == "__main__":
    main()
