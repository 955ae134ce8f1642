"""Scenes from a static STAC catalogue on disk. Every filter says how many scenes it removed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from agrifm.errors import SceneError
from agrifm.scene.providers import Product
from agrifm.scene.read import FileAsset, Scene, solar_day
from agrifm.season import Season


@dataclass
class Search:
    """What was found, and how many scenes each filter removed."""

    scenes: list[Scene] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    skipped: list[Scene] = field(default_factory=list)
    """Scenes left out on request."""

    def extend(self, other: "Search") -> None:
        """Take over the scenes and counts of another search."""
        self.scenes += other.scenes
        self.removed += other.removed
        self.skipped += other.skipped

    def keep(self, scene: Scene, season: Season, skip: Sequence[str]) -> None:
        """Take a scene unless it is outside the season or to be skipped; count it in any case."""
        last = scene.last_day or scene.day
        if scene.day > season.end or last < season.start:
            self.removed["outside the season"] += 1
        elif scene.id in skip:
            self.removed["skipped on request"] += 1
            self.skipped.append(scene)
        else:
            self.scenes.append(scene)

    def require_some(self, season: Season, where: str) -> None:
        """Refuse an empty result in one sentence that says what was removed.

        Raises:
            SceneError: no scene is left.
        """
        if not self.scenes:
            counts = ", ".join(f"{count} {reason}" for reason, count in self.removed.items()) or "it is empty"
            raise SceneError(
                f"searching {where} for scenes from {season.start} to {season.end}: none found ({counts}); "
                "check the dates, the area and the products"
            )


def search_catalog(
    catalog: Path, products: Sequence[Product], season: Season, area: BaseGeometry, skip: Sequence[str] = ()
) -> Search:
    """Scenes of these products in a static catalogue, in the season and touching the area.

    Args:
        area: in longitude and latitude.
        skip: ids of scenes to leave out.

    Raises:
        SceneError: the catalogue cannot be read, an item is unusable, or nothing is left.
    """
    try:
        root = pystac.Catalog.from_file(catalog)
        items = list(root.get_items(recursive=True))
    except (OSError, ValueError, KeyError, pystac.STACError) as error:
        raise SceneError(f"reading the STAC catalogue {catalog}: {error}; give the path of a catalog.json") from error
    by_collection = {product.collection: product for product in products}
    result = Search()
    for item in items:
        product = by_collection.get(item.collection_id or "")
        if product is None:
            result.removed["of other collections"] += 1
        elif item.geometry is None or not shape(item.geometry).intersects(area):
            result.removed["outside the area"] += 1
        else:
            result.keep(_scene(item, product, area.centroid.x), season, skip)
    result.require_some(season, str(catalog))
    return result


def _scene(item: pystac.Item, product: Product, longitude: float) -> Scene:
    start, end = _times(item)
    properties = item.properties
    baseline = properties.get("s2:processing_baseline", properties.get("processing:version"))
    wanted = {*product.assets.values(), product.quality_asset, product.day_asset}
    assets = {}
    for key, asset in item.assets.items():
        href = asset.get_absolute_href()
        if key in wanted and href is not None:
            _require_encoding(item, key, asset.extra_fields, product, baseline)
            assets[key] = FileAsset(Path(href))
    return Scene(
        id=item.id,
        product=product,
        day=start.date() if product.is_composite else solar_day(start, longitude),
        last_day=end.date() if end is not None and product.is_composite else None,
        assets=assets,
        source=item.get_self_href() or item.id,
        baseline=baseline,
    )


def _times(item: pystac.Item) -> tuple[datetime, datetime | None]:
    common = item.common_metadata
    start = item.datetime or common.start_datetime
    if start is None:
        raise SceneError(f"reading scene {item.id}: it has neither datetime nor start_datetime; repair the item")
    return start, common.end_datetime


def _require_encoding(
    item: pystac.Item, key: str, fields: dict[str, Any], product: Product, baseline: str | None
) -> None:
    """Refuse an asset whose stated scale or offset contradicts the product's record."""
    if key not in product.assets.values():
        return
    stated = next(iter(fields.get("raster:bands") or fields.get("bands") or [fields]))
    expected = {"scale": product.scale, "offset": product.offset_of(baseline, item.id)}
    for name, value in expected.items():
        found = stated.get(name, stated.get(f"raster:{name}"))
        if found is not None and abs(float(found) - value) > 1e-9:
            raise SceneError(
                f"reading scene {item.id}: asset '{key}' states {name} {found}, the product '{product.name}' has "
                f"{value:g}; use the product that fits these files, or list the scene's id in `skip`"
            )
