"""The record of a model that is trained on a cube, and classic models fitted on the pixels of one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classic_model import ClassicModel, classic_record, record_columns
from agrifm.classic.classics import candidate_parts, fit_classic
from agrifm.classic.features import Columns
from agrifm.classic.forest import draw_pixels
from agrifm.model_config import ModelConfig
from agrifm.record import ModelRecord, running_versions
from agrifm.samples.split import FOLDS
from agrifm.train.data import Data, read_pixel_features


def cube_record(
    data: Data, config: ModelConfig, name: str, architecture: dict[str, Any], *packages: str
) -> ModelRecord:
    """Return the record of a model before it is trained: what it expects, and what it will be trained on.

    Args:
        name: of its family.
        packages: whose versions it states.
    """
    west, south, east, north = data.cube.area.bounds
    places = {fold: int((data.split.place_fold == number).sum()) for number, fold in enumerate(FOLDS)}
    return ModelRecord(
        name=name,
        family=name,
        architecture=architecture,
        sensors=data.sensors,
        frames=config.frames,
        side=config.side,
        legend=data.labels.legend,
        task=config.task,
        season=(data.cube.season.start, data.cube.season.end),
        area=(west, south, east, north),
        training={"seed": config.seed, "places": places, "blocks": data.split.blocks},
        versions=running_versions(*packages),
    )


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
