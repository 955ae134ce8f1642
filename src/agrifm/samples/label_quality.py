"""Faults of labels that need no model: places named twice, shapes of two crops over each other, places at sea.

Shape letters: P places.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas
import shapely
from numpy.typing import NDArray

from agrifm.samples.land import is_on_land
from agrifm.samples.table import SeriesTable

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MIN_OVERLAP = 0.01
"""Least share of the smaller of two shapes that they have in common; neighbours touch by the width of a line."""


class Fault(NamedTuple):
    """Something wrong with a labelled place, or with two together."""

    place: int
    """Row of the place."""
    kind: str
    """"duplicate", "conflict" or "place"."""
    text: str
    """A sentence for the person who corrects it."""


def table_faults(table: SeriesTable) -> list[Fault]:
    """Return the faults of the places of a series table, in the order of its rows.

    Places with the same coordinates are duplicates, or a conflict if their classes differ and their seasons are the
    same. A place without coordinates cannot be judged.
    """
    faults = [
        Fault(int(row), "place", f"{table.lon[row]:.5f}, {table.lat[row]:.5f} is not near land")
        for row in np.flatnonzero(np.isfinite(table.lon) & ~is_on_land(table.lon, table.lat))
    ]
    where = np.stack([table.lon, table.lat, table.season_start], axis=1)
    for rows in _alike(where, np.isfinite(where).all(axis=1)):
        faults += _of_alike(rows, table.label[rows], table.legend.codes)
    return sorted(faults)


def shape_faults(
    frame: "GeoDataFrame", number: NDArray[np.integer], codes: tuple[str, ...], rows: NDArray[np.integer] | None = None
) -> list[Fault]:
    """Return the faults of labelled shapes, in the order of their rows.

    Args:
        frame: shapes in a projected CRS, metres.
        number: (P,), class numbers.
        codes: of the classes.
        rows: (P,), of the shapes in their file, from 0; None = they are all of its shapes.
    """
    shapes, rows = np.asarray(frame.geometry), np.arange(len(frame)) if rows is None else rows
    faults = []
    group, _ = pandas.factorize(frame.geometry.normalize().to_wkb())
    for alike in _alike(group[:, None].astype(float), np.ones(len(shapes), bool)):
        faults += _of_alike(rows[alike], number[alike], codes)
    tree = shapely.STRtree(shapes)
    for one, other in zip(*tree.query(shapes, predicate="intersects"), strict=True):
        if one < other and group[one] != group[other] and number[one] != number[other]:
            faults += _overlap(shapes, int(one), int(other), number, codes, rows)
    return sorted(faults)


def _alike(keys: NDArray[np.float64], known: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each key that occurs more than once."""
    rows = np.flatnonzero(known)
    _, group, counts = np.unique(keys[rows], axis=0, return_inverse=True, return_counts=True)
    for number in np.flatnonzero(counts > 1):
        yield rows[group.ravel() == number]


def _of_alike(rows: NDArray[np.integer], number: NDArray[np.integer], codes: tuple[str, ...]) -> list[Fault]:
    """Faults of rows that are one place: each row after the first, or all if their classes differ."""
    labelled = number < len(codes)
    classes = sorted({codes[one] for one in number[labelled]})
    if len(classes) > 1:
        text = f"{len(rows)} labels of this place differ: {', '.join(classes)}"
        return [Fault(int(row), "conflict", text) for row in rows]
    return [Fault(int(row), "duplicate", f"the same place as in row {rows[0] + 1}") for row in rows[1:]]


def _overlap(
    shapes: NDArray[np.object_],
    one: int,
    other: int,
    number: NDArray[np.integer],
    codes: tuple[str, ...],
    rows: NDArray[np.integer],
) -> list[Fault]:
    """A fault for each of two shapes of different classes that share more than their edge."""
    if max(number[one], number[other]) >= len(codes):
        return []
    common, smaller = shapes[one].intersection(shapes[other]).area, min(shapes[one].area, shapes[other].area)
    is_point = smaller == 0
    if not is_point and common / smaller < MIN_OVERLAP:
        return []
    area = "" if is_point else f" on {common / 1e4:.2f} ha"
    return [
        Fault(int(rows[row]), "conflict", f"{codes[number[row]]} here, {codes[number[with_]]} in row {there + 1}{area}")
        for row, with_, there in ((one, other, rows[other]), (other, one, rows[one]))
    ]
