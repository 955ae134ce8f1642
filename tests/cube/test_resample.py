"""Whole cubes on other dates: equal to the whole array at once, also after a run that was stopped."""

import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from tests.scenes import AREA, LEFT, SEASON, TOP, UTM, make_cube

from agrifm.cube import resample
from agrifm.cube.resample import Resampler, Square, resample_cube, resampler, write_square
from agrifm.cube.store import Cube, SensorCube, create_root, create_sensor, open_cube
from agrifm.errors import ConfigError, CubeError
from agrifm.grid import Grid, Window
from agrifm.imagery_config import ResampleMethod
from agrifm.record import SensorInput
from agrifm.season import day_number


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Cube:
    """Two sensors of which the finer has squares cut at the edge: 110 x 100 pixels; MODIS composites of 3 x 2."""
    path = tmp_path_factory.mktemp("made") / "cube.zarr"
    root = create_root(path, SEASON, AREA)
    rng = np.random.default_rng(5)
    for sensor, shape, resolution, gap in (("sentinel-2", (110, 100), 10, 17), ("modis", (3, 2), 480, 16)):
        grid = Grid.of(UTM, Affine(resolution, 0, LEFT, 0, -resolution, TOP), shape)
        content = SensorInput(
            sensor=sensor, bands=("red", "nir"), quantity="surface reflectance", scale=1e-4, resolution=resolution
        )
        days = [date(2024, 3, 1) + timedelta(days=gap * frame) for frame in range(12)]
        last = [day + timedelta(days=7) for day in days] if sensor == "modis" else None
        group = create_sensor(root, content, grid, days, last)
        group["values"][...] = rng.integers(-50, 6000, (12, 2, *shape))
        group["valid"][...] = rng.random((12, *shape)) < 0.5
        if last is not None:
            own = np.array([day_number(day) for day in days])[:, None, None] + rng.integers(0, 8, (12, *shape))
            group["day"][...] = own
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["sentinel-2", "modis"]}
    return open_cube(path)


def resamplers(cube: Cube, method: Any, frames: int = 6) -> dict[str, Resampler]:
    return {name: resampler(method, sensor, cube.season, frames) for name, sensor in cube.sensors.items()}


