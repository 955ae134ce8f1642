"""How good field polygons are: objects, segmentation, edges, area.

- Objects: a predicted and a reference field correspond if their intersection over union is above 0.5, which at most one
  pair of fields can have as long as the fields of a layer do not overlap. Object F1 counts the fields that correspond,
  and panoptic quality is the sum of their intersections over unions divided by half the fields of both layers (Kirillov
  et al. 2019, equation 1).
- Segmentation: of each reference field, the predicted field that shares most ground with it: over-segmentation is the
  share of the reference field outside the predicted one, under-segmentation the share of the predicted field outside
  the reference (Clinton et al. 2010, table 1); both 0 is best.
- Edges: boundary F1 is the harmonic mean of the share of the predicted outlines that have a reference outline within a
  tolerance, and of the share of the reference outlines that have a predicted one (Martin et al. 2004).

With a region, only the fields count whose representative point is in it, in both layers; what they correspond to may
have its point elsewhere.
"""

from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from agrifm.errors import AgriFMError, AssessmentError

MATCH = 0.5
"""Intersection over union above which two fields correspond."""
MOST_SHARED = 0.1
"""Share of the smaller of two fields of one layer up to which they may overlap."""
LEAST_PIXELS = 10
"""Size below which a field does not count where rules and rounds of training are compared."""
STEPS = 5
"""Points along an outline for each length of the tolerance."""


class FieldScores(NamedTuple):
    """How field polygons agree with reference polygons; shares 0..1, NaN where nothing is to be counted."""

    predicted: int
    """Fields that were counted."""
    reference: int
    f1: float
    """Object F1."""
    precision: float
    recall: float
    panoptic: float
    """Panoptic quality."""
    iou: float
    """Intersection over union of the ground of all fields."""
    matched_iou: float
    """Mean intersection over union of fields that correspond."""
    over: float
    """Over-segmentation, mean over the reference fields that share ground with a predicted one."""
    under: float
    """Under-segmentation, likewise."""
    edges: float
    """Boundary F1."""
    bias: float
    """Predicted area minus reference area, as a share of the reference."""


def field_scores(
    predicted: NDArray[Any], reference: NDArray[Any], tolerance: float, region: BaseGeometry | None = None
) -> FieldScores:
    """Compare two layers of field polygons in one CRS.

    Args:
        predicted: (P,), polygons.
        reference: (R,), polygons.
        tolerance: of boundary F1, in the unit of the CRS.
        region: where fields are counted; None = everywhere.

    Raises:
        AssessmentError: there are no reference polygons, or fields of one layer overlap.
    """
    predicted, reference = np.asarray(predicted, object), np.asarray(reference, object)
    require_apart(predicted, "comparing fields: the predicted ones")
    require_apart(reference, "comparing fields: the reference")
    ours, theirs = _counted(predicted, region), _counted(reference, region)
    if not theirs.any():
        raise AssessmentError("comparing fields: there are no reference polygons; give the file of this area")
    pair, shared = _intersections(predicted, reference)
    sizes = shapely.area(predicted), shapely.area(reference)
    iou = shared / (sizes[0][pair[0]] + sizes[1][pair[1]] - shared)
    match = iou > MATCH
    precision = _share(np.isin(np.flatnonzero(ours), pair[0][match]))
    recall = _share(np.isin(np.flatnonzero(theirs), pair[1][match]))
    counted = match & theirs[pair[1]]
    over, under = _segmentation(pair, shared, sizes, theirs)
    near = [
        _near_share(*layers, tolerance) for layers in ((predicted[ours], reference), (reference[theirs], predicted))
    ]
    area = float(sizes[0][ours].sum()), float(sizes[1][theirs].sum())
    return FieldScores(
        predicted=int(ours.sum()),
        reference=int(theirs.sum()),
        f1=_harmonic(precision, recall),
        precision=precision,
        recall=recall,
        panoptic=float(iou[counted].sum() / ((ours.sum() + theirs.sum()) / 2)),
        iou=_ground_iou(predicted[ours], reference[theirs]),
        matched_iou=float(iou[counted].mean()) if counted.any() else float("nan"),
        over=over,
        under=under,
        edges=_harmonic(*near),
        bias=(area[0] - area[1]) / area[1],
    )


