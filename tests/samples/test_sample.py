"""Samples: sensors over the same ground, bands by name, and their stacking."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tests.scenes import make_cube

from agrifm.cube.store import Cube
from agrifm.errors import CubeError, ModelError
from agrifm.grid import Window
from agrifm.record import SensorRecord
from agrifm.samples.sample import Sample, Series, collate, enlarge, read_sample


@pytest.fixture
def cube(tmp_path: Path) -> Cube:
    return make_cube(tmp_path / "cube.zarr")


def test_every_sensor_of_a_sample_covers_the_same_ground(cube: Cube) -> None:
    sample = read_sample(cube, Window(48, 96, 48, 96), list(cube.inputs.values()))
    fine, coarse = sample.series["sentinel-2"], sample.series["modis"]
    assert fine.image.shape == (3, 2, 48, 96)
    assert coarse.image.shape == (2, 2, 1, 2)
    expected = cube.sensors["sentinel-2"].group["values"][0, 0, 48:96, 96:192] * 1e-4
    assert fine.image[0, 0] == pytest.approx(expected)
    assert coarse.image[0, 0] == pytest.approx(cube.sensors["modis"].group["values"][0, 0, 1:2, 2:4] * 1e-4)


def test_bands_come_in_the_order_that_is_asked_for_by_name(cube: Cube) -> None:
    own = cube.inputs["sentinel-2"]
    straight = read_sample(cube, Window(0, 0, 48, 48), [own])
    turned = read_sample(cube, Window(0, 0, 48, 48), [own.model_copy(update={"bands": ("nir", "red")})])
    assert (turned.series["sentinel-2"].image == straight.series["sentinel-2"].image[:, ::-1]).all()
    one = read_sample(cube, Window(0, 0, 48, 48), [own.model_copy(update={"bands": ("nir",)})])
    assert (one.series["sentinel-2"].image == straight.series["sentinel-2"].image[:, 1:]).all()


def test_a_band_that_the_cube_lacks_is_refused(cube: Cube) -> None:
    with pytest.raises(CubeError, match="'swir'"):
        read_sample(cube, Window(0, 0, 48, 48), [cube.inputs["modis"].model_copy(update={"bands": ("red", "swir")})])


def test_a_band_declared_absent_is_the_mean_the_model_was_trained_with(cube: Cube) -> None:
    content = {**cube.inputs["sentinel-2"].model_dump(), "bands": ("swir", "nir", "red")}
    wanted = SensorRecord(**content, absent_bands=("swir",), mean=(0.25, 0, 0), std=(1, 1, 1))
    straight = read_sample(cube, Window(0, 0, 48, 48), [cube.inputs["sentinel-2"]]).series["sentinel-2"]
    found = read_sample(cube, Window(0, 0, 48, 48), [wanted]).series["sentinel-2"]
    assert (found.image[:, 1:] == straight.image[:, ::-1]).all()
    assert (found.image[:, 0] == np.where(found.valid, np.float32(0.25), 0)).all()
    assert found.absent is not None
    assert found.absent.tolist() == [True, False, False]


def test_a_window_that_cuts_a_coarse_pixel_is_a_bug(cube: Cube) -> None:
    with pytest.raises(AssertionError, match="does not nest"):
        read_sample(cube, Window(0, 24, 48, 48), list(cube.inputs.values()))


def test_a_sample_carries_dates_season_place_and_labels(cube: Cube) -> None:
    window = Window(0, 48, 48, 48)
    label = np.full((48, 48), 3, np.uint8)
    sample = read_sample(cube, window, list(cube.inputs.values()), label)
    assert sample.season_start == (date(2024, 3, 1) - date(1970, 1, 1)).days
    assert sample.window == window
    assert (sample.label == 3).all()
    assert sample.series["sentinel-2"].date.tolist() == [19783, 19813, 19843]  # 1 March, 31 March, 30 April 2024
    assert sample.series["sentinel-2"].day is None
    day = sample.series["modis"].day
    assert day is not None
    assert day[:, 0, 0].tolist() == [19785, 19793]
    unlabelled = read_sample(cube, window, list(cube.inputs.values()))
    assert (unlabelled.label == 255).all()


def test_invalid_pixels_are_zero(cube: Cube) -> None:
    series = read_sample(cube, Window(0, 0, 96, 192), [cube.inputs["sentinel-2"]]).series["sentinel-2"]
    assert not series.valid[1, :, :20].any()
    assert (series.image.transpose(0, 2, 3, 1)[~series.valid] == 0).all()
    assert (series.image.transpose(0, 2, 3, 1)[series.valid] > 0).all()


def sample_of(valid: dict[str, np.ndarray], side: int) -> Sample:
    series = {
        name: Series(np.zeros((own.shape[0], 1, *own.shape[1:]), np.float32), own, np.arange(len(own), dtype=np.int32))
        for name, own in valid.items()
    }
    return Sample(series, np.zeros((side, side), np.uint8), Window(0, 0, side, side), 0)


def test_ground_is_seen_where_any_sensor_saw_it_once() -> None:
    fine, coarse = np.zeros((2, 4, 4), bool), np.zeros((3, 2, 2), bool)
    fine[1, 0, 3] = True
    coarse[2, 1, 0] = True
    expected = np.zeros((4, 4), bool)
    expected[0, 3] = True
    expected[2:, :2] = True
    assert (sample_of({"fine": fine, "coarse": coarse}, 4).any_valid == expected).all()


def test_a_coarse_pixel_is_enlarged_to_a_square_of_its_own() -> None:
    array = np.random.default_rng(0).random((2, 3, 4)) < 0.5
    assert (enlarge(array, 3) == np.kron(array, np.ones((1, 3, 3), bool))).all()


def test_a_batch_stacks_samples_in_order(cube: Cube) -> None:
    windows = [Window(0, 0, 48, 48), Window(48, 48, 48, 48), Window(0, 144, 48, 48)]
    label = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48).astype(np.uint8)
    samples = [
        read_sample(cube, window, list(cube.inputs.values()), label + number) for number, window in enumerate(windows)
    ]
    batch = collate(samples)
    assert set(batch.images) == {"sentinel-2", "modis"}
    assert batch.images["sentinel-2"].shape == (3, 3, 2, 48, 48)
    assert batch.images["modis"].shape == (3, 2, 2, 1, 1)
    for number, sample in enumerate(samples):
        assert (batch.label[number] == sample.label).all()
        for name, series in sample.series.items():
            assert (batch.images[name][number] == series.image).all()
            assert (batch.valid[name][number] == series.valid).all()
    # the season begins on 1 March 2024, the 61st day of a leap year; composites are of two days after their first
    assert batch.first_day.tolist() == [61, 61, 61]
    assert batch.day["sentinel-2"].tolist() == [[0, 30, 60]] * 3
    # the upper left pixel of MODIS was never seen; its day is that of the frame
    assert batch.day["modis"][:, :, 0, 0].tolist() == [[0, 8], [2, 10], [2, 10]]
    assert batch.absent == {}


def made_sample(days: list[int], start: int = 100, absent: list[bool] | None = None) -> Sample:
    """One sensor of two bands over two pixels, all seen, with numbers above 0."""
    image = np.arange(1, 4 * len(days) + 1, dtype=np.float32).reshape(len(days), 2, 1, 2)
    lacks = None if absent is None else np.array(absent)
    series = Series(image, np.ones((len(days), 1, 2), bool), np.array(days, np.int32), absent=lacks)
    return Sample({"fine": series}, np.zeros((1, 2), np.uint8), Window(0, 0, 1, 2), start)


def test_shorter_series_are_padded_with_invalid_frames_on_the_last_day() -> None:
    short, long = made_sample([103, 110]), made_sample([101, 102, 120, 130])
    batch = collate([short, long])
    assert batch.images["fine"].shape == (2, 4, 2, 1, 2)
    assert (batch.images["fine"][0, :2] == short.series["fine"].image).all()
    assert (batch.images["fine"][0, 2:] == 0).all()
    assert batch.valid["fine"][:, :, 0, 0].tolist() == [[True, True, False, False], [True] * 4]
    assert batch.day["fine"].tolist() == [[3, 10, 10, 10], [1, 2, 20, 30]]
    assert batch.frames["fine"].tolist() == [2, 4]
    assert batch.day["fine"].dtype == np.float32


def test_days_of_pixels_are_filled_up_with_the_frame_s_last_day() -> None:
    short, long = made_sample([103]), made_sample([101, 107])
    own = [
        replace(one, series={"fine": replace(one.series["fine"], day=one.series["fine"].date[:, None, None] + add)})
        for one, add in ((short, np.array([[0, 4]], np.int32)), (long, np.array([[1, 2]], np.int32)))
    ]
    assert collate(own).day["fine"][:, :, 0].tolist() == [[[3, 7], [3, 3]], [[2, 3], [8, 9]]]


def test_31_december_of_a_leap_year_is_day_366() -> None:
    day = (date(2024, 12, 31) - date(1970, 1, 1)).days
    assert collate([made_sample([day + 5], day)]).first_day.tolist() == [366]


def test_absent_bands_are_told_per_sample() -> None:
    batch = collate([made_sample([101]), made_sample([102], absent=[False, True])])
    assert batch.absent["fine"].tolist() == [[False, False], [False, True]]


def test_samples_of_other_sensors_make_no_batch() -> None:
    one = made_sample([101])
    other = replace(one, series={**one.series, "coarse": one.series["fine"]})
    with pytest.raises(ModelError, match="'coarse'"):
        collate([one, other])
