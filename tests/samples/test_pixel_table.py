"""Pixels of cubes and windows as a table: their numbers are those of the store, and parcels stay whole."""

from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import zarr
from pyproj import Transformer
from tests.samples.public.test_pastis import write_set
from tests.toy import FIELD, SIDE, toy_project

from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import LabelError
from agrifm.grid import Window
from agrifm.legend import Legend
from agrifm.record import SensorInput
from agrifm.samples.pixel_table import draw_of_groups, table_of_cube, table_of_windows
from agrifm.samples.public.pastis import read_pastis
from agrifm.samples.public.public_set import PublicSet, SetFacts, SetWindows
from agrifm.samples.sample import Sample, Series
from agrifm.samples.table import SeriesTable
from agrifm.train.data import project_labels

LEFT, TOP = 447840, 5197440
"""Corner of the toy cube, EPSG:32631."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return toy_project(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def table(project: Project) -> SeriesTable:
    cube = open_cube(project.cube)
    return table_of_cube(cube, project_labels(project, cube), 480, 3)


def pixels_of(table: SeriesTable) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each place in the toy cube, from its coordinates."""
    x, y = Transformer.from_crs("OGC:CRS84", "EPSG:32631", always_xy=True).transform(table.lon, table.lat)
    return np.floor((TOP - np.asarray(y)) / 10).astype(int), np.floor((np.asarray(x) - LEFT) / 10).astype(int)


