"""The tiles of an area: squares of UTM zones that cover each pixel once. Arithmetic, and the file that lists them.

Squares count from easting and northing 0 of their zone, and their sides are multiples of 480 m, so that the cubes of a
zone are parts of one grid, and the same area always has the same tiles. A pixel belongs to the zone that contains its
centre, and to the square of that zone.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry

from agrifm.area_tile import AreaTile, Edges
from agrifm.errors import ConfigError, doing
from agrifm.files import write_text
from agrifm.grid import (
    LONLAT,
    MAX_UTM,
    MIN_UTM,
    NEST,
    Grid,
    degrees_from_meridian,
    divide_by_zone,
    geodesic_measures,
    reproject,
    zone_meridian,
)

PIXEL = 10
"""Metres of the smallest pixel of a cube; squares without the centre of one are not tiles."""
OUTLINE_STEP = 0.002
"""Degrees between the points of an area's outline in a UTM zone: straight lines become curves, and this one is true to
0.1 mm along a zone's border."""
SQUARE_STEP = 2400.0
"""Metres between the points of a square's outline in degrees: true to 0.3 m where centres of pixels are 5 m away."""
FULL = 0.5
"""Square metres that may be missing in a square that is wholly inside the area."""
MAX_GAP = 100.0
"""Square metres of the area that a list of tiles may leave out: one pixel."""
LISTED = "tiles.geojson"
"""Name of the file that lists the tiles."""


@dataclass(frozen=True)
class _Square:
    crs: str
    core: Edges
    part: BaseGeometry
    """The area in the square, in metres of the zone."""


def tiles_of_area(area: BaseGeometry, kilometres: float, halo: float) -> tuple[AreaTile, ...]:
    """Return the tiles of an area in longitude and latitude, by zone from west to east, then from south to north.

    Args:
        area: within -180 to 180, of any number of parts.
        kilometres: longest side of a square; it becomes a multiple of 480 m.
        halo: metres around the area in a square that its cube has too; they become a multiple of 480 m.

    Raises:
        CubeError: the area is empty or extends beyond UTM.
    """
    side = floor(kilometres * 1000 / NEST) * NEST
    squares = [
        _Square(crs, core, part)
        for crs, shape in _by_zone(area).items()
        for core, part in _divided(shape, side)
        if _has_pixel(part)
    ]
    return _finished(squares, halo)


def tiles_of_list(path: Path, area: BaseGeometry, halo: float) -> tuple[AreaTile, ...]:
    """Return the tiles of an area from a file as `write_tile_list` makes it, of which `crs` and `core` are read.

    Raises:
        ConfigError: the file cannot be read, squares overlap or are not multiples of 480 m, or leave out some of the
            area.
        CubeError: the area is empty or extends beyond UTM.
    """
    about = f"reading the tiles {path}"
    with doing(about, ConfigError, "give a file such as tiles/tiles.geojson, which `agrifm fetch` writes", path=path):
        features = [feature["properties"] for feature in json.loads(path.read_text(encoding="utf-8"))["features"]]
        cores = [(str(one["crs"]), tuple(int(edge) for edge in one["core"])) for one in features]
        listed = {crs: [(w, s, e, n) for code, (w, s, e, n) in cores if code == crs] for crs, _ in cores}
    squares = []
    for crs, shape in _by_zone(area).items():
        of_zone = listed.pop(crs, [])
        _require_apart(of_zone, about, crs)
        boxes = shapely.box(*np.array(of_zone, float).reshape(-1, 4).T)
        parts = [_polygons(part) for part in shapely.intersection(boxes, shape)]
        missing = shape.area - float(shapely.area(parts).sum())
        if missing > MAX_GAP:
            gap = shapely.get_parts(shape.difference(shapely.union_all(boxes)))
            place = _in_degrees(np.array([max(gap, key=lambda part: float(part.area)).representative_point()]), crs)[0]
            raise ConfigError(
                f"{about}: its squares leave out {missing / 1e4:.2f} ha of the area in {crs}, around longitude "
                f"{place.x:.4f} and latitude {place.y:.4f}; add squares, or give `tiles` as a number",
                crs=crs,
                hectares=missing / 1e4,
                place=(place.x, place.y),
            )
        squares += [_Square(crs, core, part) for core, part in zip(of_zone, parts, strict=True) if _has_pixel(part)]
    if listed:
        raise ConfigError(
            f"{about}: it has squares of {', '.join(sorted(listed))}, where the area has no part; remove them",
            crs=sorted(listed),
        )
    return _finished(squares, halo)


