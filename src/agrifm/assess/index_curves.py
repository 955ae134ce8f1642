"""Curves of indices, or of bands where a sensor has none, of single pixels of a cube."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from agrifm.classic.indices import index_pairs, normalised_differences
from agrifm.cube.store import Cube, SensorCube
from agrifm.grid import Grid, Window
from agrifm.sensors import SENSORS

MAX_PIXEL = 60
"""Metres; larger pixels show no fields."""
INDEX_NAMES = {
    ("nir", "red"): "NDVI", ("nir", "swir16"): "NDMI", ("nir", "rededge071"): "NDRE", ("green", "blue"): "Green-blue",
}  # fmt: skip
"""Names of normalised differences, by their bands."""
MOST_BANDS = 3
"""Curves of a sensor that has no indices, one for each of its first bands."""
WITHOUT_CURVES = ("terrain",)
"""Quantities that do not change in a season."""
BEYOND_AXIS = 0.005
"""Share of the values of a curve that may be beyond either end of its axis."""


@dataclass(frozen=True)
class IndexCurve:
    """An index of one sensor at a point, without the days on which it was not observed."""

    sensor: str
    """Title of the sensor, and the side of its pixels if they are large."""
    name: str
    days: tuple[int, ...]
    """Days since 1970-01-01."""
    values: tuple[float, ...]


def pixel_metres(grid: Grid) -> float:
    """Return the side of a pixel in the middle of a grid, metres."""
    return float(np.sqrt(grid.pixel_hectares()[grid.shape[0] // 2] * 1e4))


def by_pixel(cube: Cube) -> list[SensorCube]:
    """The sensors of a cube, the smallest pixels first."""
    return sorted(cube.sensors.values(), key=lambda sensor: pixel_metres(sensor.grid))


def read_curves(sensor: SensorCube, row: int, col: int) -> list[IndexCurve]:
    """Curves of the pixel of a point."""
    content = sensor.input
    if content.quantity in WITHOUT_CURVES:
        return []
    image, valid, day = sensor.read(Window(row, col, 1, 1))
    usable = valid[:, 0, 0]
    days = (sensor.date if day is None else day[:, 0, 0])[usable]
    pixels = image[usable, :, :, 0]
    names = _curve_names(sensor)
    if content.quantity.endswith("reflectance"):
        series = [difference[:, 0, 0] for difference in normalised_differences(pixels, content)]
    else:
        series = [pixels[:, number, 0] for number in range(len(names))]
    title = _curve_title(sensor)
    order = np.argsort(days, kind="stable")
    return [
        IndexCurve(title, name, tuple(days[order].tolist()), tuple(np.round(values[order], 3).astype(float).tolist()))
        for name, values in zip(names, series, strict=True)
    ]


def curve_names(cube: Cube) -> tuple[list[str], list[str]]:
    """Return the names of the curves of a cube, and the titles of their sensors, each once."""
    pairs = [
        (name, _curve_title(sensor))
        for sensor in by_pixel(cube)
        if sensor.input.quantity not in WITHOUT_CURVES
        for name in _curve_names(sensor)
    ]
    return list(dict.fromkeys(name for name, _ in pairs)), list(dict.fromkeys(title for _, title in pairs))


def index_ranges(curves: Iterable[IndexCurve]) -> dict[str, tuple[float, float]]:
    """Return lowest and highest value of the axis of each curve, the same for all points, so that they can be compared.

    One of two hundred values may be beyond either end.
    """
    values: dict[str, list[float]] = {}
    for curve in curves:
        values.setdefault(curve.name, []).extend(curve.values)
    ranges = {}
    for name, found in values.items():
        if not found:
            continue
        low, high = np.quantile(found, (BEYOND_AXIS, 1 - BEYOND_AXIS), method="nearest").tolist()
        margin = max((high - low) * 0.05, 0.02)
        ranges[name] = (low - margin, high + margin)
    return ranges


def _curve_names(sensor: SensorCube) -> list[str]:
    content = sensor.input
    if content.quantity.endswith("reflectance"):
        return [INDEX_NAMES[pair] for pair in index_pairs(content)]
    return [f"{band}, {content.quantity}" for band in content.bands[:MOST_BANDS]]


def _curve_title(sensor: SensorCube) -> str:
    name, side = sensor.input.sensor, pixel_metres(sensor.grid)
    title = SENSORS[name].title if name in SENSORS else name
    return f"{title}, pixel of {side:.0f} m" if side > MAX_PIXEL else title
