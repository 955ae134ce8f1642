"""A probe: a simple classifier on the vectors of a network with released or pretrained weights, which stay as they are.

It is a logistic regression; of AgriFM's weights, whose pretraining compares places with class means, these come first.

It shows what an encoder knows before it is tuned (Tseng et al. 2023, Presto, section 4), and needs seconds, because
every place goes through the network once.

Shape letters: P places, D numbers of a vector, K classes.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from agrifm.classic.logistic import fit_linear
from agrifm.classic.training_rows import TrainingRows
from agrifm.errors import ModelError
from agrifm.model_config import ModelConfig
from agrifm.models.agrifm.network import AgriFM
from agrifm.models.classifier import Classifier
from agrifm.models.weights.file import read_record
from agrifm.record import TRAINABLE
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_samples import TableSamples
from agrifm.scores import probabilities_macro_f1
from agrifm.train.combination import Fitted, Probability
from agrifm.train.initialise import point_start
from agrifm.train.table_folds import table_statistics
from agrifm.train.table_network import table_logits, untrained_network

PROBED = ("presto", "galileo", "agrifm")
"""Families of networks whose last layer is linear."""
INVERSE_PENALTIES = (1.0, 0.01, 0.1, 10.0)
"""C of scikit-learn, tried on the validation places; the first where there are none, as in published probes."""

CLASS_MEANS = "class means"
"""The nearest class mean, as a spherical Gaussian of each class with the spread that all have in common."""
CHOICES: dict[str, tuple[float | str, ...]] = {"agrifm": (CLASS_MEANS, *INVERSE_PENALTIES)}
"""What else than the penalties alone is tried, in this order."""

Vectors = NDArray[np.float32]


def released_vectors(name: str, weights: Path, frames: int, table: SeriesTable) -> Callable[[SeriesTable], Vectors]:
    """Return a function from a table to the vectors (P, D) that a network with given weights makes of its places.

    Args:
        name: one of `PROBED`.
        weights: the released file; of AgriFM one that `agrifm pretrain` wrote, whose sensors alone are read.
        frames: equal steps of the season, for families that read them.
        table: some places with the sensors of all others.

    Raises:
        ModelError: the family is not one of `PROBED` or cannot read the sensors, or the file is refused
            (`agrifm.models.weights.released.read_released`).
    """
    if name not in PROBED:
        raise ModelError(
            f"probing {name}: no network with weights and one linear layer after it (known: {', '.join(PROBED)})",
            family=name,
        )
    kind = "observed" if name == "agrifm" else TRAINABLE[name].series[0]
    start = point_start(weights) if name == "agrifm" else None
    known = tuple(sensor.sensor for sensor in read_record(weights).sensors) if start else tuple(table.series)
    _require_one_of(known, table, weights)
    table = _with_sensors(table, known)
    config = ModelConfig(
        names=(name,), series=kind, frames=frames, weights=weights, encoder="tuned" if start else "frozen"
    )
    network, sensors = untrained_network(name, config, table_statistics(table), table, kind, start)
    width = _without_last_layer(network)
    classifier = Classifier(network, sensors, kind).eval()

    def vectors(places: SeriesTable) -> Vectors:
        if not len(places):
            return np.zeros((0, width), np.float32)
        samples = TableSamples(_with_sensors(places, known), kind, frames)
        return table_logits(classifier, sensors, samples).float().numpy()

    return vectors


def _without_last_layer(network: Any) -> int:
    """Replace the last layer by the identity; returns how many numbers it reads."""
    owner, name, numbers = (
        (network.decoder, "head", "in_channels")
        if isinstance(network, AgriFM)
        else (network, "classify", "in_features")
    )
    width: int = getattr(getattr(owner, name), numbers)
    setattr(owner, name, nn.Identity())
    return width


def _with_sensors(table: SeriesTable, names: Collection[str]) -> SeriesTable:
    return replace(table, series={name: series for name, series in table.series.items() if name in names})


def _require_one_of(sensors: Collection[str], table: SeriesTable, weights: Path) -> None:
    if not set(sensors) & set(table.series):
        raise ModelError(
            f"probing agrifm: the weights {weights} know {', '.join(sensors)}, and the table has "
            f"{', '.join(table.series)}; give a table with one of their sensors",
            sensors=tuple(sensors),
        )


def learn_probe(
    name: str, weights: Path, frames: int, training: SeriesTable, validation: SeriesTable, seed: int
) -> Fitted:
    """Fit a probe; its penalty, or class means, is what has the best macro F1 on the validation places.

    The probe that answers other places is then fitted on both tables; arguments and errors are of `released_vectors`.
    """
    vectors = released_vectors(name, weights, frames, training)
    rows, held = vectors(training), vectors(validation)
    choices = CHOICES.get(name, INVERSE_PENALTIES)
    chosen, answers = choices[0], None
    if len(validation):
        tried = {choice: _fit(rows, training.label, training.weight, choice, seed) for choice in choices}
        answered = {choice: probe(held, len(training.legend)) for choice, probe in tried.items()}
        chosen = max(answered, key=lambda choice: probabilities_macro_f1(answered[choice], validation.label))
        answers = answered[chosen]
    label = np.concatenate([training.label, validation.label])
    weight = None
    if training.weight is not None and validation.weight is not None:
        weight = np.concatenate([training.weight, validation.weight])
    probe = _fit(np.concatenate([rows, held]), label, weight, chosen, seed)
    return Fitted(lambda table: probe(vectors(table), len(table.legend)), answers, choice={"C": chosen})


def _fit(
    rows: Vectors, label: NDArray[np.uint8], weight: Vectors | None, choice: float | str, seed: int
) -> Callable[[Vectors, int], Probability]:
    """A function from vectors (P, D) and the number K of classes to probabilities (P, K)."""
    known, classes = np.unique(label, return_inverse=True)
    weights = np.ones(len(rows)) if weight is None else np.asarray(weight / weight.mean(), np.float64)
    if isinstance(choice, str):
        answer = class_means(rows, classes, weights)
    else:
        rows_of_classes = TrainingRows(rows, classes.astype(np.uint8), weights, np.arange(len(rows)))
        answer = fit_linear(rows_of_classes, choice, seed).probabilities

    def probabilities(vectors: Vectors, count: int) -> Probability:
        result = np.zeros((len(vectors), count), np.float32)
        result[:, known] = answer(vectors)
        return result

    return probabilities


def class_means(
    rows: Vectors, classes: NDArray[np.integer], weights: NDArray[np.float64]
) -> Callable[[Vectors], Probability]:
    """Return a function from vectors (P, D) to probabilities (P, K) by the nearest class mean; classes are as likely.

    Vectors are standardised. The spread is the pooled one within classes, or 1 if every class has one row.
    """
    middle, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    standard = (rows - middle) / scale
    of_class = np.eye(int(classes.max()) + 1)[classes] * weights[:, None]
    means = (of_class.T @ standard) / of_class.sum(axis=0)[:, None]
    free = len(rows) - len(means)
    spread = ((standard - means[classes]) ** 2).mean(axis=1).sum() / free if free else 1.0

    def probabilities(vectors: Vectors) -> Probability:
        distance = (((vectors - middle) / scale)[:, None] - means) ** 2
        logits = -distance.sum(axis=2) / (2 * max(spread, 1e-6))
        weight = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)

    return probabilities
