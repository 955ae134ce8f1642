"""Reads places from vector files: reference points with their labels, and the parcels that a model was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING

from agrifm.errors import AssessmentError
from agrifm.vectors import read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


def read_reference(path: Path, label: str) -> "GeoDataFrame":
    """Reference points with the column of their labels; multipoints of one point count as points.

    Raises:
        AssessmentError: as `read_vector`, or there is no such column, or places are not points.
    """
    frame = read_vector(path, f"reading the reference {path}", AssessmentError)
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
