"""What the page shows of one place: its crop, how sure that is, and its series.

Shape letters: T frames, C bands.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from agrifm.assess.index_curves import INDEX_NAMES, WITHOUT_CURVES, pixel_metres
from agrifm.classic.indices import index_pairs, normalised_differences
from agrifm.cube.store import Cube, SensorCube
from agrifm.errors import AgriFMError
from agrifm.grid import LONLAT, Grid, Window
from agrifm.legend import UNLABELLED
from agrifm.record import NUMBERS
from agrifm.serve.map_layers import PageLayer, open_layer
from agrifm.serve.picture_titles import sensor_title

PROBABILITIES = "probabilities.tif"
"""File of a map with the probabilities of all classes, if it was asked for."""


def pixel_at(grid: Grid, lon: float, lat: float) -> tuple[int, int] | None:
    """Row and column of the pixel of a grid at a place in degrees; None where it is not on the grid."""
    x, y = Transformer.from_crs(LONLAT, grid.crs.to_wkt(), always_xy=True).transform(lon, lat)
    transform = grid.transform
    col, row = (x - transform.c) / transform.a, (y - transform.f) / transform.e
    if not (0 <= row < grid.shape[0] and 0 <= col < grid.shape[1]):
        return None
    return int(row), int(col)


def map_answer(layers: Mapping[str, PageLayer], lon: float, lat: float) -> dict[str, Any] | None:
    """The value of every layer at a place, and the probabilities if they were written; None outside the map.

    Args:
        layers: the first one is that of the crops, or of the numbers of a map, and has one raster.

    Raises:
        ServeError: a file is damaged.
    """
    first = next(iter(layers.values()))
    place = pixel_at(first.grid, lon, lat)
    if place is None:
        return None
    values = {key: _value_at(layer, lon, lat) for key, layer in layers.items()}
    known = values[first.key] is not None
    return {"pixel": place, "values": values, "probabilities": _shares(first, *place) if known else None}


def _value_at(layer: PageLayer, lon: float, lat: float) -> float | None:
    """The value of a layer at a place: of the first raster that has one there."""
    for raster in layer.rasters:
        west, south, east, north = raster.bounds
        place = pixel_at(raster.grid, lon, lat) if west <= lon <= east and south <= lat <= north else None
        value = None if place is None else raster.value(*place)
        if value is not None:
            return value
    return None


def _shares(first: PageLayer, row: int, col: int) -> list[float] | None:
    """Probability of each class of the legend 0 to 1, or its share of the pixel; None if the map has neither."""
    shares = first.path.name == NUMBERS["fractions"]
    path = first.path if shares else first.path.with_name(PROBABILITIES)
    if first.legend is None or not path.exists():
        return None
    with open_layer(path) as source:
        stored = source.read(window=rasterio.windows.Window(col, row, 1, 1))[:, 0, 0]
    if not stored.any() or (not shares and (stored == UNLABELLED).any()):
        return None
    return [round(float(share), 4) for share in stored / stored.sum(dtype=np.float64)]


def series_answer(cube: Cube, lon: float, lat: float) -> list[dict[str, Any]]:
    """The series of each sensor at a place: days, and values by index and by band, None where not observed.

    A sensor that is damaged has its sentence instead.
    """
    found = []
    for sensor in sensors_with_curves(cube):
        place = pixel_at(sensor.grid, lon, lat)
        if place is None:
            continue
        about = sensor_facts(sensor)
        try:
            found.append({**about, **_series(sensor, *place)})
        except AgriFMError as error:
            found.append({**about, "fault": str(error)})
    return found


def sensors_with_curves(cube: Cube) -> list[SensorCube]:
    """The sensors whose series are shown, those of the smallest pixels first."""
    shown = [sensor for sensor in cube.sensors.values() if sensor.input.quantity not in WITHOUT_CURVES]
    return sorted(shown, key=lambda sensor: pixel_metres(sensor.grid))


def sensor_facts(sensor: SensorCube) -> dict[str, Any]:
    """Name and title of a sensor, the side of its pixels and what it measures."""
    return {
        "key": sensor.input.sensor,
        "title": sensor_title(sensor),
        "metres": round(pixel_metres(sensor.grid)),
        "quantity": sensor.input.quantity,
    }


def _series(sensor: SensorCube, row: int, col: int) -> dict[str, Any]:
    image, valid, day = sensor.read(Window(row, col, 1, 1))
    usable = valid[:, 0, 0]
    days = sensor.date if day is None else np.where(usable, day[:, 0, 0], sensor.date)
    return {"days": days.tolist(), "curves": curves_of(sensor, image[:, :, 0, 0], usable)}


def curves_of(sensor: SensorCube, image: NDArray[np.float32], usable: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Names and values of the indices and bands of a series, None where it is not usable.

    Args:
        image: (T, C), in the quantity's unit.
        usable: (T,).
    """
    pixels, curves = image[:, :, None], {}
    if sensor.input.quantity.endswith("reflectance"):
        for pair, values in zip(index_pairs(sensor.input), normalised_differences(pixels, sensor.input), strict=True):
            curves[INDEX_NAMES[pair]] = values[:, 0, 0]
    for number, band in enumerate(sensor.input.bands):
        curves[band] = pixels[:, number, 0]
    return [
        {
            "name": name,
            "values": [round(float(value), 4) if seen else None for value, seen in zip(values, usable, strict=True)],
        }
        for name, values in curves.items()
    ]
