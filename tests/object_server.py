"""An S3 server on this machine (moto), and a client that dies at a chosen request that changes something."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

import pytest

from agrifm import object_store

BUCKET = "season"
KEYS = {"AWS_ACCESS_KEY_ID": "key-of-nobody", "AWS_SECRET_ACCESS_KEY": "secret-of-nobody", "AWS_REGION": "us-east-1"}


@dataclass
class ObjectServer:
    """A running server: its URL, and the methods and paths of the requests that it received.

    A PUT that copies an object within the store is called COPY.
    """

    url: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    sent_bytes: int = 0
    """Bytes that clients sent, without headers."""
    received_bytes: int = 0
    """Bytes that clients received, without headers."""
    at_write: Callable[[str], None] = lambda moment: None
    """Called before ("before") and after ("after") each request that changes something."""

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url}

    @property
    def sent(self) -> list[str]:
        """Paths of the objects that were written, in order."""
        return [path for method, path in self.requests if method == "PUT"]

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """For a while the keys have no rights."""
        self._requests_without_keys(b"0")
        try:
            yield
        finally:
            self._requests_without_keys(b"inf")

    def _requests_without_keys(self, count: bytes) -> None:
        body = Request(f"{self.url}/moto-api/reset-auth", count, {"Content-Type": "text/plain"}, method="POST")
        urlopen(body).close()


@contextmanager
def serving_objects() -> Iterator[ObjectServer]:
    """A server with an empty bucket."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto.server")
    from moto.moto_server.threaded_moto_server import MotoRequestHandler
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        def log(self, *_: object) -> None:
            """Write no lines."""

    backend = DomainDispatcherApplication(create_backend_app)
    server = ObjectServer("")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        is_copy = "HTTP_X_AMZ_COPY_SOURCE" in environ
        server.requests.append(("COPY" if is_copy else method, path))
        server.sent_bytes += int(environ.get("CONTENT_LENGTH") or 0)
        if method in ("GET", "HEAD"):
            answer = list(backend(environ, start_response))
            server.received_bytes += sum(map(len, answer)) * (method == "GET")
            return answer
        server.at_write("before")
        answer = list(backend(environ, start_response))
        server.at_write("after")
        return answer

    running = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    server.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        urlopen(Request(f"{server.url}/{BUCKET}", method="PUT")).close()
        server.requests.clear()
        yield server
    finally:
        urlopen(Request(f"{server.url}/moto-api/reset", method="POST")).close()
        running.shutdown()
        thread.join()
        running.server_close()


class Died(BaseException):
    """The process has ended, as far as the store can see."""


class MortalClient:
    """A client that dies at its n-th request that changes something, before or after the store has done it."""

    def __init__(self, client: Any, life: dict[str, Any]) -> None:
        self.client, self.life = client, life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        return method if name not in ("put", "copy", "delete") else lambda *args, **more: self._do(method, args, more)

    def _do(self, method: Any, args: Any, more: Any) -> Any:
        with self.life["lock"]:
            if self.life["left"] <= 0:
                raise Died
            self.life["left"] -= 1
            if self.life["left"] > 0:
                return method(*args, **more)
            if self.life["moment"] == "after":
                method(*args, **more)
            raise Died


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, requests: int, moment: str) -> Iterator[dict[str, Any]]:
    """While this process works, it dies at a request; afterwards it lives again."""
    life = {"left": requests, "moment": moment, "lock": threading.Lock()}
    bucket = object_store._bucket
    with monkeypatch.context() as patch:
        patch.setattr(object_store, "_bucket", lambda name: MortalClient(bucket(name), life))
        yield life
