"""`agrifm plan`: what fetch, train, map and parcels of a project will cost, before anything is downloaded."""

from functools import partial
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from agrifm.config import Project
from agrifm.errors import ConfigError
from agrifm.files import AnyPath
from agrifm.grid import Grid, geodesic_hectares
from agrifm.plan.fetch_forecast import FoundScenes, find_scenes, forecast_fetch, resampled_frames
from agrifm.plan.forecast import SensorForecast
from agrifm.plan.line_speed import stated_line
from agrifm.plan.map_forecast import PROBABILITY_BYTES, forecast_map, forecast_parcels, number_bytes
from agrifm.plan.measured_costs import machine_costs
from agrifm.plan.prices import Prices, read_prices
from agrifm.plan.project_plan import ProjectPlan
from agrifm.plan.tile_plan import plan_tiles
from agrifm.plan.train_forecast import forecast_train, training_ground, work_of_models
from agrifm.record import NUMBERS
from agrifm.samples.labels import Labels
from agrifm.samples.number_labels import project_shares, project_yields
from agrifm.train.data import labels_on
from agrifm.yields import YIELD_LAYERS

USUAL_CLASSES = 10
"""Classes of a map, if they are not known."""
NO_TRAINING = (
    "training is forecast for models of classes, yields and shares from labels on the cube only; tables and boundaries "
    "are not in this plan"
)


def plan_project(
    project: Project,
    workers: int = 1,
    prices: AnyPath | None = None,
    line: float | None = None,
    cache: Path | None = None,
) -> ProjectPlan:
    """Forecast what the steps of a project will cost; writes nothing into the project.

    Args:
        workers: machines like this one that share the work, on one line to the servers.
        prices: file with prices.
        line: megabits per second of that line; by default they are measured.
        cache: file of the unit costs of this machine; by default in the user's folder for caches.

    Raises:
        ConfigError: the project has no area or no source of scenes, or an argument cannot be used.
        SceneError: the catalogue does not answer, or nothing is found.
        CubeError, LabelError, MapError: area, labels or parcels cannot be used.
    """
    if workers < 1:
        raise ConfigError(f"planning for {workers} workers: give at least one", workers=workers)
    if line is not None and not line > 0:
        raise ConfigError(f"planning for a line of {line:g} megabits per second: give more than 0", line=line)
    list_of_prices = None if prices is None else read_prices(prices)
    plan = partial(_plan_cube, workers=workers, prices=list_of_prices, line=line, cache=cache)
    is_divided = project.season.tiles is not None and project.tile is None
    return plan_tiles(project, plan) if is_divided else plan(project)


def _plan_cube(
    project: Project, workers: int, prices: Prices | None, line: float | None, cache: Path | None
) -> ProjectPlan:
    """The plan of a project with one cube."""
    found = find_scenes(project)
    target = min(found.grids.values(), key=lambda grid: grid.resolution)
    coarse = round(max(grid.resolution for grid in found.grids.values()) / target.resolution)
    days = {sensor: sum(frame.sensor == sensor for frame in found.frames) for sensor in found.grids}
    frames = {sensor: resampled_frames(project, count) or count for sensor, count in days.items()}
    absent = _absent(project)
    can_be_read = project.labels.on_cube and project.model.task != "boundaries"
    known = can_be_read and project.tile is None and "labels" not in absent
    labels = _labels(project, target, found.area) if known else None
    classes = USUAL_CLASSES if labels is None else len(labels.legend)
    if project.model.task == "yield":
        classes = len(YIELD_LAYERS)
    products = {frame.sensor: frame.scenes[0].product for frame in found.frames}
    work = work_of_models(project, list(products.values()), frames, classes)
    units, origin = machine_costs(work, cache)
    fetch, sensors = forecast_fetch(project, found, units, workers, None if line is None else stated_line(line))
    steps = [fetch]
    pixels = target.shape[0] * target.shape[1]
    if labels is not None:
        ground = training_ground(project, labels, target, coarse)
        steps.append(forecast_train(project.training, ground, work, units, fetch.disk_bytes, pixels))
    steps.append(forecast_map(project, target, found.area, coarse, work, units, fetch.disk_bytes, workers))
    if project.parcels is not None and "parcels" not in absent:
        held = pixels * (number_bytes(work) if work.task in NUMBERS else classes * PROBABILITY_BYTES)
        steps.append(forecast_parcels(project, found.area, work, units, held, workers))
    season = project.season.season
    return ProjectPlan(
        (str(season.start), str(season.end)),
        _hectares(found),
        tuple(sensors),
        tuple(steps),
        workers,
        units.cores,
        (*_about_scenes(sensors), *absent.values(), *_about_training(project, known or bool(absent)), origin),
        prices,
    )


def _labels(project: Project, grid: Grid, area: BaseGeometry) -> Labels:
    """The labels of a project on the grid of its cube to come, as its task reads them."""
    if project.model.task == "yield":
        return project_yields(project, grid, area)
    if project.model.task == "fractions":
        return project_shares(project, grid, area).labels
    return labels_on(project, grid, area)


def _absent(project: Project) -> dict[str, str]:
    """What files of the project are not there yet, and what is left out because of that."""
    files = {"labels": project.labels.file if project.labels.on_cube else None}
    files["parcels"] = None if project.parcels is None else project.parcels.file
    return {
        name: f"{name}: there is no file {file} yet, so its step is not in this plan"
        for name, file in files.items()
        if file is not None and not project.path(file).exists()
    }


def _about_training(project: Project, is_known: bool) -> list[str]:
    return [] if is_known or project.tile is not None else [NO_TRAINING]


def _hectares(found: FoundScenes) -> float:
    return round(geodesic_hectares(found.area), 1)


def _about_scenes(sensors: list[SensorForecast]) -> list[str]:
    kept = [
        f"{one.kept} of {sum(one.frames.values())} days of {one.sensor} are in the cube already"
        for one in sensors
        if one.kept
    ]
    return kept + [
        f"{one.without_cloud_cover} scenes of {one.sensor} state no cloud cover and count as clear"
        for one in sensors
        if one.without_cloud_cover
    ]
