"""Field boundaries without learning: edges of the greenness of the whole season, and the distance from them.

The steps of greenness between neighbours, averaged over the season, are large between fields of different crops or
calendars and small inside a field (Watkins and Van Niekerk 2019). Land is in a field if its greenness changes over the
season. Three thresholds are chosen on training blocks.

Shape letters: F frames, H rows, W columns.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agrifm.classic.indices import greenness
from agrifm.errors import ModelError
from agrifm.fields.field_quality import LEAST_PIXELS, object_counts, object_f1
from agrifm.fields.segments import SegmentRule, maps_in_memory, segment_fields
from agrifm.grid import tiles
from agrifm.samples.patches import Tiles
from agrifm.train.field_prediction import FieldTruth

STEEPEST = (80, 90, 95)
"""Percentiles of the steps of greenness in training fields, from which an edge is a boundary."""
DEEPEST = (2, 4)
"""Pixels from an edge at which a field's middle begins."""
LIVELIEST = (1, 10)
"""Percentiles of the season's range of greenness in training fields, from which land is in a field."""


class EdgeRule(NamedTuple):
    """What was chosen on training blocks."""

    step: float
    """Step of greenness from one pixel to the next that is a boundary."""
    depth: int
    """Pixels."""
    liveliness: float
    """Range of greenness over the season."""


def season_edges(tiles_of: Tiles, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the mean step of greenness between neighbours, and the range over the season (2, H, W).

    Args:
        tiles_of: of interpolated series; the first sensor is used.

    Raises:
        ModelError: it has no greenness.
    """
    sensor = tiles_of.sensors[0]
    result = np.full((2, *shape), np.nan, np.float32)
    for tile in tiles(shape, 96):
        wide = tile.grown(48, shape)
        series = tiles_of.sample(wide).series[sensor.sensor]
        frames, bands, height, width = series.image.shape
        green = greenness(series.image.reshape(frames, bands, height * width), sensor)
        if green is None:
            raise ModelError(
                f"finding edges of fields: '{sensor.sensor}' has no bands `nir` and `red`; name bands by their common "
                "names, or remove `classic` from `names`"
            )
        green = green.reshape(frames, height, width)
        steps = [np.hypot(ndimage.sobel(one, 0), ndimage.sobel(one, 1)) / 8 for one in green]
        inner = tile.within(wide).slices
        result[:, *tile.slices] = np.stack([np.mean(steps, axis=0), np.ptp(green, axis=0)])[:, *inner]
    return result


def edge_maps(edges: NDArray[np.floating], rule: EdgeRule) -> NDArray[np.float32]:
    """Return boundary, distance and extent (3, H, W) by a rule; the distance is 1 from the rule's depth on."""
    step, liveliness = edges
    extent = liveliness >= rule.liveliness
    inside = extent & (step < rule.step)
    distance = np.minimum(ndimage.distance_transform_edt(inside) / rule.depth, 1)
    return np.stack([np.minimum(step / rule.step / 2, 1), distance, extent]).astype(np.float32)


def fit_edges(edges: NDArray[np.floating], truth: FieldTruth) -> tuple[EdgeRule, float]:
    """Return the rule of the highest object F1 on the training blocks, and this F1.

    Args:
        edges: from `season_edges`.
        truth: of the training blocks.
    """
    inside = truth.known & (truth.place >= 0)
    best, highest = EdgeRule(0.0, 1, 0.0), -1.0
    for steep, depth, lively in product(STEEPEST, DEEPEST, LIVELIEST):
        step, liveliness = (np.nanpercentile(one[inside], at) for one, at in zip(edges, (steep, lively), strict=True))
        rule = EdgeRule(float(step), depth, float(liveliness))
        grown = segment_fields(maps_in_memory(edge_maps(edges, rule)), truth.place.shape, EDGE_SEGMENTS)
        found = object_f1(object_counts(grown.number, truth.place, truth.known, LEAST_PIXELS))
        if found > highest:
            best, highest = rule, found
    return best, highest


EDGE_SEGMENTS = SegmentRule(distance=1.0, boundary=0.5)
"""How fields grow from the maps of edges."""
