"""STAC catalogues: read the items of an API, a static catalogue, an item collection or a stac-geoparquet file.

All of them are given by a path or a URL; servers are read through `remote`, with its retries.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import pystac

from agrifm.errors import SceneError, doing, require_installed
from agrifm.redaction import shown
from agrifm.scene import limits
from agrifm.scene.documents import VALID_SOURCES, CatalogIo, about_catalog, read_document, read_json, read_text
from agrifm.scene.reach import ANYWHERE, Reach
from agrifm.scene.remote import RemoteError, is_remote
from agrifm.scene.unusable import HOPELESS, Unusable, one_error

PAGE_SIZE = 200
"""Items per page of a STAC API."""
PARQUET_SUFFIXES = (".parquet", ".geoparquet")


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

    items: list[pystac.Item] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    """Other members of an item collection."""
    unusable: Unusable = field(default_factory=Unusable)
    """What cannot be read as an item."""

    def add(self, content: Any, source: str) -> None:
        """Add an item of the catalogue at a path or URL.

        Raises:
            SceneError: it is another kind of JSON, so the document does not list items.
        """
        if not isinstance(content, dict):
            raise SceneError(
                f"{about_catalog(source)}: it lists a {type(content).__name__}, not items; {VALID_SOURCES}"
            )
        try:
            self.items.append(_item(content, source))
        except SceneError as error:
            self.unusable.add(str(content.get("id") or "an item without an id"), error)


def read_items(source: str, query: ApiQuery, reach: Reach | None = None) -> CatalogItems:
    """Read the items of a catalogue; of a STAC API, those of the query, with one more day on each side.

    Args:
        source: path or URL, which the user names.
        reach: where its links and pages may lead; by default `Reach.of` the source.

    Raises:
        SceneError: the catalogue cannot be read, leads out of reach, is not STAC, or sends fewer items than it
            announces. Single items that cannot be read are `unusable` of the result.
    """
    with doing(about_catalog(source), SceneError, VALID_SOURCES):
        return _read_items(source, query, reach or Reach.of(source))


def _read_items(source: str, query: ApiQuery, reach: Reach) -> CatalogItems:
    found = CatalogItems()
    if source.partition("?")[0].lower().endswith(PARQUET_SUFFIXES):
        for item in _read_parquet(source):
            found.add(item, source)
        return found
    content = read_json(source)
    kind = content.get("type")
    links = content.get("links") or []
    if kind == "FeatureCollection":
        found.extra |= {key: value for key, value in content.items() if key not in ("type", "features", "links")}
        for feature in content.get("features") or []:
            found.add(feature, source)
        return found
    if "conformsTo" in content or any(isinstance(link, dict) and link.get("rel") == "search" for link in links):
        for feature in _search_api(source, query, reach):
            found.add(feature, source)
        return found
    if kind in ("Catalog", "Collection") or "stac_version" in content:
        return _walk(source, reach)
    what = f"its type is {kind!r}" if kind else "it has no type"
    raise SceneError(f"{about_catalog(source)}: not a STAC document ({what}); {VALID_SOURCES}")


def _item(content: dict[str, Any], source: str) -> pystac.Item:
    """An item; URLs of its assets may be relative to the file that it comes from."""
    try:
        item = pystac.Item.from_dict(content, preserve_dict=False)
    except (*_NOT_STAC, RecursionError) as error:
        raise SceneError(
            f"{about_catalog(source)}: item {content.get('id')!r} is not a valid STAC item ({error}); repair or remove "
            "it"
        ) from error
    if item.get_self_href() is None and any(not _is_absolute(asset.href) for asset in item.assets.values()):
        name = f"{quote(item.id, safe='')}.json"
        item.set_self_href(urljoin(source, name) if is_remote(source) else str(Path(source).resolve().parent / name))
    return item


def _is_absolute(href: str) -> bool:
    return bool(urlsplit(href).scheme) or Path(href).is_absolute()


def _walk(source: str, reach: Reach) -> CatalogItems:
    """All items of a static catalogue, in the order of its links; one that is linked twice is read once."""
    found = CatalogItems()
    seen: set[str | None] = set()
    try:
        waiting = [pystac.Catalog.from_file(source, stac_io=CatalogIo(reach))]
        while waiting:
            catalogue = waiting.pop()
            if catalogue.get_self_href() in seen:
                continue
            seen.add(catalogue.get_self_href())
            for link in catalogue.get_item_links():
                _follow(link, catalogue, found)
            waiting += reversed(list(catalogue.get_children()))
            if len(found.items) > limits.MAX_ITEMS or len(seen) > limits.MAX_PAGES:
                raise SceneError(
                    f"{about_catalog(source)}: it has more than {limits.MAX_ITEMS} items; use a part of it"
                )
        return found
    except RemoteError as error:
        raise SceneError(f"{about_catalog(source)}: {error}; check the URL and the network") from error
    except SceneError:
        raise
    except (OSError, *_NOT_STAC, RecursionError) as error:
        raise SceneError(f"{about_catalog(source)}: {error}; {VALID_SOURCES}") from error


def _follow(link: pystac.Link, catalogue: pystac.Catalog, found: CatalogItems) -> None:
    """Add the item that a link leads to; if none of the first could be read, no more are tried."""
    name = link.get_absolute_href() or str(link.href)
    remedy = "check the network, or repair the item" if is_remote(name) else "repair the item, or remove the link to it"
    try:
        with doing(f"reading the STAC item {shown(name) if is_remote(name) else name}", SceneError, remedy):
            try:
                item = link.resolve_stac_object(root=catalogue.get_root()).target
            except pystac.STACError as error:  # it says that there is no item, and not why
                raise error.__cause__ or error from None
            if not isinstance(item, pystac.Item):
                raise ValueError(f"it is a {type(item).__name__}, not an item")
            found.items.append(item)
    except SceneError as error:
        found.unusable.add(name, error)
        if len(found.unusable.errors) >= HOPELESS and not found.items:
            raise one_error(found.unusable.errors) from error


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


def _read_parquet(source: str) -> list[dict[str, Any]]:
    """The items of a stac-geoparquet file as JSON."""
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
        return list(stac_table_to_items(table))
    except RemoteError as error:
        raise SceneError(f"{about_catalog(source)}: {error}; check the URL and the network") from error
    except SceneError:
        raise
    except (OSError, *_NOT_STAC, RecursionError, pyarrow.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise SceneError(f"{about_catalog(source)}: not a stac-geoparquet file ({reason}); {VALID_SOURCES}") from error
