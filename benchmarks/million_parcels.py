"""How the page of a season with a million parcels moves, and how fast its vector tiles come.

    python benchmarks/million_parcels.py demo --out benchmarks/results     of a finished demo (agrifm demo demo)

The map of the demo gets fields of 5 to 24 corners on 100 x 100 km. A server shows it, and an installed Chromium pans
and zooms for some seconds, once without and once with the parcels. The time between two pictures is what
requestAnimationFrame says. There is no graphics card: Chromium draws by software on the same cores as the server. So
the work of the page itself is measured beside it: the time that the callbacks of a picture hold the main thread, and
the tasks that hold it for more than 50 ms. A card shortens neither of the two; what it shortens is the rest.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import psutil
import pyarrow
import pyarrow.parquet
import shapely
from measure import DEMO, Command, table
from serve_latency import PARALLEL, get, started, tiles_of

sys.path.insert(0, str(Path(__file__).parents[1]))  # the driver of the browser is the tests'
from tests.browser import Browser

GROUP = 20_000
"""Parcels of a row group, as `agrifm parcels` writes them."""
SPACING = 100.0
"""Metres between the middles of fields."""
READY = "document.body?.dataset.ready === 'yes' && Boolean(window.agrifm?.map.loaded())"
MOVES = """new Promise((resolve) => {
  const map = window.agrifm.map, gaps = [], work = [], long = [];
  const request = window.requestAnimationFrame.bind(window);
  let before = performance.now(), going = true, spent = 0;
  window.requestAnimationFrame = (callback) => request((now) => {
    const start = performance.now();
    try { callback(now); } finally { spent += performance.now() - start; }
  });
  const tick = (now) => {
    gaps.push(now - before); work.push(spent); before = now; spent = 0;
    if (going) request(tick);
  };
  request((now) => { before = now; spent = 0; request(tick); });
  const tasks = new PerformanceObserver((list) => long.push(...list.getEntries().map((task) => task.duration)));
  tasks.observe({ type: "longtask" });
  const moves = [
    () => map.panBy([900, 0], { duration: 2000 }), () => map.panBy([0, 700], { duration: 2000 }),
    () => map.zoomTo(map.getZoom() + 1.5, { duration: 2000 }), () => map.panBy([-900, -500], { duration: 2000 }),
    () => map.zoomTo(map.getZoom() - 1.5, { duration: 2000 }), () => map.panBy([-900, 0], { duration: 2000 }),
  ];
  const next = () => {
    const move = moves.shift();
    if (!move) { going = false; return resolve(JSON.stringify({ gaps, work, long })); }
    map.once("moveend", next);
    move();
  };
  next();
})"""


def report(options: argparse.Namespace) -> Iterator[str]:
    """The server with so many parcels: first answer, tiles, a name, and frames of the page."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "season"
        directory.mkdir()
        for name in ("agrifm.toml", "map"):
            source = options.directory / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, directory / name)
        (directory / "parcels").mkdir()
        area = json.loads((options.directory / "map" / "item.json").read_text())["bbox"]
        write_parcels(directory / "parcels" / "parcels.parquet", options.parcels, area)
        with (directory / "agrifm.toml").open("a") as file:
            file.write('\n[parcels]\nfile = "parcels/parcels.parquet"\n')
        server, port, start = started(directory, Path(scratch) / "cache")
        try:
            process = psutil.Process(server.pid)
            yield f"{options.parcels:,} parcels; start to the first answer {start:.2f} s"
            seconds, content = get(port, "/season.json")
            lowest = json.loads(content)["outlines"]["minzoom"]
            yield f"what the page asks first: {seconds:.2f} s; outlines from zoom {lowest}"
            seconds, _ = get(port, f"/parcel?id=p{options.parcels - 1}")
            yield from (f"a parcel found by its name: {seconds:.2f} s", "")
            header = ("vector tiles", "requests", "median ms", "p95 ms", "goal", "median kB", "largest kB")
            yield from table(header, [tile_row(port, area, zoom, options.tiles) for zoom in range(lowest, 16)])
            yield f"memory of the server: {process.memory_info().rss / 1e6:.0f} MB"
            yield ""
            drawn, work = ("median ms", "p95 ms", "worst ms"), ("work p95 ms", "work worst ms")
            header = ("moving the page", "pictures", *drawn, *work, "tasks > 50 ms")
            yield from table(header, frame_rows(port, area, lowest, Path(scratch)))
        finally:
            server.terminate()
            server.wait()


