"""Classic models of the shares of classes in a pixel: linear unmixing, logistic regression, boosted trees.

A pixel's series is the mean of what its classes look like, weighted by their shares, so a linear model of the series
unmixes it (ridge regression, with shares brought to sum 1). The others are classifiers that read each pixel once for
each of its classes, weighted by the share: their probabilities are estimated shares, and classes are not balanced,
because then small shares would be too high and areas wrong. The best on inner blocks, or the mean of the best two, is
fitted on all pixels.

Shape letters: N pixels, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.boosting import PARAMETERS, BoostedTrees
from agrifm.classic.logistic import LinearClassifier, fit_linear
from agrifm.classic.numbers import Rows
from agrifm.classic.singles import Member
from agrifm.classic.training_rows import RowClassifier, Shape, TrainingRows, inner_folds, scaling, stored_array
from agrifm.shares import on_simplex

if TYPE_CHECKING:
    from agrifm.classic.features import Columns, Part

PARTS_OF_SHARES: "tuple[Part, ...]" = ("series",)
"""Parts of rows that models of shares read. Statistics and phenology of a mixed pixel are those of no crop: with them,
and with the pixels around, errors on inner blocks of MODIS were as large or larger."""
INNER_FOLDS = 5
PENALTIES = (30.0, 300.0)
"""Of ridge regressions on scaled columns."""
INVERSE_PENALTIES = (0.003, 0.01, 0.03)
"""C of scikit-learn, of logistic regressions."""
ROUNDS = 60
BOOSTING = {**PARAMETERS, "learning_rate": 0.05, "num_leaves": 7, "min_data_in_leaf": 20}
LEAST_SHARE = 0.002
"""Smaller shares of a pixel are left out where each pixel is read once for each of its classes."""
Shares = NDArray[np.float64]


class ShareRows(NamedTuple):
    """Pixels with their features and shares."""

    rows: Rows
    """(N, features), finite."""
    shares: Shares
    """(N, K), sum 1; every class has some."""
    group: NDArray[np.int64]
    """(N,), block."""

    def of(self, chosen: NDArray[np.bool_]) -> "ShareRows":
        """Return some of the pixels (N,)."""
        return ShareRows(self.rows[chosen], self.shares[chosen], self.group[chosen])

    def once_per_class(self) -> TrainingRows:
        """Return each pixel once for each of its classes, with the share as weight."""
        pixel, number = np.nonzero((self.shares >= LEAST_SHARE) | (self.shares == self.shares.max(axis=0)))
        weight = np.maximum(self.shares[pixel, number], LEAST_SHARE)
        return TrainingRows(self.rows[pixel], number.astype(np.uint8), weight / weight.mean(), self.group[pixel], None)


@dataclass(frozen=True)
class RidgeShares:
    """Weights of a linear model of rows as they come; its results are brought to the nearest shares."""

    weights: Rows
    """(features, K), the scaling is in them."""
    bias: Rows
    """(K,)"""

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return shares (N, K), rows of sum 1."""
        return on_simplex(rows.astype(np.float64) @ self.weights + self.bias).astype(np.float32)

    def state(self) -> dict[str, Any]:
        """Return its arrays."""
        return {"weights": self.weights, "bias": self.bias}

    @classmethod
    def of(cls, state: dict[str, Any], shape: Shape) -> "RidgeShares":
        """Restore it; raises ValueError if the state is not one."""
        weights = stored_array(state, "weights", (shape.features, shape.classes))
        return cls(weights, stored_array(state, "bias", (shape.classes,)))


def _ridge(penalty: float) -> Callable[[ShareRows, int], RowClassifier]:
    def fit(training: ShareRows, seed: int) -> RowClassifier:
        from sklearn.linear_model import Ridge

        mean, std = scaling(training.rows)
        model = Ridge(alpha=penalty).fit((training.rows - mean) / std, training.shares)
        weights = model.coef_.T / std[:, None]
        return RidgeShares(weights.astype(np.float32), (model.intercept_ - mean @ weights).astype(np.float32))

    return fit


def _logistic(inverse_penalty: float) -> Callable[[ShareRows, int], RowClassifier]:
    def fit(training: ShareRows, seed: int) -> RowClassifier:
        each = training.once_per_class()
        return fit_linear(each, inverse_penalty, seed, each.weights)

    return fit


