"""Occlusion: what a model answers when a period, a band, or a band in a period is not observed.

A period is hidden as clouds would hide it: the raw frames are not valid there, and the series are prepared anew, so
each model sees what a gap is for it. Interpolated series bridge the gap from the observations around it, composites and
observed series have one. A single band cannot have a gap in a network that knows gaps by frame only: in interpolated
series its values are bridged, and otherwise, and over the whole season, they are those of the mean series of all
classes (`agrifm.explain.mean_curve`).

Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", ECCV, section 4.2, hide squares of an
image; here it is parts of a season.

Shape letters: T frames, C bands, H W rows and columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.record import SeriesKind
from agrifm.samples.sample import Sample, Series
from agrifm.samples.transforms import prepared
from agrifm.scene.table_products import CONSTANT_SENSORS
from agrifm.season import Season

if TYPE_CHECKING:
    from agrifm.explain.mean_curve import Curves
    from agrifm.explain.periods import Periods

EVERY = -1
"""Number that stands for all bands, or for the whole season."""


class Hidden(NamedTuple):
    """What is not observed."""

    sensor: str
    """Empty: all of them."""
    band: int
    """Number of the sensor's band, or `EVERY`."""
    period: int
    """Or `EVERY`."""


@dataclass(frozen=True)
class Preparation:
    """How a model reads series."""

    kind: SeriesKind
    season: Season
    steps: NDArray[np.int32]
    """(F,), days since 1970-01-01."""

    def of(self, raw: Sample) -> Sample:
        """Return a raw sample as the model reads it."""
        return prepared(raw, self.kind, self.season, self.steps)


def _days(series: Series) -> NDArray[np.int32]:
    """The days of a series, (T, H, W) where pixels have days, and otherwise (T, 1, 1)."""
    return series.date[:, None, None] if series.day is None else series.day


def without_period(raw: Sample, periods: "Periods", number: int) -> Sample:
    """Return a raw sample in which no sensor observed anything in a period."""
    series = {}
    for name, part in raw.series.items():
        if name in CONSTANT_SENSORS:  # terrain is known whatever the date
            series[name] = part
            continue
        valid = part.valid & (periods.number_of(_days(part)) != number)
        image = np.where(valid[:, None], part.image, np.float32(0))
        series[name] = replace(part, image=image, valid=valid)
    return replace(raw, series=series)


def occlusions(
    raw: Sample, preparation: Preparation, periods: "Periods", curves: "Curves", bands: bool = True
) -> Iterator[tuple[Hidden, Sample]]:
    """Yield what is hidden and the sample that a model reads then, one after the other; the whole one is first.

    Every combination is yielded, in the order of sensors and bands within periods.

    Args:
        raw: with all frames of the cube, as `agrifm.samples.sample.read_sample` returns it.
        bands: whether single bands are hidden as well.
    """
    base = preparation.of(raw)
    band_series = base.series if bands else {}
    yield Hidden("", EVERY, EVERY), base
    for name, series in band_series.items():
        for band in range(series.image.shape[1]):
            yield Hidden(name, band, EVERY), _with_mean(base, name, band, curves, np.ones(1, bool))
    for number in range(len(periods)):
        gap = preparation.of(without_period(raw, periods, number))
        yield Hidden("", EVERY, number), gap
        for name, series in band_series.items():
            for band in range(series.image.shape[1]):
                hidden = Hidden(name, band, number)
                if name in CONSTANT_SENSORS:
                    yield hidden, base
                elif preparation.kind == "interpolated":
                    yield hidden, _with_band(base, name, band, gap.series[name].image[:, band])
                else:
                    yield hidden, _with_mean(base, name, band, curves, periods.number_of(_days(series)) == number)


def _with_mean(sample: Sample, name: str, band: int, curves: "Curves", where: NDArray[np.bool_]) -> Sample:
    """The sample with the mean series in a band, `where` (broadcast to T, H, W) it is valid."""
    series = sample.series[name]
    mean = curves[name].of_band(band, _days(series))
    return _with_band(sample, name, band, np.where(where & series.valid, mean, series.image[:, band]))


def _with_band(sample: Sample, name: str, band: int, values: NDArray[np.float32]) -> Sample:
    """The sample with other values (T, H, W) of a band."""
    series: Series = sample.series[name]
    image = series.image.copy()
    image[:, band] = values
    return replace(sample, series={**sample.series, name: replace(series, image=image)})
