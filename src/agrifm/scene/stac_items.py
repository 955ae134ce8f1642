"""One STAC item to one scene: its day, its baseline, its assets, and what they state of their encoding."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pystac
from shapely.errors import ShapelyError
from shapely.geometry import shape

from agrifm.errors import SceneError
from agrifm.scene.encoding import baseline_of, removed_by_provider, require_agreement, stated_encoding
from agrifm.scene.products import Product
from agrifm.scene.providers import provider_of
from agrifm.scene.scene import Scene, asset_at, solar_day

POLAR = 84.0, -80.0
"""Latitudes beyond which there are no UTM zones, north and south."""


def scene_of(item: pystac.Item, product: Product, longitude: float) -> Scene:
    """The scene that a STAC item describes, with the assets that the product names.

    Older dialects are read too: `eo:platform`, asset keys of `Product.old_keys`, and a processing baseline that stands
    in the product's name only.

    Args:
        longitude: of the area, degrees; the day of an acquisition is the solar day there.

    Raises:
        SceneError: the item has no geometry or date, lies beyond the UTM zones, is of another sensor, has no readable
            baseline where the offset depends on it, disagrees with itself on its CRS, or an asset states another
            encoding than the product's.
    """
    about = f"reading scene {item.id}"
    _require_place(item, about)
    if not is_of_sensor(item, product):
        raise SceneError(
            f"{about}: it is of {_platform(item)}, the product '{product.name}' holds "
            f"{' and '.join(product.platforms)}; list its id in `skip`"
        )
    day, last_day = _days(item, product, longitude)
    baseline = baseline_of(item.properties, item.id)
    removed = removed_by_provider(item.properties, product, item.id)
    encoding = stated_encoding(product, baseline, removed, item.id)
    bands = set(product.assets.values())
    wanted = {*bands, *product.quality_bands, product.day_asset}
    provider = provider_of(product)
    assets = {}
    unused = []
    for stated, asset in item.assets.items():
        href, key = asset.get_absolute_href(), product.old_keys.get(stated, stated)
        if key not in wanted or href is None:
            unused.append(stated)
            continue
        if key in bands:
            require_agreement(asset.extra_fields, product, encoding, f"{about}: asset '{stated}'")
        _require_one_crs(item, stated, asset.extra_fields, about)
        assets[key] = asset_at(href, provider)
    return Scene(
        id=item.id,
        product=product,
        day=day,
        last_day=last_day,
        assets=assets,
        source=item.get_self_href() or item.id,
        baseline=baseline,
        offset_removed=removed,
        unused=tuple(unused),
    )


def is_of_sensor(item: pystac.Item, product: Product) -> bool:
    """False where an item states a satellite that carries another sensor than the product's."""
    platform = _platform(item)
    return not product.platforms or platform is None or platform in product.platforms


def _platform(item: pystac.Item) -> str | None:
    stated = item.properties.get("platform") or item.properties.get("eo:platform")
    return None if stated is None else str(stated).lower().replace("_", "-")


def _require_place(item: pystac.Item, about: str) -> None:
    """Refuse an item without a geometry, and one whose middle lies beyond the UTM zones."""
    if item.geometry is None:
        raise SceneError(f"{about}: it has no geometry, so where it lies is not known; repair the item")
    try:
        _, south, _, north = shape(item.geometry).bounds
    except (ValueError, TypeError, KeyError, AttributeError, ShapelyError) as error:
        raise SceneError(f"{about}: its geometry is not GeoJSON ({error}); repair the item") from error
    middle = (south + north) / 2
    if not POLAR[1] <= middle <= POLAR[0]:
        raise SceneError(
            f"{about}: it lies at latitude {middle:.1f} (CRS {_crs(item.properties) or 'not stated'}), and cubes are "
            "in UTM zones, which reach from 80 degrees south to 84 north; choose another area"
        )


def _crs(fields: Mapping[str, Any]) -> str | None:
    code, number = fields.get("proj:code"), fields.get("proj:epsg")
    return str(code) if code is not None else None if number is None else f"EPSG:{number}"


def _require_one_crs(item: pystac.Item, key: str, fields: Mapping[str, Any], about: str) -> None:
    whole, own = _crs(item.properties), _crs(fields)
    if whole is not None and own is not None and own != whole:
        raise SceneError(
            f"{about}: it states the CRS {whole}, its asset '{key}' states {own}; repair the item, or list its id in "
            "`skip`"
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