def write_tile_list(path: Path, tiles: Sequence[AreaTile]) -> None:
    """Write a list of tiles as GeoJSON: the area in each of them, with its hectares, square and extent in metres."""
    areas = np.array([tile.area for tile in tiles])
    hectares = geodesic_measures(areas)[0] / 1e4
    features = [
        f'{{"type": "Feature", "properties": {json.dumps(_stated(tile, square))}, "geometry": {geometry}}}'
        for tile, square, geometry in zip(tiles, hectares, shapely.to_geojson(areas), strict=True)
    ]
    write_text(path, '{"type": "FeatureCollection", "features": [\n' + ",\n".join(features) + "\n]}\n")


def _stated(tile: AreaTile, hectares: float) -> dict[str, Any]:
    """Properties of a tile in the list."""
    return {**{key: getattr(tile, key) for key in ("name", "crs", "core", "extent")}, "hectares": round(hectares, 4)}


def read_tile_list(path: Path) -> tuple[AreaTile, ...]:
    """Return the tiles that `agrifm fetch` listed.

    Raises:
        ConfigError: there is no such file, or it is damaged.
    """
    with doing(f"reading the tiles {path}", ConfigError, "run `agrifm fetch`, which writes them", path=path):
        text = path.read_text(encoding="utf-8")
        stated = [feature["properties"] for feature in json.loads(text)["features"]]
        areas = shapely.to_wkb(shapely.get_parts(shapely.from_geojson(text)))
        return tuple(_listed_tile(one, area) for one, area in zip(stated, areas, strict=True))


def _listed_tile(stated: dict[str, Any], area: bytes) -> AreaTile:
    west, south, east, north = (int(edge) for edge in stated["core"])
    left, bottom, right, top = (int(edge) for edge in stated["extent"])
    core, extent = (west, south, east, north), (left, bottom, right, top)
    return AreaTile(_name(stated["crs"], core), stated["crs"], core, extent, area)


def tile_grid(tile: AreaTile, resolution: float = PIXEL) -> Grid:
    """The grid of a tile's cube; those of a zone are parts of one grid."""
    left, bottom, right, top = tile.extent
    shape = round((top - bottom) / resolution), round((right - left) / resolution)
    return Grid.of(tile.crs, Affine(resolution, 0, left, 0, -resolution, top), shape)


def tile_reach(tile: AreaTile) -> BaseGeometry:
    """Where scenes of a tile are: the outline of its cube in longitude and latitude, on its side of longitude 180."""
    outline = shapely.box(*tile.extent).segmentize(SQUARE_STEP)
    reach: BaseGeometry = _in_degrees(np.array([outline]), tile.crs, beyond=1.0)[0]
    return reach


def _by_zone(area: BaseGeometry) -> dict[str, BaseGeometry]:
    """The parts of an area in metres of their zones."""
    moved = {}
    for crs, part in divide_by_zone(area, MAX_UTM - MIN_UTM).items():
        shape = reproject(part.segmentize(OUTLINE_STEP), LONLAT, crs)
        moved[crs] = shape if shape.is_valid else shapely.make_valid(shape)
    return moved


def _divided(shape: BaseGeometry, side: int) -> Iterable[tuple[Edges, BaseGeometry]]:
    """The squares that a shape is in, each with its part of it, from south to north; by halves, so that large shapes
    are cut a few times only."""
    left, bottom, right, top = shape.bounds
    whole = floor(left / side), floor(bottom / side), ceil(right / side), ceil(top / side)
    waiting, found = [(shape, whole)], dict[Edges, BaseGeometry]()
    while waiting:
        part, (west, south, east, north) = waiting.pop()
        part = _polygons(part)
        if part.area == 0:
            continue
        is_full = (east - west) * (north - south) * side**2 - part.area < FULL
        if is_full or (east - west, north - south) == (1, 1):
            for row in range(south, north):
                for col in range(west, east):
                    core = col * side, row * side, (col + 1) * side, (row + 1) * side
                    found[core] = shapely.box(*core) if is_full else part
            continue
        if east - west >= north - south:
            middle = (west + east) // 2
            halves = [(west, south, middle, north), (middle, south, east, north)]
        else:
            middle = (south + north) // 2
            halves = [(west, south, east, middle), (west, middle, east, north)]
        waiting += [(part.intersection(_square(half, side)), half) for half in halves]
    return sorted(found.items(), key=lambda one: (one[0][1], one[0][0]))


