"""A cube in an object store: requests, megabytes and seconds to publish it, to add a date, and to read it there.

The store is moto's S3 server in this process, so seconds are mostly moto's and show orders of magnitude; requests and
bytes are those that any store gets. The cube has two bands of noise, which does not compress, and one sensor.

    python benchmarks/object_store.py --side 960 --frames 6 --out benchmarks/results
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from measure import Command, table
from tests.object_server import BUCKET, ObjectServer, serving_objects

from agrifm.cube.store import Cube, create_root, create_sensor, finish_store, open_cube, open_group
from agrifm.files import MARKER, write_json
from agrifm.grid import LONLAT, Grid, Window, reproject
from agrifm.object_store import ObjectPath
from agrifm.publishing import publishing
from agrifm.record import SensorInput
from agrifm.season import Season


def write_noise(path: Path, side: int, frames: int) -> Cube:
    """A finished cube of one sensor: `frames` dates, two bands, `side` x `side` pixels of 10 m."""
    grid = Grid.of("EPSG:32631", Affine(10, 0, 480_000, 0, -10, 5_520_000), (side, side))
    season = Season(date(2024, 3, 1), date(2024, 9, 30))
    root = create_root(path, season, reproject(grid.footprint(), str(grid.crs), LONLAT))
    content = SensorInput(
        sensor="sentinel-2", bands=("red", "nir"), quantity="surface reflectance", scale=1e-4, resolution=10
    )
    days = [season.start + timedelta(days=5 * frame) for frame in range(frames)]
    group = create_sensor(root, content, grid, days, None)
    for frame in range(frames):
        rng = np.random.default_rng(frame)
        group["values"][frame] = rng.integers(100, 6000, (2, side, side))
        group["valid"][frame] = rng.random((side, side)) < 0.8
    finish_store(open_group(path), {"plan": f"{frames}", "sensors": {"sentinel-2": {"frames": []}}})
    write_json(path / MARKER, {"kind": "cube"})
    return open_cube(path)


def report(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the result."""
    side, frames = options.side, options.frames
    with tempfile.TemporaryDirectory() as folder, serving_objects() as server:
        os.environ.update(server.environment)
        address = ObjectPath(BUCKET, "cube.zarr")
        first = write_noise(Path(folder, "first.zarr"), side, frames)
        more = write_noise(Path(folder, "more.zarr"), side, frames + 1)
        megabytes = sum(file.stat().st_size for file in first.directory.rglob("*") if file.is_file()) / 1e6
        yield ""
        yield f"{side} x {side} pixels, {frames} dates, 2 bands: {megabytes:.1f} MB"
        patch = Window(0, 0, min(96, side), min(96, side))
        read: dict[str, Callable[[Cube], Any]] = {
            "read a patch through time": lambda cube: cube.sensors["sentinel-2"].read(patch),
            "read all pixels": lambda cube: cube.sensors["sentinel-2"].read(Window(0, 0, side, side)),
        }
        steps: dict[str, tuple[Callable[[], Any], Callable[[], Any] | None]] = {
            "publish it": (lambda: publish(first, address), None),
            "publish it again": (lambda: publish(first, address), None),
            "publish one date more": (lambda: publish(more, address), None),
            "open": (lambda: open_cube(address), lambda: open_cube(more.path)),
        }
        rows = [row(name, server, *both) for name, both in steps.items()]
        there = open_cube(address)
        rows += [
            row(name, server, lambda do=do: do(there), lambda do=do: do(more))  # type: ignore[misc]  # mypy infers no lambda with defaults
            for name, do in read.items()
        ]
        yield from table(("", "requests", "MB sent", "MB received", "seconds", "seconds on disk"), rows)


def publish(cube: Cube, address: ObjectPath) -> None:
    """Publish a cube."""
    with publishing(cube.directory, address, "cube") as result:
        result.publish()


def row(name: str, server: ObjectServer, do: Callable[[], Any], on_disk: Callable[[], Any] | None) -> list[str]:
    """What a step costs, in the store and on disk."""
    server.requests.clear()
    server.sent_bytes = server.received_bytes = 0
    seconds = timed(do)
    local = "" if on_disk is None else f"{timed(on_disk):.3f}"
    counts = f"{len(server.requests)}", f"{server.sent_bytes / 1e6:.2f}", f"{server.received_bytes / 1e6:.2f}"
    return [name, *counts, f"{seconds:.3f}", local]


def timed(do: Callable[[], Any]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


main = Command(
    __doc__,
    report,
    {"--side": {"type": int, "default": 960}, "--frames": {"type": int, "default": 6}},
    ("zarr", "obstore", "moto"),
    {"side": 96, "frames": 2},
)

if __name__ == "__main__":
    main()
