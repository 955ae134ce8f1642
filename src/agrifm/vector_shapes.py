"""Shapes of a vector file: collections are taken apart, outlines mended, and what is left out is counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.errors import VectorError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

KIND = {"Polygon": "polygon", "MultiPolygon": "polygon", "Point": "point", "MultiPoint": "point"}
"""Kind of shape by geometry type; lines have none."""
OVERLAP = 1e-6
"""Share of the smaller of two polygons that both may cover before they count as overlapping."""
Shapes = NDArray[np.object_]
"""(rows,), shapes; None where a row has no place."""


@dataclass(frozen=True)
class VectorLayer:
    """What was read from a vector file."""

    frame: "GeoDataFrame"
    """Valid shapes of two dimensions in the file's CRS; None where a row has no place."""
    notes: tuple[str, ...] = ()
    """What was mended or left out, one sentence each."""
    mended: int = 0
    """Number of polygons that crossed themselves."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of rows left out because their shape is of another kind, by geometry type."""
    mended_rows: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool), compare=False)
    """(rows,), which rows of `frame` are polygons that crossed themselves."""


def sort_out(frame: "GeoDataFrame", wanted: Sequence[str], whole: bool = True) -> VectorLayer:
    """Keep the shapes of the wanted kinds, valid and in two dimensions.

    Of a collection the polygons count, or the points if it has no polygon. Polygons that cross themselves are mended:
    what any of their outlines encloses is inside, except holes. Shapes without coordinates, without area or with
    coordinates that are not finite become None.

    Args:
        wanted: "polygon", "point" or both.
        whole: whether these are all rows of the file; of a part of them none may be left.

    Raises:
        VectorError: no shape is left, or a polygon crosses longitude 180.
    """
    shapes = _with_places(frame.geometry.to_numpy())
    notes: list[str] = []
    shapes = _taken_apart(shapes, wanted, notes)
    kinds = np.array([KIND.get(shape.geom_type) if shape is not None else "none" for shape in shapes], object)
    shapes, mended = _mended(shapes, kinds, notes)
    other = np.array([kind != "none" and kind not in wanted for kind in kinds], bool)
    left_out = Counter(shape.geom_type for shape in shapes[other])
    named = " or ".join(f"{kind}s" for kind in wanted)
    if other.any():
        types = ", ".join(f"{count} {name}" for name, count in left_out.most_common())
        notes.append(f"{other.sum()} of {len(shapes)} shapes are not {named} ({types}) and were left out")
    if whole and shapely.is_missing(shapes[~other]).all():
        raise _nothing_left(len(shapes), left_out, named)
    if frame.crs.is_geographic:
        _require_no_jump(shapes[~other])
    frame = frame.set_geometry(type(frame.geometry)(shapes, index=frame.index, crs=frame.crs))[~other]
    return VectorLayer(frame.reset_index(drop=True), tuple(notes), int(mended.sum()), left_out, mended[~other])


def overlapping(frame: "GeoDataFrame") -> NDArray[np.bool_]:
    """Return which polygons overlap others, (rows,); polygons that only touch do not."""
    shapes = frame.geometry.to_numpy()
    one, other = frame.sindex.query(shapes, predicate="intersects")
    one, other = one[one < other], other[one < other]
    common = shapely.area(shapely.intersection(shapes[one], shapes[other]))
    least = np.minimum(shapely.area(shapes[one]), shapely.area(shapes[other]))
    overlap = common > OVERLAP * least
    result = np.zeros(len(shapes), bool)
    result[np.concatenate([one[overlap], other[overlap]])] = True
    return result


def _with_places(shapes: Any) -> Shapes:
    """The shapes in two dimensions; None for those that are empty or have coordinates that are not finite."""
    flat = np.array(shapely.force_2d(np.asarray(shapes, object)), object)
    coordinates, of = shapely.get_coordinates(flat, return_index=True)
    flat[np.unique(of[~np.isfinite(coordinates).all(axis=1)])] = None
    flat[shapely.is_empty(flat)] = None
    return flat


def _taken_apart(shapes: Shapes, wanted: Sequence[str], notes: list[str]) -> Shapes:
    """The shapes, with collections replaced by their polygons, or else by their points."""
    result, taken, rest = shapes.copy(), 0, 0
    for row in np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION):
        parts = _parts(shapes[row])
        of_kind = {kind: [part for part in parts if KIND.get(part.geom_type) == kind] for kind in wanted}
        kind = next((kind for kind in wanted if of_kind[kind]), None)
        if kind is not None:
            result[row] = _joined(of_kind[kind])
            taken += 1
            rest += len(parts) - len(of_kind[kind])
    if taken:
        beyond = f"; {rest} other parts of them were left out" if rest else ""
        notes.append(f"{taken} of {len(shapes)} shapes are collections, which were taken apart{beyond}")
    for row in np.flatnonzero(shapely.get_type_id(result) == shapely.GeometryType.MULTIPOINT):
        if shapely.get_num_geometries(result[row]) == 1:
            result[row] = shapely.get_geometry(result[row], 0)
    return result


def _parts(shape: Any) -> list[Any]:
    """The simple shapes that a shape consists of, at any depth, without empty ones."""
    if not hasattr(shape, "geoms"):
        return [] if shape.is_empty else [shape]
    return [simple for part in shape.geoms for simple in _parts(part)]


def _joined(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return (shapely.multipolygons if parts[0].geom_type == "Polygon" else shapely.multipoints)(parts)


def _mended(shapes: Shapes, kinds: NDArray[np.object_], notes: list[str]) -> tuple[Shapes, NDArray[np.bool_]]:
    """The shapes, with valid polygons, None for polygons without area; and which were mended."""
    broken = np.flatnonzero((kinds == "polygon") & ~shapely.is_valid(shapes))
    flat = 0
    for row, mended in zip(broken, shapely.make_valid(shapes[broken], method="structure"), strict=True):
        polygons = [part for part in _parts(mended) if part.geom_type == "Polygon"]
        shapes[row] = _joined(polygons) if polygons else None
        kinds[row] = "polygon" if polygons else "none"
        flat += not polygons
    total = int((kinds == "polygon").sum()) + flat
    if flat:
        notes.append(f"{flat} of {total} polygons have no area and were left out")
    if len(broken) > flat:
        notes.append(
            f"{len(broken) - flat} of {total} polygons have outlines that cross or touch and were mended; check them"
        )
    mended_rows = np.zeros(len(shapes), bool)
    mended_rows[broken] = kinds[broken] == "polygon"
    return shapes, mended_rows


def _nothing_left(rows: int, left_out: Counter[str], named: str) -> VectorError:
    if not left_out:
        return VectorError(f"none of its {rows} rows has a shape; it needs {named}", rows=rows)
    found = left_out.most_common(1)[0][0]
    how = "; make polygons of the outlines (in QGIS: Lines to polygons)" if "Line" in found else ""
    return VectorError(f"it contains {found}s, but {named} are needed{how}", geometry=found)


def _require_no_jump(shapes: Shapes) -> None:
    """Refuse polygons whose edges would jump from one side of the map to the other."""
    edges = shapely.bounds(shapes)
    wide = shapes[edges[:, 2] - edges[:, 0] > 180]
    parts = shapely.bounds([part for shape in wide for part in _parts(shape) if part.geom_type == "Polygon"])
    jumps = int((parts[:, 2] - parts[:, 0] > 180).sum()) if len(parts) else 0
    if jumps:
        raise VectorError(
            f"{jumps} of its polygons cross longitude 180, so their edges would go round the globe; cut them there "
            "into parts on either side",
            polygons=jumps,
        )
