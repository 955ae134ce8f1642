"""STAC items without files behind them, as plain dicts."""

from datetime import datetime
from typing import Any

from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry
from tests.scenes import AREA, at


def s2_item(
    name: str = "S2A_T31UDQ_20240501T105621_L2A",
    moment: datetime = at(5, 1),  # noqa: B008
    baseline: str = "05.10",
    outline: BaseGeometry = AREA,
    collection: str = "sentinel-2-c1-l2a",
    href: str = "https://example.org/{name}/{key}.tif",
    **properties: Any,
) -> dict[str, Any]:
    """A Sentinel-2 item with a red and a scene classification asset."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "geometry": mapping(outline),
        "bbox": list(outline.bounds),
        "properties": {
            "datetime": moment.isoformat().replace("+00:00", "Z"),
            "s2:processing_baseline": baseline,
            **properties,
        },
        "assets": {key: {"href": href.format(name=name, key=key)} for key in ("red", "scl")},
        "links": [{"rel": "self", "href": f"https://example.org/items/{name}"}],
    }
