"""Learners: everything that a comparison can train on a series table, by name and under one contract."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.samples.table import SeriesTable

Probabilities = Callable[[SeriesTable], NDArray[np.float32]]
"""From a table to class probabilities (P, classes)."""


@dataclass(frozen=True)
class Fitted:
    """A trained model of series tables."""

    probabilities: Probabilities
    parameters: int | None = None
    """Numbers that training set, such as weights or nodes of trees; None = unknown."""
    choice: dict[str, Any] = field(default_factory=dict)
    """What was chosen on the validation places, as JSON."""


Learner = Callable[[SeriesTable, SeriesTable, int], Fitted]
"""Trains a model: (training table, validation table, seed). Both tables are labelled. What is chosen is chosen on the
validation table, which is empty where there are too few labels to choose with."""
