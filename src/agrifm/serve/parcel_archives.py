"""Parcels as files of a page without a server: outlines as vector tiles, columns by tile, and tiles by name.

    parcels.pmtiles         outlines (Mapbox Vector Tiles, layer "parcels"), written by GDAL
    parcel-rows.pmtiles     for each tile of zoom `ROWS_ZOOM` the parcels that touch it, as JSON compressed by gzip
    parcel-series.pmtiles   for each such tile the mean series of the parcels whose middle it has, in the same way
    parcel-names/N.json     the place of each name, in the file of its hash

Shape letters: P parcels.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from agrifm.errors import ServeError, doing
from agrifm.files import atomic_write, finite_or_none, write_bytes
from agrifm.serve.parcel_outlines import DEEPEST, MANY, VECTOR_LAYER, outline_zoom
from agrifm.serve.parcel_views import DECIMALS, MOST_PARCELS, ParcelViews
from agrifm.serve.tile_archives import Tile, in_order, write_archive
from agrifm.serve.tile_places import tiles_of

ROWS_ZOOM = 15
"""Zoom of the tiles that have the columns of their parcels: about 0.7 km² at 47 degrees north."""
AT_A_TIME = 200
"""Tiles whose parcels are read at a time."""
NAMES = 500
"""Names in a file, on average."""
FNV_OFFSET, FNV_PRIME = 2166136261, 16777619
"""Of the hash FNV-1a (Fowler, Noll, Vo; RFC 9923), 32 bits."""


def stated_parcels(parcels: ParcelViews) -> dict[str, int]:
    """What the page is to know of the files."""
    lowest = outline_zoom(parcels.edges())
    return {"minzoom": lowest, "maxzoom": DEEPEST, "rows_zoom": ROWS_ZOOM, "name_files": name_files(parcels.count)}


def name_files(count: int) -> int:
    """The number of files with the names of so many parcels."""
    return max(1, round(count / NAMES))


def write_outlines(parcels: ParcelViews, path: Path) -> int:
    """Write the outlines as vector tiles, with row, name and class code; returns the number of parcels.

    Raises:
        ServeError: the file of parcels is damaged, or GDAL cannot write tiles.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile
    from pyogrio import write_arrow

    def batches(file: Any) -> Iterator[Any]:
        first = 0
        for batch in file.iter_batches(columns=["geometry", "id", "crop:code"]):
            row = pyarrow.array(np.arange(first, first + len(batch)), pyarrow.int64())
            first += len(batch)
            columns = [_valid(batch["geometry"]), row, batch["id"], batch["crop:code"]]
            yield pyarrow.RecordBatch.from_arrays(columns, names=["geometry", "row", "id", "code"])

    with (
        atomic_write(path) as temporary,
        doing(f"writing the outlines of {parcels.path.name}", ServeError, path=path),
        ParquetFile(parcels.path) as file,
    ):
        found = {name: file.schema_arrow.field(name).type for name in ("geometry", "id", "crop:code")}
        types = {"geometry": found["geometry"], "row": pyarrow.int64(), "id": found["id"], "code": found["crop:code"]}
        reader = pyarrow.RecordBatchReader.from_batches(pyarrow.schema(list(types.items())), batches(file))
        zooms = {"MINZOOM": outline_zoom(parcels.edges()), "MAXZOOM": DEEPEST}
        write_arrow(
            reader,
            temporary,
            driver="PMTiles",
            layer=VECTOR_LAYER,
            geometry_name="geometry",
            geometry_type="MultiPolygon",
            crs="EPSG:4326",
            dataset_options={**zooms, "NAME": VECTOR_LAYER, "MAX_FEATURES": MANY * MOST_PARCELS, "MAX_SIZE": 5_000_000},
        )
    return int(parcels.count)


def _valid(geometry: Any) -> Any:
    """Polygons as WKB, those that cross themselves mended: GDAL would leave them out of some tiles."""
    import pyarrow

    shapes = shapely.from_wkb(geometry.to_numpy(zero_copy_only=False))
    crossed = ~shapely.is_valid(shapes)
    if not crossed.any():
        return geometry
    shapes[crossed] = shapely.make_valid(shapes[crossed], method="structure", keep_collapsed=False)
    return pyarrow.array(shapely.to_wkb(shapes), geometry.type)


def write_rows(parcels: ParcelViews, path: Path) -> int:
    """Write what is known of each parcel, by tile; returns the number of tiles.

    Raises:
        ServeError: the file of parcels is damaged.
    """
    edges = parcels.edges()
    rows_of: dict[Tile, list[int]] = {}
    for row, box in enumerate(edges.tolist()):
        for tile in tiles_of(box, ROWS_ZOOM):
            rows_of.setdefault(tile, []).append(row)
    order = in_order(rows_of)

    def contents() -> Iterator[tuple[Tile, bytes]]:
        for start in range(0, len(order), AT_A_TIME):
            part = order[start : start + AT_A_TIME]
            rows = np.unique(np.concatenate([rows_of[tile] for tile in part]))
            known = {one["row"]: one for one in parcels.rows(rows, DECIMALS)}
            for row, one in known.items():
                one["series_tile"] = middle_tile(edges[row].tolist())[1:]
            for tile in part:
                text = json.dumps(finite_or_none([known[row] for row in rows_of[tile]]), separators=(",", ":"))
                yield tile, gzip.compress(text.encode(), mtime=0)

    west, south = edges[:, :2].min(axis=0).tolist()
    east, north = edges[:, 2:].max(axis=0).tolist()
    return write_archive(path, contents(), "UNKNOWN", (west, south, east, north))


def middle_tile(box: Sequence[float]) -> Tile:
    """The tile of `ROWS_ZOOM` that has the middle of a box (west, south, east, north in degrees)."""
    west, south, east, north = box
    middle = ((west + east) / 2, (south + north) / 2)
    return tiles_of((*middle, *middle), ROWS_ZOOM)[0]


def write_names(parcels: ParcelViews, folder: Path) -> int:
    """Write the place of each name, in files by the names' hash; returns the number of files.

    Raises:
        ServeError: the file of parcels is damaged.
    """
    count = name_files(parcels.count)
    files: list[dict[str, list[float]]] = [{} for _ in range(count)]
    for first in range(0, parcels.count, AT_A_TIME * NAMES):
        for found in parcels.rows(np.arange(first, min(first + AT_A_TIME * NAMES, parcels.count))):
            name = str(found["columns"]["id"])
            files[hashed(name) % count].setdefault(name, found["inside"])
    folder.mkdir(parents=True, exist_ok=True)
    for number, names in enumerate(files):
        write_bytes(folder / f"{number}.json", json.dumps(names, separators=(",", ":")).encode())
    return count


def hashed(name: str) -> int:
    """FNV-1a of a name in UTF-8, 32 bits."""
    value = FNV_OFFSET
    for byte in name.encode():
        value = (value ^ byte) * FNV_PRIME % 2**32
    return value
