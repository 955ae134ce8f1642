"""Servers that are slow, endless, huge or misleading: every request ends soon, in a sentence."""

import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.scenes import AREA
from tests.servers import Answer, Request, serving

from agrifm.errors import SceneError
from agrifm.scene import limits, remote
from agrifm.scene.catalogs import ApiQuery, read_items
from agrifm.scene.remote import RemoteError, request

QUERY = ApiQuery(("sentinel-2-c1-l2a",), AREA.bounds, date(2024, 5, 1), date(2024, 5, 31))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "FIRST_WAIT": 0.001, "MAX_TRIES": 2, "TIMEOUT": 0.5, "MAX_SECONDS": 0.5, "RATE_SECONDS": 0.1,
        "MAX_DOCUMENT_BYTES": 1_000_000, "MAX_FILE_BYTES": 1_000_000,
    }.items():  # fmt: skip
        monkeypatch.setattr(limits, name, value)


Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """A server that sends whatever this function sends; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve(connection: socket.socket) -> None:
        try:
            connection.recv(65536)
            while not stopped.is_set():
                talk(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def listen() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.json"
    finally:
        stopped.set()
        listener.close()


def after(head: bytes, piece: bytes, wait: float) -> Talk:
    """Send a head once per connection, then pieces with waits, for ever."""
    begun: set[int] = set()

    def talk(connection: socket.socket) -> None:
        if connection.fileno() not in begun:
            begun.add(connection.fileno())
            connection.sendall(head)
        time.sleep(wait)
        connection.sendall(piece)

    return talk


OK = b"HTTP/1.1 200 OK\r\n"
TALKS: dict[str, Callable[[], Talk]] = {
    "a byte at a time": lambda: after(OK + b"Content-Length: 100000\r\n\r\n", b"x", 0.02),
    "a byte at a time in chunks": lambda: after(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.02),
    "one slow chunk": lambda: after(OK + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n", b"x", 0.02),
    "slow headers": lambda: after(OK, b"a", 0.02),
    "endless headers": lambda: after(OK, b"a: b\r\n", 0.02),
    "a slow first line": lambda: after(b"HTTP", b"/", 0.02),
    "endless continues": lambda: after(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "an endless body": lambda: after(OK + b"\r\n", b"x" * 65536, 0.0),
    "endless chunks": lambda: after(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 32768 + b"\r\n", 0.0
    ),
    "a body that is fast enough but does not end": lambda: after(OK + b"\r\n", b"x" * 100, 0.02),
    "nothing": lambda: after(b"", b"", 0.1),
}


@pytest.mark.parametrize("name", TALKS)
def test_an_answer_that_does_not_end_is_ended(name: str) -> None:
    begun = time.monotonic()
    with talking(TALKS[name]()) as url, pytest.raises(RemoteError):
        request(url)
    assert time.monotonic() - begun < 4


def test_a_small_answer_that_takes_a_moment_is_read() -> None:
    with serving(lambda _: (200, {}, b"{}"), latency=0.3) as server:
        assert request(server.url).body == b"{}"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_an_answer_that_unpacks_to_gigabytes_is_refused(coding: str) -> None:
    content = gzip.compress(bytes(50_000_000), 1) if coding == "gzip" else zlib.compress(bytes(50_000_000))
    with serving(lambda _: (200, {"Content-Encoding": coding}, content)) as server:
        with pytest.raises(RemoteError):
            request(server.url)
        assert len(server.requests) <= limits.MAX_TRIES


def test_a_packed_answer_of_usual_size_is_unpacked() -> None:
    with serving(lambda _: (200, {"Content-Encoding": "gzip"}, gzip.compress(b'{"a": 1}'))) as server:
        assert request(server.url).body == b'{"a": 1}'


WAITS = {
    "nan": None, "NaN": None, "-5": None, "inf": None, "1e9": None, "": None, "soon": None, "0x10": None, "1_0": None,
    "9" * 400: "wait", "3600": "wait", "\u0663": None, "0": 0.0, "0.5": 0.5, "Mon, 01 Jan 1990 00:00:00 GMT": 0.0,
    "Mon, 99 Jan 2024 00:00:00 GMT": None, "Mon, 01 Jan 99999 00:00:00 GMT": None,
    "Fri, 01 Jan 2100 00:00:00 GMT": "wait",
}  # fmt: skip


@pytest.mark.parametrize("stated", WAITS)
def test_a_wait_is_a_number_of_seconds_or_a_date(stated: str) -> None:
    """None: ignored; "wait": too long to wait for."""
    expected = WAITS[stated]
    if expected == "wait":
        with pytest.raises(RemoteError) as error:
            remote._retry_after(stated, "HTTP 503", 7.0)
        assert len(str(error.value)) < 100
    else:
        assert remote._retry_after(stated, "HTTP 503", 7.0) == (7.0 if expected is None else expected)


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_a_date_to_wait_for_counts_by_the_clock_of_the_server(hours: int) -> None:
    """Clocks of servers and of this machine may differ by hours."""
    sent = datetime.now(UTC) + timedelta(hours=hours)
    stated, date_header = (format_datetime(moment, usegmt=True) for moment in (sent + timedelta(seconds=20), sent))
    assert remote._retry_after(stated, "HTTP 503", 7.0, date_header) == 20


def redirecting(target: str, status: int = 302) -> Callable[[Request], Answer]:
    return lambda asked: (status, {"Location": target}, b"") if asked.path == "/a" else (200, {}, b"reached")


TARGETS = (
    "file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/a", "s3://bucket/a", "//169.254.169.254/a",
    "http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/a", "http://[::ffff:169.254.169.254]/", "http://0/",
    "data:text/plain,a", "javascript:1", "http://[", "http://127.0.0.1:99999/a",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_a_redirect_to_elsewhere_is_not_followed(target: str) -> None:
    with serving(redirecting(target)) as server, pytest.raises(RemoteError):
        request(f"{server.url}/a")


def test_a_redirect_on_one_server_is_followed() -> None:
    with serving(redirecting("/b")) as server:
        assert request(f"{server.url}/a").body == b"reached"


def test_redirects_in_a_circle_end() -> None:
    with serving(lambda _: (302, {"Location": "/a"}, b"")) as server:
        with pytest.raises(RemoteError):
            request(f"{server.url}/a")
        assert len(server.requests) == limits.MAX_REDIRECTS + 1


def test_a_public_server_does_not_redirect_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda _: (200, {}, b"secret")) as inner, serving(redirecting(inner.url)) as server:
        assert request(f"{server.url}/a").body == b"secret"  # both are on this machine
        monkeypatch.setattr(remote, "network_of", lambda _: "public")
        with pytest.raises(RemoteError):
            request(f"{server.url}/a")


def test_a_name_that_leads_to_this_machine_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it leads elsewhere when it is looked up first, and to this machine when the connection is made."""
    with serving(lambda _: (200, {}, b"secret")) as server:
        url = server.url.replace("127.0.0.1", "rebinding.example.org")
        real = socket.getaddrinfo

        def resolve(host: Any, *args: Any, **settings: Any) -> Any:
            return real("127.0.0.1" if host == "rebinding.example.org" else host, *args, **settings)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with pytest.raises(RemoteError):
            request(url, network="public")
        monkeypatch.setattr("agrifm.scene.connections._addresses", lambda _: ("8.8.8.8",))
        with pytest.raises(RemoteError):
            request(url, network="public")
        assert not server.requests
        assert request(url).body == b"secret"


