"""The single classic models by name; `agrifm.classic.classics` has the one function that fits any of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.boosting import BoostedTrees, fit_boosting
from agrifm.classic.logistic import LinearClassifier, fit_logistic
from agrifm.classic.minirocket import MiniRocket, fit_minirocket
from agrifm.classic.numbers import Rows
from agrifm.classic.season_rule import SeasonRule, fit_season_rule
from agrifm.classic.support_vectors import SupportVectors, fit_support_vectors
from agrifm.classic.training_rows import RowClassifier, Shape, TrainingRows
from agrifm.classic.trees import Trees, fit_extra_trees, fit_random_forest

if TYPE_CHECKING:
    from agrifm.classic.features import Columns, Part

CHUNK = 4096
"""Rows that a model computes at once."""
ALONE: "tuple[Part, ...]" = ("series", "statistics", "harmonics", "phenology", "thermal time")
"""Parts of rows that need no neighbouring pixels."""


class ClassicFamily(NamedTuple):
    """A kind of classic model."""

    title: str
    """Name as people write it."""
    parts: "tuple[Part, ...]"
    """Parts of the rows that it reads."""
    fit: Callable[[TrainingRows, int], RowClassifier]
    """From rows and a seed to a model."""
    restored: Callable[[dict[str, Any], Shape], RowClassifier]
    """From its stored state, which is checked, and the shape of rows and classes."""
    modules: tuple[str, ...] = ("sklearn", "skops")
    """What has to be installed."""


SINGLES = {
    "lightgbm": ClassicFamily("LightGBM", ALONE, fit_boosting, BoostedTrees.of, ("lightgbm", "skops")),
    "extra-trees": ClassicFamily("extra trees", ALONE, fit_extra_trees, Trees.of),
    "support-vectors": ClassicFamily("support vectors", ALONE, fit_support_vectors, SupportVectors.of),
    "logistic": ClassicFamily("logistic regression", ALONE, fit_logistic, LinearClassifier.of),
    "minirocket": ClassicFamily("MiniRocket", ("series",), fit_minirocket, MiniRocket.of),
    "random-forest": ClassicFamily("random forest", ("series", "statistics"), fit_random_forest, Trees.of),
    "threshold": ClassicFamily("threshold", ("season rule",), fit_season_rule, SeasonRule.of, ("skops",)),
}
"""Single models by name."""


@dataclass(frozen=True)
class Member:
    """A fitted single model with the columns that it reads."""

    name: str
    model: RowClassifier
    parts: "tuple[Part, ...]" = ()
    """Parts of the rows that it reads; empty if the columns of the rows are unknown."""
    chosen: NDArray[np.intp] | None = None
    """Their columns; None = all."""

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return (N, classes) of rows (N, features), chunk by chunk."""
        chunks = [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
        return np.concatenate([self.model.probabilities(self._columns(chunk)) for chunk in chunks])

    def _columns(self, rows: Rows) -> Rows:
        if self.chosen is None or len(self.chosen) == rows.shape[1]:  # columns are in one order everywhere
            return rows
        return np.ascontiguousarray(rows[:, self.chosen])

    def reading(self, columns: "Columns") -> "Member":
        """Return the same model for rows of other columns that have its parts."""
        return replace(self, chosen=columns.chosen(self.parts))


def fit_single(name: str, training: TrainingRows, seed: int) -> Member:
    """Fit a single model on its parts of the rows."""
    family = SINGLES[name]
    if training.columns is None:
        return Member(name, family.fit(training, seed))
    columns = training.columns
    parts = tuple(part for part in columns.parts if part in family.parts)
    chosen = columns.chosen(parts)
    part = replace(training, rows=training.rows[:, chosen], columns=replace(columns, parts=parts))
    return Member(name, family.fit(part, seed), parts, chosen)
