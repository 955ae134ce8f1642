"""Phenology of a season from its greenness: a double logistic with start, end, length, peak and slopes.

The curve of Beck et al. 2006 (equation 3) is base + amplitude x (rise(t) + fall(t) - 1), where rise is a logistic
curve through 1/2 at the start and fall one through 1/2 at the end. For given start, end and slopes the base and the
amplitude follow by linear least squares (variable projection, Golub and Pereyra 1973). So a grid of normalised curves
is compared with every pixel in one product of matrices, and the best one is refined by Gauss-Newton steps on base,
amplitude, start and end; the slopes stay those of the grid.

Shape letters: F steps, P pixels, G curves of the grid.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Rows

TRANSITIONS = (0.04, 0.08, 0.16)
"""Time constants of rise and fall in the grid, as shares of the season: 1 / slope."""
STARTS = 24
"""Starts and ends in the grid, evenly over the season."""
SHORTEST = 0.12
"""Shortest time from start to end in the grid, as a share of the season."""
REFINEMENTS = 3
LARGEST_STEP = 0.03
"""Most that start or end move in one refinement, as a share of the season."""


@dataclass(frozen=True)
class Phenology:
    """Parameters of the double logistic of each pixel, (P,) each; days count from the season's start."""

    base: Rows
    """Greenness outside the growing season."""
    amplitude: Rows
    """Height of the curve above the base, at least 0."""
    start: Rows
    """Day at which half of the rise is done."""
    end: Rows
    """Day at which half of the fall is done."""
    rise: Rows
    """Time constant of the rise, days."""
    fall: Rows
    """Time constant of the fall, days."""
    peak: Rows
    """Day of the curve's maximum."""
    residual: Rows
    """Root mean square of the differences to the series."""

    @property
    def length(self) -> Rows:
        """Days from start to end, (P,)."""
        return self.end - self.start

    def table(self) -> Rows:
        """Return the features (P, 9)."""
        return np.stack(
            [self.base, self.amplitude, self.start, self.end, self.length, self.rise, self.fall, self.peak,
             self.residual],
            axis=1,
        )  # fmt: skip


def fit_phenology(greenness_FP: Rows, days: NDArray[np.number], season_days: float) -> Phenology:
    """Fit a double logistic to every pixel; gaps have to be filled before.

    Args:
        greenness_FP: (F, P), finite.
        days: (F,), since the season's start, ascending.
        season_days: length of the season.
    """
    grid = _grid(tuple(np.asarray(days, float).tolist()), float(season_days))
    values = np.ascontiguousarray(greenness_FP.T, np.float32)
    mean = values.mean(axis=1, keepdims=True)
    likeness = (values - mean) @ grid.normalised
    best = likeness.argmax(axis=1)
    # a series that falls and rises again has no growing season of this form: amplitude 0
    amplitude = np.maximum(likeness[np.arange(len(best)), best], 0) / grid.norm[best]
    base = mean[:, 0] - amplitude * grid.mean[best]
    start, end, rise, fall = (column[best] for column in (grid.start, grid.end, grid.rise, grid.fall))
    base, amplitude, start, end = _refined(
        values, np.asarray(days, np.float32), (base, amplitude, start, end, rise, fall), np.float32(season_days)
    )
    curve, _, _ = _curve(np.asarray(days, np.float32), start, end, rise, fall)
    residual = np.sqrt(((base[:, None] + amplitude[:, None] * curve - values) ** 2).mean(axis=1))
    peak = (start * fall + end * rise) / (rise + fall)
    return Phenology(base, amplitude, start, end, rise, fall, peak, residual)


@dataclass(frozen=True)
class _Grid:
    normalised: Rows
    """(F, G), mean 0 and norm 1."""
    norm: Rows
    """(G,), norm of the curves without their mean."""
    mean: Rows
    start: Rows
    end: Rows
    rise: Rows
    fall: Rows


