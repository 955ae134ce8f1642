"""`agrifm train` from a series table alone: models of single pixels, scored on unseen blocks.

Shape letters: P places.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classics import require_classic
from agrifm.classic.indices import notes_on_bands
from agrifm.config import ModelConfig
from agrifm.errors import ConfigError, require_installed
from agrifm.files import translate_os_errors, write_geopackage, write_json
from agrifm.inference.predictor import is_trained
from agrifm.legend import UNLABELLED
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.outputs import begin_directory, writing
from agrifm.record import (
    TRAINABLE,
    ModelRecord,
    SensorRecord,
    SeriesKind,
    is_classic,
    model_file,
    running_versions,
)
from agrifm.samples.split import FOLDS
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_store import table_digest
from agrifm.season import Season
from agrifm.stac import write_model_item
from agrifm.train.evaluate import score, summarise_scores
from agrifm.train.publish import SCORES, TRAINING_DATA, publish
from agrifm.train.table_folds import (
    Probabilities,
    TableData,
    divide_table,
    labelled_places,
    predict_unseen,
    table_statistics,
    training_places,
)
from agrifm.work import Resumable, fingerprint

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
    _require_possible(config)
    data = divide_table(table, config.seed)
    with writing(directory, "models") as staging:
        with translate_os_errors(f"writing the models {directory}"):
            begin_directory(staging)
        write_geopackage(staging / TRAINING_DATA, training_places(data))
        scores: dict[str, Any] = {}
        predictions: dict[str, NDArray[np.uint8]] = {}
        kept: list[str] = []
        for name in config.names:
            path, earlier = (model_file(place, name) for place in (staging, directory))
            if is_classic(name):
                probabilities, record, is_new = _train_classic(data, config, season, name, (path, earlier))
            else:
                probabilities, record, is_new = _train_network(data, config, season, name, (path, earlier), compute)
            kept += [] if is_new else [name]
            predictions[name] = predict_unseen(probabilities, data)
            scores[name] = {
                **score(predictions[name], data.unseen, data.table.legend),
                "training": record.training,
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
            predictions,
        )
        write_json(staging / SCORES, result)
        with translate_os_errors(f"writing the models {directory}"):
            written = publish(staging, directory, config.names)
    return {**result, "kept": kept, "written": written}


def _require_possible(config: ModelConfig) -> None:
    for name in config.names:
        if name not in ON_TABLES:
            raise ConfigError(
                f"training {name}: it cannot be trained on a series table (these can: {', '.join(ON_TABLES)}); take it "
                "out of `names` under [model]",
                model=name,
            )
    if config.weights is not None and "agrifm" in config.names:
        raise ConfigError(
            "training agrifm on a series table: `weights` are of networks of windows; remove `weights` under [model]",
            key="weights",
        )
    for name in config.names:
        if is_classic(name):
            require_classic(name)
        else:
            require_installed(f"training {name}", "deep", "torch", "lightning")


def _train_network(
    data: TableData,
    config: ModelConfig,
    season: Season,
    name: str,
    places: tuple[Path, Path],
    compute: Compute,
) -> tuple[Probabilities, ModelRecord, bool]:
    """A network's predictions, its record, and whether it is new: one of the same fingerprint is not trained again."""
    from agrifm.models.weights.file import load_network, save_model
    from agrifm.train.table_network import fit_network_on_table, network_on_table

    path, earlier = places
    digest = fingerprint(
        [table_digest(data.table), data.fold.tobytes().hex(), config.model_dump_json(), str(season), str(compute)]
    )
    for place in (path, earlier):
        if is_trained(place, digest):
            network, record = load_network(place)
            _write_item(path, record, sum(parameter.numel() for parameter in network.parameters()))
            return network_on_table(network, record).probabilities, record, place == path
    work = Resumable(path.with_name(f"{path.stem}.partial"), digest)
    if not work.begun:
        with translate_os_errors(f"training {path}"):
            work.begin()
    trained = fit_network_on_table(
        data.part("train"), data.part("validation"), config, config.seed, work.scratch, compute, family=name
    )
    fitted: Any = trained.classifier.network
    outcome, architecture = trained.outcome, fitted.config.model_dump(mode="json")
    record = _record(data, config, season, name, architecture, trained.sensors, trained.classifier.series)
    training = {
        **record.training,
        "fingerprint": digest,
        "steps": outcome.steps,
        "kept_round": outcome.kept_round,
        "validation_macro_f1": round(outcome.kept_score, 6),
    }
    record = record.model_copy(update={"training": training})
    timing = {"seconds": round(outcome.seconds, 1), "share_of_time_waiting_for_data": round(outcome.waiting_share, 4)}
    write_json(path.with_suffix(".timing.json"), timing)
    save_model(path, fitted, record)
    _write_item(path, record, sum(parameter.numel() for parameter in fitted.parameters()))
    work.remove()
    return trained.probabilities, record, True


