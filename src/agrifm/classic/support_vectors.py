"""Support vectors with the RBF kernel on scaled columns, class weights, and calibrated probabilities.

One machine for each pair of classes (libsvm); a class's score is its sum of votes and margins, as in scikit-learn. The
probabilities are a softmax of scaled scores. The scale is fitted on scores of rows whose groups a machine has not seen,
because scores of its training rows are too sure. Above `MAX_ROWS`, rows are drawn, so that training and mapping stay
feasible.

Shape letters: N rows, S support vectors, K classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Classes, Rows
from agrifm.classic.training_rows import Shape, TrainingRows, inner_folds, scaling, softmax, stored_array

COST = 10.0
"""C of the machines."""
WIDTH = 1.0
"""gamma times the number of columns; with columns of variance 1 this is `gamma="scale"` of scikit-learn."""
MAX_ROWS = 4000
"""Rows on which machines are trained at most."""
CALIBRATION_FOLDS = 3
CHUNK = 1024
"""Rows whose kernel is computed at once; it stays in the cache of the processor."""
SCALES = np.geomspace(0.25, 16, 25)
"""Factors of the scores that calibration tries."""


@dataclass(frozen=True)
class SupportVectors:
    """Machines of all pairs of classes over one set of support vectors."""

    mean: Rows
    std: Rows
    vectors: Rows
    """(S, features), scaled."""
    weights: Rows
    """(S, pairs), in the order (0, 1), (0, 2), ..., (1, 2), ..."""
    intercept: Rows
    """(pairs,)"""
    gamma: float
    scale: float
    """Of the scores, before the softmax."""

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return (N, classes), rows of sum 1."""
        return softmax(np.float32(self.scale) * self.scores(rows))

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """Return votes plus margins in -1/3..1/3, (N, classes)."""
        squares = np.float32(self.gamma) * np.einsum("sf,sf->s", self.vectors, self.vectors)
        parts = [self._margins(rows[at : at + CHUNK], squares) for at in range(0, len(rows), CHUNK)]
        margins = np.concatenate(parts) if parts else np.zeros((0, len(self.intercept)), np.float32)
        return _votes(margins, round((1 + (1 + 8 * len(self.intercept)) ** 0.5) / 2))

    def _margins(self, rows: Rows, squares: Rows) -> Rows:
        """Margins (N, pairs), of the kernel exp(2 gamma ab - gamma aa - gamma bb); `squares` is gamma bb, (S,)."""
        scaled = (rows - self.mean) / self.std
        gamma = np.float32(self.gamma)
        kernel = (2 * gamma * scaled) @ self.vectors.T
        kernel -= squares
        kernel -= gamma * np.einsum("nf,nf->n", scaled, scaled)[:, None]
        np.minimum(kernel, 0, out=kernel)
        np.exp(kernel, out=kernel)
        return np.asarray(kernel @ self.weights + self.intercept)

    def state(self) -> dict[str, Any]:
        """Return its arrays and numbers."""
        return dict(vars(self))

    @classmethod
    def of(cls, state: dict[str, Any], shape: Shape) -> "SupportVectors":
        """Restore it; raises ValueError if the state is not one."""
        vectors = stored_array(state, "vectors", (None, shape.features))
        pairs = shape.classes * (shape.classes - 1) // 2
        mean, std = (stored_array(state, key, (shape.features,)) for key in ("mean", "std"))
        gamma, scale = state["gamma"], state["scale"]
        if not (std > 0).all() or not (isinstance(gamma, float) and isinstance(scale, float)):
            raise ValueError("its scaling or its kernel is not one")
        if not (0 < gamma < np.inf and 0 < scale < np.inf):
            raise ValueError("its scaling or its kernel is not one")
        weights, intercept = (
            stored_array(state, "weights", (len(vectors), pairs)),
            stored_array(state, "intercept", (pairs,)),
        )
        return cls(mean, std, vectors, weights, intercept, gamma, scale)


