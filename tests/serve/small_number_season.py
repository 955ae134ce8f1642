"""Finished seasons of known yields and of known shares."""

import json
from pathlib import Path
from unittest.mock import patch

import geopandas
import numpy as np
from shapely import box
from tests.mapping.small_parcels import LEGEND
from tests.toy import toy_project

from agrifm.config import ParcelsConfig, Project
from agrifm.cube.store import open_cube
from agrifm.grid import tiles
from agrifm.legend import LEGEND_TAG, legend_json
from agrifm.mapping import parcels
from agrifm.mapping.cog import TILE_SIDE, CogWriter
from agrifm.shares import SHARES_TAG

CROP_LAND = slice(20, 170)
"""Rows of the map where the crop is."""
STATED = {"crop": ["rice"], "unit": "t/ha", "hectares": 288.0, "mean": 5.25, "production_t": 1512.0}


def write_numbers(project, name, bands, names, tags):
    """Write a raster of a map, and an item beside it."""
    grid = open_cube(project.cube).target
    project.maps.mkdir()
    unit = tags.get("AGRIFM_UNIT", "")
    with CogWriter(
        project.maps / name, grid, names, tags, "AVERAGE", dtype="float32", nodata=np.nan, unit=unit
    ) as writer:
        for tile in tiles(grid.shape, TILE_SIDE):
            writer.write(tile, bands[:, *tile.slices])
    writer.finish()


def yields_of(project):
    """Yields that rise from west to east, where the crop is, and their intervals (3, H, W)."""
    shape = open_cube(project.cube).target.shape
    tonnes = np.round(2 + np.indices(shape)[1] / 30, 2)
    bands = np.stack([tonnes, tonnes - 1.5, tonnes + 1.5]).astype(np.float32)
    land = np.zeros(shape, bool)
    land[CROP_LAND] = True
    return np.where(land, bands, np.float32(np.nan))


def write_item(project, properties):
    footprint = open_cube(project.cube).target.footprint()
    item = {"geometry": footprint.__geo_interface__, "properties": properties}
    (project.maps / "item.json").write_text(json.dumps(item))


def season_of_yields(directory: Path) -> Project:
    """A project with a cube, a map of yields, a parcel and a report."""
    project = toy_project(directory)
    tags = {"AGRIFM_UNIT": "t/ha", "AGRIFM_INTERVAL": "0.9", "AGRIFM_CROP": "rice", "AGRIFM_MODEL": "classic"}
    write_numbers(project, "yield.tif", yields_of(project), ("yield", "lower", "upper"), tags)
    write_item(project, {"agrifm:yield": {**STATED, "masked": True}})
    grid = open_cube(project.cube).target
    left, _, _, top = grid.bounds
    square = [box(left + 200, top - 600, left + 400, top - 400)]
    geopandas.GeoDataFrame({"id": ["field"]}, geometry=square, crs=str(grid.crs)).to_file(project.directory / "p.gpkg")
    with patch.object(parcels, "write_parcel_picture"):
        parcels.map_parcels(ParcelsConfig(file=project.directory / "p.gpkg"), project.maps, project.parcel_crops)
    (project.directory / "report").mkdir()
    report = {"kind": "yields", "headline": "rice: RMSE 1.01 t/ha (0.84 to 1.15)"}
    (project.directory / "report" / "report.json").write_text(json.dumps(report))
    return project


def season_of_shares(directory: Path) -> tuple[Project, np.ndarray]:
    """A project with a cube and a map of shares; and these (K, H, W)."""
    project = toy_project(directory)
    shape = open_cube(project.cube).target.shape
    shares = np.moveaxis(np.random.default_rng(4).dirichlet((1, 1, 1), shape), -1, 0).astype(np.float32)
    shares[:, :30, :30] = np.nan
    write_numbers(
        project, "fractions.tif", shares, LEGEND.codes, {LEGEND_TAG: legend_json(LEGEND), SHARES_TAG: "0 to 1"}
    )
    hectares = dict(zip(LEGEND.codes, (np.nansum(shares, axis=(1, 2)) / 100).tolist(), strict=True))
    write_item(project, {"agrifm:hectares": hectares})
    return project, shares
