"""One STAC item to one scene: its day, its baseline, its assets, and what they state of their encoding."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pystac

from agrifm.errors import SceneError
from agrifm.scene.products import Product
from agrifm.scene.read import FileAsset, Scene, solar_day


def scene_of(item: pystac.Item, product: Product, longitude: float) -> Scene:
    """The scene that a STAC item describes, with the assets that the product names.

    Args:
        longitude: of the area, degrees; the day of an acquisition is the solar day there.

    Raises:
        SceneError: the item has no date, no readable baseline where the offset depends on it, or an asset states
            another encoding than the product's.
    """
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
