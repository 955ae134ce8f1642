"""Reads places from vector files: reference points with their labels, and the parcels that a model was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING

from agrifm.errors import AssessmentError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


def read_vector(path: Path, what: str) -> "GeoDataFrame":
    """A vector file (GeoPackage, GeoJSON, Shapefile, GeoParquet …) with a CRS.

    Args:
        what: how messages call the file's content, such as "the reference".

    Raises:
        AssessmentError: the file is absent or unreadable, has no places, or no CRS.
    """
    import geopandas as gpd
    from pyarrow import ArrowException
    from pyogrio import list_layers
    from pyogrio.errors import DataSourceError

    doing = f"reading {what} {path}"
    if not path.exists():
        raise AssessmentError(f"{doing}: there is no such file; check the path")
    try:
        if path.suffix.lower() in (".parquet", ".geoparquet"):
            frame = gpd.read_parquet(path)
        else:
            # a GeoPackage also holds tables without places, such as QGIS's styles
            layers = [str(name) for name, geometry in list_layers(path) if geometry is not None]
            if len(layers) != 1:
                found = f"layers {', '.join(layers)}" if layers else "a table without places"
                raise AssessmentError(f"{doing}: it holds {found}; give a file with one layer of places")
            frame = gpd.read_file(path, layer=layers[0])
    except (DataSourceError, ArrowException, ValueError) as error:
        if isinstance(error, AssessmentError):
            raise
        reason = str(error).splitlines()[0]
        raise AssessmentError(f"{doing}: {reason}; give a GeoPackage, GeoJSON, Shapefile or GeoParquet file") from error
    if frame.crs is None:
        raise AssessmentError(
            f"{doing}: it has no coordinate reference system, so its places are not known; assign the right one "
            "(`ogr2ogr -a_srs EPSG:… NEW OLD`)"
        )
    return frame


def read_reference(path: Path, label: str) -> "GeoDataFrame":
    """Reference points with the column of their labels; multipoints of one point count as points.

    Raises:
        AssessmentError: as `read_vector`, or there is no such column, or places are not points.
    """
    frame = read_vector(path, "the reference")
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    if label not in columns:
        raise AssessmentError(
            f"reading the reference {path}: it has no column '{label}' (it has {', '.join(columns) or 'none'}); "
            "name the column of the labels"
        )
    placed = frame.geometry.notna() & ~frame.geometry.is_empty
    single = frame.geometry.geom_type.isin(["Point", "MultiPoint"]) & (frame.geometry.count_coordinates() == 1)
    strange = frame.geometry[placed & ~single]
    if len(strange):
        raise AssessmentError(
            f"reading the reference {path}: it holds {strange.geom_type.iloc[0]}s, and points are needed; draw points "
            "with `agrifm assess design` and label them"
        )
    return frame


def inside(points: "GeoDataFrame", parcels: "GeoDataFrame", pixel: float) -> int:
    """Number of points that lie in training parcels, or in the pixel of a training point.

    Args:
        points: reference points in the map's CRS.
        parcels: polygons or points, in any CRS.
        pixel: side of the map's pixels, in units of its CRS.
    """
    parcels = parcels[parcels.geometry.notna() & ~parcels.geometry.is_empty].to_crs(points.crs)
    dots = parcels.geometry.geom_type == "Point"
    places = parcels.geometry.where(~dots, parcels.geometry.buffer(pixel / 2, cap_style="square"))
    found = points.sindex.query(places, predicate="intersects")[1]
    return len(set(found.tolist()))
