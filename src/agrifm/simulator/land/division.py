"""Divide landscape cells into parcels by repeated cuts, first by tracks, then by borders; assign crops to parcels.

The areas of a cell's parcels are drawn before it is cut, and every cut divides the remaining parcels between both
parts. So the areas have the distribution of the region for every outline of a cell. All cells are cut together, level
by level.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from agrifm.simulator.keyed_random import normal, smooth_noise, uniform
from agrifm.simulator.land.landscape import (
    TRACK_WIDTH,
    VERGE,
    Indices,
    Landscape,
    Numbers,
    RoadNetwork,
    Shapes,
    largest_part,
)

AREA_LOSS_FACTOR = 1.1
"""Factor on the drawn areas of parcels, because borders, forests and villages cover a part of them."""
AREA_RANGE_FACTOR = 1.2
"""Narrows the range of drawn areas at both ends, because filling a cell and cutting it change areas."""
Keys = tuple[Indices, Indices, Indices]
"""Row and column of a block's cell, and the block's number."""
SIZE_GROUPING = 1.0
"""How loosely parcels of similar size are grouped: 0 = sorted by size within a cell, large = random order."""
ELONGATION_SPREAD = 0.3
"""Standard deviation of the logarithm of the parcels' elongation."""
TILT = 0.05
"""Standard deviation of the angle between a cut and the sides of the block, radians."""
SWING = 0.7
"""Sideways deviation of borders, in units of the bend of roads."""
CUT_POSITIONS = np.array([-4, -0.5, -1 / 6, 1 / 6, 0.5, 4])
"""Positions of the points of a cut, in widths of the block."""
MIN_CUT_AREA = 100.0
"""Square metres: smaller blocks are not cut."""


@dataclass(frozen=True)
class Parcels:
    """Parcels of landscape cells; arrays (parcels,)."""

    outline: Shapes
    cell: Indices
    """Index of the parcel's cell in the network."""
    number: Indices
    """Number of the parcel in its cell, the same in every window: 1 is the cell, 2n and 2n + 1 are the parts of n."""


@dataclass(frozen=True)
class BorderStrips:
    """Hedges and tracks between parcels; arrays (strips,)."""

    outline: Shapes
    cell: Indices
    track: NDArray[np.bool_]
    """True for tracks, False for hedges and rows of trees."""


@dataclass(frozen=True)
class _Blocks:
    """Blocks that are still to be cut, each with its range of parcels from `first` to before `last`."""

    outline: Shapes
    cell: Indices
    number: Indices
    first: Indices
    last: Indices

    def where(self, chosen: NDArray[np.bool_]) -> "_Blocks":
        return _Blocks(**{name: values[chosen] for name, values in vars(self).items()})


@dataclass(frozen=True)
class _Cuts:
    """Lines along which blocks are cut; arrays (blocks,) and (blocks, 2)."""

    direction: Numbers
    """Unit vector across the cut."""
    line: Numbers
    """(blocks, points, 2); extends far beyond the block."""
    far: Numbers
    """Distance beyond the block, metres."""
    gap: Numbers
    """Metres between the two parts."""
    strip: Numbers
    """Width of the hedge or track in the gap; 0 = none."""
    track: NDArray[np.bool_]


def divide_into_parcels(landscape: Landscape, seed: int, network: RoadNetwork) -> tuple[Parcels, BorderStrips]:
    """Divide all cells of a network into parcels, with hedges and tracks between them."""
    areas, counts = _areas(landscape, seed, network)
    # Cumulative sums within each cell, so that they do not depend on the other cells of the window.
    sums = np.pad(np.cumsum(areas, axis=1), ((0, 0), (1, 0)))
    cells = np.arange(len(counts))
    blocks = _Blocks(network.interior, cells, np.ones_like(cells), np.zeros_like(cells), counts)
    finished, strips = [], []
    while len(blocks.cell):
        single = (blocks.last - blocks.first <= 1) | (shapely.area(blocks.outline) < MIN_CUT_AREA)
        finished.append(blocks.where(single))
        blocks = blocks.where(~single)
        if len(blocks.cell):
            blocks, new = _cut(landscape, seed, network, blocks, sums)
            strips.append(new)
    parcels = Parcels(
        *(np.concatenate([getattr(part, name) for part in finished]) for name in ("outline", "cell", "number"))
    )
    kinds = (np.concatenate([getattr(part, name) for part in strips]) for name in ("outline", "cell", "track"))
    return parcels, BorderStrips(*kinds)


