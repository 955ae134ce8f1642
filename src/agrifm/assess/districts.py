"""Accuracies and areas of each district, estimated from the points of the whole sample.

A district is a domain of the sample (Cochran 1977, Sampling Techniques, section 5A.14): how many points come to be in
it is chance, and the standard errors say so. What is known exactly is its mapped area, so a class's area is its
estimated share of the district times the district's mapped hectares.

Shape letters: N points, D districts, K classes, h w rows and columns of a window.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import ClassMap, block_windows, open_classified
from agrifm.assess.confusion import Confusion
from agrifm.assess.intervals import MIN_POINTS
from agrifm.assess.plain_numbers import accuracy_numbers, area_numbers
from agrifm.assess.point_estimators import point_estimates
from agrifm.assess.sampling_frame import (
    NONE,
    PolygonFile,
    SamplingFrame,
    frame_of_map,
    frame_of_polygons,
    read_polygons,
    strata_at_points,
)
from agrifm.codes import listed

FEW_POINTS = 10
"""Reference points of a district below which there is a warning."""


@dataclass(frozen=True)
class Districts:
    """The districts of a map."""

    codes: tuple[str, ...]
    """Of those that have mapped pixels."""
    hectares: NDArray[np.float64]
    """Mapped hectares of each class in each district, (D, K), in the order of the confusion's classes."""
    at_point: NDArray[np.int64]
    """(N,), number of the district of each point that is used; -1 = none."""


def read_districts(stated: PolygonFile, mapped: ClassMap, confusion: Confusion) -> Districts:
    """Read districts, count the mapped hectares of each class in each, and find the district of each point.

    Raises:
        AssessmentError: the file cannot be read, has no such column, a polygon has no code, districts overlap, or no
            mapped pixel is in any.
    """
    polygons = read_polygons(stated.file, stated.column, f"reading the districts {stated.file}", stated.keys)
    frame = frame_of_polygons(mapped, polygons, stated.column)
    return Districts(frame.codes, _hectares(mapped, frame, confusion), strata_at_points(frame, confusion.points))


def district_numbers(districts: Districts, confusion: Confusion) -> list[dict[str, Any]]:
    """Return the estimates of each district as plain numbers; None where it has fewer than two points."""
    classes = [{"code": entry.code, "name": entry.name} for entry in confusion.classes]
    result = []
    for number, code in enumerate(districts.codes):
        inside, hectares = districts.at_point == number, districts.hectares[number]
        about: dict[str, Any] = {"code": code, "points": int(inside.sum()), "mapped_ha": float(hectares.sum())}
        if inside.sum() < MIN_POINTS:
            result.append({**about, "overall_accuracy": None, "areas": None})
            continue
        estimates = point_estimates(
            confusion.map_number,
            confusion.reference_number,
            len(classes),
            confusion.drawn,
            domain=inside,
            size=float(hectares.sum()),
        )
        numbers = accuracy_numbers(confusion.codes, estimates)
        result.append({**about, **numbers, "areas": area_numbers(classes, hectares, estimates.area)})
    return result


def district_notes(districts: Districts) -> list[str]:
    """Say which districts have few points, and how many points are in none."""
    count = np.bincount(districts.at_point[districts.at_point >= 0], minlength=len(districts.codes))
    few = [f"{code} ({points})" for code, points in zip(districts.codes, count, strict=True) if points < FEW_POINTS]
    notes = [f"few reference points for numbers of their own: {listed(few)}"] if few else []
    outside = int((districts.at_point < 0).sum())
    return [*notes, *([f"{outside} reference points are in none of the districts"] if outside else [])]


def _hectares(mapped: ClassMap, frame: SamplingFrame, confusion: Confusion) -> NDArray[np.float64]:
    """Mapped hectares of each class in each district, (D, K), window by window."""
    classes = frame_of_map(mapped)
    position = [confusion.codes.index(code) for code in classes.codes]
    result = np.zeros((len(frame.codes), len(confusion.codes)))
    weights = mapped.grid.pixel_hectares()
    with open_classified(mapped.path) as source:
        windows = list(block_windows(source))
    with frame.open() as of_district, classes.open() as of_class:
        for window in windows:
            district, number = of_district(window), of_class(window)
            known = (district != NONE) & (number != NONE)
            pair = district[known].astype(np.int64) * len(classes.codes) + number[known]
            area = np.broadcast_to(weights[window.row : window.row + window.height, None], known.shape)[known]
            counted = np.bincount(pair, area, len(frame.codes) * len(classes.codes))
            result[:, position] += counted.reshape(len(frame.codes), -1)
    return result