@lru_cache(maxsize=8)
def _grid(days: tuple[float, ...], season_days: float) -> _Grid:
    moments = (np.arange(STARTS) + 0.5) / STARTS * season_days
    start, end, rise, fall = (
        part.ravel().astype(np.float32)
        for part in np.meshgrid(
            moments, moments, np.array(TRANSITIONS) * season_days, np.array(TRANSITIONS) * season_days, indexing="ij"
        )
    )
    kept = end - start >= np.float32(SHORTEST * season_days)
    start, end, rise, fall = start[kept], end[kept], rise[kept], fall[kept]
    curve, _, _ = _curve(np.array(days, np.float32), start, end, rise, fall)
    mean = curve.mean(axis=1)
    centred = curve - mean[:, None]
    norm = np.maximum(np.linalg.norm(centred, axis=1), np.float32(1e-3))
    return _Grid(np.ascontiguousarray((centred / norm[:, None]).T), norm, mean, start, end, rise, fall)


def _curve(days: Rows, start: Rows, end: Rows, rise: Rows, fall: Rows) -> tuple[Rows, Rows, Rows]:
    """The curve (P, F) for base 0 and amplitude 1, and its two logistic parts."""
    up = _logistic((days - start[:, None]) / rise[:, None])
    down = _logistic((end[:, None] - days) / fall[:, None])
    return up + down - 1, up, down


def _logistic(argument: Rows) -> Rows:
    return np.asarray(1 / (1 + np.exp(-np.clip(argument, -30, 30))), np.float32)


def _refined(values: Rows, days: Rows, first: tuple[Rows, ...], season_days: np.float32) -> tuple[Rows, ...]:
    """Base, amplitude, start and end after Gauss-Newton steps with limited length; a step that is worse is undone."""
    base, amplitude, start, end, rise, fall = first
    most, shortest = season_days * LARGEST_STEP, season_days * SHORTEST

    def evaluated(parameters: tuple[Rows, ...]) -> tuple[Rows, Rows, Rows, Rows, Rows]:
        curve, up, down = _curve(days, parameters[2], parameters[3], rise, fall)
        difference = values - parameters[0][:, None] - parameters[1][:, None] * curve
        return curve, up, down, difference, (difference**2).sum(axis=1)

    current: tuple[Rows, ...] = (base, amplitude, start, end)
    curve, up, down, difference, error = evaluated(current)
    for _ in range(REFINEMENTS):
        height = current[1][:, None]
        slopes = np.stack(
            [np.ones_like(curve), curve, -height * up * (1 - up) / rise[:, None] * most,
             height * down * (1 - down) / fall[:, None] * most],
            axis=1,
        )  # fmt: skip
        normal = slopes @ slopes.transpose(0, 2, 1) + np.float32(1e-4) * np.eye(4, dtype=np.float32)
        step = np.linalg.solve(normal, slopes @ difference[:, :, None])[:, :, 0]
        moves = (np.clip(step[:, at], -1, 1) * most for at in (2, 3))
        moved_start, moved_end = (
            np.asarray(current[at] + move, np.float32) for at, move in zip((2, 3), moves, strict=True)
        )
        moved_end = np.asarray(np.maximum(moved_end, moved_start + shortest), np.float32)
        trial: tuple[Rows, ...] = (
            current[0] + step[:, 0],
            np.maximum(current[1] + step[:, 1], 0),
            moved_start,
            moved_end,
        )
        *parts, trial_error = evaluated(trial)
        better = trial_error < error
        current = (
            np.where(better, trial[0], current[0]),
            np.where(better, trial[1], current[1]),
            np.where(better, trial[2], current[2]),
            np.where(better, trial[3], current[3]),
        )
        curve, up, down, difference = (
            np.where(better[:, None], new, old) for new, old in zip(parts, (curve, up, down, difference), strict=True)
        )
        error = np.where(better, trial_error, error)
    return current
