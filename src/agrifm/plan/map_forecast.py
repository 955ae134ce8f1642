"""What `agrifm map` and `agrifm parcels` will cost: from the windows over the area, and the rows of the parcels."""

from pathlib import Path

from shapely.geometry.base import BaseGeometry

from agrifm.config import Project
from agrifm.cube.store import CHUNK
from agrifm.errors import MapError
from agrifm.grid import Grid, Window, geodesic_hectares
from agrifm.mapping.mosaic import window_starts
from agrifm.mapping.windows import PROBABILITY_DTYPE, AreaMask
from agrifm.plan.forecast import StepForecast
from agrifm.plan.model_work import ModelWork
from agrifm.plan.train_forecast import cube_numbers, prepared_bytes, single_names
from agrifm.plan.unit_costs import UnitCosts
from agrifm.record import NUMBERS, is_classic, is_network
from agrifm.vector_batches import open_batches
from agrifm.yields import YIELD_BANDS

LAYER_BYTES = {
    "classes": 0.12,
    "confidence": 0.64,
    "certainty": 0.16,
    "second": 0.16,
    "dissimilarity": 0.80,
    "applicability": 0.02,
}
"""Compressed bytes of a pixel of each layer, on the simulated season (benchmarks/plan_forecast.py)."""
PROBABILITY_BYTES, OBSERVATION_BYTES = 0.43, 0.23
"""Likewise, of the probability of one class, and of the number of observations."""
YIELD_BAND_BYTES, SHARE_BYTES = 1.8, 4.5
"""Likewise, of each band of a pixel with a yield, and of the share of a class (examples 14 and 15)."""
PICTURE_BYTES, PICTURE_PIXEL_BYTES, PICTURE_PIXELS = 0.45e6, 0.75, 1e6
"""Of the picture, and of each of at most so many pixels of the map in it; likewise."""
BLEND_SECONDS = 8e-8
"""Of one processor for a pixel of a class: blended, and written."""
PARCEL_BYTES, PARCEL_CLASS_BYTES, PARCEL_PICTURE_BYTES = 206, 8, 0.17e6
"""Of a parcel with its outline, of each of its probabilities, and of the picture of all; on the simulated season."""
PARCEL_TABLE_SECONDS = 2.0
"""Of one processor for the table and the picture of the parcels, however many they are."""
BLOCK_BYTES = 250e6
"""Memory for the part of the map around the parcels in work."""
COPIES = 3
"""Of a window's series at once: as read, prepared, and that of the next window."""


def forecast_map(
    project: Project,
    grid: Grid,
    area: BaseGeometry,
    coarse: int,
    work: ModelWork,
    units: UnitCosts,
    cube_bytes: float,
    workers: int = 1,
) -> StepForecast:
    """Forecast the step.

    Args:
        grid: of the map.
        area: in longitude and latitude.
        coarse: side of the coarsest sensor's pixel in pixels of the grid.
        cube_bytes: of the cube on disk.
        workers: machines like this one that share the windows.

    Raises:
        MapError: windows and overlap do not fit each other or the sensors.
    """
    side = work.window
    overlap = project.map.overlap if 2 * project.map.overlap <= side else 0
    windows = _windows(grid, area, side, overlap, coarse)
    predicted = len(windows) * min(side, grid.shape[0]) * min(side, grid.shape[1])
    pixels = geodesic_hectares(area) / float(grid.pixel_hectares().mean())
    base, start = units.process()
    as_observed, series = work.model_copy(update={"frames": work.observed}), units.series()
    of_pixel = cube_numbers(work, side) / side**2
    # chunks are read whole; the next window is read and prepared while one is predicted
    read = sum(chunked_pixels(window) for window in windows)
    reading = of_pixel * (read * units.read_seconds + predicted * series.prepare_seconds)
    answer = _answer_seconds(project.map_model, work, units)
    layers = work.classes + 1
    answering = len(windows) * (answer or 0.0) + predicted * series.compare_seconds
    writing = pixels * layers * BLEND_SECONDS
    core = reading + answering + writing
    kept = project.parcels is not None if project.map.probabilities is None else project.map.probabilities
    per_pixel = sum(LAYER_BYTES.values()) + (work.classes * PROBABILITY_BYTES + OBSERVATION_BYTES if kept else 0)
    if work.task in NUMBERS:
        per_pixel = number_bytes(work)
    memory = units.model(project.map_model).memory_to_predict
    return StepForecast(
        "map",
        read_bytes=round(cube_bytes * read / (grid.shape[0] * grid.shape[1])),
        disk_bytes=round(pixels * per_pixel + PICTURE_BYTES + PICTURE_PIXEL_BYTES * min(pixels, PICTURE_PIXELS)),
        scratch_bytes=round(predicted * layers * PROBABILITY_DTYPE.itemsize + 6 * grid.shape[0] * grid.shape[1]),
        memory_bytes=round(base + COPIES * prepared_bytes(as_observed, side) + memory),
        core_seconds=start + core,
        seconds=start + (max(reading, answering) if units.cores > 1 else reading + answering) / workers + writing,
        start_seconds=start,
        pieces=len(windows),
        notes=() if answer is not None else (f"the time of {project.map_model} was not measured and is not in it",),
    )


