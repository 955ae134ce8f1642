"""The mean series of a parcel is that of the pixels whose centres it covers."""

import gzip
import json

import numpy as np
import pytest
import shapely
from pmtiles.reader import MemorySource, Reader, all_tiles
from pyproj import Transformer
from tests.serve.small_season import request, served, small_season

from agrifm.cube.store import open_cube
from agrifm.grid import Window
from agrifm.serve.parcel_curves import LEAST_SEEN, mean_series
from agrifm.serve.parcel_series_archive import write_parcel_series
from agrifm.serve.parcel_views import ParcelViews
from agrifm.serve.series_blocks import step_of


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return small_season(tmp_path_factory.mktemp("season") / "season", count=9)


@pytest.fixture(scope="module")
def parcels(season):
    return ParcelViews(season.parcel_crops / "parcels.parquet")


def plain_means(sensor, shape):
    """Means (T, C) in plain loops over the pixels, NaN on dates that observed too few of them."""
    to_grid = Transformer.from_crs("EPSG:4326", sensor.grid.crs.to_wkt(), always_xy=True)
    moved = shapely.transform(shape, lambda points: np.stack(to_grid.transform(*points.T), axis=1))
    height, width = sensor.grid.shape
    values = sensor.stored("values", (slice(None), slice(None), slice(0, height), slice(0, width)))
    _, valid, _ = sensor.read(Window(0, 0, height, width))
    x, y = np.meshgrid(sensor.grid.x, sensor.grid.y)
    inside = shapely.contains_xy(moved, x, y)
    found = np.full(values.shape[:2], np.nan)
    for date, seen in enumerate(valid & inside):
        if seen.sum() and seen.sum() >= LEAST_SEEN * inside.sum():
            found[date] = [values[date, band][seen].mean() for band in range(values.shape[1])]
    return found


def test_means_are_those_of_the_pixels_inside(season, parcels):
    sensor = open_cube(season.cube).sensors["sentinel-2"]
    shapes = parcels.shapes(np.arange(parcels.count))
    means = mean_series(sensor, shapes)
    for shape, mean in zip(shapes[::3], means[::3], strict=True):
        expected = plain_means(sensor, shape)
        assert np.isfinite(expected).any()
        np.testing.assert_allclose(mean, expected, rtol=1e-5)


def test_a_parcel_outside_the_cube_has_no_series(season):
    sensor = open_cube(season.cube).sensors["sentinel-2"]
    assert np.isnan(mean_series(sensor, np.array([shapely.box(7, 50, 7.01, 50.01)]))).all()


def test_the_archive_and_the_server_have_the_same_means(season, parcels, tmp_path):
    sensor = open_cube(season.cube).sensors["sentinel-2"]
    assert write_parcel_series(parcels, sensor, tmp_path / "series.pmtiles") > 0
    source = MemorySource((tmp_path / "series.pmtiles").read_bytes())
    assert Reader(source).header()["tile_type"].value == 0
    stored = {}
    for _, content in all_tiles(source):
        stored |= json.loads(gzip.decompress(content))
    assert set(stored) == {str(row) for row in range(parcels.count)}
    with served(season.directory) as port:
        (found,) = json.loads(request(port, "/parcel-series?row=4")[1])
        assert request(port, "/parcel-series?row=9")[0] == 404
        assert request(port, "/parcel-series?row=x")[0] == 404
    unit = step_of(sensor) * sensor.input.scale
    for band, name in enumerate(sensor.input.bands):
        curve = next(one["values"] for one in found["curves"] if one["name"] == name)
        assert [date for date, value in enumerate(curve) if value is not None] == stored["4"]["seen"]
        ours = [values[band] * unit for values in stored["4"]["values"]]
        assert [value for value in curve if value is not None] == pytest.approx(ours, abs=unit / 2 + 1e-4)
