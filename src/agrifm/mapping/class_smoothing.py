"""Bayesian smoothing of class probabilities (Camara et al. 2024, https://doi.org/10.3390/rs16234572).

Each pixel's log-odds of a class are drawn to the mean of its neighbours, the more the less these neighbours vary. Only
the half of the neighbours where the class is likeliest count, so that the pixels across an edge do not wash it out.

Shape letters: C classes, H rows, W columns, N neighbours.
"""

import numpy as np
from numpy.typing import NDArray

KEPT = 0.5
"""Share of the neighbours that count: those of highest probability of the class (the paper's value)."""
SMOOTHNESS = 20.0
"""Variance of the log-odds that the prior expects (the value of the paper's software, sits 1.5)."""
LEAST = 1e-4
"""Probabilities are at least this far from 0 and 1, so that log-odds are finite."""
ROWS = 64
"""Rows computed at a time, so that memory does not grow with the tile."""


def smoothed_scores(probabilities: NDArray[np.floating], side: int) -> NDArray[np.float32]:
    """Return the smoothed log-odds of each class (C, H - side + 1, W - side + 1), NaN where the probabilities are.

    Args:
        probabilities: (C, H, W) with a margin of `side` // 2 pixels; NaN does not count.
        side: of the neighbourhood, pixels, odd.
    """
    margin = side // 2
    height = probabilities.shape[1] - 2 * margin
    shape = (len(probabilities), height, probabilities.shape[2] - 2 * margin)
    result = np.empty(shape, np.float32)
    for number, values in enumerate(probabilities):
        clipped = np.clip(values, LEAST, 1 - LEAST)
        odds = np.log(clipped / (1 - clipped)).astype(np.float32)
        for row in range(0, height, ROWS):
            part = odds[row : min(row + ROWS, height) + 2 * margin]
            result[number, row : row + ROWS] = _posterior_mean(part, side)
    return result


def _posterior_mean(odds: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The posterior mean of the log-odds, for the pixels of (H, W) that have all their neighbours."""
    margin = side // 2
    around = np.lib.stride_tricks.sliding_window_view(odds, (side, side)).reshape(*_inner(odds.shape, side), -1)
    highest_first = -np.sort(-around, axis=-1)  # NaN stays last
    count = (~np.isnan(highest_first)).sum(axis=-1)
    counted = np.arange(side * side) < np.ceil(KEPT * count)[..., None]
    neighbours = np.where(counted, highest_first, 0).astype(np.float64)
    number = np.maximum(counted.sum(axis=-1), 1)
    mean = neighbours.sum(axis=-1) / number
    squares = (np.where(counted, neighbours - mean[..., None], 0) ** 2).sum(axis=-1)
    variance = squares / np.maximum(number - 1, 1)
    centre = odds[margin : odds.shape[0] - margin, margin : odds.shape[1] - margin]
    posterior = (variance * centre + SMOOTHNESS * mean) / (variance + SMOOTHNESS)
    return np.asarray(posterior, np.float32)


def _inner(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    return shape[0] - side + 1, shape[1] - side + 1
