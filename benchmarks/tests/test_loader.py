"""The benchmark of the loader, small: it makes the batches of training, reads every tile, and reports."""

from itertools import islice
from pathlib import Path

import loader
import pytest
from loader import StepTimes, batches, rates
from tests.toy import toy_project
from variants import Demo, read_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    directory = tmp_path_factory.mktemp("toy")
    toy_project(directory)
    return read_demo(directory, steps=None)


def test_shares_are_of_the_whole() -> None:
    spent = StepTimes(waiting=1.0, step=3.0, waiting_processor=1.0, step_processor=4.0)
    assert (spent.share, spent.share_processor) == (0.25, 0.2)


def test_batches_go_on_beyond_a_round_and_show_every_patch(demo: Demo) -> None:
    """Batches of 2; each patch comes once before any comes again, so labels add up lap by lap."""
    patches = len(demo.data.training)
    laps = 2
    found = list(islice(batches(demo), laps * patches // 2))
    labelled = sum(int((batch.label != 255).sum()) for batch in found)
    expected = sum(int((demo.data.training[number].label != 255).sum()) for number in range(patches))
    assert labelled == laps * expected


def test_zarr_alone_reads_all_of_the_tiles(demo: Demo) -> None:
    """Nine frames of two sensors with two bands of two bytes and a byte of validity; Landsat's pixels are 3 x 3."""
    tiles = loader.tiles_under(demo.data.training.windows[0], (192, 192))
    assert loader.read_chunks(demo, tiles[:1]) == 9 * (2 * 2 + 1) * (96**2 + 32**2)


def test_it_reports_shares_and_rates(demo: Demo, tmp_path: Path) -> None:
    lines = list(loader.lines(demo, steps=1, most=1, runs=1))
    assert any(line.startswith("goal: below 5%") for line in lines)
    found = rates(demo, most=4, runs=1)
    assert found["loader, tiles kept"] > found["loader, first time"] > 0
