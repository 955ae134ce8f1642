"""The record of a model that is trained on a cube, and classic models fitted on the pixels of one."""

from collections.abc import Sequence
from pathlib import Path

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
from agrifm.classic.classics import candidate_parts, fit_classic
from agrifm.classic.features import Columns
from agrifm.classic.forest import draw_pixels
from agrifm.inference.predictor import is_trained
from agrifm.model_config import ModelConfig
from agrifm.record import TRAINING_DATA, ModelRecord
from agrifm.stac import write_model_item
from agrifm.train.data import Data, read_pixel_features


def fit_cube_classic(
    data: Data, config: ModelConfig, record: ModelRecord, label: NDArray[np.uint8], members: Sequence[str] | None = None
) -> ClassicModel:
    """Return a classic model of the family of a record, fitted on pixels drawn from labels (H, W).

    Args:
        members: see `agrifm.classic.classics.fit_classic`.
    """
    drawn = draw_pixels(label, data.labels.place, data.split.block, config.seed)
    parts = candidate_parts(record.family)
    rows, pixels = read_pixel_features(data, drawn, config.side, parts)
    columns = Columns(tuple(data.cube.inputs[sensor.sensor] for sensor in data.sensors), config.frames, parts)
    groups, classes = data.split.block.ravel()[pixels], label.ravel()[pixels]
    fitted = fit_classic(
        record.family, rows, classes, groups=groups, seed=config.seed, columns=columns, members=members
    )
    record = classic_record(record, fitted)
    return ClassicModel(record, fitted.reading(record_columns(record)))


def kept_classic(places: Sequence[Path], digest: str) -> tuple[ClassicModel, bool] | None:
    """Return a classic model of this fingerprint that was trained before, and whether by this run; None without one.

    Args:
        places: its file in this run, whose item is written, and that of an earlier run.
    """
    for place in places:
        if is_trained(place, digest):
            model = load_classic(place)
            assert isinstance(model, ClassicModel), "forests of older versions have another fingerprint"
            _write_item(places[0], model)
            return model, place == places[0]
    return None


def stored_classic(path: Path, model: ClassicModel) -> ClassicModel:
    """Write a model and its item, and return the model that the file has."""
    save_classic(path, model)
    _write_item(path, model)
    stored = load_classic(path)
    assert isinstance(stored, ClassicModel), "it was written by this version"
    return stored


def _write_item(path: Path, model: ClassicModel) -> None:
    write_model_item(path, model.record, size_of(model.rows), path.parent / TRAINING_DATA)
