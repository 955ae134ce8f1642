"""MODIS indices of six seasons that cross New Year: a cube for each, every pixel with the day on which it was seen.

Data: `mato_grosso_modis_cube` under AGRIFM_DATA (default ../shared/data): MOD13Q1 in Mato Grosso, 137 composites of 16
days from September 2007 to August 2013 on MODIS' own sinusoidal grid, and 603 field samples. A season has one start and
one end, so six seasons are six cubes. Composites begin on day 1, 17, 33 … of a year; each season here runs from the one
that begins on day 257, in mid-September, to the day before the next year's.

    python examples/05_six_seasons_mato_grosso.py OUT
"""

import argparse
import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from affine import Affine

from agrifm.cube.build import build_cube
from agrifm.cube.qc.check import check_cube
from agrifm.cube.store import Cube
from agrifm.grid import Grid
from agrifm.scene.local_files import search_files
from agrifm.scene.products import find_product
from agrifm.season import Season, day_date

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data")) / "mato_grosso_modis_cube"
PRODUCT = find_product("modis-13Q1-dtwsat")
YEARS = range(2007, 2013)
FIRST = 257
"""Day of the year on which a season's first composite begins."""


def main() -> None:
    """Six cubes, each checked, and their days held against the file's own days of the year."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    samples = pd.read_csv(DATA / "field_samples.csv", parse_dates=["from", "to"])
    grid, frames = file_grid(), 0
    for year in YEARS:
        season = season_of(year)
        search = search_files(DATA, "mod13q1_cube.nc", PRODUCT, season)
        cube = build_cube(options.out / f"{year}.zarr", search, season, grid.footprint(), native_grid=True)
        findings = check_cube(cube).findings
        if findings:
            raise SystemExit(f"{cube.path}: {findings[0]}")
        compare_with_file(cube)
        frames += describe(cube, samples)
    print(f"{len(YEARS)} seasons, {frames} composites in all, none in two seasons")


def season_of(year: int) -> Season:
    """From the composite of mid-September to the day before the next year's."""
    start, following = (date(one, 1, 1) + timedelta(days=FIRST - 1) for one in (year, year + 1))
    return Season(start, following - timedelta(days=1))


def file_grid() -> Grid:
    """The sinusoidal grid of the file."""
    with xr.open_dataset(DATA / "mod13q1_cube.nc", engine="h5netcdf") as content:
        about = content.spatial_ref.attrs
        corner = Affine.from_gdal(*(float(number) for number in about["GeoTransform"].split()))
        return Grid.of(about["crs_wkt"], corner, content.ndvi.shape[1:])


def compare_with_file(cube: Cube) -> None:
    """The cube's days are the file's days of the year, and its values the file's, pixel by pixel."""
    sensor = cube.sensors["modis-250m"]
    stored, valid, days = (np.asarray(sensor.group[name][:]) for name in ("values", "valid", "day"))
    with xr.open_dataset(DATA / "mod13q1_cube.nc", engine="h5netcdf", mask_and_scale=False) as content:
        own = content.sel(time=[np.datetime64(day_date(number), "ns") for number in sensor.date])
        moments = days.astype("datetime64[D]")
        of_year = (moments - moments.astype("datetime64[Y]").astype("datetime64[D]")).astype(int) + 1
        same_days = (of_year == own.doy.values)[valid].all()
        same_values = (stored[:, 0] == own.ndvi.values)[valid].all()
    if not (same_days and same_values):
        raise SystemExit(f"{cube.path}: days or values differ from the file's; something is wrong")


def describe(cube: Cube, samples: pd.DataFrame) -> int:
    """Print a season's line; returns its number of composites."""
    sensor = cube.sensors["modis-250m"]
    valid, days = np.asarray(sensor.group["valid"][:]), np.asarray(sensor.group["day"][:])
    start, end = (np.datetime64(day) for day in (cube.season.start, cube.season.end))
    own = samples[(samples["from"] + (samples["to"] - samples["from"]) / 2).between(start, end)]
    classes = ", ".join(f"{label} {count}" for label, count in own.label.value_counts().items())
    later = days[valid].astype("datetime64[D]") >= np.datetime64(f"{cube.season.end.year}-01-01")
    print(
        f"{cube.season.start} to {cube.season.end}: {len(sensor.date)} composites, {valid.mean():.1%} usable, "
        f"{later.mean():.0%} of the pixels seen after New Year; samples: {classes}"
    )
    return len(sensor.date)


if __name__ == "__main__":
    main()
