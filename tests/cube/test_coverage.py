"""The picture of a cube's usable observations: counts by plain sums, months by hand."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread, imsave
from tests.scenes import make_cube

from agrifm.cube import coverage as module
from agrifm.cube.coverage import Coverage, draw_coverage, measure_coverage, per_month
from agrifm.cube.store import Cube
from agrifm.errors import OutputError
from agrifm.season import Season


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Cube:
    return make_cube(tmp_path_factory.mktemp("made") / "cube.zarr")


def test_a_map_counts_the_usable_observations_of_each_pixel(cube: Cube) -> None:
    """Of 192 columns the first 10 were never seen, 10 more once, the others thrice; one of 8 MODIS pixels never."""
    found = measure_coverage(cube.sensors["sentinel-2"])
    columns = np.repeat([0, 1, 3], [10, 10, 172])
    assert (found.counts == np.broadcast_to(columns, (96, 192))).all()
    assert found.shares == pytest.approx([172 / 192, 172 / 192, 182 / 192])
    assert found.never == pytest.approx(10 / 192)
    assert measure_coverage(cube.sensors["modis"]).never == pytest.approx(1 / 8)


@pytest.mark.parametrize("longest", [40, 64, 191])
def test_a_smaller_map_holds_the_means_of_blocks(cube: Cube, longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 37)  # blocks and shards that do not fit each other
    found = measure_coverage(cube.sensors["sentinel-2"], longest)
    valid = cube.sensors["sentinel-2"].group["valid"][...].sum(axis=0)
    block = -(-192 // longest)
    for row, col in np.ndindex(found.counts.shape):
        own = valid[row * block : (row + 1) * block, col * block : (col + 1) * block]
        assert found.counts[row, col] == pytest.approx(own.mean())
    assert max(found.counts.shape) <= longest
    assert found.never == pytest.approx(10 / 192)


def test_months_add_up_dates_and_composites_count_at_their_middle(cube: Cube) -> None:
    """Sentinel-2 on 1 March, 31 March and 30 April; MODIS 1 to 8 and 9 to 16 March, with the middles 5 and 13 March."""
    season = Season(date(2024, 2, 10), date(2024, 5, 2))
    nothing = np.zeros((1, 1), np.float32)
    seen = Coverage(nothing, np.array([0.5, 0.25, 0.125]), 0.0)
    assert per_month(cube.sensors["sentinel-2"], seen, season) == {
        (2024, 2): 0,
        (2024, 3): 0.75,
        (2024, 4): 0.125,
        (2024, 5): 0,
    }
    composites = Coverage(nothing, np.array([0.5, 0.25]), 0.0)
    until = Season(date(2024, 2, 10), date(2024, 3, 10))  # the second composite reaches out of it
    assert per_month(cube.sensors["modis"], composites, until) == {(2024, 2): 0, (2024, 3): 0.75}


@pytest.mark.parametrize("kind", ["GeoPackage", "PNG"])
def test_a_picture_replaces_only_pictures_of_agrifm(cube: Cube, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "labels.gpkg"
    if kind == "PNG":
        imsave(target, np.zeros((4, 4)), format="png")
    else:
        target.write_bytes(b"SQLite format 3\0 labels")
    before = target.read_bytes()
    with pytest.raises(OutputError) as error:
        draw_coverage(cube, target)
    assert error.value.facts["path"] == target
    assert target.read_bytes() == before
    target.unlink()
    for _ in range(2):
        draw_coverage(cube, target)
    assert [path.name for path in tmp_path.iterdir() if "labels" in path.name] == ["labels.gpkg"]


def test_the_picture_is_one_png_with_a_map_for_each_sensor(cube: Cube, tmp_path: Path) -> None:
    draw_coverage(cube, tmp_path / "coverage.png")
    picture = imread(tmp_path / "coverage.png")
    assert min(picture.shape[:2]) > 800
    red = np.isclose(picture[..., :3], np.array([0xD5, 0x5E, 0]) / 255, atol=0.002).all(axis=-1)  # never seen
    half = picture.shape[1] // 2
    assert red[:, :half].sum() > 500
    assert red[:, half:].sum() > 500
