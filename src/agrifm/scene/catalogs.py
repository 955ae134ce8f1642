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
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

import pystac
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from agrifm.errors import OutputError, SceneError, doing, require_installed
from agrifm.files import write_json
from agrifm.redaction import shown
from agrifm.scene import limits
from agrifm.scene.documents import VALID_SOURCES, CatalogIo, about_catalog, read_document, read_json, read_text
from agrifm.scene.reach import ANYWHERE, Reach
from agrifm.scene.remote import RemoteError, is_remote
from agrifm.season import Season

PAGE_SIZE = 200
"""Items per page of a STAC API."""
PARQUET_SUFFIXES = (".parquet", ".geoparquet")
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


_NOT_STAC = (pystac.STACError, pystac.STACTypeError, ValueError, TypeError, KeyError, AttributeError)
"""What pystac raises for documents that are not STAC."""


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


def read_items(source: str, query: ApiQuery, reach: Reach | None = None) -> CatalogItems:
    """Read the items of a catalogue; of a STAC API, those of the query, with one more day on each side.

    Args:
        source: path or URL, which the user names.
        reach: where its links and pages may lead; by default `Reach.of` the source.

    Raises:
        SceneError: the catalogue cannot be read, leads out of reach, is not STAC, or sends fewer items than it
            announces.
    """
    with doing(about_catalog(source), SceneError, VALID_SOURCES):
        return _read_items(source, query, reach or Reach.of(source))


def _read_items(source: str, query: ApiQuery, reach: Reach) -> CatalogItems:
    if source.partition("?")[0].lower().endswith(PARQUET_SUFFIXES):
        return CatalogItems(_read_parquet(source))
    content = read_json(source)
    kind = content.get("type")
    links = content.get("links") or []
    if kind == "FeatureCollection":
        extra = {key: value for key, value in content.items() if key not in ("type", "features", "links")}
        return CatalogItems([_item(feature, source) for feature in content.get("features") or []], extra)
    if "conformsTo" in content or any(isinstance(link, dict) and link.get("rel") == "search" for link in links):
        return CatalogItems([_item(feature, source) for feature in _search_api(source, query, reach)])
    if kind in ("Catalog", "Collection") or "stac_version" in content:
        return CatalogItems(_walk(source, reach))
    what = f"its type is {kind!r}" if kind else "it has no type"
    raise SceneError(f"{about_catalog(source)}: not a STAC document ({what}); {VALID_SOURCES}")


def _item(content: Any, source: str) -> pystac.Item:
    """An item; URLs of its assets may be relative to the file that it comes from."""
    try:
        item = pystac.Item.from_dict(content, preserve_dict=False)
    except (*_NOT_STAC, RecursionError) as error:
        name = content.get("id") if isinstance(content, dict) else None
        raise SceneError(
            f"{about_catalog(source)}: item {name!r} is not a valid STAC item ({error}); repair or remove it"
        ) from error
    if item.get_self_href() is None and any(not _is_absolute(asset.href) for asset in item.assets.values()):
        name = f"{quote(item.id, safe='')}.json"
        item.set_self_href(urljoin(source, name) if is_remote(source) else str(Path(source).resolve().parent / name))
    return item


def _is_absolute(href: str) -> bool:
    return bool(urlsplit(href).scheme) or Path(href).is_absolute()


def _walk(source: str, reach: Reach) -> list[pystac.Item]:
    """All items of a static catalogue, in the order of its links; one that is linked twice is read once."""
    items: list[pystac.Item] = []
    seen: set[str | None] = set()
    try:
        waiting = [pystac.Catalog.from_file(source, stac_io=CatalogIo(reach))]
        while waiting:
            catalogue = waiting.pop()
            if catalogue.get_self_href() in seen:
                continue
            seen.add(catalogue.get_self_href())
            items += catalogue.get_items()
            waiting += reversed(list(catalogue.get_children()))
            if len(items) > limits.MAX_ITEMS or len(seen) > limits.MAX_PAGES:
                raise SceneError(
                    f"{about_catalog(source)}: it has more than {limits.MAX_ITEMS} items; use a part of it"
                )
        return items
    except RemoteError as error:
        raise SceneError(f"{about_catalog(source)}: {error}; check the URL and the network") from error
    except SceneError:
        raise
    except (OSError, *_NOT_STAC, RecursionError) as error:
        raise SceneError(f"{about_catalog(source)}: {error}; {VALID_SOURCES}") from error


def _search_api(source: str, query: ApiQuery, reach: Reach) -> Iterator[dict[str, Any]]:
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
                href += f"{'&' if '?' in href else '?'}{query}" if query else ""
                return read_text(href, ANYWHERE if href == source else reach)
            return read_text(href, reach, parameters or {})

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
    except SceneError:
        raise
    except (*_NOT_STAC, NotImplementedError, RecursionError) as error:
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
        if len(requested) > limits.MAX_PAGES or sent > limits.MAX_ITEMS:
            raise SceneError(f"searching {shown(source)}: the answer does not end; use another provider", sent=sent)
        page = io.read_json(pystac.Link.from_dict(following), parameters=parameters)
    if announced is not None and sent < announced:
        raise SceneError(
            f"searching {shown(source)}: it announced {announced} items and sent {sent}; try again later, or use "
            "another provider",
            announced=announced,
            sent=sent,
        )


def _read_parquet(source: str) -> list[pystac.Item]:
    require_installed(about_catalog(source), "parquet", "stac_geoparquet", kind=SceneError)
    import pyarrow
    from pyarrow import parquet
    from stac_geoparquet.arrow import stac_table_to_items

    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(read_document(source)))
        about = file.metadata
        unpacked = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        if unpacked > limits.MAX_FILE_BYTES or about.num_rows > limits.MAX_ITEMS:
            raise SceneError(
                f"{about_catalog(source)}: it unpacks to {about.num_rows} items of {unpacked} bytes; divide it"
            )
        table = file.read()
        return [_item(content, source) for content in stac_table_to_items(table)]
    except RemoteError as error:
        raise SceneError(f"{about_catalog(source)}: {error}; check the URL and the network") from error
    except SceneError:
        raise
    except (OSError, *_NOT_STAC, RecursionError, pyarrow.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise SceneError(f"{about_catalog(source)}: not a stac-geoparquet file ({reason}); {VALID_SOURCES}") from error


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
        OutputError: the file cannot be written, or is a document that agrifm did not write.
    """
    if _is_of_others(path):
        raise OutputError(
            f"writing the scenes found to {path}: the file exists, and agrifm did not write it; rename it", path=path
        )
    about = {**request, "removed": dict(removed)}
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