def number_bytes(work: ModelWork) -> float:
    """Return the bytes of a pixel of a map of yields or of shares."""
    return YIELD_BAND_BYTES * len(YIELD_BANDS) if work.task == "yield" else SHARE_BYTES * work.classes


def _windows(grid: Grid, area: BaseGeometry, side: int, overlap: int, coarse: int) -> list[Window]:
    """The windows of a map with a pixel inside the area."""
    rows, cols = window_starts(grid.shape, side, overlap, coarse)
    height, width = (min(side, length) for length in grid.shape)
    mask = AreaMask(area, grid)
    every = (Window(row, col, height, width) for row in rows for col in cols)
    found = [window for window in every if mask.inside(window).any()]
    if not found:
        raise MapError("planning a map: the area contains no pixel's centre; give a larger area")
    return found


def chunked_pixels(window: Window) -> int:
    """Return the pixels of the chunks of a cube that a window touches."""
    rows, cols = (
        CHUNK * (-(-(first + length) // CHUNK) - first // CHUNK)
        for first, length in ((window.row, window.height), (window.col, window.width))
    )
    return rows * cols


def _answer_seconds(name: str, work: ModelWork, units: UnitCosts) -> float | None:
    """Seconds that a model needs to predict a window; None if it was not measured."""
    if is_network(name):
        return units.model(name).window_seconds
    singles = single_names(name, work.task) if is_classic(name) else ()
    found = [units.model(one).window_seconds for one in singles]
    known = [seconds for seconds in found if seconds is not None]
    share = 0.6 if len(singles) > 1 else 1.0  # the better half of them
    return share * sum(known) * work.window**2 if known and len(known) == len(found) else None


def forecast_parcels(
    project: Project, area: BaseGeometry, work: ModelWork, units: UnitCosts, probability_bytes: float, workers: int = 1
) -> StepForecast:
    """Forecast the step from the number of rows in the file of parcels.

    Args:
        area: in longitude and latitude.
        probability_bytes: of the map's probabilities on disk.

    Raises:
        MapError: the file of parcels cannot be read.
    """
    assert project.parcels is not None
    file = project.path(project.parcels.file)
    with open_batches(file, f"reading the parcels {file}", MapError, project.parcels, area.bounds) as batches:
        rows = batches.rows
    pooling = rows * units.parcel_seconds
    return StepForecast(
        "parcels",
        read_bytes=round(probability_bytes + _size(file)),
        disk_bytes=round(rows * (PARCEL_BYTES + PARCEL_CLASS_BYTES * work.classes) + PARCEL_PICTURE_BYTES),
        memory_bytes=round(units.fetch_base_bytes + BLOCK_BYTES),
        core_seconds=units.start_seconds + pooling + PARCEL_TABLE_SECONDS,
        seconds=units.start_seconds + PARCEL_TABLE_SECONDS + pooling / workers,
        start_seconds=units.start_seconds + PARCEL_TABLE_SECONDS,
        notes=(f"{rows} rows in {file.name}",),
    )


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in path.rglob("*")) if path.is_dir() else path.stat().st_size
