"""Drawn fields, their maps, and how a map is read."""

import numpy as np

from agrifm.samples.targets import field_targets


def blocks_of_fields(height=90, width=130, seed=0):
    """Number of the field at each pixel: nearest of random points, with land without fields between some of them."""
    random = np.random.default_rng(seed)
    points = random.uniform((0, 0), (height, width), (40, 2))
    rows, cols = np.indices((height, width))
    away = (rows[..., None] - points[:, 0]) ** 2 + (cols[..., None] - points[:, 1]) ** 2
    place = away.argmin(axis=2)
    return np.where(place % 5 == 0, -1, place)


def maps_of(place, noise=0.0, seed=0):
    targets = field_targets(place)
    maps = np.stack([targets.boundary, targets.distance, targets.extent]).astype(float)
    return np.clip(maps + np.random.default_rng(seed).normal(0, noise, maps.shape), 0, 1)


def reader(maps):
    return lambda window: maps[:, *window.slices]
