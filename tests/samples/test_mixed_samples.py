"""Batches of windows and places: their share, their order, and that nothing depends on earlier steps."""

import numpy as np
import pytest
from tests.samples.tables import series_table
from tests.toy import SEASON, toy_project

from agrifm.cube.store import open_cube
from agrifm.record import SensorInput
from agrifm.samples.mixed_samples import MixedSamples
from agrifm.samples.patches import Patches, Tiles, labelled_windows
from agrifm.samples.table_samples import TableSamples


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> MixedSamples:
    """16 windows and 100 places; three of ten batches are of places."""
    cube = open_cube(toy_project(tmp_path_factory.mktemp("toy")).cube)
    sensors: list[SensorInput] = list(cube.inputs.values())
    label = np.zeros(cube.target.shape, np.uint8)
    patches = Patches(Tiles(cube, sensors, SEASON.steps(4)), label, labelled_windows(label, 48, 48))
    return MixedSamples(patches, TableSamples(series_table(100, 10), "interpolated", 4), 0.3)


def test_of_any_number_of_steps_the_share_is_of_places(samples: MixedSamples) -> None:
    of_places = np.array([samples.batch_of_step(step, 2, 7)[1] for step in range(200)])
    for steps in (10, 55, 200):
        assert abs(of_places[:steps].sum() - 0.3 * steps) < 1
    # evenly: never two in a row, and never more than three windows between
    assert not (of_places[1:] & of_places[:-1]).any()
    assert np.diff(np.flatnonzero(of_places)).max() <= 4


def test_every_window_and_place_comes_before_any_comes_again(samples: MixedSamples) -> None:
    drawn = [samples.batch_of_step(step, 3, 7) for step in range(300)]
    windows = [index for chosen, is_of_places in drawn if not is_of_places for index in chosen]
    places = [index for chosen, is_of_places in drawn if is_of_places for index in chosen]
    assert {len(chosen) for chosen, is_of_places in drawn if is_of_places} == {24}
    for order, numbers in ((windows, range(16)), (places, range(16, 116))):
        assert len(order) > 2 * len(numbers)
        for lap in range(len(order) // len(numbers)):
            assert sorted(order[lap * len(numbers) : (lap + 1) * len(numbers)]) == list(numbers)


def test_a_step_depends_on_seed_and_number_alone(samples: MixedSamples) -> None:
    later = samples.batch_of_step(57, 2, 7)
    assert later == samples.batch_of_step(57, 2, 7)
    assert [samples.batch_of_step(step, 2, 8) for step in range(9)] != [
        samples.batch_of_step(step, 2, 7) for step in range(9)
    ]


def test_validation_goes_through_windows_and_then_places_once(samples: MixedSamples) -> None:
    batches = list(samples.in_order(3))
    assert [index for batch in batches for index in batch] == list(range(116))
    assert [len(batch) for batch in batches] == [3, 3, 3, 3, 3, 1, 24, 24, 24, 24, 4]
    assert all(max(batch) < 16 or min(batch) >= 16 for batch in batches)


def test_a_sensor_that_the_places_lack_is_named(samples: MixedSamples) -> None:
    assert samples.lacking == ("landsat",)
    assert samples[16].label.shape == (1, 1)
    assert samples[0].label.shape == (48, 48)
