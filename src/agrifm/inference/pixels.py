"""A window taken apart into its pixels, for models that were trained on places of one pixel.

Shape letters: T frames, C bands, H W rows and columns.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agrifm.samples.sample import Sample, Series
from agrifm.samples.table import ONE_PIXEL

PIXELS_AT_ONCE = 512
"""Pixels of a window that a model of single pixels predicts together."""


def pixel_groups(sample: Sample, most: int) -> Iterator[tuple[list[Sample], NDArray[np.intp]]]:
    """Yield the pixels with a valid observation as samples of one pixel, as a series table would hold them.

    Each has the frames that are valid there and no others, with the day of the pixel where pixels have days. A coarse
    pixel gives its series to the target pixels inside it. A sensor without a valid frame has one that is not valid.

    Args:
        most: greatest number of samples in a group; all of a group have as many frames of each sensor.

    Yields:
        The samples of a group, and the index of each in the flattened window.
    """
    height, width = sample.label.shape
    chosen = np.flatnonzero(sample.any_valid.ravel())
    parts = {name: _by_pixel(series, height) for name, series in sample.series.items()}
    groups: defaultdict[tuple[int, ...], list[tuple[int, Sample]]] = defaultdict(list)
    for index in chosen.tolist():
        row, col = divmod(index, width)
        series = {
            name: _of_pixel(image, valid, day, row // ratio, col // ratio, sample.season_start)
            for name, (image, valid, day, ratio) in parts.items()
        }
        pixel = Sample(series, sample.label[row, col].reshape(1, 1), ONE_PIXEL, sample.season_start, place=sample.place)
        groups[tuple(len(part.date) for part in series.values())].append((index, pixel))
    for group in groups.values():
        for first in range(0, len(group), most):
            numbers, samples = zip(*group[first : first + most], strict=True)
            yield list(samples), np.array(numbers)


def _by_pixel(series: Series, height: int) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32], int]:
    """Images (H, W, T, C), validity (H, W, T) and days (H, W, T) of a sensor; target pixels along one of its pixels."""
    valid = np.ascontiguousarray(series.valid.transpose(1, 2, 0))
    days = np.broadcast_to(series.date, valid.shape) if series.day is None else series.day.transpose(1, 2, 0)
    return np.ascontiguousarray(series.image.transpose(2, 3, 0, 1)), valid, days, height // valid.shape[0]


def _of_pixel(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    day: NDArray[np.int32],
    row: int,
    col: int,
    season_start: int,
) -> Series:
    """The series of one pixel; of two observations of a day the later frame is used."""
    frames = np.flatnonzero(valid[row, col])
    days = day[row, col, frames]
    if len(frames) > 1 and (np.diff(days) <= 0).any():  # composites overlap at New Year
        order = np.argsort(days, kind="stable")
        order = order[np.r_[np.diff(days[order]) > 0, True]]
        frames, days = frames[order], days[order]
    if not len(frames):
        absent = np.zeros((1, image.shape[3], 1, 1), np.float32)
        return Series(absent, np.zeros((1, 1, 1), bool), np.array([season_start], np.int32))
    return Series(image[row, col, frames][:, :, None, None], np.ones((len(frames), 1, 1), bool), days.astype(np.int32))
