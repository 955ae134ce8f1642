"""Systematic reference points: two random pixels in each of many compact cells of the same area.

The mapped pixels are put into one order: strips of rows from north to south, in a strip the columns from west to east
and in the next one back, in a column the rows. Equal parts of that line are the cells. Their sides are of about the
same length, they cover the map once, and their points are not in rows that straight fields could fall in step with. Two
points of a cell, unlike the single one of a grid, show its variance without bias.

    Cochran (1977), "Sampling Techniques", sections 5A.12 (variance with few units in a stratum) and 8.11 (one random
    start gives no unbiased variance).
    Stevens & Olsen (2004), "Spatially balanced sampling of natural resources", Journal of the American Statistical
    Association 99, 262-278: equal parts of a line that visits neighbouring places one after the other.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.drawn_points import DrawnPoint
from agrifm.assess.intervals import MIN_POINTS
from agrifm.assess.sampling_frame import NONE, Reader, SamplingFrame
from agrifm.errors import AssessmentError
from agrifm.grid import Window
from agrifm.record import METRES_PER_DEGREE

PER_CELL = 2
MIN_CELL = 16
"""Pixels of a cell at least; in smaller ones pixels near its ends would be drawn more often than others."""
READ_PIXELS, READ_COLS = 4_000_000, 512
"""Pixels of a window about, and a number that divides its columns."""
Floats = NDArray[np.float64]


class DrawnCells(NamedTuple):
    """Points of a systematic sample."""

    points: tuple[DrawnPoint, ...]
    """In random order."""
    cell: NDArray[np.int64]
    """(points,), number of the cell of each point along the line, from 1."""


def draw_cells(generator: np.random.Generator, frame: SamplingFrame, n: int) -> DrawnCells:
    """Draw two pixels in each of n / 2 cells; every hectare has the same probability, and no pixel is drawn twice.

    Args:
        frame: of one stratum.
        n: points to draw; an odd number is one more.

    Raises:
        AssessmentError: n is less than two, or cells would have fewer than `MIN_CELL` pixels.
    """
    cells, pixels = -(-n // PER_CELL), int(frame.pixels_per_row.sum())
    if n < MIN_POINTS or cells * MIN_CELL > pixels:
        raise AssessmentError(
            f"drawing a systematic sample of {n} points: the map has {pixels:,} pixels, and a sample at least "
            f"{MIN_POINTS} points, and at most one of {MIN_CELL // PER_CELL} pixels; choose another number, or a "
            "simple random sample",
            points=n,
            pixels=pixels,
        )
    weights = frame.grid.pixel_hectares()
    total = float(frame.pixels_per_row @ weights)
    largest = float(weights[frame.pixels_per_row > 0].max())
    places = _places(generator, cells, total / cells, largest)
    edges = _strips(frame, total / cells)
    ends = np.concatenate([[0.0], np.cumsum(frame.pixels_per_row * weights)])[edges]
    strip = np.clip(np.searchsorted(ends, places, side="right") - 1, 0, len(edges) - 2)
    within, extent = places - ends[strip], (ends[1:] - ends[:-1])[strip]
    # A strip is walked back after each that was walked forth; rounding must not lead beyond its end.
    within = np.where(strip % 2 == 1, extent - within, within).clip(0, extent * (1 - 1e-9))
    found = np.empty((len(places), 2), np.int64)
    with frame.open() as read:
        for number in np.unique(strip):
            here = np.flatnonzero(strip == number)
            found[here] = _pixels(read, frame, weights, int(edges[number]), int(edges[number + 1]), within[here])
    order = generator.permutation(len(places))
    points = tuple(DrawnPoint(0, int(row), int(col)) for row, col in found[order])
    return DrawnCells(points, order // PER_CELL + 1)


def _places(generator: np.random.Generator, cells: int, size: float, apart: float) -> Floats:
    """Places along the line in hectares, two in each cell, in rising order and so far apart that pixels differ.

    Args:
        size: hectares of a cell.
        apart: hectares of the largest pixel.
    """
    places = np.sort(generator.random((cells, PER_CELL)), axis=1)
    while True:
        along = ((np.arange(cells)[:, None] + places) * size).ravel()
        close = np.flatnonzero(np.diff(along) < apart)
        if not close.size:
            return along
        again = np.unique((close + 1) // PER_CELL)
        places[again] = np.sort(generator.random((len(again), PER_CELL)), axis=1)


def _strips(frame: SamplingFrame, size: float) -> NDArray[np.int64]:
    """First rows of the strips and the end of the last, where a cell of `size` hectares has about equal sides."""
    grid = frame.grid
    metres = METRES_PER_DEGREE if grid.crs.geographic else float(grid.crs.proj.axis_info[0].unit_conversion_factor)
    down = (size * 1e4) ** 0.5 / metres / abs(float(grid.transform.e))
    height = grid.shape[0]
    count = min(max(1, round(height / down)), height)
    return np.round(np.linspace(0, height, count + 1)).astype(np.int64)


def _pixels(
    read: Reader, frame: SamplingFrame, weights: Floats, top: int, bottom: int, within: Floats
) -> NDArray[np.int64]:
    """Rows and columns, (places, 2), of places in a strip, in hectares from its western end."""
    width = frame.grid.shape[1]
    chunk = max(READ_COLS, READ_PIXELS // (bottom - top) // READ_COLS * READ_COLS)
    found = np.empty((len(within), 2), np.int64)
    of_rows, before = weights[top:bottom], 0.0
    for left in range(0, width, chunk):
        mapped = read(Window(top, left, bottom - top, min(chunk, width - left))) != NONE
        ends = before + np.cumsum(of_rows @ mapped)
        for at in np.flatnonzero((within >= before) & (within < ends[-1])):
            col = int(np.searchsorted(ends, within[at], side="right"))
            start = float(ends[col - 1]) if col else before
            rows = np.flatnonzero(mapped[:, col])
            rank = np.searchsorted(np.cumsum(of_rows[rows]), within[at] - start, side="right")
            found[at] = top + rows[min(int(rank), len(rows) - 1)], left + col
        before = float(ends[-1])
    return found
