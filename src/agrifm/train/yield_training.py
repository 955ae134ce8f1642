"""`agrifm train` with the task "yield": a crop's yield with intervals, scored on the fields of unseen blocks.

Next to the networks are `classic` (ridge regression or LightGBM on the features of the season) and the naive estimate,
the mean yield of the crop in training, with an interval of its own. All learn from the training blocks; intervals are
made on the validation blocks (`agrifm.yields.conformal_factor`).
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classic_model import ClassicModel, classic_record, record_columns, rows_of_yields
from agrifm.classic.features import Columns
from agrifm.classic.forest import draw_pixels
from agrifm.classic.yield_regression import PARTS_OF_YIELDS, FieldRows, fit_yields
from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import LabelError
from agrifm.files import finite_or_none, translate_os_errors, write_json
from agrifm.inference.predictor import TrainedModel, load_model
from agrifm.legend import UNLABELLED
from agrifm.model_config import ModelConfig
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.outputs import begin_directory, unchanged, writing
from agrifm.record import TRAINING_DATA, ModelRecord, yield_scale
from agrifm.samples.number_labels import project_yields
from agrifm.samples.split import FOLDS
from agrifm.samples.yield_labels import YieldPatches
from agrifm.train.cube_classic import kept_classic, stored_classic
from agrifm.train.cube_network import NetworkTask, array_digest, data_fingerprint, train_network, write_training_data
from agrifm.train.data import Data, cube_record, prepare, read_pixel_features
from agrifm.train.number_training import (
    differences_of_pairs,
    predicted_numbers,
    require_packages,
    trained_in_turn,
)
from agrifm.train.publish import SCORES, YIELDS_PICTURE, publish, require_inputs_apart
from agrifm.train.yield_picture import write_yield_picture
from agrifm.train.yield_scores import MEAN, FieldYields, field_yields, mean_yields, rmse_difference, yield_scores
from agrifm.yields import LEVEL, YIELD, YIELD_LAYERS, YieldScale, conformal_factor, least_parcels, scale_of

CLASSIC_VERSION = 1
"""Of how `classic` is fitted; a change trains those of a project anew."""


def train_yields(project: Project, compute: Compute = DEFAULT_COMPUTE) -> dict[str, Any]:
    """Train the project's models of yields; a stopped run continues.

    Args:
        compute: how networks compute in training (docs/precision.md).

    Returns:
        The scores, as written to `models/scores.json`, with "kept" and "written" as of `agrifm.train.run.train`.

    Raises:
        LabelError, CubeError, ModelError, OutputError, ConfigError: before anything is overwritten.
    """
    require_inputs_apart(project)
    config = project.training
    require_packages(config.names)
    with (
        writing(project.models, "models") as staging,
        unchanged(project.source, "training") as require_unchanged,
    ):
        cube = open_cube(project.source)
        data = yield_data(prepare(cube, project_yields(project, cube.target, cube.area), project.labels.block, config))
        scale = scale_of(_tonnes_of(data, "train"))
        with translate_os_errors(f"writing the models {project.models}"):
            begin_directory(staging)
        write_training_data(data, staging / TRAINING_DATA)
        records, kept, found = {}, [], {}
        classic = partial(_train_classic, data, config, scale)
        network = partial(_train_network, data, config, compute, scale)
        for name, model, is_new in trained_in_turn(config.names, staging, project.models, classic, network):
            kept += [] if is_new else [name]
            records[name] = model.record
            maps = predicted_yields(model, data, ("validation", "test"))
            found[name] = (_fold(maps, data, "validation", scale), _fold(maps, data, "test", scale))
        result = _scores(data, records, found, scale)
        require_unchanged()
        write_json(staging / SCORES, result)
        write_yield_picture(staging / YIELDS_PICTURE, result, {name: test for name, (_, test) in found.items()})
        with translate_os_errors(f"writing the models {project.models}"):
            written = publish(staging, project.models, config.names)
    return {**result, "kept": kept, "written": written}


def yield_data(data: Data) -> Data:
    """Return data whose samples have the yields of their fields.

    Raises:
        LabelError: the training blocks have one yield only, or the validation blocks too few fields for an interval.
    """
    training = _tonnes_of(data, "train")
    if training.std() < 1e-6:
        raise LabelError(
            f"dividing the labels: the training blocks have {len(training)} fields, all of {training.mean():g} t/ha; "
            "label more fields, or use smaller blocks (`block`)",
            fields=len(training),
        )
    fields = len(_tonnes_of(data, "validation"))
    if fields < least_parcels(LEVEL):
        raise LabelError(
            f"dividing the labels: the validation blocks have {fields} fields with a yield, and an interval of "
            f"{100 * LEVEL:.0f} % needs at least {least_parcels(LEVEL)}; label more fields, or use smaller blocks "
            "(`block`)",
            fields=fields,
        )
    patches = [YieldPatches(old.tiles, old.label, old.windows, data.labels) for old in (data.training, data.validation)]
    return replace(data, training=patches[0], validation=patches[1])


def _tonnes_of(data: Data, fold: str) -> NDArray[np.float64]:
    chosen = data.split.place_fold == FOLDS.index(fold)
    tonnes: NDArray[np.float64] = data.labels.places[YIELD].to_numpy(np.float64)[chosen]
    return tonnes


def predicted_yields(model: TrainedModel, data: Data, folds: tuple[str, ...]) -> NDArray[np.float32]:
    """Return yield and spread (2, H, W) around the fields of some folds, as shares of the scale's highest yield.

    NaN elsewhere, and where nothing was observed.
    """
    wanted = np.isin(data.split.fold, [FOLDS.index(fold) for fold in folds]) & (data.labels.place >= 0)
    return predicted_numbers(model, data, wanted, len(YIELD_LAYERS))


def _fold(maps: NDArray[np.float32], data: Data, fold: str, scale: YieldScale) -> FieldYields:
    return field_yields(maps, data.labels, data.split, fold, scale)


def with_interval(model: TrainedModel, data: Data) -> ModelRecord:
    """Return a model's record with the factor of its intervals, from the fields of the validation blocks."""
    scale = yield_scale(model.record)
    fields = _fold(predicted_yields(model, data, ("validation",)), data, "validation", scale)
    if len(fields.place) < least_parcels(scale.level):
        raise LabelError(
            f"making intervals: only {len(fields.place)} fields of the validation blocks were observed, and at least "
            f"{least_parcels(scale.level)} are needed; fetch more scenes",
            fields=len(fields.place),
        )
    factor = conformal_factor(fields.true - fields.estimate, fields.spread, scale.level)
    content = scale.model_copy(update={"factor": factor}).model_dump()
    return model.record.model_copy(update={"training": {**model.record.training, "yield": content}})


