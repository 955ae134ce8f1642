"""Composites that are kept are those that are computed where they are seen."""

import numpy as np
import pytest
from tests.serve.small_season import BANDS
from tests.toy import toy_project

from agrifm.cube.store import open_cube
from agrifm.serve.greenness_composites import composites_of
from agrifm.serve.kept_composites import MOST_FILES, begin_computing, keep_composites
from agrifm.serve.tile_places import tile_places, tiles_of


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    return open_cube(toy_project(tmp_path_factory.mktemp("season") / "season", bands=BANDS).cube)


def drawn(composites, cube):
    """All composites of one zoom, by sensor and periods, kind, period and tile."""
    tiles = tiles_of(cube.area.bounds, 14)
    places = [one for one in (tile_places(composites[0].grid, *tile) for tile in tiles) if one is not None]
    return {
        (one.name, kind, frame, number): one.drawn(kind, frame, place)
        for one in composites
        for kind in one.kinds
        for frame in range(one.count)
        for number, place in enumerate(places)
    }


def test_a_process_keeps_what_is_drawn_without_it(cube, tmp_path):
    sensor = cube.sensors["sentinel-2"]
    expected = drawn(composites_of(sensor, cube.season), cube)
    assert len({picture.tobytes() for picture in expected.values()}) > 8
    composites = composites_of(sensor, cube.season)
    kept = keep_composites(cube, composites, tmp_path)
    process = begin_computing(kept)
    process.join(60)
    assert kept.file.is_file()
    assert begin_computing(kept) is None
    for one in composites:
        one._square = None  # nothing is computed where it is seen
    found = drawn(composites, cube)
    assert found.keys() == expected.keys()
    for key, picture in expected.items():
        np.testing.assert_array_equal(found[key], picture)


def test_a_damaged_file_is_not_read_and_is_computed_again(cube, tmp_path):
    composites = composites_of(cube.sensors["sentinel-2"], cube.season)
    kept = keep_composites(cube, composites, tmp_path)
    kept.file.write_bytes(b"not an array")
    assert kept.pixels() is None
    composites[0].drawn("ndvi-median", 0, tile_places(composites[0].grid, *tiles_of(cube.area.bounds, 14)[0]))
    kept.compute()
    assert kept.pixels() is not None


def test_another_state_of_a_cube_has_another_file_and_old_ones_go(tmp_path):
    cube = open_cube(toy_project(tmp_path / "season", bands=BANDS).cube)
    for number in range(MOST_FILES + 2):
        (tmp_path / "kept").mkdir(exist_ok=True)
        (tmp_path / "kept" / f"{number}.npy").touch()
    files = []
    for _ in range(2):
        kept = keep_composites(cube, composites_of(cube.sensors["sentinel-2"], cube.season), tmp_path / "kept")
        kept.compute()
        files.append(kept.file)
        (cube.path / "zarr.json").touch()
    assert len(set(files)) == 2
    assert all(file.exists() for file in files)
    assert len(list((tmp_path / "kept").glob("*.npy"))) == MOST_FILES
