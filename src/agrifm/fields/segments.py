"""Fields as connected pixels, from maps of boundary, distance and extent: seeds that grow until they touch.

A seed is a group of pixels that are far from every edge and touch, at their corners too. From the seeds numbers spread
through the extent, slowly where a boundary is likely, so that two of them touch at the boundary between them: a
watershed by topographic distance (Meyer 1994), as a shortest-path forest with additive costs (Falcao et al. 2004).

Everything is computed tile by tile, and the result does not depend on the tiles, to the pixel: seeds are joined across
borders of tiles, and a pixel's field depends on no pixel further away than `reach`.

Shape letters: H rows, W columns.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agrifm.grid import Window, tiles
from agrifm.validation import Frozen

NO_FIELD = -1
"""Number of pixels that belong to no field."""
SLOWEST = 24
"""Steps that a number needs to enter a pixel that is surely a boundary; 1 where there is surely none."""
TILE = 512

Arrivals = tuple[NDArray[np.intp], NDArray[np.int32]]
"""Pixels, and the numbers that enter them."""
ReadFieldMaps = Callable[[Window], NDArray[np.floating]]
"""Reads boundary, distance and extent (3, H, W) of a window, 0..1, NaN where there is no observation."""


def maps_in_memory(maps: NDArray[np.floating]) -> ReadFieldMaps:
    """Return what reads windows of three maps (3, H, W) in memory."""
    return lambda window: maps[:, *window.slices]


class SegmentRule(Frozen):
    """Which pixels are fields, and which are the seeds of fields."""

    extent: float = Field(0.5, ge=0, le=1)
    """Probability of being in a field from which a pixel can belong to one."""
    boundary: float = Field(0.5, ge=0, le=1)
    """Probability of being a boundary from which a pixel cannot be a seed."""
    distance: float = Field(0.4, ge=0, le=1)
    """Distance to the edge, as a share of the field's greatest, from which a pixel is a seed."""
    reach: int = Field(128, ge=1)
    """Steps that a seed can grow, one per pixel where a boundary is unlikely."""


@dataclass(frozen=True)
class Segments:
    """Fields of a raster, numbered from 0 in the order of the first pixel of their seeds."""

    number: NDArray[np.int32]
    """(H, W), number of the field, -1 = none."""
    box: NDArray[np.int64]
    """(fields, 4), first row, first column, last row + 1, last column + 1 of each."""
    pixels: NDArray[np.int64]
    """(fields,)."""

    def __len__(self) -> int:
        return len(self.pixels)


def segment_fields(
    read: ReadFieldMaps,
    shape: tuple[int, int],
    rule: SegmentRule | None = None,
    side: int = TILE,
    scratch: Path | None = None,
) -> Segments:
    """Divide a raster into fields, in the memory of a few tiles and 56 bytes for each field.

    Args:
        read: reads the three maps of a window.
        shape: of the raster, (H, W).
        side: of a tile, pixels; it changes only memory and time.
        scratch: directory for the numbers, which are then read from disk; None keeps them in memory.
    """
    rule = rule or SegmentRule()
    with TemporaryDirectory(dir=scratch) as directory:
        seeds = _numbers(shape, None if scratch is None else Path(directory) / "seeds.npy")
        final = _find_seeds(read, seeds, rule, side)
        result = _numbers(shape, None if scratch is None else scratch / "fields.npy")
        fields = int(final.max(initial=-1)) + 1
        box = np.tile(np.array([*shape, 0, 0], np.int64), (fields, 1))
        pixels = np.zeros(fields, np.int64)
        for tile in tiles(shape, side):
            wide = tile.grown(rule.reach, shape)
            # the last entry is that of -1
            grown = grow(np.append(final, np.int32(NO_FIELD))[seeds[wide.slices]], read(wide), rule)
            inner = grown[tile.within(wide).slices]
            result[tile.slices] = inner
            _measure(inner, tile, box, pixels)
        del seeds
    return Segments(result, box, pixels)


def _numbers(shape: tuple[int, int], path: Path | None) -> NDArray[np.int32]:
    """An array of no fields, in memory or in a file."""
    if path is None:
        return np.full(shape, NO_FIELD, np.int32)
    numbers: NDArray[np.int32] = np.lib.format.open_memmap(path, "w+", np.int32, shape)
    numbers[:] = NO_FIELD
    return numbers


