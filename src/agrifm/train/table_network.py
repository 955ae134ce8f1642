"""A network trained on a series table: the one training loop, on samples of one pixel.

Shape letters: P places.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from agrifm.calibration import calibrated
from agrifm.errors import LabelError
from agrifm.inference.batching import place_logits
from agrifm.model_config import ModelConfig
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig
from agrifm.models.agrifm.point_network import point_config
from agrifm.models.classifier import Classifier
from agrifm.models.family import FAMILIES, family_of
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.models.weights.file import load_network
from agrifm.recipe import TABLE_RECIPE, Recipe
from agrifm.record import TRAINABLE, ModelRecord, SensorRecord, SeriesKind
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_samples import PLACES_PER_WINDOW, TableSamples
from agrifm.train.evaluate import score
from agrifm.train.fit import Hyperparameters, Outcome, fit
from agrifm.train.objectives import Classification, classification
from agrifm.train.peers import initial_peer
from agrifm.train.table_folds import TableData, labelled_places, predict_unseen, table_statistics

PointStart = Callable[[AgriFMConfig, tuple[SensorRecord, ...]], tuple[AgriFM, tuple[SensorRecord, ...]]]


@dataclass(frozen=True)
class TableNetwork:
    """A network of single pixels, and how its training went."""

    classifier: Classifier
    sensors: tuple[SensorRecord, ...]
    """What it expects, with the statistics of the training places."""
    outcome: Outcome
    kind: SeriesKind = "observed"
    """The series that it reads."""
    frames: int = 24
    """Steps of series that are not observed ones."""
    may_lack: tuple[str, ...] = ()
    """Sensors that a table may lack."""

    def probabilities(self, table: SeriesTable) -> NDArray[np.float32]:
        """Return class probabilities (P, classes), before calibration, of a table with the same sensors and bands."""
        classifier = self.classifier.eval()
        if not len(table):
            config: Any = classifier.network.config
            return np.zeros((0, config.classes), np.float32)
        logits = table_logits(classifier, self.sensors, TableSamples(table, self.kind, self.frames), self.may_lack)
        result: NDArray[np.float32] = torch.softmax(logits.float(), dim=1).cpu().numpy()
        return result


def table_logits(
    classifier: Classifier, sensors: Sequence[SensorRecord], samples: TableSamples, may_lack: Collection[str] = ()
) -> torch.Tensor:
    """Return the logits (P, classes) of all samples of a table, of which there is at least one."""
    with torch.inference_mode():
        return place_logits(classifier, [samples[index] for index in range(len(samples))], sensors, may_lack)


def fit_network_on_table(
    training: SeriesTable,
    validation: SeriesTable,
    config: ModelConfig,
    seed: int,
    work: Path | None = None,
    compute: Compute = DEFAULT_COMPUTE,
    family: str = "agrifm",
    start: PointStart | None = None,
) -> TableNetwork:
    """Train a network on the labelled places of a table; the round that is best on the validation places is kept.

    Without validation places the training places decide, so the last round is usually kept.

    Args:
        config: `frames`, `steps`, `batch` (windows; `PLACES_PER_WINDOW` places for each), `learning_rate`,
            `sensor_dropout` and `recipe` are used; by other families than AgriFM also `preset`, `weights` and
            `encoder`, and `series` if the family is in `names`.
        seed: of weights, order and hidden dates; it replaces that of `config`.
        work: directory for checkpoints, from which a stopped run continues; None = a temporary one.
        family: of the network. AgriFM reads observed series, with gaps and, without a `recipe`, more of them hidden at
            random; others read the first kind of series of their family (`agrifm.record.TRAINABLE`), at `frames` steps.
        start: makes AgriFM before training (`agrifm.train.initialise.point_start`); None = random weights.

    Raises:
        LabelError: no training place has a label, or a sensor has no valid observation.
        ModelError: the family is unknown, or cannot read the sensors of the table.
    """
    training, validation = (labelled_places(table) for table in (training, validation))
    if not len(training):
        raise LabelError(
            f"training {family} on a table: no training place has a label and an observation; use smaller blocks "
            "(`block`), or label more places",
            fold="training",
        )
    if not len(validation):  # too few labels to choose with: training goes to the end of its schedule
        validation = training
    torch.manual_seed(seed)
    kind = _kind_of(family, config)
    recipe = _recipe_of(family, config, kind)
    network, sensors = untrained_network(family, config, table_statistics(training), training, kind, start)
    classifier = Classifier(network, sensors, kind)
    places = min(config.batch * PLACES_PER_WINDOW, len(training))  # a batch has no place twice
    parameters = Hyperparameters(
        config.steps, places, config.learning_rate, seed, config.sensor_dropout, recipe.averaging
    )
    with TemporaryDirectory() as scratch:
        outcome = fit(
            classifier,
            _objective(training, recipe),
            sensors,
            TableSamples(training, kind, config.frames),
            TableSamples(validation, kind, config.frames),
            parameters,
            work or Path(scratch),
            compute,
            FAMILIES[family].first_channels(network.config),
            family,
        )
    return TableNetwork(classifier.eval(), sensors, outcome, kind, config.frames)


def _kind_of(family: str, config: ModelConfig) -> SeriesKind:
    """The series that a family reads from a table."""
    if family == "agrifm":
        return "observed"
    family_of(family, "training on a table")
    return config.series if family in config.names else TRAINABLE[family].series[0]


def _recipe_of(family: str, config: ModelConfig, kind: SeriesKind) -> Recipe:
    """The recipe of the project, or else the usual one of the family."""
    if config.recipe is not None:
        return config.recipe.without_dates if kind == "interpolated" else config.recipe
    return TABLE_RECIPE if family == "agrifm" else Recipe()


def untrained_network(
    name: str,
    config: ModelConfig,
    sensors: tuple[SensorRecord, ...],
    table: SeriesTable,
    kind: SeriesKind,
    start: PointStart | None = None,
) -> tuple[Any, tuple[SensorRecord, ...]]:
    """Return a network of a family before training, and the sensors with the statistics that it expects.

    Args:
        name: of the family.
        config: its `frames`, `preset`, `weights` and `encoder` are used.
        sensors: with the statistics of the training.
        table: of the training places.
        kind: the series that it will read.
        start: of AgriFM; see `fit_network_on_table`.

    Raises:
        ModelError: the family cannot read the sensors, or its weights are refused.
    """
    classes, days = len(table.legend), table.season_days
    if name == "agrifm":
        of_points = point_config(sensors, classes, config.frames, days)
        return (AgriFM(of_points), sensors) if start is None else start(of_points, sensors)
    family = FAMILIES[name]
    # released weights have one shape
    size = "base" if family.released is not None and config.weights is not None else config.preset
    architecture = family.preset(size, sensors, classes, config.frames, kind, days)
    known = np.isfinite(table.lat) & np.isfinite(table.lon)
    place = (float(table.lat[known].mean()), float(table.lon[known].mean())) if known.any() else None
    network, _ = initial_peer(family, architecture, config.weights, config.frames, config.encoder == "frozen", place)
    if family.statistics is not None:
        sensors = family.statistics(network.config, sensors)
    return network, sensors


def _objective(training: SeriesTable, recipe: Recipe) -> Classification:
    weight = None if training.weight is None else training.weight / training.weight.mean()
    counts = np.bincount(training.label, weight, minlength=len(training.legend))
    return classification(training.legend, counts, recipe, training.season_days)


def network_on_table(network: nn.Module, record: ModelRecord) -> TableNetwork:
    """Return a stored network as it was after training; how its training went is not known."""
    classifier = Classifier(network, record.sensors, record.series).eval()
    outcome = Outcome(0, -1, float("nan"), 0.0, 0.0)
    return TableNetwork(classifier, record.sensors, outcome, record.series, record.frames, record.absent_sensors)


def score_on_table(files: Sequence[Path], record: ModelRecord, table: TableData) -> dict[str, Any]:
    """Return the scores of the mean of networks on the test places of a series table.

    Args:
        files: of the networks.
        record: of the mean, or of the only network; its calibration is used.
    """
    networks = [network_on_table(*load_network(file)) for file in files]

    def probabilities(places: SeriesTable) -> NDArray[np.float32]:
        mean = np.mean([network.probabilities(places) for network in networks], axis=0)
        return np.asarray(calibrated(record.calibration, mean, axis=1), np.float32)

    predicted = predict_unseen(probabilities, table)
    return {**score(predicted, table.unseen, table.table.legend), "blocks": table.blocks["test"]}
