"""Samples and batches: the arrays that models see, with dates and validity beside them.

Shape letters: B samples, T frames, C bands, H rows, W columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube
from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.record import SensorInput, SensorRecord
from agrifm.season import day_number


@dataclass(frozen=True)
class Series:
    """One sensor's series over the ground of a sample."""

    image: NDArray[np.float32]
    """(T, C, H, W), in the quantity's unit (reflectance 0..1), finite, 0 where not valid."""
    valid: NDArray[np.bool_]
    """(T, H, W), True = usable."""
    date: NDArray[np.int32]
    """(T,), days since 1970-01-01."""
    day: NDArray[np.int32] | None = None
    """(T, H, W), for composites the day of each pixel."""


@dataclass(frozen=True)
class Sample:
    """The series of every sensor over one window of the target grid, and its labels."""

    series: dict[str, Series]
    label: NDArray[np.uint8]
    """(H, W) on the target grid, class numbers, 255 = unlabelled."""
    window: Window
    """Where it lies on the target grid."""
    season_start: int
    """First day of the season, days since 1970-01-01."""

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(H, W) on the target grid: whether any sensor has a usable observation there."""
        height, width = self.label.shape
        result = np.zeros((height, width), bool)
        for series in self.series.values():
            own = np.asarray(series.valid.any(axis=0))
            result |= enlarge(own, height // own.shape[0])
        return result


@dataclass(frozen=True)
class Batch:
    """Samples of equal shape, stacked."""

    images: dict[str, NDArray[np.float32]]
    """By sensor (B, T, C, H, W)."""
    valid: dict[str, NDArray[np.bool_]]
    """By sensor (B, T, H, W)."""
    date: dict[str, NDArray[np.int32]]
    """By sensor (B, T)."""
    label: NDArray[np.uint8]
    """(B, H, W)."""


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of equal shapes; the one function that does so."""
    sensors = list(samples[0].series)
    return Batch(
        images={name: np.stack([sample.series[name].image for sample in samples]) for name in sensors},
        valid={name: np.stack([sample.series[name].valid for sample in samples]) for name in sensors},
        date={name: np.stack([sample.series[name].date for sample in samples]) for name in sensors},
        label=np.stack([sample.label for sample in samples]),
    )


def read_sample(
    cube: Cube, window: Window, sensors: Sequence[SensorInput], label: NDArray[np.uint8] | None = None
) -> Sample:
    """Read the window of the target grid from every sensor, bands by name in the order of `sensors`.

    Args:
        window: on the target grid; with several sensors its numbers nest in the coarsest pixel.
        label: (H, W) of the window; None = unlabelled.
    """
    series = {}
    for wanted in sensors:
        own = cube.sensors[wanted.sensor]
        ratio = round(own.grid.resolution / cube.target.resolution)
        present = [band for band in wanted.bands if band in own.input.bands or not _may_be_absent(wanted, band)]
        image, valid, day = own.read(window.scaled(ratio), present)
        if len(present) < len(wanted.bands):
            image = _with_means(image, present, wanted) * valid[:, None]
        series[wanted.sensor] = Series(image, valid, own.date, day)
    unlabelled = np.full((window.height, window.width), UNLABELLED, np.uint8)
    return Sample(series, unlabelled if label is None else label, window, day_number(cube.season.start))


def _may_be_absent(wanted: SensorInput, band: str) -> bool:
    return isinstance(wanted, SensorRecord) and band in wanted.absent_bands


def _with_means(image: NDArray[np.float32], present: Sequence[str], wanted: SensorInput) -> NDArray[np.float32]:
    """The image (T, C, H, W) in the order of the record; a band that the cube lacks is the mean it was trained with."""
    assert isinstance(wanted, SensorRecord)
    frames, _, height, width = image.shape
    means = np.array(wanted.mean, np.float32)[:, None, None]
    filled = np.broadcast_to(means, (frames, len(wanted.bands), height, width)).copy()
    filled[:, [wanted.bands.index(band) for band in present]] = image
    return filled


def enlarge(array: NDArray[np.bool_], ratio: int) -> NDArray[np.bool_]:
    """Repeat pixels along the last two axes, so that a coarse array lies on a grid `ratio` times as fine."""
    return array.repeat(ratio, axis=-2).repeat(ratio, axis=-1)
