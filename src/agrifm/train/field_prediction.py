"""Fields of a whole cube: predicted without seams, grown by the rule that suits unseen blocks, outlined, and scored.

Shape letters: H rows, W columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from agrifm.fields.field_quality import LEAST_PIXELS, FieldScores, field_scores, object_counts, object_f1
from agrifm.fields.outlines import OutlineRule, on_ground, outline_fields
from agrifm.fields.segments import SegmentRule, maps_in_memory, segment_fields
from agrifm.grid import Grid, Window, starts
from agrifm.samples.targets import field_targets

Predict = Callable[[Window], NDArray[np.floating]]
"""Boundary, distance and extent (3, H, W) of a window, NaN where there is no observation."""
DISTANCES, BOUNDARIES = (0.2, 0.3, 0.4, 0.5), (0.15, 0.3, 0.5)
"""Thresholds of seeds that are compared."""


@dataclass(frozen=True)
class FieldTruth:
    """What predicted fields are compared with."""

    grid: Grid
    place: NDArray[np.integer]
    """(H, W), number of the field, -1 = none."""
    known: NDArray[np.bool_]
    """(H, W), where fields are compared."""
    polygons: NDArray[Any]
    """All fields, in the CRS of the grid."""

    @property
    def region(self) -> BaseGeometry:
        """The ground where fields are compared."""
        parts = shapes(self.known.astype(np.uint8), self.known, transform=self.grid.transform)
        return shapely.union_all([shape(outline) for outline, _ in parts])


def predict_whole(predict: Predict, shape_: tuple[int, int], side: int, layers: int = 3) -> NDArray[np.float32]:
    """Return the maps of a whole grid (layers, H, W): windows overlap by half, and the inner half of each is used.

    Args:
        side: of a window, pixels.
        layers: that `predict` returns.
    """
    result = np.full((layers, *shape_), np.nan, np.float32)
    quarter = side // 4
    for row in starts(shape_[0], side, side // 2):
        for col in starts(shape_[1], side, side // 2):
            window = Window(row, col, min(side, shape_[0]), min(side, shape_[1]))
            found = predict(window)
            # windows come from the top and from the left, so what is left of a later one's inner part stays
            top, left = (quarter if first else 0 for first in (row, col))
            result[:, row + top : row + window.height, col + left : col + window.width] = found[:, top:, left:]
    return result


def choose_segment_rule(maps: NDArray[np.floating], truth: FieldTruth) -> tuple[SegmentRule, float]:
    """Return the rule of the highest object F1 on known pixels, and this F1.

    Args:
        maps: boundary, distance, extent (3, H, W).
    """
    best, highest = SegmentRule(), -1.0
    for distance, boundary in product(DISTANCES, BOUNDARIES):
        rule = SegmentRule(distance=distance, boundary=boundary)
        grown = segment_fields(maps_in_memory(maps), truth.place.shape, rule)
        found = object_f1(object_counts(grown.number, truth.place, truth.known, LEAST_PIXELS))
        if found > highest:
            best, highest = rule, found
    return best, highest


def field_polygons(maps: NDArray[np.floating], grid: Grid, rule: SegmentRule, outline: OutlineRule) -> NDArray[Any]:
    """Return the polygons of the fields of maps (3, H, W), in the CRS of their grid."""
    segments = segment_fields(maps_in_memory(maps), grid.shape, rule)
    parts = [found.polygon for found in outline_fields(segments, outline)]
    polygons = np.concatenate(parts) if parts else np.zeros(0, object)
    return on_ground(polygons, grid)


def score_fields(maps: NDArray[np.floating], polygons: NDArray[Any], truth: FieldTruth) -> dict[str, Any]:
    """Return the scores of polygons where the truth is known, boundary F1 within one pixel, and F1 of boundary pixels.

    Args:
        maps: boundary, distance, extent (3, H, W), of which the polygons were made.
    """
    found: FieldScores = field_scores(polygons, truth.polygons, truth.grid.resolution, truth.region)
    ours, theirs = maps[0] >= 0.5, field_targets(truth.place).boundary
    hit = int((ours & theirs & truth.known).sum())
    pixels = int((ours & truth.known).sum()) + int((theirs & truth.known).sum())
    return {**found._asdict(), "boundary_pixels_f1": 2 * hit / pixels if pixels else 0.0}
