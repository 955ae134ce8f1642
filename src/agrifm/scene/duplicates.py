"""One acquisition, several items: reprocessed, listed under two products or at two providers. One of them is kept."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pystac
from shapely.geometry.base import BaseGeometry

from agrifm.errors import SceneError
from agrifm.scene.outline import shared
from agrifm.scene.products import Product
from agrifm.scene.read import Scene

OLDER = "older processing of the same acquisition"
ELSEWHERE = "the same acquisition as another product"
APART = timedelta(minutes=10)
"""Providers state the start of the swath or of the granule; the next pass of a satellite comes after 90 minutes."""
OVERLAP = 0.5
"""Share of the smaller outline that two items of one acquisition have in common: halves of a granule share less."""
MODIS_TILE = re.compile(r"(?<![0-9A-Za-z])h\d{2}v\d{2}(?![0-9A-Za-z])")
MGRS = re.compile(r"(?<![0-9A-Za-z])T?(\d{1,2})([C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?![0-9A-Za-z])")


@dataclass(frozen=True, eq=False)
class Found:
    """An item, the scene that it describes, and where it is on the globe."""

    item: pystac.Item
    scene: Scene
    outline: BaseGeometry


def without_duplicates(found: Sequence[Found], products: Sequence[Product]) -> tuple[list[Found], Counter[str]]:
    """One item per acquisition, in the order given, and how many were taken out, by reason.

    Two items are one acquisition if both state the same place (MGRS tile, WRS-2 path and row, MODIS tile), their sensor
    is one and their satellite, where both state it, they start within `APART` of each other, and their outlines have
    `OVERLAP` in common. The product that is named first is kept; of one product the newest processing baseline, then
    what was made last, then the last id.
    """
    rank = {product.name: number for number, product in enumerate(products)}
    best_first = sorted(found, key=lambda one: _age(one), reverse=True)
    best_first.sort(key=lambda one: rank[one.scene.product.name])
    kept: dict[tuple[str, int], list[Found]] = defaultdict(list)
    removed: Counter[str] = Counter()
    chosen = set()
    for one in best_first:
        sensor, day = one.scene.product.sensor, one.scene.day.toordinal()
        near = [other for step in (-1, 0, 1) for other in kept[sensor, day + step]]
        same = next((other for other in near if _is_one_acquisition(one, other)), None)
        if same is None:
            kept[sensor, day].append(one)
            chosen.add(id(one))
        else:
            removed[OLDER if same.scene.product == one.scene.product else ELSEWHERE] += 1
    return [one for one in found if id(one) in chosen], removed


def _age(one: Found) -> tuple[tuple[int, ...], str, str]:
    properties = one.item.properties
    made = [properties.get(key) for key in ("s2:generation_time", "processing:datetime", "created", "updated")]
    baseline = tuple(int(part) for part in re.findall(r"\d+", one.scene.baseline or ""))
    return baseline, next((str(text) for text in made if text), ""), one.item.id


def _is_one_acquisition(one: Found, other: Found) -> bool:
    place, satellites = _place(one.item), {_satellite(one.item), _satellite(other.item)} - {None}
    if place is None or place != _place(other.item) or len(satellites) > 1:
        return False
    times = _start(one.item), _start(other.item)
    if None in times or abs(times[0] - times[1]) > APART:  # type: ignore[operator]
        return False
    return shared(one.outline, other.outline) >= OVERLAP


def _start(item: pystac.Item) -> datetime | None:
    common = item.common_metadata
    return item.datetime or common.start_datetime


def _satellite(item: pystac.Item) -> str | None:
    stated = item.properties.get("platform")
    return re.sub(r"[^a-z0-9]", "", str(stated).lower()) if stated else None


def _place(item: pystac.Item) -> str | None:
    """Name of the tile or of the path and row, written in one way."""
    properties: dict[str, Any] = item.properties
    if "landsat:wrs_path" in properties and "landsat:wrs_row" in properties:
        return f"WRS2-{int(properties['landsat:wrs_path']):03d}{int(properties['landsat:wrs_row']):03d}"
    for text in (properties.get("grid:code"), properties.get("s2:mgrs_tile"), item.id.replace("_", " ")):
        match = MGRS.search(str(text or ""))
        if match:
            return f"MGRS-{int(match[1]):02d}{match[2]}"
    tile = MODIS_TILE.search(item.id)
    return tile[0] if tile else None


def require_one_product(scenes: Sequence[Scene], about: str) -> None:
    """Refuse scenes of two products of one sensor, since a cube holds one encoding per sensor.

    Args:
        about: what is being done, with which the sentence begins.

    Raises:
        SceneError: naming both products, and how many scenes each has.
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
                f"({', '.join(ids[:3])}{', ...' if few > 3 else ''}) of '{least}', but a cube takes one product per "
                f"sensor; leave '{least}' out, or list the ids of its scenes in `skip`"
            )
