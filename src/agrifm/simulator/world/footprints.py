"""What of its neighbourhood a pixel of each sensor shows: weights of the fields of a place.

The other fields of a place stand for the neighbours of a field. A pixel of Sentinel-2 or Landsat shows one
neighbour, the more the nearer the edge of the field is; a MODIS pixel shows many fields.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from agrifm.simulator.world.places import WorldPlace

Weights = NDArray[np.float32]
"""(fields, fields): weight of each field (column) in the pixel of each field (row); rows sum to 1."""

BLUR = {"sentinel-2": 9.0, "landsat": 19.0}
"""Standard deviation in metres of the point spread, with the error of the position."""
MODIS_GROUND = 480.0 * 720.0
"""Square metres that a MODIS pixel shows."""
NEGLECTED = 0.01
"""Fields with a smaller share of a pixel are left out."""


def draw_footprints(rng: np.random.Generator, place: WorldPlace) -> Mapping[str, Weights]:
    """Draw the pixel of each field of a place, for each sensor."""
    fields = len(place.cover)
    rows = np.arange(fields)
    # the distance of a random point in a square from its nearest side
    edge = place.side / 2 * (1 - np.sqrt(1 - rng.random(fields)))
    neighbour = (rows + rng.integers(1, fields, size=fields)) % fields
    result = {}
    for sensor, blur in BLUR.items():
        share = ndtr(-edge / blur)
        weights = np.zeros((fields, fields))
        weights[rows, rows] = 1 - share
        weights[rows, neighbour] += share
        result[sensor] = _whole(weights)
    main = np.clip(place.side**2 / MODIS_GROUND * rng.uniform(0.5, 1.2, fields), 0.05, 0.95)
    weights = (1 - main)[:, None] * rng.dirichlet(np.full(fields, 0.4), size=fields)
    weights[rows, rows] += main
    result["modis"] = _whole(weights)
    return result


def _whole(weights: NDArray[np.float64]) -> Weights:
    weights = np.where(weights < NEGLECTED, 0, weights)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
