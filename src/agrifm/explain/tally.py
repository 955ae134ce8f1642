"""Sums of the fall of the true class's probability, by class and block, or by parcel; their means with intervals.

Shape letters: U units (a class in a block, or a parcel), B rows of bands, the first is all of them; P columns of
periods, the first is the whole season.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.scores import draw_blocks, percentile_interval

LEAST = 1e-3
"""Of a probability before its logarithm is taken: below it forests know no difference, and 0 has no logarithm."""
Numbers = NDArray[np.float64]


class Effect(NamedTuple):
    """A mean over pixels and the ends of its 95 % interval, (B, P) each; NaN where nothing is known."""

    mean: Numbers
    low: Numbers
    high: Numbers


@dataclass
class Tally:
    """Sums over pixels, which are complete only when all windows have been added."""

    pixels: NDArray[np.int64]
    """(U,), with a prediction when nothing is hidden."""
    probability: Numbers
    """(U,), sum of the true class's probability when nothing is hidden."""
    known: NDArray[np.int64]
    """(U, B, P), pixels that have an observation left."""
    fall: Numbers
    """(U, B, P), sum of its fall when the cell is hidden."""
    log_fall: Numbers
    """(U, B, P), sum of the fall of its logarithm, nats."""

    def begin(self, unit: NDArray[np.integer], whole: NDArray[np.floating]) -> None:
        """Count the pixels (n,) of units and the probability of their true class."""
        seen = np.isfinite(whole)
        np.add.at(self.pixels, unit[seen], 1)
        np.add.at(self.probability, unit[seen], whole[seen])

    def add(
        self,
        unit: NDArray[np.integer],
        cell: tuple[int, int],
        whole: NDArray[np.floating],
        hidden: NDArray[np.floating],
    ) -> None:
        """Add what hiding a cell (row, column) did to the true class of pixels (n,); NaN = no observation is left."""
        seen = np.isfinite(whole) & np.isfinite(hidden)
        at = (unit[seen], *cell)
        np.add.at(self.known, at, 1)
        np.add.at(self.fall, at, whole[seen].astype(np.float64) - hidden[seen])
        logs = (np.log(np.maximum(part[seen].astype(np.float64), LEAST)) for part in (whole, hidden))
        np.add.at(self.log_fall, at, next(logs) - next(logs))


def empty_tally(units: int, rows: int, columns: int) -> Tally:
    """Return sums of nothing, for `rows` of bands and `columns` of periods, those of all included."""
    shape = (units, rows, columns)
    return Tally(
        np.zeros(units, np.int64), np.zeros(units), np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
    )


def mean_over_blocks(total: Numbers, count: NDArray[np.number]) -> Effect:
    """Return the mean per pixel with its 95 % interval, by a percentile bootstrap of blocks.

    Args:
        total: (blocks, B, P), sums over the pixels of each block.
        count: (blocks, B, P), pixels of each.

    Returns:
        NaN where there are no pixels; the interval is NaN for a single block, which says nothing of others.
    """
    inside = count.reshape(len(count), -1).any(axis=1)
    total, count = total[inside], count[inside]
    drawn = draw_blocks(len(total))
    shape = total.shape[1:]
    flat, pixels = total.reshape(len(total), -1), count.reshape(len(count), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = flat.sum(axis=0) / pixels.sum(axis=0)
        means = (drawn @ flat) / (drawn @ pixels)
    ends = np.array([percentile_interval(column) for column in means.T]).reshape(-1, 2)
    return Effect(mean.reshape(shape), ends[:, 0].reshape(shape), ends[:, 1].reshape(shape))


def mean_of_unit(total: Numbers, count: NDArray[np.number]) -> Effect:
    """Return the mean of one unit (B, P) without an interval: a parcel is what it is."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Numbers = np.asarray(total / count, np.float64)
    nothing = np.full_like(mean, np.nan)
    return Effect(mean, nothing, nothing)
