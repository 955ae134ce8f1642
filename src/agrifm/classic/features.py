"""Features of a pixel for classic models: its series, indices, statistics, harmonics, phenology and neighbourhood.

Training, scoring and mapping make their rows by one function, for pixels of a cube and places of a table alike. Rows
are made of parts with names; `Columns` says where in a row each part is.

Shape letters: F steps, C bands, P pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.harmonics import harmonic_coefficients
from agrifm.classic.indices import greenness, normalised_differences, rule_numbers
from agrifm.classic.numbers import Rows
from agrifm.classic.order_statistics import order_statistics
from agrifm.classic.phenology import fit_phenology
from agrifm.classic.thermal import thermal_time
from agrifm.record import SensorInput

if TYPE_CHECKING:
    from agrifm.samples.sample import Sample

FeatureKind = Literal["series", "statistics", "neighbourhood"]
"""Kinds of features of random forests of older versions; each begins with those of the kind before it."""
FEATURE_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)
Part = Literal["series", "statistics", "neighbourhood", "harmonics", "phenology", "thermal time", "season rule"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Parts of a row, in the order in which rows have them."""

NEIGHBOURHOOD_MARGIN = 2
"""Pixels on each side of a pixel in its neighbourhood, which is 5 x 5."""
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def parts_of_kind(kind: FeatureKind) -> tuple[Part, ...]:
    """Return the parts of rows of a random forest of an older version."""
    return PARTS[: FEATURE_KINDS.index(kind) + 1]


def feature_margin(parts: Sequence[Part]) -> int:
    """Return how many pixels around a window the features of its pixels need."""
    return NEIGHBOURHOOD_MARGIN if "neighbourhood" in parts else 0


@dataclass(frozen=True)
class Columns:
    """What the columns of rows are: parts in order, made of series of these sensors at this number of steps."""

    sensors: tuple[SensorInput, ...]
    frames: int
    parts: tuple[Part, ...]

    @property
    def widths(self) -> dict[Part, int]:
        """Columns of each part."""
        return _widths(self.sensors, self.frames, self.parts)

    @property
    def width(self) -> int:
        """Columns of all parts together."""
        return sum(self.widths.values())

    def chosen(self, parts: Sequence[Part]) -> NDArray[np.intp]:
        """Return the numbers of the columns of these parts; parts that rows do not have are left out."""
        edges = np.cumsum([0, *self.widths.values()])
        ranges = {part: np.arange(edges[at], edges[at + 1]) for at, part in enumerate(self.widths)}
        return np.concatenate([ranges[part] for part in self.parts if part in parts] or [np.arange(0)])

    def series_of(self, rows: Rows) -> Rows:
        """Return the series (N, channels, F) in rows that begin with the part `series`: bands, then indices."""
        assert self.parts[0] == "series"
        channels, first = [], 0
        for sensor in self.sensors:
            last = first + self.frames * len(sensor.bands)
            bands = rows[:, first:last].reshape(len(rows), self.frames, len(sensor.bands)).transpose(0, 2, 1)
            channels.append(bands)
            differences = normalised_differences(bands.transpose(2, 1, 0), sensor)
            channels += [difference.transpose(2, 1, 0) for difference in differences]
            first = last
        return np.concatenate(channels, axis=1)


