"""The scenes of a search as an item collection, from which a cube is built again without searching.

The file is a GeoJSON FeatureCollection of STAC items with one more member, `agrifm`: what was searched for, and how
many scenes each filter removed. No signed address stands in it.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pystac
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from agrifm.errors import SceneError
from agrifm.files import write_json
from agrifm.scene.remote import is_remote, shown
from agrifm.season import Season

MEMBER = "agrifm"
SIGNATURES = {"sig", "signature", "x-amz-signature", "x-goog-signature", "token", "access_token", "key-pair-id"}
"""Query parameters of signed URLs: Azure's, Amazon's, Google's, and tokens."""
TOUCH = 1e-9
"""Degrees by which areas may differ and still be one."""


def request_of(
    source: str,
    season: Season,
    area: BaseGeometry,
    products: tuple[str, ...],
    cloud: float | None,
    skip: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What a search asks for, as it is written beside its items.

    Args:
        source: path or URL of what is searched.
        area: in longitude and latitude.
        products: names of the products, in their order.
        cloud: highest cloud cover, percent.
        skip: ids of scenes that are left out.
    """
    request = {
        "catalog": shown(source) if is_remote(source) else source,
        "season": [season.start.isoformat(), season.end.isoformat()],
        "area": mapping(area),
        "products": products,
        "cloud": cloud,
        "skip": skip,
    }
    return dict(json.loads(json.dumps(request)))


def is_answer_to(path: Path, request: dict[str, Any]) -> bool:
    """True where a file holds what the same search found before; False where it is absent or damaged."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))[MEMBER]
        return all(about[key] == value for key, value in request.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_collection(path: Path, items: list[pystac.Item], removed: Counter[str], request: dict[str, Any]) -> None:
    """Write the items of a search, whole or not at all.

    Args:
        request: see `request_of`.

    Raises:
        OutputError: the file cannot be written.
    """
    about = {**request, "removed": dict(removed)}
    features = [_plain(item) for item in sorted(items, key=lambda item: (item.collection_id or "", item.id))]
    write_json(path, {"type": "FeatureCollection", "features": features, MEMBER: about})


def _plain(item: pystac.Item) -> dict[str, Any]:
    """An item that stands alone: absolute addresses without signatures, no link but the one to itself."""
    item = item.clone()
    item.make_asset_hrefs_absolute()
    for asset in item.assets.values():
        asset.href = without_signature(asset.href)
    source = item.get_self_href()
    item.clear_links()
    if source is not None:
        item.set_self_href(without_signature(source))
    return item.to_dict(include_self_link=True, transform_hrefs=False)


def without_signature(href: str) -> str:
    """An address without the query that signs it; other queries stay."""
    if not is_remote(href):
        return href
    parts = urlsplit(href)
    signs = {key.lower() for key in parse_qs(parts.query)} & SIGNATURES
    return shown(href) if signs or "@" in parts.netloc else href


def removed_before(
    extra: dict[str, Any],
    source: str,
    season: Season,
    area: BaseGeometry,
    products: tuple[str, ...],
    cloud: float | None,
) -> Counter[str]:
    """What the search that wrote an item collection had removed; empty for a collection that agrifm did not write.

    Raises:
        SceneError: more is asked for than was searched then, so that scenes would be missing without a word.
    """
    about = extra.get(MEMBER)
    if about is None:
        return Counter()
    try:
        start, end = about["season"]
        searched, names, limit = shape(about["area"]), set(about["products"]), about["cloud"]
        removed = Counter({str(reason): int(count) for reason, count in about["removed"].items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SceneError(f"reading the scenes {source}: its member '{MEMBER}' is damaged; search again") from error
    missing = None
    if season.start.isoformat() < start or season.end.isoformat() > end:
        missing = f"from {start} to {end}, not from {season.start} to {season.end}"
    elif not searched.buffer(TOUCH).covers(area):
        missing = "a smaller area"
    elif not names >= set(products):
        missing = f"the products {', '.join(sorted(names))}, not {', '.join(sorted(set(products) - names))}"
    elif limit is not None and (cloud is None or cloud > limit):
        missing = f"scenes with at most {limit:g} % of clouds"
    if missing:
        raise SceneError(f"reading the scenes {source}: they were searched for {missing}; search the provider again")
    return removed
