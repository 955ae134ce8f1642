"""The area of a season: a box or the polygons of a vector file, repaired if necessary, with a margin in metres."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import shapely
from shapely import box, make_valid, union_all
from shapely.geometry.base import BaseGeometry

from agrifm.errors import ConfigError
from agrifm.grid import LONLAT, geodesic_hectares, reproject
from agrifm.scene.wide_area import folded, unfolded, with_margin
from agrifm.vectors import NOTHING_STATED, VectorKeys, read_vector

Box = tuple[float, float, float, float]
SPLIT_ADVICE = (
    "a cube is in one UTM zone, and zones 60 and 1 adjoin there, so divide the area into tiles, each with a cube "
    "(`tiles = 100` under [season]), or make it two projects, one to longitude 180 and one from -180 on"
)
"""What to do with an area across the antimeridian."""


@dataclass(frozen=True)
class Area:
    """Where the season is."""

    shape: BaseGeometry
    """Polygons in longitude and latitude, valid, within -180 to 180."""
    notes: tuple[str, ...] = ()
    """What was repaired or left out, one sentence each."""


def read_area(
    area: Path | Box,
    directory: Path = Path(),
    buffer: float = 0.0,
    keys: VectorKeys = NOTHING_STATED,
    divided: bool = False,
) -> Area:
    """Read the area in longitude and latitude: the union of a vector file's polygons, or a box (W, S, E, N).

    A polygon that crosses itself is mended; points and lines are left out; notes say so.

    Args:
        directory: base of a relative path.
        buffer: margin in metres that is added on all sides.
        keys: what the user states of the file.
        divided: whether the area may be in several UTM zones and across longitude 180, because it becomes tiles.

    Raises:
        ConfigError: the file is absent, has no CRS, or the area is empty or not on the globe, or crosses longitude 180
            and is not divided.
        CubeError: a divided area extends beyond UTM.
    """
    result = _from_file(directory / area, keys, divided) if isinstance(area, Path) else Area(_from_box(area, divided))
    about = f"reading the area {directory / area}" if isinstance(area, Path) else "reading the area"
    if divided:
        _require_latitudes(result.shape, about)
        whole = folded(result.shape)
        return Area(with_margin(whole, buffer) if buffer else whole, result.notes)
    _require_one_side(result.shape, about)
    if buffer:
        result = Area(_grown(result.shape, buffer), result.notes)
        _require_one_side(result.shape, f"{about}, with a margin of {buffer:g} m")
    return result


def _from_box(edges: Box, divided: bool = False) -> BaseGeometry:
    west, south, east, north = edges
    stated = f"reading the area: west {west}, south {south}, east {east}, north {north}"
    if not all(map(isfinite, edges)) or max(abs(west), abs(east)) > 360 or max(abs(south), abs(north)) > 90:
        raise ConfigError(f"{stated} is not on the globe; give degrees of longitude and latitude, not metres")
    if west - east > 180 and south < north:  # as GeoJSON writes a box across longitude 180 (RFC 7946, section 5.2)
        if divided:
            return box(west, south, east + 360, north)
        raise ConfigError(f"{stated} crosses longitude 180; {SPLIT_ADVICE}")
    if not (west < east and south < north):
        raise ConfigError(f"{stated} is empty; west must be less than east and south less than north")
    return box(*edges)


def _from_file(path: Path, keys: VectorKeys, divided: bool = False) -> Area:
    layer = read_vector(path, f"reading the area {path}", ConfigError, ["polygon"], keys)
    polygons = layer.frame.geometry.dropna().to_crs(LONLAT)
    shapes = [unfolded(shape) for shape in polygons] if divided else polygons.to_numpy()
    union: BaseGeometry = union_all(make_valid(shapes))  # a projection may fold what was valid
    union = union_all([part for part in shapely.get_parts(union) if part.geom_type in ("Polygon", "MultiPolygon")])
    if union.is_empty or not isfinite(union.area) or union.area == 0:
        raise ConfigError(f"reading the area {path}: it is empty; it needs at least one polygon", path=path)
    notes = [f"area: {note}" for note in layer.notes]
    if len(polygons) < len(layer.frame):
        notes.append(f"area: {len(layer.frame) - len(polygons)} of {len(layer.frame)} shapes have no place")
    if layer.mended:
        notes.append(f"area: it has {geodesic_hectares(union):.1f} ha after mending")
    return Area(union, tuple(notes))


def _require_one_side(shape: BaseGeometry, about: str) -> None:
    west, _, east, _ = shape.bounds
    if east - west > 180 or west < -180 or east > 180:
        raise ConfigError(f"{about}: from longitude {west:.3f} to {east:.3f} it crosses longitude 180; {SPLIT_ADVICE}")
    _require_latitudes(shape, about)


def _require_latitudes(shape: BaseGeometry, about: str) -> None:
    _, south, _, north = shape.bounds
    if south < -90 or north > 90:
        raise ConfigError(f"{about}: latitudes {south:.3f} to {north:.3f} are not on the globe; check its CRS")


def _grown(shape: BaseGeometry, metres: float) -> BaseGeometry:
    """Buffer a shape by a distance, in an azimuthal equidistant projection around its centroid."""
    middle = shape.centroid
    plane = f"+proj=aeqd +lon_0={middle.x} +lat_0={middle.y} +datum=WGS84 +units=m"
    return reproject(reproject(shape, LONLAT, plane).buffer(metres), plane, LONLAT)