def pixel_features(
    sample: "Sample", where: NDArray[np.bool_], sensors: Sequence[SensorInput], parts: Sequence[Part], season_days: int
) -> Rows:
    """Return rows (P, features) of the pixels of an interpolated sample, in row order.

    Args:
        where: (H, W) of the sample, the requested pixels. Beyond the edge of the sample its pixels are mirrored.
        sensors: bands of each sensor, in the sample's order; the first has the sample's finest pixels. A coarse pixel
            gives its values to the target pixels inside it.
        parts: see `series_features`; and `neighbourhood`, the first sensor's series averaged over the valid pixels of
            the 5 x 5 around the pixel, with the statistics of that average.
        season_days: length of the season.
    """
    rows, cols = np.nonzero(where)
    height = sample.label.shape[0]
    values = []
    for series in sample.series.values():
        ratio = height // series.image.shape[-2]
        values.append(series.image[:, :, rows // ratio, cols // ratio])
    day = next(iter(sample.series.values())).date - sample.season_start
    made = series_features(values, sensors, parts, day, season_days)
    if "neighbourhood" in parts:
        around = _neighbourhood(sample, sensors[0].sensor, rows, cols)
        made["neighbourhood"] = np.concatenate([_flat(around), _statistics(around, sensors[0])], axis=1)
    return np.concatenate([made[part] for part in PARTS if part in parts], axis=1)


def series_features(
    values: Sequence[Rows],
    sensors: Sequence[SensorInput],
    parts: Sequence[Part],
    day: NDArray[np.integer],
    season_days: int,
) -> dict[Part, Rows]:
    """Return the parts of rows that need no neighbours, (P, features) each.

    `series`: all bands of each sensor at all steps.
    `statistics`: of the first sensor's bands and normalised differences, quantiles, mean, deviation and amplitude
    over the steps, the steps of greatest and least greenness, and the normalised differences at all steps.
    `harmonics`: coefficients of the harmonic regression of every band and normalised difference of every sensor.
    `phenology`: the double logistic of the first sensor that has a greenness; no column without one.
    `thermal time`: sums of temperature above 0 degrees Celsius, of every sensor of temperature.
    `season rule`: the numbers of the naive rule (`agrifm.classic.indices`).

    Args:
        values: by sensor (F, C, P), interpolated to the same steps.
        sensors: bands of each, in the same order.
        day: (F,), days of the steps since the season's start.
    """
    made: dict[Part, Rows] = {}
    if "series" in parts:
        made["series"] = np.concatenate([_flat(pixels) for pixels in values], axis=1)
    if "statistics" in parts:
        made["statistics"] = _statistics(values[0], sensors[0])
    if "harmonics" in parts:
        made["harmonics"] = _harmonics(values, sensors, day, season_days)
    pixels = values[0].shape[2]
    if "phenology" in parts:
        made["phenology"] = np.zeros((pixels, 0), np.float32)
        known = (greenness(series, sensor) for series, sensor in zip(values, sensors, strict=True))
        green = next((one for one in known if one is not None), None)
        if green is not None:
            made["phenology"] = fit_phenology(green, day, season_days).table()
    if "thermal time" in parts:
        warm = [
            thermal_time(series[:, 0], day).T
            for series, sensor in zip(values, sensors, strict=True)
            if sensor.quantity == "temperature"
        ]
        made["thermal time"] = np.concatenate([np.zeros((pixels, 0), np.float32), *warm], axis=1)
    if "season rule" in parts:
        made["season rule"] = rule_numbers(values, sensors, day)[1]
    return made


@lru_cache(maxsize=32)
def _widths(sensors: tuple[SensorInput, ...], frames: int, parts: tuple[Part, ...]) -> dict[Part, int]:
    values = [np.zeros((frames, len(sensor.bands), 1), np.float32) for sensor in sensors]
    made = series_features(values, sensors, parts, np.arange(frames), frames)
    if "neighbourhood" in parts:
        made["neighbourhood"] = np.concatenate([_flat(values[0]), _statistics(values[0], sensors[0])], axis=1)
    return {part: made[part].shape[1] for part in PARTS if part in parts}


def _flat(pixels_FCP: Rows) -> Rows:
    frames, bands, pixels = pixels_FCP.shape
    return pixels_FCP.reshape(frames * bands, pixels).T


def _statistics(pixels_FCP: Rows, sensor: SensorInput) -> Rows:
    """Statistics over the steps of bands and normalised differences, (P, features)."""
    differences = normalised_differences(pixels_FCP, sensor)
    every = np.concatenate([pixels_FCP, *differences], axis=1)
    # quantiles are values that occur, at the nearest rank
    ranks = np.rint(np.array(QUANTILES) * (len(every) - 1)).astype(int).tolist()
    quantiles = order_statistics(every, tuple(ranks))
    mean = every.mean(axis=0)
    centred = every - mean
    spread = np.sqrt(np.einsum("fcp,fcp->cp", centred, centred) / np.float32(len(every)))
    numbers = [*quantiles, mean, spread, quantiles[-1] - quantiles[0]]
    for green in differences[:1]:
        numbers += [green.argmax(axis=0), green.argmin(axis=0)]
    numbers += [difference[:, 0] for difference in differences]
    return np.concatenate(numbers).T.astype(np.float32)


def _harmonics(
    values: Sequence[Rows], sensors: Sequence[SensorInput], day: NDArray[np.integer], season_days: int
) -> Rows:
    """Coefficients of bands and normalised differences, (P, features)."""
    parts = []
    for series, sensor in zip(values, sensors, strict=True):
        every = np.concatenate([series, *normalised_differences(series, sensor)], axis=1)
        frames, bands, pixels = every.shape
        flat = every.reshape(frames, bands * pixels)
        found = harmonic_coefficients(flat, np.ones(flat.shape, bool), day.astype(np.float64), season_days)
        parts.append(found.reshape(len(found) * bands, pixels).T)
    return np.concatenate(parts, axis=1)


def _neighbourhood(sample: "Sample", sensor: str, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Rows:
    """Mean series (F, C, P) of the valid pixels of the 5 x 5 around each pixel; 0 if none is valid."""
    series = sample.series[sensor]
    edge = (NEIGHBOURHOOD_MARGIN, NEIGHBOURHOOD_MARGIN)
    image = np.pad(series.image, ((0, 0), (0, 0), edge, edge), mode="symmetric")
    observed = np.pad(series.valid.any(axis=0), (edge, edge), mode="symmetric")
    total = np.zeros((*image.shape[:2], len(rows)), np.float32)
    count = np.zeros(len(rows), np.float32)
    for down in range(2 * NEIGHBOURHOOD_MARGIN + 1):
        for right in range(2 * NEIGHBOURHOOD_MARGIN + 1):
            counted = observed[rows + down, cols + right]
            total += image[:, :, rows + down, cols + right] * counted
            count += counted
    return (total / np.maximum(count, 1)).astype(np.float32)
