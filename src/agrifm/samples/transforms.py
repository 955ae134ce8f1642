"""Transforms of samples: functions from sample to sample, without state."""

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
"""Most frames of an observed series, which limits the memory of a window; of more, the clearest are kept."""
SYMMETRIES = 8
"""Flips and quarter turns that map a square onto itself."""


def prepared(sample: Sample, kind: SeriesKind, season: Season, steps: NDArray[np.int32]) -> Sample:
    """Prepare a sample as a model receives it.

    Args:
        steps: (F,), days since 1970-01-01; composites have as many periods.
    """
    if kind == "interpolated":
        return interpolated(sample, steps)
    if kind == "composites":
        return composited(sample, season, len(steps))
    return observed(sample)


def interpolated(sample: Sample, steps: NDArray[np.int32]) -> Sample:
    """Interpolate every series of a sample in time to `steps` (F,), days since 1970-01-01.

    A pixel with at least one valid observation is valid at all steps, any other pixel at none.
    """
    series = {}
    for name, part in sample.series.items():
        image, filled = interpolate(part.image, part.valid, part.date, steps, part.day)
        valid = np.broadcast_to(filled, (len(steps), *filled.shape))
        series[name] = Series(image, valid, steps, absent=part.absent)
    return replace(sample, series=series)


def composited(sample: Sample, season: Season, frames: int) -> Sample:
    """Make composites of `frames` equal periods from every series of a sample; each pixel keeps its day.

    In a period a pixel has the valid observation nearest the middle, or is invalid without one. The date of a frame is
    the middle day of its period.
    """
    steps = season.steps(frames)
    series = {}
    for name, part in sample.series.items():
        image, valid, day = nearest_of_periods(part.image, part.valid, part.date, season, frames, part.day)
        series[name] = Series(image, valid, steps, day, part.absent)
    return replace(sample, series=series)


def observed(sample: Sample, most: int = MAX_FRAMES) -> Sample:
    """Keep those frames of each series that have a valid pixel in the sample, at most `most`: the clearest.

    The frames depend on the window. A series without any valid pixel keeps its first frame.
    """
    series = {}
    for name, part in sample.series.items():
        chosen = clearest(part.valid, most)
        if len(chosen) == len(part.date):
            series[name] = part
            continue
        day = None if part.day is None else part.day[chosen]
        series[name] = Series(part.image[chosen], part.valid[chosen], part.date[chosen], day, part.absent)
    return replace(sample, series=series)


def dihedral(sample: Sample, symmetry: int) -> Sample:
    """Apply one of the `SYMMETRIES` of a square to a sample: flips and quarter turns (the dihedral group D4).

    Args:
        symmetry: 0..7; the last two bits count quarter turns, the third mirrors. 0 leaves the sample as it is.
    """

    def move(array: NDArray[Number]) -> NDArray[Number]:
        mirrored = array[..., ::-1] if symmetry & 4 else array
        return np.ascontiguousarray(np.rot90(mirrored, symmetry & 3, axes=(-2, -1)))

    series = {
        name: replace(
            part,
            image=move(part.image),
            valid=move(part.valid),
            day=None if part.day is None else move(part.day),
        )
        for name, part in sample.series.items()
    }
    shape = sample.label.shape
    targets = {name: move(part) if part.shape[-2:] == shape else part for name, part in sample.targets.items()}
    return replace(sample, series=series, label=move(sample.label), targets=targets)


def cut(sample: Sample, window: Window) -> Sample:
    """Cut a window out of a sample, with every series on the target pixels.

    Coarser pixels are repeated, so the edges of the window need not be edges of coarse pixels.
    """
    height = sample.label.shape[0]
    rows, cols = window.within(sample.window).slices
    # Indices instead of slices, because coarse pixels are repeated.
    row, col = np.r_[rows], np.r_[cols]
    series = {}
    for name, part in sample.series.items():
        ratio = height // part.valid.shape[1]
        pixels = np.ix_(row // ratio, col // ratio)
        series[name] = replace(
            part,
            image=part.image[:, :, *pixels],
            valid=part.valid[:, *pixels],
            day=None if part.day is None else part.day[:, *pixels],
        )
    return replace(sample, series=series, label=sample.label[rows, cols], window=window)
