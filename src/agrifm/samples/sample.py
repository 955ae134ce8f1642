"""Samples and batches: the arrays that models receive, with dates and validity.

Shape letters: B samples, T frames, C bands, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube
from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.record import SensorInput, SensorRecord
from agrifm.season import day_date, day_number

Number = TypeVar("Number", bound=np.generic)


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
    """(T, H, W), for composites the day of each pixel; an invalid pixel has the date of its frame."""
    absent: NDArray[np.bool_] | None = None
    """(C,), True for bands that are missing here and filled with means; None if all are present."""

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.image.nbytes + self.valid.nbytes + (0 if self.day is None else self.day.nbytes)


@dataclass(frozen=True)
class Sample:
    """The series of every sensor over one window of the target grid, and the labels."""

    series: dict[str, Series]
    """By sensor; an absent sensor has no entry."""
    label: NDArray[np.uint8]
    """(H, W) on the target grid, class numbers, 255 = unlabelled."""
    window: Window
    """Position on the target grid."""
    season_start: int
    """First day of the season, days since 1970-01-01."""
    weight: float = 1.0
    """How much the sample counts in the loss of training, at least 0."""
    place: tuple[float, float] | None = None
    """Latitude and longitude, degrees: of a point, or of the centre of a cube's area; None = unknown."""
    targets: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What else an objective may learn from, by its name, such as shares of land cover."""

    @property
    def any_valid(self) -> NDArray[np.bool_]:
        """(H, W) on the target grid: whether any sensor has a valid observation there."""
        height, width = self.label.shape
        result = np.zeros((height, width), bool)
        for series in self.series.values():
            valid = np.asarray(series.valid.any(axis=0))
            result |= enlarge(valid, height // valid.shape[0])
        return result


@dataclass(frozen=True)
class Batch:
    """Samples of equal shape, stacked; shorter series are padded with invalid frames."""

    images: dict[str, NDArray[np.float32]]
    """By sensor (B, T, C, H, W)."""
    valid: dict[str, NDArray[np.bool_]]
    """By sensor (B, T, H, W)."""
    day: dict[str, NDArray[np.float32]]
    """By sensor (B, T), or (B, T, H, W) for composites, where pixels have days: days since the season's first day."""
    first_day: NDArray[np.float32]
    """(B,), day of the year of the season's first day, 1..366."""
    absent: dict[str, NDArray[np.bool_]]
    """By sensor (B, C), True for missing bands; sensors without missing bands have no entry."""
    frames: dict[str, NDArray[np.int64]]
    """By sensor (B,), number of frames of each sample; the rest of T is padding."""
    label: NDArray[np.uint8]
    """(B, H, W)."""
    weight: NDArray[np.float32]
    """(B,), of the samples in the loss."""
    place: NDArray[np.float32]
    """(B, 2), latitude and longitude, degrees; NaN where they are unknown."""
    targets: dict[str, NDArray[Any]] = field(default_factory=dict)
    """(B, ...) each, what else the samples have to learn from."""


def collate(samples: Sequence[Sample], frames: int | None = None) -> Batch:
    """Stack samples of the same sensors over windows of one size.

    Shorter series are padded at the end with frames that are invalid, 0, and on the day of the last frame.

    Args:
        frames: length of every series in the batch; None = that of the longest series of each sensor.

    Raises:
        ModelError: the samples differ in sensors.
    """
    sensors = list(samples[0].series)
    for sample in samples:
        if strangers := sorted(sample.series.keys() ^ set(sensors)):
            raise ModelError(
                f"making a batch: sensor '{strangers[0]}' is in some of the samples only; "
                "put samples of the same sensors into a batch",
                sensor=strangers[0],
            )
    series = {name: [sample.series[name] for sample in samples] for name in sensors}
    starts = [sample.season_start for sample in samples]
    absent = {
        name: np.stack(
            [np.zeros(part.image.shape[1], bool) if part.absent is None else part.absent for part in several]
        )
        for name, several in series.items()
        if any(part.absent is not None for part in several)
    }
    return Batch(
        images={name: _stacked([part.image for part in several], frames) for name, several in series.items()},
        valid={name: _stacked([part.valid for part in several], frames) for name, several in series.items()},
        day={name: _days(several, starts, frames) for name, several in series.items()},
        first_day=np.array([day_date(start).timetuple().tm_yday for start in starts], np.float32),
        absent=absent,
        frames={name: np.array([len(part.date) for part in several]) for name, several in series.items()},
        label=np.stack([sample.label for sample in samples]),
        weight=np.array([sample.weight for sample in samples], np.float32),
        place=np.array([sample.place or (np.nan, np.nan) for sample in samples], np.float32),
        targets={name: np.stack([sample.targets[name] for sample in samples]) for name in samples[0].targets},
    )