def require_apart(fields: NDArray[Any], about: str, kind: type[AgriFMError] = AssessmentError) -> None:
    """Refuse a layer whose fields overlap by more than `MOST_SHARED` of the smaller one.

    Args:
        fields: (N,), polygons.
        about: the start of the error's sentence.
        kind: of error.

    Raises:
        AgriFMError: of that kind; they overlap.
    """
    first, second = shapely.STRtree(fields).query(fields, predicate="intersects") if len(fields) else np.zeros((2, 0))
    once = first < second
    first, second = first[once].astype(int), second[once].astype(int)
    smaller = np.minimum(shapely.area(fields[first]), shapely.area(fields[second]))
    over = shapely.area(shapely.intersection(fields[first], fields[second])) > MOST_SHARED * smaller
    if over.any():
        at = int(np.argmax(over))
        raise kind(
            f"{about}: {int(over.sum())} pairs of fields overlap by more than {100 * MOST_SHARED:.0f} % of the smaller "
            f"one, first those of rows {first[at]} and {second[at]}; remove duplicates and fields of other years",
            pairs=int(over.sum()),
            rows=(int(first[at]), int(second[at])),
        )


def _counted(fields: NDArray[Any], region: BaseGeometry | None) -> NDArray[np.bool_]:
    if region is None or not len(fields):
        return np.ones(len(fields), bool)
    shapely.prepare(region)
    return np.asarray(shapely.intersects(region, shapely.point_on_surface(fields)), bool)


def _intersections(predicted: NDArray[Any], reference: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Pairs (2, N) of a predicted and a reference field that share ground, and how much."""
    if not len(predicted):
        return np.zeros((2, 0), np.intp), np.zeros(0)
    pair = shapely.STRtree(reference).query(predicted, predicate="intersects")
    shared = shapely.area(shapely.intersection(predicted[pair[0]], reference[pair[1]]))
    return pair[:, shared > 0], shared[shared > 0]


def _segmentation(
    pair: NDArray[np.intp],
    shared: NDArray[np.float64],
    sizes: tuple[NDArray[np.float64], NDArray[np.float64]],
    counted: NDArray[np.bool_],
) -> tuple[float, float]:
    """Mean over- and under-segmentation of the reference fields that are counted."""
    order = np.lexsort((pair[0], -shared, pair[1]))  # of each reference field the largest share of ground first
    fields, first = np.unique(pair[1][order], return_index=True)
    best = order[first][counted[fields]]
    if not len(best):
        return float("nan"), float("nan")
    over, under = (1 - shared[best] / size[rows[best]] for size, rows in zip(sizes[::-1], pair[::-1], strict=True))
    return float(over.mean()), float(under.mean())


def _near_share(fields: NDArray[Any], others: NDArray[Any], tolerance: float) -> float:
    """Share of the outlines of fields that have an outline of others within the tolerance."""
    if not len(fields) or not len(others):
        return 0.0
    tree = shapely.STRtree(shapely.get_parts(shapely.boundary(others)))
    near = length = 0.0
    for line in shapely.get_parts(shapely.boundary(fields)):
        count = max(int(np.ceil(line.length * STEPS / tolerance)), 1)
        # the middles of equal pieces
        points = shapely.line_interpolate_point(line, (np.arange(count) + 0.5) * line.length / count)
        hit = np.unique(tree.query(points, predicate="dwithin", distance=tolerance)[0])
        near, length = near + line.length * len(hit) / count, length + line.length
    return near / length


def _ground_iou(predicted: NDArray[Any], reference: NDArray[Any]) -> float:
    ours, theirs = shapely.union_all(predicted), shapely.union_all(reference)
    return float(ours.intersection(theirs).area / ours.union(theirs).area)


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _harmonic(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0


def object_counts(
    predicted: NDArray[np.integer], reference: NDArray[np.integer], known: NDArray[np.bool_], least: int = 1
) -> NDArray[np.int64]:
    """Count fields of two rasters: those that correspond, the predicted ones, those of the reference, (3,).

    Sums over windows give object F1, 2 * first / (second + third), in which fields cut by windows count in parts.

    Args:
        predicted: (H, W), number of the field, negative = none.
        reference: likewise.
        known: (H, W), where both are compared.
        least: size below which a field does not count, pixels.
    """
    ours, theirs = (np.where(known, number, -1) for number in (predicted, reference))
    sizes = []
    for number in (ours, theirs):
        fields, count = np.unique(number[number >= 0], return_counts=True)
        sizes.append(dict(zip(fields[count >= least].tolist(), count[count >= least].tolist(), strict=True)))
    both = (ours >= 0) & (theirs >= 0)
    pairs, shared = np.unique(np.stack([ours[both], theirs[both]]), axis=1, return_counts=True)
    matched = sum(
        common > MATCH * (sizes[0][one] + sizes[1][other] - common)
        for one, other, common in zip(*pairs.tolist(), shared.tolist(), strict=True)
        if one in sizes[0] and other in sizes[1]
    )
    return np.array([matched, len(sizes[0]), len(sizes[1])], np.int64)


def object_f1(counts: NDArray[Any]) -> float:
    """Return object F1 from sums of `object_counts`; 0 without any field."""
    matched, *both = counts
    return float(2 * matched / sum(both)) if sum(both) else 0.0