def _areas(landscape: Landscape, seed: int, network: RoadNetwork) -> tuple[Numbers, Indices]:
    """Areas of each cell's parcels in square metres, (cells, parcels), grouped by size, and their number."""
    land = shapely.area(network.interior)
    most = int(land.max() / (landscape.parcel_median * 1e4) * 1.5) + 20
    keys = network.row[:, None], network.col[:, None], np.arange(most)[None]
    areas = 1e4 * parcel_areas(landscape, uniform(seed, "area of parcels", *keys))
    sums = np.cumsum(areas, axis=1)
    # The number of parcels whose total area is nearest to the area of the cell; then scale them to fill it.
    counts = 1 + (sums[:, :-1] + areas[:, 1:] / 2 < land[:, None]).sum(axis=1)
    used = np.arange(most)[None] < counts[:, None]
    areas *= (land / np.take_along_axis(sums, counts[:, None] - 1, axis=1)[:, 0])[:, None]
    order = np.log(areas) / landscape.parcel_spread + SIZE_GROUPING * normal(seed, "order of parcels", *keys)
    places = np.argsort(np.where(used, order, np.inf), axis=1)
    return np.take_along_axis(np.where(used, areas, 0), places, axis=1), counts


def parcel_areas(landscape: Landscape, chance: Numbers) -> Numbers:
    """Quantiles of the areas of parcels in hectares: a log-normal distribution, truncated at both ends.

    The median after truncation is `AREA_LOSS_FACTOR` times the region's median.
    """
    least, most = np.log([landscape.parcel_least * AREA_RANGE_FACTOR, landscape.parcel_most / AREA_RANGE_FACTOR])
    middle = mean = np.log(AREA_LOSS_FACTOR * landscape.parcel_median)
    # Iterate the mean of the underlying normal distribution until the truncated one has the median.
    for _ in range(50):
        low, high = ndtr((least - mean) / landscape.parcel_spread), ndtr((most - mean) / landscape.parcel_spread)
        mean = middle - landscape.parcel_spread * ndtri((low + high) / 2)
    return np.asarray(np.exp(mean + landscape.parcel_spread * ndtri(low + (high - low) * chance)))


def _cut(
    landscape: Landscape, seed: int, network: RoadNetwork, blocks: _Blocks, sums: Numbers
) -> tuple[_Blocks, BorderStrips]:
    """Cut every block; return both parts of each, and the strips between them."""
    keys = network.row[blocks.cell], network.col[blocks.cell], blocks.number
    count = blocks.last - blocks.first
    part = np.rint(count * (0.38 + 0.24 * uniform(seed, "parcels before the cut", *keys))).astype(np.int64)
    middle = blocks.first + np.clip(part, 1, count - 1)
    total_area = sums[blocks.cell, blocks.last] - sums[blocks.cell, blocks.first]
    share = (sums[blocks.cell, middle] - sums[blocks.cell, blocks.first]) / total_area
    cuts = _cuts(landscape, seed, network, blocks, keys, share, middle, total_area)

    half = (cuts.gap / 2)[:, None, None] * cuts.direction[:, None]
    beyond = (cuts.far[:, None] * cuts.direction)[:, None]
    ends = cuts.line[:, [-1, 0]]
    before = shapely.polygons(np.concatenate([cuts.line - half, ends - beyond], axis=1))
    after = shapely.polygons(np.concatenate([cuts.line + half, ends + beyond], axis=1))
    outlines = [largest_part(shapely.intersection(blocks.outline, side)) for side in (before, after)]

    here = np.flatnonzero(cuts.strip > 0)
    half = (cuts.strip[here] / 2)[:, None, None] * cuts.direction[here][:, None]
    line = cuts.line[here]
    band = shapely.polygons(np.concatenate([line - half, line[:, ::-1] + half], axis=1))
    band = largest_part(shapely.intersection(blocks.outline[here], band))
    strips = BorderStrips(band, blocks.cell[here], cuts.track[here])

    parts = _Blocks(
        np.concatenate(outlines),
        np.tile(blocks.cell, 2),
        np.concatenate([2 * blocks.number, 2 * blocks.number + 1]),
        np.concatenate([blocks.first, middle]),
        np.concatenate([middle, blocks.last]),
    )
    return parts, strips


def _cuts(
    landscape: Landscape,
    seed: int,
    network: RoadNetwork,
    blocks: _Blocks,
    keys: Keys,
    share: Numbers,
    middle: Indices,
    total_area: Numbers,
) -> _Cuts:
    """Lines that divide blocks so that `share` of the area is before the line, with the borders along them."""
    corners = shapely.get_coordinates(shapely.oriented_envelope(blocks.outline)).reshape(-1, 5, 2)
    sides = np.diff(corners[:, :3], axis=1)
    lengths = np.hypot(sides[..., 0], sides[..., 1])
    elongation = np.log(landscape.elongation) + ELONGATION_SPREAD * normal(seed, "elongation", *keys)
    before, after = middle - blocks.first, blocks.last - middle

    def penalty(side: int) -> Numbers:
        along, over = lengths[:, side], lengths[:, 1 - side]
        return _shape_penalty(along * share, over, before, elongation) + _shape_penalty(
            along * (1 - share), over, after, elongation
        )

    # Cut across the side of the bounding rectangle that gives the better shaped parts.
    side, every = np.where(penalty(0) <= penalty(1), 0, 1), np.arange(len(lengths))
    width = lengths[every, 1 - side]
    direction = sides[every, side] / lengths[every, side][:, None]
    sideways = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    centre = (corners[:, 0] + corners[:, 2]) / 2
    position = centre + direction * _distance(blocks.outline, centre, direction, lengths[every, side], share)[:, None]

    # The border is tilted a little and bent.
    tilt = TILT * np.clip(normal(seed, "tilt", *keys), -2, 2)
    swing = (
        SWING * landscape.bend * np.clip(normal(seed, "swing", *(key[:, None] for key in keys), np.arange(2)), -2, 2)
    )
    off = width[:, None] * (tilt[:, None] * CUT_POSITIONS + np.pad(swing, ((0, 0), (2, 2))))
    line = (
        position[:, None]
        + (width[:, None] * CUT_POSITIONS)[..., None] * sideways[:, None]
        + off[..., None] * direction[:, None]
    )

    return _Cuts(direction, line, 8 * lengths.sum(axis=1), *_border(landscape, seed, keys, total_area))