def _boosting(training: ShareRows, seed: int) -> RowClassifier:
    import lightgbm

    each = training.once_per_class()
    settings = {**BOOSTING, "objective": "multiclass", "num_class": each.count, "seed": seed % 2**31}
    settings |= {"deterministic": True, "force_col_wise": True, "verbosity": -1}
    data = lightgbm.Dataset(each.rows, each.classes.astype(np.int32), weight=each.weights, params=settings)
    return BoostedTrees(lightgbm.train(settings, data, ROUNDS))


CANDIDATES_OF_SHARES: dict[str, Callable[[ShareRows, int], RowClassifier]] = {
    **{f"ridge regression (penalty {penalty:g})": _ridge(penalty) for penalty in PENALTIES},
    **{f"logistic regression (C {penalty:g})": _logistic(penalty) for penalty in INVERSE_PENALTIES},
    "LightGBM": _boosting,
}
"""Models among which is chosen, by name."""
SHARE_KINDS: dict[str, Callable[[dict[str, Any], Shape], RowClassifier]] = {
    "ridge regression": RidgeShares.of,
    "logistic regression": LinearClassifier.of,
    "LightGBM": BoostedTrees.of,
}
"""How a stored model is restored, by what its name begins with."""


def fit_shares(
    training: ShareRows, columns: "Columns", seed: int
) -> tuple[tuple[Member, ...], tuple[dict[str, Any], ...]]:
    """Fit the candidates on inner folds of whole blocks, and the best, or the best two, on all pixels.

    The best has the lowest root mean square error over pixels and classes: shares of the lowest mean absolute error
    would be medians, which are 0 for rare crops, and their areas too small.

    Returns:
        One member, or two that are averaged, and each candidate with its error on the inner folds.
    """
    fold = inner_folds(training.group, training.shares.argmax(axis=1).astype(np.uint8), INNER_FOLDS, seed)
    found = {name: np.zeros(training.shares.shape) for name in CANDIDATES_OF_SHARES}
    for number in range(int(fold.max()) + 1):
        inside, outside = training.of(fold != number), fold == number
        known = np.flatnonzero(inside.shares.sum(axis=0) > 0) if len(inside.rows) else ()
        if len(known) < 2:
            continue
        inside = inside._replace(shares=inside.shares[:, known])
        for name, fit in CANDIDATES_OF_SHARES.items():
            estimate = np.zeros((int(outside.sum()), training.shares.shape[1]))
            estimate[:, known] = fit(inside, seed).probabilities(training.rows[outside])
            found[name][outside] = estimate
    first, second = sorted(found, key=lambda name: _error(found[name], training))[:2]
    found[f"{first} + {second}"] = (found[first] + found[second]) / 2
    best = min(found, key=lambda name: _error(found[name], training))
    tried = tuple(
        {
            "models": name.split(" + "),
            "inner_rmse": round(_error(estimate, training), 5),
            "inner_mae": round(float(np.abs(estimate - training.shares).mean()), 5),
            "chosen": name == best,
        }
        for name, estimate in found.items()
    )
    chosen = columns.chosen(columns.parts)
    members = [
        Member(name, CANDIDATES_OF_SHARES[name](training, seed), columns.parts, chosen) for name in best.split(" + ")
    ]
    return tuple(members), tried


def _error(estimate: Shares, training: ShareRows) -> float:
    return float(np.sqrt(np.mean((estimate - training.shares) ** 2)))


def restored_shares(stored: Sequence[dict[str, Any]], columns: "Columns", classes: int) -> tuple[Member, ...]:
    """Return the members of a model from their stored states, after checks.

    Raises:
        ValueError, KeyError, TypeError: a state is not one.
    """
    if not isinstance(stored, list) or not 1 <= len(stored) <= 2:
        raise ValueError("it has no members")
    members = []
    for entry in stored:
        kind = next((of for name, of in SHARE_KINDS.items() if str(entry["name"]).startswith(name)), None)
        if kind is None:
            raise ValueError("a member is of an unknown kind")
        chosen = columns.chosen(columns.parts)
        shape = Shape(len(chosen), classes, columns)
        members.append(Member(entry["name"], kind(entry["state"], shape), columns.parts, chosen))
    return tuple(members)
