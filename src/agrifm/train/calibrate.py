"""Calibration is fitted on validation blocks, and its kind chosen there by cross-validation over blocks.

Shape letters: N labelled pixels or places, C classes.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agrifm.calibration import PROBABILITY_FLOOR, Calibration, CalibrationKind, Curve, calibrated
from agrifm.certainty import CandidateSets
from agrifm.record import TRAINABLE, ModelRecord
from agrifm.samples.folds import divide_blocks
from agrifm.scores import log_loss
from agrifm.train.candidate_sets import fit_sets

Values = NDArray[np.float64]
Labels = NDArray[np.uint8]

FOLDS = 5
"""Into which the validation blocks are divided; of fewer blocks, one for each."""
LEAST_BLOCKS = 3
"""Fewest validation blocks with which anything is fitted."""
MOST_ROWS, MOST_NUMBERS = 20_000, 1_000_000
"""Most pixels, and most pixels times classes, that are fitted; they are drawn from all."""
LEAST_LABELS = 10
"""A class with fewer labels is not scaled or bent by itself: it could not be refused for good by chance."""
MOST_KNOTS = 64
"""Of an isotonic curve."""
TEMPERATURES = (0.1, 10.0)
PULL = 0.1
"""Weight of the squares of what is changed, as the log loss of so many blocks: a few blocks that are all right would
otherwise make a model sure without bound."""
DIGITS = 6


def fit_calibration(
    probabilities: NDArray[np.float32], label: Labels, block: NDArray[np.integer]
) -> tuple[Calibration, CandidateSets | None]:
    """Return the calibration of lowest log loss on blocks that it was not fitted on, and the sets of candidates.

    Args:
        probabilities: (N, C), of a model that was not trained on these pixels; NaN = unknown, not used.
        label: (N,), class numbers.
        block: (N,), number of each pixel's block.

    Returns:
        A calibration of the kind "none" where it is as good as any other, or where there are fewer than `LEAST_BLOCKS`
        blocks; and sets that fit probabilities which were calibrated on other blocks, None with so few.
    """
    values, label, block = drawn_rows(probabilities, label, block)
    blocks = len(np.unique(block))
    about = {"blocks": blocks, "pixels": len(label)}
    if blocks < LEAST_BLOCKS:
        return Calibration(kind="none", **about), None
    fold = divide_blocks(block, label, values.shape[1], min(FOLDS, blocks), 0)
    losses: dict[CalibrationKind, float] = {}
    answers: dict[CalibrationKind, Values] = {}
    for kind in FITS:
        held_out = np.empty_like(values)
        for number in np.unique(fold):
            inside = fold != number
            held_out[~inside] = calibrated(_fit(kind, values, label, block, inside), values[~inside], axis=1)
        answers[kind] = held_out
        losses[kind] = round(log_loss(held_out, label), DIGITS)
    chosen = min(losses, key=lambda kind: losses[kind])  # of equal ones the first, which is the simplest
    everything = np.ones(len(label), bool)
    calibration = _fit(chosen, values, label, block, everything).model_copy(update={"log_loss": losses, **about})
    return calibration, fit_sets(answers[chosen], label, block)


def _fit(
    kind: CalibrationKind, values: Values, label: Labels, block: NDArray[np.integer], inside: NDArray[np.bool_]
) -> Calibration:
    """A calibration of some of the rows."""
    return FITS[kind](values[inside], label[inside], len(np.unique(block[inside])))


def with_calibration(
    record: ModelRecord, answers: Callable[[], NDArray[np.float32]], label: Labels, block: NDArray[np.integer]
) -> ModelRecord:
    """Return a model's record with the calibration and the sets of candidates that fit what it answers.

    A naive rule stays as it is.

    Args:
        answers, label, block: as in `fit_calibration`.
    """
    if record.family in TRAINABLE and TRAINABLE[record.family].naive:
        return record
    calibration, sets = fit_calibration(answers(), label, block)
    return record.model_copy(update={"calibration": calibration, "candidates": sets})


def drawn_rows(
    probabilities: NDArray[np.float32], label: Labels, block: NDArray[np.integer]
) -> tuple[Values, Labels, NDArray[np.integer]]:
    """Return the known rows, or as many of them as are fitted, drawn at random, in order."""
    known = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    most = max(1, min(MOST_ROWS, MOST_NUMBERS // max(1, probabilities.shape[1])))
    if len(known) > most:
        known = np.sort(np.random.default_rng(0).choice(known, most, replace=False))
    return probabilities[known].astype(np.float64), label[known], block[known]


def _uncalibrated(values: Values, label: Labels, blocks: int) -> Calibration:
    return Calibration(kind="none")


def _temperature(values: Values, label: Labels, blocks: int) -> Calibration:
    """Guo et al. 2017, eq. 9: the temperature of lowest log loss, pulled towards 1."""
    from scipy.optimize import minimize_scalar

    scores = _logarithms(values)

    def loss(logarithm: float) -> float:
        return _loss(scores / np.exp(logarithm), label)[0] + PULL / blocks * logarithm**2

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return Calibration(kind="temperature", temperature=round(float(np.exp(found.x)), DIGITS))


def _vector(values: Values, label: Labels, blocks: int) -> Calibration:
    """Guo et al. 2017, section 4.2 with a diagonal matrix; pulled towards no change."""
    from scipy.optimize import minimize

    scores, classes = _logarithms(values), values.shape[1]
    free = np.bincount(label, minlength=classes) >= LEAST_LABELS

    def objective(numbers: Values) -> tuple[float, Values]:
        scale, offset = numbers.reshape(2, classes)
        loss, slope = _loss(scores * scale + offset, label)
        pull = ((scale - 1) ** 2).sum() + (offset**2).sum()
        gradient = np.stack([(slope * scores).sum(axis=0), slope.sum(axis=0)])
        gradient += 2 * PULL / blocks * np.stack([scale - 1, offset])
        return loss + PULL / blocks * pull, np.where(free, gradient, 0).ravel()

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    scale, offset = (tuple(np.round(part, DIGITS).tolist()) for part in found.x.reshape(2, classes))
    return Calibration(kind="vector", scale=scale, offset=offset)


def _isotonic(values: Values, label: Labels, blocks: int) -> Calibration:
    """A rising curve of least squares for each class against all others (Zadrozny and Elkan 2002)."""
    counts = np.bincount(label, minlength=values.shape[1])
    curves = [
        _curve(values[:, number], label == number) if LEAST_LABELS <= count <= len(label) - LEAST_LABELS else None
        for number, count in enumerate(counts)
    ]
    return Calibration(kind="isotonic", curves=tuple(curves))


def _curve(probability: Values, true: NDArray[np.bool_]) -> Curve:
    from scipy.optimize import isotonic_regression

    rounded = np.round(probability, DIGITS)
    x, index, count = np.unique(rounded, return_inverse=True, return_counts=True)
    share = np.bincount(index, true) / count
    least = 1 / (len(probability) + 2)  # no pixel is sure for good (Laplace)
    level = np.clip(isotonic_regression(share, weights=count).x, least, 1 - least)
    # only the ends of each level matter, and of many levels those at even shares of the pixels
    ends = np.flatnonzero(np.r_[True, np.diff(level) > 0] | np.r_[np.diff(level) > 0, True])
    if len(ends) > MOST_KNOTS:
        upto = np.cumsum(count)[ends]
        ends = ends[np.unique(np.searchsorted(upto, np.linspace(upto[0], upto[-1], MOST_KNOTS)))]
    return Curve(probability=tuple(x[ends].tolist()), calibrated=tuple(np.round(level[ends], DIGITS).tolist()))


def _logarithms(values: Values) -> Values:
    return np.asarray(np.log(np.maximum(values, PROBABILITY_FLOOR)))


def _loss(scores: Values, label: Labels) -> tuple[float, Values]:
    """Mean log loss of the softmax of scores (N, C), and its slope by the scores."""
    rows = np.arange(len(label))
    shifted = scores - scores.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted)
    total = probabilities.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - shifted[rows, label]).mean())
    probabilities /= total
    probabilities[rows, label] -= 1
    return loss, probabilities / len(label)


FITS: dict[CalibrationKind, Callable[[Values, Labels, int], Calibration]] = {
    "none": _uncalibrated,
    "temperature": _temperature,
    "vector": _vector,
    "isotonic": _isotonic,
}
"""How each kind is fitted, the simplest first: (probabilities, labels, number of blocks)."""
