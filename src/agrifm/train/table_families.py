"""Networks of any family trained on a series table: the one training loop, on samples of one pixel.

A network of windows, such as U-TAE, sees windows of one pixel here, so it is judged by its time alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from agrifm.config import ModelConfig
from agrifm.errors import LabelError
from agrifm.inference.batching import predict_logits
from agrifm.models.classifier import Classifier
from agrifm.models.family import FAMILIES
from agrifm.record import TRAINABLE
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_samples import TableSamples
from agrifm.train.fit import Hyperparameters, Outcome, fit
from agrifm.train.objectives import Classification
from agrifm.train.table_folds import labelled_places, table_statistics
from agrifm.train.table_network import PLACES_AT_ONCE, PLACES_PER_WINDOW


@dataclass(frozen=True)
class FamilyNetwork:
    """A trained network of a family."""

    probabilities: Callable[[SeriesTable], NDArray[np.float32]]
    """From a table of the same sensors to class probabilities (P, classes)."""
    parameters: int
    outcome: Outcome


def fit_family_on_table(
    name: str, training: SeriesTable, validation: SeriesTable, config: ModelConfig, seed: int
) -> FamilyNetwork:
    """Train a network of the family `name` on a table; the round that is best on the validation places is kept.

    It reads the kind of series that its family reads first (`agrifm.record.TRAINABLE`).

    Args:
        validation: without places the training places decide, so the last round is usually kept.
        config: `preset`, `frames`, `steps`, `batch` and `learning_rate` are used.

    Raises:
        LabelError: no training place has a label and an observation.
        ModelError: the family cannot read the sensors of the table.
    """
    training, validation = (labelled_places(table) for table in (training, validation))
    if not len(training):
        raise LabelError(
            f"training {name} on a table: no training place has a label and an observation; label more places",
            fold="training",
        )
    family, kind, frames = FAMILIES[name], TRAINABLE[name].series[0], config.frames
    sensors, classes = table_statistics(training), len(training.legend)
    torch.manual_seed(seed)
    architecture = family.preset(config.preset, sensors, classes, frames, kind, training.season_days)
    network = family.network(architecture)
    classifier = Classifier(network, sensors, kind)
    places = config.batch * PLACES_PER_WINDOW
    with TemporaryDirectory() as scratch:
        outcome = fit(
            classifier,
            Classification(np.array([entry.scored for entry in training.legend.classes])),
            sensors,
            TableSamples(training, kind, frames),
            TableSamples(validation if len(validation) else training, kind, frames),
            Hyperparameters(config.steps, places, config.learning_rate, seed),
            Path(scratch),
            channels=family.first_channels(architecture),
            name=name,
        )
    classifier.eval()

    def probabilities(table: SeriesTable) -> NDArray[np.float32]:
        if not len(table):
            return np.zeros((0, classes), np.float32)
        samples = TableSamples(table, kind, frames)
        with torch.inference_mode():
            logits = predict_logits(
                classifier, [samples[index] for index in range(len(samples))], sensors, (), PLACES_AT_ONCE
            )
            softmax = torch.softmax(torch.stack(logits)[:, :, 0, 0].float(), dim=1)
        return np.asarray(softmax.cpu().numpy(), np.float32)

    return FamilyNetwork(probabilities, sum(parameter.numel() for parameter in network.parameters()), outcome)
