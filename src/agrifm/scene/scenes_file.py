"""The scenes of a search as an item collection, from which a cube is built again without searching.

It is a GeoJSON FeatureCollection with one more member, `agrifm`, which says what was searched for, how many scenes each
filter removed, and which items could not be read. It holds no signed URL.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pystac
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from agrifm.errors import OutputError, SceneError
from agrifm.files import write_json
from agrifm.redaction import shown
from agrifm.scene.remote import is_remote
from agrifm.season import Season

AGRIFM_MEMBER = "agrifm"
SIGNING_KEYS = {
    "sig",
    "signature",
    "x-amz-signature",
    "x-goog-signature",
    "token",
    "access_token",
    "key-pair-id",
}
"""Query parameters of signed URLs: Azure's, Amazon's, Google's, and tokens."""
AREA_TOLERANCE = 1e-9
"""Degrees by which two areas may differ and still count as the same."""


def request_of(
    source: str,
    season: Season,
    area: BaseGeometry,
    products: tuple[str, ...],
    cloud: float | None,
    skip: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Describe a search as it is written next to its items.

    Args:
        source: path or URL of the catalogue.
        area: in longitude and latitude.
        products: names of the products, in their order.
        cloud: highest cloud cover, percent.
        skip: ids of scenes to leave out.
    """
    described = {
        "catalog": shown(source) if is_remote(source) else source,
        "season": [season.start.isoformat(), season.end.isoformat()],
        "area": mapping(area),
        "products": products,
        "cloud": cloud,
        "skip": skip,
    }
    # as it will be read again: tuples become lists
    return dict(json.loads(json.dumps(described)))


def is_answer_to(path: Path, request: dict[str, Any]) -> bool:
    """Return True if a file holds the result of the same search; False too if it is absent or damaged."""
    try:
        about = json.loads(path.read_text(encoding="utf-8-sig"))[AGRIFM_MEMBER]
        return all(about[key] == value for key, value in request.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_collection(
    path: Path,
    items: list[pystac.Item],
    removed: Counter[str],
    request: dict[str, Any],
    unusable: Mapping[str, str] | None = None,
) -> None:
    """Write the items of a search; the file is complete or not written.

    Args:
        request: see `request_of`.
        unusable: why something could not become a scene, by its name.

    Raises:
        OutputError: the file cannot be written, or is a document that agrifm did not write.
    """
    if _is_of_others(path):
        raise OutputError(
            f"writing the scenes found to {path}: the file exists, and agrifm did not write it; rename it", path=path
        )
    about = {**request, "removed": dict(removed), **({"unusable": dict(unusable)} if unusable else {})}
    features = [_plain(item) for item in sorted(items, key=lambda item: (item.collection_id or "", item.id))]
    write_json(path, {"type": "FeatureCollection", "features": features, AGRIFM_MEMBER: about})


def _is_of_others(path: Path) -> bool:
    """Whether a file is a document without agrifm's member; False if it is damaged, so that it is written again."""
    try:
        return AGRIFM_MEMBER not in json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, TypeError):
        return False


def _plain(item: pystac.Item) -> dict[str, Any]:
    """An item on its own: absolute URLs without signatures, and no link except the one to itself."""
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
    """Return a URL without the query that signs it; other queries stay."""
    if not is_remote(href):
        return href
    parts = urlsplit(href)
    is_signed = {key.lower() for key in parse_qs(parts.query)} & SIGNING_KEYS
    return shown(href) if is_signed or "@" in parts.netloc else href


def unusable_before(extra: Mapping[str, Any]) -> dict[str, SceneError]:
    """What the search that wrote an item collection could not make scenes of, and why."""
    about = extra.get(AGRIFM_MEMBER)
    stated = about.get("unusable") if isinstance(about, dict) else None
    return {name: SceneError(str(reason)) for name, reason in stated.items()} if isinstance(stated, dict) else {}


def removed_before(
    extra: dict[str, Any],
    source: str,
    season: Season,
    area: BaseGeometry,
    products: tuple[str, ...],
    cloud: float | None,
) -> Counter[str]:
    """Return what the search that wrote an item collection removed; empty if agrifm did not write the collection.

    Raises:
        SceneError: the request is wider than that search, so scenes would be missing silently.
    """
    about = extra.get(AGRIFM_MEMBER)
    if about is None:
        return Counter()
    try:
        start, end = about["season"]
        searched, names, limit = shape(about["area"]), set(about["products"]), about["cloud"]
        removed = Counter({str(reason): int(count) for reason, count in about["removed"].items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SceneError(
            f"reading the scenes {source}: its member '{AGRIFM_MEMBER}' is damaged; search again", path=source
        ) from error
    missing = None
    if season.start.isoformat() < start or season.end.isoformat() > end:
        missing = f"from {start} to {end}, not from {season.start} to {season.end}"
    elif not searched.buffer(AREA_TOLERANCE).covers(area):
        missing = "a smaller area"
    elif not names >= set(products):
        missing = f"the products {', '.join(sorted(names))}, not {', '.join(sorted(set(products) - names))}"
    elif limit is not None and (cloud is None or cloud > limit):
        missing = f"scenes with at most {limit:g} % of clouds"
    if missing:
        raise SceneError(f"reading the scenes {source}: the search was for {missing}; search the provider again")
    return removed
