"""`agrifm train` with the task "fractions": shares of classes in pixels larger than fields, scored on unseen blocks.

Next to the networks are `classic` (`agrifm.classic.share_regression`) and two naive estimates: the mean shares of the
training blocks, and those of the nearest training pixels. All learn from the training blocks only. A network's shares
are the softmax of its logits for each pixel of the target grid, trained with the cross-entropy to the true shares: its
minimum is the mean share, while that of the absolute error is the median, which is 0 for rare crops.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classic_model import ClassicModel, classic_record, record_columns
from agrifm.classic.classics import ClassicRows
from agrifm.classic.features import Columns
from agrifm.classic.share_regression import PARTS_OF_SHARES, ShareRows, fit_shares
from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import LabelError
from agrifm.files import finite_or_none, translate_os_errors, write_json
from agrifm.inference.predictor import TrainedModel
from agrifm.legend import UNLABELLED
from agrifm.model_config import ModelConfig
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.outputs import begin_directory, unchanged, writing
from agrifm.record import TRAINING_DATA, ModelRecord
from agrifm.samples.number_labels import project_shares
from agrifm.samples.share_labels import ShareLabels, SharePatches
from agrifm.samples.split import FOLDS
from agrifm.train.cube_classic import kept_classic, stored_classic
from agrifm.train.cube_network import NetworkTask, array_digest, data_fingerprint, train_network, write_training_data
from agrifm.train.data import Data, cube_record, prepare, read_pixel_features
from agrifm.train.number_training import (
    differences_of_pairs,
    predicted_numbers,
    require_packages,
    trained_in_turn,
)
from agrifm.train.publish import SCORES, SHARES_PICTURE, publish, require_inputs_apart
from agrifm.train.share_picture import write_share_picture
from agrifm.train.share_scores import (
    MEAN,
    NEAR,
    PixelShares,
    error_difference,
    mean_shares,
    near_shares,
    pixel_shares,
    share_scores,
)

CLASSIC_VERSION = 1
"""Of how `classic` is fitted; a change trains those of a project anew."""


@dataclass(frozen=True)
class ShareData:
    """What models of shares are trained and scored on."""

    data: Data
    known: ShareLabels


def train_fractions(project: Project, compute: Compute = DEFAULT_COMPUTE) -> dict[str, Any]:
    """Train the project's models of shares; a stopped run continues.

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
        known = project_shares(project, cube.target, cube.area)
        data = share_data(prepare(cube, known.labels, project.labels.block, config), known)
        with translate_os_errors(f"writing the models {project.models}"):
            begin_directory(staging)
        write_training_data(data.data, staging / TRAINING_DATA)
        records, kept, found = {}, [], {}
        classic = partial(_train_classic, data, config)
        network = partial(_train_network, data, config, compute)
        for name, model, is_new in trained_in_turn(config.names, staging, project.models, classic, network):
            kept += [] if is_new else [name]
            records[name] = model.record
            found[name] = pixel_shares(predicted_shares(model, data, "test"), known, data.data.split, "test")
        result = _scores(data, records, found)
        require_unchanged()
        write_json(staging / SCORES, result)
        write_share_picture(staging / SHARES_PICTURE, result, found, known.labels.legend)
        with translate_os_errors(f"writing the models {project.models}"):
            written = publish(staging, project.models, config.names)
    return {**result, "kept": kept, "written": written}


def share_data(data: Data, known: ShareLabels) -> ShareData:
    """Return data whose samples have the shares of their pixels."""
    patches = [
        SharePatches(old.tiles, old.label, old.windows, known.shares) for old in (data.training, data.validation)
    ]
    return ShareData(replace(data, training=patches[0], validation=patches[1]), known)


def predicted_shares(model: TrainedModel, known: ShareData, fold: str) -> NDArray[np.float32]:
    """Return shares (K, H, W) around the labelled pixels of a fold; NaN elsewhere, and where nothing was observed."""
    data = known.data
    wanted = (data.split.fold == FOLDS.index(fold)) & (data.labels.label != UNLABELLED)
    return predicted_numbers(model, data, wanted, len(known.known.labels.legend))


