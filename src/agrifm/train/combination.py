"""The contract of models of series tables: what trains them, what they answer, and how several are combined.

Shape letters: P places.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.choice import CANDIDATES, better_half_weights
from agrifm.errors import ConfigError, did_you_mean
from agrifm.legend import UNLABELLED
from agrifm.record import TRAINABLE
from agrifm.samples.table import SeriesTable
from agrifm.scores import confusion_counts, macro_f1

Probability = NDArray[np.float32]
"""Class probabilities (P, classes)."""
Labels = NDArray[np.uint8]
"""Class numbers (P,)."""
CLEARLY = 1.0
"""Standard errors by which a part must be better than the average of all parts, or else the average is kept."""
RESAMPLES = 100
"""Draws of the validation places for that standard error."""


@dataclass(frozen=True)
class Fitted:
    """A trained model of series tables."""

    probabilities: Callable[[SeriesTable], Probability]
    """From a table to class probabilities (P, classes)."""
    validation: Probability | None = None
    """Class probabilities of the validation places, by a model that was not trained on them; None = unknown."""
    parameters: int | None = None
    """Numbers that training set, such as weights or nodes of trees; None = unknown."""
    choice: dict[str, Any] = field(default_factory=dict)
    """What was chosen on the validation places, as JSON."""


Learner = Callable[[SeriesTable, SeriesTable, int], Fitted]
"""Trains a model: (training table, validation table, seed). Both tables are labelled. What is chosen is chosen on the
validation table, which is empty where there are too few labels to choose with."""
Weights = Callable[[Mapping[str, Probability], Labels], dict[str, float]]
"""From the parts' probabilities of the validation places, and their labels, to the weight of each part."""


@dataclass(frozen=True)
class Combination:
    """A model whose probabilities are a weighted mean of those of its parts."""

    parts: tuple[str, ...]
    weights: Weights
    choosing: bool = True
    """Whether the weights are chosen on the validation places."""

    def learner(self, learners: Mapping[str, Learner], combinations: "Mapping[str, Combination]") -> Learner:
        """Return the learner that trains all parts, which may be combinations themselves."""
        parts = {
            part: combinations[part].learner(learners, combinations) if part in combinations else learners[part]
            for part in self.parts
        }
        return partial(_fit_combination, self, parts)


def _fit_combination(
    combination: Combination,
    learners: Mapping[str, Learner],
    training: SeriesTable,
    validation: SeriesTable,
    seed: int,
) -> Fitted:
    fitted = {part: learner(training, validation, seed) for part, learner in learners.items()}
    answers = validation_parts(fitted)
    weights = combination.weights(answers, validation.label)
    numbers = [one.parameters for one in fitted.values()]
    return Fitted(
        lambda table: weighted_mean({part: fitted[part].probabilities(table) for part in weights}, weights),
        weighted_mean(answers, weights) if answers else None,
        None if None in numbers else sum(number for number in numbers if number is not None),
        dict(weights),
    )


def validation_parts(fitted: Mapping[str, Any]) -> dict[str, Probability]:
    """Return the validation probabilities of parts; empty if one of them has none."""
    known = {part: one.validation for part, one in fitted.items() if one.validation is not None and len(one.validation)}
    return known if len(known) == len(fitted) else {}


def weighted_mean(parts: Mapping[str, Probability], weights: Mapping[str, float]) -> Probability:
    """Return the weighted mean of probabilities (P, classes)."""
    return np.asarray(sum(weight * parts[part] for part, weight in weights.items()), np.float32)


def equal_weights(names: tuple[str, ...], parts: Mapping[str, Probability], label: Labels) -> dict[str, float]:
    """Return the same weight for all parts; nothing is chosen."""
    return dict.fromkeys(names, 1 / len(names))


def best_weights(names: tuple[str, ...], parts: Mapping[str, Probability], label: Labels) -> dict[str, float]:
    """Return the weight 1 for a part that is clearly better than the average of all parts, else equal weights.

    Better is a macro F1 on the validation places that is higher by more than `CLEARLY` standard errors of the
    difference, from places drawn with replacement. Of few validation places most differences are chance, and the
    average of models that err differently is seldom worse than the better one.
    """
    average = dict.fromkeys(names, 1 / len(names))
    if not parts:
        return average
    classes = next(iter(parts.values())).shape[1]
    guesses = {part: probability.argmax(axis=1) for part, probability in parts.items()}
    together = weighted_mean(parts, average).argmax(axis=1)
    samples = np.random.default_rng(0).integers(len(label), size=(RESAMPLES, len(label)))

    def scores(guess: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.array([macro_f1(confusion_counts(guess[drawn], label[drawn], classes)) for drawn in samples])

    of_average = scores(together)
    best, gain = average, 0.0
    for part, guess in guesses.items():
        differences = scores(guess) - of_average
        surplus = float(differences.mean() - CLEARLY * differences.std())
        if surplus > gain:
            best, gain = {part: 1.0}, surplus
    return best


def without_labels(table: SeriesTable) -> SeriesTable:
    """Return a table that cannot give its labels away."""
    return replace(table, label=np.full_like(table.label, UNLABELLED), weight=None)


def require_known(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse unknown models.

    Raises:
        ConfigError: a name is not in `known`; the message suggests the nearest one.
    """
    for name in names:
        if name not in known:
            raise ConfigError(
                f"comparing models: unknown model '{name}'{did_you_mean(name, known)} (known: {', '.join(known)}); "
                "change `models`",
                model=name,
                known=known,
            )


_PAIR = TRAINABLE["best"].parts
COMBINATIONS: dict[str, Combination] = {
    "classic": Combination(CANDIDATES, partial(better_half_weights, CANDIDATES)),
    "agrifm+classic": Combination(_PAIR, partial(equal_weights, _PAIR), choosing=False),
    "best": Combination(_PAIR, partial(best_weights, _PAIR)),
}
"""Models that are means of others, by name."""
