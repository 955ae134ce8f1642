"""Trained models by name: each alone, the mean of networks of several seeds, and means of different models.

Shape letters: N labelled pixels or places of the test or validation, P places.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.inference.mean import mean_record, mean_where_known, read_mean, write_mean
from agrifm.inference.predictor import is_trained
from agrifm.model_config import ModelConfig
from agrifm.record import TRAINABLE, TRAINING_DATA, ModelRecord, model_file, seed_names, with_parts
from agrifm.samples.split import HeldOutBlocks
from agrifm.scores import probabilities_macro_f1
from agrifm.train.calibrate import with_calibration
from agrifm.train.combination import CLEARLY, COMBINATIONS, RESAMPLES, Labels, Probability, weighted_mean
from agrifm.train.predictions import mean_labelled, unknown_probabilities
from agrifm.train.reliability import Reliability
from agrifm.work import fingerprint


@dataclass(frozen=True)
class TrainedFile:
    """A model of one file."""

    file: str
    """Its name."""
    record: ModelRecord
    weight: float
    """In the mean; 1 of a model by itself."""


@dataclass(frozen=True)
class Trained:
    """A model of one name, and what it answers."""

    record: ModelRecord
    members: tuple[TrainedFile, ...]
    parameters: int
    is_new: bool
    """False if it was there already, and nothing that decides it has changed."""
    predicted: NDArray[np.uint8]
    """(H, W), classes of the labelled test pixels or places; 255 elsewhere and without an observation."""
    test: Probability | None
    """(N, classes) of the labelled test pixels, row by row, or of the test places, before calibration,
    in a file; NaN without an observation. None unless a mean needs them."""
    validation: Callable[[], Probability]
    """The same of the validation, by a model that was not trained on it."""
    reliability: dict[str, Any] = field(default_factory=dict)
    """From `agrifm.train.reliability.Reliability.describe`."""


class TrainedModels(NamedTuple):
    """The models of a configuration, by name."""

    records: dict[str, ModelRecord]
    predictions: dict[str, NDArray[np.uint8]]
    """(H, W), classes of the labelled test pixels, 255 elsewhere."""
    reliability: dict[str, dict[str, Any]]
    """From `agrifm.train.reliability.Reliability.describe`."""
    kept: list[str]
    """Names of models that were there already."""


@dataclass(frozen=True)
class ValidationPlaces:
    """What the validation pixels or places are."""

    label: Labels
    """(N,)."""
    place: NDArray[np.int64]
    """(N,), alike for the pixels of a parcel."""
    block: NDArray[np.int64]
    """(N,)."""


@dataclass(frozen=True)
class Directories:
    """Where models are written, and where those of an earlier training are."""

    staging: Path
    models: Path

    def find(self, name: str) -> Path:
        """Return the path of a file in the first of the two that has it."""
        path = self.staging / name
        return path if path.exists() else self.models / name

    def answers(self, stem: str) -> Path:
        """Return the path of the probabilities of the test by a model; it is not published."""
        return self.staging / f"{stem}.probabilities"


Train = Callable[[str, ModelConfig, str, Path | None], Trained]
"""Trains a model by itself: (family, configuration of one seed, name of its file without suffix, file for its
probabilities of the test, None = not needed)."""


def train_each(
    config: ModelConfig, train: Train, directories: Directories, unseen: HeldOutBlocks, validation: ValidationPlaces
) -> TrainedModels:
    """Train the models of `names`, and before them the parts of means, and write the files of means."""
    names = with_parts(config.names)
    in_means = {part for name in names for part in TRAINABLE[name].parts}
    trained: dict[str, Trained] = {}
    result = TrainedModels({}, {}, {}, [])
    for name in names:
        stems = seed_names(name, config.seeds)
        file = directories.answers(name) if name in in_means else None
        if TRAINABLE[name].parts:
            parts = {part: trained[part] for part in TRAINABLE[name].parts}
            one = _mean_of_parts(name, parts, config, directories, validation, unseen)
        elif len(stems) == 1:
            one = train(name, _of_seed(config, 0), name, file)
        else:
            networks = [
                train(name, _of_seed(config, number), stem, directories.answers(stem))
                for number, stem in enumerate(stems)
            ]
            content = {"seeds": [config.seed + number for number in range(len(stems))]}
            equal = [(network, 1 / len(stems)) for network in networks]
            one = _mean(name, equal, _digest(name, networks), content, directories, unseen, validation, config, file)
        result.records[name], result.predictions[name] = one.record, one.predicted
        result.reliability[name] = one.reliability
        result.kept.extend([] if one.is_new else [name])
        trained[name] = one
    return result


def _of_seed(config: ModelConfig, number: int) -> ModelConfig:
    """The configuration of one of the networks; the means in `names` and the number of seeds do not decide it."""
    names = tuple(name for name in with_parts(config.names) if not TRAINABLE[name].parts)
    return config.model_copy(update={"names": names, "seed": config.seed + number, "seeds": 1})


def _digest(name: str, parts: Sequence[Trained], *more: object) -> str:
    return fingerprint([name, [part.record.training["fingerprint"] for part in parts], *more])


def _mean_of_parts(
    name: str,
    parts: Mapping[str, Trained],
    config: ModelConfig,
    directories: Directories,
    validation: ValidationPlaces,
    unseen: HeldOutBlocks,
) -> Trained:
    """A mean of models of different kinds, with the weights of its combination."""
    combination = COMBINATIONS[name]
    digest = _digest(name, list(parts.values()), *((CLEARLY, RESAMPLES) if combination.choosing else ()))
    file = model_file(Path(), name).name
    content: dict[str, Any]
    earlier = next((path for path in _both(directories, file) if is_trained(path, digest)), None)
    if earlier is not None:
        training = read_mean(earlier).record.training
        weights, content = (
            training["weights"],
            {key: one for key, one in training.items() if key in ("weights", "tried")},
        )
    elif combination.choosing:
        answers, label = _of_places({part: one.validation() for part, one in parts.items()}, validation)
        weights = combination.weights(answers, label)
        content = {"weights": weights, **({"tried": _tried(answers, label, weights)} if answers else {})}
    else:
        weights = combination.weights({}, validation.label)
        content = {"weights": weights}
    weighted = [(parts[part], weight) for part, weight in weights.items() if weight]
    return _mean(name, weighted, digest, content, directories, unseen, validation, config)


def _both(directories: Directories, file: str) -> tuple[Path, Path]:
    return directories.staging / file, directories.models / file


def _mean(
    name: str,
    parts: Sequence[tuple[Trained, float]],
    digest: str,
    content: Mapping[str, Any],
    directories: Directories,
    unseen: HeldOutBlocks,
    places: ValidationPlaces,
    config: ModelConfig,
    file: Path | None = None,
) -> Trained:
    """Average models and write the file that says so; parts that are means give their members.

    Args:
        content: of the record, how the members and weights were chosen.
        unseen: labels of the test.
        places: of the validation.
        file: for the probabilities of the test, None = not needed.
    """
    members = tuple(
        TrainedFile(member.file, member.record, weight * member.weight)
        for part, weight in parts
        for member in part.members
    )
    kept = ("seed", "places", "blocks")
    common = {key: value for key, value in members[0].record.training.items() if key in kept}
    training = {**common, **content, "fingerprint": digest}
    record = mean_record(name, name, [member.record for member in members], training)
    path, earlier = _both(directories, model_file(Path(), name, config.seeds).name)
    is_new = not is_trained(earlier, digest)
    weights = [weight for _, weight in parts]

    def validation() -> Probability:
        return mean_where_known([part.validation() for part, _ in parts], weights)

    found = next((file for file in (path, earlier) if is_trained(file, digest)), None)
    if found is not None:
        stated = read_mean(found).record
        record = record.model_copy(update={"calibration": stated.calibration, "candidates": stated.candidates})
    elif config.calibration:
        record = with_calibration(record, validation, places.label, places.block)
    parameters = sum(part.parameters for part, _ in parts)
    files = [(directories.find(member.file), member.weight) for member in members]
    write_mean(path, record, files, parameters, path.parent / TRAINING_DATA)
    answers = [part.test for part, _ in parts if part.test is not None]
    assert len(answers) == len(parts), "parts of means have a file"
    kept_mean = None if file is None else unknown_probabilities(len(answers[0]), answers[0].shape[1], file)
    counted = Reliability(record.calibration, unseen, len(record.legend), record.candidates)
    predicted, test = mean_labelled(answers, weights, unseen.label, kept_mean, counted)
    about = counted.describe(record.legend)
    return Trained(record, members, parameters, is_new, predicted, test, validation, about)


def _of_places(
    answers: Mapping[str, Probability], validation: ValidationPlaces
) -> tuple[dict[str, Probability], Labels]:
    """The mean probabilities (P, classes) of the places that every part knows, and their labels (P,)."""
    known = ~np.any([np.isnan(one[:, 0]) for one in answers.values()], axis=0)
    _, first, place = np.unique(validation.place[known], return_index=True, return_inverse=True)
    if not len(first):
        return {}, validation.label[:0]
    result = {}
    for part, one in answers.items():
        total = np.zeros((len(first), one.shape[1]))
        np.add.at(total, place, one[known])
        result[part] = (total / np.bincount(place)[:, None]).astype(np.float32)
    return result, validation.label[known][first]


def _tried(answers: Mapping[str, Probability], label: Labels, weights: Mapping[str, float]) -> list[dict[str, Any]]:
    """Macro F1 on the validation places of each part and of the mean of all, as JSON."""
    every = {**answers, "mean": weighted_mean(answers, dict.fromkeys(answers, 1 / len(answers)))}
    tried = []
    for name, one in every.items():
        models = list(answers) if name == "mean" else [name]
        score = probabilities_macro_f1(one, label)
        used = [part for part, weight in weights.items() if weight]
        tried.append({"models": models, "inner_macro_f1": round(score, 4), "chosen": used == models})
    return tried
