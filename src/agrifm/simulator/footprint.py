"""How the ground becomes pixels: point spread functions, the sparse matrices made of them, and coarse lattices.

The ground consists of 5 m pixels; each belongs to a field and has a vigour and a soil brightness. A sensor's
pixel mixes the fields in its point spread, each with its mean vigour and brightness there. The reflectance of a field
is computed only at a few levels of vigour (`VIGOUR_LEVELS`), between which pixels interpolate, and once for a brighter
soil: these are the nodes. A footprint is a matrix of pixels x nodes that is computed once; the image of a day is its
product with the reflectance of the nodes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import ndtr

from agrifm.grid import Grid

Places = NDArray[np.float64]
Plane = NDArray[np.float32]

VIGOUR_LEVELS = (0.2, 0.5, 0.75, 1.0, 1.5)
"""Factors on the leaf area for which the reflectance of fields is computed."""
NODES = len(VIGOUR_LEVELS) + 1
"""Nodes of a field: one for each level of vigour, then the change of reflectance for a soil twice as bright."""
MIN_FIELD_SHARE = 0.004
"""Fields with a smaller share of a pixel are neglected."""
CHUNK_PIXELS = 1 << 20
"""Ground pixels that are processed together, which limits the memory needed."""


@dataclass(frozen=True)
class PointSpread:
    """A separable point spread function, as the cumulative share of the light from the west and from the south."""

    across: Callable[[Places], Places]
    """Along x."""
    along: Callable[[Places], Places]
    """Along y."""
    reach: float
    """Metres beyond which the function is 0, along both axes."""


def gaussian_spread(width: float) -> PointSpread:
    """A round Gaussian point spread with a full width at half maximum in metres, cut off at 2.5 standard deviations."""
    deviation = width / 2.3548

    def share(metres: Places) -> Places:
        return np.asarray(ndtr(np.clip(metres / deviation, -2.5, 2.5)))

    return PointSpread(share, share, 2.5 * deviation)


def whiskbroom_spread(pixel: float) -> PointSpread:
    """A triangle two pixels wide along the scan (x), and a box of one pixel along the track (y).

    A whisk-broom scanner such as MODIS smears each pixel along the scan while it is read out (MODIS ATBD; recalled).
    """

    def triangle(metres: Places) -> Places:
        part = np.clip(metres / pixel, -1, 1)
        return np.asarray(0.5 + part - np.sign(part) * part**2 / 2)

    def box(metres: Places) -> Places:
        return np.asarray(np.clip(metres / pixel, -0.5, 0.5) + 0.5)

    return PointSpread(triangle, box, pixel)


@dataclass(frozen=True)
class GroundPixels:
    """The ground in 5 m pixels; all arrays (rows, columns)."""

    grid: Grid
    field: NDArray[np.int32]
    """Index of the field."""
    fields: int
    """Number of fields."""
    vigour: Plane
    """Factor on the leaf area of the field."""
    soil: Plane
    """Factor on the brightness of the field's soil, minus 1."""


def footprint_matrix(ground_pixels: GroundPixels, x: Places, y: Places, spread: PointSpread) -> csr_matrix:
    """The footprint matrix (pixels, fields x `NODES`) of pixels with centres x, y (metres).

    The weights of the levels of vigour sum to 1 in each row. The ground must extend `spread.reach` beyond the centres.
    """
    column, across = _windows(
        x, ground_pixels.grid.transform.c, ground_pixels.grid.resolution, spread.across, spread.reach
    )
    # Rows count from north to south, so the function along y is mirrored.
    row, along = _windows(
        -y, -ground_pixels.grid.transform.f, ground_pixels.grid.resolution, lambda m: 1 - spread.along(-m), spread.reach
    )
    for first, weights, size in (
        (column, across, ground_pixels.grid.shape[1]),
        (row, along, ground_pixels.grid.shape[0]),
    ):
        inside = first.min() >= 0 and first.max() + weights.shape[1] <= size
        assert inside, "pixels reach beyond the ground"
    return _matrix(len(x), ground_pixels.fields, list(_pixel_fields(ground_pixels, row, along, column, across)))


def _windows(
    centres: Places, start: float, size: float, share: Callable[[Places], Places], reach: float
) -> tuple[NDArray[np.int64], Plane]:
    """Index of the first ground pixel in each point spread along an axis, and the weights from that pixel on."""
    count = int(np.ceil(2 * reach / size)) + 1
    first = np.floor((centres - reach - start) / size + 1e-6).astype(np.int64)
    edges = start + (first[:, None] + np.arange(count + 1)) * size - centres[:, None]
    weights = np.diff(share(edges), axis=1)
    # Drop the pixels at the end that have no weight for any centre.
    used = np.asarray(weights.any(axis=0))
    last = len(used) - int(np.argmax(used[::-1]))
    weights = weights[:, :last]
    return first, np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True)
class _PixelFields:
    """Fields in pixels: one entry for each field in a pixel; arrays (entries,)."""

    pixel: NDArray[np.int64]
    field: NDArray[np.int32]
    share: Plane
    """Share of the pixel."""
    vigour: Plane
    """Mean over the part of the field in the pixel."""
    soil: Plane


