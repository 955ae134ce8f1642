"""Answers of a model on every labelled block, each from one that did not see it: parts of blocks take turns.

Calibration and candidate sets that are fitted on them know all blocks that are not for testing, and not the validation
blocks alone: a scarce class is in few of those (cross-conformal prediction, Vovk 2015; Barber, Candès, Ramdas and
Tibshirani 2021, "Predictive inference with the jackknife+"). The model they are of is trained on all blocks, so it is
a little better than those that answer, and the sets contain the true class a little more often.

Shape letters: P places, C classes.
"""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.samples.folds import INNER_FOLDS, Indices, divide_blocks


def cross_fitted(
    validation: NDArray[np.bool_],
    label: NDArray[np.uint8],
    block: NDArray[np.integer],
    known: NDArray[np.float32],
    answer: Callable[[Indices, Indices], NDArray[np.float32]],
    most: int = INNER_FOLDS - 1,
) -> NDArray[np.float32]:
    """Return class probabilities of places (P, C), each by a model of other blocks; NaN where no model could be fitted.

    Args:
        validation: (P,), places of the validation blocks, which are one part; the others are divided by blocks.
        label: (P,), class numbers.
        block: (P,), number of each place's block.
        known: (validation places, C), of a model of all others.
        answer: takes the places to train on and those to answer, and returns the answers; a `LabelError` says that the
            former do not suffice.
        most: parts of the blocks that are not for validation; each costs a model.
    """
    result = np.full((len(label), known.shape[1]), np.nan, np.float32)
    result[validation] = known
    others = np.flatnonzero(~validation)
    parts = min(most, len(np.unique(block[others])))
    if parts < 2:
        return result
    part = divide_blocks(block[others], label[others], known.shape[1], parts, 0)
    for number in range(parts):
        held_out = others[part == number]
        with suppress(LabelError):
            result[held_out] = answer(np.setdiff1d(np.arange(len(label)), held_out), held_out)
    return result
