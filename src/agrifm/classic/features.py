"""What a random forest sees of a pixel: its series, their statistics in time, and the same of its neighbourhood.

One function makes the rows for training, scoring and mapping. Each kind of features begins with those of the kind
before it, so that a forest of any kind takes the first columns.

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
Kind = Literal["series", "statistics", "neighbourhood"]
KINDS: tuple[Kind, ...] = get_args(Kind)

REACH = 2
"""Pixels on each side that belong to a neighbourhood: 5 x 5."""
INDICES = (("nir", "red"), ("nir", "swir16"), ("nir", "rededge071"), ("green", "blue"))
"""Bands, by common name, of normalised differences: greenness, moisture, chlorophyll, yellow bloom."""
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
FAINT = 0.02
"""Least sum of two reflectances in a normalised difference; below it there is nothing but noise."""


def margin(kind: Kind) -> int:
    """Pixels around a window that the features of its pixels look at."""
    return REACH if kind == "neighbourhood" else 0


def features(sample: Sample, where: NDArray[np.bool_], sensors: Sequence[SensorInput], kind: Kind) -> Rows:
    """Rows (P, features) of the pixels of an interpolated sample, in row order; see `parts`."""
    return np.concatenate(parts(sample, where, sensors, kind), axis=1)


def parts(sample: Sample, where: NDArray[np.bool_], sensors: Sequence[SensorInput], kind: Kind) -> list[Rows]:
    """What each kind of features up to `kind` adds to those before it, rows (P, features).

    `series`: per sensor all bands at all steps; a coarser pixel lends its values to those that lie in it.
    `statistics`: of the first sensor's bands and normalised differences, quantiles, mean, deviation and amplitude
    over the steps, the steps of greatest and least greenness, and the normalised differences at all steps.
    `neighbourhood`: the first sensor's series averaged over the seen pixels of the 5 x 5 around the pixel, and the
    same statistics of that.

    Args:
        where: (H, W) of the sample, the pixels wanted. Beyond the sample's edge its pixels are mirrored.
        sensors: bands of each sensor, in the sample's order; the first has the sample's finest pixels.
    """
    rows, cols = np.nonzero(where)
    height = sample.label.shape[0]
    lent = []
    for series in sample.series.values():
        ratio = height // series.image.shape[-2]
        lent.append(_flat(series.image[:, :, rows // ratio, cols // ratio]))
    found = [np.concatenate(lent, axis=1)]
    finest = sensors[0]
    if kind != "series":
        found.append(_statistics(sample.series[finest.sensor].image[:, :, rows, cols], finest))
    if kind == "neighbourhood":
        around = _neighbourhood(sample, finest.sensor, rows, cols)
        found.append(np.concatenate([_flat(around), _statistics(around, finest)], axis=1))
    return found


def _flat(pixels_FCP: Rows) -> Rows:
    frames, bands, pixels = pixels_FCP.shape
    return pixels_FCP.reshape(frames * bands, pixels).T


def _statistics(pixels_FCP: Rows, sensor: SensorInput) -> Rows:
    """Numbers over the steps of bands and normalised differences, (P, features)."""
    differences = _differences(pixels_FCP, sensor)
    every = np.concatenate([pixels_FCP, *differences], axis=1)
    ordered = np.sort(every, axis=0)
    steps = np.rint(np.array(QUANTILES) * (len(ordered) - 1)).astype(int)
    numbers = [*ordered[steps], every.mean(axis=0), every.std(axis=0), ordered[-1] - ordered[0]]
    for one in differences[:1]:
        numbers += [one.argmax(axis=0), one.argmin(axis=0)]
    numbers += [one[:, 0] for one in differences]
    return np.concatenate(numbers).T.astype(np.float32)


def _differences(pixels_FCP: Rows, sensor: SensorInput) -> list[Rows]:
    """Normalised differences (F, 1, P) whose two bands the sensor has."""
    known = SENSORS[sensor.sensor].bands if sensor.sensor in SENSORS else ()
    place = {band.common_name: sensor.bands.index(band.name) for band in known if band.name in sensor.bands}
    pairs = [(place[one], place[other]) for one, other in INDICES if {one, other} <= place.keys()]
    found = []
    for one, other in pairs:
        first, second = pixels_FCP[:, one, None], pixels_FCP[:, other, None]
        found.append((first - second) / np.maximum(first + second, np.float32(FAINT)))
    return found


def _neighbourhood(sample: Sample, sensor: str, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Rows:
    """Mean series (F, C, P) of the seen pixels of the 5 x 5 around each pixel; 0 where none was seen."""
    series = sample.series[sensor]
    edge = (REACH, REACH)
    image = np.pad(series.image, ((0, 0), (0, 0), edge, edge), mode="symmetric")
    seen = np.pad(series.valid.any(axis=0), (edge, edge), mode="symmetric")
    total = np.zeros((*image.shape[:2], len(rows)), np.float32)
    count = np.zeros(len(rows), np.float32)
    for down in range(2 * REACH + 1):
        for right in range(2 * REACH + 1):
            own = seen[rows + down, cols + right]
            total += image[:, :, rows + down, cols + right] * own
            count += own
    return (total / np.maximum(count, 1)).astype(np.float32)
