"""Scenes from a static STAC catalogue on disk. Every filter says how many scenes it removed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pystac
from shapely.errors import ShapelyError
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
    except (OSError, ValueError, KeyError, AttributeError, pystac.STACError, pystac.STACTypeError) as error:
        raise SceneError(f"reading the STAC catalogue {catalog}: {error}; give the path of a catalog.json") from error
    by_collection = {product.collection: product for product in products}
    result = Search()
    for item in items:
        product = by_collection.get(item.collection_id or "")
        if product is None:
            result.removed["of other collections"] += 1
        elif item.geometry is None:
            result.removed["without a geometry"] += 1
        elif not _outline(item).intersects(area):
            result.removed["outside the area"] += 1
        else:
            result.keep(_scene(item, product, area.centroid.x), season, skip)
    result.require_some(season, str(catalog))
    return result


def _outline(item: pystac.Item) -> BaseGeometry:
    try:
        return shape(item.geometry or {})
    except (ValueError, TypeError, KeyError, AttributeError, ShapelyError) as error:
        raise SceneError(f"reading scene {item.id}: its geometry is not GeoJSON ({error}); repair the item") from error


def _scene(item: pystac.Item, product: Product, longitude: float) -> Scene:
    day, last_day = _days(item, product, longitude)
    properties = item.properties
    stated = properties.get("s2:processing_baseline", properties.get("processing:version"))
    baseline = None if stated is None else str(stated)
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
        day=day,
        last_day=last_day,
        assets=assets,
        source=item.get_self_href() or item.id,
        baseline=baseline,
    )


def _days(item: pystac.Item, product: Product, longitude: float) -> tuple[date, date | None]:
    """The solar day of an acquisition; the first and last day of a composite."""
    common = item.common_metadata
    moments = [common.start_datetime, item.datetime] if product.is_composite else [item.datetime, common.start_datetime]
    start: datetime | None = next((moment for moment in moments if moment is not None), None)
    if start is None:
        raise SceneError(f"reading scene {item.id}: it has neither datetime nor start_datetime; repair the item")
    if not product.is_composite:
        return solar_day(start, longitude), None
    end = common.end_datetime
    return start.date(), end.date() if end is not None else start.date() + timedelta(days=product.period - 1)


def _require_encoding(
    item: pystac.Item, key: str, fields: dict[str, Any], product: Product, baseline: str | None
) -> None:
    """Refuse an asset whose stated scale or offset contradicts the product's record."""
    if key not in product.assets.values():
        return
    # The raster extension 1.x, STAC 1.1, and its short form for one band: each may be there, and each must agree.
    holders = [fields, *(fields.get("bands") or [])[:1], *(fields.get("raster:bands") or [])[:1]]
    expected = {"scale": product.scale, "offset": product.offset_of(baseline, item.id)}
    for name, value in expected.items():
        stated = [holder.get(f"raster:{name}", holder.get(name)) for holder in holders]
        for found in stated:
            if found is not None and abs(float(found) - value) > 1e-9:
                raise SceneError(
                    f"reading scene {item.id}: asset '{key}' states {name} {found}, the product '{product.name}' has "
                    f"{value:g}; use the product that fits these files, or list the scene's id in `skip`"
                )
