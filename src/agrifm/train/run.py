"""`agrifm train`: from a cube and labels to models with records, all scored on the same unseen blocks."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classic_model import ClassicModel, size_of
from agrifm.classic.classics import RECIPE, require_classic
from agrifm.classic.indices import notes_on_bands
from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, require_installed
from agrifm.files import translate_os_errors, write_json
from agrifm.inference.predictor import TorchModel, TrainedModel, load_model, uncalibrated
from agrifm.legend import UNLABELLED
from agrifm.model_config import ModelConfig
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.outputs import begin_directory, unchanged, writing
from agrifm.record import (
    TRAINING_DATA,
    ModelRecord,
    is_classic,
    is_network,
    model_file,
    seed_names,
    with_parts,
)
from agrifm.samples.project_table import project_table
from agrifm.samples.split import FOLDS
from agrifm.train.calibrate import with_calibration
from agrifm.train.cube_classic import fit_cube_classic, kept_classic, stored_classic
from agrifm.train.cube_network import NetworkTask, array_digest, data_fingerprint, train_network, write_training_data
from agrifm.train.data import Data, cube_record, label_counts, prepare, project_labels
from agrifm.train.evaluate import score, summarise_scores
from agrifm.train.means import Directories, Trained, TrainedFile, ValidationPlaces, train_each
from agrifm.train.mixed import mix_table
from agrifm.train.predictions import labelled_probabilities, predict_labelled, predicted_classes
from agrifm.train.publish import RELIABILITY, SCORES, publish, require_inputs_apart
from agrifm.train.reference_pixels import write_cube_reference
from agrifm.train.reliability import Reliability, write_reliability

if TYPE_CHECKING:
    pass

Answers = Callable[[], NDArray[np.float32]]
"""Probabilities (N, classes) of the labelled validation pixels, before calibration."""


def train(project: Project, compute: Compute = DEFAULT_COMPUTE) -> dict[str, Any]:
    """Train the project's models and score them on unseen blocks; a stopped run continues.

    Everything is made next to `models` and takes its place together. Other files in `models` stay. A project of a
    series table has no cube: `agrifm.train.project.train_project` trains both kinds.

    Args:
        compute: how networks compute in training (docs/precision.md); they are scored in float32.

    Returns:
        The scores, as written to `models/scores.json`; under "kept" the models that were not trained again, because
        nothing that decides them has changed; and under "written" the names of files that are new or have changed.

    Raises:
        LabelError, CubeError, ModelError, OutputError: before anything is overwritten.
    """
    require_inputs_apart(project)
    with writing(project.models, "models"):
        cube = open_cube(project.source)
        labels = project_labels(project, cube)
        mix = None
        if project.labels.mixed:
            table = project_table(project, labels.legend)
            mix = partial(mix_table, table, config=project.model, share=project.labels.series_share)
        data = prepare(cube, labels, project.labels.block, project.model, mix)
        return train_models(data, project.training, project.models, compute)


def train_models(
    data: Data, config: ModelConfig, directory: Path, compute: Compute = DEFAULT_COMPUTE
) -> dict[str, Any]:
    """Train each of the named models into a directory and score them; arguments and result are those of `train`."""
    if all(is_classic(name) for name in config.names) and compute != DEFAULT_COMPUTE:
        raise ConfigError(f"training {', '.join(config.names)}: `compute` is for networks; leave it out")
    for name in with_parts(config.names):  # now, and not when the models before it have been trained
        if is_classic(name):
            require_classic(name)
        elif is_network(name):
            require_installed(f"training {name}", "deep", "torch", "lightning")
    with writing(directory, "models") as staging, unchanged(data.cube.path, "training") as require_unchanged:
        with translate_os_errors(f"writing the models {directory}"):
            begin_directory(staging)
        write_training_data(data, staging / TRAINING_DATA)
        write_cube_reference(data, config.seed, config.frames, config.side, staging)
        directories = Directories(staging, directory)
        train_one = partial(_train_one, data, directories, compute)
        trained = train_each(config, train_one, directories, data.unseen, _validation_places(data))
        scores = {
            name: {
                **score(predicted, data.unseen, data.labels.legend),
                "training": trained.records[name].training,
                "reliability": trained.reliability[name],
            }
            for name, predicted in trained.predictions.items()
        }
        if data.mixed is not None and data.mixed.about["places"]["test"]:
            from agrifm.train.table_network import score_on_table

            for name in filter(is_network, scores):
                files = [directories.find(f"{stem}.safetensors") for stem in seed_names(name, config.seeds)]
                scores[name]["series"] = score_on_table(files, trained.records[name], data.mixed.data)
        result = _compared(data, scores, trained.predictions)
        write_reliability(staging / RELIABILITY, scores)
        require_unchanged()
        write_json(staging / SCORES, result)
        with translate_os_errors(f"writing the models {directory}"):
            written = publish(staging, directory, config.names, config.seeds)
    return {**result, "kept": trained.kept, "written": written}


def _compared(data: Data, scores: dict[str, Any], predictions: dict[str, NDArray[np.uint8]]) -> dict[str, Any]:
    """The content of `scores.json`."""
    labels = dict(zip(FOLDS, (data.training.label, data.validation.label, data.unseen.label), strict=True))
    legend, notes = data.labels.legend, [*data.labels.notes, *(data.mixed.notes if data.mixed else ())]
    return summarise_scores(
        legend, data.unseen, labels, data.split.blocks, [*notes, *notes_on_bands(data.sensors)], scores, predictions
    )


def _train_one(
    data: Data,
    directories: Directories,
    compute: Compute,
    name: str,
    config: ModelConfig,
    stem: str,
    answers: Path | None,
) -> Trained:
    """A model by itself, with what it answers; its probabilities are kept in the file `answers`."""
    file = f"{stem}{model_file(Path(), name).suffix}"
    places = (directories.staging / file, directories.models / file)
    if is_classic(name):
        model, validation, is_new = _train_classic(data, config, name, *places)
    else:
        model, is_new = _train_network(data, config, name, places, compute)
        validation = cache(partial(_network_validation, data, directories.find(file)))
    tiles, unseen, test = data.tiles_of(model.record.series), data.unseen.label, None
    counted = Reliability(model.record.calibration, data.unseen, len(model.record.legend), model.record.candidates)
    if answers is None:
        predicted = predict_labelled(uncalibrated(model), tiles, unseen, counted)
    else:
        test = labelled_probabilities(uncalibrated(model), tiles, unseen, answers)
        predicted = predicted_classes(test, unseen, counted)
    members, about = (TrainedFile(file, model.record, 1.0),), counted.describe(model.record.legend)
    return Trained(model.record, members, _parameters(model), is_new, predicted, test, validation, about)


def _parameters(model: TrainedModel) -> int:
    if isinstance(model, ClassicModel):
        return size_of(model.rows)
    assert isinstance(model, TorchModel), "nothing else is trained"
    return sum(parameter.numel() for parameter in model.classifier.parameters())


def _validation_places(data: Data) -> ValidationPlaces:
    """The validation pixels; a place is a parcel, or other land of a block."""
    labelled = data.validation.label != UNLABELLED
    place, block = (array[labelled].astype(np.int64) for array in (data.labels.place, data.split.block))
    return ValidationPlaces(data.validation.label[labelled], np.where(place >= 0, place, -1 - block), block)


def _network_validation(data: Data, path: Path) -> NDArray[np.float32]:
    model = uncalibrated(load_model(path))
    return labelled_probabilities(model, data.tiles_of(model.record.series), data.validation.label)


def _classic_validation(data: Data, config: ModelConfig, model: ClassicModel) -> NDArray[np.float32]:
    """The validation pixels as a classic model answers them that is like another, but was trained without them."""
    record = cube_record(data, config, model.record.family, {})
    model = fit_cube_classic(data, config, record, data.training.label, model.rows.member_names)
    return labelled_probabilities(model, data.tiles, data.validation.label)


def _calibrated(data: Data, config: ModelConfig, record: ModelRecord, answers: Answers) -> ModelRecord:
    """A record with the calibration that fits the answers on the validation pixels."""
    places = _validation_places(data)
    return with_calibration(record, answers, places.label, places.block) if config.calibration else record


def _train_classic(
    data: Data, config: ModelConfig, name: str, path: Path, earlier: Path
) -> tuple[TrainedModel, Answers, bool]:
    """A classic model of the training and validation blocks, chosen on inner blocks of them.

    Returns:
        The model, its answers on the validation pixels, and whether it is new: one of the same fingerprint, in either
        place, is not trained again.
    """
    record = cube_record(data, config, name, {}, "scikit-learn", "skops", "lightgbm")
    digest = data_fingerprint(
        record, data, [*map(array_digest, (data.labels.place, data.split.block)), str(RECIPE), str(config.calibration)]
    )
    if (kept := kept_classic((path, earlier), digest)) is not None:
        model, is_new = kept
        return model, cache(partial(_classic_validation, data, config, model)), is_new
    label = np.where(data.training.label == UNLABELLED, data.validation.label, data.training.label)
    record = record.model_copy(update={"training": {**record.training, "fingerprint": digest}})
    model = fit_cube_classic(data, config, record, label)
    validation = cache(partial(_classic_validation, data, config, model))
    model = replace(model, record=_calibrated(data, config, model.record, validation))
    return stored_classic(path, model), validation, True


def _train_network(
    data: Data, config: ModelConfig, name: str, places: tuple[Path, Path], compute: Compute
) -> tuple[TrainedModel, bool]:
    """A network of the family `name`, and whether it is new: see `_train_classic`."""
    from agrifm.train.initialise import initial_network
    from agrifm.train.objectives import classification, cube_recipe

    def finish(record: ModelRecord, draft: Path) -> ModelRecord:
        return _calibrated(data, config, record, partial(_network_validation, data, draft))

    recipe = cube_recipe(config)
    task = NetworkTask(
        classification(data.labels.legend, label_counts(data), recipe, data.cube.season.days),
        len(data.labels.legend),
        lambda architecture: initial_network(config.weights, architecture, data.sensors),
        finish,
    )
    return train_network(data, config, name, places, compute, task)
