"""The classic model that is made of several: the rule of the choice, made on inner blocks of the training alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Rows
from agrifm.classic.singles import Member, fit_single
from agrifm.classic.training_rows import TrainingRows, inner_folds
from agrifm.scores import probabilities_macro_f1

CANDIDATES = ("lightgbm", "extra-trees", "support-vectors", "logistic", "minirocket")
"""Models among which is chosen (docs/decisions/0012-classic-models.md)."""
FOLDS = 4
MANY_ROWS = 3000
"""Training rows from which on one inner fold is held out only, instead of each in turn."""


def better_half_weights(
    names: tuple[str, ...], parts: Mapping[str, Rows], label: NDArray[np.uint8]
) -> dict[str, float]:
    """Return equal weights for the half of the models that has the higher macro F1 on held-out places.

    This is the rule by which `classic` is made of `CANDIDATES`, in training and in comparisons. Of five models the
    better half is three. Without held-out places all models have the same weight.

    Args:
        names: of the models; of two that are equally good the first is better.
        parts: by model, probabilities (P, classes) of places that it was not trained on; empty = there are none.
        label: (P,), class numbers of these places.
    """
    if not parts:
        return dict.fromkeys(names, 1 / len(names))
    scores = {name: probabilities_macro_f1(probabilities, label) for name, probabilities in parts.items()}
    better = sorted(names, key=lambda name: -scores[name])[: (len(names) + 1) // 2]
    return dict.fromkeys(better, 1 / len(better))


def fit_choice(training: TrainingRows, seed: int) -> tuple[tuple[Member, ...], list[dict[str, Any]]]:
    """Fit the candidates on inner folds of whole groups, and the better half of them on all rows.

    Returns:
        The members, whose probabilities are to be averaged, and everything that was tried with its inner macro F1:
        each candidate, and last the average that is used.
    """
    parts, true = _held_out(training, seed)
    chosen = tuple(better_half_weights(CANDIDATES, parts, true))
    tried = []
    if parts:
        average = np.mean([parts[name] for name in chosen], axis=0)
        singles = [((name,), probabilities_macro_f1(parts[name], true)) for name in CANDIDATES]
        inner = [*singles, (chosen, probabilities_macro_f1(average, true))]
        tried = [
            {"models": list(names), "inner_macro_f1": round(score, 4), "chosen": names == chosen}
            for names, score in inner
        ]
    return tuple(fit_single(name, training, seed) for name in chosen), tried


def _held_out(training: TrainingRows, seed: int) -> tuple[dict[str, Rows], NDArray[np.uint8]]:
    """Probabilities (held-out rows, classes) of each candidate, and the classes of these rows.

    Empty where no row can be held out, as in one group, which cannot be divided.
    """
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
    parts = {name: probabilities[held] for name, probabilities in found.items()} if held.any() else {}
    return parts, training.classes[held]


def _renumbered(training: TrainingRows, inside: NDArray[np.bool_], classes: NDArray[np.intp]) -> TrainingRows:
    """The rows of some folds, with classes numbered anew, because some may not occur."""
    part = training.of(inside)
    return TrainingRows(part.rows, classes.astype(np.uint8), part.weights, part.groups, part.columns)


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
        if "rule" in entry:
            sentences.append(f"{name} is the naive rule to compare with: {entry['rule']}")
    return sentences
