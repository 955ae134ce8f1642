"""What the page as files takes: time to write it, bytes by part and area, and what one click fetches.

python benchmarks/static_page.py demo --out benchmarks/results      of a finished demo (agrifm demo demo)
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from measure import DEMO, Command, table
from pmtiles.reader import MemorySource, Reader, all_tiles

from agrifm.serve.static_page import write_static_page


def report(options: argparse.Namespace) -> Iterator[str]:
    """Time, sizes and the blocks of a click."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        out = Path(scratch) / "page"
        process = psutil.Process()
        before, start = process.cpu_times(), time.perf_counter()
        summary = write_static_page(options.directory, out)
        wall, after = time.perf_counter() - start, process.cpu_times()
        used = after.user + after.system - before.user - before.system
        total = sum(summary.bytes_of.values())
        yield f"{summary.square_km:.1f} km², {summary.files} files, {total / 1e6:.1f} MB"
        yield f"written in {wall:.0f} s, {used:.0f} s of the processor: {used / summary.square_km:.1f} s for each km²"
        yield ""
        parts = sorted(summary.bytes_of.items(), key=lambda part: -part[1])
        rows = [(name, f"{size / 1e6:.1f}", f"{size / 1e6 / summary.square_km:.2f}") for name, size in parts]
        yield from table(("part", "MB", "MB for each km²"), rows)
        yield ""
        yield from table(("a click fetches", "blocks", "median kB", "largest kB"), list(block_rows(out)))


def block_rows(out: Path) -> Iterator[tuple[object, ...]]:
    """The sizes of blocks, by folder."""
    folders = [*sorted((out / "series").iterdir()), out / "pixels"]
    for folder in (one for one in folders if one.is_dir()):
        sizes = []
        for path in folder.glob("*.pmtiles"):
            source = MemorySource(path.read_bytes())
            assert Reader(source).header()["tile_type"].value == 0
            sizes += [len(content) for _, content in all_tiles(source)]
        yield folder.name, len(sizes), f"{np.median(sizes) / 1e3:.0f}", f"{max(sizes) / 1e3:.0f}"


OPTIONS = {**DEMO, "--scratch": {"type": Path, "default": None, "help": "where the page is written for a while"}}
main = Command(__doc__, report, OPTIONS, ("pmtiles", "pillow", "rasterio", "zarr"))

if __name__ == "__main__":
    main()
