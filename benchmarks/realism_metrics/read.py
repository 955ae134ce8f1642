"""Read the real data from the folder in AGRIFM_DATA (default ../shared/data)."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from agrifm.scene import quality
from agrifm.scene.mask import DEFAULT_RULE
from agrifm.simulator.points import POINT_BANDS, PointSeries

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data"))
MISSING = 65535
"""Missing value in every column of the French table."""


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
    return PointSeries(
        split.label.to_numpy().astype(str),
        split.cell.to_numpy().astype(str),
        split.fold.to_numpy(np.int64),
        dekads,
        values,
        present,
    )


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
    return ModisSeries(
        crop.to_numpy().astype(str),
        np.where(outside, np.nan, month),
        np.where(outside, np.nan, ndvi).astype(np.float32),
    )
