"""Outlines as Mapbox Vector Tiles (specification 2.1), encoded with numpy.

A tile holds one layer of polygons with their numbers, in whole units of which a tile has `EXTENT` a side, rows from
the north. It is simplified to what a screen can show, so that its size follows from the number of polygons.

Shape letters: P polygons, R rings, N points, I integers of geometries.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

EXTENT = 4096
"""Units of the side of a tile, which a screen shows with 512 pixels."""
MARGIN = 80
"""Units around a tile that outlines are kept in, so that its edge is not drawn as a line."""
FINEST = 4.0
"""Units that an outline may be moved by simplification: half a pixel."""
MOVE_TO, CLOSE = 9, 15
"""Commands of a geometry: one point to move to; the end of a ring. `LineTo` is 2 with the count above."""
FEATURE, NUMBER, KIND, GEOMETRY, POLYGON = 2 << 3 | 2, 1 << 3, 3 << 3, 4 << 3 | 2, 3
"""Keys of a feature in its layer and of its parts, and the kind of its geometry."""


def encoded_tile(
    shapes: NDArray[np.object_], numbers: NDArray[np.int64], zoom: int, x: int, y: int, layer: str
) -> bytes:
    """A tile of polygons; those that are smaller than what a screen shows are left out.

    Args:
        shapes: (P,), polygons in longitude and latitude.
        numbers: (P,), of each; they become the ids of its features.
        layer: its name.
    """
    crossed = ~shapely.is_valid(shapes)
    if crossed.any():  # those that cross themselves cannot be clipped
        shapes = shapes.copy()
        shapes[crossed] = shapely.make_valid(shapes[crossed], method="structure", keep_collapsed=False)
    units = shapely.transform(shapes, lambda points: _units(points, zoom, x, y))
    seen = shapely.clip_by_rect(units, -MARGIN, -MARGIN, EXTENT + MARGIN, EXTENT + MARGIN)
    # Outlines are simplified one by one, four times as fast as with their topology kept; neighbours are apart anyway.
    simple = shapely.simplify(seen, FINEST, preserve_topology=False)
    parts, of_shape = shapely.get_parts(simple, return_index=True)
    keep = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    rings, of_part = shapely.get_rings(parts[keep], return_index=True)
    points, of_ring = shapely.get_coordinates(_facing(rings, of_part), return_index=True)
    whole, of_ring = _distinct(np.rint(points).astype(np.int64), of_ring)
    if not len(whole):
        return _block(3, _text(1, layer) + _number(5, EXTENT) + _number(15, 2))
    feature = of_shape[keep][of_part][of_ring]
    integers, of_feature = _commands(whole, of_ring, feature)
    features = _varints(_with_heads(integers, of_feature, numbers))
    return _block(3, _text(1, layer) + features + _number(5, EXTENT) + _number(15, 2))


def _units(points: NDArray[np.float64], zoom: int, x: int, y: int) -> NDArray[np.float64]:
    """Places (N, 2) in a tile of longitudes and latitudes."""
    lon, lat = points.T
    across = (lon + 180) / 360 * 2**zoom - x
    down = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom - y
    return np.stack([across, down], axis=1) * EXTENT


def _facing(rings: NDArray[np.object_], of_part: NDArray[np.intp]) -> NDArray[np.object_]:
    """Rings (R,), the first of each part with a positive area where rows go down, and its holes with a negative one."""
    is_outer = np.diff(of_part, prepend=-1) != 0
    return np.where(shapely.is_ccw(rings) == is_outer, rings, shapely.reverse(rings))


def _distinct(points: NDArray[np.int64], of_ring: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Points without those that repeat the one before, without the last of each ring, and rings of three or more."""
    if not len(points):
        return points, of_ring
    same_ring = np.r_[False, of_ring[1:] == of_ring[:-1]]
    repeats = same_ring & np.r_[False, (points[1:] == points[:-1]).all(axis=1)]
    points, of_ring = points[~repeats], of_ring[~repeats]
    is_last = np.r_[of_ring[1:] != of_ring[:-1], True]
    points, of_ring = points[~is_last], of_ring[~is_last]
    counts = np.bincount(of_ring) if len(of_ring) else np.zeros(0, np.intp)
    enough = counts[of_ring] >= 3
    return points[enough], of_ring[enough]


def _commands(
    points: NDArray[np.int64], of_ring: NDArray[np.intp], feature: NDArray[np.intp]
) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """The integers (I,) of all geometries, and the feature (I,) of each: of a ring MoveTo, LineTo and ClosePath."""
    begins = np.r_[True, of_ring[1:] != of_ring[:-1]]
    moved = np.diff(points, axis=0, prepend=0)
    new = np.r_[True, feature[1:] != feature[:-1]]
    moved[new] = points[new]
    folded = ((moved << 1) ^ (moved >> 63)).astype(np.uint32)
    ring = np.cumsum(begins) - 1
    counts = np.bincount(ring)
    # a ring of n points: MoveTo, its point, LineTo, n - 1 points, ClosePath
    start = np.r_[0, np.cumsum(2 * counts + 3)[:-1]]
    within = np.arange(len(points)) - np.flatnonzero(begins)[ring]
    at = start[ring] + 1 + 2 * within + (within > 0)
    integers = np.empty(int((2 * counts + 3).sum()), np.uint32)
    integers[start] = MOVE_TO
    integers[start + 3] = ((counts - 1) << 3) | 2
    integers[start + 2 * counts + 2] = CLOSE
    integers[at], integers[at + 1] = folded.T
    return integers, np.repeat(feature[begins], 2 * counts + 3)


def _with_heads(
    integers: NDArray[np.uint32], of_feature: NDArray[np.intp], numbers: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Geometries, each after the integers of its feature: lengths in bytes, the number, and that it is a polygon."""
    first = np.flatnonzero(np.r_[True, np.diff(of_feature) != 0])
    number = numbers[of_feature[first]].astype(np.uint32)
    geometry = np.add.reduceat(_lengths(integers), first)
    feature = 4 + _lengths(number) + _lengths(geometry) + geometry
    one = np.ones_like(number)
    heads = (one * FEATURE, feature, one * NUMBER, number, one * KIND, one * POLYGON, one * GEOMETRY, geometry)
    return np.insert(integers, np.repeat(first, len(heads)), np.stack(heads, axis=1).astype(np.uint32).ravel())


def _lengths(values: NDArray[Any]) -> NDArray[np.intp]:
    """Bytes of integers as Protocol Buffers write them, seven bits a byte."""
    return np.searchsorted([1 << 7, 1 << 14, 1 << 21, 1 << 28], values, "right") + 1


def _varints(values: NDArray[np.uint32]) -> bytes:
    """Integers as Protocol Buffers write them."""
    length = _lengths(values)
    ends = np.cumsum(length)
    content = np.zeros(int(ends[-1]), np.uint8)
    for place in range(5):
        has = length > place
        follows = np.where(length[has] > place + 1, 128, 0)
        content[(ends - length)[has] + place] = ((values[has] >> np.uint32(7 * place)) & 127) | follows
    return content.tobytes()


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _block(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _block(field, text.encode())
