"""What `agrifm train` will cost: from the labels on the grid of the cube to come, and the unit costs of the models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agrifm.classic.choice import CANDIDATES, FOLDS, MANY_ROWS
from agrifm.classic.classics import CHOICE
from agrifm.classic.forest import draw_pixels
from agrifm.config import Project
from agrifm.cube.store import SCALES
from agrifm.grid import Grid, Window
from agrifm.legend import UNLABELLED
from agrifm.model_config import ModelConfig
from agrifm.models.family import FAMILIES
from agrifm.plan.forecast import StepForecast
from agrifm.plan.model_work import ModelWork
from agrifm.plan.probe_models import FORWARD
from agrifm.plan.unit_costs import UnitCosts
from agrifm.record import NUMBERS, SensorRecord, Task, is_classic, is_network, target_pixels, with_parts
from agrifm.samples.labels import Labels
from agrifm.samples.patches import MAX_KEPT_BYTES, TILE, labelled_windows, tiles_under
from agrifm.samples.split import split_blocks
from agrifm.scene.products import Product

ROUND = 50
"""Steps between two validations (`agrifm.train.fit.MAX_ROUND_STEPS`)."""
CHECKPOINTS = 5
"""Copies of a network's weights on disk while it is trained: kept, and a checkpoint with the optimiser's numbers."""
WEIGHT_BYTES = 4
CLASSIC_BYTES, CLASSIC_ROW_BYTES = 1.2e6, 780
"""On disk, of a classic model, the training features and the scores, and of each pixel that it was fitted on; on the
simulated season (benchmarks/plan_forecast.py)."""
NUMBERS_BYTES = 0.6e6
"""On disk, of what training for yields or shares leaves besides networks (docs/yield.md's simulated season)."""
COPIES_OF_ROWS = 6
"""Of the features of a classic model of numbers in memory: as read, by fold, scaled, and in a library's form."""
CLASSIC_LIBRARIES, CLASSIC_ROW_MEMORY = 190e6, 64_000
"""Memory of the libraries of classic models, and for each pixel that they are fitted on: MiniRocket makes ten thousand
numbers of it; on the simulated season."""


@dataclass(frozen=True)
class TrainingGround:
    """The labels of a project on the grid of its cube, as training divides them."""

    classes: int
    windows: int
    """Training windows."""
    validation: int
    """Validation windows."""
    tested: int
    """Test windows."""
    tiles: int
    """Tiles of the cube that contain any of them."""
    rows: int
    """Pixels that classic models are fitted on."""


def training_ground(project: Project, labels: Labels, grid: Grid, coarse: int) -> TrainingGround:
    """Count windows, tiles and pixels as training does.

    Args:
        grid: the finest of the cube.
        coarse: side of the coarsest sensor's pixel in pixels of the grid.

    Raises:
        LabelError: the labels cannot be divided into blocks.
    """
    config = project.model
    split = split_blocks(labels, project.labels.block, config.seed)
    folds = [split.label_of(labels, fold) for fold in ("train", "validation", "test")]
    half = config.side // 2
    strides = (half if half % coarse == 0 else config.side, config.side, config.side)
    windows = [labelled_windows(label, config.side, stride) for label, stride in zip(folds, strides, strict=True)]
    every: set[Window] = {tile for some in windows for one in some for tile in tiles_under(one, grid.shape)}
    known = folds[0] if config.task in NUMBERS else np.where(folds[0] == UNLABELLED, folds[1], folds[0])
    drawn = (
        draw_pixels(known, labels.place, split.block, config.seed)
        if config.task != "fractions"
        else known != UNLABELLED
    )
    return TrainingGround(
        len(labels.legend), len(windows[0]), len(windows[1]), len(windows[2]), len(every), int(drawn.sum())
    )


def work_of_models(project: Project, products: Sequence[Product], frames: dict[str, int], classes: int) -> ModelWork:
    """Return what decides the cost of the project's models.

    Args:
        products: one of each sensor.
        frames: days with scenes of each sensor.
    """
    config, season = project.training, project.season.season
    finest = sorted(products, key=lambda product: product.resolution)
    sensors = tuple(_record(product) for product in finest)
    counts = {
        sensor.sensor: frames[sensor.sensor] if config.series == "observed" else config.frames for sensor in sensors
    }
    names: dict[str, None] = {}
    for name in with_parts(config.names):
        names |= dict.fromkeys(CANDIDATES if name == CHOICE and config.task not in NUMBERS else [name])
    used = [name for name in names if is_network(name) or is_classic(name)]
    released = config.weights is not None
    return ModelWork(
        names=tuple(used),
        size={
            name: "base" if released and FAMILIES[name].released is not None else config.preset
            for name in used
            if is_network(name)
        },
        sensors=sensors,
        frames=counts,
        observed=frames,
        steps=config.frames,
        series=config.series,
        season_days=season.days,
        classes=classes,
        task=config.task if config.task in NUMBERS else "crop-type",
        batch=config.batch,
        side=config.side,
        window=project.map.window or config.side,
    )


def _record(product: Product) -> SensorRecord:
    bands = len(product.bands)
    return SensorRecord(
        sensor=product.sensor,
        bands=product.bands,
        quantity=product.quantity,
        scale=SCALES[product.quantity],
        resolution=product.resolution,
        mean=(0.0,) * bands,
        std=(1.0,) * bands,
    )


def forecast_train(
    config: ModelConfig, ground: TrainingGround, work: ModelWork, units: UnitCosts, cube_bytes: float, pixels: int
) -> StepForecast:
    """Forecast the step; training runs on one machine.

    Args:
        cube_bytes: of the cube on disk.
        pixels: of its finest grid.
    """
    base, start = units.process()
    tile = prepared_bytes(work, TILE)
    kept = min(ground.tiles * tile, MAX_KEPT_BYTES)
    reading = ground.tiles * cube_numbers(work, TILE) * (units.read_seconds + units.series().prepare_seconds)
    names = [name for name in config.every_name if is_network(name) or is_classic(name)]
    spent = {name: model_seconds(name, config, ground, units) for name in names}
    unknown = [name for name, seconds in spent.items() if seconds is None]
    seconds = start + reading + sum(value or 0.0 for value in spent.values())
    classic = any(map(is_classic, names))
    row = CLASSIC_ROW_MEMORY if work.task not in NUMBERS else COPIES_OF_ROWS * prepared_bytes(work, 1)
    memory = CLASSIC_LIBRARIES + row * ground.rows
    files = NUMBERS_BYTES if work.task in NUMBERS else CLASSIC_BYTES + CLASSIC_ROW_BYTES * ground.rows
    networks = [units.model(name) for name in names if is_network(name)]
    weights = sum(one.parameters for one in networks) * WEIGHT_BYTES * config.seeds
    notes = [f"{config.steps} steps at most; early stopping may end sooner"] if networks else []
    notes += [f"the time of {', '.join(unknown)} was not measured and is not in the sum"] if unknown else []
    return StepForecast(
        "train",
        read_bytes=round(cube_bytes * min(ground.tiles * TILE**2 / pixels, 1.0)),
        disk_bytes=round(weights + classic * files),
        scratch_bytes=round(weights * CHECKPOINTS),
        memory_bytes=round(base + kept + max([classic * memory, *(one.memory for one in networks)])),
        core_seconds=seconds,
        seconds=seconds,
        model_seconds={name: round(value, 1) for name, value in spent.items() if value is not None},
        notes=tuple(notes),
    )


def cube_numbers(work: ModelWork, side: int) -> float:
    """Return how many numbers of the cube a window of `side` pixels has."""
    bands = {one.sensor: len(one.bands) for one in work.sensors}
    return sum(
        work.observed[sensor] * bands[sensor] * (side / pixels) ** 2
        for sensor, pixels in target_pixels(work.sensors).items()
    )


def prepared_bytes(work: ModelWork, side: int) -> float:
    """Return the bytes of the series of a window as networks receive them: 32 bits a number, and a byte of validity."""
    total = 0.0
    for sensor, pixels in target_pixels(work.sensors).items():
        bands = next(len(one.bands) for one in work.sensors if one.sensor == sensor)
        total += work.frames[sensor] * (side / pixels) ** 2 * (4 * bands + 1)
    return total


def single_names(name: str, task: Task) -> tuple[str, ...]:
    """Return the names by which the unit costs of a classic model are kept: those of its candidates, or its name."""
    return tuple(CANDIDATES) if name == CHOICE and task not in NUMBERS else (name,)


def model_seconds(name: str, config: ModelConfig, ground: TrainingGround, units: UnitCosts) -> float | None:
    """Return the seconds of training, calibrating and scoring a model; None if it was not measured."""
    scored = ground.validation + ground.tested
    if is_network(name):
        model = units.model(name)
        if model.step_seconds is None or model.window_seconds is None:
            return None
        rounds = math.ceil(config.steps / ROUND)
        validated = ground.validation * model.step_seconds / config.batch / FORWARD
        tested = scored * model.step_seconds / config.batch / FORWARD
        return config.seeds * (config.steps * model.step_seconds + rounds * validated + tested)
    found = [units.model(one) for one in single_names(name, config.task)]
    if any(one.fit_seconds is None or one.window_seconds is None for one in found):
        return None
    fits = sum(one.fit_seconds or 0 for one in found)
    answers = sum(one.window_seconds or 0 for one in found)
    share = 1.0
    if config.task in NUMBERS:  # the fit was measured with its choice on inner folds, and nothing is calibrated
        return ground.rows * fits + scored * config.side**2 * answers
    if name == CHOICE:  # all on inner folds, the better half on all rows
        share = 0.6
        tried = (1 if ground.rows > MANY_ROWS else FOLDS) * (1 - 1 / FOLDS)
        fits = fits * (tried + share)
    # once more without the validation blocks, for the calibration
    again = share * sum(one.fit_seconds or 0 for one in found) * 0.8
    return ground.rows * (fits + again) + scored * config.side**2 * share * answers
