"""What every classic model is fitted on, and what it is when it has been fitted."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Classes, Rows, balanced_weights

if TYPE_CHECKING:
    from agrifm.classic.features import Columns


@dataclass(frozen=True)
class TrainingRows:
    """Rows of features with their classes, for one model."""

    rows: Rows
    """(N, features), finite."""
    classes: Classes
    """(N,), 0 .. k - 1, each of which occurs."""
    weights: NDArray[np.float64]
    """(N,), of mean 1, given by the user; they do not balance the classes."""
    groups: NDArray[np.int64]
    """(N,), rows of one group are never on both sides of an inner division."""
    columns: "Columns | None" = None
    """What the columns are; None = unknown."""

    @property
    def count(self) -> int:
        """Number of classes."""
        return int(self.classes.max()) + 1

    @property
    def balanced(self) -> NDArray[np.float64]:
        """(N,), weights with which every class has the same sum."""
        return balanced_weights(self.classes, self.weights)

    def of(self, chosen: NDArray[Any]) -> "TrainingRows":
        """Return these rows, by index or mask; every class must still occur."""
        return replace(
            self,
            rows=self.rows[chosen],
            classes=self.classes[chosen],
            weights=self.weights[chosen],
            groups=self.groups[chosen],
        )


@dataclass(frozen=True)
class Shape:
    """What a stored model has to fit."""

    features: int
    """Columns of the rows that it reads."""
    classes: int
    columns: "Columns | None" = None
    """What the columns are; None = unknown."""


class RowClassifier(Protocol):
    """A fitted model: rows of features in, probabilities out, and plain arrays to store."""

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return (N, classes), rows of sum 1."""

    def state(self) -> dict[str, Any]:
        """Return what its kind restores it from: numbers, texts, arrays and forests."""


def stored_array(
    state: dict[str, Any], key: str, shape: tuple[int | None, ...], kind: type[np.generic] = np.float32
) -> NDArray[Any]:
    """Return an array of a stored model, after checks.

    Args:
        shape: its lengths; None = any.
        kind: its type; numbers of float types must be finite.

    Raises:
        ValueError: it is absent, or another one.
    """
    array = state.get(key)
    if not isinstance(array, np.ndarray) or array.dtype != kind or array.ndim != len(shape):
        raise ValueError(f"its '{key}' is not an array of {len(shape)} axes of {np.dtype(kind)}")
    if any(wanted is not None and wanted != length for wanted, length in zip(shape, array.shape, strict=True)):
        raise ValueError(f"its '{key}' has the shape {array.shape}, expected {shape}")
    if np.issubdtype(kind, np.floating) and not np.isfinite(array).all():
        raise ValueError(f"its '{key}' has values that are not numbers")
    return array


def scaling(rows: Rows) -> tuple[Rows, Rows]:
    """Return mean and standard deviation of each column, (features,); constant columns have the deviation 1."""
    mean = rows.mean(axis=0, dtype=np.float64)
    std = rows.std(axis=0, dtype=np.float64)
    return mean.astype(np.float32), np.where(std > 1e-6 * (1 + np.abs(mean)), std, 1).astype(np.float32)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return probabilities (N, classes) of logits."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def inner_folds(groups: NDArray[np.int64], classes: Classes, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, (N,): whole groups, so that folds are alike in their classes as far as groups allow.

    Groups are taken from the largest on, each into the fold where its classes are scarcest.

    Args:
        folds: number of folds; no more than there are groups are used.
    """
    unique, index = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(unique), int(classes.max()) + 1))
    np.add.at(counts, (index, classes), 1)
    counts /= counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(unique))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    held = np.zeros((min(folds, len(unique)), counts.shape[1]))
    fold_of = np.zeros(len(unique), np.int64)
    for group in order:
        cost = ((held + counts[group]) ** 2).sum(axis=1) - (held**2).sum(axis=1)
        fold_of[group] = cost.argmin()
        held[fold_of[group]] += counts[group]
    return np.asarray(fold_of[index], np.int64)
