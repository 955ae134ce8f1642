"""Requests to servers: one HTTP stack with retries, a limit of connections, and a count of what was read.

Addresses are signed anew for every try, so a signature may expire while a file is read.
"""

import email.utils
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

MAX_TRIES = 5
"""Number of tries before a request counts as failed."""
FIRST_WAIT, MAX_WAIT = 0.5, 60.0
"""Seconds between two tries: doubled each time, or as the server's Retry-After asks, up to the maximum."""
TIMEOUT = 30.0
"""Seconds to wait for a connection, and for the next bytes of an answer."""
MAX_CONNECTIONS = 16
"""Connections to one host that are kept open."""
RETRY_STATUSES = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that are retried: the same request may succeed a moment later."""
AUTH_STATUSES = {401, 403}
"""HTTP statuses of an expired signature, or of credentials that do not suffice."""
PURPOSES = ("search", "offset check", "scenes")
"""What requests are for, in the order in which a fetch makes them; "scenes" is the default."""

SignedURL = tuple[str, Mapping[str, str]]
"""A URL to request, and the headers that go with it."""
Signer = Callable[[str, bool], SignedURL]
"""Signs the URL of a file for one request; True if the server refused the last signature."""
Limiter = AbstractContextManager[object]
"""Context manager that limits connections: a semaphore that is held while a request is in flight."""
UNLIMITED: Limiter = nullcontext()
"""No limit of connections."""


class _WithoutQueries(logging.Filter):
    """Remove the queries of URLs, which hold signatures, from what urllib3 logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = re.sub(r"\?[^\s\"']*", "?***", record.getMessage()), ()
        return True


for _name in ("connection", "connectionpool", "poolmanager", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_WithoutQueries())


class RemoteError(OSError):
    """A request failed for good; the message says why, without the URL: "HTTP 503 (5 tries)"."""

    def __init__(self, reason: str, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        """True if the server refused the credentials or the signature."""


@dataclass(frozen=True)
class Reply:
    """The answer of a server."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def unsigned(href: str, renew: bool = False) -> SignedURL:
    """Return the URL as it is, for files that anyone may read."""
    return href, {}


def is_remote(href: str) -> bool:
    """Return True for the URL of a server, False for a path or a file:// URL."""
    return urlsplit(href).scheme in ("http", "https", "s3")


def shown(href: str) -> str:
    """Return a URL for messages and records: without query, fragment and user, which may hold secrets."""
    parts = urlsplit(href)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Traffic(NamedTuple):
    """Number of answered requests, retries included, and bytes of the answers' bodies."""

    requests: int = 0
    bytes: int = 0


class TrafficCounter:
    """Counts requests of all threads under the current purpose; the stages of a process follow one another."""

    def __init__(self) -> None:
        self._totals = dict.fromkeys(PURPOSES, Traffic())
        self._purpose = PURPOSES[-1]
        self._lock = threading.Lock()

    def add(self, length: int) -> None:
        """Count one answer with a body of `length` bytes."""
        with self._lock:
            before = self._totals[self._purpose]
            self._totals[self._purpose] = Traffic(before.requests + 1, before.bytes + length)

    @contextmanager
    def purpose(self, name: str) -> Iterator[None]:
        """Count the requests within this block under one of `PURPOSES`."""
        assert name in PURPOSES
        before, self._purpose = self._purpose, name
        try:
            yield
        finally:
            self._purpose = before

    def totals(self) -> dict[str, Traffic]:
        """Return the traffic since the process began, by purpose."""
        with self._lock:
            return dict(self._totals)


TRAFFIC = TrafficCounter()
"""Counts what this process reads from servers."""


def traffic_since(before: Mapping[str, Traffic]) -> list[str]:
    """Describe in one sentence the traffic since `TRAFFIC.totals()` returned `before`; [] if there was none."""
    parts = []
    for name, now in TRAFFIC.totals().items():
        requests, size = (new - old for new, old in zip(now, before[name], strict=True))
        if requests:
            parts.append(f"{name} {requests} requests, {size / 1e6:.2f} MB")
    return [f"read from servers: {'; '.join(parts)}"] if parts else []


@lru_cache(maxsize=4)
def _pool(proxy: str | None) -> urllib3.PoolManager:
    """Connections that are kept open, at most `MAX_CONNECTIONS` to one host."""
    settings: dict[str, Any] = {"num_pools": 64, "maxsize": MAX_CONNECTIONS, "block": True}
    return urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


_REDIRECTS = urllib3.Retry(total=None, connect=False, read=False, status=False, other=False, redirect=5)


def request(
    href: str,
    sign: Signer = unsigned,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes | None = None,
    limiter: Limiter = UNLIMITED,
) -> Reply:
    """Return the answer to one request with its complete body; tries `MAX_TRIES` times, with growing waits.

    Args:
        href: the URL without a signature; `sign` signs it for every try.
        limiter: held while the request is in flight, but not while waiting for the next try.

    Raises:
        RemoteError: the server cannot be reached, refuses, or keeps failing.
    """
    refused: SignedURL | None = None
    reason = ""
    for attempt in range(1, MAX_TRIES + 1):
        url, signature = signed = sign(href, refused is not None)
        if signed == refused:  # the signature cannot be renewed, so a second try is refused as well
            raise RemoteError(reason, refused=True)
        wait = min(FIRST_WAIT * 2 ** (attempt - 1), MAX_WAIT)
        try:
            # urllib3 follows redirects only: its own retries would not sign the URL again
            with limiter:
                answer = _pool(_proxy(url)).request(
                    method,
                    url,
                    headers={"User-Agent": "agrifm", **signature, **(headers or {})},
                    body=body,
                    retries=_REDIRECTS,
                    timeout=TIMEOUT,
                )
        except (urllib3.exceptions.LocationValueError, urllib3.exceptions.LocationParseError) as error:
            raise RemoteError(f"{shown(href)} is not a valid URL") from error
        except urllib3.exceptions.HTTPError as error:
            reason = _reason(error)
        else:
            TRAFFIC.add(len(answer.data))
            status = answer.status
            if status in (200, 201, 206):
                return Reply(status, answer.headers, answer.data)
            reason = f"HTTP {status}"
            if status in AUTH_STATUSES:  # no wait: a new signature may be accepted at once
                refused, wait = signed, 0.0
            elif status not in RETRY_STATUSES:
                raise RemoteError(reason)
            wait = _retry_after(answer.headers.get("Retry-After"), reason, wait)
        if attempt < MAX_TRIES:
            time.sleep(wait)
    raise RemoteError(f"{reason} ({MAX_TRIES} tries)", refused=refused is not None)


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """Name what went wrong with a connection."""
    text = str(error)
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError):
        return "the server cannot be reached"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "the server did not answer in time"
    if "IncompleteRead" in text:
        return "the answer was truncated"
    return "the connection was interrupted"


def _retry_after(stated: str | None, reason: str, wait: float) -> float:
    """Seconds until the next try by a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3)."""
    if stated is None:
        return wait
    try:
        seconds = float(stated)
    except ValueError:
        try:
            seconds = (email.utils.parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return wait
    if seconds > MAX_WAIT:
        raise RemoteError(f"{reason}, and the server asks to wait for {seconds:.0f} seconds")
    return max(seconds, 0.0)
