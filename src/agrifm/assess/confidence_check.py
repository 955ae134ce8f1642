"""Whether a map's confidence can be believed: the share that is right by confidence, and by class, at the reference.

A map is calibrated if of the ground with a confidence of 80 % as much is right (Guo et al. 2017, "On calibration of
modern neural networks", ICML). Shares are ratios of totals over the design of the points, with its intervals; so they
are of the ground and not of the points.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import open_classified, pixel_of_points, read_window
from agrifm.assess.confusion import Confusion
from agrifm.assess.page_pictures import CONFIDENCE_FILE
from agrifm.assess.plain_numbers import plain_number
from agrifm.assess.point_estimators import StratifiedPoints, ratio_of_totals
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.files import AnyPath, as_path
from agrifm.grid import Grid, Window

EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the ranges of confidence; each begins after its lower end."""


def confidence_check(map_path: AnyPath, confusion: Confusion) -> dict[str, Any]:
    """Return how much of the ground is right by the confidence of a map, as plain numbers; nothing without confidence.

    Args:
        map_path: the map, next to which agrifm writes `confidence.tif`.
        confusion: its reference points; polygons have no one confidence.

    Returns:
        `ranges` of confidence (`low`, `high`) and `classes` (`code`), each with the `points` in it, the mean `stated`
        confidence of its ground and the share that is `right`; and the same of the `whole` map.

    Raises:
        AssessmentError: the confidence cannot be read.
    """
    path = as_path(map_path).parent / CONFIDENCE_FILE
    if confusion.of_polygons or not path.is_file() or path == as_path(map_path):
        return {}
    stated = confidence_at(path, confusion)
    known = ~np.isnan(stated)
    if not known.any():
        return {}
    place = np.digitize(stated, EDGES[1:-1], right=True)

    def of_part(part: NDArray[np.bool_]) -> dict[str, Any]:
        return _of_part(part & known, stated, confusion)

    ranges = [
        {"low": low, "high": high, **of_part(place == number)} for number, (low, high) in enumerate(pairwise(EDGES))
    ]
    classes = [{"code": code, **of_part(confusion.map_number == number)} for number, code in enumerate(confusion.codes)]
    return {
        "whole": of_part(known),
        "ranges": [one for one in ranges if one["points"]],
        "classes": [one for one in classes if one["points"]],
    }


def confidence_at(path: AnyPath, confusion: Confusion) -> NDArray[np.float64]:
    """Return the confidence at each reference point, 0..1, (N,); NaN where there is none."""
    found = np.full(len(confusion.points), np.nan)
    with open_classified(as_path(path)) as source:
        if source.crs is None:
            return found
        grid = Grid.of(source.crs.to_wkt(), source.transform, source.shape)
        rows, cols = pixel_of_points(grid, confusion.points.to_crs(grid.crs.to_wkt()))
        inside = (rows >= 0) & (rows < grid.shape[0]) & (cols >= 0) & (cols < grid.shape[1])
        for at in sorted(np.flatnonzero(inside), key=lambda at: (rows[at], cols[at])):
            percent = read_window(source, Window(int(rows[at]), int(cols[at]), 1, 1))[0, 0]
            if percent is not np.ma.masked and 0 <= percent <= 100:
                found[at] = float(percent) / 100
    return found


def _of_part(part: NDArray[np.bool_], stated: NDArray[np.float64], confusion: Confusion) -> dict[str, Any]:
    """Points of a part of the ground, their mean confidence, and the share that is right."""
    if not part.any():
        return {"points": 0}
    weights, right = confusion.drawn.weights[part], confusion.map_number == confusion.reference_number
    drawn: ProbabilitySample = confusion.drawn
    counted = part
    of = np.unique(confusion.map_number[part])
    if confusion.strata is None and len(of) == 1:
        # Its ground is in one stratum, and the points of the others say nothing of it.
        drawn = StratifiedPoints(np.zeros(part.sum(), np.int64), confusion.hectares[of])
        right, counted = right[part], np.ones(part.sum(), bool)
    return {
        "points": int(part.sum()),
        "stated": float(np.average(stated[part], weights=weights)),
        "right": plain_number(ratio_of_totals(right & counted, counted, drawn)),
    }
