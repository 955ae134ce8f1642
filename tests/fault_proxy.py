"""A TCP proxy on this machine that stands before a server and plants faults in a seeded share of its answers."""

import os
import random
import re
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import BinaryIO, NamedTuple
from urllib.parse import urlsplit

STATUSES = {"500": (), "503": (), "429 with Retry-After": (("Retry-After", "0"),)}
"""Answers instead of the server's, with headers."""
BROKEN = ("reset", "reset in the body", "truncated", "time-out", "stalled in the body", "slow drip")
"""Connections that fail."""
WRONG = ("wrong range", "HTML with 200", "HTML as a file", "another version")
"""Answers that are not what was asked for."""
REPLACED = "replaced"
"""No fault of the answer: the file is replaced before it is asked for."""
FAULTS = (*STATUSES, *BROKEN, *WRONG, REPLACED)
RANGED = ("wrong range", "another version", REPLACED)
"""Faults of requests for a part of a file only."""
PAGE = b"<!DOCTYPE html><html><body>The service is busy.</body></html>"


class Reply(NamedTuple):
    """An answer on its way."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Asked(NamedTuple):
    """A request on its way."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def range(self) -> tuple[int, int] | None:
        """First and last byte that are asked for."""
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return None if match is None else (int(match[1]), int(match[2]))

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


Choice = Callable[[Asked, int], Sequence[str]]
"""The faults that a request may have that was seen so many times before; it has the rarest one that is possible."""


def no_faults(asked: Asked, seen: int) -> Sequence[str]:
    """Let every request through."""
    return ()


@dataclass
class FaultProxy:
    """A proxy that runs: its URL, the server behind it, and what it did."""

    url: str = ""
    upstream: str = ""
    choose: Choice = no_faults
    replace: Callable[[str], bool] = lambda path: False
    """Replaces the file of a path on the server; False if it was replaced before."""
    earlier: Callable[[str], bytes | None] = lambda path: None
    """The content of a path before it was replaced; None if it is unknown."""
    stall: float = 60.0
    """Longest time that a connection waits without an answer, seconds; it ends when the client leaves."""
    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """Number of faults by kind."""
    seen: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Number of requests by method, path, range and body."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault_of(self, asked: Asked) -> str | None:
        """Choose and count the fault of a request."""
        with self.lock:
            key = asked.method, asked.target, asked.headers.get("range", ""), asked.body.decode()
            kinds = sorted(self.choose(asked, self.seen[key]), key=lambda kind: self.faults[kind])
            fault = next((kind for kind in kinds if self.is_possible(kind, asked)), None)
            self.seen[key] += 1
            self.requests += 1
            if fault is not None:
                self.faults[fault] += 1
            return fault

    def is_possible(self, kind: str, asked: Asked) -> bool:
        """Whether a request can have a fault; one that can be replaced is."""
        if kind in RANGED and asked.range is None:
            return False
        if kind == REPLACED:
            return self.replace(asked.path)
        # the beginning is of the file as it is now: who sees nothing but the other version cannot notice it
        return kind != "another version" or (asked.range[0] > 0 and self.earlier(asked.path) is not None)

    def begin(self, choose: Choice) -> None:
        """Count anew, with other faults."""
        with self.lock:
            self.choose, self.requests = choose, 0
            self.faults.clear()
            self.seen.clear()

    @property
    def repeated(self) -> int:
        """Requests that were made before: retries, and second readings."""
        return self.requests - len(self.seen)

    def account(self) -> str:
        """One line: requests, faults by kind and in all."""
        total, kinds = self.faults.total(), ", ".join(f"{kind} {self.faults[kind]}" for kind in FAULTS)
        share = 100 * total / max(1, self.requests)
        return f"{self.requests} requests, {self.repeated} of them repeated, {total} faults ({share:.1f} %): {kinds}"


def always(kinds: Mapping[str, str]) -> Choice:
    """Plant the same fault in every request for a file, by the end of its path."""

    def choose(asked: Asked, seen: int) -> Sequence[str]:
        return [kind for end, kind in kinds.items() if asked.path.endswith(end)]

    return choose


def share_of_requests(share: float, seed: int, kinds: Sequence[str] = FAULTS) -> Choice:
    """Plant faults in this share of all requests, the kinds about equally often.

    Which requests fail depends on them and on how often they were made, not on the order of threads.
    """

    def choose(asked: Asked, seen: int) -> Sequence[str]:
        where = urlsplit(asked.target)
        body = re.sub(r"127\.0\.0\.1:\d+", "", asked.body.decode())  # the port differs from run to run
        query = re.sub(r"127\.0\.0\.1%3A\d+", "", where.query)
        dice = random.Random(f"{seed} {asked.method} {where.path} {query} {asked.headers.get('range')} {body} {seen}")
        return () if dice.random() >= share else dice.sample(kinds, len(kinds))

    return choose


