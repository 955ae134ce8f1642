"""From a table of labelled series to a map: AgriFM learns points alone, then maps a cube of the same sensor.

Data: `mato_grosso_modis_cube` under AGRIFM_DATA (default ../shared/data): MOD13Q1 in Mato Grosso and 603 field
samples, each with the season in which its crop was seen. The example first writes what people usually have: one Parquet
file with a row for each date of each sample. From it and a project file of a few lines follow a model of single pixels,
its scores on unseen blocks, and a map of the season 2011-12 from the cube of that season, which is compared with the
samples of that season.

The scores are not an accuracy of crop mapping there: two of the crops occur in one season only, and fields are larger
than blocks.

    python examples/06_table_to_map_mato_grosso.py OUT
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
import xarray as xr
from affine import Affine

from agrifm.config import Project, read_project
from agrifm.cube.build import build_cube
from agrifm.grid import Grid
from agrifm.mapping.run import map_project
from agrifm.scene.local_files import search_files
from agrifm.scene.products import find_product
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data")) / "mato_grosso_modis_cube"
PROJECT = """\
[season]
start = 2011-09-01
end = 2012-08-31

[labels]
series = "points.parquet"            # a row for each date of each sample
products = ["modis-13Q1-dtwsat"]     # what its numbers are: scale, valid range, composites of 16 days
block = 1440                         # metres: samples of one square are never in two folds

[labels.columns]
start = "from"                       # samples are of several seasons

[model]
names = ["agrifm"]
steps = 250
learning_rate = 2e-3
"""
LEAST_AGREEMENT = 0.8
"""Share of the samples of the mapped season whose pixel has their class in the map."""


def main() -> None:
    """Write the table, train, build the cube of one season, map it, and compare the map with the samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    options.out.mkdir(parents=True, exist_ok=True)
    samples = pd.read_csv(DATA / "field_samples.csv", parse_dates=["from", "to"])
    write_table(samples, options.out / "points.parquet")
    (options.out / "agrifm.toml").write_text(PROJECT, encoding="utf-8")
    project = read_project(options.out)
    print(*describe_scores(train_project(project)), sep="\n")
    build_season(project)
    print(*map_project(project).lines(), sep="\n")
    compare_with_samples(project, samples)


def write_table(samples: pd.DataFrame, path: Path) -> None:
    """Write the series of each sample's pixel in its season, with class, place and season in every row."""
    with xr.open_dataset(DATA / "mod13q1_cube.nc", engine="h5netcdf", mask_and_scale=False) as content:
        moments = content.time.values
        rows = []
        for sample in samples.itertuples():
            inside = (moments >= sample[4].to_datetime64()) & (moments < sample[5].to_datetime64())
            pixel = content.isel(y=sample.row, x=sample.col, time=np.flatnonzero(inside))
            rows.append(
                pd.DataFrame(
                    {
                        "sample_id": sample.sample_id,
                        "longitude": sample.longitude,
                        "latitude": sample.latitude,
                        "label": sample.label,
                        "from": sample[4],
                        "date": moments[inside],
                        "ndvi": pixel.ndvi.values,
                        "evi": pixel.evi.values,
                        "doy": pixel.doy.values,  # on which each composite was seen, as the cube has it too
                    }
                )
            )
    pd.concat(rows).to_parquet(path, index=False)


def build_season(project: Project) -> None:
    """Build the cube of the project's season on the grid of the file, where `agrifm map` looks for it."""
    with xr.open_dataset(DATA / "mod13q1_cube.nc", engine="h5netcdf") as content:
        about = content.spatial_ref.attrs
        corner = Affine.from_gdal(*(float(number) for number in about["GeoTransform"].split()))
        grid = Grid.of(about["crs_wkt"], corner, content.ndvi.shape[1:])
    season = project.season.season
    search = search_files(DATA, "mod13q1_cube.nc", find_product("modis-13Q1-dtwsat"), season)
    build_cube(project.cube, search, season, grid.footprint(), native_grid=True)


def compare_with_samples(project: Project, samples: pd.DataFrame) -> None:
    """The class of the map at the pixels of the samples of its season."""
    with rasterio.open(project.maps / "classes.tif") as mapped:
        number = mapped.read(1)
        names = mapped.tags()["AGRIFM_LEGEND"]
    codes = [entry["code"] for entry in json.loads(names)["classes"]]
    own = samples[samples["from"].dt.date == project.season.start]
    found = np.array([codes[number[row, col]] for row, col in zip(own.row, own.col, strict=True)])
    agreement = float((found == own.label.to_numpy()).mean())
    print(f"{len(own)} samples of that season, {agreement:.1%} of them with their class in the map")
    if agreement < LEAST_AGREEMENT:
        raise SystemExit(f"expected at least {LEAST_AGREEMENT:.0%}; something is wrong")


if __name__ == "__main__":
    main()
