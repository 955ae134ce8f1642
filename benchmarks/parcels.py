"""Parcels answered per second from a finished map, and peak memory, from a file that is many times larger.

A synthetic map (10 m, 9 classes) and synthetic parcels of about a hectare, ten corners each, written row by row of the
map as fiboa GeoParquet with bounds. A map covers the north-western part of the land; its parcels are found by the
statistics of the row groups. Each run is a process of its own whose peak memory (resident, libraries
included) is measured; memory must not grow with the parcels. Seconds are those of the processor, of one process, and
those of the clock, which other programs on the machine lengthen. The last lines compare the exact shares of pixels with
those of the library exactextract, if it is installed, and with a loop over shapely's intersections.

    python benchmarks/parcels.py --parcels 50000 400000 --file 5000000 --out benchmarks/results
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import shapely
from affine import Affine
from measure import Command, own_process, table
from pyproj import Transformer

from agrifm.config import ParcelsConfig
from agrifm.grid import LONLAT, Grid, Window, tiles
from agrifm.legend import LEGEND_TAG, Legend, legend_json
from agrifm.mapping.cog import TILE_SIDE, CogWriter
from agrifm.mapping.parcels import map_parcels
from agrifm.pixel_fractions import pixel_fractions

CLASSES = 9
STEP = 15
"""Pixels from one parcel to the next, along rows and columns: 2.25 hectares of ground for each."""
ROW_GROUP = 8192
"""Rows of a row group, as in the parcels of Fields of the World."""
UTM = "EPSG:32631"
CORNER = (480_000, 5_520_000)


def map_side(parcels: int) -> int:
    """Side in pixels of the map that so many parcels cover."""
    return ceil(sqrt(parcels)) * STEP


def write_map(path: Path, parcels: int) -> None:
    """The probabilities, observations and area of a map of noise in patches of 160 m."""
    side = map_side(parcels)
    grid = Grid.of(UTM, Affine(10, 0, CORNER[0], 0, -10, CORNER[1]), (side, side))
    legend = Legend.of([f"crop{number}" for number in range(CLASSES)])
    tags = {"AGRIFM_MODEL": "noise", LEGEND_TAG: legend_json(legend)}
    path.mkdir()
    with (
        CogWriter(path / "probabilities.tif", grid, legend.codes, tags, "NEAREST") as classes,
        CogWriter(path / "observations.tif", grid, "usable observations", tags, "NEAREST") as counts,
    ):
        for tile in tiles(grid.shape, TILE_SIDE):
            classes.write(tile, patches(tile))
            counts.write(tile, np.full((tile.height, tile.width), 20, np.uint8))
    classes.finish()
    counts.finish()
    (path / "item.json").write_text(json.dumps({"geometry": shapely.geometry.mapping(grid.footprint())}))


def patches(tile: Window) -> Any:
    """Probabilities (C, H, W) of a tile as bytes, of which 250 is 1."""
    share = np.random.default_rng([tile.row, tile.col]).dirichlet(np.full(CLASSES, 0.3), (32, 32))
    stored = np.rint(250 * np.moveaxis(share, -1, 0)).astype(np.uint8)
    return stored.repeat(16, 1).repeat(16, 2)[:, : tile.height, : tile.width]


def write_parcels(path: Path, across: int, rows: int) -> None:
    """A file of so many parcels, row by row of land on which so many fit from west to east."""
    to_degrees = Transformer.from_crs(UTM, LONLAT, always_xy=True)
    corners = ("xmin", "ymin", "xmax", "ymax")
    bounds = pyarrow.struct([(corner, pyarrow.float32()) for corner in corners])
    about = {"encoding": "WKB", "geometry_types": ["Polygon"]}
    about["covering"] = {"bbox": {corner: ["bbox", corner] for corner in corners}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
    fields = [("id", pyarrow.string()), ("geometry", pyarrow.binary()), ("bbox", bounds)]
    schema = pyarrow.schema(fields, {"geo": json.dumps(geo)})
    rng = np.random.default_rng(0)
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, rows, ROW_GROUP):
            number = np.arange(first, min(first + ROW_GROUP, rows))
            count = len(number)
            middle = np.stack([number % across, number // across], axis=-1) * STEP + STEP / 2
            angle = (np.arange(10) + rng.uniform(0.1, 0.9, (count, 10))) * np.pi / 5
            radius = rng.uniform(4.5, 7.4, (count, 10, 1))
            pixels = middle[:, None] + radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
            x, y = CORNER[0] + 10 * pixels[..., 0], CORNER[1] - 10 * pixels[..., 1]
            shapes = shapely.polygons(np.stack(to_degrees.transform(x, y), axis=-1))
            edges = [pyarrow.array(edge, pyarrow.float32()) for edge in shapely.bounds(shapes).T]
            boxes = pyarrow.StructArray.from_arrays(edges, names=list(corners))
            names = pyarrow.array([f"p{one}" for one in number])
            writer.write_table(pyarrow.Table.from_arrays([names, shapely.to_wkb(shapes), boxes], schema=schema))


def answer(file: Path, maps: Path, out: Path) -> dict[str, float]:
    """Run the command; what it took, and what it found."""
    clock, processor = time.perf_counter(), time.process_time()
    summary = map_parcels(ParcelsConfig(file=file), maps, out)
    seconds = {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}
    hectares = sum(summary.hectares.values())
    return {**seconds, "parcels": summary.parcels, "rows": summary.rows, "hectares": hectares}


def runs(folder: Path, counts: list[int], rows: int) -> Iterator[list[str]]:
    """A row for each number of parcels."""
    file = folder / "parcels.parquet"
    write_parcels(file, map_side(max(counts)) // STEP, max(rows, *counts))
    for number, parcels in enumerate(counts):
        maps = folder / f"map{number}"
        write_map(maps, parcels)
        done = own_process(answer, file, maps, folder / f"out{number}")
        found = done.result
        assert parcels <= found["parcels"] <= 1.01 * parcels + 1000, found
        size = (folder / f"out{number}" / "parcels.parquet").stat().st_size
        yield [
            f"{found['rows']:,}",
            f"{found['parcels']:,}",
            f"{found['hectares'] / found['parcels']:.2f}",
            f"{found['processor']:.1f}",
            f"{found['clock']:.1f}",
            f"{found['parcels'] / found['processor']:,.0f}",
            f"{found['parcels'] / found['clock']:,.0f}",
            f"{done.peak_bytes / 1e9:.3f}",
            f"{size / 1e6:.0f}",
        ]


def shares(count: int) -> Iterator[list[str]]:
    """Parcels per processor second of three ways to the exact shares of pixels."""
    rng = np.random.default_rng(0)
    transform = Affine(10, 0, 0, 0, -10, 20_000)
    angle = (np.arange(10) + rng.uniform(0.1, 0.9, (count, 10))) * np.pi / 5
    middle, radius = rng.uniform(200, 19_800, (count, 1, 2)), rng.uniform(45, 74, (count, 10, 1))
    shapes = shapely.polygons(middle + radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    start = time.process_time()
    for first in range(0, count, 2000):
        pixel_fractions(shapes[first : first + 2000], transform)
    yield ["agrifm", f"{count / (time.process_time() - start):,.0f}"]
    if find_spec("exactextract"):
        yield ["exactextract", f"{count / exactextract_seconds(shapes):,.0f}"]
    few = shapes[:100]
    start = time.process_time()
    for shape in few:
        west, south, east, north = shape.bounds
        columns, lines = np.arange(west // 10, east // 10 + 1) * 10, np.arange(south // 10, north // 10 + 1) * 10
        pixels = [shapely.box(x, y, x + 10, y + 10) for x in columns for y in lines]
        shapely.area(shapely.intersection(pixels, shape))
    yield ["shapely, pixel by pixel", f"{len(few) / (time.process_time() - start):,.0f}"]


def exactextract_seconds(shapes: Any) -> float:
    """Processor seconds that exactextract needs for the same shares."""
    import geopandas
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    frame = geopandas.GeoDataFrame({"number": range(len(shapes))}, geometry=shapes, crs=UTM)
    source = NumPyRasterSource(np.zeros((2000, 2000), np.uint8), 0, 0, 20_000, 20_000, srs_wkt=frame.crs.to_wkt())
    start = time.process_time()
    exact_extract(source, frame, ["cell_id", "coverage"], output="pandas")
    return time.process_time() - start


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the result."""
    header = [
        "rows of the file", "parcels", "mean ha", "processor s", "clock s", "parcels per processor s",
        "parcels per clock s", "peak GB", "output MB",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        yield from table(header, runs(Path(folder), options.parcels, options.file), left=())
    yield ""
    yield f"exact shares of pixels, {options.shares:,} parcels of a hectare, one core"
    yield from table(["way", "parcels per processor s"], shares(options.shares))


main = Command(
    __doc__,
    report,
    {
        "--parcels": {"type": int, "nargs": "+", "default": [50_000, 400_000], "help": "on the map, of each run"},
        "--file": {"type": int, "default": 5_000_000, "help": "rows of the file"},
        "--shares": {"type": int, "default": 20_000, "help": "parcels of the comparison of shares"},
        "--scratch": {"type": Path, "help": "folder for temporary files"},
    },
    ("pyarrow", "shapely", "rasterio"),
    {"parcels": [300], "file": 900, "shares": 300},
)

if __name__ == "__main__":
    main()
