"""The parts of parcels joined into one GeoParquet, and its copy as a GeoPackage."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.grid import LONLAT
from agrifm.legend import Legend
from agrifm.mapping.fiboa_table import SIGNATURE

if TYPE_CHECKING:
    import pyarrow

GROUP_ROWS = 20_000
"""Most rows of a row group."""
WRITTEN_AT = "2024-01-01T00:00:00.000Z"
"""Time in a GeoPackage, which would differ between two runs that write the same."""


def join_parts(parts: Sequence[Path], target: Path, schema: "pyarrow.Schema") -> tuple[int, int]:
    """Write the rows of parts into one file; marks duplicates, and makes names unique by the number of their row.

    16 bytes of memory for each parcel are needed, and a few row groups.

    Args:
        schema: of the result.

    Returns:
        How many parcels have the outline of an earlier one, and how many had its name.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    outlines, names = _again(parts, SIGNATURE), _again(parts, "id")
    bounds = [_bounds(part) for part in parts]
    metadata = dict(schema.metadata)
    geo = json.loads(metadata[b"geo"])
    edges = np.array([one for one in bounds if one is not None])
    geo["columns"]["geometry"]["bbox"] = [*edges[:, :2].min(axis=0).tolist(), *edges[:, 2:].max(axis=0).tolist()]
    schema = schema.with_metadata({**metadata, b"geo": json.dumps(geo).encode()})
    first = 0
    with ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in _batches(parts):
            table = pyarrow.Table.from_batches([batch]).drop_columns([SIGNATURE])
            here = slice(first, first + len(batch))
            first += len(batch)
            table = _replaced(table, "agrifm:duplicate", pyarrow.array(outlines[here]))
            if names[here].any():
                pairs = zip(table["id"].to_pylist(), table["agrifm:row"].to_pylist(), names[here].tolist(), strict=True)
                table = _replaced(
                    table, "id", pyarrow.array([f"{one}#{row}" if again else one for one, row, again in pairs])
                )
            writer.write_table(table.cast(schema), row_group_size=GROUP_ROWS)
    return int(outlines.sum()), int(names.sum())


def _replaced(table: Any, name: str, values: Any) -> Any:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)


def _batches(parts: Sequence[Path], columns: Sequence[str] | None = None) -> Iterator[Any]:
    from pyarrow.parquet import ParquetFile

    for part in parts:
        with ParquetFile(part) as file:
            yield from file.iter_batches(GROUP_ROWS, columns=columns)


def _again(parts: Sequence[Path], column: str) -> NDArray[np.bool_]:
    """Which rows have the value of an earlier row."""
    from pandas.util import hash_array

    hashes = [np.zeros(0, np.uint64)]
    for batch in _batches(parts, [column]):
        values = batch.column(0).to_numpy(zero_copy_only=False)
        hashes.append(values if values.dtype == np.uint64 else hash_array(values.astype(object), categorize=False))
    every = np.concatenate(hashes)
    again = np.ones(len(every), bool)
    again[np.unique(every, return_index=True)[1]] = False
    return again


def _bounds(part: Path) -> tuple[float, float, float, float] | None:
    """The bounds of all parcels of a part, by the statistics of its row groups; None if it has none."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(part) as file:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        found = [
            {column.path_in_schema: column.statistics for column in map(group.column, range(group.num_columns))}
            for group in groups
            if group.num_rows
        ]
    if not found:
        return None
    west, south = (min(one[f"bbox.{corner}"].min for one in found) for corner in ("xmin", "ymin"))
    east, north = (max(one[f"bbox.{corner}"].max for one in found) for corner in ("xmax", "ymax"))
    return float(west), float(south), float(east), float(north)


def parcel_batches(parcels: Path, columns: Sequence[str]) -> Iterator[tuple[Any, NDArray[Any]]]:
    """Yield columns of the result as a frame of pandas, and the outlines in longitude and latitude."""
    for batch in _batches([parcels], ["geometry", *columns]):
        shapes = shapely.from_wkb(batch.column("geometry").to_numpy(zero_copy_only=False))
        yield batch.select(list(columns)).to_pandas(), shapes


def _all_multi(shapes: NDArray[Any]) -> NDArray[Any]:
    """Polygons as multipolygons, because a layer of a GeoPackage has one type."""
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    result = shapes.copy()
    result[single] = shapely.multipolygons(shapes[single], indices=np.arange(int(single.sum())))
    return result


def write_parcel_geopackage(parcels: Path, target: Path, legend: Legend) -> None:
    """Write the parcels as a GeoPackage, whose names have no colons and whose probabilities are columns."""
    import pyogrio
    from geopandas import GeoDataFrame
    from pyarrow.parquet import read_schema

    columns = [name for name in read_schema(parcels).names if name not in ("geometry", "bbox")]
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": WRITTEN_AT})
    try:
        for number, (frame, shapes) in enumerate(parcel_batches(parcels, columns)):
            lists = frame.pop("agrifm:probabilities") if "agrifm:probabilities" in columns else None
            frame = frame.rename(columns=lambda name: name.removeprefix("agrifm:").replace(":", "_"))
            if lists is not None:
                unknown = [np.nan] * len(legend)
                values = np.array([unknown if one is None else one for one in lists], np.float32)
                for position, code in enumerate(legend.codes):
                    frame[f"p_{code}"] = values[:, position]
            pyogrio.write_dataframe(
                GeoDataFrame(frame, geometry=_all_multi(shapes), crs=LONLAT),
                target,
                layer="parcels",
                driver="GPKG",
                append=number > 0,
            )
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