def _border(
    landscape: Landscape, seed: int, keys: Keys, total_area: Numbers
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """Gap between the parts of a block of so many square metres, width of its hedge or track, and if it is a track."""
    row, col, _ = keys
    track = total_area > landscape.track_block * 1e4
    chance, size = uniform(seed, "border", *keys), uniform(seed, "width of the border", *keys)
    # Hedges are frequent in some cells and rare in others.
    density = smooth_noise(seed, "hedges", col.astype(np.float64), row.astype(np.float64), 4)
    hedge = ~track & (chance < landscape.hedges * np.exp(0.6 * density))
    margin = ~track & ~hedge & (chance > 1 - landscape.margins)
    thin, thick = landscape.hedge_width
    narrow, broad = landscape.margin_width
    strip = np.where(track, TRACK_WIDTH, np.where(hedge, thin + (thick - thin) * size, 0))
    grass = np.where(track, 2 * VERGE, np.where(margin, narrow + (broad - narrow) * size, 0))
    return strip + grass, strip, track


def _shape_penalty(along: Numbers, over: Numbers, parcels: Indices, elongation: Numbers) -> Numbers:
    """Penalty for the shape of a part: few parcels should fit side by side, many should form a compact block."""
    ratio, strips = np.log(along / over), np.log(parcels)
    few = np.minimum(np.abs(strips - ratio - elongation), np.abs(strips + ratio - elongation))
    return np.asarray(np.where(parcels <= 4, few, np.abs(ratio)))


def _distance(outline: Shapes, centre: Numbers, direction: Numbers, length: Numbers, share: Numbers) -> Numbers:
    """Distance of the cut from the centre along the direction, so that a share of the outline's area is before it.

    The area before u = t is the integral of min(u, t) dv around the outline (Green's theorem), u along the direction
    and v across it. It increases with t; 16 bisections find t to length / 65 536.
    """
    points, owner = shapely.get_coordinates(outline, return_index=True)
    from_centre = points - centre[owner]
    u = (from_centre * direction[owner]).sum(axis=1)
    v = from_centre[:, 1] * direction[owner, 0] - from_centre[:, 0] * direction[owner, 1]
    same = np.flatnonzero(owner[1:] == owner[:-1])
    owner, rise = owner[same], v[same + 1] - v[same]
    low_u, high_u = np.minimum(u[same], u[same + 1]), np.maximum(u[same], u[same + 1])
    span = np.maximum(high_u - low_u, 1e-9)

    def area(before: Numbers) -> Numbers:
        t = before[owner]
        inside = np.clip((t - low_u) / span, 0, 1)
        mean = inside * (low_u + np.minimum(t, high_u)) / 2 + (1 - inside) * t
        return np.asarray(np.bincount(owner, mean * rise, len(outline)), np.float64)

    low, high = -length, length
    total = area(high)
    for _ in range(16):
        t = (low + high) / 2
        less = area(t) / total < share
        low, high = np.where(less, t, low), np.where(less, high, t)
    return np.asarray((low + high) / 2)


def assign_crops(
    shares: Mapping[str, float], seed: int, network: RoadNetwork, parcels: Parcels, areas: Numbers
) -> NDArray[np.str_]:
    """Assign a crop to each parcel, (parcels,); parcels with an area of 0 do not count.

    The parcels of a cell are arranged around a circle in random order, each with its area; the crops divide the circle
    by their shares, and a parcel gets the crop at its middle. So every cell has the crops by their shares of area, as
    closely as its parcels allow. The starting points of cells follow Roberts' R2 sequence, so that the errors of
    neighbouring cells cancel.
    """
    order = uniform(seed, "order of crops", network.row[parcels.cell], network.col[parcels.cell], parcels.number)
    begin = (0.7548776662 * network.row + 0.5698402910 * network.col + uniform(seed, "first crop")) % 1
    position = np.zeros(len(areas))
    for cell in range(len(network.row)):
        members = np.flatnonzero(parcels.cell == cell)
        members = members[np.argsort(order[members])]
        sums = np.cumsum(areas[members])
        position[members] = (begin[cell] + (sums - areas[members] / 2) / max(sums[-1], 1.0)) % 1
    ends = np.cumsum(list(shares.values()))
    return np.array(list(shares))[np.searchsorted(ends / ends[-1], position, side="right")]
