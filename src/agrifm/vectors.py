"""Reading vector files: one layer of places with a CRS, or one sentence that says what is wrong."""

from pathlib import Path
from typing import TYPE_CHECKING

from agrifm.errors import AgriFMError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

PARQUET = {".parquet", ".geoparquet"}


def read_vector(path: Path, about: str, kind: type[AgriFMError]) -> "GeoDataFrame":
    """The places of a vector file (GeoPackage, GeoJSON, Shapefile, GeoParquet …), in its own CRS.

    Args:
        about: how an error's sentence begins, such as "reading labels fields.gpkg".
        kind: the error to raise.

    Raises:
        AgriFMError: of that kind; the file is absent or unreadable, has not exactly one layer of places, or no CRS.
    """
    import geopandas as gpd
    from pyarrow import ArrowException
    from pyogrio import list_layers
    from pyogrio.errors import DataSourceError

    if not path.exists():
        raise kind(f"{about}: there is no such file; check the path")
    try:
        if path.suffix.lower() in PARQUET:
            frame = gpd.read_parquet(path)
        else:
            # a GeoPackage also holds tables without places, such as QGIS's styles
            layers = [str(name) for name, geometry in list_layers(path) if geometry is not None]
            if len(layers) != 1:
                found = f"layers {', '.join(layers)}" if layers else "a table without places"
                raise kind(f"{about}: it holds {found}; give a file with one layer of places")
            frame = gpd.read_file(path, layer=layers[0])
    except AgriFMError:
        raise
    except (DataSourceError, ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise kind(f"{about}: {reason}; give a GeoPackage, GeoJSON, Shapefile or GeoParquet file") from error
    if frame.crs is None:
        raise kind(
            f"{about}: it has no coordinate reference system, so its places are not known; assign the right one "
            "(`ogr2ogr -a_srs EPSG:… NEW OLD`)"
        )
    return frame
