"""Band roles and vegetation indices, by the common names of bands.

Shape letters: F steps, C bands, P pixels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Rows
from agrifm.record import SensorInput
from agrifm.sensors import SENSORS

INDICES = (("nir", "red"), ("nir", "swir16"), ("nir", "rededge071"), ("green", "blue"))
"""Pairs of bands, by common name, for normalised differences: greenness, moisture, chlorophyll, yellow bloom."""
MIN_REFLECTANCE_SUM = 0.02
"""Smallest sum of two reflectances in a normalised difference; below it the difference is noise."""
GREENNESS = ("ndvi", "evi")
"""Names of bands that are a greenness themselves, in small letters; the first that a sensor has is used."""


def band_roles(sensor: SensorInput) -> dict[str, int]:
    """Return the number of the band for each common name; unknown bands have none.

    The bands of a sensor that is not in `agrifm.sensors` are known by common names, such as `nir`. Without the wide
    near infrared the narrow one takes its place, as in tables of Sentinel-2 with B8A alone.
    """
    known = SENSORS[sensor.sensor].bands if sensor.sensor in SENSORS else ()
    common = {band.name: band.common_name for band in known}
    roles = {common.get(band, band): number for number, band in enumerate(sensor.bands) if not known or band in common}
    return {"nir": roles["nir08"], **roles} if "nir08" in roles else roles


def index_pairs(sensor: SensorInput) -> list[tuple[str, str]]:
    """Return the pairs of `INDICES` whose two bands the sensor has."""
    roles = band_roles(sensor).keys()
    return [pair for pair in INDICES if set(pair) <= roles]


def normalised_differences(pixels_FCP: NDArray[np.float32], sensor: SensorInput) -> list[NDArray[np.float32]]:
    """Return normalised differences (F, 1, P) of the pairs of `index_pairs`, in their order."""
    column = band_roles(sensor)
    differences = []
    for pair in index_pairs(sensor):
        first, second = (pixels_FCP[:, column[name], None] for name in pair)
        differences.append((first - second) / np.maximum(first + second, np.float32(MIN_REFLECTANCE_SUM)))
    return differences


def greenness(pixels_FCP: NDArray[np.float32], sensor: SensorInput) -> NDArray[np.float32] | None:
    """Return the greenness (F, P) of a sensor: a band that is one, or that of near infrared and red; None without."""
    names = {band.lower(): number for number, band in enumerate(sensor.bands)}
    for name in GREENNESS:
        if name in names:
            return pixels_FCP[:, names[name]]
    if {"nir", "red"} <= band_roles(sensor).keys():
        return normalised_differences(pixels_FCP, sensor)[0][:, 0]
    return None


def rule_numbers(
    values: Sequence[Rows], sensors: Sequence[SensorInput], day: NDArray[np.integer]
) -> tuple[tuple[str, ...], Rows]:
    """Return the names of the numbers of the season, and the numbers (P, numbers).

    They are those with which maps were made before models learned: the greatest greenness, its amplitude and the day of
    its maximum; and the greatest difference of wetness and greenness, which is high where a field is flooded before it
    is green, as paddy rice is (Xiao et al. 2005, "Mapping paddy rice agriculture in southern China using multi-temporal
    MODIS images", Remote Sensing of Environment 95, 480-492). They are of the first sensor that has a greenness;
    without one, the season's mean of the first band.

    Args:
        values: by sensor (F, C, P), interpolated to the same steps.
        sensors: bands of each, in the same order.
        day: (F,), days of the steps since the season's start.
    """
    for series, sensor in zip(values, sensors, strict=True):
        green = greenness(series, sensor)
        if green is None:
            continue
        highest = green.max(axis=0)
        found = {
            f"greatest greenness ({sensor.sensor})": highest,
            f"amplitude of greenness ({sensor.sensor})": highest - green.min(axis=0),
            f"day of the greatest greenness ({sensor.sensor})": day[green.argmax(axis=0)],
        }
        roles = band_roles(sensor)
        if {"nir", "swir16"} <= roles.keys():
            near, short = (series[:, roles[name]] for name in ("nir", "swir16"))
            wetness = (near - short) / np.maximum(near + short, np.float32(MIN_REFLECTANCE_SUM))
            found[f"greatest wetness less greenness ({sensor.sensor})"] = (wetness - green).max(axis=0)
        return tuple(found), np.stack(list(found.values()), axis=1).astype(np.float32)
    name = f"mean of {sensors[0].bands[0]} ({sensors[0].sensor})"
    return (name,), values[0][:, 0].mean(axis=0)[:, None].astype(np.float32)


def notes_on_bands(sensors: Sequence[SensorInput]) -> list[str]:
    """Return a sentence for each sensor of reflectance that has no greenness because of the names of its bands."""
    notes = []
    for sensor in sensors:
        none = greenness(np.zeros((1, len(sensor.bands), 0), np.float32), sensor) is None
        if none and sensor.quantity.endswith("reflectance"):
            notes.append(
                f"'{sensor.sensor}' has no bands known as `nir` and `red` (it has {', '.join(sensor.bands)}), so "
                "classic models use neither vegetation indices nor phenology of it; name bands by their common names "
                "(blue, green, red, rededge071, nir, swir16, swir22)"
            )
    return notes
