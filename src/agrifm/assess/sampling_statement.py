"""Whether reference points are a probability sample, from what their file and the user state.

Accuracies and areas with intervals need points that were drawn at random with known probabilities (Stehman 2000,
"Practical implications of design-based sampling inference for thematic map accuracy assessment", Remote Sensing of
Environment 72, 35-45). Points chosen by hand, training points and places chosen to be labelled next are not.
"""

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.strata import DRAWN_IN, HECTARES, STRATUM
from agrifm.codes import listed
from agrifm.errors import AssessmentError, did_you_mean
from agrifm.point_columns import METHOD, NON_PROBABILITY

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

Sampling = Literal["stratified", "simple", "non-probability"]
"""What a user can state: points drawn at random within each class of the map that is assessed; at random among all its
pixels; or not a probability sample."""
SAMPLINGS = get_args(Sampling)
DRAWN = ("stratified", "simple", "systematic", "cluster", "two-phase")
"""Methods that give a probability sample."""


def chosen_points(points: "GeoDataFrame") -> NDArray[np.bool_]:
    """Return which points were chosen and not drawn, (N,), by the column "sampling"; without it none."""
    if METHOD not in points.columns:
        return np.zeros(len(points), bool)
    return np.array([_text(value) == NON_PROBABILITY for value in points[METHOD]], bool)


def read_method(points: "GeoDataFrame", about: str) -> str | None:
    """Return the method by which points were drawn, one of `DRAWN` or "non-probability"; None if nothing states it.

    The column "sampling" states it. Without that column, strata with their hectares do, and so does the class of the
    map in which each point was drawn: the columns of earlier files of `agrifm assess design`, and of other designs.

    Args:
        about: what is being done, for messages.

    Raises:
        AssessmentError: the column has another text, or the points were drawn by several methods.
    """
    if METHOD in points.columns:
        stated = sorted({_text(value) for value in points[METHOD]})
        known = (*DRAWN, NON_PROBABILITY)
        if any(method not in known for method in stated) or len(stated) > 1:
            other = next((method for method in stated if method not in known), stated[-1])
            raise AssessmentError(
                f"{about}: its column '{METHOD}' has {listed(stated)}{did_you_mean(other, known)}, and it must have "
                f"one of {listed(list(known))} at every point; give the points of each design in a file of their own",
                methods=stated,
            )
        return stated[0]
    if DRAWN_IN in points.columns or {STRATUM, HECTARES} <= set(points.columns):
        return "stratified"
    return None


def require_probability_sample(
    method: str | None, stated: Sampling | None, points: int, inside_training: int, about: str
) -> list[str]:
    """Return the sentence that begins the report of points that are not a probability sample; none if they are one.

    Args:
        method: what the file of the points states.
        stated: what the user states.
        points: number of points used.
        inside_training: points that are inside training parcels. If all are, and the file states no design, they are
            taken for the training points.
        about: what is being done, for messages.

    Raises:
        AssessmentError: the points are not a probability sample, or nothing says that they are one, and the user does
            not say so either; or the user states another method than the file.
    """
    if stated == NON_PROBABILITY:
        return [
            f"the reference, {points:,} points or polygons, is not a probability sample: accuracies and areas describe "
            "these places, may be far from those of the map, and their intervals do not say how far"
        ]
    remedy = (
        "draw points with `agrifm assess design`, or accept a report that begins with this by `--sampling "
        f"{NON_PROBABILITY}`"
    )
    if method == NON_PROBABILITY:
        raise AssessmentError(
            f"{about}: its points were chosen, not drawn at random (column '{METHOD}'), so they do not say how good "
            f"the map is elsewhere; {remedy}",
            reason="chosen",
            points=points,
        )
    if method is None and points and inside_training == points:
        raise AssessmentError(
            f"{about}: all {points} points are inside training parcels and no column states a design, so they are "
            f"training points and no probability sample; {remedy}",
            reason="training",
            points=points,
        )
    if method is None and stated is None:
        raise AssessmentError(
            f"{about}: nothing in it says how its {points} points were drawn (a column '{METHOD}', or '{STRATUM}' "
            f"with '{HECTARES}'), and only a probability sample gives accuracies and areas with intervals; say "
            "`--sampling stratified` if they were drawn at random within each class of this map, `--sampling simple` "
            f"if at random among its pixels; else {remedy}",
            reason="not stated",
            points=points,
        )
    if method is not None and stated is not None and stated != method:
        raise AssessmentError(
            f"{about}: the file says that its points are a {method} sample, and `--sampling` says {stated}; leave the "
            "option out, or correct the file",
            file=method,
            stated=stated,
        )
    return []


def _text(value: object) -> str:
    """A cell as text; a missing value is "nothing"."""
    return value.strip() if isinstance(value, str) and value.strip() else "nothing"
