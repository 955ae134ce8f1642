"""Learners of a few lines that stand in for the slow ones in tests of comparisons."""

from functools import partial
from pathlib import Path

import numpy as np

from agrifm.errors import LabelError
from agrifm.samples.table import SeriesTable
from agrifm.train.combination import Combination, Fitted, Learner, best_weights, equal_weights


def rows(table: SeriesTable) -> np.ndarray:
    """(places, dates x bands)."""
    (series,) = table.series.values()
    return series.values.reshape(len(table), series.values.shape[1] * series.values.shape[2])


def nearest_mean(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """The class of the nearest mean series; probabilities fall with the squared distance."""
    classes = len(training.legend)
    known = np.unique(training.label)
    means = np.stack([rows(training)[training.label == number].mean(axis=0) for number in known])

    def probabilities(table: SeriesTable) -> np.ndarray:
        near = np.exp(-((rows(table)[:, None] - means) ** 2).sum(axis=2))
        result = np.zeros((len(table), classes), np.float32)
        result[:, known] = near / near.sum(axis=1, keepdims=True)
        return result

    return Fitted(probabilities, probabilities(validation), means.size, {"labels": len(training)})


def always_first(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """The first class, with certainty."""

    def probabilities(table: SeriesTable) -> np.ndarray:
        result = np.zeros((len(table), len(training.legend)), np.float32)
        result[:, 0] = 1
        return result

    return Fitted(probabilities, probabilities(validation), 0)


def by_chance(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """Random probabilities that follow from the seed."""

    def probabilities(table: SeriesTable) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return generator.dirichlet(np.ones(len(training.legend)), len(table)).astype(np.float32)

    return Fitted(probabilities, probabilities(validation))


def peeking(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """The labels of whatever table it receives, if it has any."""

    def probabilities(table: SeriesTable) -> np.ndarray:
        result = np.full((len(table), len(training.legend)), 0.1, np.float32)
        seen = np.flatnonzero(table.label < len(training.legend))
        result[seen, table.label[seen]] = 1
        return result

    return Fitted(probabilities)


def refusing(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """Refuse to be trained."""
    raise LabelError("training the stand-in: it never trains", kind="refusing")


STAND_INS: dict[str, Learner] = {
    "classic": nearest_mean,
    "first": always_first,
    "chance": by_chance,
    "peeking": peeking,
    "refusing": refusing,
}


MIXED = {
    "mean": Combination(("classic", "chance"), partial(equal_weights, ("classic", "chance"))),
    "nested": Combination(("mean", "first"), partial(best_weights, ("mean", "first"))),
}


def kill_after(directory: Path, count: int) -> None:
    """End this process by SIGKILL when a comparison has written that many cells (for a thread)."""
    import os
    import signal
    import time

    while len(list((directory / "cells").glob("*.npz"))) < count:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
