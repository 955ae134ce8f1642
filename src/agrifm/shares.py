"""Shares of classes in pixels larger than fields: names that samples, training and maps have in common."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARES = "class shares"
"""Target of a sample: the share of each class in each pixel (K, H, W), sum 1; NaN where it is unknown."""
SHARES_TAG = "AGRIFM_SHARES"
"""GeoTIFF tag of a raster of shares; its bands are in the order of the legend."""
COVERED = 0.9
"""Least share of a pixel that must be labelled, by default: what is left out may be of other classes."""


def on_simplex(shares: NDArray[Any]) -> NDArray[np.float64]:
    """Return shares (N, K) that are at least 0 and of sum 1: the nearest ones to any numbers (N, K).

    Duchi et al. 2008, "Efficient projections onto the l1-ball for learning in high dimensions", figure 1.
    """
    raw = np.asarray(shares, np.float64)
    falling = -np.sort(-raw, axis=1)
    excess = np.cumsum(falling, axis=1) - 1
    rank = np.arange(1, raw.shape[1] + 1)
    kept = (falling - excess / rank > 0).sum(axis=1)
    threshold = excess[np.arange(len(raw)), kept - 1] / kept
    return np.asarray(np.maximum(raw - threshold[:, None], 0))