def tile_row(port: int, area: list[float], zoom: int, count: int) -> tuple[object, ...]:
    """Latency and size of tiles of one zoom around the map."""
    west, south, east, north = area
    wide = (west - 0.2, south - 0.15, east + 0.2, north + 0.15)
    paths = [f"/parcels/{z}/{x}/{y}.mvt" for z, x, y in tiles_of(wide, zoom)]
    paths = list(islice(cycle(np.random.default_rng(0).permutation(paths).tolist()), count))
    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = list(pool.map(lambda path: get(port, path), paths))
    middle, late = np.percentile([seconds for seconds, _ in answers], (50, 95)) * 1000
    sizes = [len(content) / 1e3 for _, content in answers]
    return f"zoom {zoom}", count, f"{middle:.0f}", f"{late:.0f}", 400, f"{np.median(sizes):.0f}", f"{max(sizes):.0f}"


def frame_rows(port: int, area: list[float], lowest: int, scratch: Path) -> Iterator[tuple[object, ...]]:
    """Times between pictures while the page moves, without and with parcels."""
    lon, lat = (area[0] + area[2]) / 2, (area[1] + area[3]) / 2
    for name, shown in (("without parcels", 0), ("with parcels", 1)):
        with Browser(scratch, 1280, 900, draws_maps=True) as browser:
            link = f"#map={lowest + 0.2}/{lat:.5f}/{lon:.5f}&layer=classes&parcels={shown}"
            browser.open(f"http://127.0.0.1:{port}/{link}")
            browser.until(READY)
            time.sleep(1)
            found = json.loads(browser.run(MOVES))
            assert browser.complaints() == []
            if shown:
                count = "window.agrifm.map.queryRenderedFeatures({ layers: ['parcels-line'] }).length"
                name = f"with parcels, {browser.run(count):,} in view"
        gaps, work = found["gaps"], found["work"]
        drawn = *np.percentile(gaps, (50, 95)), max(gaps)
        held = float(np.percentile(work, 95)), max(work)
        yield name, len(gaps), *(f"{one:.0f}" for one in drawn), *(f"{one:.1f}" for one in held), len(found["long"])


def write_parcels(path: Path, count: int, area: list[float]) -> None:
    """Fields around the middle of an area, with the columns and the row groups of `agrifm parcels`."""
    side, generator = int(np.ceil(np.sqrt(count))), np.random.default_rng(0)
    lon, lat = (area[0] + area[2]) / 2, (area[1] + area[3]) / 2
    step = SPACING / 111_320 / np.cos(np.radians(lat)), SPACING / 111_320
    corners = ("xmin", "ymin", "xmax", "ymax")
    fields = [pyarrow.field("id", pyarrow.string()), pyarrow.field("geometry", pyarrow.binary())]
    fields += [pyarrow.field("bbox", pyarrow.struct([(corner, pyarrow.float32()) for corner in corners]))]
    fields += [pyarrow.field("crop:code", pyarrow.string()), pyarrow.field("agrifm:confidence", pyarrow.float32())]
    with pyarrow.parquet.ParquetWriter(path, pyarrow.schema(fields), compression="zstd") as writer:
        for first in range(0, count, GROUP):
            number = np.arange(first, min(first + GROUP, count))
            # Blocks of neighbours follow each other, as in files that are written district by district.
            middle = np.stack(
                [lon + (number % side - side / 2) * step[0], lat + (number // side - side / 2) * step[1]], 1
            )
            shapes = polygons(middle, np.array(step) * 0.45, generator)
            bounds = shapely.bounds(shapes).astype(np.float32)
            columns = [
                pyarrow.array([f"p{one}" for one in number]),
                pyarrow.array(shapely.to_wkb(shapes)),
                pyarrow.StructArray.from_arrays([pyarrow.array(edge) for edge in bounds.T], corners),
                pyarrow.array(["wheat"] * len(number)),
                pyarrow.array(np.full(len(number), 0.8, np.float32)),
            ]
            writer.write_table(pyarrow.table(columns, schema=pyarrow.schema(fields)))


def polygons(middle: np.ndarray, reach: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Fields (P,) of 5 to 24 corners around places (P, 2)."""
    corners = generator.integers(5, 25, len(middle))
    of_field = np.repeat(np.arange(len(middle)), corners)
    within = np.arange(len(of_field)) - np.r_[0, np.cumsum(corners)[:-1]][of_field]
    angle = 2 * np.pi * within / corners[of_field]
    far = generator.uniform(0.75, 1, len(angle))[:, None] * reach
    points = middle[of_field] + far * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.asarray(shapely.polygons(shapely.linearrings(points, indices=of_field)))


OPTIONS = {
    **DEMO,
    "--parcels": {"type": int, "default": 1_000_000, "help": "parcels of the file that is written for this"},
    "--tiles": {"type": int, "default": 240, "help": "requests of each zoom"},
}
main = Command(__doc__, report, OPTIONS, ("starlette", "uvicorn", "shapely", "pyarrow"))

if __name__ == "__main__":
    main()
