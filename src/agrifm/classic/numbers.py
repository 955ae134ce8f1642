"""Types of the arrays that classic models share, and weights that give every class the same share."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
"""(N, features), or another array of features."""
Classes = NDArray[np.uint8]


def balanced_weights(classes: Classes, weights: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
    """Return weights (N,) of mean 1 with which every class has the same sum, whatever its number of rows.

    Args:
        weights: (N,), above 0, which rows of one class are multiplied by; None = all alike.
    """
    given = np.ones(len(classes)) if weights is None else np.asarray(weights, np.float64)
    sums = np.bincount(classes, given)
    return np.asarray(given * len(classes) / (np.count_nonzero(sums) * sums[classes]))
