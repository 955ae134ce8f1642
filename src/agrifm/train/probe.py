"""A probe: logistic regression on the vectors of an encoder with released weights, which stay as they are.

It shows what an encoder knows before it is tuned (Tseng et al. 2023, Presto, section 4), and needs seconds, because
every place goes through the network once.

Shape letters: P places, D numbers of a vector, K classes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from agrifm.classic.logistic import fit_linear
from agrifm.classic.training_rows import TrainingRows
from agrifm.errors import ModelError
from agrifm.model_config import ModelConfig
from agrifm.models.classifier import Classifier
from agrifm.record import TRAINABLE
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_samples import TableSamples
from agrifm.scores import probabilities_macro_f1
from agrifm.train.combination import Fitted, Probability
from agrifm.train.table_folds import table_statistics
from agrifm.train.table_network import table_logits, untrained_network

PROBED = ("presto", "galileo")
"""Families of released encoders, each followed by one linear layer."""
INVERSE_PENALTIES = (1.0, 0.01, 0.1, 10.0)
"""C of scikit-learn, tried on the validation places; the first where there are none, as in published probes."""

Vectors = NDArray[np.float32]


def released_vectors(name: str, weights: Path, frames: int, table: SeriesTable) -> Callable[[SeriesTable], Vectors]:
    """Return a function from a table to the vectors (P, D) that an encoder with released weights makes of its places.

    Args:
        name: one of `PROBED`.
        weights: the released file.
        frames: equal steps of the season, for families that read them.
        table: some places with the sensors of all others.

    Raises:
        ModelError: the family is not one of `PROBED` or cannot read the sensors, or the file is refused
            (`agrifm.models.weights.released.read_released`).
    """
    if name not in PROBED:
        raise ModelError(
            f"probing {name}: no released encoder with one linear layer after it (known: {', '.join(PROBED)})",
            family=name,
        )
    kind = TRAINABLE[name].series[0]
    config = ModelConfig(names=(name,), series=kind, frames=frames, weights=weights, encoder="frozen")
    network, sensors = untrained_network(name, config, table_statistics(table), table, kind)
    width = network.classify.in_features
    network.classify = nn.Identity()
    classifier = Classifier(network, sensors, kind).eval()

    def vectors(places: SeriesTable) -> Vectors:
        if not len(places):
            return np.zeros((0, width), np.float32)
        return table_logits(classifier, sensors, TableSamples(places, kind, frames)).float().numpy()

    return vectors


def learn_probe(
    name: str, weights: Path, frames: int, training: SeriesTable, validation: SeriesTable, seed: int
) -> Fitted:
    """Fit a probe; its penalty is the one with the best macro F1 on the validation places.

    The probe that answers other places is then fitted on both tables; arguments and errors are of `released_vectors`.
    """
    vectors = released_vectors(name, weights, frames, training)
    rows, held = vectors(training), vectors(validation)
    penalty, answers = INVERSE_PENALTIES[0], None
    if len(validation):
        tried = {inverse: _fit(rows, training.label, training.weight, inverse, seed) for inverse in INVERSE_PENALTIES}
        answered = {inverse: probe(held, len(training.legend)) for inverse, probe in tried.items()}
        penalty = max(answered, key=lambda inverse: probabilities_macro_f1(answered[inverse], validation.label))
        answers = answered[penalty]
    label = np.concatenate([training.label, validation.label])
    weight = None
    if training.weight is not None and validation.weight is not None:
        weight = np.concatenate([training.weight, validation.weight])
    probe = _fit(np.concatenate([rows, held]), label, weight, penalty, seed)
    return Fitted(lambda table: probe(vectors(table), len(table.legend)), answers, choice={"C": penalty})


def _fit(
    rows: Vectors, label: NDArray[np.uint8], weight: Vectors | None, inverse_penalty: float, seed: int
) -> Callable[[Vectors, int], Probability]:
    """A function from vectors (P, D) and the number K of classes to probabilities (P, K)."""
    known, classes = np.unique(label, return_inverse=True)
    weights = np.ones(len(rows)) if weight is None else np.asarray(weight / weight.mean(), np.float64)
    rows_of_classes = TrainingRows(rows, classes.astype(np.uint8), weights, np.arange(len(rows)))
    linear = fit_linear(rows_of_classes, inverse_penalty, seed)

    def probabilities(vectors: Vectors, count: int) -> Probability:
        result = np.zeros((len(vectors), count), np.float32)
        result[:, known] = linear.probabilities(vectors)
        return result

    return probabilities