def _train_network(
    data: Data, config: ModelConfig, compute: Compute, scale: YieldScale, name: str, places: tuple[Path, Path]
) -> tuple[TrainedModel, bool]:
    """A network of the family `name`, and whether it is new."""
    from agrifm.models.yield_maps import with_yields
    from agrifm.train.initialise import initial_network
    from agrifm.train.objectives import cube_recipe
    from agrifm.train.yield_objective import Yields

    def finish(record: ModelRecord, draft: Path) -> ModelRecord:
        return with_interval(load_model(draft), data)

    task = NetworkTask(
        Yields(scale, cube_recipe(config), data.cube.season.days),
        len(YIELD_LAYERS),
        lambda architecture: initial_network(config.weights, with_yields(architecture, scale), data.sensors),
        finish,
        _decisive(data),
        {"yield": scale.model_dump()},
    )
    return train_network(data, config, name, places, compute, task)


def _decisive(data: Data) -> tuple[str, ...]:
    """What decides a model of yields, in addition to the labelled pixels."""
    return tuple(map(array_digest, (data.labels.place, data.labels.places[YIELD].to_numpy(), data.split.block)))


def _train_classic(
    data: Data, config: ModelConfig, scale: YieldScale, name: str, places: tuple[Path, Path]
) -> tuple[TrainedModel, bool]:
    """The best classic model of the training blocks, chosen on inner blocks of them, and whether it is new."""
    record = cube_record(data, config, name, {}, "scikit-learn", "skops", "lightgbm")
    digest = data_fingerprint(record, data, [*_decisive(data), str(CLASSIC_VERSION)])
    if (kept := kept_classic(places, digest)) is not None:
        return kept
    training = {**record.training, "fingerprint": digest, "yield": scale.model_dump()}
    record = record.model_copy(update={"training": training})
    columns = Columns(tuple(data.cube.inputs[sensor.sensor] for sensor in data.sensors), config.frames, PARTS_OF_YIELDS)
    fitted = rows_of_yields(*fit_yields(_field_rows(data, config), columns, scale, config.seed))
    record = classic_record(record, fitted)
    model = ClassicModel(record, fitted.reading(record_columns(record)))
    return stored_classic(places[0], ClassicModel(with_interval(model, data), model.rows)), True


def _field_rows(data: Data, config: ModelConfig) -> FieldRows:
    """Features of pixels drawn from the fields of the training blocks."""
    label = np.where(data.labels.place >= 0, data.training.label, np.uint8(UNLABELLED))
    drawn = draw_pixels(label, data.labels.place, data.split.block, config.seed)
    rows, pixels = read_pixel_features(data, drawn, config.side, PARTS_OF_YIELDS)
    places, field = np.unique(data.labels.place.ravel()[pixels], return_inverse=True)
    if len(places) < 2:
        raise LabelError(
            "training classic: fewer than two fields of the training blocks were observed; fetch more scenes",
            fields=len(places),
        )
    block = np.zeros(len(data.labels.places), np.int64)
    block[data.labels.place.ravel()[pixels]] = data.split.block.ravel()[pixels]
    tonnes = data.labels.places[YIELD].to_numpy(np.float64)[places]
    return FieldRows(rows, field.astype(np.int64), tonnes, block[places])


def _scores(
    data: Data,
    records: dict[str, ModelRecord],
    found: dict[str, tuple[FieldYields, FieldYields]],
    scale: YieldScale,
) -> dict[str, Any]:
    """The content of `scores.json`."""
    zeros = np.zeros((len(YIELD_LAYERS), *data.labels.place.shape), np.float32)
    training, validation, unseen = (_fold(zeros, data, fold, scale) for fold in FOLDS)
    found[MEAN] = (mean_yields(training, validation), mean_yields(training, unseen))
    test = {name: fields for name, (_, fields) in found.items()}
    models = {
        name: finite_or_none(yield_scores(validation, fields, scale.level))
        | ({"training": records[name].training} if name in records else {})
        for name, (validation, fields) in found.items()
    }
    return {
        "task": "yield",
        "unit": scale.unit,
        "level": scale.level,
        "crops": list(data.labels.legend.codes),
        "models": models,
        "differences": differences_of_pairs(test, rmse_difference),
        "blocks": data.split.blocks,
        "fields": {fold: int((data.split.place_fold == at).sum()) for at, fold in enumerate(FOLDS)},
        "notes": list(data.labels.notes),
    }