def _decisive(known: ShareData) -> tuple[str, ...]:
    """What decides a model of shares, in addition to the labelled pixels."""
    return (array_digest(known.known.shares), array_digest(known.data.split.block))


def _train_network(
    known: ShareData, config: ModelConfig, compute: Compute, name: str, places: tuple[Path, Path]
) -> tuple[TrainedModel, bool]:
    """A network of the family `name`, and whether it is new."""
    from agrifm.train.initialise import initial_network
    from agrifm.train.objectives import Fractions, cube_recipe

    data, classes = known.data, len(known.known.labels.legend)
    task = NetworkTask(
        Fractions(
            classes, 1, kind="cross_entropy", augmentation=cube_recipe(config), season_days=data.cube.season.days
        ),
        classes,
        lambda architecture: initial_network(config.weights, architecture, data.sensors),
        lambda record, draft: record,
        _decisive(known),
    )
    return train_network(data, config, name, places, compute, task)


def _train_classic(
    known: ShareData, config: ModelConfig, name: str, places: tuple[Path, Path]
) -> tuple[TrainedModel, bool]:
    """The best classic model of the training blocks, chosen on inner blocks of them, and whether it is new."""
    data = known.data
    record = cube_record(data, config, name, {}, "scikit-learn", "skops", "lightgbm")
    digest = data_fingerprint(record, data, [*_decisive(known), str(CLASSIC_VERSION)])
    if (kept := kept_classic(places, digest)) is not None:
        return kept
    record = record.model_copy(update={"training": {**record.training, "fingerprint": digest}})
    columns = Columns(tuple(data.cube.inputs[sensor.sensor] for sensor in data.sensors), config.frames, PARTS_OF_SHARES)
    rows, classes = _share_rows(known, config)
    members, tried = fit_shares(rows, columns, config.seed)
    fitted = ClassicRows(name, classes, members, tried)
    record = classic_record(record, fitted)
    return stored_classic(places[0], ClassicModel(record, fitted.reading(record_columns(record)))), True


def _share_rows(known: ShareData, config: ModelConfig) -> tuple[ShareRows, NDArray[np.uint8]]:
    """Features and shares of the pixels of the training blocks, and the numbers of their classes."""
    data = known.data
    rows, pixels = read_pixel_features(data, data.training.label != UNLABELLED, config.side, PARTS_OF_SHARES)
    shares = known.known.shares.reshape(len(known.known.shares), -1)[:, pixels].astype(np.float64)
    classes = np.flatnonzero(shares.sum(axis=1) > 0)
    if len(rows) < 2 or len(classes) < 2:
        raise LabelError(
            f"training classic: {len(rows)} pixels of the training blocks were observed, with {len(classes)} classes, "
            "and at least two of both are needed; fetch more scenes, or label more",
            pixels=len(rows),
        )
    block = data.split.block.ravel()[pixels].astype(np.int64)
    return ShareRows(rows, shares[classes].T.copy(), block), classes.astype(np.uint8)


def _scores(known: ShareData, records: dict[str, ModelRecord], found: dict[str, PixelShares]) -> dict[str, Any]:
    """The content of `scores.json`; adds the naive estimates to what was found."""
    data, legend = known.data, known.known.labels.legend
    nothing = np.zeros(known.known.shares.shape, np.float32)
    training, unseen = (pixel_shares(nothing, known.known, data.split, fold) for fold in ("train", "test"))
    found[NEAR] = near_shares(training, unseen, data.labels.grid.shape[1])
    found[MEAN] = mean_shares(training, unseen)
    models = {
        name: finite_or_none(share_scores(pixels, legend.codes))
        | ({"training": records[name].training} if name in records else {})
        for name, pixels in found.items()
    }
    return {
        "task": "fractions",
        "legend": legend.model_dump(mode="json"),
        "pixel": data.labels.grid.resolution,
        "models": models,
        "differences": differences_of_pairs(found, error_difference),
        "blocks": data.split.blocks,
        "pixels": {fold: int((data.split.place_fold == at).sum()) for at, fold in enumerate(FOLDS)},
        "notes": list(data.labels.notes),
    }
