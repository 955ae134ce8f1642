"""Polygons of numbered fields that share their edges: without overlaps, gaps between neighbours, or steps of pixels.

A field is outlined along the edges of its pixels, whatever tiles it is in, and simplified together with all fields that
touch it, so that an edge of two fields stays one line.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field
from rasterio.features import shapes
from shapely.geometry import shape

from agrifm.fields.segments import NO_FIELD, TILE, Segments
from agrifm.grid import Grid, Window, tiles
from agrifm.validation import Frozen


class OutlineRule(Frozen):
    """Which fields are kept, and how their outlines are drawn."""

    minimum: float = Field(10.0, ge=0)
    """Size below which a field is left out, pixels."""
    hole: float = Field(10.0, ge=0)
    """Size up to which a hole without a field in it is closed, pixels."""
    smoothing: float = Field(1.5, ge=0)
    """Corners are cut if the triangle that is lost is smaller than the square of this, pixels (Visvalingam and Whyatt
    1993, on edges shared by neighbours); 0 keeps the steps of pixels."""


class FieldSizes(NamedTuple):
    """Sizes in hectares, as the project file states them."""

    minimum: float = 0.1
    """Below it a field is left out."""
    hole: float = 0.1
    """Up to it a hole is closed."""

    def in_pixels(self, grid: Grid) -> OutlineRule:
        """Return the rule of outlines on a grid."""
        pixel = float(grid.pixel_hectares().mean())
        return OutlineRule(minimum=self.minimum / pixel, hole=self.hole / pixel)


USUAL_SIZES = FieldSizes()


class FieldOutlines(NamedTuple):
    """Some of the fields of a raster."""

    number: NDArray[np.int64]
    """(fields,), ascending."""
    polygon: NDArray[Any]
    """(fields,), in pixels: x counts columns and y rows, from the upper left corner."""


def outline_fields(segments: Segments, rule: OutlineRule | None = None, side: int = TILE) -> Iterator[FieldOutlines]:
    """Yield the polygons of fields tile by tile, each field once, with the tile in which its box begins.

    A field that touches others is simplified with all of them; so the polygons do not depend on the tiles.

    Args:
        side: of a tile, pixels; memory is that of the fields that begin in one, and of their neighbours.
    """
    rule = rule or OutlineRule()
    kept = segments.pixels >= max(rule.minimum, 1)
    height, width = segments.number.shape
    across = -(-width // side)
    tile_of = segments.box[:, 0] // side * across + segments.box[:, 1] // side
    order = np.argsort(np.where(kept, tile_of, -1), kind="stable")[int((~kept).sum()) :]
    edges = np.searchsorted(tile_of[order], np.arange(len(list(tiles((height, width), side))) + 1))
    for start, end in pairwise(edges.tolist()):
        if end > start:
            yield _outlines_of(segments, kept, np.sort(order[start:end]), rule)


def _outlines_of(
    segments: Segments, kept: NDArray[np.bool_], wanted: NDArray[np.int64], rule: OutlineRule
) -> FieldOutlines:
    """The polygons of some fields."""
    height, width = segments.number.shape
    near = np.unique(segments.number[_around(segments.box[wanted]).grown(1, (height, width)).slices])
    near = near[near >= 0]
    near = near[kept[near]]
    window = _around(segments.box[near])
    number = segments.number[window.slices]
    number = np.where(np.isin(number, near), number, np.int32(NO_FIELD))
    corner = np.array([window.col, window.row])
    outlines = _with_every_corner(_pixel_outlines(number, near))
    outlines = shapely.transform(outlines, lambda points: points + corner)
    outlines = _without_small_holes(outlines, rule.hole)
    if rule.smoothing:
        outlines = shapely.coverage_simplify(outlines, rule.smoothing)
    return FieldOutlines(wanted, outlines[np.searchsorted(near, wanted)])


def _pixel_outlines(number: NDArray[np.int32], fields: NDArray[np.integer]) -> NDArray[Any]:
    """Outlines (fields,) of numbers along the edges of pixels; parts that touch at corners make a multipolygon."""
    parts: dict[int, list[Any]] = {}
    for outline, value in shapes(number, number >= 0, connectivity=4):
        parts.setdefault(int(value), []).append(shape(outline))
    found = [parts[field] for field in fields.tolist()]
    return np.array([one[0] if len(one) == 1 else shapely.MultiPolygon(one) for one in found], object)


def _around(box: NDArray[np.int64]) -> Window:
    """The window around boxes (fields, 4)."""
    (top, left), (bottom, right) = box[:, :2].min(axis=0).tolist(), box[:, 2:].max(axis=0).tolist()
    return Window(top, left, bottom - top, right - left)


def _with_every_corner(outlines: NDArray[Any]) -> NDArray[Any]:
    """Polygons with a vertex at every corner of a pixel, so that neighbours have the same vertices."""
    return np.asarray(shapely.transform(shapely.segmentize(shapely.normalize(outlines), 1.0), np.rint), object)


def _without_small_holes(outlines: NDArray[Any], largest: float) -> NDArray[Any]:
    """Polygons without holes up to a size, unless another polygon is inside."""
    parts, of = shapely.get_parts(outlines, return_index=True)
    tree = shapely.STRtree(shapely.point_on_surface(parts))
    for at in np.flatnonzero(shapely.get_num_interior_rings(parts) > 0):
        holes = [shapely.Polygon(ring) for ring in parts[at].interiors]
        open_ = [hole for hole in holes if hole.area > largest or len(tree.query(hole, predicate="contains"))]
        parts[at] = shapely.Polygon(parts[at].exterior, [hole.exterior for hole in open_])
    result = outlines.copy()
    single = shapely.get_type_id(outlines) == shapely.GeometryType.POLYGON
    result[single] = parts[single[of]]
    result[~single] = shapely.multipolygons(parts[~single[of]], indices=np.cumsum(~single)[of[~single[of]]] - 1)
    return result


def on_ground(polygons: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """Return polygons in pixels of a grid in its CRS."""
    a, b, c, d, e, f, *_ = grid.transform

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(points @ np.array([[a, d], [b, e]]) + np.array([c, f]), np.float64)

    return np.asarray(shapely.transform(polygons, moved), object)
