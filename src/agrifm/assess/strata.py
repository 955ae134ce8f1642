"""The strata that reference points were drawn in, where they are not the classes of the map that is assessed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.point_estimators import StratifiedPoints, stratified_points
from agrifm.codes import listed, read_codes
from agrifm.errors import AssessmentError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

STRATUM, DRAWN_IN, HECTARES = "stratum", "map_class", "stratum_ha"
"""Columns: the stratum of a point; or the class of the map it was drawn in; and the hectares of that stratum."""
MAX_DIFFERENCE = 0.01
"""Difference between the hectares of the strata and of the map, as a share, above which there is a warning."""


def read_strata(
    points: "GeoDataFrame", map_codes: NDArray[np.str_], map_hectares: float
) -> tuple[StratifiedPoints | None, list[str]]:
    """Return the strata that a reference states, and notes; None where they are the classes of this map.

    Args:
        points: the points that are used.
        map_codes: (N,), class code of the map at each point.
        map_hectares: mapped hectares of all classes.

    Raises:
        AssessmentError: a point has no stratum or no hectares of it, a stratum has two areas or a single point.
    """
    column = STRATUM if STRATUM in points.columns else DRAWN_IN
    if column not in points.columns or HECTARES not in points.columns:
        return None, []
    codes, _ = read_codes(points[column])
    if column == DRAWN_IN and (np.array(codes) == map_codes).all():
        return None, _part_notes(codes, points[HECTARES], map_hectares)
    about = f"reading the strata of the reference, columns '{column}' and '{HECTARES}'"
    hectares = np.array([_number(value) for value in points[HECTARES]])
    without = int(sum(not code for code in codes) + (~(hectares > 0)).sum())
    if without:
        raise AssessmentError(
            f"{about}: {without} points have no stratum, or no hectares of it above 0; write both at every point, or "
            "remove the columns if the points were drawn in the classes of this map",
            points=without,
        )
    names, stratum = np.unique(codes, return_inverse=True)
    size = np.array([hectares[stratum == number].max() for number in range(len(names))])
    different = names[[not np.allclose(hectares[stratum == number], size[number]) for number in range(len(names))]]
    if len(different):
        raise AssessmentError(
            f"{about}: the points of {listed(different.tolist())} state different areas of their stratum; write the "
            "hectares of the whole stratum at each of its points",
            strata=different.tolist(),
        )
    drawn = stratified_points(stratum, size, names=tuple(names.tolist()))
    return drawn, area_notes(float(size.sum()), map_hectares)


def _part_notes(codes: Sequence[str], hectares: Sequence[object], map_hectares: float) -> list[str]:
    """Say if points of the map's classes were drawn on a part of the map: for the rest they say nothing."""
    stated = sum(dict(zip(codes, map(_number, hectares), strict=True)).values())
    if not stated < (1 - MAX_DIFFERENCE) * map_hectares:
        return []
    return [
        f"the points were drawn on {stated:,.1f} ha and the map has {map_hectares:,.1f} ha; they say nothing of the "
        "rest, so assess the part of the map that they were drawn on"
    ]


def area_notes(hectares: float, map_hectares: float) -> list[str]:
    """Say if points were drawn on another area than that of the map."""
    if abs(hectares - map_hectares) <= MAX_DIFFERENCE * map_hectares:
        return []
    return [
        f"the strata have {hectares:,.1f} ha, the map has {map_hectares:,.1f} ha; areas are those of the strata, so "
        "check that no stratum is without points and that they are of this area"
    ]


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("nan")