def _stacked(arrays: Sequence[NDArray[Number]], frames: int | None) -> NDArray[Number]:
    """Arrays (T, ...) as one (B, T, ...), the shorter ones padded with zeros."""
    longest = frames or max(len(array) for array in arrays)
    stacked = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked


def _days(series: Sequence[Series], starts: Sequence[int], frames: int | None) -> NDArray[np.float32]:
    """Days since each season's first day, (B, T) or (B, T, H, W); padding has the last frame's date."""
    days = [part.date if part.day is None else part.day for part in series]
    longest = frames or max(len(part) for part in days)
    stacked = np.empty((len(days), longest, *days[0].shape[1:]), np.float32)
    for row, day, part, start in zip(stacked, days, series, starts, strict=True):
        row[: len(day)] = day
        row[len(day) :] = part.date[-1]
        row -= start
    return stacked


def read_sample(
    cube: Cube, window: Window, sensors: Sequence[SensorInput], label: NDArray[np.uint8] | None = None
) -> Sample:
    """Read a window of the target grid from every sensor, with bands selected by name in the order of `sensors`.

    Args:
        window: on the target grid; with several sensors its edges are edges of the coarsest pixels.
        label: (H, W) of the window; None = unlabelled.
    """
    series = {}
    for wanted in sensors:
        source = cube.sensors[wanted.sensor]
        ratio = round(source.grid.resolution / cube.target.resolution)
        present = [band for band in wanted.bands if band in source.input.bands or not _may_be_absent(wanted, band)]
        image, valid, day = source.read(window.scaled(ratio), present)
        absent = None
        if len(present) < len(wanted.bands):
            image = _with_means(image, present, wanted) * valid[:, None]
            absent = np.array([band not in present for band in wanted.bands])
        if day is not None:
            day = np.where(valid, day, source.date[:, None, None])
        series[wanted.sensor] = Series(image, valid, source.date, day, absent)
    unlabelled = np.full((window.height, window.width), UNLABELLED, np.uint8)
    start, centre = day_number(cube.season.start), cube.area.centroid
    # one place for the whole area, so that a pixel does not depend on its window
    place = (round(centre.y, 2), round(centre.x, 2))
    return Sample(series, unlabelled if label is None else label, window, start, place=place)


def _may_be_absent(wanted: SensorInput, band: str) -> bool:
    return isinstance(wanted, SensorRecord) and band in wanted.absent_bands


def _with_means(image: NDArray[np.float32], present: Sequence[str], wanted: SensorInput) -> NDArray[np.float32]:
    """The image (T, C, H, W) in the order of the record; a missing band has its mean in the training data."""
    assert isinstance(wanted, SensorRecord)
    frames, _, height, width = image.shape
    means = np.array(wanted.mean, np.float32)[:, None, None]
    filled = np.broadcast_to(means, (frames, len(wanted.bands), height, width)).copy()
    filled[:, [wanted.bands.index(band) for band in present]] = image
    return filled


def enlarge(array: NDArray[np.bool_], ratio: int) -> NDArray[np.bool_]:
    """Repeat pixels along the last two axes, so that a coarse array has the grid `ratio` times as fine."""
    return array.repeat(ratio, axis=-2).repeat(ratio, axis=-1)
