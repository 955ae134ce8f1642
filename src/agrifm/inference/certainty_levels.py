"""How certain the class of a pixel is, from the candidate sets of the model."""

import numpy as np
from numpy.typing import NDArray

from agrifm.certainty import CandidateSets, candidates
from agrifm.legend import UNLABELLED

CERTAIN, TWO, UNKNOWN = 0, 1, 2
"""How certain the class of a pixel is: it is the only candidate; it is one of two; anything else (more
candidates, none, or only other classes)."""


def certainty_levels(
    sets: CandidateSets, probabilities: NDArray[np.floating], number: NDArray[np.uint8] | None = None, axis: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return how certain each pixel's class is, and the other one of two candidates.

    Args:
        probabilities: calibrated; any shape.
        number: class of each pixel, 255 = none; by default that of highest probability.
        axis: of the classes.

    Returns:
        `CERTAIN`, `TWO` or `UNKNOWN`, and the number of the second class where it is `TWO`; both 255 where the
        probabilities are NaN, the second also where it is not `TWO`. Both have the shape of the probabilities without
        their axis of classes.
    """
    inside = np.moveaxis(candidates(sets, probabilities, axis), axis, 0)
    likeliest = np.asarray(probabilities).argmax(axis=axis)
    first = (likeliest if number is None else np.where(number == UNLABELLED, likeliest, number))[None]
    size, mapped = inside.sum(axis=0), np.take_along_axis(inside, first, axis=0)[0]
    level = np.where(mapped & (size <= 2), size - 1, UNKNOWN).astype(np.uint8)
    level[np.isnan(probabilities).any(axis=axis)] = UNLABELLED
    others = inside.copy()
    np.put_along_axis(others, first, False, axis=0)
    second = np.where(level == TWO, others.argmax(axis=0), UNLABELLED).astype(np.uint8)
    return level, second
