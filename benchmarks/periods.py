"""Time and memory of resampling cubes of several areas, each in a separate process.

The cubes hold random reflectance. The peak memory (resident, libraries included) must not grow with the area.

    python benchmarks/periods.py --sides 480 1440 --method medoid --out benchmarks/results
"""

import argparse
import datetime
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from affine import Affine
from shapely import box
from simulate import processor

from agrifm.config import ResampleMethod
from agrifm.cube.resample import resample_cube, resampler
from agrifm.cube.store import CHUNK, Cube, create_root, create_sensor, open_cube
from agrifm.grid import Grid
from agrifm.record import SensorInput, running_versions
from agrifm.season import Season

SEASON = Season(datetime.date(2024, 3, 1), datetime.date(2024, 10, 31))


class Result(NamedTuple):
    side: int
    seconds: float
    peak_bytes: int


def make_cube(path: Path, side: int, frames: int, bands: int) -> Cube:
    """A cube of `side` x `side` pixels, half of its observations usable; written chunk row by chunk row."""
    names = tuple(f"B{number:02d}" for number in range(bands))
    content = SensorInput(sensor="sentinel-2", bands=names, quantity="surface reflectance", scale=1e-4, resolution=10)
    grid = Grid.of("EPSG:32631", Affine(10, 0, 480_000, 0, -10, 5_520_000), (side, side))
    gap = SEASON.days // frames
    days = [SEASON.start + datetime.timedelta(days=gap * frame) for frame in range(frames)]
    root = create_root(path, SEASON, box(2.7, 49.7, 2.8, 49.8))
    group = create_sensor(root, content, grid, days, None)
    rng = np.random.default_rng(0)
    for frame in range(frames):
        group["values"][frame] = rng.integers(0, 5000, (bands, side, side), dtype=np.int16)
        group["valid"][frame] = rng.random((side, side), dtype=np.float32) < 0.5
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["sentinel-2"]}
    return open_cube(path)


def measure(path: Path, new: Path, side: int, method: ResampleMethod, frames: int) -> Result:
    """Resample one cube and measure it; in a separate process, as the peak is that of the process."""
    start = time.process_time()
    cube = open_cube(path)
    resample_cube(cube, new, {"sentinel-2": resampler(method, cube.sensors["sentinel-2"], SEASON, frames)})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Result(side, time.process_time() - start, peak)


def table(results: list[Result], args: argparse.Namespace, load: float) -> str:
    """Header and one line for each area."""
    versions = ", ".join(f"{name} {number}" for name, number in running_versions("numpy", "scipy", "zarr").items())
    command = f"--sides {' '.join(map(str, args.sides))} --frames {args.frames} --bands {args.bands}"
    lines = [
        f"date       {datetime.date.today().isoformat()}",
        f"hardware   {processor()}; busy processes before the start (load average) {load:.1f}",
        f"versions   {versions}",
        f"command    python benchmarks/periods.py {command} --method {args.method} --periods {args.periods}",
        f"           windows of {CHUNK} pixels; seconds of the processor",
        "",
        f"{'side':>6}{'km2':>8}{'seconds':>9}{'per km2':>9}{'peak MB':>9}",
    ]
    for one in results:
        area = (one.side * 0.01) ** 2
        lines.append(
            f"{one.side:>6}{area:>8.1f}{one.seconds:>9.1f}{one.seconds / area:>9.3f}{one.peak_bytes / 1e6:>9.0f}"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sides", nargs="+", type=int, default=[480, 1440], help="pixels, default 480 1440")
    parser.add_argument("--frames", type=int, default=12, help="of the cube, default 12")
    parser.add_argument("--bands", type=int, default=2, help="default 2")
    parser.add_argument("--periods", type=int, default=6, help="of the new cube, default 6")
    parser.add_argument("--method", choices=get_args(ResampleMethod), default="medoid", help="default medoid")
    parser.add_argument("--out", type=Path, help="folder for <date>-periods.txt")
    args = parser.parse_args()

    load = os.getloadavg()[0]
    spawn = multiprocessing.get_context("spawn")
    results = []
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for side in args.sides:
            with tempfile.TemporaryDirectory() as scratch:
                cube, new = Path(scratch) / "cube.zarr", Path(scratch) / "new.zarr"
                make_cube(cube, side, args.frames, args.bands)
                results.append(pool.submit(measure, cube, new, side, args.method, args.periods).result())
    text = table(results, args, load)
    print(text, end="")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"{datetime.date.today().isoformat()}-periods.txt").write_text(text)


if __name__ == "__main__":
    main()
