"""Transforms of samples: plain functions from sample to sample, nothing remembered."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.temporal import interpolate
from agrifm.grid import Window
from agrifm.samples.sample import Sample, Series

Number = TypeVar("Number", bound=np.generic)


def interpolated(sample: Sample, steps: NDArray[np.int32]) -> Sample:
    """The sample with every series interpolated in time to `steps` (F,), days since 1970-01-01.

    A pixel is valid at all steps where it was seen at all, and at none otherwise.
    """
    series = {}
    for name, own in sample.series.items():
        image, seen = interpolate(own.image, own.valid, own.date, steps, own.day)
        valid = np.broadcast_to(seen, (len(steps), *seen.shape))
        series[name] = Series(image, valid, steps)
    return replace(sample, series=series)


def turned(sample: Sample, turn: int) -> Sample:
    """One of the eight flips and quarter turns of a square sample; 0 leaves it as it is.

    Args:
        turn: 0..7; the last two bits count quarter turns, the third mirrors.
    """

    def move(array: NDArray[Number]) -> NDArray[Number]:
        mirrored = array[..., ::-1] if turn & 4 else array
        return np.ascontiguousarray(np.rot90(mirrored, turn & 3, axes=(-2, -1)))

    series = {
        name: Series(
            move(own.image),
            move(own.valid),
            own.date,
            None if own.day is None else move(own.day),
        )
        for name, own in sample.series.items()
    }
    return replace(sample, series=series, label=move(sample.label))


def cut(sample: Sample, window: Window) -> Sample:
    """The part of a sample under a window inside its own, every series on the target pixels.

    Coarser pixels are repeated, so the window need not nest in them.
    """
    height = sample.label.shape[0]
    rows, cols = window.within(sample.window).slices
    row, col = np.r_[rows], np.r_[cols]
    series = {}
    for name, own in sample.series.items():
        ratio = height // own.valid.shape[1]
        place = np.ix_(row // ratio, col // ratio)
        series[name] = Series(
            own.image[:, :, *place],
            own.valid[:, *place],
            own.date,
            None if own.day is None else own.day[:, *place],
        )
    return replace(sample, series=series, label=sample.label[rows, cols], window=window)