def _votes(margins: Rows, classes: int) -> NDArray[np.float32]:
    votes = np.zeros((len(margins), classes), np.float32)
    sums = np.zeros_like(votes)
    pair = 0
    for first in range(classes):
        for second in range(first + 1, classes):
            margin = margins[:, pair]
            sums[:, first] += margin
            sums[:, second] -= margin
            votes[:, first] += margin > 0
            votes[:, second] += margin <= 0
            pair += 1
    return np.asarray(votes + sums / (3 * (np.abs(sums) + 1)), np.float32)


def fit_support_vectors(training: TrainingRows, seed: int) -> SupportVectors:
    """Train machines on at most `MAX_ROWS` rows and calibrate their scores on inner folds of groups."""
    training = _drawn(training, seed)
    fold = inner_folds(training.groups, training.classes, CALIBRATION_FOLDS, seed)
    scores = np.full((len(training.rows), training.count), -1, np.float32)
    for number in range(int(fold.max()) + 1):
        inside = fold != number
        known, classes = np.unique(training.classes[inside], return_inverse=True)
        if len(known) > 1 and not inside.all():
            machines = _machines(training.rows[inside], classes.astype(np.uint8), training.balanced[inside])
            scores[np.ix_(~inside, known)] = machines.scores(training.rows[~inside])
    machines = _machines(training.rows, training.classes, training.balanced)
    return SupportVectors(**{**vars(machines), "scale": _scale(scores, training)})


def _scale(scores: Rows, training: TrainingRows) -> float:
    """The factor of the scores (N, K) with the smallest weighted log loss; 1 if no row was held out."""
    known = (scores >= 0).any(axis=1)
    if not known.any():
        return 1.0
    true, weights = training.classes[known], training.balanced[known]

    def loss(scale: float) -> float:
        likely = softmax(np.float32(scale) * scores[known])[np.arange(len(true)), true]
        return float(-(weights * np.log(np.maximum(likely, 1e-6))).sum())

    return float(min(SCALES, key=loss))


def _machines(rows: Rows, classes: Classes, weights: NDArray[np.float64]) -> SupportVectors:
    from sklearn.svm import SVC

    mean, std = scaling(rows)
    gamma = WIDTH / rows.shape[1]
    model = SVC(C=COST, gamma=gamma, cache_size=400, decision_function_shape="ovo")
    model.fit((rows - mean) / std, classes, sample_weight=weights)
    count = int(classes.max()) + 1
    pairs = [(first, second) for first in range(count) for second in range(first + 1, count)]
    matrix = np.zeros((len(model.support_), len(pairs)), np.float32)
    edges = np.cumsum([0, *model.n_support_])
    dual = model.dual_coef_
    for at, (first, second) in enumerate(pairs):
        # libsvm keeps, for a vector of one class, its weights against the other classes in order
        matrix[edges[first] : edges[first + 1], at] = dual[second - 1, edges[first] : edges[first + 1]]
        matrix[edges[second] : edges[second + 1], at] = dual[first, edges[second] : edges[second + 1]]
    intercept = model.intercept_.astype(np.float32)
    if count == 2:  # scikit-learn turns the sign where there is one pair
        matrix, intercept = -matrix, -intercept
    vectors = np.asarray(model.support_vectors_, np.float32)
    return SupportVectors(mean, std, vectors, matrix, intercept, gamma, 1.0)


def _drawn(training: TrainingRows, seed: int) -> TrainingRows:
    """At most `MAX_ROWS` rows: of each class the same share, but at least its part of half of them."""
    if len(training.rows) <= MAX_ROWS:
        return training
    generator = np.random.default_rng(seed)
    counts = np.bincount(training.classes)
    least = np.minimum(counts, MAX_ROWS // (2 * len(counts)))
    wanted = least + ((MAX_ROWS - least.sum()) * (counts - least) / max((counts - least).sum(), 1)).astype(int)
    chosen = [
        generator.choice(np.flatnonzero(training.classes == number), size, replace=False)
        for number, size in enumerate(wanted)
    ]
    return training.of(np.sort(np.concatenate(chosen)))
