"""A finished map of known probabilities, and parcels on it."""

import json
from pathlib import Path

import geopandas
import numpy as np
import shapely
from affine import Affine
from shapely.geometry import mapping

from agrifm.grid import Grid, tiles
from agrifm.legend import LEGEND_TAG, Legend, legend_json
from agrifm.mapping.cog import TILE_SIDE, CogWriter

CODES = ("3301010101", "3301060401", "other")
LEGEND = Legend.of(CODES, {CODES[0]: "Winter wheat", CODES[1]: "Winter rapeseed", "other": "Other land"})
UTM = "EPSG:32631"


def map_grid(side=192):
    """A grid of 10 m."""
    return Grid.of(UTM, Affine(10, 0, 480_000, 0, -10, 5_520_000), (side, side))


def small_map(path: Path, grid: Grid, seed: int = 0, unseen: tuple[slice, slice] | None = None, cell: int = 12):
    """Write the files of a map that parcels are read from; returns its probabilities (C, H, W) and observations."""
    rng = np.random.default_rng(seed)
    cells = [-(-side // cell) for side in grid.shape]
    coarse = rng.dirichlet((0.5, 0.5, 0.5), cells)
    share = coarse.repeat(cell, 0).repeat(cell, 1)[: grid.shape[0], : grid.shape[1]]
    stored = np.rint(250 * np.moveaxis(share, -1, 0)).astype(np.uint8)
    count = (
        rng.integers(5, 30, cells).repeat(cell, 0).repeat(cell, 1)[: grid.shape[0], : grid.shape[1]].astype(np.uint8)
    )
    if unseen is not None:
        stored[:, *unseen], count[unseen] = 255, 255
    path.mkdir()
    tags = {"AGRIFM_MODEL": "forest", "AGRIFM_SEASON": "2024-03-01/2024-10-31", LEGEND_TAG: legend_json(LEGEND)}
    for name, bands, pixels in (("probabilities.tif", CODES, stored), ("observations.tif", "observations", count)):
        with CogWriter(path / name, grid, bands, tags, "AVERAGE") as writer:
            for tile in tiles(grid.shape, TILE_SIDE):
                writer.write(tile, pixels[..., *tile.slices])
        writer.finish()
    (path / "item.json").write_text(json.dumps({"geometry": mapping(grid.footprint())}))
    return stored, count


def small_parcels(grid: Grid, count: int, seed: int = 0, reach: float = 60.0) -> geopandas.GeoDataFrame:
    """Stars of about a hectare that do not overlap, row by row over the grid, in its CRS."""
    rng = np.random.default_rng(seed)
    left, bottom, right, top = grid.bounds
    per_row = int(np.ceil(np.sqrt(count)))
    step = (right - left) / per_row, (top - bottom) / per_row
    number = np.arange(count)
    middle = np.stack([left + (number % per_row + 0.5) * step[0], top - (number // per_row + 0.5) * step[1]], axis=-1)
    angle = (np.arange(8) + rng.uniform(0.1, 0.9, (count, 8))) * np.pi / 4
    radius = rng.uniform(0.3, 1, (count, 8)) * min(reach, 0.49 * min(step))
    corners = middle[:, None] + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return geopandas.GeoDataFrame({"id": [f"p{one}" for one in number]}, geometry=shapely.polygons(corners), crs=UTM)