def test_a_redirect_carries_no_secret_to_another_server() -> None:
    headers = {"Authorization": "Bearer planted", "Cookie": "a=planted", "Ocp-Apim-Subscription-Key": "planted"}
    with serving(lambda _: (200, {}, b"")) as other, serving(redirecting(f"{other.url}/b")) as server:
        request(
            f"{server.url}/a", lambda href, renew: (href, {"X-Signature": "planted"}), {**headers, "Range": "bytes=0-1"}
        )
        assert "planted" in str(server.requests[0].headers)
        assert "planted" not in str(other.requests[0].headers)
        assert other.requests[0].headers["range"] == "bytes=0-1"


DOCUMENTS: dict[str, bytes] = {
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"type":' * 100_000 + b"1" + b"}" * 100_000,
    "a deep item": json.dumps({"type": "FeatureCollection", "features": [{}]}).encode().replace(
        b"{}", b'{"a":' * 600 + b"1" + b"}" * 600
    ),
    "a page": b"<html>log in</html>",
    "an error": b'{"code": 500, "description": "busy"}',
    "a list": b"[]",
    "a long number": b'{"type": ' + b"1" * 10_000 + b"}",
    "nothing": b"",
    "bytes": bytes(range(256)),
    "too long": b'{"type": "' + b"x" * 2_000_000 + b'"}',
    "features that are numbers": b'{"type": "FeatureCollection", "features": [1, null, "a"]}',
    "features that are an object": b'{"type": "FeatureCollection", "features": {"a": 1}}',
    "links that are numbers": b'{"type": "Catalog", "stac_version": "1.0.0", "id": "a", "links": [1, null]}',
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("place", ["server", "disk"])
def test_a_document_that_is_not_a_catalogue_is_refused(name: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(DOCUMENTS[name])
    with serving(lambda _: (200, {}, DOCUMENTS[name])) as server, pytest.raises(SceneError) as error:
        read_items(server.url if place == "server" else str(tmp_path / "a.json"), QUERY)
    assert "\n" not in str(error.value)


def test_a_page_that_comes_instead_of_a_document_is_asked_for_again() -> None:
    bodies = [b"<html>busy</html>", b'{"type": "FeatureCollection", "features": []}']
    with serving(lambda _: (200, {}, bodies.pop(0))) as server:
        assert read_items(server.url, QUERY).items == []


def test_a_search_whose_pages_do_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PAGES", 5)
    count = iter(range(1000))

    def answer(asked: Request) -> Answer:
        root = f"http://{asked.headers['host']}"
        if asked.path == "/search":
            links = [{"rel": "next", "href": f"{root}/search?page={next(count)}"}]
            return 200, {}, json.dumps({"type": "FeatureCollection", "features": [], "links": links}).encode()
        landing = {
            "type": "Catalog", "id": "x", "description": "x", "stac_version": "1.0.0",
            "conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"],
            "links": [{"rel": "search", "href": f"{root}/search", "method": "GET"}],
        }  # fmt: skip
        return 200, {}, json.dumps(landing).encode()

    with serving(answer) as server, pytest.raises(SceneError):
        read_items(server.url, QUERY)
    assert next(count) < 20
