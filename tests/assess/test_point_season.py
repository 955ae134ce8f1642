"""What the cube shows at points, against the numbers that the toy cube stores."""

from datetime import date
from io import BytesIO

import geopandas as gpd
import numpy as np
import pytest
import zarr
from matplotlib.image import imread
from tests.toy import toy_project

from agrifm.assess.point_cubes import points_of_cube
from agrifm.assess.point_season import picture_sensor, read_point_seasons
from agrifm.cube.store import open_cube
from agrifm.season import day_date

BANDS = ("B02", "B03", "B04", "B08", "B11")
CORNER = (447_840, 5_197_440)
CHIP = 49
"""Pixels of 10 m, 480 m and the pixel of the point in the middle."""


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    """Nine frames from 1 April to 20 June; in May nothing is clear but a corner, on 10 and 20 June a half each."""
    path = toy_project(tmp_path_factory.mktemp("toy"), bands=BANDS).cube
    valid = zarr.open_group(path, mode="r+", use_consolidated=False)["sentinel-2/valid"]
    content = valid[...]
    content[3:7] = False
    content[3, :20, :20] = True
    content[7:] = False
    content[7, :, :100] = True
    content[8, :, 80:] = True
    valid[...] = content
    return open_cube(path)


def points(*pixels):
    """Points in the middles of 10 m pixels (row, col)."""
    rows, cols = np.array(pixels).T
    x, y = CORNER[0] + (cols + 0.5) * 10, CORNER[1] - (rows + 0.5) * 10
    return gpd.GeoDataFrame(geometry=gpd.points_from_xy(x, y), crs="EPSG:32631")


def seasons_at(cube, *pixels):
    """What the cube shows at the middles of pixels."""
    frame = points(*pixels)
    return read_point_seasons(points_of_cube(cube, len(frame)), frame)


def chips(strip):
    """The months of a strip, (M, S, S, 3)."""
    whole = imread(BytesIO(strip), format="jpeg")
    return whole.reshape(CHIP, -1, CHIP, 3).transpose(1, 0, 2, 3)


def test_each_month_has_its_clearest_observation_or_none(cube):
    group = zarr.open_group(cube.path, mode="r")["sentinel-2"]
    days, valid = group["time"][:], group["valid"][:]
    (season,) = seasons_at(cube, (100, 60))
    expected = {}
    for number, month in enumerate((4, 5, 6)):
        shares = {}
        for frame, day in enumerate(days):
            if day_date(day).month == month:
                window = valid[frame, 76:125, 36:85]
                shares[int(day)] = (window.mean() + valid[frame, 100, 60] / 2, window.mean())
        best = max(shares, key=lambda day: shares[day])
        if shares[best][1] > 0.1:
            expected[number] = (best, shares[best][1])
    assert list(expected) == [0, 2]  # May is clear in a far corner only
    assert {one.month: (one.day, pytest.approx(one.clear)) for one in season.months} == expected
    assert day_date(season.months[-1].day) == date(2024, 6, 10)
    assert season.months[-1].seen


def test_a_point_that_is_seen_counts_for_more_than_a_clearer_chip(cube):
    (seen_first,) = seasons_at(cube, (100, 79))
    (seen_later,) = seasons_at(cube, (100, 101))
    assert day_date(seen_first.months[-1].day) == date(2024, 6, 10)
    assert day_date(seen_later.months[-1].day) == date(2024, 6, 20)


def test_what_was_not_observed_is_hatched_and_not_black(cube):
    (season,) = seasons_at(cube, (100, 90))
    valid = zarr.open_group(cube.path, mode="r")["sentinel-2/valid"][:]
    june = chips(season.strips[0])[-1].astype(int)
    frame = 7 if day_date(season.months[-1].day).day == 10 else 8
    hidden = ~valid[frame, 76:125, 66:115]
    assert 200 < hidden.sum() < CHIP**2 - 200
    hatched = june[hidden]
    assert (np.ptp(hatched, axis=1) < 60).mean() > 0.95  # grey
    assert hatched.mean(axis=1).min() > 80
    assert np.ptp(june[~hidden], axis=1).mean() > 2 * np.ptp(hatched, axis=1).mean()


def test_brighter_ground_is_brighter_in_the_picture(cube):
    (season,) = seasons_at(cube, (100, 60))
    group = zarr.open_group(cube.path, mode="r")["sentinel-2"]
    frame = group["time"][:].tolist().index(season.months[0].day)
    usable = group["valid"][frame, 76:125, 36:85]
    assert [len(season.strips), len(chips(season.strips[0]))] == [2, 2]
    for strip, order in zip(season.strips, ([2, 1, 0], [3, 4, 2]), strict=True):
        shown = chips(strip)[0].astype(float)
        stored = group["values"][frame, :, 76:125, 36:85].astype(float)[order]
        for channel in range(3):
            assert np.corrcoef(shown[..., channel][usable], stored[channel][usable])[0, 1] > 0.7


def test_curves_are_the_indices_of_clear_days_only(cube):
    (season,) = seasons_at(cube, (31, 47))
    curves = {(curve.sensor, curve.name): curve for curve in season.curves}
    assert next(iter(curves))[0] == "Sentinel-2 MSI"
    assert {name for sensor, name in curves if sensor == "Sentinel-2 MSI"} == {"NDVI", "NDMI", "Green-blue"}
    group = zarr.open_group(cube.path, mode="r")
    for sensor, title, (row, col), red, nir in (
        ("sentinel-2", "Sentinel-2 MSI", (31, 47), 2, 3),
        ("landsat", "Landsat-8/9 OLI", (10, 15), 0, 1),
    ):
        values, valid = group[sensor]["values"][:, :, row, col] / 1e4, group[sensor]["valid"][:, row, col]
        days = group[sensor]["time"][:]
        curve = curves[title, "NDVI"]
        assert list(curve.days) == days[valid].tolist()
        assert 0 < len(curve.days) < 9
        by_hand = [(one[nir] - one[red]) / (one[nir] + one[red]) for one in values[valid]]
        assert list(curve.values) == pytest.approx(by_hand, abs=6e-4)


def test_a_point_outside_has_nothing_and_one_at_the_edge_says_what_is_beyond(cube):
    outside, edge = seasons_at(cube, (-4, 60), (0, 191))
    assert (outside.inside, outside.months, outside.strips, outside.curves) == (False, (), (), ())
    assert edge.inside
    beyond = chips(edge.strips[0])[0]
    for part in (beyond[:20], beyond[:, 30:]):  # rounded by JPEG next to the ground
        assert np.median(part) == 235
        assert part.min() > 190


def test_a_sensor_without_colours_gives_no_pictures(tmp_path):
    cube = open_cube(toy_project(tmp_path).cube)
    assert picture_sensor(cube) is None
    (season,) = seasons_at(cube, (31, 47))
    assert season.inside
    assert not season.strips
    assert {curve.name for curve in season.curves} == {"NDVI"}
