"""From a STAC item to a scene: its day, its baseline, its assets, and their stated encoding."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urljoin

import pystac
from shapely.errors import ShapelyError
from shapely.geometry import shape

from agrifm.errors import SceneError
from agrifm.scene.encoding import baseline_of, removed_by_provider, require_agreement, stated_encoding
from agrifm.scene.products import Product
from agrifm.scene.providers import provider_of
from agrifm.scene.reach import ANYWHERE, Reach
from agrifm.scene.remote import is_remote
from agrifm.scene.scene import Scene, asset_at, solar_day

MAX_LATITUDE, MIN_LATITUDE = 84.0, -80.0
"""Degrees between which there are UTM zones."""


def scene_of(item: pystac.Item, product: Product, longitude: float, reach: Reach = ANYWHERE) -> Scene:
    """Return the scene of a STAC item, with the assets that the product names.

    Older dialects are supported: `eo:platform`, asset keys of `Product.old_keys`, and a processing baseline in the
    product's name only.

    Args:
        longitude: of the area, degrees; the day of an acquisition is the solar day there.
        reach: what the item's assets may be.

    Raises:
        SceneError: an asset is out of reach; or the item has no geometry or date, is outside the UTM zones or of
            another sensor, lacks the baseline on which its offset depends, states two CRSs, or has an asset with
            another encoding than the product.
    """
    about = f"reading scene {item.id}"
    _require_position(item, about)
    if not is_of_sensor(item, product):
        raise SceneError(
            f"{about}: its satellite is {_platform(item)}, those of the product '{product.name}' are "
            f"{' and '.join(product.platforms)}; list its id in `skip`",
            scene=item.id,
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
        href, key = _absolute(asset), product.old_keys.get(stated, stated)
        if key not in wanted:
            unused.append(stated)
            continue
        if key in bands:  # quality bands and days have no scale
            require_agreement(asset.extra_fields, product, encoding, f"{about}: asset '{stated}'")
        _require_one_crs(item, stated, asset.extra_fields, about)
        assets[key] = asset_at(href, provider, reach, _checksum(asset.extra_fields))
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


def _absolute(asset: pystac.Asset) -> str:
    """The address of an asset; a path from an item on a server is one of that server."""
    base = asset.owner.get_self_href() if asset.owner is not None else None
    if base is not None and is_remote(base) and asset.href.startswith("/"):
        return urljoin(base, asset.href)
    return asset.get_absolute_href() or asset.href


def _checksum(fields: Mapping[str, Any]) -> str | None:
    """The checksum of a file, by the file extension or its forerunner; else its entity tag, if it is stated."""
    keys = ("file:checksum", "checksum:multihash", "checksum", "etag")
    return next((f"{key} {fields[key]}" for key in keys if fields.get(key)), None)


def is_of_sensor(item: pystac.Item, product: Product) -> bool:
    """Return False if an item states a satellite without the product's sensor."""
    platform = _platform(item)
    return not product.platforms or platform is None or platform in product.platforms


def _platform(item: pystac.Item) -> str | None:
    stated = item.properties.get("platform") or item.properties.get("eo:platform")
    return None if stated is None else str(stated).lower().replace("_", "-")


def _require_position(item: pystac.Item, about: str) -> None:
    """Refuse an item without a geometry, and one whose middle is outside the UTM zones."""
    if item.geometry is None:
        raise SceneError(f"{about}: it has no geometry, so its position is unknown; repair the item")
    try:
        _, south, _, north = shape(item.geometry).bounds
    except (ValueError, TypeError, KeyError, AttributeError, ShapelyError) as error:
        raise SceneError(f"{about}: its geometry is not GeoJSON ({error}); repair the item") from error
    # a scene may reach over the border; the cube of an area inside is still possible
    middle = (south + north) / 2
    if not MIN_LATITUDE <= middle <= MAX_LATITUDE:
        raise SceneError(
            f"{about}: it is at latitude {middle:.1f} (CRS {_crs(item.properties) or 'not stated'}), and cubes are "
            "in UTM zones, which reach from 80 degrees south to 84 north; choose another area",
            latitude=middle,
        )


def _crs(fields: Mapping[str, Any]) -> str | None:
    code, epsg = fields.get("proj:code"), fields.get("proj:epsg")
    return str(code) if code is not None else None if epsg is None else f"EPSG:{epsg}"


def _require_one_crs(item: pystac.Item, key: str, fields: Mapping[str, Any], about: str) -> None:
    of_item, of_asset = _crs(item.properties), _crs(fields)
    if of_item is not None and of_asset is not None and of_asset != of_item:
        raise SceneError(
            f"{about}: it states the CRS {of_item}, its asset '{key}' states {of_asset}; repair the item, or list its "
            "id in `skip`",
            asset=key,
        )


def _days(item: pystac.Item, product: Product, longitude: float) -> tuple[date, date | None]:
    """The solar day of an acquisition and None; the first and the last day of a composite."""
    stated = _moments(item)
    # items of composites may state a datetime in the middle of the period
    keys = ("start_datetime", "datetime") if product.is_composite else ("datetime", "start_datetime")
    start = next((stated[key] for key in keys if key in stated), None)
    if start is None:
        raise SceneError(f"reading scene {item.id}: it has neither datetime nor start_datetime; repair the item")
    if not product.is_composite:
        return solar_day(start, longitude), None
    end = stated.get("end_datetime")
    last_day = end.date() if end is not None else start.date() + timedelta(days=product.period - 1)
    if last_day < start.date():
        raise SceneError(
            f"reading scene {item.id}: its period starts on {start.date()} and ends on {last_day}; repair the item"
        )
    return start.date(), last_day


def _moments(item: pystac.Item) -> dict[str, datetime]:
    """The times that an item states, by key; a month or a year alone is refused, since its day is not known."""
    moments = {}
    for key in ("datetime", "start_datetime", "end_datetime"):
        about = f"reading scene {item.id}: its {key} is {item.properties.get(key)!r}"
        try:
            moment = item.datetime if key == "datetime" else getattr(item.common_metadata, key)
        except (ValueError, TypeError, OverflowError) as error:
            raise SceneError(f"{about}, not a time such as 2024-05-01T10:50:31Z ({error}); repair the item") from error
        if moment is not None and re.fullmatch(r"[0-9]{4}(-?[0-9]{2})?", str(item.properties.get(key)).strip()):
            raise SceneError(f"{about}, which has no day; repair the item, or list its id in `skip`", scene=item.id)
        if moment is not None:
            moments[key] = moment
    return moments
