"""How landscape cells are divided into parcels: cut again and again, by tracks first, then by the parcels' borders.

The areas of a cell's parcels are drawn before it is cut, and every cut shares out those that are left; so areas are
distributed as the region says, whatever the cell's outline. All cells are cut at once, level by level.
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
"""Parcels are drawn so much larger than the region says, because borders, forests and villages take a part of them."""
AREA_RANGE_FACTOR = 1.2
"""Room at both ends of the range of areas for what filling a cell and cutting it change."""
Keys = tuple[Indices, Indices, Indices]
"""Row and column of a block's cell, and its number."""
SIZE_GROUPING = 1.0
"""How loosely parcels of like size lie together: 0 = sorted by size within a cell, large = at random."""
ELONGATION_SPREAD = 0.3
"""Standard deviation of the logarithm of the parcels' elongation."""
TILT = 0.05
"""Standard deviation of the angle between a cut and the piece's sides, radians."""
SWING = 0.7
"""How far borders swing out, in units of the bend of roads."""
CUT_POSITIONS = np.array([-4, -0.5, -1 / 6, 1 / 6, 0.5, 4])
"""Where the points of a cut lie, in widths of the piece that is cut."""
MIN_CUT_AREA = 100.0
"""Square metres; what is smaller is cut no further."""


@dataclass(frozen=True)
class Parcels:
    """Parcels; arrays (pieces,)."""

    outline: Shapes
    cell: Indices
    """Place of the piece's cell in the network."""
    number: Indices
    """Tells the pieces of a cell apart, wherever the window lies: 1 is the cell, 2n and 2n + 1 are the parts of n."""


@dataclass(frozen=True)
class BorderStrips:
    """Hedges and tracks between parcels; arrays (strips,)."""

    outline: Shapes
    cell: Indices
    track: NDArray[np.bool_]
    """True for tracks, False for hedges and rows of trees."""


@dataclass(frozen=True)
class _Blocks:
    """What is still to be cut, each with the parcels that it holds: `first` to `last`, not included."""

    outline: Shapes
    cell: Indices
    number: Indices
    first: Indices
    last: Indices

    def where(self, chosen: NDArray[np.bool_]) -> "_Blocks":
        return _Blocks(**{name: values[chosen] for name, values in vars(self).items()})


@dataclass(frozen=True)
class _Cuts:
    """Where blocks are cut; arrays (blocks,) and (blocks, 2)."""

    direction: Numbers
    """Unit vector across the cut."""
    line: Numbers
    """(blocks, points, 2), reaching far beyond the block."""
    far: Numbers
    gap: Numbers
    """Metres between the two parts."""
    strip: Numbers
    """Width of the hedge or track in the gap; 0 = none."""
    track: NDArray[np.bool_]


def divide_into_parcels(landscape: Landscape, seed: int, network: RoadNetwork) -> tuple[Parcels, BorderStrips]:
    """The parcels of all cells of a network, and the hedges and tracks between them."""
    areas, counts = _areas(landscape, seed, network)
    # Sums run within a cell, so that they do not depend on the other cells of the window.
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
    """Areas of each cell's parcels in square metres, (cells, most parcels), like sizes together; their number."""
    land = shapely.area(network.interior)
    most = int(land.max() / (landscape.parcel_median * 1e4) * 1.5) + 20
    keys = network.row[:, None], network.col[:, None], np.arange(most)[None]
    areas = 1e4 * parcel_areas(landscape, uniform(seed, "area of parcels", *keys))
    sums = np.cumsum(areas, axis=1)
    # As many parcels as come nearest to the land that there is.
    counts = 1 + (sums[:, :-1] + areas[:, 1:] / 2 < land[:, None]).sum(axis=1)
    held = np.arange(most)[None] < counts[:, None]
    areas *= (land / np.take_along_axis(sums, counts[:, None] - 1, axis=1)[:, 0])[:, None]
    order = np.log(areas) / landscape.parcel_spread + SIZE_GROUPING * normal(seed, "order of parcels", *keys)
    places = np.argsort(np.where(held, order, np.inf), axis=1)
    return np.take_along_axis(np.where(held, areas, 0), places, axis=1), counts


def parcel_areas(landscape: Landscape, chance: Numbers) -> Numbers:
    """Areas in hectares whose share of smaller parcels is `chance`: log-normal, cut off at both ends.

    The median of what is left after cutting off is `AREA_LOSS_FACTOR` times the region's.
    """
    least, most = np.log([landscape.parcel_least * AREA_RANGE_FACTOR, landscape.parcel_most / AREA_RANGE_FACTOR])
    middle = mean = np.log(AREA_LOSS_FACTOR * landscape.parcel_median)
    for _ in range(50):
        low, high = ndtr((least - mean) / landscape.parcel_spread), ndtr((most - mean) / landscape.parcel_spread)
        mean = middle - landscape.parcel_spread * ndtri((low + high) / 2)
    return np.asarray(np.exp(mean + landscape.parcel_spread * ndtri(low + (high - low) * chance)))


