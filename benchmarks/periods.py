"""Time and memory of resampling cubes of several areas, each in a process of its own.

The cubes hold random reflectance. The peak memory (resident, libraries included) must not grow with the area.

    python benchmarks/periods.py --sides 480 1440 --method medoid --out benchmarks/results
"""

import argparse
import datetime
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
from affine import Affine
from measure import Command, own_process, table
from shapely import box

from agrifm.cube.resample import resample_cube, resampler
from agrifm.cube.store import CHUNK, Cube, create_root, create_sensor, open_cube
from agrifm.grid import Grid
from agrifm.imagery_config import ResampleMethod
from agrifm.record import SensorInput
from agrifm.season import Season

SEASON = Season(datetime.date(2024, 3, 1), datetime.date(2024, 10, 31))


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


def measure(path: Path, new: Path, method: ResampleMethod, frames: int) -> float:
    """Resample one cube; processor seconds."""
    start = time.process_time()
    cube = open_cube(path)
    resample_cube(cube, new, {"sentinel-2": resampler(method, cube.sensors["sentinel-2"], SEASON, frames)})
    return time.process_time() - start


def rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """A row for each area."""
    for side in options.sides:
        with tempfile.TemporaryDirectory() as scratch:
            cube, new = Path(scratch) / "cube.zarr", Path(scratch) / "new.zarr"
            make_cube(cube, side, options.frames, options.bands)
            seconds, peak = own_process(measure, cube, new, options.method, options.periods)
        area = (side * 0.01) ** 2
        yield str(side), f"{area:.1f}", f"{seconds:.1f}", f"{seconds / area:.3f}", f"{peak / 1e6:.0f}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """A line for each area."""
    frames = f"{options.frames} frames to {options.periods}, {options.bands} bands"
    yield f"{options.method}, {frames}; windows of {CHUNK} pixels; seconds of the processor"
    yield from table(("side", "km2", "seconds", "per km2", "peak MB"), rows(options), left=())


OPTIONS = {
    "--sides": {"nargs": "+", "type": int, "default": [480, 1440], "help": "pixels, default 480 1440"},
    "--frames": {"type": int, "default": 12, "help": "of the cube, default 12"},
    "--bands": {"type": int, "default": 2, "help": "default 2"},
    "--periods": {"type": int, "default": 6, "help": "of the new cube, default 6"},
    "--method": {"choices": get_args(ResampleMethod), "default": "medoid", "help": "default medoid"},
}
main = Command(__doc__, report, OPTIONS, ("scipy", "zarr"), quick={"sides": [96], "frames": 4, "periods": 2})

if __name__ == "__main__":
    main()
