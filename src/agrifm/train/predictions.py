"""What models answer on the labelled pixels or places of the test: classes, and probabilities where a mean needs them.

Probabilities of many pixels are large (10 million of 20 classes: 0.8 GB), so those of several models are kept in files
that are memory-mapped, and classes alone are drawn without them.

Shape letters: N labelled pixels, row by row, or places.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.files import translate_os_errors
from agrifm.inference.mean import mean_where_known
from agrifm.legend import UNLABELLED
from agrifm.samples.patches import Tiles, labelled_windows, read_with_margin
from agrifm.train.reliability import Reliability
from agrifm.work import progress

if TYPE_CHECKING:
    from agrifm.inference.predictor import TrainedModel

ROWS_AT_ONCE = 1 << 14
"""Labelled pixels whose probabilities are in memory together."""


def predict_labelled(
    model: "TrainedModel", tiles: Tiles, label: NDArray[np.uint8], counted: Reliability | None = None
) -> NDArray[np.uint8]:
    """Predict classes (H, W) of the labelled pixels; 255 elsewhere and where no sensor has a valid observation.

    Args:
        counted: calibrates the probabilities of the model, which is without its calibration then, and counts them.
    """
    predicted = np.full(label.shape, UNLABELLED, np.uint8)
    for slices, wanted, found in _by_window(model, tiles, label):
        if counted is None:
            predicted[slices][wanted] = _most_probable(found)
        else:
            predicted[slices][wanted] = counted.predict(found, label[slices][wanted], counted.block[slices][wanted])
    return predicted


def labelled_probabilities(
    model: "TrainedModel", tiles: Tiles, label: NDArray[np.uint8], file: Path | None = None
) -> NDArray[np.float32]:
    """Return class probabilities (N, classes) of the labelled pixels of `label` (H, W), row by row.

    They are NaN where no sensor has a valid observation.

    Args:
        file: holds them, and is read as they are used; None = they are in memory.
    """
    rows = np.full(label.shape, -1, np.int64)
    labelled = label != UNLABELLED
    rows[labelled] = np.arange(labelled.sum())
    result = unknown_probabilities(int(labelled.sum()), len(model.record.legend), file)
    for slices, wanted, found in _by_window(model, tiles, label):
        result[rows[slices][wanted]] = found
    return result


def _by_window(
    model: "TrainedModel", tiles: Tiles, label: NDArray[np.uint8]
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_], NDArray[np.float32]]]:
    """Of each window with labels its rows and columns, its labelled pixels, and their probabilities (n, classes)."""
    record = model.record
    windows = labelled_windows(label, record.side, record.side)
    with progress(f"score {record.name}", len(windows)) as advance:
        for window in windows:
            sample = read_with_margin(tiles.sample, window, record.margin, tiles.cube.coarse_factor, label.shape)
            inner = window.within(sample.window).slices
            found = model.probabilities(sample)[:, *inner]
            wanted = label[window.slices] != UNLABELLED
            known = sample.any_valid[inner][wanted]
            yield window.slices, wanted, np.where(known, found[:, wanted], np.float32(np.nan)).T
            advance(1)


def unknown_probabilities(count: int, classes: int, file: Path | None = None) -> NDArray[np.float32]:
    """Return (count, classes) of NaN, to be filled.

    Args:
        file: holds them, in numpy's format; None = they are in memory.

    Raises:
        OutputError: the disk is full. The file is written in full here: to a mapped file without room, writing later
            would kill the process.
    """
    if file is None:
        return np.full((count, classes), np.nan, np.float32)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False}
    with translate_os_errors(f"writing {file}"), file.open("wb") as target:
        np.lib.format.write_array_header_1_0(target, {**header, "shape": (count, classes)})
        for start in range(0, count, ROWS_AT_ONCE):
            target.write(np.full((min(ROWS_AT_ONCE, count - start), classes), np.nan, np.float32).tobytes())
    mapped: NDArray[np.float32] = np.load(file, mmap_mode="r+", allow_pickle=False)
    return mapped


def predicted_classes(
    probabilities: NDArray[np.float32], label: NDArray[np.uint8], counted: Reliability | None = None
) -> NDArray[np.uint8]:
    """Return the most probable classes (H, W) of the labelled pixels, 255 elsewhere and where nothing is known.

    Args:
        probabilities: (N, classes) of the labelled pixels of `label` (H, W), row by row; NaN = unknown.
        counted: see `predict_labelled`.
    """
    return mean_labelled([probabilities], [1.0], label, None, counted)[0]


def mean_labelled(
    parts: Sequence[NDArray[np.float32]],
    weights: Sequence[float],
    label: NDArray[np.uint8],
    kept: NDArray[np.float32] | None = None,
    counted: Reliability | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Average probabilities (N, classes) of the labelled pixels of `label` (H, W) as `mean_where_known` does.

    Args:
        kept: (N, classes), is filled with the mean before calibration; None = the mean is not needed.
        counted: see `predict_labelled`.

    Returns:
        Its classes (H, W), 255 elsewhere and where no part is known; and `kept`.
    """
    best = np.empty(len(parts[0]), np.uint8)
    labelled = label != UNLABELLED
    for start in range(0, len(best), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        mean = parts[0][some] if len(parts) == 1 else mean_where_known([part[some] for part in parts], weights)
        if counted is None:
            best[some] = _most_probable(mean)
        else:
            best[some] = counted.predict(mean, label[labelled][some], counted.block[labelled][some])
        if kept is not None:
            kept[some] = mean
    predicted = np.full(label.shape, UNLABELLED, np.uint8)
    predicted[labelled] = best
    return predicted, kept


def _most_probable(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Class numbers (n,), 255 where the probabilities (n, classes) are NaN."""
    best = probabilities.argmax(axis=1).astype(np.uint8)
    return np.where(np.isnan(probabilities[:, 0]), np.uint8(UNLABELLED), best)