def _cut(
    landscape: Landscape, seed: int, network: RoadNetwork, blocks: _Blocks, sums: Numbers
) -> tuple[_Blocks, BorderStrips]:
    """Both parts of every block, and the strips between them."""
    keys = network.row[blocks.cell], network.col[blocks.cell], blocks.number
    count = blocks.last - blocks.first
    part = np.rint(count * (0.38 + 0.24 * uniform(seed, "parcels before the cut", *keys))).astype(np.int64)
    middle = blocks.first + np.clip(part, 1, count - 1)
    held = sums[blocks.cell, blocks.last] - sums[blocks.cell, blocks.first]
    share = (sums[blocks.cell, middle] - sums[blocks.cell, blocks.first]) / held
    cuts = _cuts(landscape, seed, network, blocks, keys, share, middle, held)

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
    held: Numbers,
) -> _Cuts:
    """Where each block is cut so that `share` of its area lies before the cut, and what stands there."""
    corners = shapely.get_coordinates(shapely.oriented_envelope(blocks.outline)).reshape(-1, 5, 2)
    sides = np.diff(corners[:, :3], axis=1)
    lengths = np.hypot(sides[..., 0], sides[..., 1])
    elongation = np.log(landscape.elongation) + ELONGATION_SPREAD * normal(seed, "elongation", *keys)
    before, after = middle - blocks.first, blocks.last - middle

    def badness(side: int) -> Numbers:
        along, over = lengths[:, side], lengths[:, 1 - side]
        return _badness(along * share, over, before, elongation) + _badness(
            along * (1 - share), over, after, elongation
        )

    side, every = np.where(badness(0) <= badness(1), 0, 1), np.arange(len(lengths))
    width = lengths[every, 1 - side]
    direction = sides[every, side] / lengths[every, side][:, None]
    sideways = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    centre = (corners[:, 0] + corners[:, 2]) / 2
    place = centre + direction * _distance(blocks.outline, centre, direction, lengths[every, side], share)[:, None]

    tilt = TILT * np.clip(normal(seed, "tilt", *keys), -2, 2)
    swing = (
        SWING * landscape.bend * np.clip(normal(seed, "swing", *(key[:, None] for key in keys), np.arange(2)), -2, 2)
    )
    off = width[:, None] * (tilt[:, None] * CUT_POSITIONS + np.pad(swing, ((0, 0), (2, 2))))
    line = (
        place[:, None]
        + (width[:, None] * CUT_POSITIONS)[..., None] * sideways[:, None]
        + off[..., None] * direction[:, None]
    )

    return _Cuts(direction, line, 8 * lengths.sum(axis=1), *_border(landscape, seed, keys, held))


def _border(landscape: Landscape, seed: int, keys: Keys, held: Numbers) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """Gap between both parts of a block of `held` square metres, width of what stands there, whether it is a track."""
    row, col, _ = keys
    track = held > landscape.track_block * 1e4
    chance, size = uniform(seed, "border", *keys), uniform(seed, "width of the border", *keys)
    # Hedges are common in one place and rare in another.
    density = smooth_noise(seed, "hedges", col.astype(np.float64), row.astype(np.float64), 4)
    hedge = ~track & (chance < landscape.hedges * np.exp(0.6 * density))
    margin = ~track & ~hedge & (chance > 1 - landscape.margins)
    thin, thick = landscape.hedge_width
    narrow, broad = landscape.margin_width
    strip = np.where(track, TRACK_WIDTH, np.where(hedge, thin + (thick - thin) * size, 0))
    beside = np.where(track, 2 * VERGE, np.where(margin, narrow + (broad - narrow) * size, 0))
    return strip + beside, strip, track


def _badness(along: Numbers, over: Numbers, parcels: Indices, elongation: Numbers) -> Numbers:
    """How far a part is from holding its parcels well: few of them side by side, many in a compact block."""
    ratio, strips = np.log(along / over), np.log(parcels)
    few = np.minimum(np.abs(strips - ratio - elongation), np.abs(strips + ratio - elongation))
    return np.asarray(np.where(parcels <= 4, few, np.abs(ratio)))


def _distance(outline: Shapes, centre: Numbers, direction: Numbers, length: Numbers, share: Numbers) -> Numbers:
    """How far from its centre, along its direction, each outline must be cut for a share of its area to lie before it.

    The area before u = t is the integral of min(u, t) dv around the outline (Green's theorem), u along the direction
    and v across it. It grows with t; 16 halvings find t to length / 65 536.
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
    """The crop of each piece, (pieces,); pieces with an area of 0 take no part.

    The pieces of a cell lie around a circle in random order, each with its area; the crops have their shares of the
    circle, and a piece takes the crop at its middle. So every cell grows the crops by their shares of area, as nearly
    as its pieces allow; cells begin at places so spread (Roberts' R2 sequence) that neighbours make up for each other.
    """
    order = uniform(seed, "order of crops", network.row[parcels.cell], network.col[parcels.cell], parcels.number)
    begin = (0.7548776662 * network.row + 0.5698402910 * network.col + uniform(seed, "first crop")) % 1
    place = np.zeros(len(areas))
    for cell in range(len(network.row)):
        own = np.flatnonzero(parcels.cell == cell)
        own = own[np.argsort(order[own])]
        sums = np.cumsum(areas[own])
        place[own] = (begin[cell] + (sums - areas[own] / 2) / max(sums[-1], 1.0)) % 1
    ends = np.cumsum(list(shares.values()))
    return np.array(list(shares))[np.searchsorted(ends / ends[-1], place, side="right")]
