"""Areas from a complete list of parcels where there is one, and from reference points for the rest of the map.

Where every field is declared with its crop, as for subsidies, its area is known and has no sampling error. Only the
rest, a domain of the sample whose hectares are known too, is estimated; areas and variances of the two add (Cochran
1977, "Sampling Techniques", section 5A.14; Särndal et al. 1992, section 10.3).

Shape letters: N points, K classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import ClassMap
from agrifm.assess.confusion import Confusion
from agrifm.assess.estimators import Estimate
from agrifm.assess.intervals import MIN_POINTS, ROUNDING
from agrifm.assess.plain_numbers import area_numbers
from agrifm.assess.point_estimators import point_estimates
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.assess.sampling_frame import NONE, PolygonFile, frame_of_polygons, read_polygons, strata_at_points
from agrifm.codes import listed, read_codes
from agrifm.errors import AssessmentError, did_you_mean


@dataclass(frozen=True)
class Declared:
    """Declared parcels on the pixels of a map."""

    codes: tuple[str, ...]
    """Crops that are declared on mapped pixels."""
    hectares: NDArray[np.float64]
    """Of each crop: those of the mapped pixels whose centre is in a parcel."""
    at_point: NDArray[np.int64]
    """(N,), number of the declared crop at each reference point that is used; -1 = outside the parcels."""
    rest_ha: float
    """Mapped hectares outside the parcels."""


def read_declared(stated: PolygonFile, mapped: ClassMap, confusion: Confusion) -> Declared:
    """Read declared parcels and count their hectares on the map, window by window.

    Raises:
        AssessmentError: the file cannot be read or has no such column, a parcel has no crop, parcels of two crops
            overlap, a crop is not a class of the map's legend, or no mapped pixel is in any parcel.
    """
    about = f"reading the declared parcels {stated.file}"
    polygons = read_polygons(stated.file, stated.column, about, stated.keys)
    written, _ = read_codes(polygons[stated.column], mapped.legend.every_code)
    polygons = polygons.assign(**{stated.column: [mapped.legend.class_code(code) for code in written]})
    frame = frame_of_polygons(mapped, polygons, stated.column)
    known = dict.fromkeys((*mapped.legend.codes, *confusion.codes))
    unknown = [code for code in frame.codes if code not in known]
    if unknown and mapped.has_legend:
        raise AssessmentError(
            f"{about}: the crops {listed(unknown)} of column '{stated.column}' are not classes of the map "
            f"({listed(list(known))}){did_you_mean(unknown[0], list(known))}; translate them (`agrifm legend "
            "translate`) or leave their parcels out, which are then estimated from points",
            unknown=unknown,
        )
    hectares = frame.hectares()
    whole = float(mapped.hectares().sum())
    rest = whole - float(hectares.sum())
    # The two sums of a map that is covered by parcels differ by rounding.
    rest = rest if rest > ROUNDING * whole else 0.0
    return Declared(frame.codes, hectares, strata_at_points(frame, confusion.points), rest)


def composite_area(
    declared_ha: NDArray[np.float64],
    reference: NDArray[np.int64],
    outside: NDArray[np.bool_],
    rest_ha: float,
    drawn: ProbabilitySample,
) -> Estimate:
    """Return the area of each class, (K,), hectares: declared in the parcels, and estimated outside them.

    Args:
        declared_ha: (K,), hectares of each class in the parcels.
        reference: (N,), class number of each point.
        outside: (N,), whether each point is outside the parcels.
        rest_ha: hectares outside the parcels, which are known.

    Raises:
        AssessmentError: fewer than two points are outside.
    """
    if not rest_ha > 0:
        nothing = np.zeros(len(declared_ha))
        return Estimate(declared_ha, nothing, declared_ha, declared_ha)
    if outside.sum() < MIN_POINTS:
        raise AssessmentError(
            f"adding declared parcels and points: {int(outside.sum())} reference points are on the {rest_ha:,.1f} ha "
            f"outside the parcels, and at least {MIN_POINTS} are needed; draw points there",
            points=int(outside.sum()),
            rest_ha=rest_ha,
        )
    rest = point_estimates(reference, reference, len(declared_ha), drawn, domain=outside, size=rest_ha).area
    return Estimate(declared_ha + rest.value, rest.error, declared_ha + rest.low, declared_ha + rest.high)


def composite_numbers(declared: Declared, mapped: ClassMap, confusion: Confusion) -> dict[str, Any]:
    """Return the areas of parcels and points together as plain numbers, with those of the parcels alone."""
    names = {entry.code: entry.name for entry in (*mapped.legend.classes, *confusion.classes)}
    codes = [*confusion.codes, *(code for code in declared.codes if code not in confusion.codes)]
    of_class = dict(zip(declared.codes, declared.hectares.tolist(), strict=True))
    hectares = np.array([of_class.get(code, 0.0) for code in codes])
    outside = declared.at_point == NONE
    area = composite_area(hectares, confusion.reference_number, outside, declared.rest_ha, confusion.drawn)
    about = [
        {"code": code, "name": names.get(code, code), "declared_ha": float(of_class.get(code, 0.0))} for code in codes
    ]
    on_map = np.append(confusion.hectares, np.zeros(len(codes) - len(confusion.codes)))
    return {
        "declared_ha": float(hectares.sum()),
        "rest_ha": declared.rest_ha,
        "points": int(outside.sum()),
        "areas": area_numbers(about, on_map, area),
    }


def declared_notes(declared: Declared, confusion: Confusion) -> list[str]:
    """Say how many reference points inside parcels have another class than the declared one."""
    inside = declared.at_point != NONE
    if not inside.any():
        return []
    said = np.array(declared.codes)[declared.at_point[inside]]
    seen = np.array(confusion.codes)[confusion.reference_number[inside]]
    return [f"{int((said != seen).sum())} of {int(inside.sum())} points inside declared parcels have another class"]
