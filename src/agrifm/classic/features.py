"""Features of a pixel for a random forest: its series, their statistics in time, and those of its neighbourhood.

Training, scoring and mapping make their rows by one function. Each kind of features begins with those of the kind
before it, so a forest of any kind uses the first columns.

Shape letters: F steps, C bands, P pixels.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agrifm.record import SensorInput
from agrifm.samples.sample import Sample
from agrifm.sensors import SENSORS

Rows = NDArray[np.float32]
FeatureKind = Literal["series", "statistics", "neighbourhood"]
FEATURE_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)

NEIGHBOURHOOD_MARGIN = 2
"""Pixels on each side of a pixel in its neighbourhood, which is 5 x 5."""
INDICES = (("nir", "red"), ("nir", "swir16"), ("nir", "rededge071"), ("green", "blue"))
"""Pairs of bands, by common name, for normalised differences: greenness, moisture, chlorophyll, yellow bloom."""
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
MIN_REFLECTANCE_SUM = 0.02
"""Smallest sum of two reflectances in a normalised difference; below it the difference is noise."""


def feature_margin(kind: FeatureKind) -> int:
    """Return how many pixels around a window the features of its pixels need."""
    return NEIGHBOURHOOD_MARGIN if kind == "neighbourhood" else 0


def pixel_features(sample: Sample, where: NDArray[np.bool_], sensors: Sequence[SensorInput], kind: FeatureKind) -> Rows:
    """Return rows (P, features) of the pixels of an interpolated sample, in row order; see `feature_parts`."""
    return np.concatenate(feature_parts(sample, where, sensors, kind), axis=1)


def feature_parts(
    sample: Sample, where: NDArray[np.bool_], sensors: Sequence[SensorInput], kind: FeatureKind
) -> list[Rows]:
    """Return what each kind of features up to `kind` adds to those before it, rows (P, features).

    `series`: all bands of each sensor at all steps; a coarse pixel gives its values to the target pixels inside it.
    `statistics`: of the first sensor's bands and normalised differences, quantiles, mean, deviation and amplitude
    over the steps, the steps of greatest and least greenness, and the normalised differences at all steps.
    `neighbourhood`: the first sensor's series averaged over the valid pixels of the 5 x 5 around the pixel, and the
    same statistics of that average.

    Args:
        where: (H, W) of the sample, the requested pixels. Beyond the edge of the sample its pixels are mirrored.
        sensors: bands of each sensor, in the sample's order; the first has the sample's finest pixels.
    """
    rows, cols = np.nonzero(where)
    height = sample.label.shape[0]
    values = []
    for series in sample.series.values():
        ratio = height // series.image.shape[-2]
        values.append(_flat(series.image[:, :, rows // ratio, cols // ratio]))
    result = [np.concatenate(values, axis=1)]
    finest = sensors[0]
    if kind != "series":
        result.append(_statistics(sample.series[finest.sensor].image[:, :, rows, cols], finest))
    if kind == "neighbourhood":
        around = _neighbourhood(sample, finest.sensor, rows, cols)
        result.append(np.concatenate([_flat(around), _statistics(around, finest)], axis=1))
    return result


def _flat(pixels_FCP: Rows) -> Rows:
    frames, bands, pixels = pixels_FCP.shape
    return pixels_FCP.reshape(frames * bands, pixels).T


def _statistics(pixels_FCP: Rows, sensor: SensorInput) -> Rows:
    """Statistics over the steps of bands and normalised differences, (P, features)."""
    differences = _differences(pixels_FCP, sensor)
    every = np.concatenate([pixels_FCP, *differences], axis=1)
    ordered = np.sort(every, axis=0)
    # quantiles are values that occur, at the nearest rank
    steps = np.rint(np.array(QUANTILES) * (len(ordered) - 1)).astype(int)
    numbers = [*ordered[steps], every.mean(axis=0), every.std(axis=0), ordered[-1] - ordered[0]]
    for greenness in differences[:1]:
        numbers += [greenness.argmax(axis=0), greenness.argmin(axis=0)]
    numbers += [difference[:, 0] for difference in differences]
    return np.concatenate(numbers).T.astype(np.float32)


def _differences(pixels_FCP: Rows, sensor: SensorInput) -> list[Rows]:
    """Normalised differences (F, 1, P) of the pairs whose two bands the sensor has."""
    known = SENSORS[sensor.sensor].bands if sensor.sensor in SENSORS else ()
    common = {band.name: band.common_name for band in known}
    # a sensor that a project describes has bands under their common names
    column = {common.get(band, band): number for number, band in enumerate(sensor.bands) if not known or band in common}
    pairs = [(column[first], column[second]) for first, second in INDICES if {first, second} <= column.keys()]
    differences = []
    for first_column, second_column in pairs:
        first, second = pixels_FCP[:, first_column, None], pixels_FCP[:, second_column, None]
        differences.append((first - second) / np.maximum(first + second, np.float32(MIN_REFLECTANCE_SUM)))
    return differences


def _neighbourhood(sample: Sample, sensor: str, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Rows:
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
