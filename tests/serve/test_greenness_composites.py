"""Composites of greenness are the median and the highest of what each pixel's curve has in the period."""

from datetime import date

import numpy as np
import pytest
from pyproj import Transformer
from tests.serve.small_season import BANDS
from tests.toy import toy_project

from agrifm.cube.store import open_cube
from agrifm.grid import Window
from agrifm.serve.greenness_composites import composites_of
from agrifm.serve.picture_titles import STEPS
from agrifm.serve.pixel_answers import series_answer
from agrifm.serve.tile_places import SIDE, TilePlaces


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    return open_cube(toy_project(tmp_path_factory.mktemp("season") / "season", bands=BANDS).cube)


@pytest.mark.parametrize("name", ["monthly", "season"])
def test_composites_are_those_of_the_curves(cube, name):
    sensor = cube.sensors["sentinel-2"]
    found = next(one for one in composites_of(sensor, cube.season) if one.name == name)
    top, left = 80, 90  # across the edges of chunks
    row, col = np.mgrid[top : top + SIDE, left : left + SIDE] + 0.5
    places = TilePlaces(Window(top, left, 24, 30), row, col, (row < top + 24) & (col < left + 30))
    for frame, day in enumerate(found.periods):
        drawn = [found.drawn(kind, frame, places) for kind in ("ndvi-median", "ndvi-highest")]
        assert (drawn[0][24:] == STEPS + 1).all()
        for down, right in ((0, 0), (7, 5), (23, 29), (16, 6)):
            x, y = sensor.grid.transform @ (left + right + 0.5, top + down + 0.5)
            series = series_answer(cube, *lonlat(sensor.grid, x, y))[0]
            curve = next(one["values"] for one in series["curves"] if one["name"] == "NDVI")
            seen = [
                value
                for number, value in zip(series["days"], curve, strict=True)
                if value is not None and (name == "season" or month_of(number) == day[:7])
            ]
            for picture, number in zip(drawn, (np.median, np.max), strict=True):
                expected = np.clip(number(seen), 0, 1) * STEPS if seen else STEPS + 1
                assert picture[down, right] == pytest.approx(expected, abs=0.51)


def test_a_tile_at_the_edge_of_the_grid_is_drawn(cube):
    found = composites_of(cube.sensors["sentinel-2"], cube.season)[1]
    height, width = found.grid.shape
    row, col = np.mgrid[height - 2 : height + SIDE - 2, width - 2 : width + SIDE - 2] + 0.5
    places = TilePlaces(Window(height - 2, width - 2, 3, 3), row, col, (row < height) & (col < width))
    drawn = found.drawn("ndvi-highest", 0, places)
    assert (drawn[:2, :2] <= STEPS).all()
    assert (drawn[2:] == STEPS + 1).all()


def month_of(number):
    return str(np.datetime64(number, "D"))[:7]


def lonlat(grid, x, y):
    return Transformer.from_crs(grid.crs.to_wkt(), "EPSG:4326", always_xy=True).transform(x, y)


def test_months_without_dates_are_left_out(cube):
    months = composites_of(cube.sensors["landsat"], cube.season)[0]
    dates = {str(np.datetime64(int(day), "D"))[:7] for day in cube.sensors["landsat"].date}
    assert [day[:7] for day in months.periods] == sorted(dates)
    assert all(date.fromisoformat(day) for day in months.periods)
