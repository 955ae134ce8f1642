"""Reference points for those who label them: read, as a table, and for virtual globes.

Neither the class of the map nor the stratum of a point is written: an interpreter who sees them is led by them.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import ClassMap, pixel_of_points
from agrifm.assess.zoned_map import ZonedMap, zone_of_points
from agrifm.codes import code_of
from agrifm.errors import AssessmentError
from agrifm.grid import LONLAT, Grid
from agrifm.legend import Legend, LegendClass
from agrifm.point_columns import NUMBER, RANK
from agrifm.vectors import read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

CONFIDENCES = ("low", "medium", "high")
"""How sure an interpreter is of a label."""
ANSWER = ("label", "confidence", "comment")
"""What an interpreter fills in for each point."""
PLACE = ("longitude", "latitude")


@dataclass(frozen=True)
class InterpreterPoints:
    """Points of `agrifm assess design` or `agrifm samples next`, in the order of their file."""

    frame: "GeoDataFrame"
    """As they were written, with the columns of the design."""
    numbers: tuple[str, ...]
    """Text of each point's column `id`."""
    lonlat: NDArray[np.float64]
    """(N, 2), degrees, rounded to 7 decimals (about a centimetre)."""


def read_interpreter_points(path: Path) -> InterpreterPoints:
    """Read points that `agrifm assess design` has drawn, or `agrifm samples next` chosen, whose rank is their number.

    Raises:
        AssessmentError: the file cannot be read, or its points have no numbers in a column `id`, or equal ones.
    """
    about = f"reading the points {path}"
    frame = read_vector(path, about, AssessmentError, ["point"]).frame
    if NUMBER not in frame.columns and RANK in frame.columns:
        frame = frame.assign(**{NUMBER: frame[RANK]})
    if NUMBER not in frame.columns:
        raise AssessmentError(
            f"{about}: they have no column '{NUMBER}', by which answers find their points; give the file that "
            "`agrifm assess design` wrote",
            column=NUMBER,
        )
    numbers = tuple(code_of(value) for value in frame[NUMBER])
    if "" in numbers or len(set(numbers)) < len(numbers):
        raise AssessmentError(
            f"{about}: {len(numbers) - len(set(numbers) - {''})} points have no number in '{NUMBER}' or that of "
            "another point; give the file that `agrifm assess design` wrote",
            points=len(numbers) - len(set(numbers) - {""}),
        )
    lonlat = frame.geometry.to_crs(LONLAT).get_coordinates().to_numpy()
    return InterpreterPoints(frame, numbers, np.round(lonlat, 7))


def label_classes(legend: Legend, also: Sequence[str] = ()) -> tuple[LegendClass, ...]:
    """Return the classes that labels may have: those of the map's legend, and further ones.

    Args:
        also: codes, or `code=name`.
    """
    names = {code_of(code): name.strip() or code for code, _, name in (one.partition("=") for one in also)}
    new = [code for code in names if code and code not in legend.codes]
    more = Legend.of([*legend.codes, *new], names).classes[len(legend) :]
    return (*legend.classes, *more)


def points_csv(points: InterpreterPoints) -> str:
    """Return a table with number and place of each point, and empty columns for the answer."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((NUMBER, *PLACE, *ANSWER))
    for number, (x, y) in zip(points.numbers, points.lonlat.tolist(), strict=True):
        writer.writerow((number, f"{x:.7f}", f"{y:.7f}", "", "", ""))
    return text.getvalue()


def points_kml(points: InterpreterPoints, mapped: ClassMap) -> str:
    """Return the points in KML 2.2 (OGC 07-147r2), each with the outline of its pixel on the map.

    Args:
        mapped: the map they were drawn for.
    """
    placemarks = []
    outlines = _outlines(points, mapped)
    for number, (x, y), ring in zip(points.numbers, points.lonlat.tolist(), outlines, strict=True):
        corners = " ".join(f"{one:.7f},{other:.7f}" for one, other in ring.tolist())
        placemarks.append(
            f"<Placemark><name>{escape(number)}</name><styleUrl>#pixel</styleUrl><MultiGeometry>"
            f"<Point><coordinates>{x:.7f},{y:.7f}</coordinates></Point>"
            f"<LineString><tessellate>1</tessellate><coordinates>{corners}</coordinates></LineString>"
            "</MultiGeometry></Placemark>"
        )
    style = '<Style id="pixel"><LineStyle><color>ff00ffff</color><width>2</width></LineStyle></Style>'
    return "\n".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>reference points</name>',
            style,
            *placemarks,
            "</Document></kml>\n",
        )
    )


def _outlines(points: InterpreterPoints, mapped: ClassMap) -> NDArray[np.float64]:
    """Closed rings of the points' pixels in degrees, (N, 5, 2); of the zone that contains a point."""
    zones = mapped.zones if isinstance(mapped, ZonedMap) else (mapped,)
    rings = np.zeros((len(points.numbers), 5, 2))
    for zone in zones:
        here = np.full(len(rings), True) if len(zones) == 1 else zone_of_points(zone, points.lonlat[:, 0])
        rings[here] = _rings(zone.grid, points.frame[here])
    return rings


def _rings(grid: Grid, points: "GeoDataFrame") -> NDArray[np.float64]:
    """Closed rings of the pixels of a grid that have points, in degrees, (N, 5, 2)."""
    from pyproj import Transformer

    row, col = pixel_of_points(grid, points.to_crs(grid.crs.to_wkt()))
    cols, rows = (index[:, None] + offset for index, offset in ((col, [0, 1, 1, 0, 0]), (row, [0, 0, 1, 1, 0])))
    x = grid.transform.c + cols * grid.transform.a
    y = grid.transform.f + rows * grid.transform.e
    turn = Transformer.from_crs(grid.crs.to_wkt(), LONLAT, always_xy=True)
    return np.stack(turn.transform(x, y), axis=-1)
