"""Vector files: one layer of geometries with a CRS, or one sentence that says what is wrong."""

from pathlib import Path
from typing import TYPE_CHECKING

from agrifm.errors import AgriFMError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

PARQUET = {".parquet", ".geoparquet"}


def read_vector(path: Path, about: str, kind: type[AgriFMError]) -> "GeoDataFrame":
    """Read the geometries of a vector file (GeoPackage, GeoJSON, Shapefile, GeoParquet …), in the file's CRS.

    Args:
        about: the start of an error's sentence, such as "reading labels fields.gpkg".
        kind: the class of error to raise.

    Raises:
        AgriFMError: of that kind; the file is absent or unreadable, has no CRS, or not exactly one layer of geometries.
    """
    import geopandas as gpd
    from pyarrow import ArrowException
    from pyogrio import list_layers
    from pyogrio.errors import DataSourceError

    if not path.exists():
        raise kind(f"{about}: the file does not exist; check the path", path=path)
    try:
        if path.suffix.lower() in PARQUET:
            frame = gpd.read_parquet(path)
        else:
            # a GeoPackage also holds tables without geometry, such as QGIS's styles
            layers = [str(name) for name, geometry in list_layers(path) if geometry is not None]
            if len(layers) != 1:
                found = f"layers {', '.join(layers)}" if layers else "a table without geometry"
                raise kind(f"{about}: the file has {found}; give a file with one layer of geometries", layers=layers)
            frame = gpd.read_file(path, layer=layers[0])
    except AgriFMError:
        raise
    except (DataSourceError, ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise kind(f"{about}: {reason}; give a GeoPackage, GeoJSON, Shapefile or GeoParquet file") from error
    if frame.crs is None:
        raise kind(
            f"{about}: the file has no coordinate reference system, so its position is unknown; assign the right one "
            "(`ogr2ogr -a_srs EPSG:… NEW OLD`)",
            path=path,
        )
    return frame
