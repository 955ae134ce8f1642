"""Read the real data from the folder in AGRIFM_DATA (default ../shared/data), and simulated seasons alike."""

import os
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.warp import reproject

from agrifm.cube.frames import Frame, group_frames, read_frame
from agrifm.cube.store import FILL, NO_DAY, REFLECTANCE_SCALE
from agrifm.grid import Grid
from agrifm.legend import Legend
from agrifm.scene import quality
from agrifm.scene.area import read_area
from agrifm.scene.mask import DEFAULT_RULE
from agrifm.scene.products import PRODUCTS
from agrifm.scene.scene import FileAsset
from agrifm.scene.search import search_catalog
from agrifm.season import Season
from agrifm.simulator.points import POINT_BANDS, PointSeries

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data"))
MISSING = 65535
"""Missing value in every column of the French table."""
MIN_COVER_SHARE = 0.9
"""Minimum share of one cover in a MODIS pixel."""
TREES = 10
"""WorldCover's code of trees."""
ALL_DAYS = Season(date(1970, 1, 1), date(2200, 1, 1))
SOYBEAN = "soy_soybeans"


def folder(name: str) -> Path:
    """The folder of a data set; exits with a message if it does not exist."""
    path = DATA / name
    if not path.is_dir():
        raise SystemExit(f"the data are expected at {path}; set AGRIFM_DATA to the folder that contains them")
    return path


def france() -> PointSeries:
    """467 parcels of western France, September 2022 to January 2024, Sentinel-2 by dekads."""
    return parcels(folder("france_lpis_2023_dekads"))


def parcels(path: Path) -> PointSeries:
    """A folder with `splits.csv` (sample_id, label, cell, fold) and `series.parquet` (sample_id, timestamp, bands).

    Fold -1 is ignored. Reflectance is the table's integer / 10 000; without a value it is `MISSING` or has no row.
    """
    split = pd.read_csv(path / "splits.csv", dtype={"sample_id": str, "cell": str}).query("fold >= 0")
    split = split.sort_values("sample_id").reset_index(drop=True)
    table = pd.read_parquet(path / "series.parquet")
    table = table[table.sample_id.isin(split.sample_id)]
    day = table.timestamp.to_numpy().astype("datetime64[D]")
    dekads = np.unique(day)
    parcel, dekad = pd.Index(split.sample_id).get_indexer(table.sample_id), np.searchsorted(dekads, day)
    numbers = table[[f"S2-L2A-{band}" for band in POINT_BANDS]].to_numpy()
    values = np.full((len(split), len(dekads), len(POINT_BANDS)), np.nan, np.float32)
    values[parcel, dekad] = np.where(numbers == MISSING, np.nan, numbers / 1e4)
    present = np.zeros(values.shape[:2], bool)
    present[parcel, dekad] = True
    label, cell = (split[column].to_numpy().astype(str) for column in ("label", "cell"))
    return PointSeries(label, cell, split.fold.to_numpy(np.int64), dekads, values, present)


@dataclass(frozen=True)
class BandImages:
    """Red and near infrared of one sensor on a 10 m grid."""

    day: NDArray[np.datetime64]
    """(T,) datetime64[D]"""
    red: NDArray[np.float32]
    """(T, H, W) surface reflectance, NaN = no value."""
    near_infrared: NDArray[np.float32]
    usable: NDArray[np.bool_]
    """(T, H, W) clear by the product's quality band, with a value."""

    @property
    def ndvi(self) -> NDArray[np.float32]:
        """(T, H, W) normalised difference vegetation index."""
        return np.asarray((self.near_infrared - self.red) / np.maximum(self.near_infrared + self.red, 1e-6))


@dataclass(frozen=True)
class FieldPatch:
    """Sentinel-2, Landsat and the fields of an area, all on one 10 m grid."""

    sentinel: BandImages
    landsat: BandImages
    """Values of the 30 m pixels, repeated on the 10 m grid."""
    field: NDArray[np.int32]
    """(H, W) index of the field of crops or grassland, -1 = none."""


def flanders() -> FieldPatch:
    """640 x 640 m in Flanders, August 2017 to November 2018."""
    path = folder("flanders_multisource_2018")
    scenes = next(entry for entry in path.iterdir() if entry.is_dir())
    with (
        xr.open_dataset(scenes / "s2_l2a_10m.nc") as fine,
        xr.open_dataset(scenes / "s2_l2a_20m.nc") as coarse,
        xr.open_dataset(scenes / "l8_sr_10m.nc") as landsat,
    ):
        clear = DEFAULT_RULE.usable(quality.scl(coarse.SCL.values))
        sentinel = _images(fine, "B04", "B08", clear.repeat(2, axis=1).repeat(2, axis=2))
        clear = DEFAULT_RULE.usable(quality.landsat_pixel_qa(landsat.pixel_qa.values))
        other = _images(landsat, "B04", "B05", clear)
    split = pd.read_csv(path / "splits.csv").query("label != 'no_crop'")
    field = np.full(sentinel.red.shape[1:], -1, np.int32)
    field[split.row, split.col] = split.field
    return FieldPatch(sentinel, other, field)


