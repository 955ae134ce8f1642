"""Multinomial logistic regression on scaled columns, with class weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Rows
from agrifm.classic.training_rows import Shape, TrainingRows, scaling, softmax, stored_array

INVERSE_PENALTY = 0.03
"""C of scikit-learn: the smaller, the nearer the weights are to 0."""
MAX_ITERATIONS = 300


@dataclass(frozen=True)
class LinearClassifier:
    """Weights of a linear model of rows; also the head of models that make other columns of rows."""

    weights: Rows
    """(features, classes), of rows as they come: the scaling is in them."""
    bias: Rows
    """(classes,)"""

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return (N, classes), rows of sum 1."""
        return softmax(rows @ self.weights + self.bias)

    def state(self) -> dict[str, Any]:
        """Return its arrays."""
        return {"weights": self.weights, "bias": self.bias}

    @classmethod
    def of(cls, state: dict[str, Any], shape: Shape) -> "LinearClassifier":
        """Restore it; raises ValueError if the state is not one."""
        weights = stored_array(state, "weights", (shape.features, shape.classes))
        return cls(weights, stored_array(state, "bias", (shape.classes,)))


def fit_logistic(training: TrainingRows, seed: int) -> LinearClassifier:
    """Fit weights by L-BFGS with an L2 penalty of 1 / (2 C) on scaled columns; classes count alike."""
    return fit_linear(training, INVERSE_PENALTY, seed)


def fit_linear(
    training: TrainingRows, inverse_penalty: float, seed: int, weights: NDArray[np.float64] | None = None
) -> LinearClassifier:
    """Fit a multinomial logistic regression with this C.

    Args:
        weights: (N,), of rows; by default those with which classes count alike.
    """
    from sklearn.linear_model import LogisticRegression

    mean, std = scaling(training.rows)
    model = LogisticRegression(C=inverse_penalty, max_iter=MAX_ITERATIONS, tol=1e-3, random_state=seed)
    model.fit(
        (training.rows - mean) / std, training.classes, sample_weight=training.balanced if weights is None else weights
    )
    coefficients, intercept = model.coef_.T, model.intercept_
    if training.count == 2:  # one column decides between two classes
        coefficients, intercept = np.c_[-coefficients, coefficients] / 2, np.r_[-intercept, intercept] / 2
    by_column = coefficients / std[:, None]
    bias = intercept - mean @ by_column
    return LinearClassifier(by_column.astype(np.float32), bias.astype(np.float32))
