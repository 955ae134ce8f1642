"""Training the random forest: pixels drawn from the folds, features and trees chosen on the validation blocks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.features import NEIGHBOURHOOD_MARGIN, FeatureKind, Rows
from agrifm.classic.forest import RandomForest, draw_pixels, fit_forest, pixel_rows, tune_forest
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
    (training, classes), (validation, validation_classes) = (
        _drawn(data, label, config) for label in (data.training.label, data.validation.label)
    )
    if len(np.unique(classes)) < 2:
        raise LabelError("training the random forest: fewer than two classes were ever seen by a sensor")
    if not len(validation_classes):
        raise LabelError("tuning the random forest: no sensor saw a label of the validation blocks; label more land")
    scored = np.array([entry.scored for entry in data.labels.legend.classes])
    shape, tried = tune_forest(training, classes, validation, validation_classes, scored, config.seed)
    record = record.model_copy(update={"training": {**record.training, "tried": tried}})
    return fit_forest(training[shape.features], classes, record, shape)


def _drawn(
    data: Data, label: NDArray[np.uint8], config: ModelConfig
) -> tuple[dict[FeatureKind, Rows], NDArray[np.uint8]]:
    """Features and classes of pixels drawn from labels (H, W)."""
    chosen = draw_pixels(label, data.labels.place, data.split.block, config.seed)
    rows, places = chosen_rows(data, chosen, config.side)
    return rows, label.ravel()[places]


def chosen_rows(data: Data, chosen: NDArray[np.bool_], side: int) -> tuple[dict[FeatureKind, Rows], NDArray[np.intp]]:
    """Features of every kind of the chosen pixels (H, W), and the place of each in the flattened grid.

    Windows of `side` pixels do not overlap, but their pixels see their neighbours.
    """
    windows = labelled_windows(np.where(chosen, np.uint8(0), np.uint8(UNLABELLED)), side, side)

    def read() -> Iterator[tuple[Window, Sample]]:
        for window in windows:
            yield (
                window,
                read_with_margin(
                    data.tiles.sample, window, NEIGHBOURHOOD_MARGIN, data.cube.coarse_factor, chosen.shape
                ),
            )

    return pixel_rows(read(), chosen, data.sensors)