def _find_seeds(read: ReadFieldMaps, seeds: NDArray[np.int32], rule: SegmentRule, side: int) -> NDArray[np.int32]:
    """Write provisional numbers of the seeds into an array (H, W); returns the final number of each."""
    shape = (seeds.shape[0], seeds.shape[1])
    first: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    joined: list[NDArray[np.int64]] = [np.zeros((2, 0), np.int64)]
    count = 0
    for tile in tiles(shape, side):
        boundary, distance, extent = read(tile)
        # a comparison with NaN is False: where nothing was observed there is no seed
        core = (extent >= rule.extent) & (boundary < rule.boundary) & (distance >= rule.distance)
        local, found = ndimage.label(core, np.ones((3, 3)))
        local = np.where(core, local.astype(np.int64) + count - 1, NO_FIELD)
        rows, cols = np.nonzero(core)
        _, at = np.unique(local[rows, cols], return_index=True)
        first.append((tile.row + rows[at]) * shape[1] + tile.col + cols[at])
        count += found
        seeds[tile.slices] = local
        joined += _across(seeds, tile)
    pairs, corner = np.concatenate(joined, axis=1), np.concatenate(first)
    links = coo_array((np.ones(pairs.shape[1], bool), (pairs[0], pairs[1])), (count, count))
    groups, group = connected_components(links, directed=False) if count else (0, np.zeros(0, np.int32))
    # of each group the first pixel in reading order, by which the groups are numbered whatever the tiles are
    lowest = np.full(groups, np.iinfo(np.int64).max)
    np.minimum.at(lowest, group, corner)
    rank = np.empty(groups, np.int32)
    rank[np.argsort(lowest)] = np.arange(groups)
    return rank[group]


def _across(seeds: NDArray[np.int32], tile: Window) -> Iterator[NDArray[np.int64]]:
    """Pairs (2, N) of seeds that touch across the upper and the left border of a tile, corners of pixels included."""
    height, width = seeds.shape
    top, left = tile.row, tile.col
    for shift in (-1, 0, 1):
        sides = []
        if top:
            cols = np.arange(left, left + tile.width)
            cols = cols[(cols + shift >= 0) & (cols + shift < width)]
            sides.append((seeds[top, cols], seeds[top - 1, cols + shift]))
        if left:
            rows = np.arange(top, top + tile.height)
            rows = rows[(rows + shift >= 0) & (rows + shift < height)]
            sides.append((seeds[rows, left], seeds[rows + shift, left - 1]))
        for ours, theirs in sides:
            both = (ours >= 0) & (theirs >= 0)
            yield np.stack([ours[both], theirs[both]]).astype(np.int64)


def grow(seed: NDArray[np.integer], maps: NDArray[np.floating], rule: SegmentRule) -> NDArray[np.int32]:
    """Return the number of the seed that is nearest to each pixel of the extent, (H, W), -1 = none within reach.

    Entering a pixel takes 1 to `SLOWEST` steps, more where a boundary is likelier; paths go through edges of pixels.
    Of seeds that arrive in the same step the one from above wins, then left, right, below.

    Args:
        seed: (H, W), number of the seed, -1 = none.
        maps: boundary, distance, extent (3, H, W).
    """
    boundary, _, extent = maps
    # a frame of pixels that nothing enters, so that neighbours are offsets
    number = np.pad(seed.astype(np.int32), 1, constant_values=NO_FIELD).ravel()
    cost = np.pad(steps_into(boundary), 1).ravel()
    open_ = np.pad((extent >= rule.extent) & (seed < 0), 1).ravel()
    width = seed.shape[1] + 2
    # by step of arrival, then by the offset from the pixel that it comes from: pixels, and the numbers that arrive
    waiting: list[list[list[Arrivals]]] = [[[] for _ in range(4)] for _ in range(rule.reach + 1)]
    new = np.flatnonzero(number >= 0)
    for step in range(rule.reach + 1):
        # the last of several numbers for a pixel stays, which is that from above
        arrivals = [arrival for side in waiting[step] for arrival in side]
        waiting[step] = []
        if step:
            if not arrivals:
                continue
            pixels, numbers = (np.concatenate(part) for part in zip(*arrivals, strict=True))
            still = open_[pixels]
            number[pixels[still]] = numbers[still]
            new = np.unique(pixels[still])
            open_[new] = False
        for side, offset in enumerate((-width, -1, 1, width)):  # to the pixel above, left, right, below
            pixels = new + offset
            entered = open_[pixels]
            pixels, numbers = pixels[entered], number[new[entered]]
            when = step + cost[pixels]
            for at in np.unique(when[when <= rule.reach]).tolist():
                waiting[at][side].append((pixels[when == at], numbers[when == at]))
    return number.reshape(-1, width)[1:-1, 1:-1]


def steps_into(boundary: NDArray[np.floating]) -> NDArray[np.int32]:
    """Return the steps that entering each pixel takes, 1 to `SLOWEST`, by the probability of a boundary."""
    return np.asarray(1 + np.rint((SLOWEST - 1) * np.nan_to_num(boundary)), np.int32)


def _measure(number: NDArray[np.int32], tile: Window, box: NDArray[np.int64], pixels: NDArray[np.int64]) -> None:
    """Add the pixels of a tile to the boxes and sizes of fields."""
    rows, cols = np.nonzero(number >= 0)
    fields = number[rows, cols]
    for column, (places, offset) in enumerate(((rows, tile.row), (cols, tile.col))):
        np.minimum.at(box[:, column], fields, places + offset)
        np.maximum.at(box[:, column + 2], fields, places + offset + 1)
    np.add.at(pixels, fields, 1)
