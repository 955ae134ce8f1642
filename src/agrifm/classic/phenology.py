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
RIDGE = 1e-4
"""Added to the diagonal of the normal equations of a refinement."""
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
    base, amplitude, start, end, error = _refined(
        np.ascontiguousarray(greenness_FP, np.float32),
        np.asarray(days, np.float32),
        (base, amplitude, start, end, rise, fall),
        np.float32(season_days),
    )
    residual = np.sqrt(error / np.float32(len(days)))
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
    curve = np.ascontiguousarray(_curve(np.array(days, np.float32), start, end, rise, fall)[0].T)
    mean = curve.mean(axis=1)
    centred = curve - mean[:, None]
    norm = np.maximum(np.linalg.norm(centred, axis=1), np.float32(1e-3))
    return _Grid(np.ascontiguousarray((centred / norm[:, None]).T), norm, mean, start, end, rise, fall)


def _curve(days: Rows, start: Rows, end: Rows, rise: Rows, fall: Rows) -> tuple[Rows, Rows, Rows]:
    """The curve (F, P) for base 0 and amplitude 1, and its two logistic parts."""
    up = _logistic((days[:, None] - start) / rise)
    down = _logistic((end - days[:, None]) / fall)
    return up + down - 1, up, down


def _logistic(argument: Rows) -> Rows:
    """The logistic function, written into its argument."""
    np.clip(argument, -30, 30, out=argument)
    np.exp(np.negative(argument, out=argument), out=argument)
    argument += 1
    return np.reciprocal(argument, out=argument)


def _refined(values: Rows, days: Rows, first: tuple[Rows, ...], season_days: np.float32) -> tuple[Rows, ...]:
    """Base, amplitude, start and end after Gauss-Newton steps with limited length, and the sum of squares that is left.

    A step that is worse is undone. `values` are (F, P).
    """
    *begun, rise, fall = first
    most, shortest = season_days * LARGEST_STEP, season_days * SHORTEST
    current = tuple(begun)

    def evaluated(parameters: tuple[Rows, ...]) -> tuple[tuple[Rows, ...], Rows]:
        curve, up, down = _curve(days, parameters[2], parameters[3], rise, fall)
        difference = values - parameters[0]
        difference -= parameters[1] * curve
        return (curve, up, down, difference), np.einsum("fp,fp->p", difference, difference)

    parts, error = evaluated(current)
    for last in (*(False,) * (REFINEMENTS - 1), True):
        curve, up, down, difference = parts
        # derivatives with respect to start and end, in units of the longest step
        of_start, of_end = up * (1 - up), down * (1 - down)
        of_start *= -current[1] / rise * most
        of_end *= current[1] / fall * most
        step = _least_squares((curve, of_start, of_end), difference)
        moves = (np.asarray(np.clip(step[at], -1, 1) * most, np.float32) for at in (2, 3))
        start, end = (current[at] + move for at, move in zip((2, 3), moves, strict=True))
        trial = (
            current[0] + step[0].astype(np.float32),
            np.maximum(current[1] + step[1].astype(np.float32), 0),
            start,
            np.maximum(end, start + shortest),
        )
        new_parts, trial_error = evaluated(trial)
        better = trial_error < error
        current = tuple(np.where(better, new, old) for new, old in zip(trial, current, strict=True))
        error = np.where(better, trial_error, error)
        if not last:
            parts = tuple(np.where(better, new, old) for new, old in zip(new_parts, parts, strict=True))
    return *current, error


def _least_squares(columns: tuple[Rows, ...], difference: Rows) -> NDArray[np.float64]:
    """The step (1 + columns, P) of a level and columns (F, P) towards a difference, by least squares with a ridge."""
    count = len(columns) + 1
    normal = np.empty((count, count, difference.shape[1]))
    normal[0, 0] = len(difference)
    right = np.stack([difference.sum(axis=0), *(np.einsum("fp,fp->p", one, difference) for one in columns)]).astype(
        float
    )
    for row, one in enumerate(columns, 1):
        normal[0, row] = normal[row, 0] = one.sum(axis=0)
        for col, other in enumerate(columns[:row], 1):
            normal[row, col] = normal[col, row] = np.einsum("fp,fp->p", one, other)
    normal[range(count), range(count)] += RIDGE
    # elimination without pivots: the matrix is positive definite
    for row in range(count):
        for below in range(row + 1, count):
            factor = normal[below, row] / normal[row, row]
            normal[below, row:] -= factor * normal[row, row:]
            right[below] -= factor * right[row]
    for row in reversed(range(count)):
        right[row] -= (normal[row, row + 1 :] * right[row + 1 :]).sum(axis=0)
        right[row] /= normal[row, row]
    return right
