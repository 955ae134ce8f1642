"""`agrifm train` from a series table alone: models of single pixels, scored on unseen blocks.

Shape letters: P places.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classic_model import (
    ClassicModel,
    load_classic,
    save_classic,
    size_of,
)
from agrifm.classic.classics import RECIPE, require_classic
from agrifm.classic.indices import notes_on_bands
from agrifm.classic.place_probabilities import place_probabilities
from agrifm.errors import ConfigError, require_installed
from agrifm.files import content_digest, translate_os_errors, write_geopackage, write_json
from agrifm.inference.predictor import is_trained
from agrifm.legend import UNLABELLED
from agrifm.model_config import ModelConfig, leaf_json
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.outputs import begin_directory, writing
from agrifm.record import (
    TRAINABLE,
    TRAINING_DATA,
    ModelRecord,
    is_classic,
    is_network,
    model_file,
    with_parts,
)
from agrifm.samples.split import FOLDS
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_store import table_digest
from agrifm.season import Season
from agrifm.stac import write_model_item
from agrifm.train.calibrate import with_calibration
from agrifm.train.cross_fitting import cross_fitted
from agrifm.train.evaluate import score, summarise_scores
from agrifm.train.means import Directories, Trained, TrainedFile, ValidationPlaces, train_each
from agrifm.train.predictions import predicted_classes
from agrifm.train.publish import RELIABILITY, SCORES, publish
from agrifm.train.reference_pixels import write_table_reference
from agrifm.train.reliability import Reliability, write_reliability
from agrifm.train.table_classic import fit_table_classic, table_classic_record, table_record
from agrifm.train.table_folds import (
    Probabilities,
    TableData,
    divide_table,
    observed_places,
    training_places,
)
from agrifm.work import Resumable, fingerprint

if TYPE_CHECKING:
    from agrifm.train.table_network import TableNetwork

ON_TABLES = tuple(name for name in TRAINABLE if name != "prithvi")
"""Families that are trained on series tables; Prithvi reads patches."""


def train_on_table(
    table: SeriesTable, config: ModelConfig, season: Season, directory: Path, compute: Compute = DEFAULT_COMPUTE
) -> dict[str, Any]:
    """Train the named models on a series table and score them on unseen blocks; a stopped run continues.

    The result is that of `agrifm.train.run.train`.

    Args:
        season: of the record; the seasons of places are in the table.
        directory: of the models.

    Raises:
        LabelError, ConfigError, ModelError, OutputError: before anything is overwritten.
    """
    _require_possible(config, with_parts(config.names))
    data = divide_table(table, config.seed)
    with writing(directory, "models") as staging:
        with translate_os_errors(f"writing the models {directory}"):
            begin_directory(staging)
        write_geopackage(staging / TRAINING_DATA, training_places(data))
        trained_on = data.table.of(np.flatnonzero(np.isin(data.fold, (0, 1))))
        write_table_reference(trained_on, config.seed, config.frames, staging)
        directories = Directories(staging, directory)
        train_one = partial(_train_one, data, season, directories, compute)
        validation = data.part("validation")
        places = ValidationPlaces(validation.label, np.arange(len(validation)), validation.block.astype(np.int64))
        trained = train_each(config, train_one, directories, data.unseen, places)
        scores = {
            name: {
                **score(predicted, data.unseen, data.table.legend),
                "training": trained.records[name].training,
                "reliability": trained.reliability[name],
            }
            for name, predicted in trained.predictions.items()
        }
        labels = {
            fold: np.where(data.fold == number, data.table.label, np.uint8(UNLABELLED))
            for number, fold in enumerate(FOLDS)
        }
        result = summarise_scores(
            data.table.legend,
            data.unseen,
            labels,
            data.blocks,
            [*data.table.notes, *notes_on_bands(data.table.sensors)],
            scores,
            trained.predictions,
        )
        write_reliability(staging / RELIABILITY, scores)
        write_json(staging / SCORES, result)
        with translate_os_errors(f"writing the models {directory}"):
            written = publish(staging, directory, config.names, config.seeds)
    return {**result, "kept": trained.kept, "written": written}


def _answers(probabilities: Probabilities, table: SeriesTable) -> NDArray[np.float32]:
    """Class probabilities (P, classes) of the places; NaN without any observation."""
    result = np.full((len(table), len(table.legend)), np.nan, np.float32)
    observed = observed_places(table)
    if observed.any():
        result[observed] = probabilities(table.of(np.flatnonzero(observed)))
    return result


def _train_one(
    data: TableData,
    season: Season,
    directories: Directories,
    compute: Compute,
    name: str,
    config: ModelConfig,
    stem: str,
    file: Path | None,
) -> Trained:
    """A model by itself, with what it answers; its probabilities are kept where there is a file for them."""
    stored = f"{stem}{model_file(Path(), name).suffix}"
    places = (directories.staging / stored, directories.models / stored)
    if is_classic(name):
        model, answer, is_new = _train_classic(data, config, season, name, places)
        probabilities: Probabilities = partial(place_probabilities, model)
        record, parameters = model.record, size_of(model.rows)
    else:
        network, record, is_new = _train_network(data, config, season, name, places, compute)
        probabilities = network.probabilities
        parameters = sum(parameter.numel() for parameter in network.classifier.parameters())
        answer = cache(partial(_answers, probabilities, data.part("validation")))

    # a place has fewer classes than numbers, so memory that holds the table holds these
    test = _answers(probabilities, data.part("test"))
    counted = Reliability(record.calibration, data.unseen, len(record.legend), record.candidates)
    predicted, members = predicted_classes(test, data.unseen.label, counted), (TrainedFile(stored, record, 1.0),)
    kept, about = None if file is None else test, counted.describe(record.legend)
    return Trained(record, members, parameters, is_new, predicted, kept, answer, about)


def _classic_validation(
    data: TableData, config: ModelConfig, season: Season, model: ClassicModel
) -> NDArray[np.float32]:
    """The validation places as a classic model answers them that is like another, but was trained without them."""
    record = table_classic_record(data, config, season, model.record.family)
    alone = fit_table_classic(config, record, data.part("train"), model.rows.member_names)
    return _answers(partial(place_probabilities, alone), data.part("validation"))


def _calibrated_classic(
    data: TableData,
    config: ModelConfig,
    season: Season,
    model: ClassicModel,
    validation: Callable[[], NDArray[np.float32]],
) -> ModelRecord:
    """The record of a classic model with the calibration that fits answers on all places but those of the test."""
    if not config.calibration:
        return model.record
    table = data.table.of(np.flatnonzero(np.isin(data.fold, (0, 1))))
    record = table_classic_record(data, config, season, model.record.family)

    def answer(training: NDArray[np.intp], held_out: NDArray[np.intp]) -> NDArray[np.float32]:
        alone = fit_table_classic(config, record, table.of(training), model.rows.member_names)
        return _answers(partial(place_probabilities, alone), table.of(held_out))

    of_validation = data.fold[np.isin(data.fold, (0, 1))] == 1

    def answers() -> NDArray[np.float32]:
        return cross_fitted(of_validation, table.label, table.block, validation(), answer)

    return with_calibration(model.record, answers, table.label, table.block)


def _calibrated(
    data: TableData, config: ModelConfig, record: ModelRecord, answers: Callable[[], NDArray[np.float32]]
) -> ModelRecord:
    """A record with the calibration that fits the answers (P, classes) on the validation places."""
    places = data.part("validation")
    return with_calibration(record, answers, places.label, places.block) if config.calibration else record


def _require_possible(config: ModelConfig, names: Sequence[str]) -> None:
    for name in names:
        if name not in ON_TABLES:
            raise ConfigError(
                f"training {name}: it cannot be trained on a series table (these can: {', '.join(ON_TABLES)}); take it "
                "out of `names` under [model]",
                model=name,
            )
    for name in names:
        if is_classic(name):
            require_classic(name)
        elif is_network(name):
            require_installed(f"training {name}", "deep", "torch", "lightning")
    if config.weights is not None and "agrifm" in names:
        from agrifm.train.initialise import require_weights_of_points

        require_weights_of_points(config.weights)


def _train_network(
    data: TableData,
    config: ModelConfig,
    season: Season,
    name: str,
    places: tuple[Path, Path],
    compute: Compute,
) -> tuple["TableNetwork", ModelRecord, bool]:
    """A network, its record, and whether it is new: one of the same fingerprint is not trained again."""
    from agrifm.models.weights.file import load_network, save_model
    from agrifm.train.initialise import point_start
    from agrifm.train.table_network import fit_network_on_table, network_on_table

    path, earlier = places
    decisive = [table_digest(data.table), data.fold.tobytes().hex(), leaf_json(config), str(season), str(compute)]
    if config.weights is not None:
        decisive.append(str(content_digest(config.weights)))
    digest = fingerprint(decisive)
    for place in (path, earlier):
        if is_trained(place, digest):
            network, record = load_network(place)
            _write_item(path, record, sum(parameter.numel() for parameter in network.parameters()))
            return network_on_table(network, record), record, place == path
    work = Resumable(path.with_name(f"{path.stem}.partial"), digest)
    if not work.begun:
        with translate_os_errors(f"training {path}"):
            work.begin()
    start = point_start(config.weights) if name == "agrifm" else None
    trained = fit_network_on_table(
        data.part("train"), data.part("validation"), config, config.seed, work.scratch, compute, name, start
    )
    fitted: Any = trained.classifier.network
    outcome, architecture = trained.outcome, fitted.config.model_dump(mode="json")
    record = table_record(data, config, season, name, architecture, trained.sensors, trained.classifier.series)
    training = {
        **record.training,
        "fingerprint": digest,
        "steps": outcome.steps,
        "kept_round": outcome.kept_round,
        "validation_macro_f1": round(outcome.kept_score, 6),
    }
    record = record.model_copy(update={"name": path.stem, "training": training})
    timing = {"seconds": round(outcome.seconds, 1), "share_of_time_waiting_for_data": round(outcome.waiting_share, 4)}
    write_json(path.with_suffix(".timing.json"), timing)
    record = _calibrated(data, config, record, partial(_answers, trained.probabilities, data.part("validation")))
    save_model(path, fitted, record)
    _write_item(path, record, sum(parameter.numel() for parameter in fitted.parameters()))
    work.remove()
    return trained, record, True


def _train_classic(
    data: TableData,
    config: ModelConfig,
    season: Season,
    name: str,
    places: tuple[Path, Path],
) -> tuple[ClassicModel, Callable[[], NDArray[np.float32]], bool]:
    """A classic model of the training and validation places, chosen on inner blocks of them; see `_train_network`.

    Its answers on the validation places are second.
    """
    path, earlier = places
    digest = fingerprint(
        [
            table_digest(data.table),
            data.fold.tobytes().hex(),
            config.frames,
            config.seed,
            str(season),
            name,
            RECIPE,
            config.calibration,
        ]
    )
    kept = next((place for place in (path, earlier) if is_trained(place, digest)), None)
    if kept is not None:
        loaded = load_classic(kept)
        assert isinstance(loaded, ClassicModel), "forests of older versions have another fingerprint"
        model = loaded
        validation = cache(partial(_classic_validation, data, config, season, model))
    else:
        record = table_classic_record(data, config, season, name)
        record = record.model_copy(update={"training": {**record.training, "fingerprint": digest}})
        model = fit_table_classic(config, record, data.table.of(np.flatnonzero(np.isin(data.fold, (0, 1)))))
        validation = cache(partial(_classic_validation, data, config, season, model))
        model = replace(model, record=_calibrated_classic(data, config, season, model, validation))
        save_classic(path, model)
    _write_item(path, model.record, size_of(model.rows))
    return model, validation, kept != earlier


def _write_item(path: Path, record: ModelRecord, parameters: int) -> None:
    write_model_item(path, record, parameters, path.parent / TRAINING_DATA)
