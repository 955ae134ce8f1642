"""Servers on this machine: files by range requests, with latency and planted faults; and a STAC API."""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pystac
from shapely.geometry import shape

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Request:
    """One request that a server received."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Server:
    """A running server: its URL, the requests it received, and the faults that it will make.

    A fault is taken from the list per request, before the answer: an HTTP status with headers; "reset", a connection
    broken off; "truncate", a body cut short; "slow", an answer that comes after half a second; None, no fault. When
    the list is empty, `always` is the fault of every request.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    always: Any = None
    latency: float = 0.0
    """Seconds before every answer."""
    most_at_once: int = 0
    """Largest number of concurrent requests."""
    connections: int = 0
    """Connections that are open, used or not."""
    most_connections: int = 0
    """Largest number of open connections."""
    items: list[dict[str, Any]] = field(default_factory=list)
    """Items of the STAC API; may be changed while it runs."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    _in_work: int = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count a request while it is processed."""
        with self.lock:
            self._in_work += 1
            self.most_at_once = max(self.most_at_once, self._in_work)
        try:
            yield
        finally:
            with self.lock:
                self._in_work -= 1

    def next_fault(self) -> Any:
        with self.lock:
            return self.faults.pop(0) if self.faults else self.always

    @property
    def ranges(self) -> list[str]:
        """The Range headers of the requests, in order."""
        return [request.headers.get("range", "") for request in self.requests]


