"""A cube on other dates: composites, even steps, smoothed or filled series, window by window into a new cube.

    from agrifm.cube.periods import recompose
    from agrifm.cube.recipes import medoids
    recompose(cube, Path("monthly.zarr"), {"sentinel-2": medoids(cube.season, 8)})

The unit of work is a square of `SQUARE` pixels of one sensor, computed in windows of a chunk, so that memory does not
grow with the area. Finished squares stand in a journal beside the unfinished cube and are not computed again.
"""

from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from agrifm.cube.recipes import Recipe
from agrifm.cube.store import (
    CHUNK,
    FILL,
    NO_DAY,
    Cube,
    SensorCube,
    create_root,
    create_sensor,
    finish_store,
    open_cube,
    open_group,
)
from agrifm.errors import CubeError
from agrifm.files import MARKER, partial_directory, saying_what_failed
from agrifm.grid import Window, tiles
from agrifm.record import running_versions
from agrifm.season import day_date
from agrifm.work import Resumable, fingerprint

SQUARE = 480
"""Side in pixels of what is written at once, a shard of the new cube."""


def recompose(cube: Cube, path: Path, recipes: Mapping[str, Recipe], executor: Executor | None = None) -> Cube:
    """Write a new cube with the series of each sensor as its recipe makes them, or continue a run that was stopped.

    Args:
        path: of the new cube.
        recipes: by sensor; the new cube has these sensors.
        executor: any `concurrent.futures` executor of threads, each holding one square; None = in line.

    Raises:
        CubeError: a sensor is not in the cube, or `path` is the cube itself.
        OutputError: the disk is full, or `path` is not ours.
    """
    unknown = sorted(recipes.keys() - cube.sensors.keys())
    if unknown or not recipes:
        found = f"no sensor '{unknown[0]}'" if unknown else "to be given a recipe for at least one sensor"
        raise CubeError(f"recomposing {cube.path}: it has {found} (it has {', '.join(cube.sensors)})")
    if path.resolve() == cube.path.resolve():
        raise CubeError(f"recomposing {cube.path}: the new cube would replace it; give another path")
    plan = _plan(cube, recipes)
    partial = partial_directory(path, "cube")
    if (path / MARKER).exists() and not partial.exists() and open_cube(path).provenance["plan"] == plan:
        return open_cube(path)
    squares = [(name, window) for name in recipes for window in tiles(cube.sensors[name].grid.shape, SQUARE)]
    with saying_what_failed(f"writing the cube {path}"):
        work = Resumable(partial, plan)
        if not work.begun:
            _create(partial, cube, recipes)
            work.begin()
        root = open_group(partial)

        def compute(square: tuple[str, Window]) -> dict[str, Any]:
            name, window = square
            return _write_square(root[name], cube.sensors[name], recipes[name], window)

        done = work.run(compute, squares, lambda square: _key(*square), "recompose", executor, ahead=2)
        _finish(root, cube, recipes, plan, done)
        work.finish(path, "cube")
    return open_cube(path)


def _plan(cube: Cube, recipes: Mapping[str, Recipe]) -> str:
    """A fingerprint of what the new cube will hold: the old one's, and what is done to each sensor."""
    steps = {name: [recipe.description, recipe.first, recipe.last] for name, recipe in recipes.items()}
    content = [cube.provenance.get("plan", str(cube.path.resolve())), steps]
    return fingerprint(content)


def _key(sensor: str, window: Window) -> str:
    return f"{sensor}/{window.row}/{window.col}"


def _create(partial: Path, cube: Cube, recipes: Mapping[str, Recipe]) -> None:
    partial.parent.mkdir(parents=True, exist_ok=True)
    root = create_root(partial, cube.season, cube.area)
    for name, recipe in recipes.items():
        own = cube.sensors[name]
        last = None if recipe.last is None else [day_date(day) for day in recipe.last]
        create_sensor(root, own.input, own.grid, [day_date(day) for day in recipe.first], last, SQUARE)


def _write_square(group: zarr.Group, sensor: SensorCube, recipe: Recipe, square: Window) -> dict[str, Any]:
    """Compute and write one square; returns its valid observations before, and of each frame after."""
    shape = (len(recipe.first), square.height, square.width)
    values = np.full((shape[0], len(sensor.input.bands), *shape[1:]), FILL, np.int16)
    valid = np.zeros(shape, bool)
    day = None if recipe.last is None else np.full(shape, NO_DAY, np.int32)
    observed = 0
    for part in tiles((square.height, square.width), CHUNK):
        rows, cols = part.slices
        image, seen, own_day = sensor.read(
            Window(square.row + part.row, square.col + part.col, part.height, part.width)
        )
        observed += int(seen.sum())
        made, known, made_day = recipe.run(image, seen, sensor.date, own_day)
        numbers = np.clip(np.round(made / np.float32(sensor.input.scale)), FILL + 1, -FILL - 1)
        values[..., rows, cols] = np.where(known[:, None], numbers, FILL)
        valid[:, rows, cols] = known
        if day is not None:
            assert made_day is not None
            day[:, rows, cols] = np.where(known, made_day, NO_DAY)
    rows, cols = square.slices
    group["values"][:, :, rows, cols] = values
    group["valid"][:, rows, cols] = valid
    if day is not None:
        group["day"][:, rows, cols] = day
    return {"observed": observed, "valid": valid.sum(axis=(1, 2)).tolist()}


def _finish(
    root: zarr.Group, cube: Cube, recipes: Mapping[str, Recipe], plan: str, done: Mapping[str, Mapping[str, Any]]
) -> None:
    """Provenance into the new cube: the old one's of each sensor, the recipe, and what became of the observations."""
    sensors: dict[str, Any] = {}
    for name, recipe in recipes.items():
        own = [counted for key, counted in done.items() if key.startswith(f"{name}/")]
        valid = np.sum([counted["valid"] for counted in own], axis=0)
        pixels = np.prod(cube.sensors[name].grid.shape)
        before = dict(cube.provenance.get("sensors", {}).get(name, {}))
        frames = [
            {"day": day_date(first).isoformat(), "valid_share": round(float(count / pixels), 4)}
            for first, count in zip(recipe.first, valid, strict=True)
        ]
        made = {"recipe": recipe.description, "observations_before": sum(counted["observed"] for counted in own)}
        sensors[name] = {**before, **made, "frames": frames}
    provenance = {
        **{key: value for key, value in cube.provenance.items() if key != "sensors"},
        "plan": plan,
        "made_from": {"cube": cube.path.name, "plan": cube.provenance.get("plan")},
        "sensors": sensors,
        "versions": running_versions("zarr", "scipy"),
    }
    finish_store(root, provenance)