def _pixel_fields(
    ground_pixels: GroundPixels, row: NDArray[np.int64], along: Plane, column: NDArray[np.int64], across: Plane
) -> Iterator[_PixelFields]:
    """Fields in pixels, chunk by chunk: first the pixels of a single field, which are faster, then the mixed ones."""
    width = ground_pixels.grid.shape[1]
    window = (np.arange(along.shape[1])[:, None] * width + np.arange(across.shape[1])).ravel()
    fields, vigours, soils = ground_pixels.field.ravel(), ground_pixels.vigour.ravel(), ground_pixels.soil.ravel()
    step = max(CHUNK_PIXELS // len(window), 1)
    for start in range(0, len(row), step):
        some = slice(start, start + step)
        cell = (row[some] * width + column[some])[:, None] + window
        weight = (along[some, :, None] * across[some, None, :]).reshape(cell.shape)
        field = fields[cell]
        single = np.asarray((field == field[:, :1]).all(axis=1))
        alone, mixed = np.flatnonzero(single), np.flatnonzero(~single)
        vigour, soil = (np.einsum("pc,pc->p", weight[alone], values[cell[alone]]) for values in (vigours, soils))
        yield _PixelFields(start + alone, field[alone, 0], np.ones(len(alone), np.float32), vigour, soil)
        if mixed.size:
            yield _mixed_pixels(start + mixed, field[mixed], weight[mixed], vigours[cell[mixed]], soils[cell[mixed]])


def _mixed_pixels(
    pixel: NDArray[np.int64], field: NDArray[np.int32], weight: Plane, vigour: Plane, soil: Plane
) -> _PixelFields:
    """Fields in mixed pixels; arrays (pixels, ground pixels in the window) except the first, which is (pixels,).

    Ground pixels are sorted by field, so that sums over each field are sums over consecutive entries.
    """
    order = np.argsort(field, axis=1, kind="stable")
    fields = np.take_along_axis(field, order, 1).ravel()
    pixels = np.repeat(pixel, field.shape[1])
    begins = np.flatnonzero(np.diff(fields, prepend=-1) | np.diff(pixels, prepend=-1))

    def total(values: Plane) -> Plane:
        return np.asarray(np.add.reduceat(np.take_along_axis(values, order, 1).ravel(), begins), np.float32)

    share = total(weight)
    kept = share > MIN_FIELD_SHARE
    means = (total(weight * values)[kept] / share[kept] for values in (vigour, soil))
    return _PixelFields(pixels[begins][kept], fields[begins][kept], share[kept], *means)


def _matrix(pixels: int, fields: int, parts: list[_PixelFields]) -> csr_matrix:
    pixel, field, share, vigour, soil = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("pixel", "field", "share", "vigour", "soil")
    )
    # Neglected fields leave their share to the others.
    share = share / np.bincount(pixel, share, pixels).astype(np.float32)[pixel]
    levels = np.array(VIGOUR_LEVELS, np.float32)
    vigour = np.clip(vigour, levels[0], levels[-1])
    # Linear interpolation between the two nearest levels of vigour.
    below = np.clip(np.searchsorted(levels, vigour, side="right") - 1, 0, len(VIGOUR_LEVELS) - 2)
    part = (vigour - levels[below]) / (levels[below + 1] - levels[below])
    node = field.astype(np.int64) * NODES
    entries = np.concatenate([share * (1 - part), share * part, share * soil])
    nodes = np.concatenate([node + below, node + below + 1, node + len(VIGOUR_LEVELS)])
    matrix = csr_matrix((entries, (np.tile(pixel, 3), nodes)), (pixels, fields * NODES), dtype=np.float32)
    matrix.eliminate_zeros()
    return matrix


@dataclass(frozen=True)
class Lattice:
    """Points at multiples of `step` metres around the pixel centres of a grid; windows of a grid share their points."""

    grid: Grid
    x: NDArray[np.float64]
    """(columns,)"""
    y: NDArray[np.float64]
    """(rows,), from north to south."""
    down: csr_matrix
    """Interpolation weights (rows of the grid, rows)."""
    across: csr_matrix
    """Interpolation weights (columns of the grid, columns)."""

    @classmethod
    def around(cls, grid: Grid, step: float) -> "Lattice":
        """The lattice with a step in metres around a grid."""
        x, across = _axis(grid.x, step)
        y, down = _axis(-grid.y, step)
        return cls(grid, x, -y, down, across)

    def onto(self, plane: Plane) -> Plane:
        """Interpolate values at the points linearly to the grid's pixels, (rows, columns)."""
        rows = self.down @ plane
        return np.ascontiguousarray((self.across @ np.ascontiguousarray(rows.T)).T)


def _axis(centres: NDArray[np.float64], step: float) -> tuple[NDArray[np.float64], csr_matrix]:
    position = centres / step
    before = np.floor(position).astype(np.int64)
    first, last = int(before[0]), int(before[-1]) + 2
    part = (position - before).astype(np.float32)
    weights = np.stack([1 - part, part], axis=1)
    columns = (before - first)[:, None] + np.arange(2)
    starts = np.arange(len(centres) + 1) * 2
    matrix = csr_matrix((weights.ravel(), columns.ravel(), starts), (len(centres), last - first))
    return np.asarray(np.arange(first, last) * float(step)), matrix
