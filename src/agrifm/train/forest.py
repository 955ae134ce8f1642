"""Training the random forest: pixels drawn from the folds, features and trees chosen on the validation blocks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.features import REACH, Kind, Rows
from agrifm.classic.forest import RandomForest, draw_pixels, fit, pixel_rows, tune
from agrifm.config import ModelConfig
from agrifm.errors import LabelError
from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.record import ModelRecord
from agrifm.samples.patches import labelled_windows, read_with_margin
from agrifm.samples.sample import Sample
from agrifm.train.data import Data


def train_forest(data: Data, config: ModelConfig, record: ModelRecord) -> RandomForest:
    """A forest of the shape that is best on the validation blocks; its record tells of every shape tried.

    Args:
        record: of the forest, but for its shape.

    Raises:
        LabelError: no sensor saw two classes of the training blocks, or anything of the validation blocks.
    """
    training, classes = _rows(data, data.training.label, config)
    validation, validation_classes = _rows(data, data.validation.label, config)
    if len(np.unique(classes)) < 2:
        raise LabelError("training the random forest: fewer than two classes were ever seen by a sensor")
    if not len(validation_classes):
        raise LabelError("tuning the random forest: no sensor saw a label of the validation blocks; label more land")
    scored = np.array([entry.scored for entry in data.labels.legend.classes])
    shape, tried = tune(training, classes, validation, validation_classes, scored, config.seed)
    record = record.model_copy(update={"training": {**record.training, "tried": tried}})
    return fit(training[shape.features], classes, record, shape)


def _rows(data: Data, label: NDArray[np.uint8], config: ModelConfig) -> tuple[dict[Kind, Rows], NDArray[np.uint8]]:
    """Features and classes of pixels drawn from labels; windows do not overlap, but pixels see their neighbours."""
    chosen = draw_pixels(label, data.labels.place, data.split.block, config.seed)
    windows = labelled_windows(np.where(chosen, label, np.uint8(UNLABELLED)), config.side, config.side)

    def read() -> Iterator[tuple[Window, Sample]]:
        for window in windows:
            sample = read_with_margin(data.tiles.sample, window, REACH, data.cube.nest, label.shape)
            yield window, sample

    return pixel_rows(read(), label, chosen, data.sensors)
