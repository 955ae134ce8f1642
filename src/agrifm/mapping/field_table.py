"""Fields that were found on a map, as GeoParquet that is valid fiboa 0.3.0.

Columns: `id`, outlines in longitude and latitude with their bounds, `metrics:area` (m²), `metrics:perimeter` (m),
`determination:method` (auto-imagery), and as columns of agrifm hectares and the number of pixels of the map.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.fields.outlines import FieldOutlines, on_ground
from agrifm.fields.segments import Segments
from agrifm.grid import LONLAT, Grid, geodesic_measures
from agrifm.mapping.fiboa_table import (
    LARGEST_M2,
    LONGEST_M,
    corner_structs,
    plain_schema,
    shape_fields,
    table_of,
    within_limit,
)

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

    fields = [*shape_fields(), pyarrow.field("determination:method", pyarrow.string())]
    return plain_schema(FIELD_COLLECTION, fields, COLUMNS, about)


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
    return table_of(schema, columns)
