"""Scenes from the items of a catalogue. Every filter says how many scenes it removed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pystac
from shapely.geometry.base import BaseGeometry

from agrifm.errors import SceneError
from agrifm.scene.catalogs import Wanted, read_items
from agrifm.scene.collection import removed_before
from agrifm.scene.duplicates import Found, require_one_product, without_duplicates
from agrifm.scene.outline import outline_of, touches
from agrifm.scene.products import Product
from agrifm.scene.read import Scene
from agrifm.scene.stac_items import is_of_sensor, scene_of
from agrifm.season import Season

LAST = "skipped on request"
REMEDIES = {
    "outside the season": "check the dates",
    "outside the area": "check the area",
    "of other collections": "check the products",
    "of another satellite": "check the products",
    "without a geometry": "repair the items, or use another catalogue",
    "cloudier than": "raise `cloud`",
    LAST: "take ids out of `skip`",
}
"""What to do where most scenes were removed for this reason; the reason begins so."""


@dataclass
class Search:
    """What was found, and how many scenes each filter removed."""

    scenes: list[Scene] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    skipped: list[Scene] = field(default_factory=list)
    """Scenes left out on request."""
    unread: list[str] = field(default_factory=list)
    """Ids of scenes left out on request that could not have been used."""
    items: list[pystac.Item] = field(default_factory=list)
    """Items of the scenes and of those left out on request."""
    without_cloud_cover: int = 0
    """Scenes kept that do not state their cloud cover, where there is a limit."""

    def extend(self, other: "Search") -> None:
        """Take over the scenes and counts of another search."""
        self.scenes += other.scenes
        self.removed += other.removed
        self.skipped += other.skipped
        self.unread += other.unread
        self.items += other.items
        self.without_cloud_cover += other.without_cloud_cover

    def keep(self, scene: Scene, season: Season, skip: Sequence[str]) -> bool:
        """Take a scene unless it is outside the season or to be skipped; count it in any case. True where taken."""
        last = scene.last_day or scene.day
        if scene.day > season.end or last < season.start:
            self.removed["outside the season"] += 1
        elif scene.id in skip:
            self.removed[LAST] += 1
            self.skipped.append(scene)
        else:
            self.scenes.append(scene)
            return True
        return False

    def require_some(self, season: Season, where: str) -> None:
        """Refuse an empty result in one sentence that says what was removed.

        Raises:
            SceneError: no scene is left.
        """
        if not self.scenes:
            counts = ", ".join(f"{count} {reason}" for reason, count in self.removed.items()) or "it gave no item"
            reason = max(self.removed, key=self.removed.__getitem__, default="")
            remedy = next((what for start, what in REMEDIES.items() if reason.startswith(start)), None)
            raise SceneError(
                f"searching {where} for scenes from {season.start} to {season.end}: none found ({counts}); "
                f"{remedy or 'check the dates, the area and the products'}"
            )


def search_catalog(
    catalog: str | Path,
    products: Sequence[Product],
    season: Season,
    area: BaseGeometry,
    skip: Sequence[str] = (),
    cloud: float | None = None,
) -> Search:
    """Scenes of these products in a catalogue, in the season and touching the area.

    Args:
        catalog: path or URL of a static catalogue, a STAC API, an item collection or a stac-geoparquet file.
        area: in longitude and latitude.
        skip: ids of scenes to leave out.
        cloud: highest cloud cover that an item may state (`eo:cloud_cover`), percent; None takes all.

    Raises:
        SceneError: the catalogue cannot be read, an item is unusable, nothing is left, or two products of one sensor
            are.
    """
    source = str(catalog)
    longest = max((product.period for product in products), default=1)
    wanted = Wanted(
        tuple(dict.fromkeys(product.collection for product in products)),
        area.bounds,
        season.start - timedelta(days=longest - 1),
        season.end,
    )
    found = read_items(source, wanted)
    names = tuple(product.name for product in products)
    result = search_items(found.items, products, season, area, skip, cloud)
    before = removed_before(found.extra, source, season, area, names, cloud)
    before.pop(LAST, None)
    result.removed = before + result.removed
    result.require_some(season, source)
    require_one_product(result.scenes, f"searching {source}")
    return result


def search_items(
    items: Iterable[pystac.Item],
    products: Sequence[Product],
    season: Season,
    area: BaseGeometry,
    skip: Sequence[str] = (),
    cloud: float | None = None,
) -> Search:
    """Scenes among items; see `search_catalog`, whose filters these are, in this order.

    Raises:
        SceneError: an item that passes the filters is unusable.
    """
    result = Search()
    seen: set[tuple[str, str]] = set()
    taken: list[Found] = []
    for item in items:
        product = _product_of(item, products)
        key = (item.collection_id or "", item.id)
        if product is None:
            result.removed["of other collections"] += 1
        elif key in seen:
            result.removed["listed twice"] += 1
        elif not is_of_sensor(item, product):
            result.removed["of another satellite"] += 1
        elif item.geometry is None:
            result.removed["without a geometry"] += 1
        else:
            seen.add(key)
            outline = outline_of(item.geometry, item.id)
            if not touches(outline, area):
                result.removed["outside the area"] += 1
            elif _is_cloudier(item, cloud):
                result.removed[f"cloudier than {cloud:g} %"] += 1
            else:
                scene = _keep(result, item, product, season, area.centroid.x, skip)
                if scene is not None:
                    taken.append(Found(item, scene, outline))
    chosen, double = without_duplicates(taken, products)
    result.removed += double
    result.scenes = [one.scene for one in chosen]
    result.items += [one.item for one in chosen]
    if cloud is not None:
        result.without_cloud_cover = sum(_cloud_cover(one.item) is None for one in chosen)
    return result


def _keep(
    result: Search, item: pystac.Item, product: Product, season: Season, longitude: float, skip: Sequence[str]
) -> Scene | None:
    try:
        scene = scene_of(item, product, longitude)
    except SceneError:
        if item.id not in skip:
            raise
        result.removed[LAST] += 1
        result.unread.append(item.id)
        result.items.append(item)
        return None
    if result.keep(scene, season, skip):
        return scene
    if result.skipped and result.skipped[-1] is scene:
        result.items.append(item)
    return None


def _product_of(item: pystac.Item, products: Sequence[Product]) -> Product | None:
    """The product whose item it is: of its collection, and where several are, the first whose bands it has."""
    own = [product for product in products if product.collection == item.collection_id]
    whole = (product for product in own if item.assets.keys() >= set(product.assets.values()))
    return next(whole, own[0] if own else None)


def _is_cloudier(item: pystac.Item, limit: float | None) -> bool:
    stated = _cloud_cover(item)
    return limit is not None and stated is not None and stated > limit


def _cloud_cover(item: pystac.Item) -> float | None:
    """Percent; None where an item states no number."""
    stated = item.properties.get("eo:cloud_cover")
    return float(stated) if isinstance(stated, int | float) else None
