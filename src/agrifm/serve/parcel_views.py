"""Parcels of a finished map: bounds, shapes by row group, one at a place, and one by its name.

Bounds of all parcels are kept (16 bytes each), so that only the row groups that are needed are read.

Shape letters: P parcels.
"""

import json
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.errors import ServeError, doing
from agrifm.serve.refusals import NO_SUCH, RefusedRequestError

MOST_PARCELS = 3000
"""Parcels of one tile; with more the page says that they are seen nearer."""
COLUMNS = ("id", "geometry", "bbox")
"""Columns that a file of parcels must have, and one of `ANSWERS`."""
ANSWERS = ("crop:code", "agrifm:yield_t_ha")
"""What a file of parcels says of them: their crop, or its yield."""
LONGEST_NAME = 200
"""Characters of a name that is searched."""
NEIGHBOURS = 512
"""Parcels that follow each other in a file, which are passed over together where none of them can be near."""
DECIMALS = 6
"""Of degrees in an outline: 0.1 m."""


class ParcelViews:
    """A GeoParquet file of parcels."""

    def __init__(self, path: Path) -> None:
        """Read the metadata of a file.

        Raises:
            ServeError: it is damaged, or has not the columns of `agrifm parcels`.
        """
        from pyarrow.parquet import ParquetFile

        self.path, self._lock = path, Lock()
        with self._net(), ParquetFile(path) as file:
            names = file.schema_arrow.names
            missing = [name for name in COLUMNS if name not in names]
            missing += [] if any(name in names for name in ANSWERS) else [ANSWERS[0]]
            if missing:
                raise ServeError(f"reading {path.name}: it has no column '{missing[0]}'; run `agrifm parcels` again")
            self.count = file.metadata.num_rows
            groups = (file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups))
            self._first = np.cumsum([0, *groups])
            self._names = [name for name in file.schema_arrow.names if name not in ("geometry", "bbox")]

    def at(self, lon: float, lat: float) -> dict[str, Any] | None:
        """The row of the first parcel at a place; None where there is none."""
        rows = self.touching(lon, lat, lon, lat)
        shapes, _ = self._read(rows[:MOST_PARCELS], ("id",))
        inside = np.flatnonzero(shapely.covers(shapes, shapely.Point(lon, lat)))
        return self._row(int(rows[inside[0]])) if inside.size else None

    def named(self, name: str) -> dict[str, Any]:
        """The row of the parcel of a name.

        Raises:
            RefusedRequestError: there is none.
        """
        import pyarrow.compute as compute
        from pyarrow.parquet import ParquetFile

        with self._net(), ParquetFile(self.path) as file:
            for number, first in enumerate(self._first[:-1].tolist() if len(name) <= LONGEST_NAME else ()):
                names = file.read_row_group(number, columns=["id"])["id"].combine_chunks()
                at = compute.index(names, name).as_py()
                if at >= 0:
                    return self._row(first + at)
        raise RefusedRequestError(NO_SUCH, "no parcel has this name")

    def _row(self, row: int) -> dict[str, Any]:
        return self.rows(np.array([row]))[0]

    def rows(self, rows: NDArray[np.int64], decimals: int | None = None) -> list[dict[str, Any]]:
        """What is known of some parcels: bounds, a place inside, outline and columns.

        Args:
            rows: (P,), their numbers, ascending.
            decimals: of degrees in outlines; None = as they are.

        Raises:
            ServeError: the file is damaged.
        """
        shapes, table = self._read(rows, self._names)
        if decimals is not None:
            shapes = shapely.transform(shapes, lambda points: points.round(decimals))
        inside = shapely.get_coordinates(shapely.point_on_surface(shapes)).tolist()
        return [
            {"row": row, "bounds": bounds, "inside": place, "geometry": json.loads(outline), "columns": columns}
            for row, bounds, place, outline, columns in zip(
                rows.tolist(), shapely.bounds(shapes).tolist(), inside, shapely.to_geojson(shapes), table, strict=True
            )
        ]

    def shapes(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The polygons (P,) of some parcels, in longitude and latitude.

        Args:
            rows: (P,), their numbers, ascending.

        Raises:
            ServeError: the file is damaged.
        """
        return self._read(rows, ("id",))[0]

    def edges(self) -> NDArray[np.float32]:
        """(P, 4), west, south, east, north of each parcel in degrees, a little enlarged."""
        return self._edges

    def touching(self, west: float, south: float, east: float, north: float) -> NDArray[np.int64]:
        """Numbers (P,), ascending, of the parcels whose bounds touch a box in degrees."""
        near = np.flatnonzero(_touch(self._extents, west, south, east, north))
        rows: NDArray[np.int64] = (near[:, None] * NEIGHBOURS + np.arange(NEIGHBOURS)).ravel()
        rows = rows[rows < self.count]
        return rows[_touch(self._edges[rows], west, south, east, north)]

    def by_group(self, rows: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
        """Of rows, which ascend, the row groups that have them, and the places in each."""
        groups = np.searchsorted(self._first, rows, "right") - 1
        return [(group, rows[groups == group] - self._first[group]) for group in np.unique(groups).tolist()]

    def group_shapes(self, group: int) -> NDArray[Any]:
        """The polygons of a row group as WKB.

        Raises:
            ServeError: the file is damaged.
        """
        from pyarrow.parquet import ParquetFile

        with self._net(), ParquetFile(self.path) as file:
            column = file.read_row_group(group, columns=["geometry"])["geometry"]
            return np.asarray(column.to_numpy(zero_copy_only=False))

    def _read(self, rows: NDArray[np.int64], columns: Any) -> tuple[NDArray[Any], list[dict[str, Any]]]:
        """Shapes (P,) and columns of rows, which ascend."""
        import pyarrow
        from pyarrow.parquet import ParquetFile

        wanted = ["geometry", *columns]
        with self._net(), ParquetFile(self.path) as file:
            parts = [file.schema_arrow.empty_table().select(wanted)]
            for group, here in self.by_group(rows):
                parts.append(file.read_row_group(group, columns=wanted).select(wanted).take(here))
            table = pyarrow.concat_tables(parts)
            shapes = shapely.from_wkb(table["geometry"].to_numpy())
            return np.asarray(shapes), table.drop_columns(["geometry"]).to_pylist()

    @property
    def _edges(self) -> NDArray[np.float32]:
        with self._lock:
            return self._all_edges

    @cached_property
    def _all_edges(self) -> NDArray[np.float32]:
        """(P, 4), west, south, east, north of each parcel."""
        from pyarrow.parquet import ParquetFile

        with self._net(), ParquetFile(self.path) as file:
            corners = file.read(columns=["bbox"])["bbox"].combine_chunks()
            columns = [corners.field(name).to_numpy(zero_copy_only=False) for name in ("xmin", "ymin", "xmax", "ymax")]
            edges = np.stack(columns, axis=1).astype(np.float32).reshape(-1, 4)
        # They were rounded to 32 bits: a step outwards, so that no parcel is missed at its edge.
        return np.nextafter(edges, np.array([-np.inf, -np.inf, np.inf, np.inf], np.float32))

    @cached_property
    def _extents(self) -> NDArray[np.float32]:
        """(P / NEIGHBOURS, 4), what the edges of so many parcels in a row span."""
        first = np.arange(0, self.count, NEIGHBOURS)
        if not first.size:
            return np.zeros((0, 4), np.float32)
        least, most = (edge.reduceat(self._edges, first, axis=0) for edge in (np.minimum, np.maximum))
        return np.concatenate([least[:, :2], most[:, 2:]], axis=1)

    def _net(self) -> Any:
        return doing(f"reading {self.path.name}", ServeError, "run `agrifm parcels` again", path=self.path)


def _touch(edges: NDArray[np.float32], west: float, south: float, east: float, north: float) -> NDArray[np.bool_]:
    """Which of edges (N, 4) touch a box."""
    return (edges[:, 0] <= east) & (edges[:, 2] >= west) & (edges[:, 1] <= north) & (edges[:, 3] >= south)
