"""Read a simulated season into the classes of the real data of Flanders and Mato Grosso."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.warp import reproject
from realism_metrics.read import BandImages, FieldPatch, ModisSeries

from agrifm.cube.frames import Frame, group_frames, read_frame
from agrifm.cube.store import FILL, NO_DAY, REFLECTANCE_SCALE
from agrifm.grid import Grid
from agrifm.legend import Legend
from agrifm.scene.area import read_area
from agrifm.scene.products import PRODUCTS
from agrifm.scene.scene import FileAsset
from agrifm.scene.search import search_catalog
from agrifm.season import Season

MIN_COVER_SHARE = 0.9
"""Minimum share of one cover in a MODIS pixel."""
TREES = 10
"""WorldCover's code of trees."""
ALL_DAYS = Season(date(1970, 1, 1), date(2200, 1, 1))
SOYBEAN = "soy_soybeans"


def field_patch(season: Path) -> FieldPatch:
    """Sentinel-2, Landsat and the parcels of a simulated season on the grid of its truth.

    Landsat's 30 m pixels are repeated, not interpolated, as in the data of Flanders.
    """
    with rasterio.open(season / "truth" / "crops.tif") as source:
        grid = Grid.of(source.crs.to_wkt(), source.transform, source.shape)
    parcels = geopandas.read_file(season / "truth" / "parcels.gpkg")
    numbered = ((outline, index) for index, outline in enumerate(parcels.geometry))
    field = rasterize(numbered, out_shape=grid.shape, transform=grid.transform, fill=-1, dtype=np.int32)
    return FieldPatch(
        _images(season, "sentinel-2-c1-l2a", ("B04", "B08"), grid),
        _images(season, "landsat-c2-l2", ("B04", "B05"), grid),
        field,
    )


def modis_series(season: Path) -> ModisSeries:
    """MODIS pixels of soybean and forest as 16-day composites: the clearer of two MOD09A1, or the greener if equal.

    The real data are MOD13Q1, which chooses from all 16 days by quality, view angle and maximum NDVI.
    """
    frames = _frames(season, "modis-09A1-061", ("B01", "B02"))
    band = frames[0].scenes[0].assets["sur_refl_b01"]
    assert isinstance(band, FileAsset)
    with rasterio.open(band.path) as source:
        grid = Grid.of(source.crs.to_wkt(), source.transform, source.shape)
    shares = _shares(season, grid)
    read = [read_frame(frame, grid) for frame in frames]
    values, usable = np.stack([frame.values for frame in read]), np.stack([frame.valid for frame in read])
    days = np.stack([frame.day for frame in read if frame.day is not None])
    red, near_infrared = (values[:, index].astype(np.float32) * REFLECTANCE_SCALE for index in (0, 1))
    ndvi = (near_infrared - red) / np.maximum(near_infrared + red, 1e-6)
    # Clear pixels first, then the greatest NDVI.
    merit = np.where((values[:, 0] == FILL) | (days == NO_DAY), -np.inf, ndvi + 10.0 * usable)
    pairs = len(frames) // 2
    best = merit[: 2 * pairs].reshape(pairs, 2, *grid.shape).argmax(axis=1) + 2 * np.arange(pairs)[:, None, None]
    chosen = (np.take_along_axis(part, best, axis=0) for part in (ndvi, days, np.isfinite(merit)))
    ndvi, days, known = (part.reshape(pairs, -1).T for part in chosen)
    autumn = frames[len(frames) // 4].scenes[0].day  # the first frame may begin in August
    september = np.datetime64(f"{autumn.year}-09-01").astype(int)
    month = np.where(known, (days - september) / (365.25 / 12), np.nan)
    label = np.select(
        [shares[name].ravel() >= MIN_COVER_SHARE for name in ("soybean", "forest")], ["soybean", "forest"], ""
    )
    pure = (label != "") & known.any(axis=1)
    return ModisSeries(label[pure], month[pure], np.where(known, ndvi, np.nan)[pure])


def _shares(season: Path, grid: Grid) -> dict[str, NDArray[np.float32]]:
    """Share of each pixel of a coarse grid under soybean and under trees."""
    legend = Legend.model_validate_json((season / "truth" / "legend.json").read_text(encoding="utf-8"))
    shares = {}
    for name, file, index in (("soybean", "crops", legend.number(SOYBEAN)), ("forest", "landcover", TREES)):
        share = np.zeros(grid.shape, np.float32)
        with rasterio.open(season / "truth" / f"{file}.tif") as source:
            reproject(
                (source.read(1) == index).astype(np.float32),
                share,
                src_transform=source.transform,
                src_crs=source.crs,
                dst_transform=grid.transform,
                dst_crs=str(grid.crs),
                resampling=Resampling.average,
            )
        shares[name] = share
    return shares


def _frames(season: Path, product: str, bands: tuple[str, str]) -> list[Frame]:
    """All days of one product with two of its bands, to be read without interpolation."""
    complete = PRODUCTS[product]
    wanted = replace(complete, assets={band: complete.assets[band] for band in bands}, kernel="nearest")
    result = search_catalog(season / "catalog.json", [wanted], ALL_DAYS, read_area(season / "area.geojson").shape)
    return group_frames(result.scenes)


def _images(season: Path, product: str, bands: tuple[str, str], grid: Grid) -> BandImages:
    """Images of all days of one product on a grid."""
    frames = _frames(season, product, bands)
    shape = (len(frames), *grid.shape)
    red, near_infrared = np.empty(shape, np.float32), np.empty(shape, np.float32)
    usable = np.empty(shape, bool)
    for index, frame in enumerate(frames):
        values, usable[index], *_ = read_frame(frame, grid)
        reflectance = np.where(values == FILL, np.nan, values * np.float32(REFLECTANCE_SCALE))
        red[index], near_infrared[index] = reflectance
    return BandImages(np.array([frame.scenes[0].day for frame in frames], "datetime64[D]"), red, near_infrared, usable)
