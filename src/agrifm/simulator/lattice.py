"""Points of a coarse lattice around a grid, and numbers at them spread onto the grid's pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from agrifm.grid import Grid

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Lattice:
    """Points at multiples of `step` metres around the pixel centres of a grid; the same for every window of it."""

    grid: Grid
    x: NDArray[np.float64]
    """(columns,)"""
    y: NDArray[np.float64]
    """(rows,), from north to south."""
    down: csr_matrix
    """Weights (rows of the grid, rows)."""
    across: csr_matrix
    """Weights (columns of the grid, columns)."""

    @classmethod
    def around(cls, grid: Grid, step: float) -> "Lattice":
        """The lattice of a step, metres, around a grid."""
        x, across = _axis(grid.x, step)
        y, down = _axis(-grid.y, step)
        return cls(grid, x, -y, down, across)

    def onto(self, plane: Plane) -> Plane:
        """Numbers at the points, interpolated linearly to the grid's pixels, (rows, columns)."""
        rows = self.down @ plane
        return np.ascontiguousarray((self.across @ np.ascontiguousarray(rows.T)).T)


def _axis(centres: NDArray[np.float64], step: float) -> tuple[NDArray[np.float64], csr_matrix]:
    place = centres / step
    before = np.floor(place).astype(np.int64)
    first, last = int(before[0]), int(before[-1]) + 2
    part = (place - before).astype(np.float32)
    weights = np.stack([1 - part, part], axis=1)
    columns = (before - first)[:, None] + np.arange(2)
    starts = np.arange(len(centres) + 1) * 2
    matrix = csr_matrix((weights.ravel(), columns.ravel(), starts), (len(centres), last - first))
    return np.asarray(np.arange(first, last) * float(step)), matrix
