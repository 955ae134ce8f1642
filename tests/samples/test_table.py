"""A series table gives each place's series as a sample of one pixel, without its padding."""

import numpy as np

from agrifm.legend import Legend
from agrifm.record import SensorInput
from agrifm.samples.table import SeriesTable, TableSeries


def two_places() -> SeriesTable:
    """Two places: the first with two dates of three, the second with three dates, one of them not valid."""
    sentinel = SensorInput(
        sensor="sentinel-2", bands=("B04", "B08"), quantity="surface reflectance", scale=1e-4, resolution=10
    )
    values = np.arange(12, dtype=np.float32).reshape(2, 3, 2) / 100
    valid = np.array([[True, True, False], [True, False, True]])
    series = TableSeries(
        sentinel,
        values * valid[..., None],
        valid,
        np.array([[100, 110, 110], [100, 110, 120]], np.int32),
        np.array([2, 3]),
    )
    return SeriesTable(
        Legend.of(["maize", "wheat"]),
        np.array([0, 1], np.uint8),
        {"sentinel-2": series},
        np.array([90, 90], np.int32),
        365,
        np.array([1.0, 2.0]),
        np.array([45.0, 46.0]),
        np.array([0, 1], np.int32),
        place=("a", "b"),
    )


def test_a_place_is_a_sample_of_one_pixel_without_padding() -> None:
    table = two_places()
    first, second = table.samples()
    assert first.series["sentinel-2"].image.shape == (2, 2, 1, 1)
    assert first.series["sentinel-2"].date.tolist() == [100, 110]
    assert second.series["sentinel-2"].valid[:, 0, 0].tolist() == [True, False, True]
    assert second.label.tolist() == [[1]]
    assert second.season_start == 90


def test_places_are_chosen_by_index_in_their_order() -> None:
    chosen = two_places().of(np.array([1, 0]))
    assert chosen.place == ("b", "a")
    assert chosen.label.tolist() == [1, 0]
    assert chosen.series["sentinel-2"].length.tolist() == [3, 2]
    np.testing.assert_array_equal(chosen.lon, [2.0, 1.0])


def test_a_sensor_that_a_place_lacks_is_absent_from_its_sample() -> None:
    table = two_places()
    table.series["sentinel-2"].length[0] = 0
    assert table.sample(0).series == {}
    assert list(table.sample(1).series) == ["sentinel-2"]
