"""STAC catalogues: read the items of an API, a static catalogue, an item collection or a stac-geoparquet file.

All of them are given by a path or a URL; servers are read through `remote`, with its retries. The scenes of a search
are written as an item collection, from which a cube is built again without searching: a GeoJSON FeatureCollection with
one more member, `agrifm`, which says what was searched for and how many scenes each filter removed. It holds no signed
URL.
"""

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pystac
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from agrifm.errors import SceneError, require_installed
from agrifm.files import write_json
from agrifm.redaction import shown
from agrifm.scene.remote import RemoteError, is_remote, request
from agrifm.season import Season

PAGE_SIZE = 200
"""Items per page of a STAC API."""
PARQUET_SUFFIXES = (".parquet", ".geoparquet")
VALID_SOURCES = (
    "give the path or URL of a catalog.json, a STAC API, an item collection (.json) or a stac-geoparquet file"
)


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


@dataclass(frozen=True)
class ApiQuery:
    """What a STAC API is asked for; other catalogues are read completely."""

    collections: tuple[str, ...]
    bounds: tuple[float, float, float, float]
    """West, south, east, north, degrees."""
    start: date
    end: date


@dataclass
class CatalogItems:
    """The items of a catalogue."""

    items: list[pystac.Item]
    extra: dict[str, Any] = field(default_factory=dict)
    """Other members of an item collection."""


def read_items(source: str, query: ApiQuery) -> CatalogItems:
    """Read the items of a catalogue; of a STAC API, those of the query, with one more day on each side.

    Args:
        source: path or URL.

    Raises:
        SceneError: the catalogue cannot be read, is not STAC, or sends fewer items than it announces.
    """
    if urlsplit(source).path.lower().endswith(PARQUET_SUFFIXES):
        return CatalogItems(_read_parquet(source))
    content = _read_json(source)
    kind = content.get("type")
    links = content.get("links") or []
    if kind == "FeatureCollection":
        extra = {key: value for key, value in content.items() if key not in ("type", "features", "links")}
        return CatalogItems([_item(feature, source) for feature in content.get("features") or []], extra)
    if "conformsTo" in content or any(isinstance(link, dict) and link.get("rel") == "search" for link in links):
        return CatalogItems([_item(feature, source) for feature in _search_api(source, query)])
    if kind in ("Catalog", "Collection") or "stac_version" in content:
        return CatalogItems(_walk(source))
    what = f"its type is {kind!r}" if kind else "it has no type"
    raise SceneError(f"{_about(source)}: not a STAC document ({what}); {VALID_SOURCES}")


def _about(source: str) -> str:
    return f"reading the STAC catalogue {shown(source) if is_remote(source) else source}"


def _bytes(source: str, method: str = "GET", body: Any = None) -> bytes:
    if not is_remote(source):
        return Path(unquote(urlsplit(source).path) if source.startswith("file:") else source).read_bytes()
    headers = {"Accept": "application/geo+json, application/json"}
    if body is None:
        return request(source, headers=headers).body
    headers["Content-Type"] = "application/json"
    return request(source, headers=headers, method=method, body=json.dumps(body).encode()).body


def _read_json(source: str) -> dict[str, Any]:
    try:
        content = json.loads(_bytes(source))
    except RemoteError as error:
        raise SceneError(f"{_about(source)}: {error}; check the URL and the network") from error
    except (OSError, ValueError) as error:
        reason = "not a JSON document" if isinstance(error, ValueError) else str(error)
        raise SceneError(f"{_about(source)}: {reason}; {VALID_SOURCES}") from error
    if not isinstance(content, dict):
        raise SceneError(f"{_about(source)}: not a STAC document (a JSON {type(content).__name__}); {VALID_SOURCES}")
    return content


def _item(content: Any, source: str) -> pystac.Item:
    """An item; URLs of its assets may be relative to the file that it comes from."""
    try:
        item = pystac.Item.from_dict(content, preserve_dict=False)
    except (pystac.STACError, pystac.STACTypeError, ValueError, TypeError, KeyError, AttributeError) as error:
        name = content.get("id") if isinstance(content, dict) else None
        raise SceneError(
            f"{_about(source)}: item {name!r} is not a valid STAC item ({error}); repair or remove it"
        ) from error
    if item.get_self_href() is None and any(not _is_absolute(asset.href) for asset in item.assets.values()):
        base = source if is_remote(source) else str(Path(source).resolve())
        item.set_self_href(f"{base.rpartition('/')[0]}/{item.id}.json")
    return item


def _is_absolute(href: str) -> bool:
    return bool(urlsplit(href).scheme) or Path(href).is_absolute()


