"""Scenes from a static STAC catalogue on disk. Every filter says how many scenes it removed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pystac
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from agrifm.errors import SceneError
from agrifm.scene.items import scene_of
from agrifm.scene.products import Product
from agrifm.scene.read import Scene
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
            result.keep(scene_of(item, product, area.centroid.x), season, skip)
    result.require_some(season, str(catalog))
    return result


def _outline(item: pystac.Item) -> BaseGeometry:
    try:
        return shape(item.geometry or {})
    except (ValueError, TypeError, KeyError, AttributeError, ShapelyError) as error:
        raise SceneError(f"reading scene {item.id}: its geometry is not GeoJSON ({error}); repair the item") from error
