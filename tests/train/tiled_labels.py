"""A divided area over two UTM zones with cubes and parcels; the near infrared of June alone tells two crops apart."""

from datetime import date
from pathlib import Path

import geopandas
import numpy as np
from pyproj import Transformer
from shapely import box
from tests.cube.tiled import tiled_project

from agrifm.area_tiles import LISTED, tile_grid, write_tile_list
from agrifm.config import Project, read_project
from agrifm.cube.project_tiles import project_tiles
from agrifm.cube.store import create_root, create_sensor
from agrifm.files import MARKER
from agrifm.record import SensorInput

EDGES = (5.985, 48.99, 6.015, 49.01)
STEP = 0.0025
"""Degrees between the corners of parcels."""
DAYS = (date(2024, 4, 1), date(2024, 5, 20), date(2024, 6, 20), date(2024, 8, 20))
JUNE = 2
CROPS = ("maize", "wheat")


def crop_at(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Number of the crop of the cell of a place."""
    return (np.floor((lon - EDGES[0]) / STEP) + np.floor((lat - EDGES[1]) / STEP)).astype(int) % 2


def labelled_tiles(directory: Path) -> Project:
    """The project, with a parcel in each cell of `STEP` degrees, of which row and column 0 begin in the south-west."""
    tiled_project(directory, EDGES, "2", "halo = 480")
    file = directory / "agrifm.toml"
    text = file.read_text(encoding="utf-8").replace('file = "labels.gpkg"', 'file = "labels.gpkg"\nblock = 480')
    text = text.replace("[model]", '[model]\nnames = ["logistic"]\nframes = 4\ncalibration = false').replace(
        'model = "classic"', 'model = "logistic"'
    )
    file.write_text(text, encoding="utf-8")
    project = read_project(directory)
    tiles = project_tiles(project)[0]
    (directory / "tiles").mkdir()
    write_tile_list(directory / "tiles" / LISTED, tiles)
    content = SensorInput(
        sensor="sentinel-2", bands=("B04", "B08"), quantity="surface reflectance", scale=1e-4, resolution=10
    )
    for number, tile in enumerate(tiles):
        path, grid = project.of_tile(tile).cube, tile_grid(tile)
        root = create_root(path, project.season.season, tile.area)
        group = create_sensor(root, content, grid, DAYS, None)
        turn = Transformer.from_crs(tile.crs, "EPSG:4326", always_xy=True)
        crop = crop_at(*turn.transform(*np.meshgrid(grid.x, grid.y)))
        values = np.random.default_rng(number).integers(1500, 4500, (len(DAYS), 2, *grid.shape))
        values[JUNE, 1] = np.where(crop == 0, 5000, 1000) + values[JUNE, 0] // 10
        group["values"][...] = values
        group["valid"][...] = np.ones((len(DAYS), *grid.shape), bool)
        root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["sentinel-2"]}
        (path / MARKER).write_text("{}")
    corners = [(EDGES[0] + (col + 0.2) * STEP, EDGES[1] + (row + 0.2) * STEP) for row in range(8) for col in range(12)]
    shapes = [box(x, y, x + 0.6 * STEP, y + 0.6 * STEP) for x, y in corners]
    middle = np.array([[x + 0.3 * STEP, y + 0.3 * STEP] for x, y in corners]).T
    crops = [CROPS[number] for number in crop_at(*middle)]
    geopandas.GeoDataFrame({"crop": crops}, geometry=shapes, crs=4326).to_file(directory / "labels.gpkg")
    return project
