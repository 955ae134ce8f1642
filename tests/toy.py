"""A toy project: a cube written directly, two crops and other land in square fields, learnable in a few steps."""

from datetime import date, timedelta
from pathlib import Path

import geopandas
import numpy as np
from affine import Affine
from shapely import box

from agrifm.config import Project, read_project
from agrifm.cube.store import create_root, create_sensor
from agrifm.files import MARKER, write_json
from agrifm.grid import LONLAT, Grid, reproject
from agrifm.record import SensorInput
from agrifm.season import Season

SEASON = Season(date(2024, 4, 1), date(2024, 6, 29))
SIDE = 192
"""Pixels of 10 m."""
FIELD = 12
VISIBLE = ("B02", "B03", "B04")
CLASSES = ("maize", "wheat", "other")
PROJECT = """\
[season]
area = [2.31, 46.91, 2.34, 46.93]
start = 2024-04-01
end = 2024-06-29
[imagery]
catalog = "unused.json"
products = ["sentinel-2-c1-l2a"]
[labels]
file = "labels.gpkg"
block = 480
[model]
names = [{names}]
frames = 4
side = 48
steps = {steps}
batch = 2
{more}
[map]
overlap = 0
"""


def toy_project(
    directory: Path,
    steps: int = 4,
    names: str = '"agrifm"',
    seed: int = 0,
    more: str = "",
    bands: tuple[str, ...] = ("B04", "B08"),
) -> Project:
    """Write cube, labels and project file with `more` under [model]; returns the project.

    Args:
        bands: of Sentinel-2.
    """
    directory.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    grid = Grid.of("EPSG:32631", Affine(10, 0, 447840, 0, -10, 5197440), (SIDE, SIDE))
    field_class = generator.integers(3, size=(SIDE // FIELD, SIDE // FIELD))
    label = field_class.repeat(FIELD, 0).repeat(FIELD, 1)
    _write_cube(directory / "cube.zarr", grid, label, generator, bands)
    _write_labels(directory / "labels.gpkg", grid, field_class)
    (directory / "agrifm.toml").write_text(PROJECT.format(steps=steps, names=names, more=more), encoding="utf-8")
    return read_project(directory)


def _write_cube(
    path: Path, grid: Grid, label: np.ndarray, generator: np.random.Generator, bands_of_sentinel_2: tuple[str, ...]
) -> None:
    days = [SEASON.start + timedelta(days=10 * number) for number in range(9)]
    area = reproject(box(*grid.bounds), str(grid.crs), LONLAT)
    root = create_root(path, SEASON, area)
    # maize greens late, wheat early, other land stays as it is
    curves = np.stack([np.linspace(0.1, 0.5, 9), np.linspace(0.5, 0.1, 9), np.full(9, 0.3)])
    for sensor, ratio, bands in (("sentinel-2", 1, bands_of_sentinel_2), ("landsat", 3, ("B04", "B05"))):
        own = grid.at(10 * ratio)
        content = SensorInput(
            sensor=sensor, bands=bands, quantity="surface reflectance", scale=1e-4, resolution=10 * ratio
        )
        group = create_sensor(root, content, own, days, None)
        clear = curves[label[::ratio, ::ratio]].transpose(2, 0, 1)
        noise = generator.normal(0, 0.02, (9, len(bands), *own.shape))
        reflectance = np.stack([0.4 - 0.5 * clear if band in VISIBLE else clear for band in bands], axis=1) + noise
        valid = generator.random((9, *own.shape)) < 0.8
        valid[:, :2, :2] = False
        group["values"][...] = np.round(reflectance / 1e-4).astype(np.int16)
        group["valid"][...] = valid
    about = dict(root.attrs["agrifm"])
    root.attrs["agrifm"] = {**about, "sensors": ["landsat", "sentinel-2"], "provenance": {"plan": "toy"}}
    write_json(path / MARKER, {"kind": "cube"})


def _write_labels(path: Path, grid: Grid, field_class: np.ndarray) -> None:
    left, _, _, top = grid.bounds
    side = 10 * FIELD
    squares = [
        box(left + col * side, top - (row + 1) * side, left + (col + 1) * side, top - row * side)
        for row, col in np.ndindex(*field_class.shape)
    ]
    codes = [CLASSES[number] for number in field_class.ravel()]
    geopandas.GeoDataFrame({"crop": codes}, geometry=squares, crs=str(grid.crs)).to_file(path, driver="GPKG")