def _square(cells: Edges, side: int) -> BaseGeometry:
    west, south, east, north = cells
    return shapely.box(west * side, south * side, east * side, north * side)


def _polygons(shape: BaseGeometry) -> BaseGeometry:
    """A shape without the lines and points in which it only touches a square."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    return shapely.union_all([part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"])


def _has_pixel(part: BaseGeometry) -> bool:
    """Whether a shape in metres contains the centre of a pixel."""
    if part.area == 0:
        return False
    if part.area > 2 * PIXEL * part.length:  # wide enough
        return True
    left, bottom, right, top = _snapped(part.bounds, PIXEL)
    shape = round((top - bottom) / PIXEL), round((right - left) / PIXEL)
    transform = Affine(PIXEL, 0, left, 0, -PIXEL, top)
    return bool(geometry_mask([part], shape, transform, invert=True).any())


def _snapped(bounds: Sequence[float], step: int, margin: int = 0) -> Edges:
    left, bottom, right, top = bounds
    return (
        floor(left / step) * step - margin,
        floor(bottom / step) * step - margin,
        ceil(right / step) * step + margin,
        ceil(top / step) * step + margin,
    )


def _finished(squares: Sequence[_Square], halo: float) -> tuple[AreaTile, ...]:
    margin, tiles = ceil(halo / NEST) * NEST, list[AreaTile]()
    for crs in dict.fromkeys(square.crs for square in squares):
        of_zone = [square for square in squares if square.crs == crs]
        areas = _in_degrees(shapely.segmentize([square.part for square in of_zone], SQUARE_STEP), crs)
        for square, area in zip(of_zone, areas, strict=True):
            extent = _snapped(square.part.bounds, NEST, margin)
            tiles.append(AreaTile(_name(crs, square.core), crs, square.core, extent, shapely.to_wkb(area)))
    return tuple(tiles)


def _name(crs: str, core: Edges) -> str:
    return f"{crs.removeprefix('EPSG:')}/e{core[0] // 1000:03d}n{core[1] // 1000:04d}"


def _in_degrees(shapes: NDArray[Any], crs: str, beyond: float = 0.0) -> NDArray[Any]:
    """Shapes of a zone in longitude and latitude; they end at longitude 180, and so many degrees beyond the zone."""
    turn, middle = Transformer.from_crs(crs, LONLAT, always_xy=True), zone_meridian(crs)

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = turn.transform(*points.T)
        offset = np.clip(degrees_from_meridian(x, crs), -3 - beyond, 3 + beyond)
        return np.stack([np.clip(middle + offset, -180, 180), y], axis=-1)

    result: NDArray[Any] = shapely.transform(shapes, moved)
    return result


def _require_apart(squares: Sequence[Edges], about: str, crs: str) -> None:
    for square in squares:
        if any(edge % NEST for edge in square) or not (square[0] < square[2] and square[1] < square[3]):
            raise ConfigError(
                f"{about}: the square {square} of {crs} is not west, south, east, north in multiples of {NEST} m",
                square=square,
            )
    boxes = shapely.box(*np.array(squares, float).reshape(-1, 4).T)
    one, other = shapely.STRtree(boxes).query(boxes, predicate="overlaps")
    outer, inner = shapely.STRtree(boxes).query(boxes, predicate="covers")
    pairs = [*zip(one, other, strict=True), *((a, b) for a, b in zip(outer, inner, strict=True) if a != b)]
    if pairs:
        first, second = (squares[number] for number in pairs[0])
        raise ConfigError(
            f"{about}: the squares {first} and {second} of {crs} overlap; a pixel belongs to one tile",
            squares=(first, second),
        )
