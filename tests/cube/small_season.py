"""A small season with known physics, written straight into a cube: fields of different crops over two by two squares.

Spectra are round numbers of green canopies and of bare soil after Jensen 2007 (Remote Sensing of the Environment,
chapters 11 and 14), by wavelength; a field's green cover rises and falls once. Nothing here comes from the code under
test.
"""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import zarr
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from tests.scenes import AREA, LEFT, SEASON, TOP, UTM

from agrifm.cube.store import Cube, create_root, create_sensor, open_cube
from agrifm.grid import Grid
from agrifm.record import SensorInput
from agrifm.sensors import SENSORS

WAVELENGTH = (480, 560, 660, 705, 740, 783, 833, 865, 1240, 1610, 2200)
CANOPY = (0.03, 0.07, 0.035, 0.11, 0.30, 0.40, 0.42, 0.44, 0.38, 0.20, 0.09)
SOIL = (0.08, 0.11, 0.15, 0.17, 0.19, 0.21, 0.225, 0.24, 0.29, 0.33, 0.27)
PRODUCTS = {
    "sentinel-2": "sentinel-2-c1-l2a",
    "landsat": "landsat-c2-l2",
    "hls-s30": "hls-s30-planetary-computer",
}
STEP = {"sentinel-2": 10, "landsat": 16, "hls-s30": 10}
"""Days between the frames of a sensor."""
LENGTH = {"sentinel-2": 185, "landsat": 150, "hls-s30": 185}
"""Days from 20 March on that a sensor looks; Landsat's dates can move by 30 days within the season."""
SIZE = 960
FINE = 5
"""Metres of a pixel of the ground."""


def green_cover(day: int, seed: int) -> NDArray[np.float64]:
    """(192, 192) share of green canopy on a day of the year, fields of about 100 m with a texture within."""
    draw = np.random.default_rng(seed)
    cells = draw.integers(0, 90, (14, 14))
    rows, cols = np.indices((SIZE // FINE, SIZE // FINE))
    lean = (rows + 3 * np.sin(cols / 9)) // 16, (cols + 4 * np.cos(rows / 11)) // 15
    field = cells[np.clip(lean[0].astype(int), 0, 13), np.clip(lean[1].astype(int), 0, 13)]
    texture = gaussian_filter(draw.normal(size=field.shape), 1.0)
    peak = 150 + field  # the day on which a field is greenest
    cover = np.exp(-(((day - peak) / 45.0) ** 2))
    return np.clip(cover * 0.95 + 0.12 * texture, 0, 1)


def spectrum(of: tuple[float, ...], sensor: str) -> NDArray[np.float64]:
    """Reflectance in the bands of a sensor."""
    return np.interp([band.wavelength for band in SENSORS[sensor].bands], WAVELENGTH, of)


def averaged(plane: NDArray[np.float64], ratio: int) -> NDArray[np.float64]:
    height, width = plane.shape
    return plane.reshape(height // ratio, ratio, width // ratio, ratio).mean(axis=(1, 3))


def reflectances(sensor: str, day: int, seed: int) -> NDArray[np.float64]:
    """(bands, rows, columns) on the cube's pixels; bands of 20 m come interpolated, as they do from files."""
    record, cover = SENSORS[sensor], green_cover(day, seed)
    planes = []
    for band, canopy, soil in zip(record.bands, spectrum(CANOPY, sensor), spectrum(SOIL, sensor), strict=True):
        own = averaged(cover * canopy + (1 - cover) * soil, round(band.ground_sampling_distance) // FINE)
        ratio = round(band.ground_sampling_distance) / record.resolution
        planes.append(own if ratio == 1 else zoom(own, ratio, order=1, grid_mode=True, mode="nearest"))
    noise = np.random.default_rng([seed, day, record.resolution]).normal(size=(len(planes), *planes[0].shape))
    return np.stack(planes) * (1 + 0.01 * noise)


def small_season(path: Path, sensors: tuple[str, ...] = ("sentinel-2", "landsat"), seed: int = 1) -> Cube:
    """Write a cube of those sensors, clear every day but for a cloud in a corner of every third frame."""
    root = create_root(path, SEASON, AREA)
    about = {}
    for sensor in sensors:
        record = SENSORS[sensor]
        side = SIZE // record.resolution
        grid = Grid.of(UTM, Affine(record.resolution, 0, LEFT, 0, -record.resolution, TOP), (side, side))
        content = SensorInput(
            sensor=sensor,
            bands=record.band_names,
            quantity="surface reflectance",
            scale=1e-4,
            resolution=record.resolution,
        )
        days = [date(2024, 3, 20) + timedelta(days=number) for number in range(0, LENGTH[sensor], STEP[sensor])]
        group = create_sensor(root, content, grid, days, None)
        frames = []
        for number, day in enumerate(days):
            group["values"][number] = np.rint(reflectances(sensor, day.timetuple().tm_yday, seed) * 1e4)
            valid = np.ones(grid.shape, bool)
            valid[: side // 6 * (number % 3 == 2), : side // 6] = False
            group["valid"][number] = valid
            frames.append({"day": str(day), "scenes": [str(day)], "valid_share": round(float(valid.mean()), 4)})
        about[sensor] = {"product": PRODUCTS[sensor], "scale": 1e-4, "frames": frames}
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": list(sensors), "provenance": {"sensors": about}}
    return open_cube(path)


def group_of(path: Path, sensor: str) -> zarr.Group:
    """A sensor's group, to be damaged."""
    group = zarr.open_group(path, mode="r+")[sensor]
    assert isinstance(group, zarr.Group)
    return group
