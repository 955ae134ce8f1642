"""Which training pixels say what a model knows (`agrifm.inference.training_reference`), and their features."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.features import Part
from agrifm.classic.table_rows import table_rows
from agrifm.grid import LONLAT
from agrifm.inference.training_reference import REFERENCE, TrainingReference, fit_reference
from agrifm.legend import UNLABELLED
from agrifm.record import SensorInput
from agrifm.samples.folds import divide_blocks
from agrifm.samples.table import SeriesTable
from agrifm.train.data import Data, read_pixel_features

MOST_PIXELS = 2000
"""Training pixels that are kept, as many of each class as there are."""
REFERENCE_FOLDS = 5
"""Of whole blocks; of fewer blocks, one for each."""
LEAST_REFERENCE_BLOCKS = 3
"""With fewer blocks nothing is known of how unlike each other they are."""
PARTS: tuple[Part, ...] = ("series",)


def draw_reference_pixels(label: NDArray[np.uint8], seed: int, most: int = MOST_PIXELS) -> NDArray[np.intp]:
    """Return at most so many labelled pixels, by index in the flattened labels, increasing.

    Classes have as many as each other, as far as they have pixels; those of a class are drawn at random.
    """
    labelled = np.flatnonzero(label.ravel() != UNLABELLED)
    shuffled = np.random.default_rng(seed).permutation(labelled)
    number = label.ravel()[shuffled]
    order = np.argsort(number, kind="stable")
    rank = np.empty(len(shuffled), np.int64)
    counts = np.bincount(number)
    rank[order] = np.arange(len(shuffled)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(shuffled[np.argsort(rank, kind="stable")[:most]])


def write_cube_reference(data: Data, seed: int, frames: int, side: int, directory: Path) -> None:
    """Write the reference of the training and validation pixels of a cube; nothing where there are too few blocks.

    Args:
        frames: equal steps of the season.
        side: of the windows that are read, pixels.
        directory: of the models.
    """
    from pyproj import Transformer

    label = np.where(data.training.label == UNLABELLED, data.validation.label, data.training.label)
    chosen = np.zeros(label.size, bool)
    chosen[draw_reference_pixels(label, seed)] = True
    rows, pixels = read_pixel_features(data, chosen.reshape(label.shape), side, PARTS)
    row, col = np.unravel_index(pixels, label.shape)
    grid = data.cube.target
    lon, lat = Transformer.from_crs(str(grid.crs), LONLAT, always_xy=True).transform(grid.x[col], grid.y[row])
    sensors = tuple(data.cube.inputs[sensor.sensor] for sensor in data.sensors)
    block, classes = data.split.block.ravel()[pixels], data.labels.legend.codes
    made = _fitted(rows, label.ravel()[pixels], block, np.column_stack([lon, lat]), sensors, frames, classes)
    if made is not None:
        made.write(directory / REFERENCE)


def write_table_reference(table: SeriesTable, seed: int, frames: int, directory: Path) -> None:
    """Write the reference of the labelled places of a table; nothing where there are too few blocks."""
    chosen = table.of(draw_reference_pixels(table.label, seed))
    rows, lonlat = table_rows(chosen, None, frames, PARTS), np.column_stack([chosen.lon, chosen.lat])
    made = _fitted(rows, chosen.label, chosen.block, lonlat, table.sensors, frames, table.legend.codes)
    if made is not None:
        made.write(directory / REFERENCE)


def _fitted(
    rows: NDArray[np.float32],
    label: NDArray[np.uint8],
    block: NDArray[np.integer],
    lonlat: NDArray[np.float64],
    sensors: tuple[SensorInput, ...],
    frames: int,
    classes: tuple[str, ...],
) -> TrainingReference | None:
    """The reference, or None with fewer than `LEAST_REFERENCE_BLOCKS` blocks or where all pixels are alike."""
    blocks = len(np.unique(block))
    if blocks < LEAST_REFERENCE_BLOCKS or len(np.unique(rows, axis=0)) < 2:
        return None
    fold = divide_blocks(block, label, len(classes), min(REFERENCE_FOLDS, blocks), 0)
    plain = tuple(
        SensorInput.model_validate(sensor.model_dump(include=set(SensorInput.model_fields))) for sensor in sensors
    )
    return fit_reference(rows, label, fold, lonlat, plain, frames, PARTS, classes, blocks)
