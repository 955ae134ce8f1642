"""A fetch that extends a cube, killed at random moments (SIGKILL): the old cube, and in the end the new one."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.cube.test_extension import LARGE, Season, contents, require_equal_but_for_dark_pixels, run

from agrifm.cube.store import open_cube

pytestmark = pytest.mark.check

KILLS = 20
FETCH = """
import sys
import agrifm.cube.fetch, geopandas, zarr
from agrifm.cli import main
print("begun", file=sys.stderr, flush=True)
sys.exit(main(sys.argv[1:]))
"""


def test_an_extension_killed_at_random_leaves_the_old_cube_or_the_new_one(tmp_path: Path) -> None:
    """Twenty kills of fetches of a larger area with later and reprocessed scenes; each continues the one before."""
    from tests.test_killed import Run

    season = Season(tmp_path / "imagery")
    for name, day in (("A", 1), ("B", 11), ("C", 12), ("D", 21)):
        season.sentinel_2(name, day)
    season.others()
    old = run(tmp_path / "old", season.save("C", "D"))
    season.catalogue.items = [item for item in season.catalogue.items if item.id != "A"]
    season.sentinel_2("A-0511", 1, baseline="05.11")
    once = run(tmp_path / "once", season.save(), LARGE)
    states = {
        len(cube.sensors["sentinel-2"].date): cube.sensors["sentinel-2"].group["values"][...] for cube in (old, once)
    }

    def start() -> Path:
        """A project with the old cube and the wider request."""
        shutil.rmtree(tmp_path / "p", ignore_errors=True)
        shutil.copytree(tmp_path / "once", tmp_path / "p", ignore=shutil.ignore_patterns("cube.zarr"))
        shutil.copytree(old.path, tmp_path / "p" / "cube.zarr")
        return tmp_path / "p"

    def fetched(directory: Path) -> Run:
        process = Run(FETCH, ["fetch", "--project", str(directory)], tmp_path / "log")
        assert process.reaches("begun")
        return process

    seconds = fetched(start()).ends()
    dice, kills, finished, directory = random.Random(7), 0, 0, start()
    while kills < KILLS:
        if fetched(directory).is_killed_after(dice.uniform(0, 1.1 * seconds)):
            kills += 1
            sensor = open_cube(directory / "cube.zarr").sensors["sentinel-2"]
            assert np.array_equal(sensor.group["values"][...], states[len(sensor.date)])
            continue
        finished += 1
        require_equal_but_for_dark_pixels(open_cube(directory / "cube.zarr"), once)
        directory = start()
    fetched(directory).ends()
    print(f"{kills} kills within {seconds:.1f} s each, {finished} fetches ended between them")
    require_equal_but_for_dark_pixels(open_cube(directory / "cube.zarr"), once)
    assert not [path.name for path in directory.iterdir() if ".partial" in path.name or path.name.startswith(".cube")]
    assert contents(directory / "cube.zarr").keys() == contents(once).keys()