@contextmanager
def serving(answer: Callable[[Request], Answer], latency: float = 0.0) -> Iterator[Server]:
    """Run a server with these answers until the block ends."""
    server = Server(latency=latency)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            with server.lock:
                server.connections += 1
                server.most_connections = max(server.most_connections, server.connections)

        def finish(self) -> None:
            with server.lock:
                server.connections -= 1
            super().finish()

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            request = Request(self.command, unquote(parts.path), query, headers, body)
            with server.lock:
                server.requests.append(request)
            fault = server.next_fault()
            with server.counting():
                time.sleep(server.latency + (0.5 if fault == "slow" else 0))
            if fault == "reset":
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            status, more, content = answer(request) if not isinstance(fault, tuple) else (*fault, b"a fault")
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if fault == "truncate":
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_HEAD = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def files_in(directory: Path, allowed: Callable[[Request], bool] = lambda _: True) -> Callable[[Request], Answer]:
    """Answer with the files of a directory, complete or the requested range; 403 if not allowed."""

    def answer(request: Request) -> Answer:
        if not allowed(request):
            return 403, {}, b"<Error>signature expired</Error>"
        path = directory / request.path.lstrip("/")
        if not path.is_file():
            return 404, {}, b"not here"
        with path.open("rb") as file:  # content and tag of one file, even if it is replaced now
            content, changed = file.read(), os.fstat(file.fileno()).st_mtime_ns
        tag = {"ETag": f'"{changed}"', "Accept-Ranges": "bytes"}
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if match is None:
            return 200, tag, content
        start, end = int(match[1]), min(int(match[2]) + 1, len(content))
        if start >= len(content):
            return 416, {**tag, "Content-Range": f"bytes */{len(content)}"}, b""
        return 206, {**tag, "Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}, content[start:end]

    return answer


@contextmanager
def serving_files(directory: Path, latency: float = 0.0) -> Iterator[Server]:
    """Run a server of the files in a directory."""
    with serving(files_in(directory), latency) as server:
        yield server


def stac_api(
    items: Sequence[dict[str, Any]], page: int = 2, method: str = "GET", root: Callable[[], str] = lambda: ""
) -> Callable[[Request], Answer]:
    """Answer as a STAC API (1.0.0, item search) with these items: bbox, datetime, collections and pages.

    Args:
        page: most items on a page, whatever is asked for.
        method: how the next page is to be asked for, GET (a URL) or POST (a body).
        root: the server's address.
    """
    collections = sorted({item["collection"] for item in items})

    def landing() -> dict[str, Any]:
        return {
            "type": "Catalog",
            "id": "made",
            "description": "made for a test",
            "stac_version": "1.0.0",
            "conformsTo": [
                "https://api.stacspec.org/v1.0.0/core",
                "https://api.stacspec.org/v1.0.0/item-search",
                "https://api.stacspec.org/v1.0.0/collections",
            ],
            "links": [
                {"rel": "self", "href": root(), "type": "application/json"},
                {"rel": "root", "href": root(), "type": "application/json"},
                {"rel": "data", "href": f"{root()}/collections", "type": "application/json"},
                *(
                    {"rel": "search", "href": f"{root()}/search", "type": "application/geo+json", "method": own}
                    for own in ("GET", "POST")
                ),
            ],
        }

    def search(wanted: dict[str, Any]) -> dict[str, Any]:
        found = [item for item in items if matches(item, wanted)]
        start = int(wanted.get("token", 0))
        links = []
        if start + page < len(found):
            more = {**wanted, "token": start + page}
            if method == "POST":
                links = [{"rel": "next", "href": f"{root()}/search", "method": "POST", "body": more}]
            else:
                text = {
                    key: ",".join(map(str, value)) if isinstance(value, list) else value for key, value in more.items()
                }
                links = [{"rel": "next", "href": f"{root()}/search?{urlencode(text)}", "method": "GET"}]
        return {"type": "FeatureCollection", "features": found[start : start + page], "links": links}

    def answer(request: Request) -> Answer:
        if request.path in ("", "/"):
            content = landing()
        elif request.path == "/search":
            content = search(json.loads(request.body) if request.method == "POST" else as_lists(request.query))
        elif request.path == "/collections":
            content = {"collections": [{"type": "Collection", "id": name} for name in collections], "links": []}
        else:
            return 404, {}, b"{}"
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()

    return answer


@contextmanager
def serving_season(
    catalog: Path,
    latency: float = 0.0,
    assets: str | None = None,
    allowed: Callable[[Request], bool] = lambda _: True,
    more: Callable[[Request], Answer] | None = None,
    alter: "Lie | None" = None,
    seen_as: str | None = None,
) -> Iterator[Server]:
    """Run a STAC API of a static catalogue's items, whose assets it serves below /files.

    Args:
        assets: where the assets are instead, such as s3://bucket.
        allowed: which requests of assets are answered.
        more: answers requests below /more, such as those of a token service.
        alter: changes every answer about an asset.
        seen_as: the address that items and pages state, such as that of a proxy; by default the server's.
    """
    directory = catalog.parent.resolve()
    files = files_in(directory, allowed)
    api: list[Callable[[Request], Answer]] = []

    def answer(request: Request) -> Answer:
        if request.path.startswith("/files/"):
            whole = files(replace(request, path=request.path.removeprefix("/files")))
            return whole if alter is None else alter(request, *whole)
        if request.path.startswith("/more/") and more is not None:
            return more(request)
        return api[0](request)

    with serving(answer, latency) as server:
        address = seen_as or server.url
        for item in pystac.Catalog.from_file(catalog).get_items(recursive=True):
            item.make_asset_hrefs_absolute()
            for asset in item.assets.values():
                asset.href = asset.href.replace(str(directory), assets or f"{address}/files")
            content = item.to_dict(include_self_link=False, transform_hrefs=False)
            content["bbox"] = content.get("bbox") or list(shape(content["geometry"]).bounds)
            content["links"] = [{"rel": "self", "href": f"{address}/items/{item.id}"}]
            server.items.append(content)
        api.append(stac_api(server.items, page=5, root=lambda: address))
        yield server


def as_lists(query: dict[str, str]) -> dict[str, Any]:
    """The query of a GET request as the body of a POST request."""
    wanted: dict[str, Any] = dict(query)
    if "bbox" in wanted:
        wanted["bbox"] = [float(number) for number in query["bbox"].split(",")]
    if "collections" in wanted:
        wanted["collections"] = query["collections"].split(",")
    return wanted


def matches(item: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Return True if an item is in the requested collections, box and time."""
    if "collections" in wanted and item["collection"] not in wanted["collections"]:
        return False
    if "bbox" in wanted and item.get("bbox"):
        west, south, east, north = wanted["bbox"]
        left, bottom, right, top = item["bbox"]
        if left > east or right < west or bottom > north or top < south:
            return False
    if "datetime" in wanted:
        first, _, last = wanted["datetime"].partition("/")
        properties = item["properties"]
        start = moment(properties.get("start_datetime") or properties["datetime"])
        end = moment(properties.get("end_datetime") or properties["datetime"])
        if end < moment(first) or start > moment(last or first):
            return False
    return True


def moment(text: str) -> datetime:
    """A moment as STAC writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


Lie = Callable[[Request, int, dict[str, str], bytes], Answer]
"""Makes an answer wrong: of the request, the status, the headers and the body."""


def lying(whole: Callable[[Request], Answer], lie: Lie, times: int, place: int = 0) -> Callable[[Request], Answer]:
    """Answer with `whole`, but wrongly `times` in a row from the request with the number `place` on."""
    seen: list[Request] = []
    lock = threading.Lock()

    def answer(request: Request) -> Answer:
        with lock:
            seen.append(request)
            number = len(seen) - 1
        status, headers, body = whole(request)
        return lie(request, status, headers, body) if place <= number < place + times else (status, headers, body)

    return answer
