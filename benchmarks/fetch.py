"""Seconds and requests per file from a server with latency: this package's reader, whole files, and odc-stac.

A server on this machine, in a process of its own, waits before every answer. Each reader reads the same window of
every file and must find the same pixels. odc-stac is compared if it is installed (by hand: `pip install odc-stac`).

    python benchmarks/fetch.py --out benchmarks/results
"""

import argparse
import importlib.util
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import rasterio
from affine import Affine
from measure import Command, table, turns
from tests.servers import Request, files_in, serving

from agrifm.grid import Grid, Window
from agrifm.scene import remote_raster
from agrifm.scene.products import find_product
from agrifm.scene.read import read_asset
from agrifm.scene.scene import RemoteAsset, Scene

CRS, LEFT, TOP = "EPSG:32631", 480_000, 5_520_000
TILE = 512
Read = Callable[[str, list[str], Grid], list[np.ndarray]]


def write_files(directory: Path, files: int, side: int) -> Grid:
    """Cloud-optimised GeoTIFFs of smooth ground and noise, 10 m; returns their grid."""
    grid = Grid.of(CRS, Affine(10, 0, LEFT, 0, -10, TOP), (side, side))
    row, col = np.indices((side, side))
    profile = {"driver": "COG", "blocksize": TILE, "compress": "DEFLATE", "predictor": "YES", "overviews": "NONE"}
    for number in range(files):
        noise = np.random.default_rng(number).integers(0, 200, (side, side))
        values = (2000 + row + col // 2 + noise).astype(np.uint16)
        path = directory / f"{number:03d}.tif"
        profile |= {"width": side, "height": side, "count": 1, "dtype": "uint16"}
        with rasterio.open(path, "w", **profile, crs=CRS, transform=grid.transform) as file:
            file.write(values, 1)
    return grid


def serve(directory: Path, latency: float, addresses: Any) -> None:
    """Serve a directory until the process is ended; /count returns the number of requests since its last answer."""
    files = files_in(directory)
    requests = [0]

    def answer(request: Request) -> tuple[int, dict[str, str], bytes]:
        if request.path == "/count":
            count, requests[0] = requests[0], 0
            return 200, {}, str(count).encode()
        requests[0] += 1
        return files(request)

    with serving(answer, latency) as server:
        addresses.put(server.url)
        time.sleep(3600)


def ours(threads: int) -> Read:
    """This package's reader, several files at once."""
    product = find_product("sentinel-2-c1-l2a")

    def read(url: str, names: list[str], grid: Grid) -> list[np.ndarray]:
        remote_raster._HEADS = remote_raster._Heads()  # forget the files that were opened before
        scenes = [
            Scene(name, product, date(2024, 5, 1), {"red": RemoteAsset(f"{url}/{name}")}, url, baseline="05.10")
            for name in names
        ]
        with ThreadPoolExecutor(threads) as executor:
            return list(executor.map(lambda scene: read_asset(scene, "red", "B04", grid, "bilinear", 0), scenes))

    return read


def whole_files(url: str, names: list[str], grid: Grid) -> list[np.ndarray]:
    """Every file downloaded whole, 8 at once, then read from memory."""

    def download(name: str) -> np.ndarray:
        with urlopen(f"{url}/{name}") as answer, rasterio.MemoryFile(answer.read()) as file, file.open() as source:
            return np.asarray(source.read(1, window=source.window(*grid.bounds)))

    with ThreadPoolExecutor(8) as executor:
        return list(executor.map(download, names))


def odc(url: str, names: list[str], grid: Grid) -> list[np.ndarray]:
    """odc-stac, 8 threads, without directory listings."""
    import odc.stac
    import pystac

    odc.stac.configure_rio(cloud_defaults=True)
    outline = grid.footprint()
    items = []
    for number, name in enumerate(names):
        item = pystac.Item(name, outline.__geo_interface__, list(outline.bounds), datetime(2024, 1, 1 + number), {})
        item.collection_id = "made"
        item.add_asset("red", pystac.Asset(f"{url}/{name}", media_type="image/tiff", roles=["data"]))
        items.append(item)
    bands = {"made": {"assets": {"red": {"data_type": "uint16", "nodata": 0}}}}
    loaded = odc.stac.load(items, bands=["red"], geobox=grid.box, stac_cfg=bands, pool=8, fail_on_error=True)
    return list(loaded.red.values)


def compare(options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Seconds (median of rounds in turn) and requests per file of each reader."""
    readers: dict[str, Read] = {f"agrifm, {threads} threads": ours(threads) for threads in (1, 2, 4, 8, 16)}
    readers["whole files, 8 threads"] = whole_files
    if importlib.util.find_spec("odc.stac") is not None:
        readers["odc-stac, pool of 8"] = odc
    with tempfile.TemporaryDirectory() as name:
        directory, start = Path(name), (options.side - options.window) // 2
        whole = write_files(directory, options.files, options.side)
        grid = whole.window(Window(start, start, options.window, options.window))
        names = sorted(path.name for path in directory.glob("*.tif"))
        expected = whole_files(f"file://{directory}", names, grid)
        context = multiprocessing.get_context("spawn")
        addresses = context.Queue()
        server = context.Process(target=serve, args=(directory, options.latency, addresses), daemon=True)
        server.start()
        url = addresses.get(timeout=120)
        requests: dict[str, float] = {}

        def run(reader: str) -> None:
            urlopen(f"{url}/count").read()
            planes = readers[reader](url, names, grid)
            requests[reader] = int(urlopen(f"{url}/count").read()) / options.files
            assert all((plane == right).all() for plane, right in zip(planes, expected, strict=True)), reader

        try:
            runs = {reader: partial(run, reader) for reader in readers}
            seconds = turns(runs, options.rounds, time.perf_counter)
        finally:
            server.terminate()
            server.join()
    return {reader: (statistics.median(seconds[reader]), requests[reader]) for reader in readers}


def report(options: argparse.Namespace) -> Iterator[str]:
    """A line for each reader."""
    readers = compare(options)
    latency = f"{options.latency * 1000:.0f} ms before every answer"
    yield f"GDAL {rasterio.__gdal_version__}; {latency}; medians of {options.rounds} rounds in turn"
    yield f"{options.files} files of {options.side} pixels a side, of each a window of {options.window}"
    rows = [(reader, f"{seconds:.2f}", f"{requests:.1f}") for reader, (seconds, requests) in readers.items()]
    yield from table(("reader", "seconds", "requests per file"), rows)


OPTIONS = {
    "--files": {"type": int, "default": 24},
    "--side": {"type": int, "default": 2048, "help": "pixels"},
    "--window": {"type": int, "default": 960, "help": "pixels"},
    "--latency": {"type": float, "default": 0.02, "help": "seconds"},
    "--rounds": {"type": int, "default": 3},
}
QUICK = {"files": 3, "side": 1024, "window": 300, "latency": 0.0, "rounds": 1}
main = Command(__doc__, report, OPTIONS, ("rasterio", "urllib3", "odc-stac"), QUICK)

if __name__ == "__main__":
    main()
