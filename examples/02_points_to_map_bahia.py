"""Points with series to a random forest, a 1000 x 1000 x 23 raster to a map, and the map read back at known points.

Data: `bahia_cbers4_2018` under AGRIFM_DATA (default ../shared/data): western Bahia, CBERS-4 AWFI 16-day composites of
NDVI and EVI at 64 m, 922 labelled points. The forest learns from the 850 points outside the raster; the 72 inside are
read from the map. Position alone nearly separates those, so the number checks reading and mapping, not the model. They
were not drawn at random either, which the first line of the report (OUT/report/report.html) says.

    python examples/02_points_to_map_bahia.py OUT
"""

import argparse
import os
import time
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import rasterio
import xarray as xr

from agrifm.assess.report import assess
from agrifm.classic.features import pixel_features
from agrifm.classic.forest import fit_forest, save_forest
from agrifm.cube.build import build_cube
from agrifm.cube.store import Cube
from agrifm.grid import LONLAT, Grid, Window
from agrifm.legend import Legend
from agrifm.mapping.run import map_area
from agrifm.process_memory import peak_bytes
from agrifm.record import ModelRecord, SensorRecord, running_versions
from agrifm.samples.sample import Sample, Series
from agrifm.samples.transforms import interpolated
from agrifm.scene.local_files import search_dataset
from agrifm.scene.products import PRODUCTS
from agrifm.season import Season, day_number

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data")) / "bahia_cbers4_2018"
PRODUCT = PRODUCTS["cbers-4-awfi-16d"]
SEASON = Season(date(2018, 8, 29), date(2019, 8, 28))
FRAMES = 23
LEGEND = Legend.of(["Cropland", "Pasture", "Cerradao", "Cerrado"])
LEAST_ACCURACY, MOST_GIGABYTES = 0.95, 1.5


def main() -> None:
    """Cube, forest, map, and the accuracy at the points inside the raster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    start = time.perf_counter()
    dataset = read_rasters()
    search = search_dataset(dataset, PRODUCT, SEASON)
    cube = build_cube(options.out / "cube.zarr", search, SEASON, raster_grid().footprint(), native_grid=True)
    samples = pd.read_csv(DATA / "splits.csv")
    model = options.out / "random-forest.skops"
    save_forest(model, train_on_points(cube, samples[~samples.in_raster]))
    summary = map_area(cube.path, model, options.out / "map", window=240, overlap=0)
    inside = read_points(samples[samples.in_raster])
    accuracy = accuracy_inside(summary.path / "classes.tif", inside)
    inside.to_file(options.out / "points.gpkg", driver="GPKG")
    places = (summary.path / "classes.tif", options.out / "points.gpkg", "label", options.out / "report")
    assess(*places, sampling="non-probability")
    seconds = time.perf_counter() - start
    gigabytes = peak_bytes() / 1e9
    print(f"{len(inside)} points inside the raster: overall accuracy {accuracy:.3f}")
    print(f"{seconds:.0f} s, peak memory {gigabytes:.2f} GB, map: {summary.path}, report: {places[-1]}")
    if accuracy < LEAST_ACCURACY or gigabytes > MOST_GIGABYTES:
        raise SystemExit(f"expected at least {LEAST_ACCURACY} with {MOST_GIGABYTES} GB; something is wrong")


def read_rasters() -> xr.Dataset:
    """The two stacks as one dataset of digital numbers (time, y, x), dated by the first day of each composite."""
    timeline = pd.read_csv(DATA / "timeline.csv", parse_dates=["start"])
    grid = raster_grid()
    stacks = {}
    for name in PRODUCT.assets:
        with rasterio.open(DATA / f"CB4_AWFI_022024_{name}.tif") as source:
            stacks[name] = (("time", "y", "x"), source.read())
    coordinates = {"time": timeline.start.to_numpy(), "y": grid.y, "x": grid.x}
    return xr.Dataset(stacks, coords=coordinates, attrs={"crs": grid.crs.to_wkt()})


def raster_grid() -> Grid:
    """The grid of the rasters."""
    with rasterio.open(DATA / "CB4_AWFI_022024_NDVI.tif") as source:
        return Grid.of(source.crs.to_wkt(), source.transform, source.shape)


def train_on_points(cube: Cube, samples: pd.DataFrame):
    """A forest on the series of points, prepared as the map will be: same valid range, same interpolation."""
    content = next(iter(cube.inputs.values()))
    sensor = SensorRecord(**content.model_dump(), mean=(0, 0), std=(1, 1))
    record = ModelRecord(
        name="random-forest",
        family="random-forest",
        architecture={"kind": "random forest on interpolated series"},
        sensors=(sensor,),
        frames=FRAMES,
        side=240,
        legend=LEGEND,
        season=(SEASON.start, SEASON.end),
        training={"seed": 0, "places": {"train": len(samples)}},
        versions=running_versions("scikit-learn", "skops"),
    )
    sample = interpolated(points_as_sample(samples, sensor), SEASON.steps(FRAMES))
    everywhere = np.ones(sample.label.shape, bool)
    return fit_forest(
        pixel_features(sample, everywhere, record.sensors, ("series",), SEASON.days), sample.label[0], record
    )


def points_as_sample(samples: pd.DataFrame, sensor: SensorRecord) -> Sample:
    """Points side by side as one row of pixels: image (T, C, 1, points)."""
    series = pd.read_parquet(DATA / "series.parquet")
    series = series[series.sample_id.isin(samples.sample_id)]
    wide = [series.pivot(index="date", columns="sample_id", values=band)[samples.sample_id] for band in sensor.bands]
    image = np.stack([table.to_numpy(np.float32) for table in wide], axis=1)[:, :, None]
    low, high = (limit * PRODUCT.scale for limit in PRODUCT.valid_range)
    valid = ((image >= low) & (image <= high)).all(axis=1)
    days = np.array([day_number(moment.date()) for moment in wide[0].index], np.int32)
    own = Series(np.where(valid[:, None], image, 0).astype(np.float32), valid, days)
    label = LEGEND.encode(samples.label.to_numpy())[None]
    return Sample({sensor.sensor: own}, label, Window(0, 0, *label.shape), day_number(SEASON.start))


def read_points(samples: pd.DataFrame) -> geopandas.GeoDataFrame:
    """Labelled points in longitude and latitude."""
    points = geopandas.read_parquet(DATA / "samples.parquet").set_index("sample_id").loc[samples.sample_id]
    return points[["label", "geometry"]].set_crs(LONLAT, allow_override=True)


def accuracy_inside(classes: Path, points: geopandas.GeoDataFrame) -> float:
    """Share of the points whose pixel of the map has their class."""
    with rasterio.open(classes) as source:
        moved = points.to_crs(source.crs)
        found = [value[0] for value in source.sample(zip(moved.geometry.x, moved.geometry.y, strict=True))]
    return float((np.array(found) == LEGEND.encode(points.label.to_numpy())).mean())


if __name__ == "__main__":
    main()