def test_a_place_has_the_numbers_dates_and_gaps_of_its_pixel(project: Project, table: SeriesTable) -> None:
    root = zarr.open_group(project.cube, mode="r")
    rows, cols = pixels_of(table)
    for name, ratio in (("sentinel-2", 1), ("landsat", 3)):
        stored = root[f"{name}/values"][:][:, :, rows // ratio, cols // ratio].transpose(2, 0, 1)
        valid = root[f"{name}/valid"][:][:, rows // ratio, cols // ratio].T
        series = table.series[name]
        np.testing.assert_array_equal(series.valid, valid)
        np.testing.assert_allclose(series.values[valid], stored[valid] * 1e-4, atol=1e-6)
        assert series.date[5].tolist() == root[f"{name}/time"][:].tolist()
        assert series.input.bands == tuple(root[f"{name}/band"][:])
    assert (table.season_start[0], table.season_days) == (root["sentinel-2/time"][0], 90)


def test_labels_are_those_of_the_parcels_and_a_parcel_has_one_block(project: Project, table: SeriesTable) -> None:
    rows, cols = pixels_of(table)
    parcels = geopandas.read_file(project.directory / "labels.gpkg").crop.to_numpy().reshape(SIDE // FIELD, -1)
    codes = np.array(table.legend.codes)[table.label]
    assert (codes == parcels[rows // FIELD, cols // FIELD]).all()
    parcel = rows // FIELD * (SIDE // FIELD) + cols // FIELD
    assert np.bincount(parcel).max() == 3
    assert len(np.unique(parcel)) == (SIDE // FIELD) ** 2
    # fields of 120 m nest in blocks of 480 m
    block = rows // 48 * 4 + cols // 48
    assert len(np.unique(np.stack([block, table.block]), axis=1).T) == 16 == len(np.unique(table.block))
    assert len(np.unique(np.stack([parcel, table.block]), axis=1).T) == len(np.unique(parcel))
    assert len(np.unique(np.array(table.place))) == len(np.unique(parcel))


def test_the_seed_decides_which_pixels(project: Project, table: SeriesTable) -> None:
    cube = open_cube(project.cube)
    labels = project_labels(project, cube)
    again, other = (table_of_cube(cube, labels, 480, 3, seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.lon, table.lon)
    assert len(other) == len(table)
    assert not np.array_equal(other.lon, table.lon)


def test_stated_folds_are_kept_and_unobserved_pixels_left_out(project: Project) -> None:
    """The toy cube has never seen the four pixels of its first two rows and columns."""
    cube = open_cube(project.cube)
    labels = project_labels(project, cube)
    label, place = np.full_like(labels.label, 255), np.full_like(labels.place, -1)
    label[:2, :3] = [[0, 1, 0], [0, 1, 1]]
    place[:2, :3] = [[0, 1, 2], [0, 1, 3]]
    labels.places["fold"] = np.where(np.arange(len(labels.places)) % 4 < 2, "train", "test")
    label[2:4, 0], place[2:4, 0] = (0, 1), (4, 5)  # so that training has two classes
    few = replace(labels, label=label, place=place)
    table = table_of_cube(cube, few, 480, 3)
    assert sorted(zip(table.place, np.asarray(table.fold).tolist(), strict=True)) == [
        ("parcel 2", 2), ("parcel 3", 2), ("parcel 4", 0), ("parcel 5", 0),
    ]  # fmt: skip
    label[:, 2:] = label[2:] = 255
    labels.places["fold"] = np.where(np.arange(len(labels.places)) % 2, "train", "test")
    place[:2, :2] = [[0, 2], [1, 3]]
    with pytest.raises(LabelError) as error:
        table_of_cube(cube, few, 480, 3)
    assert error.value.facts["pixels"] == 0


def test_of_each_group_at_most_so_many_are_drawn() -> None:
    group = np.array([5, -2, 5, 5, 9, -2, 5, -2, -2])
    drawn = draw_of_groups(group, 2, 0)
    assert drawn.tolist() == sorted(drawn.tolist())
    assert {number: int((group[drawn] == number).sum()) for number in (5, -2, 9)} == {5: 2, -2: 2, 9: 1}
    assert draw_of_groups(group, 9, 0).tolist() == list(range(9))
    assert draw_of_groups(group[:0], 2, 0).tolist() == []
    many = {tuple(draw_of_groups(group, 1, seed)) for seed in range(60)}
    assert len({first for chosen in many for first in chosen}) == 9  # each can be drawn


def test_pixels_of_windows_have_the_numbers_of_their_files(tmp_path: Path) -> None:
    """Pixel (r, c) of band b and image t has 1000 b + 100 t + r; images 1, 2, 0 are in the order of dates."""
    table, window = table_of_windows(read_pastis(write_set(tmp_path)), 5)
    numbers = np.rint(table.series["sentinel-2"].values * 1e4).astype(int)
    row = numbers[:, 0, 1] - 1000 - 100
    expected = 1000 * np.arange(10) + 100 * np.array([1, 2, 0])[:, None] + row[:, None, None]
    usable = table.series["sentinel-2"].valid
    np.testing.assert_array_equal(numbers[usable], expected[usable])
    assert usable[:, :2].all()
    # rows below 64 have the number of the fold as class, 64 to 99 none, the others the background
    assert np.where(row < 64, window + 1, 0).tolist() == table.label.tolist()
    assert not ((row >= 64) & (row < 100)).any()
    assert np.unique(window, return_counts=True)[1].tolist() == [10] * 5
    assert table.block.tolist() == window.tolist()
    assert table.place[0] == "10001"
    assert table.season_days == 35  # 1 September to 5 October


def test_few_windows_are_drawn_from_all(tmp_path: Path) -> None:
    content = read_pastis(write_set(tmp_path))
    drawn = {tuple(np.unique(table_of_windows(content, 2, 2, seed)[1])) for seed in range(8)}
    assert all(len(windows) == 2 for windows in drawn)
    assert len({one for windows in drawn for one in windows}) > 2


def test_composites_are_in_the_order_of_the_days_of_the_pixel() -> None:
    sensor = SensorInput(sensor="modis", bands=("B01",), quantity="surface reflectance", scale=1e-4, resolution=480)
    image = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32).reshape(2, 1, 1, 2)
    day = np.array([[107, 101], [105, 111]], np.int32).reshape(2, 1, 2)
    series = Series(image, np.ones((2, 1, 2), bool), np.array([100, 104], np.int32), day)
    sample = Sample({"modis": series}, np.array([[0, 1]], np.uint8), Window(0, 0, 1, 2), 90)
    content = SetWindows(["one"], lambda _: sample)
    facts = SetFacts("made", "a made set", "none", "none", "none")
    table, _ = table_of_windows(PublicSet(facts, Legend.of(["a", "b"]), (sensor,), content, {}), 1)
    assert table.series["modis"].date.tolist() == [[105, 107], [101, 111]]
    np.testing.assert_allclose(table.series["modis"].values[..., 0], [[0.3, 0.1], [0.2, 0.4]])
