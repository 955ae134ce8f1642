"""Tables whose rows are places: the columns that say where a row is, and the shapes that they mean.

Places are in one column (WKT, WKB or GeoJSON), in longitude and latitude, or in x and y of a CRS that the user states.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.codes import looks_missing
from agrifm.errors import VectorError
from agrifm.tables import read_table, tidy

if TYPE_CHECKING:
    import pyproj
    from geopandas import GeoDataFrame
    from pandas import DataFrame, Series
    from shapely.geometry.base import BaseGeometry

SHAPE_NAMES = {"wkt", "wkb", "geo", "geojson", "geom", "geometry", "thegeom", "shape", "wkbgeometry", "wktgeom"}
LONGITUDES, LATITUDES = {"lon", "long", "lng", "longitude", "longitud"}, {"lat", "latitude", "latitud"}
EASTINGS, NORTHINGS = {"x", "easting", "utmx"}, {"y", "northing", "utmy"}
"""Names of columns in small letters, without signs and without the words below."""
DECORATION = re.compile(r"wgs ?84|decimal|deg(rees?)?|gps|location|point|coord(inates?)?|_dd|[^a-z0-9]")
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
"""A number with a decimal point or a decimal comma."""


def read_delimited(path: Path, encoding: str | None) -> "DataFrame":
    """Return a CSV file as a table of text; see `agrifm.tables`.

    Raises:
        VectorError: the file is in another encoding, or not a table.
    """
    import pandas

    try:
        table = read_table(path, f"the table {path.name}", VectorError, encoding)
    except VectorError as error:
        if isinstance(error.__cause__, UnicodeError):
            line = error.facts.get("line")
            raise VectorError(f"line {line} is not {encoding or 'UTF-8'}", key="encoding", line=line) from error
        raise
    return pandas.DataFrame(list(table.rows), columns=list(table.columns), dtype=object)


def place_rows(table: "DataFrame", crs: "pyproj.CRS | None") -> "GeoDataFrame":
    """Return a table with the shapes that its columns state, in the CRS that they imply (none for x and y).

    Args:
        crs: what the user states; x and y are preferred to longitude and latitude if it is a projection.

    Raises:
        VectorError: no columns, or several, state places, or a cell is not a number.
    """
    import geopandas

    column = next((name for name in table.columns if _plain(name) in SHAPE_NAMES and _is_shape(table[name])), None)
    if column is not None:
        return _shapes_of(table, column)
    degrees = _pair(table, LONGITUDES, LATITUDES)
    planar = _pair(table, EASTINGS, NORTHINGS)
    if degrees and not (planar and crs is not None and crs.is_projected):
        x, y = degrees
        own: str | None = "EPSG:4326"
    elif planar:
        (x, y), own = planar, None
    else:
        columns = ", ".join(map(str, table.columns))
        raise VectorError(
            f"it is a table (columns: {columns or 'none'}) without places; name its columns of coordinates "
            "longitude and latitude, or x and y and state `crs`, or give outlines as WKT in a column `wkt`",
            columns=list(table.columns),
        )
    coordinates = np.stack([_numbers(table, name) for name in (x, y)])
    placed = np.isfinite(coordinates).all(axis=0)
    points = geopandas.points_from_xy(*coordinates)
    points[~placed] = None
    return geopandas.GeoDataFrame(table.drop(columns=[x, y]), geometry=points, crs=own)


def _plain(name: object) -> str:
    return DECORATION.sub("", str(name).casefold())


def _pair(table: "DataFrame", first: set[str], second: set[str]) -> tuple[str, str] | None:
    """The columns of two coordinates, if the table has both."""
    found = [[name for name in table.columns if _plain(name) in known] for known in (first, second)]
    if not all(found):
        return None
    for names in found:
        if len(names) > 1:
            raise VectorError(
                f"the columns {' and '.join(map(repr, names))} may both be its coordinates; rename one", columns=names
            )
    return found[0][0], found[1][0]


def _numbers(table: "DataFrame", name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column of coordinates; NaN for blank cells."""
    values = np.full(len(table), np.nan)
    for row, value in enumerate(table[name]):
        text = tidy(str(value)).replace("\u2212", "-")
        if looks_missing(text) or text == "-":
            continue
        if not NUMBER.fullmatch(text):
            raise VectorError(
                f"row {row + 1} has {str(value)!r} as {name!r}, which is not a number; write coordinates as decimal "
                "numbers, such as 47.672309, without a separator of thousands",
                column=name,
                row=row + 1,
            )
        values[row] = float(text.replace(",", "."))
    return values


def _is_shape(values: "Series[Any]") -> bool:
    """Whether the first value of a column is a shape."""
    first = next((value for value in values if isinstance(value, str | bytes) and value.strip()), None)
    return first is not None and _shape(first) is not None


def _shape(value: "str | bytes") -> "tuple[BaseGeometry, str | None] | None":
    """A shape and the CRS that its text states, from WKT, EWKT, WKB (also in hexadecimal digits) or GeoJSON."""
    import shapely

    try:
        if isinstance(value, bytes):
            shape = shapely.from_wkb(value)
        elif value.lstrip().startswith("{"):
            return shapely.from_geojson(value), "EPSG:4326"
        elif re.fullmatch(r"\s*(?:[0-9a-fA-F]{2})+\s*", value):
            shape = shapely.from_wkb(value.strip())
        else:
            srid = re.match(r"\s*SRID=(\d+);", value, re.IGNORECASE)
            return shapely.from_wkt(value[srid.end() :] if srid else value), f"EPSG:{srid[1]}" if srid else None
    except (shapely.errors.ShapelyError, ValueError, TypeError):
        return None
    srid_of = int(shapely.get_srid(shape))
    return shape, f"EPSG:{srid_of}" if srid_of > 0 else None


def _shapes_of(table: "DataFrame", column: str) -> "GeoDataFrame":
    """The table with the shapes of a column, which must all be in one CRS."""
    import geopandas

    shapes: list[Any] = []
    stated: set[str | None] = set()
    for row, value in enumerate(table[column]):
        blank = not isinstance(value, bytes) and looks_missing(tidy(str(value)))
        read = None if blank else _shape(value)
        if not blank and read is None:
            raise VectorError(
                f"row {row + 1} of the column {column!r} is not a shape in WKT; correct it", column=column, row=row + 1
            )
        shapes.append(read and read[0])
        if read:
            stated.add(read[1])
    if len(stated) > 1:
        raise VectorError(
            f"the shapes of its column {column!r} are in several coordinate reference systems "
            f"({', '.join(sorted(map(str, stated)))}); write all in one",
            column=column,
        )
    return geopandas.GeoDataFrame(table.drop(columns=[column]), geometry=shapes, crs=next(iter(stated), None))
