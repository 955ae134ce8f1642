"""`agrifm train`: from a cube and labels to models with records, all scored on the same unseen blocks."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from agrifm.classic.classic_model import ClassicModel, load_classic, save_classic, size_of
from agrifm.classic.classics import RECIPE, require_classic
from agrifm.classic.indices import notes_on_bands
from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, require_installed
from agrifm.files import translate_os_errors, write_geopackage, write_json
from agrifm.inference.predictor import TorchModel, TrainedModel, is_trained, load_model, load_record, uncalibrated
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
from agrifm.stac import write_model_item
from agrifm.train.calibrate import with_calibration
from agrifm.train.cube_classic import cube_record, fit_cube_classic
from agrifm.train.data import Data, label_counts, prepare, project_labels, require_step_memory
from agrifm.train.evaluate import score, summarise_scores
from agrifm.train.means import Directories, Trained, TrainedFile, ValidationPlaces, leaf_json, train_each
from agrifm.train.mixed import mix_table
from agrifm.train.predictions import labelled_probabilities, predict_labelled, predicted_classes
from agrifm.train.publish import RELIABILITY, SCORES, publish, require_inputs_apart
from agrifm.train.reference_pixels import write_cube_reference
from agrifm.train.reliability import Reliability, write_reliability
from agrifm.train.table_folds import training_places
from agrifm.work import Resumable, fingerprint

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
        cube = open_cube(project.cube)
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
        _write_training_data(data, staging / TRAINING_DATA)
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
        model, is_new = _train_network(data, config, name, *places, compute)
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
    digest = _fingerprint(
        record, data, [*map(_digest, (data.labels.place, data.split.block)), str(RECIPE), str(config.calibration)]
    )
    for place in (path, earlier):
        if is_trained(place, digest):
            model = load_classic(place)
            assert isinstance(model, ClassicModel), "forests of older versions have another fingerprint"
            _write_classic_item(path, model)
            return model, cache(partial(_classic_validation, data, config, model)), place == path
    label = np.where(data.training.label == UNLABELLED, data.validation.label, data.training.label)
    record = record.model_copy(update={"training": {**record.training, "fingerprint": digest}})
    model = fit_cube_classic(data, config, record, label)
    validation = cache(partial(_classic_validation, data, config, model))
    model = replace(model, record=_calibrated(data, config, model.record, validation))
    save_classic(path, model)
    _write_classic_item(path, model)
    return load_model(path), validation, True


def _write_classic_item(path: Path, model: ClassicModel) -> None:
    write_model_item(path, model.record, size_of(model.rows), path.parent / TRAINING_DATA)


def _train_network(
    data: Data, config: ModelConfig, name: str, path: Path, earlier: Path, compute: Compute
) -> tuple[TrainedModel, bool]:
    """A network of the family `name`, and whether it is new: see `_train_classic`."""
    from agrifm.models.classifier import Classifier
    from agrifm.models.family import FAMILIES
    from agrifm.models.weights.file import save_model
    from agrifm.train.fit import Hyperparameters, fit
    from agrifm.train.objectives import classification, cube_recipe

    recipe = cube_recipe(config)
    network, record = _initial(data, config, name, compute)
    record = record.model_copy(update={"name": path.stem})
    parameters = sum(parameter.numel() for parameter in network.parameters())
    # `weights` is left out, because the record has their digest, whatever their path.
    digest = _fingerprint(record, data, [leaf_json(config, "weights")])
    for place in (path, earlier):
        if is_trained(place, digest):
            write_model_item(path, load_record(place), parameters, path.parent / TRAINING_DATA)
            return load_model(place), place == path
    require_step_memory(name, network.config, data, config, compute.recompute)
    work = Resumable(path.with_name(f"{path.stem}.partial"), digest)
    if not work.begun:
        with translate_os_errors(f"training {path}"):
            work.begin()
    outcome = fit(
        Classifier(network, record.sensors, config.series),
        classification(data.labels.legend, label_counts(data), recipe, data.cube.season.days),
        record.sensors,
        data.training if data.mixed is None else data.mixed.training,
        data.validation if data.mixed is None else data.mixed.validation,
        Hyperparameters(
            config.steps, config.batch, config.learning_rate, config.seed, config.sensor_dropout, recipe.averaging
        ),
        work.scratch,
        compute,
        FAMILIES[name].first_channels(network.config),
        name,
    )
    training = {
        **record.training,
        "preset": config.preset,
        "fingerprint": digest,
        "steps": outcome.steps,
        "kept_round": outcome.kept_round,
        "validation_macro_f1": round(outcome.kept_score, 6),
    }
    record = record.model_copy(update={"training": training})
    timing = {"seconds": round(outcome.seconds, 1), "share_of_time_waiting_for_data": round(outcome.waiting_share, 4)}
    write_json(path.with_suffix(".timing.json"), timing)
    draft = work.scratch / path.name
    save_model(draft, network, record)
    record = _calibrated(data, config, record, partial(_network_validation, data, draft))
    save_model(path, network, record)  # last: once it exists, all of the model exists but what follows from it
    write_model_item(path, record, parameters, path.parent / TRAINING_DATA)
    work.remove()
    return load_model(path), True


def _initial(data: Data, config: ModelConfig, name: str, compute: Compute) -> tuple[Any, ModelRecord]:
    """The network of a family before training, and its record."""
    import torch

    from agrifm.models.agrifm.network import AgriFMConfig
    from agrifm.models.family import FAMILIES
    from agrifm.train.initialise import initial_network
    from agrifm.train.peers import initial_peer

    classes, days = len(data.labels.legend), data.cube.season.days
    family = FAMILIES[name]
    # released weights have one shape
    size = "base" if family.released is not None and config.weights is not None else config.preset
    architecture = family.preset(size, data.sensors, classes, config.frames, config.series, days)
    torch.manual_seed(config.seed)
    network: Any
    if isinstance(architecture, AgriFMConfig):
        network, start = initial_network(config.weights, architecture, data.sensors)
    else:
        place = data.cube.area.centroid
        frozen = config.encoder == "frozen"
        location = (round(place.y, 2), round(place.x, 2))
        network, start = initial_peer(family, architecture, config.weights, config.frames, frozen, location)
    record = cube_record(data, config, name, network.config.model_dump(mode="json"), "torch", "lightning")
    if family.statistics is not None:
        record = record.model_copy(update={"sensors": family.statistics(network.config, data.sensors)})
    unusual = {} if compute == DEFAULT_COMPUTE else {"computed": asdict(compute)}
    series = {} if data.mixed is None else {"series": data.mixed.about}
    training = {**record.training, **start, **unusual, **series}
    return network, record.model_copy(update={**_series(data, config, name), "training": training})


def _series(data: Data, config: ModelConfig, name: str) -> dict[str, Any]:
    """The part of a network's record on its series, and on sensors that may be absent."""
    others = tuple(sensor.sensor for sensor in data.sensors[1:])
    if config.sensor_dropout and not others:
        raise ConfigError(
            f"training {name}: `sensor_dropout` is {config.sensor_dropout:g}, but '{data.sensors[0].sensor}' is the "
            "only sensor; leave `sensor_dropout` out, or fetch another sensor",
            sensor=data.sensors[0].sensor,
        )
    return {"series": config.series, "absent_sensors": others if config.sensor_dropout else ()}


def _fingerprint(record: ModelRecord, data: Data, more: Sequence[str]) -> str:
    """The fingerprint of everything that decides a model; a stopped run continues only if it is unchanged."""
    content = [
        record.model_dump_json(),
        *more,
        str(data.cube.provenance.get("plan")),
        _digest(data.training.label),
        _digest(data.validation.label),
    ]
    return fingerprint(content)


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _write_training_data(data: Data, path: Path) -> None:
    """Write the parcels and points of the training and validation blocks, in longitude and latitude."""
    places = data.labels.places
    used = data.split.place_fold != FOLDS.index("test")
    frame = places.loc[used, ["code", "geometry"]].to_crs("EPSG:4326")
    frame["fold"] = [FOLDS[fold] for fold in data.split.place_fold[used]]
    if data.mixed is not None:
        frame = pandas.concat([frame, training_places(data.mixed.data)], ignore_index=True)
    write_geopackage(path, frame)
