"""Recipes: what becomes of one sensor's series, and on which dates. `cube.periods` runs them over whole cubes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.composites import median_of_periods, medoid_of_periods, period_edges, same_day_mosaic
from agrifm.cube.smooth import fill_gaps, whittaker
from agrifm.cube.store import SensorCube
from agrifm.cube.temporal import interpolate, nearest_of_periods
from agrifm.errors import ConfigError
from agrifm.season import Season, day_number

Image = NDArray[np.float32]
Valid = NDArray[np.bool_]
Days = NDArray[np.int32]


@dataclass(frozen=True)
class Recipe:
    """What becomes of a sensor's series."""

    description: str
    """What it does, with all numbers: kept in the new cube, and what a run that was stopped is recognised by."""
    first: tuple[int, ...]
    """First day of each new frame, increasing, days since 1970-01-01."""
    last: tuple[int, ...] | None
    """Last day of each new frame where pixels have days of their own; None where a frame is of one day."""
    run: Callable[[Image, Valid, Days, Days | None], tuple[Image, Valid, Days | None]]
    """From image (T, C, H, W), valid (T, H, W), date (T,) and, of composites, day (T, H, W) to the new image, valid and
    (with `last`) day; pixel by pixel, as it is run window by window."""


def medians(season: Season, frames: int) -> Recipe:
    """The band-wise median of each of `frames` equal periods; see `median_of_periods`."""
    edges = _edges(season, frames)
    return _of_periods(
        f"median of {frames} periods",
        edges,
        lambda image, valid, date, day: median_of_periods(image, valid, date, edges, day),
    )


def medoids(season: Season, frames: int) -> Recipe:
    """The observation nearest the band-wise median of each of `frames` equal periods; see `medoid_of_periods`."""
    edges = _edges(season, frames)
    return _of_periods(
        f"medoid of {frames} periods",
        edges,
        lambda image, valid, date, day: medoid_of_periods(image, valid, date, edges, day),
    )


def nearest(season: Season, frames: int) -> Recipe:
    """The observation nearest the middle of each of `frames` equal periods; see `nearest_of_periods`."""
    span = day_number(season.start), season.days
    return _of_periods(
        f"nearest the middle of {frames} periods",
        _edges(season, frames),
        lambda image, valid, date, day: nearest_of_periods(image, valid, date, span, frames, day),
    )


def even_steps(season: Season, frames: int) -> Recipe:
    """Linear interpolation to the middles of `frames` equal periods; see `interpolate`."""
    _edges(season, frames)
    steps = season.steps(frames)
    return _on_steps(
        f"interpolated to {frames} steps",
        steps,
        lambda image, valid, date, day: interpolate(image, valid, date, steps, day),
    )


def smoothed(season: Season, frames: int, smoothing: float) -> Recipe:
    """Whittaker's smoother on a grid of days, at the middles of `frames` equal periods; see `whittaker`."""
    _edges(season, frames)
    steps = season.steps(frames)
    return _on_steps(
        f"Whittaker smoother, lambda {smoothing:g}, at {frames} steps",
        steps,
        lambda image, valid, date, day: whittaker(image, valid, date, steps, smoothing, day),
    )


def filled(sensor: SensorCube) -> Recipe:
    """The sensor's own frames, what is not valid filled in linearly; see `fill_gaps`."""

    def run(image: Image, valid: Valid, date: Days, day: Days | None) -> tuple[Image, Valid, Days | None]:
        filled_image, seen = fill_gaps(image, valid, date, day)
        own = None if day is None else np.where(valid, day, date[:, None, None]).astype(np.int32)
        return filled_image, np.broadcast_to(seen, valid.shape), own

    return Recipe("gaps filled linearly", _numbers(sensor.date), _last_days(sensor), run)


def mosaics(sensor: SensorCube) -> Recipe:
    """Frames of one day merged; see `same_day_mosaic`. Cubes made by `agrifm fetch` have one frame a day already."""

    def run(image: Image, valid: Valid, date: Days, day: Days | None) -> tuple[Image, Valid, Days | None]:
        merged, known, _, own = same_day_mosaic(image, valid, date, day=day)
        return merged, known, own

    first = np.unique(sensor.date)
    last = _last_days(sensor)
    kept = None if last is None else tuple(max(np.array(last)[sensor.date == one].tolist()) for one in first)
    return Recipe("frames of one day merged", _numbers(first), kept, run)


def _edges(season: Season, frames: int) -> Days:
    if not 1 <= frames <= season.days:
        raise ConfigError(
            f"dividing the season into {frames} periods: it has {season.days} days; give 1 to {season.days} periods"
        )
    return period_edges(season, frames)


def _of_periods(description: str, edges: Days, run: Callable[..., tuple[Image, Valid, Days]]) -> Recipe:
    return Recipe(description, _numbers(edges[:-1]), _numbers(edges[1:] - 1), run)


def _on_steps(description: str, steps: Days, run: Callable[..., tuple[Image, Valid]]) -> Recipe:
    def spread(*series: Any) -> tuple[Image, Valid, None]:
        image, seen = run(*series)
        return image, np.broadcast_to(seen, (len(steps), *seen.shape)), None

    return Recipe(description, _numbers(steps), None, spread)


def _numbers(days: NDArray[np.integer]) -> tuple[int, ...]:
    return tuple(int(day) for day in days)


def _last_days(sensor: SensorCube) -> tuple[int, ...] | None:
    return _numbers(np.asarray(sensor.group["time_bounds"][:])[:, 1] - 1) if sensor.is_composite else None
