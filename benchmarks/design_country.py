"""Seconds and memory to draw reference points on a map of a country, and to assess it with them.

The map is a synthetic GeoTIFF with the layout of a COG (tiles of 512, overviews, deflate) of 31,623 x 31,623 pixels, a
thousand million: fields of four classes inside a border, nodata outside. It is written once and kept in the folder.
Each step is a process of its own, with the start of Python and libraries in its processor seconds and memory. The goal
for design and estimate is 60 s and 1 GB.

    python benchmarks/design_country.py --out benchmarks/results
    python benchmarks/design_country.py --quick
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from measure import Command, own_process
from numpy.typing import NDArray
from rasterio.enums import Resampling

from agrifm.legend import Legend, legend_json

TILE, FIELD = 512, 32
CODES = ("maize", "wheat", "rapeseed", "other")
SHARES = (0.2, 0.27, 0.03, 0.5)
NODATA = 255
PATTERNS = 40
"""Different tiles; more would only take longer to write."""
STEPS = {
    "stratified": ("--n", "{n}"),
    "simple": ("--n", "{n}", "--method", "simple"),
    "systematic": ("--n", "{n}", "--method", "systematic"),
    "cluster": ("--n", "{clusters}", "--method", "cluster", "--side", "5", "--per-cluster", "10"),
    "edge": ("--n", "{n}", "--edge", "20"),
}
"""Designs with their options."""
ROW = "{:<34}{:>12}{:>10}{:>10}"
"""Lines come as they are measured."""


def write_country(path: Path, side: int) -> None:
    """Write the map tile by tile, with overviews."""
    generator = np.random.default_rng(0)
    patterns = [_tile(generator) for _ in range(PATTERNS)]
    centre, radius = side / 2, side * 0.55
    layout = {"driver": "GTiff", "dtype": "uint8", "count": 1, "tiled": True, "blockxsize": TILE, "blockysize": TILE}
    place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 300_000, 0, -10, 5_800_000), "nodata": NODATA}
    unfinished = path.with_suffix(".part.tif")
    with rasterio.open(unfinished, "w", width=side, height=side, compress="deflate", **layout, **place) as file:
        file.update_tags(AGRIFM_LEGEND=legend_json(Legend.of(CODES)))
        for row in range(0, side, TILE):
            y = np.arange(row, min(row + TILE, side))[:, None] - centre
            for col in range(0, side, TILE):
                x = np.arange(col, min(col + TILE, side))[None] - centre
                values = patterns[generator.integers(PATTERNS)][: len(y), : x.shape[1]]
                values = np.where(x**2 + y**2 < radius**2, values, np.uint8(NODATA))
                window = rasterio.windows.Window(col, row, values.shape[1], values.shape[0])
                file.write(values, 1, window=window)
        file.build_overviews([2, 4, 8, 16, 32], Resampling.nearest)
    os.replace(unfinished, path)


def _tile(generator: np.random.Generator) -> NDArray[np.uint8]:
    """Square fields of one class."""
    fields = generator.choice(len(CODES), (TILE // FIELD, TILE // FIELD), p=SHARES)
    return np.kron(fields, np.ones((FIELD, FIELD), int)).astype(np.uint8)


def label_points(points: Path) -> None:
    """Label the points as the map has them, and one in ten as another class."""
    import geopandas as gpd

    frame = gpd.read_file(points)
    codes = frame["map_class"].to_numpy().astype(object)
    wrong = np.random.default_rng(1).random(len(codes)) < 0.1
    codes[wrong] = np.random.default_rng(2).choice(CODES, int(wrong.sum()))
    frame.assign(label=codes).to_file(points)


def run_command(words: Sequence[str]) -> float:
    """Run `agrifm` and return the processor seconds of this process since it began."""
    from agrifm.cli import main as agrifm

    if agrifm(list(words)):
        raise RuntimeError(f"agrifm {' '.join(words)} failed")
    return time.process_time()


def measured(words: Sequence[str | Path]) -> tuple[float, float, float]:
    """Run `agrifm` in a process of its own: processor seconds, seconds by the clock, and peak memory in GB."""
    start = time.perf_counter()
    done = own_process(run_command, [str(word) for word in words])
    return done.result, time.perf_counter() - start, done.peak_bytes / 1e9


def report(options: argparse.Namespace) -> Iterator[str]:
    """A line for each design, and one for the estimate."""
    with tempfile.TemporaryDirectory() as scratch:
        yield from lines(options.directory or Path(scratch), options)


def lines(directory: Path, options: argparse.Namespace) -> Iterator[str]:
    """The lines of the result; the map is written if it is not in the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"country-{options.side}.tif"
    if not path.exists():
        write_country(path, options.side)
    yield f"{options.side:,} x {options.side:,} pixels, {path.stat().st_size / 1e6:,.1f} MB; {options.n:,} points"
    yield ""
    yield ROW.format("step", "processor s", "clock s", "peak GB")
    for name in options.designs:
        points = directory / f"{name}.gpkg"
        points.unlink(missing_ok=True)
        numbers = {"n": options.n, "clusters": options.n // 10}
        words = [word.format(**numbers) for word in STEPS[name]]
        used = measured(["assess", "design", "--map", path, *words, "--out", points])
        yield ROW.format(f"design, {name}", *(f"{one:.2f}" for one in used))
        if name == "stratified":
            label_points(points)
            used = measured(["assess", "--map", path, "--reference", points, "--out", directory / "report"])
            yield ROW.format("estimate and report, stratified", *(f"{one:.2f}" for one in used))


OPTIONS = {
    "directory": {"type": Path, "nargs": "?", "help": "where the map is written and kept; default: a temporary one"},
    "--side": {"type": int, "default": 31_623, "help": "of the map, pixels; default 31,623"},
    "--n": {"type": int, "default": 10_000, "help": "points; default 10,000"},
    "--designs": {"nargs": "+", "default": list(STEPS), "choices": list(STEPS)},
}
main = Command(__doc__, report, OPTIONS, ("rasterio",), quick={"side": 1500, "n": 400, "designs": ["stratified"]})

if __name__ == "__main__":
    main()
