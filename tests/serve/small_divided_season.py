"""A finished season of a divided area over two UTM zones, whose pixels are known functions of their place."""

import json
from datetime import date
from pathlib import Path
from unittest.mock import patch

import geopandas
import numpy as np
from pyproj import Transformer
from shapely import box, contains_xy
from shapely.geometry import mapping
from tests.cube.tiled import tiled_project
from tests.mapping.small_parcels import CODES, LEGEND

from agrifm.area_tile import AreaTile
from agrifm.area_tiles import LISTED, tile_grid, write_tile_list
from agrifm.config import ParcelsConfig, Project
from agrifm.cube.project_tiles import project_tiles
from agrifm.cube.store import create_root, create_sensor
from agrifm.files import MARKER
from agrifm.grid import tiles
from agrifm.legend import LEGEND_TAG, legend_json
from agrifm.mapping import parcels
from agrifm.mapping.cog import TILE_SIDE, CogWriter
from agrifm.mapping.map_tiles import write_mosaics
from agrifm.pictures import class_colors
from agrifm.record import SensorInput

PLACES = {
    "two zones": (5.994, 48.996, 6.006, 49.004),
    "longitude 180": (179.994, -17.004, -179.994, -16.996),
}
"""Boxes of about 0.9 x 0.9 and 1.3 x 0.9 km."""
BANDS = ("B02", "B03", "B04", "B08")
SENTINEL = SensorInput(
    sensor="sentinel-2", bands=BANDS, quantity="surface reflectance", scale=1e-4, resolution=10
)  # fmt: skip
COMMON, EARLY, LATE = date(2024, 4, 1), date(2024, 6, 3), date(2024, 7, 5)


def days_of(crs: str) -> tuple[date, ...]:
    """The dates of a zone's cubes: the first one is that of all."""
    return (COMMON, EARLY) if int(crs[-2:]) % 2 else (COMMON, LATE)


def zone_of(lon: float, south: bool) -> str:
    return f"EPSG:{32700 if south else 32600}"[:-2] + f"{int((lon + 180) // 6) + 1:02d}"


def class_at(crs: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The class number of the pixel of a zone that has a place."""
    across, down = np.floor(x / 30).astype(int), np.floor(y / 30).astype(int)
    return (across + 2 * down + (across * down) % 5 + int(crs[-2:])) % 3


def stored_at(crs: str, x: np.ndarray, y: np.ndarray, band: int, frame: int) -> np.ndarray:
    """The stored value of the pixel of a zone that has a place."""
    across, down = np.floor(x / 10).astype(int), np.floor(y / 10).astype(int)
    return 300 + (across * 3 + down * 7 + band * 400 + frame * 150 + int(crs[-2:])) % 2000


def divided_season(directory: Path, edges: tuple[float, float, float, float]) -> tuple[Project, tuple[AreaTile, ...]]:
    """A project with cubes, maps, mosaics, a collection and two parcels."""
    project = tiled_project(directory, edges, "2", "halo = 480")
    of_area = project_tiles(project)[0]
    (directory / "tiles").mkdir()
    write_tile_list(directory / "tiles" / LISTED, of_area)
    hectares = np.zeros(3)
    for tile in of_area:
        _write_cube(project.of_tile(tile).cube, project, tile)
        hectares += _write_map(project.maps / tile.name, tile)
    write_mosaics(project.maps, of_area)
    stated = {
        "links": [{"rel": "item", "href": f"./{tile.name}/item.json"} for tile in of_area],
        "agrifm:hectares": dict(zip(CODES, hectares.tolist(), strict=True)),
    }
    (project.maps / "collection.json").write_text(json.dumps(stated))
    _write_parcels(project, of_area)
    return project, of_area


def _write_cube(path: Path, project: Project, tile: AreaTile) -> None:
    grid = tile_grid(tile)
    root = create_root(path, project.season.season, tile.area)
    group = create_sensor(root, SENTINEL, grid, days_of(tile.crs), None)
    x, y = np.meshgrid(grid.x, grid.y)
    group["values"][...] = np.array(
        [[stored_at(tile.crs, x, y, band, frame) for band in range(len(BANDS))] for frame in range(2)]
    )
    group["valid"][...] = np.ones((2, *grid.shape), bool)
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["sentinel-2"]}
    (path / MARKER).write_text("{}")


def _write_map(place: Path, tile: AreaTile) -> np.ndarray:
    """Write the rasters of a tile; returns the hectares of each class."""
    place.mkdir(parents=True)
    grid = tile_grid(tile)
    x, y = np.meshgrid(grid.x, grid.y)
    lon, lat = Transformer.from_crs(tile.crs, "EPSG:4326", always_xy=True).transform(x, y)
    west, south, east, north = tile.core
    inside = contains_xy(tile.area, lon, lat) & (x > west) & (x < east) & (y > south) & (y < north)
    classes = np.where(inside, class_at(tile.crs, x, y), 255).astype(np.uint8)
    shares = np.where(inside, np.stack([np.where(classes == number, 200, 25) for number in range(3)]), 255)
    rasters = {
        "classes": (classes, "classes", class_colors(LEGEND)),
        "confidence": (np.where(inside, 80, 255), "confidence", {}),
        "observations": (np.where(inside, 2, 255), "observations", {}),
        "probabilities": (shares, CODES, {}),
    }
    tags = {"AGRIFM_MODEL": "forest", "AGRIFM_SEASON": "2024-03-01/2024-09-30", LEGEND_TAG: legend_json(LEGEND)}
    for name, (pixels, bands, colors) in rasters.items():
        kept = tags if name in ("classes", "probabilities") else {}
        with CogWriter(place / f"{name}.tif", grid, bands, kept, "MODE" if colors else "AVERAGE", colors) as writer:
            for part in tiles(grid.shape, TILE_SIDE):
                writer.write(part, pixels.astype(np.uint8)[..., *part.slices])
        writer.finish()
    (place / "item.json").write_text(json.dumps({"geometry": mapping(tile.area), "properties": {}}))
    return np.bincount(classes[inside], minlength=3) / 100


def _write_parcels(project: Project, of_area: tuple[AreaTile, ...]) -> None:
    """A parcel in the first tile's area, and one that is larger than the halo of any cube."""
    lon, lat = of_area[0].area.representative_point().coords[0]
    small, large = box(lon - 6e-4, lat - 4e-4, lon + 6e-4, lat + 4e-4), box(lon - 0.02, lat - 0.02, lon, lat + 0.02)
    shapes = geopandas.GeoDataFrame({"id": ["small", "large"]}, geometry=[small, large], crs="EPSG:4326")
    shapes.to_file(project.directory / "parcels.gpkg")
    with patch.object(parcels, "write_parcel_picture"):
        parcels.map_parcels(ParcelsConfig(file=project.directory / "parcels.gpkg"), project.maps, project.parcel_crops)
