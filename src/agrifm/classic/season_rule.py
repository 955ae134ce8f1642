"""The naive rule of the field: one threshold on one number of a place's season, with which models are compared.

The numbers of the season are those of `agrifm.classic.indices`.

Shape letters: N rows, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Rows
from agrifm.classic.training_rows import Shape, TrainingRows, stored_array

MOST_THRESHOLDS = 200
"""Tried for each number, at even shares of the training rows."""
LEAST_MARGIN = 0.02
"""By which the class of a side is more probable than every other one there."""


@dataclass(frozen=True)
class SeasonRule:
    """One number of a row is below a threshold or not, and each side has its class."""

    column: int
    threshold: float
    sides: Rows
    """(2, K), probabilities below the threshold, and from it on."""

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return (N, K), rows of sum 1."""
        return self.sides[(rows[:, self.column] >= np.float32(self.threshold)).astype(np.intp)]

    def state(self) -> dict[str, Any]:
        """Return its numbers."""
        return {"column": self.column, "threshold": self.threshold, "sides": self.sides}

    @classmethod
    def of(cls, state: dict[str, Any], shape: Shape) -> "SeasonRule":
        """Restore it; raises ValueError if the state is not one."""
        column, threshold = state["column"], state["threshold"]
        if type(column) is not int or not 0 <= column < shape.features or not np.isfinite(float(threshold)):
            raise ValueError("its threshold is not one of a column of the rows")
        return cls(column, float(threshold), stored_array(state, "sides", (2, shape.classes)))

    def describe(self, names: Sequence[str], classes: Sequence[str]) -> str:
        """Say the rule in words.

        Args:
            names: of the numbers.
            classes: (K,), names of the classes.
        """
        below, above = (int(number) for number in self.sides.argmax(axis=1))
        side, first, rest = ("below", below, above) if below < above else ("at least", above, below)
        return f"{classes[first]} where the {names[self.column]} is {side} {self.threshold:.4g}, else {classes[rest]}"


def fit_season_rule(training: TrainingRows, seed: int) -> SeasonRule:
    """Choose the number, the threshold and the classes of the two sides with the highest macro F1 on the rows."""
    counted = training.weights
    whole = np.bincount(training.classes, counted, training.count)
    best, score = SeasonRule(0, 0.0, _sides(np.stack([whole, whole]), (0, 1))), -1.0
    for column in range(training.rows.shape[1]):
        values = training.rows[:, column]
        order = np.argsort(values, kind="stable")
        belongs = np.eye(training.count)[training.classes[order]] * counted[order, None]
        below = np.vstack([np.zeros(training.count), np.cumsum(belongs, axis=0)])
        ordered = values[order]
        steps = np.flatnonzero(np.diff(ordered) > 0) + 1
        if len(steps) > MOST_THRESHOLDS:
            steps = steps[np.unique(np.linspace(0, len(steps) - 1, MOST_THRESHOLDS).astype(int))]
        for step in steps:
            parts = np.stack([below[step], whole - below[step]])
            f1 = 2 * parts / (parts.sum(axis=1, keepdims=True) + whole)
            together = f1[0][:, None] + f1[1][None, :]
            np.fill_diagonal(together, -1)
            if together.max() > score:
                score = float(together.max())
                pair = np.unravel_index(together.argmax(), together.shape)
                middle = (float(ordered[step - 1]) + float(ordered[step])) / 2
                best = SeasonRule(column, middle, _sides(parts, (int(pair[0]), int(pair[1]))))
    return best


def _sides(parts: NDArray[np.float64], classes: tuple[int, int]) -> Rows:
    """Probabilities (2, K): shares of the classes on each side, with the side's class the most probable."""
    shares = parts / parts.sum(axis=1, keepdims=True)
    for share, number in zip(shares, classes, strict=True):
        others = np.delete(share, number)
        share[number] = max(share[number], others.max() + LEAST_MARGIN)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)
