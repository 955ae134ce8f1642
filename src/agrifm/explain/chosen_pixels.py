"""Chosen pixels of a window on the samples that members read, and models that take windows apart into pixels.

Shape letters: H W rows and columns.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.grid import Window
from agrifm.inference.pixels import PIXELS_AT_ONCE, pixel_groups
from agrifm.record import ModelRecord
from agrifm.samples.sample import Sample
from agrifm.samples.transforms import cut

if TYPE_CHECKING:
    from agrifm.explain.series_source import SeriesSource

Samples = Mapping[Any, Sample]
"""By way of reading (`agrifm.inference.mean.reading`)."""


def inside(sample: Sample, window: Window, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return chosen pixels of a window on the pixels of a sample that contains it."""
    wide = np.zeros(sample.label.shape, bool)
    wide[window.within(sample.window).slices] = where
    return wide


def sees_single_pixels(record: ModelRecord) -> bool:
    """Return whether a network takes windows apart into their pixels."""
    return record.side == 1 and record.series == "observed"


def only_pixels(sample: Sample, where: NDArray[np.bool_]) -> Sample:
    """Return a sample in which no other pixel (H, W) is valid, so that a model of single pixels leaves them out."""
    series = {}
    for name, part in sample.series.items():
        ratio = len(where) // part.valid.shape[1]
        coarse = where.reshape(len(where) // ratio, ratio, -1, ratio).any(axis=(1, 3))
        series[name] = replace(part, valid=part.valid & coarse)
    return replace(sample, series=series)


def place_samples(
    record: ModelRecord, sample: Sample, where: NDArray[np.bool_], source: "SeriesSource"
) -> Iterator[tuple[list[Sample], NDArray[np.intp]]]:
    """Yield chosen pixels (H, W) as a model of single pixels reads them from a table, and their flat indices.

    Pixels without an observation are left out.
    """
    if record.series == "observed":
        groups = pixel_groups(only_pixels(sample, where), PIXELS_AT_ONCE)
    else:
        window = sample.window
        numbers = np.flatnonzero(where & sample.any_valid)
        corners = (divmod(int(number), window.width) for number in numbers)
        pixels = [cut(sample, Window(window.row + row, window.col + col, 1, 1)) for row, col in corners]
        groups = iter([(pixels, numbers)] if pixels else [])
    for samples, numbers in groups:
        if source.is_table:
            rows = (sample.window.row + int(number) for number in numbers)
            samples = [replace(one, place=source.place(row)) for one, row in zip(samples, rows, strict=True)]
        yield samples, numbers


def same_input(first: Samples, second: Samples) -> bool:
    """Return whether two occlusions give the members the same series, so that their answers are the same."""
    return all(
        np.array_equal(part.valid, (other := second[key].series[name]).valid)
        and np.array_equal(part.image, other.image)
        and np.array_equal(part.date, other.date)
        for key, sample in first.items()
        for name, part in sample.series.items()
    )
