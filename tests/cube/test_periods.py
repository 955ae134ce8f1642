"""Whole cubes on other dates: equal to the whole array at once, also after a run that was stopped."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from tests.scenes import AREA, LEFT, SEASON, TOP, UTM, make_cube

from agrifm.cube import periods
from agrifm.cube.periods import recompose
from agrifm.cube.recipes import Recipe, even_steps, filled, medians, medoids, mosaics, nearest, smoothed
from agrifm.cube.store import Cube, SensorCube, create_root, create_sensor, open_cube
from agrifm.errors import ConfigError, CubeError
from agrifm.grid import Grid, Window
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


def whole(sensor: SensorCube, recipe: Recipe) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The recipe run once over the whole array; values in stored units."""
    height, width = sensor.grid.shape
    image, valid, day = sensor.read(Window(0, 0, height, width))
    made, known, own = recipe.run(image, valid, sensor.date, day)
    return np.where(known[:, None], np.round(made / np.float32(1e-4)), -32768), known, own


RECIPES = {
    "medians": lambda cube, sensor: medians(cube.season, 6),
    "medoids": lambda cube, sensor: medoids(cube.season, 6),
    "nearest": lambda cube, sensor: nearest(cube.season, 6),
    "even steps": lambda cube, sensor: even_steps(cube.season, 9),
    "smoothed": lambda cube, sensor: smoothed(cube.season, 9, 100.0),
    "filled": lambda cube, sensor: filled(sensor),
    "mosaics": lambda cube, sensor: mosaics(sensor),
}


@pytest.mark.parametrize("name", RECIPES)
def test_window_by_window_gives_what_the_whole_array_gives(
    cube: Cube, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(periods, "SQUARE", 96)  # several squares
    recipes = {sensor: RECIPES[name](cube, own) for sensor, own in cube.sensors.items()}
    made = recompose(cube, tmp_path / "new.zarr", recipes)
    for sensor, recipe in recipes.items():
        values, known, day = whole(cube.sensors[sensor], recipe)
        new = made.sensors[sensor]
        assert np.abs(new.group["values"][...] - values).max() <= (name == "smoothed")  # rounding of the solver
        assert (new.group["valid"][...] == known).all()
        assert tuple(new.date) == recipe.first
        assert new.is_composite == (day is not None)
        if day is not None:
            assert (new.group["day"][...] == np.where(known, day, -1)).all()


def test_days_observations_and_recipe_are_kept_in_the_new_cube(cube: Cube, tmp_path: Path) -> None:
    made = recompose(cube, tmp_path / "new.zarr", {"sentinel-2": medians(cube.season, 7)})
    assert list(made.sensors) == ["sentinel-2"]
    assert made.season == cube.season
    about = made.provenance["sensors"]["sentinel-2"]
    before, after = (np.asarray(one.sensors["sentinel-2"].group["valid"][...]) for one in (cube, made))
    assert about["recipe"] == "median of 7 periods"
    assert about["observations_before"] == before.sum()
    assert [frame["valid_share"] for frame in about["frames"]] == pytest.approx(after.mean(axis=(1, 2)), abs=5e-5)
    assert made.provenance["made_from"]["cube"] == "cube.zarr"
    # The season is 214 days from 1 March; the second period begins on day 214 / 7, rounded to the nearest midnight.
    assert [frame["day"] for frame in about["frames"]][:2] == ["2024-03-01", "2024-04-01"]
    opened = xr.open_zarr(made.path, group="sentinel-2", consolidated=False)
    assert str(opened.time_bounds.values[0, 1])[:10] in ("2024-04-01", str(day_number(date(2024, 4, 1))))


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_cube(
    cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(periods, "SQUARE", 96)
    recipes = {sensor: medoids(cube.season, 5) for sensor in cube.sensors}
    in_one_go = recompose(cube, tmp_path / "whole.zarr", recipes, ThreadPoolExecutor(2))
    squares, write = [], periods._write_square

    def stopping(group, sensor, recipe, window):
        if len(squares) == 3:
            raise KeyboardInterrupt
        squares.append(window)
        return write(group, sensor, recipe, window)

    monkeypatch.setattr(periods, "_write_square", stopping)
    with pytest.raises(KeyboardInterrupt):
        recompose(cube, tmp_path / "new.zarr", recipes)
    assert not (tmp_path / "new.zarr").exists()
    monkeypatch.setattr(periods, "_write_square", lambda *all_: squares.append(all_[-1]) or write(*all_))
    again = recompose(cube, tmp_path / "new.zarr", recipes)
    assert len(squares) == 2 * 2 + 1  # 110 x 100 pixels in squares of 96, and the one of MODIS
    assert again.provenance == in_one_go.provenance
    for sensor in cube.sensors:
        for array in ("values", "valid", "day"):
            ours, theirs = (one.sensors[sensor].group[array][...] for one in (again, in_one_go))
            assert (ours == theirs).all()


def test_a_finished_run_is_not_repeated_and_another_recipe_is(
    cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recompose(cube, tmp_path / "new.zarr", {"modis": medians(cube.season, 5)})
    monkeypatch.setattr(periods, "_write_square", lambda *all_: pytest.fail("computed again"))
    assert recompose(cube, tmp_path / "new.zarr", {"modis": medians(cube.season, 5)}).provenance == made.provenance
    monkeypatch.undo()
    assert len(recompose(cube, tmp_path / "new.zarr", {"modis": medians(cube.season, 4)}).sensors["modis"].date) == 4


def test_what_cannot_be_recomposed_is_refused(tmp_path: Path) -> None:
    cube = make_cube(tmp_path / "cube.zarr")
    with pytest.raises(CubeError, match="it has no sensor 'landsat'"):
        recompose(cube, tmp_path / "new.zarr", {"landsat": medians(cube.season, 5)})
    with pytest.raises(CubeError, match="would replace it; give another path"):
        recompose(cube, cube.path, {"modis": medians(cube.season, 5)})
    for recipe in (medians, even_steps):
        with pytest.raises(ConfigError, match="give 1 to 214 periods"):
            recipe(cube.season, 215)
