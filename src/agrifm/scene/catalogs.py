"""Items from wherever they stand: a STAC API, a static catalogue, an item collection or a stac-geoparquet file.

All of them are given by a path or a URL. What is read from a server comes through `remote`, with its retries.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import pystac

from agrifm.errors import SceneError
from agrifm.scene.remote import RemoteError, is_remote, request, shown

PAGE = 200
"""Items asked for on a page of a STAC API."""
PARQUET = (".parquet", ".geoparquet")
SENTENCE_END = (
    "give the path or URL of a catalog.json, a STAC API, an item collection (.json) or a stac-geoparquet file"
)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a STAC API; other catalogues are read whole."""

    collections: tuple[str, ...]
    bounds: tuple[float, float, float, float]
    """West, south, east, north, degrees."""
    start: date
    end: date


@dataclass
class Items:
    """What a catalogue holds."""

    items: list[pystac.Item]
    extra: dict[str, Any] = field(default_factory=dict)
    """Of an item collection, what it says beside its items."""


def read_items(source: str, wanted: Wanted) -> Items:
    """The items of a catalogue; of a STAC API, those in the box, the dates (a day more on each side) and collections.

    Args:
        source: path or URL.

    Raises:
        SceneError: it cannot be read, is no STAC, or does not give all that it announces.
    """
    if urlsplit(source).path.lower().endswith(PARQUET):
        return Items(_read_parquet(source))
    content = _read_json(source)
    kind = content.get("type")
    links = content.get("links") or []
    if kind == "FeatureCollection":
        extra = {key: value for key, value in content.items() if key not in ("type", "features", "links")}
        return Items([_item(feature, source) for feature in content.get("features") or []], extra)
    if "conformsTo" in content or any(isinstance(link, dict) and link.get("rel") == "search" for link in links):
        return Items([_item(feature, source) for feature in _search_api(source, wanted)])
    if kind in ("Catalog", "Collection") or "stac_version" in content:
        return Items(_walk(source))
    found = f"its type is {kind!r}" if kind else "it has no type"
    raise SceneError(f"{_about(source)}: it is no STAC ({found}); {SENTENCE_END}")


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
        raise SceneError(f"{_about(source)}: {error}; check the address and the network") from error
    except (OSError, ValueError) as error:
        reason = "it is no JSON" if isinstance(error, ValueError) else str(error)
        raise SceneError(f"{_about(source)}: {reason}; {SENTENCE_END}") from error
    if not isinstance(content, dict):
        raise SceneError(f"{_about(source)}: it is no STAC (a JSON {type(content).__name__}); {SENTENCE_END}")
    return content


def _item(content: Any, source: str) -> pystac.Item:
    """An item; its assets may be relative to the file that it was read from."""
    try:
        item = pystac.Item.from_dict(content, preserve_dict=False)
    except (pystac.STACError, pystac.STACTypeError, ValueError, TypeError, KeyError, AttributeError) as error:
        name = content.get("id") if isinstance(content, dict) else None
        raise SceneError(
            f"{_about(source)}: item {name!r} is no STAC item ({error}); repair it or take it out"
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
        raise SceneError(f"{_about(source)}: {error}; check the address and the network") from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, pystac.STACError, pystac.STACTypeError) as error:
        raise SceneError(f"{_about(source)}: {error}; {SENTENCE_END}") from error


class _Io(pystac.stac_io.DefaultStacIO):
    """Reads files, and servers through `remote`."""

    def read_text_from_href(self, href: str, *_: Any, **__: Any) -> str:
        return _bytes(href).decode()


def _search_api(source: str, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The features of all pages of a search.

    pystac-client words the search and the links to further pages; it would end without a word at an empty page that
    has a next one, and turn for ever where a page names itself, so the pages are turned here.
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
            warnings.simplefilter("ignore")  # APIs that do not state what they conform to are searched all the same
            client = Client.open(source, stac_io=io)
            links = [link.extra_fields.get("method", "GET") for link in client.get_links("search")]
            search = client.search(
                method="POST" if "POST" in links else "GET",
                collections=list(wanted.collections),
                bbox=wanted.bounds,
                datetime=f"{wanted.start - timedelta(1)}T00:00:00Z/{wanted.end + timedelta(1)}T23:59:59Z",
                limit=PAGE,
            )
            yield from _pages(io, search, source)
    except RemoteError as error:
        raise SceneError(
            f"searching {shown(source)}: {error}; try again later, or check that it has the collections "
            f"{', '.join(wanted.collections)}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError, pystac.STACError) as error:
        raise SceneError(f"searching {shown(source)}: its answer cannot be read ({error}); {SENTENCE_END}") from error


def _pages(io: Any, search: Any, source: str) -> Iterator[dict[str, Any]]:
    parameters = search.get_parameters()
    page = io.read_json(search.url, method=search.method, parameters=parameters)
    announced: int | None = None
    sent = 0
    asked: set[str] = set()
    while True:
        features = page.get("features")
        if not isinstance(features, list):
            raise SceneError(f"searching {shown(source)}: a page of its answer has no features; {SENTENCE_END}")
        yield from features
        sent += len(features)
        stated = page.get("numberMatched", (page.get("context") or {}).get("matched"))
        announced = stated if isinstance(stated, int) else announced
        following = next((link for link in page.get("links") or [] if link.get("rel") == "next"), None)
        if following is None:
            break
        key = json.dumps([following.get("href"), following.get("body")], sort_keys=True)
        if key in asked:
            raise SceneError(
                f"searching {shown(source)}: page {len(asked) + 1} of its answer leads back to an earlier one, so what "
                "it has cannot be known; try again later, or another provider"
            )
        asked.add(key)
        page = io.read_json(pystac.Link.from_dict(following), parameters=parameters)
    if announced is not None and sent < announced:
        raise SceneError(
            f"searching {shown(source)}: it announced {announced} items and sent {sent}; try again later, or another "
            "provider"
        )


def _read_parquet(source: str) -> list[pystac.Item]:
    try:
        from stac_geoparquet.arrow import stac_table_to_items
    except ImportError as error:
        raise SceneError(
            f"{_about(source)}: the library that reads stac-geoparquet is missing; install it with "
            "`pip install 'agrifm[parquet]'`"
        ) from error
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(pyarrow.BufferReader(_bytes(source)))
        return [_item(content, source) for content in stac_table_to_items(table)]
    except RemoteError as error:
        raise SceneError(f"{_about(source)}: {error}; check the address and the network") from error
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise SceneError(f"{_about(source)}: it is no stac-geoparquet file ({reason}); {SENTENCE_END}") from error
