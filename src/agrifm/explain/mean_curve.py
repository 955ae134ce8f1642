"""The series of no particular class: the mean of the classes' mean series over training pixels.

Where a model cannot be given a gap, this is what stands for "not observed": a single band that is missing, and the
start of the path of integrated gradients.

Shape letters: T frames that all pixels share, C bands, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.record import SensorRecord
from agrifm.samples.sample import Sample
from agrifm.work import progress

if TYPE_CHECKING:
    from agrifm.explain.series_source import SeriesSource

LEAST_PIXELS = 10
"""Fewest pixels of a class in a frame whose mean counts."""
MOST_WINDOWS = 40
"""Training windows of a cube, or groups of places, that are read; of more, so many at random."""
Curves = dict[str, "MeanCurve"]
"""By sensor."""


@dataclass(frozen=True)
class MeanCurve:
    """The mean series of one sensor."""

    day: NDArray[np.int32]
    """(T,), days since 1970-01-01, increasing, at least one."""
    value: NDArray[np.float32]
    """(T, C), in the quantity's unit."""

    def at(self, days: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the values (n, C) on days, interpolated linearly; before the first and after the last they repeat."""
        return np.stack([self.of_band(band, days) for band in range(self.value.shape[1])], axis=1)

    def of_band(self, band: int, days: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the values of a band on days of any shape."""
        return np.asarray(np.interp(days, self.day, self.value[:, band]), np.float32)

    def later(self, days: int) -> "MeanCurve":
        """Return the same curve some days later, of a season that begins then."""
        return MeanCurve(self.day + np.int32(days), self.value)


@dataclass
class ClassSums:
    """Sums of one sensor's valid pixels by class and frame, from which means follow."""

    count: NDArray[np.int64]
    """(K, T)."""
    total: NDArray[np.float64]
    """(K, T, C)."""

    def means(self, least: int = LEAST_PIXELS) -> NDArray[np.float64]:
        """Return the mean (K, T, C) of each class; NaN where it has fewer than `least` pixels."""
        enough = self.count >= least
        return np.where(enough[..., None], self.total / np.maximum(self.count, 1)[..., None], np.nan)

    def add(self, image: NDArray[np.float32], valid: NDArray[np.bool_], label: NDArray[np.uint8]) -> None:
        """Count the labelled pixels of a window.

        Args:
            image: (T, C, H, W).
            valid: (T, H, W).
            label: (H, W) on the image's pixels, 255 = not counted.
        """
        for number in np.unique(label[label != UNLABELLED]):
            inside = label == number
            seen = valid[:, inside]
            self.count[number] += seen.sum(axis=1)
            self.total[number] += (image[:, :, inside] * seen[:, None]).sum(axis=2)


def class_sums(classes: int, frames: int, bands: int) -> ClassSums:
    """Return empty sums."""
    return ClassSums(np.zeros((classes, frames), np.int64), np.zeros((classes, frames, bands)))


def label_on(sample: Sample, sensor: str, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels (H, W) on the pixels of a sensor, which may be larger: the label of each one's middle."""
    ratio = len(label) // sample.series[sensor].valid.shape[1]
    return label[ratio // 2 :: ratio, ratio // 2 :: ratio]


def mean_curves(
    source: "SeriesSource",
    sensors: Sequence[SensorRecord],
    label: NDArray[np.uint8],
    classes: int,
    windows: Sequence[Window],
    seed: int = 0,
) -> Curves:
    """Return the mean curve of each sensor; every class has the same weight, however common it is.

    Args:
        sensors: of the model's record, in its order of bands.
        label: (H, W), of the training blocks, 255 elsewhere.
        windows: with these labels; at most `MOST_WINDOWS` are read.
        seed: of the windows that are drawn.

    Returns:
        By sensor. One that is never observed at the labels has the mean of the record.
    """
    order = np.random.default_rng(seed).permutation(len(windows))[:MOST_WINDOWS]
    sums = {one.sensor: class_sums(classes, len(source.days(one.sensor)), len(one.bands)) for one in sensors}
    with progress("mean series", len(order)) as advance:
        for index in sorted(order):
            sample = source.on_days(source.read(windows[index], sensors))
            here = label[windows[index].slices]
            for name, series in sample.series.items():
                sums[name].add(series.image, series.valid, label_on(sample, name, here))
            advance(1)
    least = 1 if source.is_table else LEAST_PIXELS  # at equal steps every place has a value
    return {one.sensor: _curve(sums[one.sensor].means(least), source.days(one.sensor), one) for one in sensors}


def _curve(mean: NDArray[np.float64], day: NDArray[np.int32], sensor: SensorRecord) -> MeanCurve:
    # A frame in which clouds hide some of the classes is left out, as its mean would be that of the others.
    seen = np.isfinite(mean[..., 0]).sum(axis=0)
    known = seen == max(seen.max(initial=0), 1)
    if not known.any():
        return MeanCurve(day[:1], np.array([sensor.mean], np.float32))
    return MeanCurve(day[known], np.nanmean(mean[:, known], axis=0).astype(np.float32))
