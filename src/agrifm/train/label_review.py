"""Labels that are likely wrong: places that models trained on other blocks call another class (confident learning).

Northcutt, Jiang & Chuang 2021, Journal of Artificial Intelligence Research 70, 1373: a label is doubtful if another
class is as probable as that class usually is where it is the label.

Shape letters: P places, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.legend import UNLABELLED
from agrifm.samples.folds import NOT_USED, fold_by_block
from agrifm.samples.table import SeriesTable
from agrifm.train.combination import Learner
from agrifm.work import progress

FOLDS = 5
"""Into which blocks are divided, if there are as many; each is judged by a model of the others."""


@dataclass(frozen=True)
class Review:
    """What models of other blocks say about the labels."""

    probability: NDArray[np.float32]
    """(P, K), of models that have not seen the place's block; NaN for places without a label."""
    suggested: NDArray[np.int16]
    """(P,), the class that a doubtful label should probably be, else the most probable one; -1 without a label."""
    margin: NDArray[np.float32]
    """(P,), probability of the label minus that of the most probable other class, -1..1; NaN without a label."""
    doubtful: NDArray[np.bool_]
    """(P,), whether the label is likely wrong."""

    @property
    def order(self) -> NDArray[np.intp]:
        """Places with a label, the most doubtful first: those that are likely wrong, then by margin."""
        labelled = np.flatnonzero(np.isfinite(self.margin))
        ranked = labelled[np.lexsort((self.margin[labelled], ~self.doubtful[labelled]))]
        return np.asarray(ranked)


def review_labels(table: SeriesTable, learner: Learner, seed: int = 0, folds: int = FOLDS) -> Review:
    """Judge every label by a model that has not seen its block.

    Raises:
        LabelError: there are fewer than two blocks, or a model cannot be trained.
    """
    labelled = np.flatnonzero(table.label != UNLABELLED)
    folds = min(folds, len(np.unique(table.block[labelled])))
    fold = fold_by_block(table, labelled, max(folds, 2), seed)
    probability = np.full((len(table), len(table.legend)), np.nan, np.float32)
    with progress("review labels (folds)", folds) as advance:
        for number in range(folds):
            here = np.flatnonzero(fold == number)
            others = np.flatnonzero((fold != number) & (fold != NOT_USED))
            fitted = learner(table.of(others), table.of(others[:0]), seed)
            probability[here] = fitted.probabilities(table.of(here))
            advance(1)
    return judge(probability, table.label)


def judge(probability: NDArray[np.float32], label: NDArray[np.uint8]) -> Review:
    """Judge labels by out-of-fold probabilities (P, K), NaN where a place has none.

    A class's threshold is its mean probability where it is the label (equation 2 of the paper).
    """
    places, classes = probability.shape
    known = np.isfinite(probability).all(axis=1) & (label < classes)
    given = np.where(known, label, 0).astype(np.intp)
    filled = np.where(known[:, None], probability, 0)
    of_label = filled[np.arange(places), given]
    others = filled.copy()
    others[np.arange(places), given] = -1
    margin = np.where(known, of_label - others.max(axis=1), np.nan).astype(np.float32)
    threshold = np.array(
        [
            of_label[known & (given == number)].mean() if (known & (given == number)).any() else 1
            for number in range(classes)
        ]
    )
    confident = filled >= threshold
    # Of the classes that are as probable as usual where they are the label, the most probable one counts.
    best = np.where(confident, filled, -1).argmax(axis=1)
    doubtful = known & confident.any(axis=1) & (best != given)
    suggested = np.where(doubtful, best, filled.argmax(axis=1))
    return Review(probability, np.where(known, suggested, -1).astype(np.int16), margin, doubtful)
