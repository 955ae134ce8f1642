"""Files of series tables as data frames: Parquet, GeoParquet and CSV."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing
from agrifm.season import EPOCH
from agrifm.tables import PARQUET, TABLES, read_table

if TYPE_CHECKING:
    import pandas

NO_DATE = -999_999
"""Stands for a date that is missing."""


def read_data_frame(path: Path, about: str) -> "pandas.DataFrame":
    """Read a table; a column of points in WKB becomes `longitude` and `latitude`, in degrees.

    Raises:
        LabelError: the file is absent, damaged, or neither Parquet nor CSV.
    """
    import pandas

    if path.suffix.lower() in TABLES:
        text = read_table(path, about, LabelError)
        frame = pandas.DataFrame({name: _numbers_or_text(text.column(name)) for name in text.columns})
    elif path.suffix.lower() in PARQUET:
        with doing(about, LabelError, "give a table in Parquet, GeoParquet or CSV", path=path):
            frame = pandas.read_parquet(path)
    else:
        known = ", ".join(sorted(TABLES | PARQUET))
        raise LabelError(
            f"{about}: its suffix is {path.suffix or 'missing'!r}; give Parquet, GeoParquet or CSV ({known})",
            path=path,
        )
    if not len(frame):
        raise LabelError(f"{about}: the table has no rows", path=path)
    frame.columns = [str(name) for name in frame.columns]
    if frame.index.name is not None and frame.index.name not in frame.columns:
        frame = frame.reset_index()
    return _with_coordinates(frame, path, about)


def _numbers_or_text(cells: list[str]) -> "NDArray[np.float64] | list[str]":
    """A column of a CSV: numbers if every cell is one or is empty, and no number has leading zeros."""
    if any(len(cell) > 1 and cell[0] == "0" and cell[1].isdigit() for cell in cells):
        return cells
    try:
        numbers = np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return cells
    # codes of ten digits and more are whole numbers that a float holds exactly up to 2**53
    return numbers if np.isfinite(numbers).any() else cells


def _with_coordinates(frame: "pandas.DataFrame", path: Path, about: str) -> "pandas.DataFrame":
    import shapely

    if "geometry" not in frame.columns or {"longitude", "lon"} & {name.casefold() for name in frame.columns}:
        return frame
    with doing(f"{about}: reading its column `geometry`", LabelError, "give it in WKB (GeoParquet)"):
        shapes = shapely.from_wkb(frame["geometry"].to_numpy())
        points = shapely.point_on_surface(shapes)
        lon, lat = shapely.get_x(points), shapely.get_y(points)
    crs = _crs_of(path)
    if crs is not None:
        from pyproj import Transformer

        lon, lat = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(lon, lat)
    return frame.assign(longitude=lon, latitude=lat)


def _crs_of(path: Path) -> object | None:
    """The CRS in the metadata of a GeoParquet file, if it is not degrees."""
    import json

    import pyarrow.parquet
    from pyproj import CRS

    if path.suffix.lower() not in PARQUET:
        return None
    content = (pyarrow.parquet.read_schema(path).metadata or {}).get(b"geo")
    columns = json.loads(content)["columns"] if content else {}
    stated = columns.get("geometry", {}).get("crs")
    if stated is None:
        return None
    crs = CRS.from_user_input(stated)
    return None if crs.is_geographic else crs


def days_of(values: "pandas.Series[Any]", column: str, about: str) -> NDArray[np.int64]:
    """Return dates as days since 1970-01-01; `NO_DATE` where there is none.

    Raises:
        LabelError: a value is not a date.
    """
    written, index = np.unique(np.array([_written(value) for value in values]), return_inverse=True)
    days = np.full(len(written), NO_DATE, np.int64)
    for number, text in enumerate(written.tolist()):
        if not text:
            continue
        try:
            days[number] = (date.fromisoformat(text) - EPOCH).days
        except ValueError as error:
            row = int(np.flatnonzero(index == number)[0])
            raise LabelError(
                f"{about}: {values.iloc[row]!r} in row {row + 1} of the column {column!r} is not a date; write dates "
                "as 2024-03-01",
                column=column,
                row=row + 1,
            ) from error
    return days[index]


def _written(value: object) -> str:
    """A date as 2024-03-01 or 20240301; "" if there is none."""
    if isinstance(value, float | np.floating):
        return f"{value:.0f}" if np.isfinite(value) else ""
    text = str(value).strip().replace("_", "-").replace("/", "-")
    return "" if text in ("NaT", "None", "<NA>", "nan") else text.split("T")[0].split(" ")[0]
