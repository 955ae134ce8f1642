"""Learners: everything that a comparison can train on a series table, by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from agrifm.classic.features import Part
from agrifm.classic.singles import SINGLES
from agrifm.errors import ModelError
from agrifm.model_config import ModelConfig
from agrifm.record import TRAINABLE, is_network
from agrifm.samples.table import SeriesTable
from agrifm.samples.vector_table import is_of_vectors
from agrifm.train.combination import Fitted, Learner, Probability

STEPS = 400
"""Training steps of a network on a table."""
RATES = {"agrifm": 2e-3}
"""Highest learning rate of networks that have their own."""
FRAMES = 24
"""Equal steps of the season, of classic models and of networks that read them."""
VECTOR_PARTS: tuple[Part, ...] = ("series",)
"""Features of places with vectors in place of series."""


def learn_network(
    name: str,
    training: SeriesTable,
    validation: SeriesTable,
    seed: int,
    weights: Path | None = None,
    encoder: Literal["tuned", "frozen"] = "tuned",
) -> Fitted:
    """Train a network on a table, with one recipe for all; the round that is best on the validation places is kept.

    Without validation places the rounds are judged by the training places, so in effect the last one is kept.

    Args:
        weights: released weights of its encoder; None = random.
        encoder: whether the encoder is trained, too.
    """
    from agrifm.train.initialise import point_start
    from agrifm.train.table_network import fit_network_on_table

    if is_of_vectors(training.sensors):
        raise ModelError(f"training {name} on vectors: networks read series; compare classic models", family=name)
    config = ModelConfig(
        names=(name,),
        series=TRAINABLE[name].series[0],
        frames=FRAMES,
        steps=STEPS,
        learning_rate=RATES.get(name, ModelConfig().learning_rate),
        weights=weights,
        encoder=encoder,
    )
    judged = validation if len(validation) else training
    start = point_start(weights) if name == "agrifm" else None
    trained = fit_network_on_table(training, judged, config, seed, family=name, start=start)
    return Fitted(
        trained.probabilities,
        trained.probabilities(validation) if len(validation) else None,
        sum(parameter.numel() for parameter in trained.classifier.parameters()),
        {"kept round": trained.outcome.kept_round},
    )


def learn_classic(name: str, training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """Train a classic model on all labels; another, trained without the validation places, answers those."""
    from agrifm.classic.classics import fit_classic
    from agrifm.classic.table_rows import WITHOUT_NEIGHBOURS, kept_table_rows, table_columns

    sensors, classes = training.sensors, len(training.legend)
    # a vector has no dates, so its numbers are all that there is
    frames, parts = (1, VECTOR_PARTS) if is_of_vectors(sensors) else (FRAMES, WITHOUT_NEIGHBOURS)
    columns = table_columns(sensors, frames, parts)

    def fitted(*tables: SeriesTable) -> Callable[[SeriesTable], Probability]:
        rows = np.concatenate([kept_table_rows(table, sensors, frames, parts) for table in tables])
        label, block = (np.concatenate([getattr(table, key) for table in tables]) for key in ("label", "block"))
        weights = None
        if training.weight is not None:
            weights = np.concatenate([table.weight for table in tables if table.weight is not None])
        model = fit_classic(name, rows, label, weights=weights, groups=block, seed=seed, columns=columns)

        def probabilities(table: SeriesTable) -> Probability:
            result = np.zeros((len(table), classes), np.float32)
            if len(table):
                result[:, model.classes] = model.probabilities(kept_table_rows(table, sensors, frames, parts))
            return result

        return probabilities

    if not len(validation):
        return Fitted(fitted(training))
    return Fitted(fitted(training, validation), fitted(training)(validation))


_NETWORKS = tuple(name for name in TRAINABLE if is_network(name))
LEARNERS: dict[str, Learner] = {
    **{name: partial(learn_classic, name) for name in SINGLES},
    **{name: partial(learn_network, name) for name in _NETWORKS},
}
"""Models that are trained, by name."""
