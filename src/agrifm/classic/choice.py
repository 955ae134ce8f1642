"""The choice among classic models, or of an average of them, made on inner blocks of the training rows alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Rows
from agrifm.classic.singles import Member, fit_single
from agrifm.classic.training_rows import TrainingRows, inner_folds
from agrifm.scores import confusion_counts, macro_f1

CANDIDATES = ("lightgbm", "extra-trees", "support-vectors", "logistic", "minirocket")
"""Models that are tried (docs/decisions/0012-classic-models.md)."""
FOLDS = 4
MANY_ROWS = 3000
"""Training rows from which on one inner fold is held out only, instead of each in turn."""
LARGEST_AVERAGE = 3
"""Members of an average at most: each adds to the time of a map."""


def fit_choice(training: TrainingRows, seed: int) -> tuple[tuple[Member, ...], list[dict[str, Any]]]:
    """Fit the candidates on inner folds of whole groups, and the best one or the best average on all rows.

    Candidates are compared by macro F1 of the held-out rows over all classes that occur there. Averages are those of
    the best two and the best three.

    Returns:
        The members, whose probabilities are to be averaged, and everything that was tried with its inner macro F1.
    """
    found, held = _held_out(training, seed)
    true = training.classes[held]
    scores: dict[tuple[str, ...], float] = {
        (name,): _score(probabilities, true) for name, probabilities in found.items()
    }
    ranked = sorted(found, key=lambda name: -scores[name,])
    for size in range(2, LARGEST_AVERAGE + 1):
        best = tuple(ranked[:size])
        scores[best] = _score(np.mean([found[name] for name in best], axis=0), true)
    chosen = max(scores, key=lambda names: (scores[names], len(names)))
    tried = [
        {"models": list(names), "inner_macro_f1": round(score, 4), "chosen": names == chosen}
        for names, score in scores.items()
    ]
    return tuple(fit_single(name, training, seed) for name in chosen), tried


def _held_out(training: TrainingRows, seed: int) -> tuple[dict[str, Rows], NDArray[np.bool_]]:
    """Probabilities (held-out rows, classes) of each candidate, and which rows were held out, (N,)."""
    fold = inner_folds(training.groups, training.classes, FOLDS, seed)
    folds = range(int(fold.max()) + 1)
    tested = folds[:1] if len(fold) > MANY_ROWS else folds
    found = {name: np.zeros((len(fold), training.count), np.float32) for name in CANDIDATES}
    held = np.zeros(len(fold), bool)
    for number in tested:
        inside = fold != number
        known, classes = np.unique(training.classes[inside], return_inverse=True)
        if len(known) < 2:  # nothing can be learned from the other groups
            continue
        held |= ~inside
        part = _renumbered(training, inside, classes)
        for name in CANDIDATES:
            probabilities = fit_single(name, part, seed).probabilities(training.rows[~inside])
            found[name][np.ix_(~inside, known)] = probabilities
    if not held.any():  # one group cannot be divided: no candidate is known to be better
        held[:] = True
    return {name: probabilities[held] for name, probabilities in found.items()}, held


def _renumbered(training: TrainingRows, inside: NDArray[np.bool_], classes: NDArray[np.intp]) -> TrainingRows:
    """The rows of some folds, with classes numbered anew, because some may not occur."""
    part = training.of(inside)
    return TrainingRows(part.rows, classes.astype(np.uint8), part.weights, part.groups, part.columns)


def _score(probabilities: Rows, true: NDArray[np.uint8]) -> float:
    counts = confusion_counts(probabilities.argmax(axis=1).astype(np.uint8), true, probabilities.shape[1])
    return macro_f1(counts, counts.sum(axis=0) > 0)


def describe_choices(training: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each model that was chosen among several: what was tried, and which is used.

    Args:
        training: by model, the part of its record on training, with the entry `tried` if there was a choice.
    """
    sentences = []
    for name, entry in training.items():
        if "tried" in entry:
            shown = [f"{' + '.join(one['models'])} {one['inner_macro_f1']:.3f}" for one in entry["tried"]]
            used = next(" + ".join(one["models"]) for one in entry["tried"] if one["chosen"])
            sentences.append(f"{name} is {used}, chosen by macro F1 on inner blocks ({', '.join(shown)})")
    return sentences
