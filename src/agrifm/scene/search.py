"""Search a catalogue for scenes; every filter counts the scenes that it removes."""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import pystac
from shapely.geometry.base import BaseGeometry

from agrifm.errors import SceneError
from agrifm.imagery_config import MissingChoice
from agrifm.scene.catalogs import ApiQuery, read_items
from agrifm.scene.duplicates import Candidate, covers_some_of, footprint_of, require_one_product, without_duplicates
from agrifm.scene.products import Product
from agrifm.scene.reach import ANYWHERE, Reach
from agrifm.scene.scenes_file import removed_before, unusable_before
from agrifm.scene.search_result import OTHER_COLLECTIONS, SKIPPED, SearchResult
from agrifm.scene.stac_items import is_of_sensor, scene_of
from agrifm.season import Season

PERCENT = r"([0-9]+(?:\.[0-9]+)?(?:[eE]-?[0-9]+)?) ?%?"


def search_catalog(
    catalog: str | Path,
    products: Sequence[Product],
    season: Season,
    area: BaseGeometry,
    skip: Sequence[str] = (),
    cloud: float | None = None,
    reach: Reach | None = None,
    missing: MissingChoice = "stop",
) -> SearchResult:
    """Find the scenes of these products in a catalogue, in the season and intersecting the area.

    Args:
        catalog: path or URL of a static catalogue, a STAC API, an item collection or a stac-geoparquet file.
        area: in longitude and latitude.
        skip: ids of scenes to leave out.
        cloud: highest cloud cover that an item may state (`eo:cloud_cover`), percent; None for no limit.
        reach: what the catalogue may lead to; by default `Reach.of` its path or URL.
        missing: "skip" leaves items that cannot become scenes in the result, for `build_cube`.

    Raises:
        SceneError: the catalogue cannot be read, items are unusable, or no scene or two products of one sensor are
            left.
    """
    source = str(catalog)
    # a composite that begins before the season may reach into it
    longest = max((product.period for product in products), default=1)
    query = ApiQuery(
        tuple(dict.fromkeys(product.collection for product in products)),
        area.bounds,
        season.start - timedelta(days=longest - 1),
        season.end,
    )
    reach = reach or Reach.of(source)
    catalogue = read_items(source, query, reach)
    names = tuple(product.name for product in products)
    result = search_items(catalogue.items, products, season, area, skip, cloud, reach, "skip")
    for name, error in [*catalogue.unusable.errors.items(), *unusable_before(catalogue.extra).items()]:
        result.unusable.add(name, error)
    before = removed_before(catalogue.extra, source, season, area, names, cloud)
    before.pop(SKIPPED, None)  # skipped scenes are in the collection, and are counted again
    result.removed = before + result.removed
    result.require_some(season, source, products, missing)
    require_one_product(result.scenes, f"searching {source}")
    return result


def search_items(
    items: Iterable[pystac.Item],
    products: Sequence[Product],
    season: Season,
    area: BaseGeometry,
    skip: Sequence[str] = (),
    cloud: float | None = None,
    reach: Reach = ANYWHERE,
    missing: MissingChoice = "stop",
) -> SearchResult:
    """Apply the filters of `search_catalog` to items, in the documented order.

    Raises:
        SceneError: items that pass the filters are unusable.
    """
    result = SearchResult()
    seen: set[tuple[str, str]] = set()
    candidates: list[Candidate] = []
    for item in items:
        try:
            _require_names(item)
        except SceneError as error:
            result.unusable.add(str(item.id), error)
            continue
        product = _product_of(item, products)
        key = (item.collection_id or "", item.id)
        if product is None:
            result.removed[OTHER_COLLECTIONS] += 1
            result.other_collections[item.collection_id or ""] += 1
        elif key in seen:
            result.removed["listed twice"] += 1
        elif not is_of_sensor(item, product):
            result.removed["of another satellite"] += 1
        elif item.geometry is None:
            result.removed["without a geometry"] += 1
        else:
            seen.add(key)
            try:
                candidate = _candidate(result, item, product, area, cloud, reach)
            except SceneError as error:
                result.refuse(item.id, error, product.sensor, skip)
                if item.id in skip:  # others are written with their reasons only, since pystac mends what it writes
                    result.items.append(item)
                continue
            if candidate is None:
                continue
            if result.keep(candidate.scene, season, skip):
                candidates.append(candidate)
            elif candidate.scene in result.skipped:
                result.items.append(item)
    chosen, duplicates = without_duplicates(candidates, products)
    result.removed += duplicates
    result.scenes = [candidate.scene for candidate in chosen]
    result.items += [candidate.item for candidate in chosen]
    if cloud is not None:
        result.without_cloud_cover = sum(stated_cloud_cover(candidate.item) is None for candidate in chosen)
    if missing == "stop":
        result.unusable.require_rest(result.scenes, missing)
    return result


def _require_names(item: pystac.Item) -> None:
    """Refuse an item whose id or collection is not a text."""
    for key, name in (("id", item.id), ("collection", item.collection_id)):
        if not isinstance(name, str | None):
            raise SceneError(
                f"reading the item {item.id!r}: its {key} is {name!r}, not a text; repair or remove it", key=key
            )


def _candidate(
    result: SearchResult,
    item: pystac.Item,
    product: Product,
    area: BaseGeometry,
    cloud: float | None,
    reach: Reach,
) -> Candidate | None:
    """The scene of an item in the area; None of one that is elsewhere or too cloudy, which is counted."""
    assert item.geometry is not None
    footprint = footprint_of(item.geometry, item.id)
    if not covers_some_of(footprint, area):
        result.removed["outside the area"] += 1
        return None
    cover = None if cloud is None else stated_cloud_cover(item)
    if cloud is not None and cover is not None:
        result.cloud_covers.append(cover)
        if cover > cloud:
            result.removed[f"cloudier than {cloud:g} %"] += 1
            return None
    return Candidate(item, scene_of(item, product, area.centroid.x, reach), footprint)


def _product_of(item: pystac.Item, products: Sequence[Product]) -> Product | None:
    """The product of an item's collection; of several, the first all of whose bands the item has."""
    of_collection = [product for product in products if product.collection == (item.collection_id or "")]
    complete = (product for product in of_collection if item.assets.keys() >= set(product.assets.values()))
    return next(complete, of_collection[0] if of_collection else None)


def stated_cloud_cover(item: pystac.Item) -> float | None:
    """Return the cloud cover of an item, percent.

    None if it does not state a number from 0 to 100, as a number or as text such as "12.5 %".
    """
    stated = item.properties.get("eo:cloud_cover")
    match = None if isinstance(stated, bool) else re.fullmatch(PERCENT, str(stated).strip())
    percent = float(match[1]) if match else None
    return percent if percent is not None and percent <= 100 else None
