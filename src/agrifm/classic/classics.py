"""Classic models by name, and the one function that fits any of them on rows of features.

Every model is a module with a function that fits it, and an object with `probabilities` and `state`. No module needs
PyTorch; scikit-learn and LightGBM are imported when a model is fitted.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.boosting import fit_boosting
from agrifm.classic.features import PARTS, Columns, Part
from agrifm.classic.logistic import fit_logistic
from agrifm.classic.minirocket import fit_minirocket
from agrifm.classic.numbers import Classes, Rows
from agrifm.classic.support_vectors import fit_support_vectors
from agrifm.classic.training_rows import RowClassifier, TrainingRows
from agrifm.classic.trees import fit_extra_trees, fit_random_forest
from agrifm.errors import LabelError, ModelError, did_you_mean, require_installed

CHUNK = 8192
"""Rows that a model computes at once."""


class ClassicFamily(NamedTuple):
    """A kind of classic model."""

    title: str
    """Name as people write it."""
    parts: tuple[Part, ...]
    """Parts of the rows that it reads."""
    fit: Callable[[TrainingRows, int], RowClassifier]
    """From rows and a seed to a model."""
    modules: tuple[str, ...] = ("sklearn", "skops")
    """What has to be installed."""


CLASSICS = {
    "random-forest": ClassicFamily("random forest", PARTS, fit_random_forest),
    "extra-trees": ClassicFamily("extra trees", PARTS, fit_extra_trees),
    "lightgbm": ClassicFamily("LightGBM", PARTS, fit_boosting, ("lightgbm", "skops")),
    "support-vectors": ClassicFamily("support vectors", ("series", "neighbourhood"), fit_support_vectors),
    "logistic": ClassicFamily("logistic regression", PARTS, fit_logistic),
    "minirocket": ClassicFamily("MiniRocket", ("series",), fit_minirocket),
}
"""Classic models by name."""


@dataclass(frozen=True)
class ClassicRows:
    """A fitted classic model of rows."""

    name: str
    classes: Classes
    """(classes,), class numbers of the columns of `probabilities`, ascending."""
    model: RowClassifier
    chosen: NDArray[np.intp] | None = None
    """Columns of the rows that the model reads; None = all."""

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return probabilities (N, classes) of rows (N, features)."""
        parts = [self._of_chunk(rows[at : at + CHUNK]) for at in range(0, len(rows), CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)

    def _of_chunk(self, rows: Rows) -> NDArray[np.float32]:
        return self.model.probabilities(rows if self.chosen is None else rows[:, self.chosen])


def fit_classic(
    name: str,
    rows: Rows,
    classes: Classes,
    *,
    weights: NDArray[np.floating] | None = None,
    groups: NDArray[np.integer] | None = None,
    seed: int = 0,
    columns: Columns | None = None,
) -> ClassicRows:
    """Fit a classic model on rows of features.

    Args:
        name: a key of `CLASSICS`.
        rows: (N, features) float32, finite.
        classes: (N,), class numbers.
        weights: (N,), above 0, of rows; None = all alike. Whether classes count alike is the model's affair.
        groups: (N,), blocks: inner divisions keep the rows of a block together; None = every row by itself.
        columns: what the columns of `rows` are, so that each model reads its parts and knows the series; None = every
            model reads all columns, and MiniRocket takes a row for a series of one band.

    Raises:
        ModelError: the name is unknown, or a package is not installed.
        LabelError: there are fewer than two classes.
    """
    family = classic_family(name)
    require_installed(f"training {name}", "classic", *family.modules)
    known, numbers = np.unique(classes, return_inverse=True)
    if len(known) < 2:
        raise LabelError(
            f"training {name}: there are labels of {len(known)} class{'' if len(known) == 1 else 'es'} only; label at "
            "least two classes",
            classes=len(known),
        )
    chosen = None
    if columns is not None:
        chosen = columns.chosen(family.parts)
        columns = replace(columns, parts=tuple(part for part in columns.parts if part in family.parts))
    training = TrainingRows(
        rows if chosen is None else rows[:, chosen],
        numbers.astype(np.uint8),
        np.ones(len(rows)) if weights is None else weights / np.mean(weights),
        np.arange(len(rows)) if groups is None else groups.astype(np.int64),
        columns,
    )
    return ClassicRows(name, known, family.fit(training, seed), chosen)


def classic_family(name: str) -> ClassicFamily:
    """Return the kind of that name.

    Raises:
        ModelError: it is unknown.
    """
    if name not in CLASSICS:
        raise ModelError(
            f"training: unknown classic model '{name}'{did_you_mean(name, CLASSICS)} (known: {', '.join(CLASSICS)})",
            name=name,
        )
    return CLASSICS[name]
