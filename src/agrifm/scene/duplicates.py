"""Footprints of items on the globe, and duplicates: several items of one acquisition, of which one is kept."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pystac
from shapely import MultiPolygon, Polygon, box, union_all
from shapely.affinity import translate
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from agrifm.errors import SceneError
from agrifm.scene.encoding import read_baseline
from agrifm.scene.products import Product
from agrifm.scene.scene import Scene

OLDER = "older processing of the same acquisition"
ELSEWHERE = "the same acquisition as another product"
MAX_TIME_APART = timedelta(minutes=10)
"""Largest difference of start times. Providers state the start of the swath or of the granule; the next pass of a
satellite comes after 90 minutes."""
MIN_OVERLAP = 0.5
"""Least share of the smaller footprint that two items of one acquisition have in common; halves of a granule share
less."""
MODIS_TILE = re.compile(r"(?<![0-9A-Za-z])h\d{2}v\d{2}(?![0-9A-Za-z])")
MGRS = re.compile(r"(?<![0-9A-Za-z])T?(\d{1,2})([C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?![0-9A-Za-z])")


@dataclass(frozen=True, eq=False)
class Candidate:
    """An item, the scene that it describes, and its footprint."""

    item: pystac.Item
    scene: Scene
    footprint: BaseGeometry


def without_duplicates(
    candidates: Sequence[Candidate], products: Sequence[Product]
) -> tuple[list[Candidate], Counter[str]]:
    """Keep one item per acquisition, in the order given; also count the removed items by reason.

    Two items are one acquisition if both state the same tile (MGRS, WRS-2 path and row, MODIS), their sensor is the
    same and also their satellite if both state it, they start within `MAX_TIME_APART` of each other, and their
    footprints have `MIN_OVERLAP` in common. The product that is named first is kept; within a product the newest
    processing baseline, then the item made last, then the last id.
    """
    rank = {product.name: position for position, product in enumerate(products)}
    best_first = sorted(candidates, key=_age, reverse=True)
    best_first.sort(key=lambda candidate: rank[candidate.scene.product.name])
    kept: dict[tuple[str, int], list[Candidate]] = defaultdict(list)
    removed: Counter[str] = Counter()
    chosen = set()
    for candidate in best_first:
        sensor, day = candidate.scene.product.sensor, candidate.scene.day.toordinal()
        # minutes apart around midnight are two solar days
        near = [other for step in (-1, 0, 1) for other in kept[sensor, day + step]]
        same = next((other for other in near if _is_one_acquisition(candidate, other)), None)
        if same is None:
            kept[sensor, day].append(candidate)
            chosen.add(id(candidate))
        else:
            removed[OLDER if same.scene.product == candidate.scene.product else ELSEWHERE] += 1
    return [candidate for candidate in candidates if id(candidate) in chosen], removed


def _age(candidate: Candidate) -> tuple[tuple[int, ...], str, str]:
    properties = candidate.item.properties
    made = [properties.get(key) for key in ("s2:generation_time", "processing:datetime", "created", "updated")]
    baseline = candidate.scene.baseline
    parts = tuple(int(part) for part in re.findall(r"[0-9]+", " ".join(read_baseline(baseline)) or baseline or ""))
    return parts, next((str(text) for text in made if text), ""), candidate.item.id


def _is_one_acquisition(first: Candidate, other: Candidate) -> bool:
    tile, satellites = _tile(first.item), {_satellite(first.item), _satellite(other.item)} - {None}
    if tile is None or tile != _tile(other.item) or len(satellites) > 1:
        return False
    started, other_started = _start(first.item), _start(other.item)
    if started is None or other_started is None or abs(started - other_started) > MAX_TIME_APART:
        return False
    return overlap(first.footprint, other.footprint) >= MIN_OVERLAP


def _start(item: pystac.Item) -> datetime | None:
    start = item.datetime or item.common_metadata.start_datetime
    # without a time zone it is UTC
    return start.replace(tzinfo=UTC) if start is not None and start.tzinfo is None else start


def _satellite(item: pystac.Item) -> str | None:
    stated = item.properties.get("platform")
    return re.sub(r"[^a-z0-9]", "", str(stated).lower()) if stated else None


def _tile(item: pystac.Item) -> str | None:
    """Name of the tile or of the path and row, in one notation for all providers."""
    properties: dict[str, Any] = item.properties
    stated = [str(properties.get(f"landsat:wrs_{part}")).strip() for part in ("path", "row")]
    numbers = [match for text in stated if (match := re.fullmatch(r"0*([0-9]{1,3})(?:\.0)?", text))]
    if len(numbers) == 2:
        return f"WRS2-{int(numbers[0][1]):03d}{int(numbers[1][1]):03d}"
    for text in (properties.get("grid:code"), properties.get("s2:mgrs_tile"), item.id.replace("_", " ")):
        match = MGRS.search(str(text or ""))
        if match:
            return f"MGRS-{int(match[1]):02d}{match[2]}"
    modis = MODIS_TILE.search(item.id)
    return modis[0] if modis else None


def require_one_product(scenes: Sequence[Scene], about: str) -> None:
    """Refuse scenes of two products of one sensor, since a cube holds one encoding per sensor.

    Args:
        about: what is being done, as the beginning of the message.

    Raises:
        SceneError: with both products and their numbers of scenes.
    """
    counts: dict[str, Counter[str]] = {}
    for scene in scenes:
        counts.setdefault(scene.product.sensor, Counter())[scene.product.name] += 1
    for sensor, products in counts.items():
        if len(products) > 1:
            (most, many), *_, (least, few) = products.most_common()
            ids = [scene.id for scene in scenes if scene.product.name == least]
            raise SceneError(
                f"{about}: {many} scenes of the sensor '{sensor}' are of the product '{most}', and {few} more "
                f"({', '.join(ids[:3])}{', ...' if few > 3 else ''}) of '{least}', but a cube holds one product per "
                f"sensor; leave '{least}' out, or list the ids of its scenes in `skip`",
                sensor=sensor,
                products=dict(products),
            )


def footprint_of(geometry: dict[str, Any], scene_id: str) -> BaseGeometry:
    """Return a GeoJSON geometry as one shape without a jump at longitude 180: longitudes may exceed 180 or -180.

    Providers write a scene across longitude 180 in three ways: cut in two, with longitudes beyond 180, or with edges
    that jump from 180 to -180 and would reach around the globe; all three give the same shape.

    Raises:
        SceneError: the geometry is not GeoJSON.
    """
    try:
        geojson = shape(geometry)
        if geojson.is_empty:
            raise ValueError("it is empty")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ShapelyError) as error:
        raise SceneError(f"reading scene {scene_id}: its geometry is not GeoJSON ({error}); repair the item") from error
    if not isinstance(geojson, Polygon | MultiPolygon):
        return geojson
    parts = [geojson] if isinstance(geojson, Polygon) else list(geojson.geoms)
    return union_all([_without_jump(part).buffer(0) for part in parts])


def covers_some_of(footprint: BaseGeometry, area: BaseGeometry) -> bool:
    """Return True if a footprint and an area intersect, also across the antimeridian."""
    return any(footprint.intersects(translate(area, shift)) for shift in (-360, 0, 360))


def overlap(first: BaseGeometry, other: BaseGeometry) -> float:
    """Return the area that two footprints have in common, as a share of the smaller one, 0 to 1."""
    smaller = min(first.area, other.area)
    if smaller == 0:
        return 0.0
    return float(max(first.intersection(translate(other, shift)).area for shift in (-360, 0, 360)) / smaller)


def _without_jump(part: Polygon) -> Polygon:
    ring = np.array(part.exterior.coords)[:, :2]
    steps = np.diff(ring[:, 0])
    if np.abs(steps).max(initial=0) <= 180:
        return part
    # how often the ring has gone around the globe so far, in degrees
    turns = np.concatenate([[0], np.cumsum(-360 * np.round(steps / 360))])
    if turns[-1] != 0:  # around a pole: all longitudes, from the lowest latitude up (or from the highest down)
        latitudes = ring[:, 1]
        return box(-180, latitudes.min(), 180, 90) if latitudes.mean() > 0 else box(-180, -90, 180, latitudes.max())
    return Polygon(np.column_stack([ring[:, 0] + turns, ring[:, 1]]))
