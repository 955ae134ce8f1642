"""Classic models of yields on the features of a season: ridge regression, or LightGBM, chosen on inner blocks.

Both are fitted on fields. A ridge regression is linear, so the mean over a field's pixels of what it says is what it
says of the mean pixel; trees are fitted on mean pixels too, or on single ones, and all are compared by what a map
gives: the mean over the pixels of a field of inner blocks.

Shape letters: N pixels, P fields.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.boosting import PARAMETERS
from agrifm.classic.boosting_structure import sound_text
from agrifm.classic.numbers import Rows
from agrifm.classic.singles import Member
from agrifm.classic.training_rows import inner_folds, scaling, stored_array
from agrifm.yields import YIELD_LAYERS, YieldScale

if TYPE_CHECKING:
    import lightgbm

    from agrifm.classic.features import Columns, Part

PARTS_OF_YIELDS: "tuple[Part, ...]" = ("series", "statistics", "phenology", "thermal time")
"""Parts of rows that models of yields read."""
INNER_FOLDS = 5
PENALTIES = (30.0, 300.0, 3000.0)
"""Of a ridge regression on scaled columns."""
ROUNDS = 150
BOOSTING = {**PARAMETERS, "learning_rate": 0.05, "num_leaves": 7, "min_data_in_leaf": 10}
LEAST_SPREAD = 0.5
"""Of the mean absolute error: a spread is never smaller, whatever the line through few errors says."""
Floats = NDArray[np.float64]


class FieldRows(NamedTuple):
    """Pixels of fields with their features."""

    rows: Rows
    """(N, features), finite."""
    field: NDArray[np.int64]
    """(N,), index of the field of each pixel, each of which occurs."""
    tonnes: Floats
    """(P,), yield."""
    group: NDArray[np.int64]
    """(P,), block."""

    def means(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the mean over the pixels of each field (P, …) of values (N, …)."""
        order = np.argsort(self.field, kind="stable")
        starts = np.searchsorted(self.field[order], np.arange(len(self.tonnes)))
        counts = np.bincount(self.field, minlength=len(self.tonnes))
        sums = np.add.reduceat(values[order].astype(np.float64), starts, axis=0)
        return np.asarray(sums / counts.reshape(-1, *[1] * (values.ndim - 1)))

    def of(self, chosen: NDArray[np.bool_]) -> "FieldRows":
        """Return some of the fields (P,), with their pixels."""
        pixels = chosen[self.field]
        index = np.cumsum(chosen) - 1
        return FieldRows(self.rows[pixels], index[self.field[pixels]], self.tonnes[chosen], self.group[chosen])


@dataclass(frozen=True)
class RidgeYields:
    """Weights of a linear model of rows as they come: the scaling is in them."""

    weights: Rows
    """(features, 1)"""
    bias: Rows
    """(1,)"""

    def tonnes(self, rows: Rows) -> Floats:
        """Return yields (N,) of rows."""
        return (rows.astype(np.float64) @ self.weights + self.bias)[:, 0]

    def state(self) -> dict[str, Any]:
        """Return its arrays."""
        return {"weights": self.weights, "bias": self.bias}

    @classmethod
    def of(cls, state: dict[str, Any], features: int) -> "RidgeYields":
        """Restore it; raises ValueError if the state is not one."""
        return cls(stored_array(state, "weights", (features, 1)), stored_array(state, "bias", (1,)))


@dataclass(frozen=True)
class BoostedYields:
    """A booster of LightGBM for one number."""

    booster: "lightgbm.Booster"

    def tonnes(self, rows: Rows) -> Floats:
        """Return yields (N,) of rows."""
        return np.asarray(self.booster.predict(rows, num_threads=1), np.float64)

    def state(self) -> dict[str, Any]:
        """Return the model in LightGBM's text form."""
        return {"text": self.booster.model_to_string()}

    @classmethod
    def of(cls, state: dict[str, Any], features: int) -> "BoostedYields":
        """Restore it; raises ValueError if the text is not one of a sound booster."""
        import lightgbm

        return cls(lightgbm.Booster(model_str=sound_text(state["text"], features, 1, "regression")))


YieldRegression = RidgeYields | BoostedYields


def _ridge(penalty: float) -> Callable[[FieldRows, int], YieldRegression]:
    def fit(training: FieldRows, seed: int) -> YieldRegression:
        from sklearn.linear_model import Ridge

        rows = training.means(training.rows).astype(np.float32)
        mean, std = scaling(rows)
        model = Ridge(alpha=penalty).fit((rows - mean) / std, training.tonnes)
        weights = (model.coef_ / std)[:, None]
        bias = model.intercept_ - mean @ weights
        return RidgeYields(weights.astype(np.float32), bias.astype(np.float32))

    return fit