@contextmanager
def faulty(upstream: str = "") -> Iterator[FaultProxy]:
    """Run a proxy before a server until the block ends; the server may be named later."""
    proxy = FaultProxy(upstream=upstream)
    stopped = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        proxy.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def listen() -> None:
            while not stopped.is_set():
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_serve, args=(proxy, client, stopped), daemon=True).start()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            stopped.set()
            with suppress(OSError):
                socket.create_connection(listener.getsockname(), 1).close()  # wakes `accept`
            thread.join(5)


def _serve(proxy: FaultProxy, client: socket.socket, stopped: threading.Event) -> None:
    """Answer the requests of one connection."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with (
        client,
        client.makefile("rb") as stream,
        suppress(OSError),
        closing(HTTPConnection(urlsplit(proxy.upstream).netloc)) as server,
    ):
        while (asked := _read(stream)) is not None and not stopped.is_set():
            fault = proxy.fault_of(asked)
            if fault == "time-out":
                _wait(client, proxy.stall, stopped)
                return
            if fault == "reset":
                _reset(client)
                return
            reply = _reply(proxy, server, asked, fault)
            if not _send(proxy, client, asked, reply, fault, stopped):
                return


def _read(stream: BinaryIO) -> Asked | None:
    """The next request of a connection; None at its end."""
    line = stream.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (text := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    return Asked(line[0], line[1], headers, stream.read(int(headers.get("content-length", 0))))


def _reply(proxy: FaultProxy, server: HTTPConnection, asked: Asked, fault: str | None) -> Reply:
    """What is answered: a planted answer, or that of the server."""
    if fault in STATUSES:
        return Reply(int(fault[:3]), STATUSES[fault], b"a fault")
    if fault == "HTML with 200":
        return Reply(200, (("Content-Type", "text/html; charset=utf-8"),), PAGE)
    if fault == "HTML as a file":
        return Reply(200, (("Content-Type", "image/tiff"),), PAGE)
    if fault == "another version":
        first, last = asked.range or (0, 0)
        content = proxy.earlier(asked.path) or b""
        part = content[first : last + 1]
        if not part:
            return Reply(416, (("Content-Range", f"bytes */{len(content)}"),), b"")
        place = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        return Reply(206, (("ETag", '"earlier"'), ("Content-Range", place)), part)
    headers = {**asked.headers, "host": urlsplit(proxy.upstream).netloc}
    if fault == "wrong range":
        first, last = asked.range or (0, 0)
        headers["range"] = f"bytes={first + 512}-{last + 512}" if first else f"bytes=512-{last}"
    server.request(asked.method, asked.target, asked.body or None, headers)
    answer = server.getresponse()
    dropped = ("content-length", "connection", "transfer-encoding")
    kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in dropped)
    return Reply(answer.status, kept, answer.read())


def _send(
    proxy: FaultProxy, client: socket.socket, asked: Asked, reply: Reply, fault: str | None, stopped: threading.Event
) -> bool:
    """Send an answer, whole or with a fault of the connection; whether the connection goes on."""
    lines = [f"HTTP/1.1 {reply.status} .", *(f"{name}: {value}" for name, value in reply.headers)]
    head = "\r\n".join([*lines, f"Content-Length: {len(reply.body)}", "", ""]).encode("latin-1")
    body = b"" if asked.method == "HEAD" else reply.body
    if fault in ("truncated", "reset in the body", "stalled in the body"):
        client.sendall(head + body[: len(body) // 2])
        if fault == "stalled in the body":
            _wait(client, proxy.stall, stopped)
        if fault == "reset in the body":
            _reset(client)
        return False
    if fault == "slow drip":
        client.sendall(head)
        for number in range(len(body)):
            client.sendall(body[number : number + 1])
            if _wait(client, 0.05, stopped):
                return False
        return True
    client.sendall(head + body)
    return True


def _wait(client: socket.socket, seconds: float, stopped: threading.Event) -> bool:
    """Wait for some seconds, or until the client leaves; whether it left, or the proxy ends."""
    readable, _, _ = select.select([client], [], [], seconds)
    return bool(readable) or stopped.is_set()


def _reset(client: socket.socket) -> None:
    """End a connection with RST instead of FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(client.detach())
