"""How fast `agrifm serve` starts and answers: the first picture, tiles at 8 parallel requests.

    python benchmarks/serve_latency.py demo --out benchmarks/results      of a finished demo (agrifm demo demo)
    python benchmarks/serve_latency.py demo --tiles 400                   more tiles

The server is a process of its own. Latency is what a client waits, with everything else that the machine does;
processor time is that of the server alone, by request. Every tile is asked for once, so nothing is answered from a
browser's cache.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice, product
from pathlib import Path

import numpy as np
import psutil
from measure import DEMO, Command, table

from agrifm.page_address import LOOPBACK
from agrifm.serve.run import open_port

PARALLEL = 8
ZOOMS = (12, 13, 14, 15)
GOALS = {"map": 150, "true colour": 400, "NDVI of months": 400, "NDVI of the season": 400}
"""Milliseconds for 95 of 100 tiles."""
LONGEST = 120
"""Seconds to wait for composites."""


def get(port: int, path: str) -> tuple[float, bytes]:
    """Seconds until an answer is complete, and the answer."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    assert response.status == 200, (path, response.status)
    return time.perf_counter() - start, content


def tiles_of(bounds: Sequence[float], zoom: int) -> list[tuple[int, int, int]]:
    """Zoom, column and row of the tiles of an area in degrees (OpenStreetMap's wiki, Slippy map tilenames)."""
    west, south, east, north = bounds
    rows = [(1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom for lat in (north, south)]
    cols = [(lon + 180) / 360 * 2**zoom for lon in (west, east)]
    return [
        (zoom, x, y) for x, y in product(range(int(cols[0]), int(cols[1]) + 1), range(int(rows[0]), int(rows[1]) + 1))
    ]


def started(directory: Path, cache: Path) -> tuple[subprocess.Popen[bytes], int, float]:
    """A server that keeps composites in a folder, its port, and the seconds until it answered."""
    with open_port(LOOPBACK, 0) as probe:
        port = probe.getsockname()[1]
    start = time.perf_counter()
    command = [sys.executable, "-m", "agrifm", "serve", str(directory), "--port", str(port)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    while True:
        try:
            get(port, "/")
            return server, port, time.perf_counter() - start
        except ConnectionRefusedError:
            assert server.poll() is None, "the server ended"
            time.sleep(0.02)


def report(options: argparse.Namespace) -> Iterator[str]:
    """Start, first picture, tiles; a second start, whose composites are kept."""
    with tempfile.TemporaryDirectory() as cache:
        yield from _of_a_server(options, Path(cache))
        yield from ("", "started again, with the composites that are kept")
        yield from _of_a_server(options, Path(cache), again=True)


def _of_a_server(options: argparse.Namespace, cache: Path, again: bool = False) -> Iterator[str]:
    server, port, start = started(options.directory, cache)
    begun = time.perf_counter()
    header = ("tiles", "requests", "median ms", "p95 ms", "goal", "processor ms")
    try:
        process = psutil.Process(server.pid)
        if not again:
            yield f"start to the first answer: {start:.2f} s, {_processor(process):.2f} s of the processor"
            yield from ("", *first_picture(port), "")
            yield from table(header, tile_rows(port, process, options, dates=True))
            while not list(cache.rglob("[!.]*.npy")) and time.perf_counter() - begun < LONGEST:
                time.sleep(0.1)
            yield f"composites kept {time.perf_counter() - begun:.0f} s after the start"
        yield from table(header, tile_rows(port, process, options, dates=False))
        yield f"memory of the server: {process.memory_info().rss / 1e6:.0f} MB"
    finally:
        server.terminate()
        server.wait()


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def first_picture(port: int) -> Iterator[str]:
    """The page, what it asks first, and the tiles of its first view, as a browser fetches them."""
    start = time.perf_counter()
    _, page = get(port, "/")
    names = ("maplibre-gl.css", "page.css", "main.js", "maplibre-gl.mjs", "maplibre-gl-worker.mjs")
    _, content = get(port, "/season.json")
    season = json.loads(content)
    imagery = season["imagery"][0]
    paths = [f"/web/{name}" for name in names]
    for z, x, y in tiles_of(season["bounds"], 13):
        paths += [f"/layers/classes/{z}/{x}/{y}.png"]
        paths += [f"/imagery/{imagery['key']}/true-colour/{len(imagery['dates']) // 2}/{z}/{x}/{y}.png"]
    with ThreadPoolExecutor(PARALLEL) as pool:
        size = sum(len(answer) for _, answer in pool.map(lambda path: get(port, path), paths))
    seconds = time.perf_counter() - start
    yield f"first picture: {seconds:.2f} s for {len(paths) + 2} answers, {(size + len(page)) / 1e6:.1f} MB (goal 1 s)"


def tile_rows(
    port: int, process: psutil.Process, options: argparse.Namespace, dates: bool
) -> Iterator[tuple[object, ...]]:
    """A row for each kind of tile: those of the map and of dates, or those of composites."""
    season = json.loads(get(port, "/season.json")[1])
    places = [place for zoom in ZOOMS for place in tiles_of(season["bounds"], zoom)]
    imagery = season["imagery"][0]
    asked = (
        {}
        if not dates
        else {
            "map": [f"/layers/classes/{z}/{x}/{y}.png" for z, x, y in places],
            "true colour": [
                f"/imagery/{imagery['key']}/true-colour/{frame}/{z}/{x}/{y}.png"
                for frame, (z, x, y) in zip(cycle(range(len(imagery["dates"]))), places, strict=False)
            ],
            "NDVI": [
                f"/imagery/{imagery['key']}/ndvi/{len(imagery['dates']) // 2}/{z}/{x}/{y}.png" for z, x, y in places
            ],
        }
    )
    for name, one in () if dates else (("NDVI of months", "monthly"), ("NDVI of the season", "season")):
        found = next((other for other in season["imagery"] if other["key"] == f"{imagery['key']}-{one}"), None)
        if found is not None:
            asked[name] = [
                f"/imagery/{found['key']}/ndvi-median/{frame}/{z}/{x}/{y}.png"
                for frame, (z, x, y) in product(range(len(found["dates"])), places)
                if z >= found["minzoom"]
            ]
    for name, paths in asked.items():
        paths = list(islice(cycle(paths), options.tiles))
        before = _processor(process)
        with ThreadPoolExecutor(PARALLEL) as pool:
            seconds = [wait for wait, _ in pool.map(lambda path: get(port, path), paths)]
        used = (_processor(process) - before) / len(paths)
        middle, late = np.percentile(seconds, (50, 95)) * 1000
        yield name, len(paths), f"{middle:.0f}", f"{late:.0f}", GOALS.get(name, "-"), f"{1000 * used:.1f}"


OPTIONS = {
    **DEMO,
    "--tiles": {"type": int, "default": 240, "help": "requests of each kind"},
}
main = Command(__doc__, report, OPTIONS, ("starlette", "uvicorn", "rasterio", "zarr"))

if __name__ == "__main__":
    main()
