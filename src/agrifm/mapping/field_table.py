"""Fields that were found on a map, as GeoParquet that is valid fiboa 0.3.0.

Columns: `id`, outlines in longitude and latitude with their bounds, `metrics:area` (m²), `metrics:perimeter` (m),
`determination:method` (auto-imagery), and as columns of agrifm hectares and the number of pixels of the map.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.fields.outlines import FieldOutlines, on_ground
from agrifm.fields.segments import Segments
from agrifm.grid import LONLAT, Grid, geodesic_measures
from agrifm.mapping.fiboa_table import FIBOA, GEO, LARGEST_M2, LONGEST_M, SDL, VECOREL, corner_structs, within_limit

if TYPE_CHECKING:
    import pyarrow

FIELD_COLLECTION = "agrifm-fields"
COLUMNS = {
    "agrifm:hectares": ("double", "Geodesic area in hectares"),
    "agrifm:pixels": ("int64", "Pixels of the map, before the outline was smoothed"),
}
"""Type and description of the columns that fiboa does not define."""


def field_schema(about: Mapping[str, str]) -> "pyarrow.Schema":
    """Return the columns of the table, with the metadata of GeoParquet and fiboa.

    Args:
        about: further properties of the collection, without the prefix `agrifm:`.
    """
    import pyarrow

    bounds = pyarrow.struct([(corner, pyarrow.float32()) for corner in ("xmin", "ymin", "xmax", "ymax")])
    fields = [
        pyarrow.field("id", pyarrow.string(), nullable=False),
        pyarrow.field("geometry", pyarrow.binary(), nullable=False),
        pyarrow.field("bbox", bounds),
        pyarrow.field("metrics:area", pyarrow.float32()),
        pyarrow.field("metrics:perimeter", pyarrow.float32()),
        pyarrow.field("determination:method", pyarrow.string()),
        pyarrow.field("agrifm:hectares", pyarrow.float64()),
        pyarrow.field("agrifm:pixels", pyarrow.int64()),
    ]
    shared = {f"agrifm:{key}": text for key, text in about.items()}
    custom = {
        "$schema": SDL,
        "required": [],
        "collection": dict.fromkeys(shared, True),
        "properties": {
            **{name: {"type": kind, "description": text} for name, (kind, text) in COLUMNS.items()},
            **{name: {"type": "string"} for name in shared},
        },
    }
    collection = {
        "collection": FIELD_COLLECTION,
        "schemas": {FIELD_COLLECTION: [VECOREL, FIBOA]},
        **shared,
        "schemas:custom": custom,
    }
    return pyarrow.schema(fields, {"geo": json.dumps(GEO), "collection": json.dumps(collection)})


def write_field_table(
    path: Path, parts: Iterable[FieldOutlines], segments: Segments, grid: Grid, about: Mapping[str, str]
) -> tuple[int, float]:
    """Write fields part by part, each as a row group; returns how many there are, and their hectares.

    Args:
        parts: polygons in pixels of the grid.
        segments: of which they are.
        about: tags of the map, such as AGRIFM_MODEL.
    """
    from pyarrow.parquet import ParquetWriter

    shared = {name.removeprefix("AGRIFM_").lower(): text for name, text in about.items()}
    schema = field_schema(shared)
    count, hectares = 0, 0.0
    with ParquetWriter(path, schema, compression="zstd") as writer:
        for part in parts:
            table = _rows(schema, part, segments, grid)
            writer.write_table(table)
            count, hectares = count + len(table), hectares + float(np.sum(table["agrifm:hectares"].to_numpy()))
    return count, hectares


def _rows(schema: "pyarrow.Schema", part: FieldOutlines, segments: Segments, grid: Grid) -> Any:
    import pyarrow
    import shapely
    from geopandas import GeoSeries

    outlines = GeoSeries(on_ground(part.polygon, grid), crs=grid.crs.to_wkt()).to_crs(LONLAT).to_numpy()
    metres2, metres = geodesic_measures(outlines)
    columns = {
        "id": [str(number) for number in part.number.tolist()],
        "geometry": shapely.to_wkb(outlines),
        "bbox": corner_structs(shapely.bounds(outlines)),
        "metrics:area": within_limit(metres2, LARGEST_M2),
        "metrics:perimeter": within_limit(metres, LONGEST_M),
        "determination:method": ["auto-imagery"] * len(outlines),
        "agrifm:hectares": metres2 / 1e4,
        "agrifm:pixels": segments.pixels[part.number],
    }
    arrays = [
        one if isinstance(one, pyarrow.Array) else pyarrow.array(one, field.type, from_pandas=True)
        for field in schema
        for one in (columns[field.name],)
    ]
    return pyarrow.Table.from_arrays(arrays, schema=schema)
