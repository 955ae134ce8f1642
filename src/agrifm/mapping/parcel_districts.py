"""Hectares of parcels by district and crop, with the estimates of a report of `agrifm assess` in the same rows.

A parcel belongs to the district that contains a point inside it. Hectares of parcels are sums by the most probable crop
and carry the errors of the map; the estimates of the report correct them by reference points, for all land of a class
and not only that of parcels.

Shape letters: P parcels, D districts.
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.codes import code_of
from agrifm.errors import MapError, did_you_mean, doing
from agrifm.grid import LONLAT
from agrifm.legend import Legend
from agrifm.mapping.parcel_files import parcel_batches
from agrifm.vectors import NOTHING_STATED, VectorKeys, read_vector


@dataclass(frozen=True)
class DistrictFile:
    """Polygons by which the hectares of parcels are summed."""

    file: Path
    column: str
    """Of the districts' codes."""
    report: Path | None = None
    """`report.json` of `agrifm assess --districts`, whose estimates are added."""
    keys: VectorKeys = NOTHING_STATED


class DistrictPolygons(NamedTuple):
    """Open districts."""

    codes: list[str]
    number: NDArray[np.int64]
    """(polygons,), index of the code of each polygon."""
    tree: shapely.STRtree

    def of(self, shapes: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of parcels that are in a district, and the index of its code."""
        row, district = self.tree.query(shapely.point_on_surface(shapes), predicate="intersects")
        row, first = np.unique(row, return_index=True)  # where districts overlap, the first one counts
        return row, self.number[district[first]]


def open_districts(districts: DistrictFile) -> DistrictPolygons:
    """Read districts.

    Raises:
        MapError: they cannot be read, or have no such column.
    """
    about = f"reading the districts {districts.file}"
    frame = read_vector(districts.file, about, MapError, ["polygon"], districts.keys).frame
    if districts.column not in frame.columns:
        known = [str(name) for name in frame.columns if name != frame.geometry.name]
        raise MapError(
            f"{about}: it has no column '{districts.column}'{did_you_mean(districts.column, known)} It has "
            f"{', '.join(known)}",
            column=districts.column,
            columns=known,
        )
    frame = frame[~frame.geometry.isna()].to_crs(LONLAT)
    names = [code_of(value) for value in frame[districts.column].tolist()]
    codes = sorted(set(names))
    number = np.array([codes.index(name) for name in names])
    return DistrictPolygons(codes, number, shapely.STRtree(frame.geometry.to_numpy()))


def district_rows(parcels: Path, districts: DistrictFile, legend: Legend) -> str:
    """Return a CSV with a row for each district and crop: parcels, hectares, and the estimate with its interval.

    Args:
        parcels: the finished GeoParquet.

    Raises:
        MapError: the districts or the report cannot be read, or the districts have no such column.
    """
    places = open_districts(districts)
    codes = places.codes
    hectares, count = np.zeros((len(codes), len(legend))), np.zeros((len(codes), len(legend)), np.int64)
    crops = {code: position for position, code in enumerate(legend.codes)}
    for table, shapes in parcel_batches(parcels, ["crop:code", "agrifm:hectares"]):
        row, district = places.of(shapes)
        crop = table["crop:code"].map(crops).to_numpy(np.float64)[row]
        known = ~np.isnan(crop)
        at = district[known], crop[known].astype(np.int64)
        np.add.at(hectares, at, table["agrifm:hectares"].to_numpy()[row[known]])
        np.add.at(count, at, 1)
    estimates = {} if districts.report is None else _estimates(districts.report)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["district", "code", "name", "parcels", "hectares", "estimated_ha", "low_ha", "high_ha"])
    for position, district_code in enumerate(codes):
        for entry, parcels_of, sum_of in zip(legend.classes, count[position], hectares[position], strict=True):
            found = estimates.get((district_code, entry.code))
            stated = [] if found is None else [found["area_ha"], *found["interval_ha"]]
            written = [f"{value:.2f}" for value in (sum_of, *stated)]
            writer.writerow([district_code, entry.code, entry.name, parcels_of, *written, *[""] * (4 - len(written))])
    return text.getvalue()


def _estimates(report: Path) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """The areas of a report by district and class."""
    about = f"reading the report {report}"
    with doing(about, MapError, "give report.json of `agrifm assess --districts`", path=report):
        content = json.loads(report.read_text(encoding="utf-8-sig"))
        districts = content.get("districts", [])
        found = {(one["code"], area["code"]): area for one in districts for area in one["areas"] or ()}
    if not districts:
        raise MapError(f"{about}: it has no districts; run `agrifm assess` with --districts", path=report)
    return found