def _images(data: xr.Dataset, red: str, near_infrared: str, clear: NDArray[np.bool_]) -> BandImages:
    """Two bands of an opened file."""
    both = [data[band].values.astype(np.float32) for band in (red, near_infrared)]
    usable = clear & np.isfinite(both[0]) & np.isfinite(both[1])
    return BandImages(data.time.values.astype("datetime64[D]"), both[0], both[1], usable)


@dataclass(frozen=True)
class ModisSeries:
    """NDVI of single MODIS pixels over one growing year, September to August."""

    label: NDArray[np.str_]
    """(n,) `soybean`, `forest` or another cover."""
    month: NDArray[np.float64]
    """(n, T) time of observation in months after 1 September, NaN = no value."""
    ndvi: NDArray[np.float32]
    """(n, T), NaN = no value."""


def mato_grosso() -> ModisSeries:
    """MOD13Q1 over 603 samples of fields and forest, 2007 to 2013: 16-day composites with the day of each pixel."""
    path = folder("mato_grosso_modis_cube")
    samples = pd.read_csv(path / "field_samples.csv")
    with xr.open_dataset(path / "mod13q1_cube.nc") as cube:
        start = cube.time.values.astype("datetime64[D]")
        ndvi, doy = cube.ndvi.values[:, samples.row, samples.col].T, cube.doy.values[:, samples.row, samples.col].T
    year = start.astype("datetime64[Y]")
    first_doy = (start - year.astype("datetime64[D]")).astype(int) + 1
    year = year + ((doy < first_doy) & (doy > 0)).astype("timedelta64[Y]")  # days of January in a composite of December
    day = np.where(doy > 0, year.astype("datetime64[D]") + (doy - 1), np.datetime64("NaT"))
    september = pd.to_datetime(samples["from"]).to_numpy().astype("datetime64[D]")[:, None]
    month = (day - september) / np.timedelta64(1, "D") / (365.25 / 12)
    outside = ~((month >= 0) & (month < 12))
    crop = samples.label.str.split("-").str[0].str.lower()
    month, ndvi = np.where(outside, np.nan, month), np.where(outside, np.nan, ndvi).astype(np.float32)
    return ModisSeries(crop.to_numpy().astype(str), month, ndvi)


def field_patch(season: Path) -> FieldPatch:
    """Sentinel-2, Landsat and the parcels of a simulated season on the grid of its truth.

    Landsat's 30 m pixels are repeated, not interpolated, as in the data of Flanders.
    """
    grid = _grid(season / "truth" / "crops.tif")
    parcels = geopandas.read_file(season / "truth" / "parcels.gpkg")
    numbered = ((outline, index) for index, outline in enumerate(parcels.geometry))
    field = rasterize(numbered, out_shape=grid.shape, transform=grid.transform, fill=-1, dtype=np.int32)
    sentinel = _season_images(season, "sentinel-2-c1-l2a", ("B04", "B08"), grid)
    return FieldPatch(sentinel, _season_images(season, "landsat-c2-l2", ("B04", "B05"), grid), field)


def _grid(path: Path) -> Grid:
    """The grid of a raster file."""
    with rasterio.open(path) as source:
        return Grid.of(source.crs.to_wkt(), source.transform, source.shape)


def modis_series(season: Path) -> ModisSeries:
    """MODIS pixels of soybean and forest as 16-day composites: the clearer of two MOD09A1, or the greener if equal.

    The real data are MOD13Q1, which chooses from all 16 days by quality, view angle and maximum NDVI.
    """
    frames = _frames(season, "modis-09A1-061", ("B01", "B02"))
    band = frames[0].scenes[0].assets["sur_refl_b01"]
    assert isinstance(band, FileAsset)
    grid = _grid(band.path)
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
            inside = (source.read(1) == index).astype(np.float32)
            target = {"dst_transform": grid.transform, "dst_crs": str(grid.crs), "resampling": Resampling.average}
            reproject(inside, share, src_transform=source.transform, src_crs=source.crs, **target)
        shares[name] = share
    return shares


def _frames(season: Path, product: str, bands: tuple[str, str]) -> list[Frame]:
    """All days of one product with two of its bands, to be read without interpolation."""
    complete = PRODUCTS[product]
    wanted = replace(complete, assets={band: complete.assets[band] for band in bands}, kernel="nearest")
    result = search_catalog(season / "catalog.json", [wanted], ALL_DAYS, read_area(season / "area.geojson").shape)
    return group_frames(result.scenes)


def _season_images(season: Path, product: str, bands: tuple[str, str], grid: Grid) -> BandImages:
    """Images of all days of one product on a grid."""
    frames = _frames(season, product, bands)
    shape = (len(frames), *grid.shape)
    reflectance, usable = np.empty((2, *shape), np.float32), np.empty(shape, bool)
    for index, frame in enumerate(frames):
        values, usable[index], *_ = read_frame(frame, grid)
        reflectance[:, index] = np.where(values == FILL, np.nan, values * np.float32(REFLECTANCE_SCALE))
    return BandImages(np.array([frame.scenes[0].day for frame in frames], "datetime64[D]"), *reflectance, usable)
