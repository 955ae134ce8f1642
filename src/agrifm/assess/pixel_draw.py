"""Pixels of strata, drawn at random: different ones, each hectare of a stratum with the same probability.

Shape letters: S strata, H rows of the raster.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.drawn_points import DrawnPoint
from agrifm.assess.sampling_frame import SamplingFrame
from agrifm.errors import AssessmentError
from agrifm.grid import Window

SHORT = 512
"""Pixels of which the places are listed at once."""


class _Pixel(NamedTuple):
    """A drawn pixel, by its place among those of its stratum in its row."""

    stratum: int
    row: int
    rank: int


def draw_in_strata(
    generator: np.random.Generator, frame: SamplingFrame, points: NDArray[np.int64], earlier: Sequence[DrawnPoint] = ()
) -> list[DrawnPoint]:
    """Draw pixels that are not among earlier ones, in random order.

    Args:
        points: (S,), how many of each stratum.

    Raises:
        AssessmentError: a stratum has too few pixels.
    """
    weights = frame.grid.pixel_hectares()
    taken = _ranks(frame, earlier)
    drawn = [
        _Pixel(stratum, row, rank)
        for stratum, count in enumerate(points)
        for row, rank in _draw_stratum(
            generator,
            frame.rows[stratum],
            weights,
            int(count),
            [(p.row, p.rank) for p in taken if p.stratum == stratum],
        )
    ]
    # They were drawn stratum by stratum.
    return _with_columns(frame, [drawn[i] for i in generator.permutation(len(drawn))])


def _draw_stratum(
    generator: np.random.Generator,
    counts: NDArray[np.int64],
    weights: NDArray[np.float64],
    points: int,
    taken: Sequence[tuple[int, int]],
) -> list[tuple[int, int]]:
    """Draw different pixels of one stratum, as (row, rank among the stratum's pixels of that row).

    Args:
        counts: (H,), pixels of the stratum.
        weights: (H,), hectares of one pixel.
        taken: pixels that are not drawn again.

    Raises:
        AssessmentError: there are too few pixels.
    """
    free = int(counts.sum()) - len(taken)
    if points > free:
        raise AssessmentError(
            f"drawing {points} more reference points: a stratum has {free} pixels that are not points yet; draw fewer",
            points=points,
            pixels=free,
        )
    if 2 * points > free:  # drawing again and again would take long; list every pixel instead
        row = np.repeat(np.arange(counts.size), counts)
        rank = np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)
        chance = weights[row]
        for pixel in taken:
            chance[(row == pixel[0]) & (rank == pixel[1])] = 0
        if not points:
            return []
        chosen = generator.choice(row.size, points, replace=False, p=chance / chance.sum())
        return list(zip(row[chosen].tolist(), rank[chosen].tolist(), strict=True))
    probability = counts * weights / (counts @ weights)
    drawn: dict[tuple[int, int], None] = dict.fromkeys(taken)  # keeps the order, drops pixels that are drawn twice
    while len(drawn) < points + len(taken):
        # First a row, in proportion to its hectares of the stratum, then one of its pixels.
        rows = generator.choice(counts.size, points, p=probability)
        ranks = (generator.random(points) * counts[rows]).astype(np.int64)
        for pixel in zip(rows.tolist(), ranks.tolist(), strict=True):
            if len(drawn) < points + len(taken):
                drawn[pixel] = None
    return list(drawn)[len(taken) :]


def _with_columns(frame: SamplingFrame, drawn: list[_Pixel]) -> list[DrawnPoint]:
    """Find the column of each pixel; each row is read once."""
    columns: dict[_Pixel, int] = {}
    with frame.open() as read:
        for row, points in groupby(sorted(drawn, key=attrgetter("row")), attrgetter("row")):
            strata = read(Window(row, 0, 1, frame.grid.shape[1]))[0]
            for point in points:
                columns[point] = _place_of_rank(strata == point.stratum, point.rank)
    return [DrawnPoint(point.stratum, point.row, columns[point]) for point in drawn]


def _place_of_rank(inside: NDArray[np.bool_], rank: int) -> int:
    """Where the true value is that has `rank` true ones before it; counting halves is faster than listing places."""
    first, last = 0, inside.size
    while last - first > SHORT:
        middle = (first + last) // 2
        count = int(np.count_nonzero(inside[first:middle]))
        if rank < count:
            last = middle
        else:
            first, rank = middle, rank - count
    return first + int(np.flatnonzero(inside[first:last])[rank])


def _ranks(frame: SamplingFrame, points: Sequence[DrawnPoint]) -> list[_Pixel]:
    """Find the rank of each pixel among those of its stratum in its row."""
    found = []
    with frame.open() as read:
        for row, of_row in groupby(sorted(points, key=attrgetter("row")), attrgetter("row")):
            strata = read(Window(row, 0, 1, frame.grid.shape[1]))[0]
            found += [_Pixel(point.stratum, row, int((strata[: point.col] == point.stratum).sum())) for point in of_row]
    return found
