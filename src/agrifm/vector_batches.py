"""Polygons of a file of any size, batch by batch, within a box.

GeoParquet is read by row groups: those whose statistics are outside the box are skipped, by the columns that its
`covering` metadata names or by a column `bbox` (as fiboa has it). Other formats are read by GDAL, which uses their
spatial index. A batch has at most `BATCH_ROWS` rows, so memory does not grow with the file.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.errors import AgriFMError, VectorError
from agrifm.grid import LONLAT
from agrifm.vector_files import PREFIXES, USABLE, codec_of, layer_of, staged_file, vector_format
from agrifm.vector_shapes import VectorLayer, sort_out
from agrifm.vectors import VectorKeys, parsed_crs, placed, reading_vector

if TYPE_CHECKING:
    import pyproj
    from geopandas import GeoDataFrame

BATCH_ROWS = 20_000
"""Most rows in memory at once."""
FIRST_ROWS = 1000
"""Rows by which the file's CRS is compared with its numbers."""
BY_GDAL = ("GPKG", "ESRI Shapefile", "FlatGeobuf", "GeoJSON", "GeoJSONSeq", "OpenFileGDB")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
FLOAT32 = 1e-6
"""Relative error of corners that are kept in 32 bits, as fiboa has them."""
ROW = "row"
"""Column of the number of each row in the file: from 0, or the one by which a GeoPackage knows it, from 1."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class BatchUnit:
    """A part of a file that is read by itself: a row group of Parquet, or rows within the box."""

    file: Path
    number: int
    """Of the row group, or of the first row among those within the box."""
    first: int
    """Number of the first row in the file, counted on from the files before; 0 if GDAL counts the rows."""
    rows: int


@dataclass(frozen=True)
class VectorBatches:
    """An open file of polygons, or several of one kind."""

    found: str
    """The format."""
    layer: str | None
    encoding: str | None
    crs: str
    """As WKT."""
    box: Box | None
    """In the CRS; None reads everything."""
    columns: tuple[str, ...]
    """Names of the columns, without the geometry."""
    rows: int
    """Rows in all files, within the box or not."""
    units: tuple[BatchUnit, ...]

    def read(self, unit: BatchUnit, columns: Sequence[str]) -> Iterator[VectorLayer]:
        """Yield the polygons of a unit whose bounds share a point with the box, mended, with `columns` and `ROW`."""
        read = _parquet_batches if self.found == "Parquet" else _gdal_batches
        for frame in read(self, unit, list(columns)):
            yield sort_out(frame, ["polygon"], whole=False)


@contextmanager
def open_batches(
    path: Path, about: str, kind: type[AgriFMError], keys: VectorKeys, box: Box
) -> Iterator[VectorBatches]:
    """Open a file of polygons, or a folder of GeoParquet files.

    Args:
        about: the start of an error's sentence.
        kind: the class of error to raise.
        keys: what the user states of the file.
        box: west, south, east, north in longitude and latitude.

    Raises:
        AgriFMError: of that kind; see `read_vector`.
    """
    with reading_vector(path, about, kind, has_keys=True):
        stated = None if keys.crs is None else parsed_crs(keys.crs)
        parts = sorted(path.glob("*.parquet")) + sorted(path.glob("*.geoparquet")) if path.is_dir() else []
        if len(parts) > 1:
            yield _open_parquet(parts, stated, box)
            return
        with staged_file(path.absolute(), keys.layer) as (file, layer):
            found = vector_format(file)
            if found == "Parquet":
                yield _open_parquet([file], stated, box)
            elif found in BY_GDAL:
                yield _open_by_gdal(file, found, layer, keys.encoding, stated, box)
            else:
                raise VectorError(f"a {found} file cannot be read in parts; convert it (`ogr2ogr NEW.gpkg OLD`)")


def _open_parquet(files: Sequence[Path], stated: "pyproj.CRS | None", box: Box) -> VectorBatches:
    from pyarrow.parquet import ParquetFile

    units: list[BatchUnit] = []
    first, crs, within, columns = 0, "", None, ()
    for file in files:
        with ParquetFile(file) as parquet:
            geometry, own = _geometry_column(parquet)
            frame = _frame_of(next(parquet.iter_batches(FIRST_ROWS, columns=[geometry]), None), geometry, own, 0)
            here = (own if frame is None else placed(frame, stated)[0].crs) or stated
            if here is None:
                raise VectorError("it has no coordinate reference system, so its position is unknown", key="crs")
            if crs and not here.equals(type(here)(crs)):
                raise VectorError(f"{file.name} has another coordinate reference system than {files[0].name}")
            crs, within = here.to_wkt(), _box_in(here, box)
            columns = tuple(name for name in parquet.schema_arrow.names if name != geometry)
            corners = _corner_paths(parquet, geometry)
            for number in range(parquet.num_row_groups):
                group = parquet.metadata.row_group(number)
                if within is None or corners is None or _may_share(group, corners, within):
                    units.append(BatchUnit(file, number, first, group.num_rows))
                first += group.num_rows
    return VectorBatches("Parquet", None, None, crs, within, columns, first, tuple(units))


def _geometry_column(parquet: Any) -> tuple[str, "pyproj.CRS | None"]:
    """The name of the geometry column of a GeoParquet file, and its CRS."""
    from pyproj import CRS

    text = (parquet.schema_arrow.metadata or {}).get(b"geo")
    if text is None:
        raise VectorError(f"it is a Parquet file without the metadata of GeoParquet; give a {USABLE} file")
    geo = json.loads(text)
    name = str(geo["primary_column"])
    about = geo["columns"][name]
    if about["encoding"] != "WKB":
        raise VectorError(
            f"its geometry is encoded as {about['encoding']}; write it as WKB (`ogr2ogr NEW.parquet OLD`)",
            encoding=about["encoding"],
        )
    crs = about.get("crs", "OGC:CRS84")  # a file that does not say it has longitude and latitude; null = not known
    return name, None if crs is None else CRS.from_user_input(crs)


def _corner_paths(parquet: Any, geometry: str) -> dict[str, str] | None:
    """Columns of each corner of the bounds; None if there are none."""
    about = json.loads(parquet.schema_arrow.metadata[b"geo"])["columns"][geometry]
    covering = about.get("covering", {}).get("bbox") or {corner: ["bbox", corner] for corner in CORNERS}
    paths = {corner: ".".join(covering[corner]) for corner in CORNERS}
    known = {parquet.schema.column(number).path for number in range(len(parquet.schema))}
    return paths if known.issuperset(paths.values()) else None


def _may_share(group: Any, corners: dict[str, str], box: Box) -> bool:
    """Whether a row group may have bounds that share a point with the box, by its statistics."""
    columns = (group.column(number) for number in range(group.num_columns))
    statistics = {one.path_in_schema: one.statistics for one in columns if one.path_in_schema in corners.values()}
    found = {corner: statistics[path] for corner, path in corners.items()}
    if not all(one is not None and one.has_min_max for one in found.values()):
        return True
    west, south, east, north = _padded(box)
    return bool(
        found["xmin"].min <= east
        and found["xmax"].max >= west
        and found["ymin"].min <= north
        and found["ymax"].max >= south
    )


def _padded(box: Box) -> Box:
    west, south, east, north = box
    pad = FLOAT32 * max(map(abs, box))
    return west - pad, south - pad, east + pad, north + pad


def _parquet_batches(source: VectorBatches, unit: BatchUnit, columns: list[str]) -> Iterator["GeoDataFrame"]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(unit.file) as parquet:
        geometry, _ = _geometry_column(parquet)
        corners = None if source.box is None else _corner_paths(parquet, geometry)
        wanted = [geometry, *columns, *(() if corners is None else sorted(corners.values()))]
        first = unit.first
        for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[unit.number], columns=wanted):
            kept = np.ones(len(batch), bool)
            if corners is not None and source.box is not None:
                kept = _corners_share(batch, corners, _padded(source.box))
            rows = np.flatnonzero(kept)
            frame = _frame_of(batch.take(rows), geometry, source.crs, first + rows, columns)
            first += len(batch)
            yield frame[_shares_box(frame.geometry.to_numpy(), source.box)]


def _corners_share(batch: Any, corners: dict[str, str], box: Box) -> NDArray[np.bool_]:
    """Which rows have bounds that share a point with the box, by the columns of their corners."""

    def values(path: str) -> NDArray[np.float64]:
        name, *fields = path.split(".")
        column = batch.column(name)
        for field in fields:
            column = column.field(field)
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)

    found = {corner: values(path) for corner, path in corners.items()}
    west, south, east, north = box
    outside = (found["xmin"] > east) | (found["xmax"] < west) | (found["ymin"] > north) | (found["ymax"] < south)
    return np.asarray(~outside)  # a row without corners is kept


def _frame_of(
    batch: Any, geometry: str, crs: Any, rows: NDArray[np.int64] | int, columns: Sequence[str] = ()
) -> "GeoDataFrame":
    """A batch of Arrow as a frame of `columns`, `ROW` and geometry; None of None."""
    from geopandas import GeoDataFrame

    if batch is None:
        return None
    shapes = shapely.from_wkb(batch.column(geometry).to_numpy(zero_copy_only=False), on_invalid="fix")
    content = {name: batch.column(name).to_pandas() for name in columns}
    return GeoDataFrame({**content, ROW: rows + np.zeros(len(batch), np.int64)}, geometry=shapes, crs=crs)


def _shares_box(shapes: NDArray[Any], box: Box | None) -> NDArray[np.bool_]:
    """Which shapes have bounds that share a point with the box."""
    if box is None:
        return np.ones(len(shapes), bool)
    bounds, (west, south, east, north) = shapely.bounds(shapes), box
    return np.asarray(
        (bounds[:, 0] <= east) & (bounds[:, 2] >= west) & (bounds[:, 1] <= north) & (bounds[:, 3] >= south)
    )


def _box_in(crs: "pyproj.CRS", box: Box) -> Box | None:
    """A box of longitude and latitude in a CRS; None if it cannot be expressed there."""
    from pyproj import Transformer

    transformer = Transformer.from_crs(LONLAT, crs, always_xy=True)
    west, south, east, north = transformer.transform_bounds(*box, densify_pts=21)
    found = (float(west), float(south), float(east), float(north))
    return found if np.isfinite(found).all() and west < east else None


def _open_by_gdal(
    file: Path, found: str, layer: str | None, encoding: str | None, stated: "pyproj.CRS | None", box: Box
) -> VectorBatches:
    from geopandas import GeoDataFrame
    from pyogrio import read_bounds, read_dataframe, read_info

    name = _gdal_name(file, found)
    layer = layer_of(name, layer)
    if found == "ESRI Shapefile" and encoding is None:
        encoding, _ = codec_of(file)
    frame = read_dataframe(name, layer=layer, columns=[], max_features=FIRST_ROWS)
    if not isinstance(frame, GeoDataFrame):
        raise VectorError(f"its layer {layer} has no shapes; give a {USABLE} file of polygons")
    crs = placed(frame, stated)[0].crs
    within = _box_in(crs, box)
    info = read_info(name, layer=layer, force_feature_count=True)
    inside = len(read_bounds(name, layer=layer, bbox=within)[0])
    starts = range(0, inside, BATCH_ROWS)
    units = tuple(BatchUnit(file, start, 0, min(BATCH_ROWS, inside - start)) for start in starts)
    columns = tuple(str(column) for column in info["fields"])
    return VectorBatches(found, layer, encoding, crs.to_wkt(), within, columns, int(info["features"]), units)


def _gdal_name(file: Path, found: str) -> str:
    return f"{PREFIXES.get(found, '')}{file.absolute()}"


def _gdal_batches(source: VectorBatches, unit: BatchUnit, columns: list[str]) -> Iterator["GeoDataFrame"]:
    from pyogrio import read_dataframe

    frame = read_dataframe(
        _gdal_name(unit.file, source.found),
        layer=source.layer,
        encoding=source.encoding,
        columns=columns,
        bbox=source.box,
        skip_features=unit.number,
        max_features=unit.rows,
        fid_as_index=True,
        force_2d=True,
        on_invalid="fix",
    )
    frame[ROW] = frame.index.to_numpy(np.int64)
    yield frame.set_crs(source.crs, allow_override=True).reset_index(drop=True)
