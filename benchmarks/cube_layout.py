"""Layouts of a cube's pixels, for three ways of reading and for one more date.

Each layout holds the same reflectance: a smooth ground that greens and noise of one percent, ten bands. Measured are
the processor milliseconds and the bytes of chunks that a reading decodes: a patch through time (96 x 96 pixels, all
bands and dates, as for training), the series of one pixel, and a map tile (256 x 256 pixels, all bands, one date). The
last columns are the files of the store, its megabytes, and those that a new date has written again on average.

    python benchmarks/cube_layout.py --side 960 --frames 24 --out benchmarks/results
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import zarr
from measure import Command, table
from numpy.typing import NDArray

from agrifm.cube.store import CHUNK, CODECS, SHARD

PATCH, TILE, BANDS = 96, 256, 10


class Layout(NamedTuple):
    """Dates and pixels per side of a chunk, and of a shard."""

    dates: int
    side: int
    shard_dates: int
    shard: int


def layouts(frames: int) -> dict[str, Layout]:
    """The cube's layout, and others."""
    return {
        "the cube's": Layout(1, CHUNK, 1, SHARD),
        "chunks of 48": Layout(1, 48, 1, SHARD),
        "chunks of 192": Layout(1, 192, 1, SHARD),
        "chunks of 480": Layout(1, 480, 1, SHARD),
        "8 dates a chunk": Layout(min(8, frames), 48, min(8, frames), SHARD),
        "all dates a chunk": Layout(frames, 24, frames, SHARD),
        "all dates a shard": Layout(1, CHUNK, frames, SHARD),
    }


def ground(frames: int, side: int) -> Iterator[NDArray[np.int16]]:
    """Reflectance (band, y, x) of each date, in units of 0.0001."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:side, :side].astype(np.float32)
    fields = 0.5 + 0.5 * np.sin(rows // 23 * 1.7) * np.cos(cols // 31 * 2.3)
    for frame in range(frames):
        cover = fields * np.exp(-(((frame / frames - 0.5) * 4) ** 2))
        bands = [600 + 250 * band + (1500 if band > 5 else -300) * cover for band in range(BANDS)]
        noise = 1 + 0.01 * rng.standard_normal((BANDS, side, side), dtype=np.float32)
        yield np.round(np.stack(bands) * noise).astype(np.int16)


def write(path: Path, layout: Layout, frames: int, side: int) -> zarr.Array:
    """Write the ground in a layout."""
    shard = min(layout.shard, ceil(side / layout.side) * layout.side)
    array = zarr.create_array(
        path,
        shape=(frames, BANDS, side, side),
        chunks=(layout.dates, BANDS, layout.side, layout.side),
        shards=(ceil(layout.shard_dates / layout.dates) * layout.dates, BANDS, shard, shard),
        dtype="int16",
        fill_value=-32768,
        compressors=CODECS,
    )
    array[...] = np.stack(list(ground(frames, side)))
    return array


def milliseconds(read: Callable[[int], object], times: int) -> float:
    """Median processor time of a reading at several places."""
    spent = []
    for number in range(times):
        start = time.process_time()
        read(number)
        spent.append(1000 * (time.process_time() - start))
    return median(spent)


def decoded(layout: Layout, dates: int, place: int, side: int) -> float:
    """Megabytes of the chunks, decoded, under a window whose corner is a multiple of its side."""
    spans = range(place // layout.side, -(-(place + side) // layout.side))
    return ceil(dates / layout.dates) * layout.dates * BANDS * (len(spans) * layout.side) ** 2 * 2 / 1e6


def readings(array: zarr.Array, layout: Layout, times: int) -> Iterator[str]:
    """Milliseconds and decoded megabytes of a patch, a series and a map tile."""
    frames, length = array.shape[0], array.shape[-1]
    for side, dates in ((PATCH, slice(None)), (1, slice(None)), (TILE, slice(0, 1))):
        count = max(length // side, 1)

        def read(number: int, side: int = side, count: int = count, dates: slice = dates) -> object:
            row, col = (number * 7 % count) * side, (number * 3 % count) * side
            return array[dates, :, row : row + side, col : col + side]

        yield f"{milliseconds(read, times):.1f}"
        yield f"{decoded(layout, len(range(frames)[dates]), side, side):.1f}"


def rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """A row for each layout."""
    for name, layout in layouts(options.frames).items():
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "cube.zarr"
            array = write(path, layout, options.frames, options.side)
            files = [file for file in (path / "c").rglob("*") if file.is_file()]
            size = sum(file.stat().st_size for file in files) / 1e6
            # Over a season, a new date finds its shard half full on average.
            again = size / options.frames * (layout.shard_dates - 1) / 2
            cells = readings(array, layout, options.times)
            yield name, *cells, str(len(files)), f"{size:.0f}", f"{again:.0f}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """A table of the layouts."""
    yield f"{options.side} x {options.side} pixels, {options.frames} dates, {BANDS} bands; ms of the processor"
    header = ("layout", "patch ms", "MB", "series ms", "MB", "tile ms", "MB", "files", "MB on disk", "rewritten MB")
    yield from table(header, rows(options))


OPTIONS = {
    "--side": {"type": int, "default": 960, "help": "pixels, default 960"},
    "--frames": {"type": int, "default": 24, "help": "dates, default 24"},
    "--times": {"type": int, "default": 15, "help": "readings of each kind, default 15"},
}
main = Command(__doc__, report, OPTIONS, ("zarr", "numcodecs"), quick={"side": 288, "frames": 4, "times": 2})

if __name__ == "__main__":
    main()
