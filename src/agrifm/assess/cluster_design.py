"""Clusters of reference points: square blocks of pixels that are drawn at random, with all or some of their pixels.

Points of one block are reached in one journey or seen in one picture. The blocks are those of a grid that begins at the
upper left corner of the raster; a block can be drawn if it has a mapped pixel. Rasters are read in strips of blocks.

Shape letters: B rows of blocks, h w rows and columns of a window.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.cluster_estimators import MIN_CLUSTERS
from agrifm.assess.drawn_points import DrawnPoint
from agrifm.assess.sampling_frame import NONE, Reader, SamplingFrame
from agrifm.errors import AssessmentError
from agrifm.grid import Window

STRIP_ROWS, STRIP_COLS = 512, 4096
"""Rows and columns of a window in which blocks are counted, about."""


@dataclass(frozen=True)
class DrawnClusters:
    """Points of clusters that were drawn."""

    points: tuple[DrawnPoint, ...]
    cluster: NDArray[np.int64]
    """(points,), number of the cluster of each point, from 1."""
    pixels: NDArray[np.int64]
    """(points,), mapped pixels of its cluster."""
    hectares: NDArray[np.float64]
    """(points,), mapped hectares of its cluster."""
    clusters: int
    """Number of clusters that could have been drawn."""


def draw_clusters(
    generator: np.random.Generator, frame: SamplingFrame, n: int, side: int, per_cluster: int | None
) -> DrawnClusters:
    """Draw blocks of pixels, each with the same probability, and pixels within each.

    Args:
        frame: of one stratum.
        n: blocks to draw.
        side: of a block, pixels.
        per_cluster: pixels to draw at random in each block, or all if it has fewer; None = all.

    Raises:
        AssessmentError: n is less than two or more than there are blocks, or the pixels of a block do not fit.
    """
    if side < 2 or (per_cluster is not None and not 2 <= per_cluster <= side**2):
        raise AssessmentError(
            f"drawing clusters of {side} x {side} pixels with {per_cluster or 'all'} of them: a side has at least two "
            "pixels, and a cluster two points to all its pixels",
            side=side,
            per_cluster=per_cluster,
        )
    with frame.open() as read:
        blocks = _count_blocks(frame, side, read)
        if not MIN_CLUSTERS <= n <= blocks.sum():
            raise AssessmentError(
                f"drawing {n} clusters of {side} x {side} pixels: the map has {blocks.sum():,}; choose at least "
                f"{MIN_CLUSTERS} and at most all",
                n=n,
                clusters=int(blocks.sum()),
            )
        ends = np.cumsum(blocks)
        chosen = generator.choice(int(ends[-1]), n, replace=False)
        rows = np.searchsorted(ends, chosen, side="right")
        ranks = chosen - (ends - blocks)[rows]
        windows: dict[int, Window] = {}
        for row in np.unique(rows):  # each row of blocks is read once
            columns = _block_columns(frame, side, int(row), read)
            for at in np.flatnonzero(rows == row):
                windows[int(at)] = _block(frame, side, int(row), int(columns[ranks[at]]))
        inside = {at: np.argwhere(read(windows[at]) != NONE) for at in np.lexsort((ranks, rows)).tolist()}
    return _with_pixels(generator, frame, [windows[at] for at in range(n)], [inside[at] for at in range(n)],
                        per_cluster, int(ends[-1]))  # fmt: skip


def _with_pixels(
    generator: np.random.Generator,
    frame: SamplingFrame,
    windows: list[Window],
    inside: list[NDArray[np.int64]],
    per_cluster: int | None,
    clusters: int,
) -> DrawnClusters:
    """Draw pixels within each block, of the places (pixels, 2) in it that are mapped."""
    weights = frame.grid.pixel_hectares()
    points: list[DrawnPoint] = []
    of_points: list[tuple[int, int, float]] = []
    for number, (window, places) in enumerate(zip(windows, inside, strict=True), 1):
        hectares = float(weights[window.row + places[:, 0]].sum())
        seen = places
        if per_cluster is not None and per_cluster < len(places):
            seen = places[np.sort(generator.choice(len(places), per_cluster, replace=False))]
        points += [DrawnPoint(0, window.row + int(row), window.col + int(col)) for row, col in seen]
        of_points += [(number, len(places), hectares)] * len(seen)
    cluster, pixels, size = zip(*of_points, strict=True)
    return DrawnClusters(tuple(points), np.array(cluster), np.array(pixels), np.array(size, np.float64), clusters)


def _count_blocks(frame: SamplingFrame, side: int, read: Reader) -> NDArray[np.int64]:
    """Blocks with a mapped pixel in each row of blocks, (B,)."""
    height, width = frame.grid.shape
    rows = -(-height // side)
    mapped = np.zeros(rows * side, np.int64)
    mapped[:height] = frame.pixels_per_row
    most = mapped.reshape(rows, side).max(axis=1)
    # A row of pixels without nodata is in every block.
    result = np.where(most == width, -(-width // side), 0).astype(np.int64)
    partly = (most > 0) & (most < width)
    strip = max(1, STRIP_ROWS // side)
    for first in range(0, rows, strip):
        here = np.flatnonzero(partly[first : first + strip])
        if len(here):
            begin, end = first + int(here[0]), first + int(here[-1]) + 1
            found = _mapped_blocks(frame, side, begin, end, read).sum(axis=1)
            result[begin:end] = np.where(partly[begin:end], found, result[begin:end])
    return result


def _block_columns(frame: SamplingFrame, side: int, row: int, read: Reader) -> NDArray[np.intp]:
    """Columns of blocks that have a mapped pixel, in one row of blocks."""
    height, width = frame.grid.shape
    if (frame.pixels_per_row[row * side : min((row + 1) * side, height)] == width).any():
        return np.arange(-(-width // side))
    return np.flatnonzero(_mapped_blocks(frame, side, row, row + 1, read)[0])


def _mapped_blocks(frame: SamplingFrame, side: int, begin: int, end: int, read: Reader) -> NDArray[np.bool_]:
    """Whether each block has a mapped pixel, (end - begin, columns of blocks)."""
    height, width = frame.grid.shape
    chunk = side * max(1, STRIP_COLS // side)
    top, bottom = begin * side, min(end * side, height)
    parts = []
    for left in range(0, width, chunk):
        mapped = read(Window(top, left, bottom - top, min(chunk, width - left))) != NONE
        grown = np.pad(mapped, [(0, -size % side) for size in mapped.shape])
        parts.append(grown.reshape(end - begin, side, -1, side).any(axis=(1, 3)))
    return np.concatenate(parts, axis=1)


def _block(frame: SamplingFrame, side: int, row: int, col: int) -> Window:
    """The pixels of a block; those at the right and lower edge of the raster may be smaller."""
    height, width = frame.grid.shape
    return Window(row * side, col * side, min(side, height - row * side), min(side, width - col * side))
