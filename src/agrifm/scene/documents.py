"""Documents of catalogues, from disk and from servers: only within reach, only JSON, and only up to a size."""

import json
from typing import Any

import pystac

from agrifm.errors import SceneError
from agrifm.files import finite_or_none
from agrifm.redaction import shown
from agrifm.scene import limits
from agrifm.scene.reach import ANYWHERE, Reach, local_path
from agrifm.scene.remote import Check, RemoteError, Reply, accept, is_remote, request

VALID_SOURCES = (
    "give the path or URL of a catalog.json, a STAC API, an item collection (.json) or a stac-geoparquet file"
)


def about_catalog(source: str) -> str:
    """The beginning of messages about a catalogue."""
    return f"reading the STAC catalogue {shown(source) if is_remote(source) else source}"


def read_document(source: str, reach: Reach = ANYWHERE, body: Any = None, check: Check = accept) -> bytes:
    """The content of a file, or the answer of a server, to a POST request if there is a body.

    Args:
        source: path or URL.
        reach: which the source must be within.
        check: says what is wrong with an answer; see `remote.request`.

    Raises:
        SceneError: the source is out of reach or too large.
        RemoteError, OSError: it cannot be read.
    """
    reach.require(source)
    if not is_remote(source):
        path = local_path(source)
        if path.is_file() and path.stat().st_size > limits.MAX_DOCUMENT_BYTES:
            raise SceneError(f"{about_catalog(source)}: it has more than {limits.MAX_DOCUMENT_BYTES} bytes; divide it")
        return path.read_bytes()
    headers = {"Accept": "application/geo+json, application/json"}
    network = reach.network_for(source)
    if body is None:
        return request(source, headers=headers, network=network, check=check).body
    headers["Content-Type"] = "application/json"
    content = json.dumps(body).encode()
    return request(source, headers=headers, method="POST", body=content, network=network, check=check).body


def read_text(source: str, reach: Reach = ANYWHERE, body: Any = None) -> str:
    """A JSON document as text; a server that answers with something else is asked again."""
    content = read_document(source, reach, body, _is_not_json)
    return content.decode(json.detect_encoding(content))


def _is_not_json(reply: Reply) -> str | None:
    try:
        json.loads(reply.body)
    except (ValueError, RecursionError):
        return "not a JSON document"
    return None


def read_json(source: str) -> dict[str, Any]:
    """The JSON object at a path or URL that the user named.

    Raises:
        SceneError: it cannot be read, or is another kind of document.
    """
    try:
        content = finite_or_none(json.loads(read_text(source)))
    except RemoteError as error:
        raise SceneError(f"{about_catalog(source)}: {error}; check the URL and the network") from error
    except SceneError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, OSError) else "not a JSON document"
        raise SceneError(f"{about_catalog(source)}: {reason}; {VALID_SOURCES}") from error
    if not isinstance(content, dict):
        raise SceneError(
            f"{about_catalog(source)}: not a STAC document (a JSON {type(content).__name__}); {VALID_SOURCES}"
        )
    return content


class CatalogIo(pystac.stac_io.DefaultStacIO):
    """Read files, and servers through `remote`; the first document is what the user named."""

    def __init__(self, reach: Reach) -> None:
        super().__init__()
        self._reach = ANYWHERE
        self._next = reach

    def json_loads(self, txt: str, *_: Any, **__: Any) -> dict[str, Any]:
        return dict(finite_or_none(json.loads(txt)))

    def read_text_from_href(self, href: str, *_: Any, **__: Any) -> str:
        reach, self._reach = self._reach, self._next
        return read_text(href, reach)