def whole(sensor: SensorCube, of: Resampler) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The resampler run once over the whole array; values in stored units."""
    height, width = sensor.grid.shape
    image, valid, day = sensor.read(Window(0, 0, height, width))
    made, known, own = of.run(image, valid, sensor.date, day)
    return np.where(known[:, None], np.round(made / np.float32(1e-4)), -32768), known, own


def chunks(cube: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cube)): path.read_bytes() for path in cube.rglob("*") if path.is_file()}


@pytest.mark.parametrize("method", get_args(ResampleMethod))
def test_window_by_window_gives_what_the_whole_array_gives(
    cube: Cube, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resample, "SQUARE", 96)  # several squares
    made = resample_cube(cube, tmp_path / "new.zarr", resamplers(cube, method))
    for sensor, of in resamplers(cube, method).items():
        values, known, day = whole(cube.sensors[sensor], of)
        new = made.sensors[sensor]
        assert np.abs(new.group["values"][...] - values).max() <= (method == "smooth")  # rounding of the solver
        assert (new.group["valid"][...] == known).all()
        assert tuple(new.date) == of.first
        assert new.is_composite == (day is not None)
        if day is not None:
            assert (new.group["day"][...] == np.where(known, day, -1)).all()


@pytest.mark.check
def test_threads_and_processes_write_the_same_bytes(
    cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resample, "SQUARE", 96)
    alone = resample_cube(cube, tmp_path / "alone.zarr", resamplers(cube, "medoid"))
    with ThreadPoolExecutor(2) as executor:
        threads = resample_cube(cube, tmp_path / "threads.zarr", resamplers(cube, "medoid"), executor)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        processes = resample_cube(cube, tmp_path / "processes.zarr", resamplers(cube, "medoid"), executor)
    assert chunks(alone.path) == chunks(threads.path) == chunks(processes.path)


@pytest.mark.parametrize("method", get_args(ResampleMethod))
def test_a_unit_is_pickled_and_runs_from_its_own_copy(cube: Cube, method: Any, tmp_path: Path) -> None:
    made = resample_cube(cube, tmp_path / "new.zarr", resamplers(cube, method))
    before = chunks(made.path)
    square = Square(cube.path, made.path, "modis", Window(0, 0, 3, 2), resamplers(cube, method)["modis"])
    write_square(pickle.loads(pickle.dumps(square)))
    assert chunks(made.path) == before


def test_days_observations_and_method_are_kept_in_the_new_cube(cube: Cube, tmp_path: Path) -> None:
    of = {"sentinel-2": resamplers(cube, "median", 7)["sentinel-2"]}
    made = resample_cube(cube, tmp_path / "new.zarr", of)
    assert list(made.sensors) == ["sentinel-2"]
    assert made.season == cube.season
    about = made.provenance["sensors"]["sentinel-2"]
    before, after = (np.asarray(one.sensors["sentinel-2"].group["valid"][...]) for one in (cube, made))
    assert about["resampled"] == "median of 7 periods"
    assert about["observations_before"] == before.sum()
    assert [frame["valid_share"] for frame in about["frames"]] == pytest.approx(after.mean(axis=(1, 2)), abs=5e-5)
    assert made.provenance["made_from"]["cube"] == "cube.zarr"
    # The season is 214 days from 1 March; the second period begins on day 214 / 7, rounded to the nearest midnight.
    assert [frame["day"] for frame in about["frames"]][:2] == ["2024-03-01", "2024-04-01"]
    opened = xr.open_zarr(made.path, group="sentinel-2", consolidated=False)
    assert str(opened.time_bounds.values[0, 1])[:10] in ("2024-04-01", str(day_number(date(2024, 4, 1))))


def test_a_stopped_run_goes_on_and_ends_with_the_same_cube(
    cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resample, "SQUARE", 96)
    of = resamplers(cube, "medoid", 5)
    in_one_go = resample_cube(cube, tmp_path / "whole.zarr", of)
    squares: list[str] = []
    write = resample.write_square

    def stopping(square: Square) -> dict[str, Any]:
        if len(squares) == 3:
            raise KeyboardInterrupt
        squares.append(square.key)
        return write(square)

    monkeypatch.setattr(resample, "write_square", stopping)
    with pytest.raises(KeyboardInterrupt):
        resample_cube(cube, tmp_path / "new.zarr", of)
    assert not (tmp_path / "new.zarr").exists()
    monkeypatch.setattr(resample, "write_square", lambda square: squares.append(square.key) or write(square))
    again = resample_cube(cube, tmp_path / "new.zarr", of)
    assert len(squares) == len(set(squares)) == 2 * 2 + 1  # 110 x 100 pixels in squares of 96, and the one of MODIS
    assert chunks(again.path) == chunks(in_one_go.path)


def test_a_finished_run_is_not_repeated_and_another_method_is(
    cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.zarr"
    made = resample_cube(cube, path, resamplers(cube, "median", 5))
    monkeypatch.setattr(resample, "write_square", lambda square: pytest.fail("computed again"))
    assert resample_cube(cube, path, resamplers(cube, "median", 5)).provenance == made.provenance
    monkeypatch.undo()
    assert len(resample_cube(cube, path, resamplers(cube, "median", 4)).sensors["modis"].date) == 4


def test_what_cannot_be_resampled_is_refused(tmp_path: Path) -> None:
    cube = make_cube(tmp_path / "cube.zarr")
    of = resamplers(cube, "median", 5)
    with pytest.raises(CubeError) as caught:
        resample_cube(cube, tmp_path / "new.zarr", {"landsat": of["modis"]})
    assert caught.value.facts["sensor"] == "landsat"
    with pytest.raises(CubeError, match="another path"):
        resample_cube(cube, cube.path, of)
    for method in ("median", "linear"):
        with pytest.raises(ConfigError) as refused:
            resamplers(cube, method, 215)
        assert refused.value.facts == {"frames": 215, "days": 214}
