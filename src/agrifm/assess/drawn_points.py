"""The file of drawn reference points: written to be labelled, read to draw more, and safe once it has labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from agrifm.assess.class_map import pixel_of_points
from agrifm.assess.sampling_frame import SamplingFrame
from agrifm.assess.strata import DRAWN_IN, HECTARES, MAX_DIFFERENCE, STRATUM
from agrifm.errors import AssessmentError, OutputError
from agrifm.files import write_geopackage
from agrifm.point_columns import LABEL, METHOD, NUMBER
from agrifm.vectors import read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

NAME = "map_name"
COLUMNS = (NUMBER, HECTARES, LABEL)
"""Columns of every file of points; `label` is empty and is filled in after looking at the ground. The hectares are of
the whole stratum, so that another map can be assessed with the same points. The stratum is in one more column."""


class DrawnPoint(NamedTuple):
    """A pixel that was drawn."""

    stratum: int
    row: int
    col: int


@dataclass(frozen=True)
class DrawnPoints:
    """Points of an earlier file."""

    pixels: tuple[DrawnPoint, ...] = ()
    frame: "GeoDataFrame | None" = None


def write_drawn(
    frame: SamplingFrame,
    points: Sequence[DrawnPoint],
    out: Path,
    earlier: DrawnPoints,
    method: str,
    columns: Mapping[str, ArrayLike] = MappingProxyType({}),
) -> None:
    """Write points as a GeoPackage in the CRS of the map, after those of an earlier file, which stay as they are.

    Args:
        method: by which they were drawn, one of `agrifm.assess.sampling_statement.DRAWN`.
        columns: what else the design needs at each point.
    """
    write_table(drawn_table(frame, points, method, columns), out, earlier.frame)


def drawn_table(
    frame: SamplingFrame,
    points: Sequence[DrawnPoint],
    method: str,
    columns: Mapping[str, ArrayLike] = MappingProxyType({}),
) -> "GeoDataFrame":
    """Return the columns of points, in the CRS of the map; see `write_drawn`."""
    import geopandas as gpd
    import pandas as pd

    strata = [point.stratum for point in points]
    codes, names = (pd.Series([values[number] for number in strata]) for values in (frame.codes, frame.names))
    return gpd.GeoDataFrame(
        {
            NUMBER: np.arange(1, 1 + len(points)),
            METHOD: method,
            **({DRAWN_IN: codes, NAME: names} if frame.is_map else {STRATUM: codes}),
            HECTARES: frame.hectares()[strata],
            **columns,
            LABEL: pd.Series([None] * len(points), dtype="string"),
        },
        geometry=gpd.points_from_xy(
            frame.grid.x[[point.col for point in points]], frame.grid.y[[point.row for point in points]]
        ),
        crs=str(frame.grid.crs),
    )


def write_table(new: "GeoDataFrame", out: Path, before: "GeoDataFrame | None") -> None:
    """Write points that were drawn, numbered on after those of an earlier file, which stay as they are."""
    import pandas as pd

    if before is not None:
        new[NUMBER] += int(before[NUMBER].max())
        before = before.to_crs(new.crs).astype({LABEL: "string"})
        if METHOD not in before:  # a file of an earlier version
            before[METHOD] = new[METHOD].iloc[0]
        new = pd.concat([before, new], ignore_index=True)
    write_geopackage(out, new)


def read_drawn(path: Path, frame: SamplingFrame) -> DrawnPoints:
    """Read points that were drawn earlier in the same strata.

    Raises:
        AssessmentError: the file cannot be read, or its points are of other strata.
    """
    points = read_points(path, frame.is_map)
    return DrawnPoints(pixels_of_points(path, points, frame), points)


def read_points(path: Path, is_map: bool) -> "GeoDataFrame":
    """Read the table of points that were drawn earlier.

    Args:
        is_map: whether their strata are classes of a map.

    Raises:
        AssessmentError: the file cannot be read, or is not such a table.
    """
    about = f"reading the earlier points {path}"
    points = read_vector(path, about, AssessmentError, ["point"]).frame
    column = DRAWN_IN if is_map else STRATUM
    lacking = {*COLUMNS, column} - set(points.columns)
    if lacking:
        raise AssessmentError(
            f"{about}: it has no column '{min(lacking)}', so it was not drawn in these strata; give the file that "
            "`agrifm assess design` wrote for the same map and design",
            columns=sorted(lacking),
        )
    return points


def pixels_of_points(path: Path, points: "GeoDataFrame", frame: SamplingFrame) -> tuple[DrawnPoint, ...]:
    """Return the pixels of points that were drawn earlier.

    Args:
        path: of their file, for errors.
        points: of `read_points`.

    Raises:
        AssessmentError: they are of other strata.
    """
    column, numbers = DRAWN_IN if frame.is_map else STRATUM, {code: at for at, code in enumerate(frame.codes)}
    stratum = np.array([numbers.get(str(code), -1) for code in points[column]], np.int64)
    known = np.where(stratum >= 0, frame.hectares()[stratum], np.nan)
    others = ~(np.abs(points[HECTARES].to_numpy(float) - known) <= MAX_DIFFERENCE * known)
    if others.any():
        raise AssessmentError(
            f"reading the earlier points {path}: {int(others.sum())} points are of strata that this map and design do "
            "not have, or of another area; draw all points anew, or give the map they were drawn from",
            points=int(others.sum()),
        )
    row, col = pixel_of_points(frame.grid, points.to_crs(str(frame.grid.crs)))
    return tuple(DrawnPoint(*place) for place in zip(stratum.tolist(), row.tolist(), col.tolist(), strict=True))


def is_unlabelled(points: Path) -> bool:
    """Whether a file is one of points that were drawn.

    Raises:
        OutputError: labels of it are filled in.
    """
    try:
        frame = read_vector(points, f"reading the points {points}", AssessmentError).frame
    except AssessmentError:
        return False
    if not set(COLUMNS) <= set(frame.columns):
        return False
    filled = int((frame[LABEL].fillna("").astype(str).str.strip() != "").sum())
    if filled:
        raise OutputError(
            f"writing reference points to {points}: {filled} of its {len(frame)} points are labelled, and would be "
            "lost; choose another name",
            path=points,
            labelled=filled,
        )
    return True
