"""Sets of candidate classes: which classes a pixel may be, so that the true one is among them as often as stated.

A class is a candidate where its calibrated probability reaches the class's threshold. Thresholds are those of split
conformal prediction within each class (Vovk 2012, section 4; score 1 - p as in Sadinle et al. 2019).

Shape letters: C classes.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agrifm.validation import Frozen


class CandidateSets(Frozen):
    """The thresholds of a model."""

    nominal: float = Field(gt=0, lt=1)
    """Share of the pixels of each class whose set is to contain it."""
    least: tuple[float | None, ...] = Field(min_length=1)
    """(C,), lowest probability with which a class is a candidate; None = it always is, as in models of older versions
    whose validation blocks hardly had it."""
    blocks: tuple[int, ...]
    """(C,), blocks that have the class among those that the thresholds are of."""

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