def _boosting(on_pixels: bool) -> Callable[[FieldRows, int], YieldRegression]:
    def fit(training: FieldRows, seed: int) -> YieldRegression:
        import lightgbm

        settings = {**BOOSTING, "objective": "regression", "seed": seed % 2**31, "deterministic": True}
        settings |= {"force_col_wise": True, "verbosity": -1}
        rows, tonnes, weight = training.means(training.rows).astype(np.float32), training.tonnes, None
        if on_pixels:
            counts = np.bincount(training.field)
            rows, tonnes, weight = training.rows, training.tonnes[training.field], 1 / counts[training.field]
        data = lightgbm.Dataset(rows, tonnes, weight=weight, params=settings)
        return BoostedYields(lightgbm.train(settings, data, ROUNDS))

    return fit


CANDIDATES_OF_YIELDS: dict[str, Callable[[FieldRows, int], YieldRegression]] = {
    **{f"ridge regression (penalty {penalty:g})": _ridge(penalty) for penalty in PENALTIES},
    "LightGBM on fields": _boosting(on_pixels=False),
    "LightGBM on pixels": _boosting(on_pixels=True),
}
"""Models among which is chosen, by name."""
YIELD_KINDS: dict[str, type[RidgeYields] | type[BoostedYields]] = {"ridge": RidgeYields, "lightgbm": BoostedYields}


@dataclass(frozen=True)
class YieldEstimator:
    """A fitted model of yields as `agrifm.classic.singles.Member` reads it: `agrifm.yields.YIELD_LAYERS` per row."""

    model: YieldRegression
    line: tuple[float, float, float]
    """Spread of an estimate, t/ha: the first number plus the second times the estimate, at least the third."""
    scale: YieldScale

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return yield and spread (N, 2) as shares of the scale's highest yield."""
        tonnes = np.clip(self.model.tonnes(rows), 0, self.scale.highest)
        first, slope, least = self.line
        spread = np.maximum(first + slope * tonnes, least)
        return np.clip(np.stack([tonnes, spread], axis=1) / self.scale.highest, 0, 1).astype(np.float32)

    def state(self) -> dict[str, Any]:
        """Return what `restored_yields` restores it from."""
        kind = next(name for name, one in YIELD_KINDS.items() if isinstance(self.model, one))
        return {"kind": kind, "model": self.model.state(), "line": np.array(self.line, np.float32)}


def fit_yields(
    training: FieldRows, columns: "Columns", scale: YieldScale, seed: int
) -> tuple[Member, tuple[dict[str, Any], ...]]:
    """Fit the candidates on inner folds of whole blocks, and the best of them on all fields.

    The spread is a line of the estimate through the absolute errors of the inner folds.

    Returns:
        The model, and each candidate with its root mean square error on the inner folds, t/ha.
    """
    fold = inner_folds(training.group, np.zeros(len(training.group), np.uint8), INNER_FOLDS, seed)
    found = {name: np.full(len(fold), scale.mean) for name in CANDIDATES_OF_YIELDS}
    for number in range(int(fold.max()) + 1):
        inside, outside = training.of(fold != number), training.of(fold == number)
        for name, fit in CANDIDATES_OF_YIELDS.items() if len(inside.tonnes) else ():
            estimate = np.clip(fit(inside, seed).tonnes(outside.rows), 0, scale.highest)
            found[name][fold == number] = outside.means(estimate)
    errors = {name: training.tonnes - estimate for name, estimate in found.items()}
    rmse = {name: float(np.sqrt(np.mean(error**2))) for name, error in errors.items()}
    best = min(rmse, key=lambda name: rmse[name])
    tried = [{"models": [name], "inner_rmse": round(rmse[name], 4), "chosen": name == best} for name in rmse]
    line = _line(found[best], np.abs(errors[best]))
    estimator = YieldEstimator(CANDIDATES_OF_YIELDS[best](training, seed), line, scale)
    return _member(estimator, columns), tuple(tried)


def _member(estimator: YieldEstimator, columns: "Columns") -> Member:
    return Member(YIELD_LAYERS[0], estimator, columns.parts, columns.chosen(columns.parts))


def restored_yields(state: dict[str, Any], columns: "Columns", scale: YieldScale) -> Member:
    """Return a model from its stored state, after checks.

    Raises:
        ValueError, KeyError, TypeError: the state is not one.
    """
    model = YIELD_KINDS[state["kind"]].of(state["model"], columns.width)
    first, slope, least = stored_array(state, "line", (3,)).tolist()
    if least <= 0:
        raise ValueError("its spread is not above 0")
    return _member(YieldEstimator(model, (first, slope, least), scale), columns)


def _line(estimate: Floats, error: Floats) -> tuple[float, float, float]:
    """The line of spreads through absolute errors, by least squares."""
    columns = np.stack([np.ones(len(estimate)), estimate], axis=1)
    (first, slope), *_ = np.linalg.lstsq(columns, error, rcond=None)
    return float(first), float(slope), max(LEAST_SPREAD * float(error.mean()), 1e-6)
