"""Measure what a parcel costs on this machine: its pixels on a map, weighed by their shares."""

import time

import numpy as np
import shapely
from affine import Affine

from agrifm.grid import Grid
from agrifm.mapping.parcel_pooling import PartOfMap, pool_parcels

PARCELS, SIDE, CLASSES = 1600, 1000, 12
"""Parcels in a square of `SIDE` pixels, and classes of the map."""


def measure_parcels() -> float:
    """Return the seconds of one processor for a parcel of about two hectares."""
    draw = np.random.default_rng(0)
    corners = draw.uniform(0, (SIDE - 20) * 10, (PARCELS, 2))
    sides = draw.uniform(80, 200, (PARCELS, 2))
    shapes = shapely.box(corners[:, 0], corners[:, 1], *(corners + sides).T)
    grid = Grid.of("EPSG:32631", Affine(10, 0, 0, 0, -10, SIDE * 10), (SIDE, SIDE))
    layers = np.full((CLASSES, SIDE, SIDE), 20, np.uint8)
    seen = np.full((SIDE, SIDE), 9, np.uint8)
    began = time.process_time()
    part = PartOfMap(
        grid,
        lambda window: (layers[:, *window.slices], seen[window.slices]),
        np.arange(PARCELS),
        np.asarray(shapes, object),
    )
    pool_parcels(PARCELS, [part], CLASSES)
    return (time.process_time() - began) / PARCELS
