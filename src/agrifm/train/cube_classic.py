"""The record of a model that is trained on a cube, and classic models fitted on the pixels of one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classic_model import ClassicModel, classic_record, record_columns
from agrifm.classic.classics import candidate_parts, fit_classic
from agrifm.classic.features import Columns
from agrifm.classic.forest import draw_pixels
from agrifm.model_config import ModelConfig
from agrifm.record import ModelRecord
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
