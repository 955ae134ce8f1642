"""Learners: everything that a comparison can train on a series table, by name."""

from collections.abc import Callable
from functools import partial

import numpy as np

from agrifm.classic.singles import SINGLES
from agrifm.config import ModelConfig
from agrifm.record import TRAINABLE, is_classic
from agrifm.samples.table import SeriesTable
from agrifm.train.combination import (
    Combination,
    Fitted,
    Learner,
    Probability,
    best_weights,
    better_half_weights,
    equal_weights,
)

STEPS = 400
"""Training steps of a network on a table."""
FRAMES = 24
"""Equal steps of the season, of classic models and of networks that read them."""


def learn_agrifm(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """Train AgriFM on a table; the round that is best on the validation places is kept.

    Without validation places the rounds are judged by the training places, so in effect the last one is kept.
    """
    from agrifm.train.table_network import fit_network_on_table

    config = ModelConfig(names=("agrifm",), steps=STEPS, learning_rate=2e-3)
    trained = fit_network_on_table(training, validation if len(validation) else training, config, seed)
    parameters = sum(parameter.numel() for parameter in trained.classifier.parameters())
    return Fitted(
        trained.probabilities,
        trained.probabilities(validation) if len(validation) else None,
        parameters,
        {"kept round": trained.outcome.kept_round},
    )


def learn_network(name: str, training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """Train a network of another family on a table, from random weights and with one recipe for all."""
    from agrifm.train.table_network import fit_network_on_table

    config = ModelConfig(names=(name,), series=TRAINABLE[name].series[0], frames=FRAMES, steps=STEPS)
    trained = fit_network_on_table(training, validation, config, seed, family=name)
    return Fitted(
        trained.probabilities,
        trained.probabilities(validation) if len(validation) else None,
        sum(parameter.numel() for parameter in trained.classifier.parameters()),
        {"kept round": trained.outcome.kept_round},
    )


def learn_classic(name: str, training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """Train a classic model on all labels; another, trained without the validation places, answers those."""
    from agrifm.classic.classics import fit_classic
    from agrifm.classic.table_rows import table_columns, table_rows

    sensors, classes = training.sensors, len(training.legend)
    columns = table_columns(sensors, FRAMES)

    def fitted(*tables: SeriesTable) -> Callable[[SeriesTable], Probability]:
        rows = np.concatenate([table_rows(table, sensors, FRAMES) for table in tables])
        label, block = (np.concatenate([getattr(table, key) for table in tables]) for key in ("label", "block"))
        weights = None
        if training.weight is not None:
            weights = np.concatenate([table.weight for table in tables if table.weight is not None])
        model = fit_classic(name, rows, label, weights=weights, groups=block, seed=seed, columns=columns)

        def probabilities(table: SeriesTable) -> Probability:
            result = np.zeros((len(table), classes), np.float32)
            if len(table):
                result[:, model.classes] = model.probabilities(table_rows(table, sensors, FRAMES))
            return result

        return probabilities

    if not len(validation):
        return Fitted(fitted(training))
    return Fitted(fitted(training, validation), fitted(training)(validation))


_PAIR, _CLASSICS = ("agrifm", "classic"), tuple(SINGLES)
_PEERS = tuple(name for name in TRAINABLE if name != "agrifm" and not is_classic(name))
LEARNERS: dict[str, Learner] = {
    **{name: partial(learn_classic, name) for name in SINGLES},
    **{name: partial(learn_network, name) for name in _PEERS},
    "agrifm": learn_agrifm,
}
"""Models that are trained, by name."""
COMBINATIONS: dict[str, Combination] = {
    "classic": Combination(_CLASSICS, partial(better_half_weights, _CLASSICS)),
    "agrifm+classic": Combination(_PAIR, partial(equal_weights, _PAIR)),
    "best": Combination(_PAIR, partial(best_weights, _PAIR)),
}
"""Models that are means of others, by name."""