def _train_classic(
    data: TableData, config: ModelConfig, season: Season, name: str, places: tuple[Path, Path]
) -> tuple[Probabilities, ModelRecord, bool]:
    """A classic model of the training and validation places, chosen on inner blocks of them; see `_train_network`."""
    from agrifm.classic.classic_model import (
        ClassicModel,
        classic_record,
        load_classic,
        record_columns,
        save_classic,
        size_of,
    )
    from agrifm.classic.classics import RECIPE, candidate_parts, fit_classic
    from agrifm.classic.table_rows import table_columns, table_rows

    path, earlier = places
    digest = fingerprint(
        [table_digest(data.table), data.fold.tobytes().hex(), config.frames, config.seed, str(season), name, RECIPE]
    )
    kept = next((place for place in (path, earlier) if is_trained(place, digest)), None)
    if kept is not None:
        loaded = load_classic(kept)
        assert isinstance(loaded, ClassicModel), "forests of older versions have another fingerprint"
        model = loaded
    else:
        training = labelled_places(data.part("train"))
        inner = labelled_places(data.table.of(np.flatnonzero(np.isin(data.fold, (0, 1)))))
        parts = candidate_parts(name)
        rows = table_rows(inner, None, config.frames, parts)
        columns = table_columns(inner.sensors, config.frames, parts)
        fitted = fit_classic(
            name, rows, inner.label, weights=inner.weight, groups=inner.block, seed=config.seed, columns=columns
        )
        record = _record(data, config, season, name, {}, table_statistics(training), "interpolated")
        record = classic_record(
            record.model_copy(
                update={
                    "training": {**record.training, "fingerprint": digest},
                    "versions": running_versions("scikit-learn", "skops", "lightgbm"),
                }
            ),
            fitted,
        )
        model = ClassicModel(record, fitted.reading(record_columns(record)))
        save_classic(path, model)
    _write_item(path, model.record, size_of(model.rows))

    def probabilities(table: SeriesTable) -> NDArray[np.float32]:
        result = np.zeros((len(table), len(model.record.legend)), np.float32)
        columns = record_columns(model.record)
        rows_of = table_rows(table, model.record.sensors, model.record.frames, columns.parts)
        result[:, model.rows.classes] = model.rows.probabilities(rows_of)
        return result

    return probabilities, model.record, kept != earlier


def _write_item(path: Path, record: ModelRecord, parameters: int) -> None:
    write_model_item(path, record, parameters, path.parent / TRAINING_DATA)


def _record(
    data: TableData,
    config: ModelConfig,
    season: Season,
    name: str,
    architecture: dict[str, Any],
    sensors: Sequence[SensorRecord],
    series: SeriesKind,
) -> ModelRecord:
    """The record of a model of single pixels."""
    return ModelRecord(
        name=name,
        family=name,
        architecture=architecture,
        sensors=tuple(sensors),
        frames=config.frames,
        series=series,
        absent_sensors=tuple(sensor.sensor for sensor in sensors[1:]) if config.sensor_dropout else (),
        side=1,
        legend=data.table.legend,
        season=(season.start, season.end),
        area=_bounds(data.table),
        training={
            "seed": config.seed,
            "places": {fold: int((data.fold == number).sum()) for number, fold in enumerate(FOLDS)},
            "blocks": data.blocks,
        },
        versions=running_versions("torch", "lightning"),
    )


def _bounds(table: SeriesTable) -> tuple[float, float, float, float] | None:
    """West, south, east, north of the places, degrees; None if no place is known."""
    known = np.isfinite(table.lon) & np.isfinite(table.lat)
    if not known.any():
        return None
    lon, lat = table.lon[known], table.lat[known]
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())
