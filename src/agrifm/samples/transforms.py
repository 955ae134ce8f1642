"""Transforms of samples: plain functions from sample to sample, nothing remembered."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.temporal import clearest, interpolate, nearest_of_periods
from agrifm.grid import Window
from agrifm.record import SeriesKind
from agrifm.samples.sample import Sample, Series
from agrifm.season import Season

Number = TypeVar("Number", bound=np.generic)

MAX_FRAMES = 64
"""Most frames of an observed series, which bounds what a window takes; of more, the clearest are kept."""
SYMMETRIES = 8
"""Flips and quarter turns that map a square onto itself."""


def prepared(sample: Sample, kind: SeriesKind, season: Season, steps: NDArray[np.int32]) -> Sample:
    """The sample as a model sees it.

    Args:
        steps: (F,), days since 1970-01-01; composites have as many periods.
    """
    if kind == "interpolated":
        return interpolated(sample, steps)
    if kind == "composites":
        return composites(sample, season, len(steps))
    return observed(sample)


def interpolated(sample: Sample, steps: NDArray[np.int32]) -> Sample:
    """The sample with every series interpolated in time to `steps` (F,), days since 1970-01-01.

    A pixel is valid at all steps where it was seen at all, and at none otherwise.
    """
    series = {}
    for name, own in sample.series.items():
        image, seen = interpolate(own.image, own.valid, own.date, steps, own.day)
        valid = np.broadcast_to(seen, (len(steps), *seen.shape))
        series[name] = Series(image, valid, steps, absent=own.absent)
    return replace(sample, series=series)


def composites(sample: Sample, season: Season, frames: int) -> Sample:
    """The sample with every series as composites of `frames` equal periods, every pixel with the day of its own.

    Of a period a pixel has the valid observation nearest the middle; none, where it was not seen. A frame's date is the
    middle day of its period.
    """
    steps = season.steps(frames)
    series = {}
    for name, own in sample.series.items():
        image, valid, day = nearest_of_periods(own.image, own.valid, own.date, season, frames, own.day)
        series[name] = Series(image, valid, steps, day, own.absent)
    return replace(sample, series=series)


def observed(sample: Sample, most: int = MAX_FRAMES) -> Sample:
    """The sample with those frames of each series that have a valid pixel in it, at most `most`: the clearest.

    Which frames these are depends on the window. A series without any valid pixel keeps its first frame.
    """
    series = {}
    for name, own in sample.series.items():
        chosen = clearest(own.valid, most)
        if len(chosen) == len(own.date):
            series[name] = own
            continue
        day = None if own.day is None else own.day[chosen]
        series[name] = Series(own.image[chosen], own.valid[chosen], own.date[chosen], day, own.absent)
    return replace(sample, series=series)


def dihedral(sample: Sample, symmetry: int) -> Sample:
    """The sample after one of the `SYMMETRIES` of a square: flips and quarter turns (the dihedral group D4).

    Args:
        symmetry: 0..7; the last two bits count quarter turns, the third mirrors. 0 leaves the sample as it is.
    """

    def move(array: NDArray[Number]) -> NDArray[Number]:
        mirrored = array[..., ::-1] if symmetry & 4 else array
        return np.ascontiguousarray(np.rot90(mirrored, symmetry & 3, axes=(-2, -1)))

    series = {
        name: replace(
            own,
            image=move(own.image),
            valid=move(own.valid),
            day=None if own.day is None else move(own.day),
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
        series[name] = replace(
            own,
            image=own.image[:, :, *place],
            valid=own.valid[:, *place],
            day=None if own.day is None else own.day[:, *place],
        )
    return replace(sample, series=series, label=sample.label[rows, cols], window=window)
