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

from agrifm.classic.classic_model import (
    ClassicModel,
    classic_record,
    load_classic,
    record_columns,
    save_classic,
    size_of,
)
from agrifm.classic.classics import ClassicRows
from agrifm.classic.features import Columns
from agrifm.classic.share_regression import PARTS_OF_SHARES, ShareRows, fit_shares
from agrifm.config import Project
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import LabelError, require_installed
from agrifm.files import finite_or_none, translate_os_errors, write_json
from agrifm.grid import Window
from agrifm.inference.predictor import TrainedModel, is_trained, load_model
from agrifm.legend import UNLABELLED, Legend
from agrifm.model_config import ModelConfig
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.outputs import begin_directory, unchanged, writing
from agrifm.record import TRAINING_DATA, ModelRecord, is_classic, is_network
from agrifm.samples.share_labels import ShareLabels, SharePatches, read_share_labels
from agrifm.samples.split import FOLDS
from agrifm.shares import COVERED
from agrifm.stac import write_model_item
from agrifm.train.cube_network import NetworkTask, array_digest, data_fingerprint, train_network, write_training_data
from agrifm.train.data import Data, cube_record, prepare, read_pixel_features
from agrifm.train.field_prediction import predict_whole
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
    for name in config.names:
        packages = ("deep", "torch", "lightning") if is_network(name) else ("classic", "sklearn", "lightgbm", "skops")
        require_installed(f"training {name}", *packages)
    with (
        writing(project.models, "models") as staging,
        unchanged(project.cube, "training") as require_unchanged,
    ):
        cube = open_cube(project.cube)
        known = project_shares(project, cube)
        data = share_data(prepare(cube, known.labels, project.labels.block, config), known)
        with translate_os_errors(f"writing the models {project.models}"):
            begin_directory(staging)
        write_training_data(data.data, staging / TRAINING_DATA)
        records, kept, found = {}, [], {}
        for name in config.names:
            file = f"{name}.{'skops' if is_classic(name) else 'safetensors'}"
            places = (staging / file, project.models / file)
            if is_classic(name):
                model, is_new = _train_classic(data, config, name, places)
            else:
                model, is_new = _train_network(data, config, name, places, compute)
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


def project_shares(project: Project, cube: Cube) -> ShareLabels:
    """Read the shares of a project on the target grid of its cube; raises as `read_share_labels` does."""
    config = project.labels
    assert config.file, "the project is checked"
    notes: list[str] = []
    legend = None if config.legend is None else Legend.read(project.path(config.legend), notes)
    known = read_share_labels(
        project.path(config.file),
        config.column,
        cube.target,
        cube.area,
        legend,
        None if config.other is None else project.path(config.other),
        config.other_values,
        config,
        config.unlabelled,
        config.other_file,
        COVERED if config.covered is None else config.covered,
    )
    return replace(known, labels=replace(known.labels, notes=(*notes, *known.labels.notes)))


def share_data(data: Data, known: ShareLabels) -> ShareData:
    """Return data whose samples have the shares of their pixels."""
    patches = [
        SharePatches(old.tiles, old.label, old.windows, known.shares) for old in (data.training, data.validation)
    ]
    return ShareData(replace(data, training=patches[0], validation=patches[1]), known)


def predicted_shares(model: TrainedModel, known: ShareData, fold: str) -> NDArray[np.float32]:
    """Return shares (K, H, W) around the labelled pixels of a fold; NaN elsewhere, and where nothing was observed."""
    data, classes = known.data, len(known.known.labels.legend)
    wanted = (data.split.fold == FOLDS.index(fold)) & (data.labels.label != UNLABELLED)
    tiles = data.tiles_of(model.record.series)

    def predict(window: Window) -> NDArray[np.floating]:
        result = np.full((classes, window.height, window.width), np.float32(np.nan))
        where = wanted[window.slices]
        if not where.any():
            return result
        sample = tiles.sample(window)
        where = where & sample.any_valid
        if isinstance(model, ClassicModel):
            result[:, where] = model.of_pixels(sample, where)
        elif where.any():
            result[:, where] = model.probabilities(sample)[:, where]
        return result

    return predict_whole(predict, data.cube.target.shape, model.record.side, classes)


def _decisive(known: ShareData) -> tuple[str, ...]:
    """What decides a model of shares, in addition to the labelled pixels."""
    return (array_digest(known.known.shares), array_digest(known.data.split.block))


def _train_network(
    known: ShareData, config: ModelConfig, name: str, places: tuple[Path, Path], compute: Compute
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
    path, item = places[0], partial(write_model_item, training_data=places[0].parent / TRAINING_DATA)
    for place in places:
        if is_trained(place, digest):
            model = load_classic(place)
            assert isinstance(model, ClassicModel), "forests of older versions have another fingerprint"
            item(path, model.record, size_of(model.rows))
            return model, place == path
    record = record.model_copy(update={"training": {**record.training, "fingerprint": digest}})
    columns = Columns(tuple(data.cube.inputs[sensor.sensor] for sensor in data.sensors), config.frames, PARTS_OF_SHARES)
    rows, classes = _share_rows(known, config)
    members, tried = fit_shares(rows, columns, config.seed)
    fitted = ClassicRows(name, classes, members, tried)
    record = classic_record(record, fitted)
    model = ClassicModel(record, fitted.reading(record_columns(record)))
    save_classic(path, model)
    item(path, model.record, size_of(model.rows))
    return load_model(path), True


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
    differences = [
        {"model": name, "against": other, **finite_or_none(error_difference(*_shared(found[name], found[other])))}
        for at, name in enumerate(found)
        for other in list(found)[at + 1 :]
    ]
    return {
        "task": "fractions",
        "legend": legend.model_dump(mode="json"),
        "pixel": data.labels.grid.resolution,
        "models": models,
        "differences": differences,
        "blocks": data.split.blocks,
        "pixels": {fold: int((data.split.place_fold == at).sum()) for at, fold in enumerate(FOLDS)},
        "notes": list(data.labels.notes),
    }


def _shared(first: PixelShares, second: PixelShares) -> tuple[PixelShares, PixelShares]:
    """The pixels that both estimate: models that read other series may lack some."""
    shared = np.intersect1d(first.pixel, second.pixel)
    one, other = (pixels.of(np.isin(pixels.pixel, shared)) for pixels in (first, second))
    return one, other
