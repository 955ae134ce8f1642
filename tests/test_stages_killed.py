"""Every stage killed at random moments (SIGKILL) and run again ends with the files of an undisturbed run."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small_road import STAGES, Forks, before, forks, make_road, result, words_of
from tests.test_killed import contents

pytestmark = pytest.mark.check

KILLS = 10
"""Of each of the five stages."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("log") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory, running: Forks) -> Path:
    return make_road(tmp_path_factory.mktemp("road"), running)


@pytest.mark.parametrize("stage", [name for name in STAGES if name != "assess"])
def test_a_stage_killed_at_random_ends_with_the_same_files(road: Path, running: Forks, stage: str) -> None:
    """The result is whole or absent (of an append: old or new) after each kill; up to four kills in a row."""
    place, expected = road / "killed", result(road, stage)
    out = place / STAGES[stage].out
    before(road, stage, place)
    whole = [pixels_of(path) for path in (out, road / "results" / stage)] if stage == "append" else []
    _, seconds = running.run(words_of(stage, place))
    assert contents(out) == expected
    dice, kills, ends = random.Random(stage), 0, 0
    while kills < KILLS:
        before(road, stage, place)
        for _ in range(4):
            killed, _ = running.run(words_of(stage, place), dice.uniform(0, seconds))
            kills += killed
            if not killed:
                break
            if stage == "append":
                assert pixels_of(out) in whole
            else:
                assert not out.exists() or contents(out) == expected
        else:
            running.run(words_of(stage, place))
        assert contents(out) == expected
        assert [path.name for path in place.iterdir() if ".partial" in path.name] == []
        ends += 1
    print(f"{stage}: {kills} kills within {seconds:.1f} s, {ends} runs to the end, all identical")
    shutil.rmtree(place)


def pixels_of(cube: Path) -> tuple[list[int], bytes]:
    """Dates and pixels that a reader sees."""
    from agrifm.cube.store import open_cube

    sensor = open_cube(cube).sensors["sentinel-2"]
    return sensor.date.tolist(), sensor.group["values"][...].tobytes()