def _walk(source: str) -> list[pystac.Item]:
    """All items of a static catalogue, in the order of its links."""
    try:
        root = pystac.Catalog.from_file(source, stac_io=_Io())
        return list(root.get_items(recursive=True))
    except RemoteError as error:
        raise SceneError(f"{_about(source)}: {error}; check the URL and the network") from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, pystac.STACError, pystac.STACTypeError) as error:
        raise SceneError(f"{_about(source)}: {error}; {VALID_SOURCES}") from error


class _Io(pystac.stac_io.DefaultStacIO):
    """Read files, and servers through `remote`."""

    def read_text_from_href(self, href: str, *_: Any, **__: Any) -> str:
        return _bytes(href).decode()


def _search_api(source: str, query: ApiQuery) -> Iterator[dict[str, Any]]:
    """The features of all pages of a search.

    pystac-client words the search. Its own paging stops silently at an empty page that has a next one, and never stops
    if a page links to itself, so `_pages` follows the links.
    """
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO

    class ApiIo(StacApiIO):
        def request(self, href: str, method: str | None = None, headers: Any = None, parameters: Any = None) -> str:
            if (method or "GET").upper() == "GET":
                query = urlencode(parameters or {}, doseq=True)
                return _bytes(href + (f"{'&' if '?' in href else '?'}{query}" if query else "")).decode()
            return _bytes(href, "POST", parameters or {}).decode()

    io = ApiIo(max_retries=None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # APIs that do not state their conformance are searched as well
            client = Client.open(source, stac_io=io)
            links = [link.extra_fields.get("method", "GET") for link in client.get_links("search")]
            search = client.search(
                method="POST" if "POST" in links else "GET",
                collections=list(query.collections),
                bbox=query.bounds,
                datetime=f"{query.start - timedelta(1)}T00:00:00Z/{query.end + timedelta(1)}T23:59:59Z",
                limit=PAGE_SIZE,
            )
            yield from _pages(io, search, source)
    except RemoteError as error:
        raise SceneError(
            f"searching {shown(source)}: {error}; try again later, or check that it has the collections "
            f"{', '.join(query.collections)}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError, pystac.STACError) as error:
        raise SceneError(f"searching {shown(source)}: the answer is not readable ({error}); {VALID_SOURCES}") from error


def _pages(io: Any, search: Any, source: str) -> Iterator[dict[str, Any]]:
    parameters = search.get_parameters()
    page = io.read_json(search.url, method=search.method, parameters=parameters)
    announced: int | None = None
    sent = 0
    requested: set[str] = set()
    while True:
        features = page.get("features")
        if not isinstance(features, list):
            raise SceneError(f"searching {shown(source)}: a page of the answer has no features; {VALID_SOURCES}")
        yield from features
        sent += len(features)
        stated = page.get("numberMatched", (page.get("context") or {}).get("matched"))
        announced = stated if isinstance(stated, int) else announced
        following = next((link for link in page.get("links") or [] if link.get("rel") == "next"), None)
        if following is None:
            break
        key = json.dumps([following.get("href"), following.get("body")], sort_keys=True)
        if key in requested:
            raise SceneError(
                f"searching {shown(source)}: page {len(requested) + 1} of the answer links back to an earlier one, so "
                "items may be missing; try again later, or use another provider"
            )
        requested.add(key)
        page = io.read_json(pystac.Link.from_dict(following), parameters=parameters)
    if announced is not None and sent < announced:
        raise SceneError(
            f"searching {shown(source)}: it announced {announced} items and sent {sent}; try again later, or use "
            "another provider",
            announced=announced,
            sent=sent,
        )


def _read_parquet(source: str) -> list[pystac.Item]:
    require_installed(_about(source), "parquet", "stac_geoparquet", kind=SceneError)
    import pyarrow
    from pyarrow import parquet
    from stac_geoparquet.arrow import stac_table_to_items

    try:
        table = parquet.read_table(pyarrow.BufferReader(_bytes(source)))
        return [_item(content, source) for content in stac_table_to_items(table)]
    except RemoteError as error:
        raise SceneError(f"{_about(source)}: {error}; check the URL and the network") from error
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise SceneError(f"{_about(source)}: not a stac-geoparquet file ({reason}); {VALID_SOURCES}") from error


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


def write_collection(path: Path, items: list[pystac.Item], removed: Counter[str], request: dict[str, Any]) -> None:
    """Write the items of a search; the file is complete or not written.

    Args:
        request: see `request_of`.

    Raises:
        OutputError: the file cannot be written.
    """
    about = {**request, "removed": dict(removed)}
    features = [_plain(item) for item in sorted(items, key=lambda item: (item.collection_id or "", item.id))]
    write_json(path, {"type": "FeatureCollection", "features": features, AGRIFM_MEMBER: about})


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
