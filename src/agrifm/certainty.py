"""Sets of candidate classes: which classes a pixel may be, so that the true one is among them as often as stated.

A class is a candidate where its calibrated probability reaches the class's threshold. Thresholds are those of split
conformal prediction within each class (Vovk 2012, section 4; score 1 - p as in Sadinle et al. 2019).

Shape letters: C classes.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agrifm.legend import UNLABELLED
from agrifm.validation import Frozen

CERTAIN, TWO, UNKNOWN = 0, 1, 2
"""How certain the class of highest probability is: it is the only candidate; it is one of two; anything else (more
candidates, none, or only other classes)."""


class CandidateSets(Frozen):
    """The thresholds of a model."""

    nominal: float = Field(gt=0, lt=1)
    """Share of the pixels of each class whose set is to contain it."""
    least: tuple[float | None, ...] = Field(min_length=1)
    """(C,), lowest probability with which a class is a candidate; None = it always is: too few blocks know it."""
    blocks: tuple[int, ...]
    """(C,), validation blocks that have the class."""

    @property
    def always(self) -> tuple[int, ...]:
        """Numbers of the classes that are candidates everywhere; with three of them every pixel is unknown."""
        return tuple(number for number, one in enumerate(self.least) if one is None)


def candidates(sets: CandidateSets, probabilities: NDArray[np.floating], axis: int = 0) -> NDArray[np.bool_]:
    """Return which classes are candidates, of the shape of the probabilities; where they are NaN, none is.

    Args:
        probabilities: calibrated; any shape.
        axis: of the classes.
    """
    least = np.array([0.0 if one is None else one for one in sets.least])
    shape = [1] * probabilities.ndim
    shape[axis] = -1
    return np.asarray(probabilities >= least.reshape(shape))


def certainty_levels(
    sets: CandidateSets, probabilities: NDArray[np.floating], axis: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return how certain each pixel's class of highest probability is, and the other one of two candidates.

    Args:
        probabilities: calibrated; any shape.
        axis: of the classes.

    Returns:
        `CERTAIN`, `TWO` or `UNKNOWN`, and the number of the second class where it is `TWO`; both 255 where the
        probabilities are NaN, the second also where it is not `TWO`. Both have the shape of the probabilities without
        their axis of classes.
    """
    inside = np.moveaxis(candidates(sets, probabilities, axis), axis, 0)
    first = np.asarray(probabilities).argmax(axis=axis)[None]
    size, mapped = inside.sum(axis=0), np.take_along_axis(inside, first, axis=0)[0]
    level = np.where(mapped & (size <= 2), size - 1, UNKNOWN).astype(np.uint8)
    level[np.isnan(probabilities).any(axis=axis)] = UNLABELLED
    others = inside.copy()
    np.put_along_axis(others, first, False, axis=0)
    second = np.where(level == TWO, others.argmax(axis=0), UNLABELLED).astype(np.uint8)
    return level, second
