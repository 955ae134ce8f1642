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
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from agrifm.redaction import RedactingFilter, shown
from agrifm.scene import limits
from agrifm.scene.connections import (
    ForbiddenAddressError,
    Network,
    TooSlowError,
    network_of,
    pool_of,
    require_allowed,
)

RETRY_STATUSES = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that are retried: the same request may succeed a moment later."""
AUTH_STATUSES = {401, 403}
"""HTTP statuses of an expired signature, or of credentials that do not suffice."""
PURPOSES = ("search", "comparison", "offset check", "scenes")
"""What requests are for, in the order in which a fetch makes them; "scenes" is the default."""

SignedURL = tuple[str, Mapping[str, str]]
"""A URL to request, and the headers that go with it."""
Signer = Callable[[str, bool], SignedURL]
"""Signs the URL of a file for one request; True if the server refused the last signature."""
Limiter = AbstractContextManager[object]
"""Context manager that limits connections: a semaphore that is held while a request is in flight."""
UNLIMITED: Limiter = nullcontext()
"""No limit of connections."""
CARRIED_HEADERS = ("User-Agent", "Accept", "Content-Type", "Range", "Cache-Control")
"""Headers that a redirect carries to another server: none that could hold a secret."""
FIRST_BYTES = "bytes=0-"
"""Range header of the beginning of a file. A file without these bytes is empty; one without others was replaced."""
CHUNK_BYTES = 256 * 1024
"""Bytes of a body that are read at once."""


for _name in ("connection", "connectionpool", "poolmanager", "util.retry", "response"):
    logging.getLogger(f"urllib3.{_name}").addFilter(RedactingFilter())


class RemoteError(OSError):
    """A request failed for good; the message says why, without the URL: "HTTP 503 (5 tries)"."""

    def __init__(self, reason: str, refused: bool = False, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        """True if the server refused the credentials or the signature."""
        self.may_pass = may_pass
        """True if all tries failed in ways that end by themselves, so that the request may succeed later."""


class WrongAnswerError(RemoteError):
    """The server answered, but not with what it was asked for, or with what it answered before."""


@dataclass(frozen=True)
class Reply:
    """The answer of a server."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Check = Callable[[Reply], str | None]
"""Says what is wrong with an answer; None if nothing is."""


def accept(_: Reply) -> None:
    """Accept every answer."""


def unsigned(href: str, renew: bool = False) -> SignedURL:
    """Return the URL as it is, for files that anyone may read."""
    return href, {}


def is_remote(href: str) -> bool:
    """Return True for the URL of a server, False for a path or a file:// URL."""
    return href.partition(":")[0].strip().lower() in ("http", "https", "s3")


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


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def request(
    href: str,
    sign: Signer = unsigned,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes | None = None,
    limiter: Limiter = UNLIMITED,
    network: Network = "any",
    check: Check = accept,
    limit: int | None = None,
) -> Reply:
    """Return the answer to one request with its complete body; tries `MAX_TRIES` times, with growing waits.

    Args:
        href: the URL without a signature; `sign` signs it for every try.
        limiter: held while the request is in flight, but not while waiting for the next try.
        network: where the server may be.
        check: says what is wrong with an answer, or nothing; a wrong one is asked for again, `WRONG_TRIES` in all.
        limit: most bytes of a body; by default `MAX_DOCUMENT_BYTES`.

    Raises:
        RemoteError: the server cannot be reached, refuses, keeps failing, or is not on the network.
    """
    refused: SignedURL | None = None
    reason, wrong, begun = "", 0, time.monotonic()
    for attempt in range(1, limits.MAX_TRIES + 1):
        url, signature = signed = sign(href, refused is not None)
        if signed == refused:  # the signature cannot be renewed, so a second try is refused as well
            raise RemoteError(reason, refused=True)
        wait = min(limits.FIRST_WAIT * 2 ** (attempt - 1), limits.MAX_WAIT)
        sent = {"User-Agent": "agrifm", **signature, **(headers or {})}
        if wrong:  # a cache on the way may have mixed up files
            sent["Cache-Control"] = "no-cache"
        try:
            with limiter:
                reply = _answer(url, sent, method, body, network, limit or limits.MAX_DOCUMENT_BYTES)
        except urllib3.exceptions.HTTPError as error:
            reason = _reason(error)
        else:
            TRAFFIC.add(len(reply.body))
            beyond = reply.status == 416 and not sent.get("Range", FIRST_BYTES).startswith(FIRST_BYTES)
            if reply.status in (200, 201, 206) or beyond:
                complaint = "HTTP 416, the file is shorter than it was" if beyond else check(reply)
                if complaint is None:
                    return reply
                wrong, reason = wrong + 1, complaint
                if wrong == limits.WRONG_TRIES:
                    raise WrongAnswerError(f"{reason} ({attempt} tries)", may_pass=True)
            else:
                reason = f"HTTP {reply.status}"
                if reply.status in AUTH_STATUSES:  # no wait: a new signature may be accepted at once
                    refused, wait = signed, 0.0
                elif reply.status not in RETRY_STATUSES:
                    raise RemoteError(reason)
                wait = _retry_after(reply.headers.get("Retry-After"), reason, wait, reply.headers.get("Date"))
        if time.monotonic() - begun > limits.MAX_SECONDS:
            raise RemoteError(f"{reason} ({attempt} tries in {limits.MAX_SECONDS:.0f} seconds)")
        if attempt < limits.MAX_TRIES:
            time.sleep(wait)
    raise RemoteError(f"{reason} ({limits.MAX_TRIES} tries)", refused=refused is not None, may_pass=refused is None)


def _answer(url: str, headers: dict[str, str], method: str, body: bytes | None, network: Network, limit: int) -> Reply:
    """One answer, after at most `MAX_REDIRECTS` redirects."""
    for _ in range(limits.MAX_REDIRECTS + 1):
        try:
            require_allowed(url, network)
            answer = pool_of(_proxy(url), network).request(
                method,
                url,
                headers=headers,
                body=body,
                retries=False,
                redirect=False,
                timeout=limits.TIMEOUT,
                preload_content=False,
            )
            content = _body(answer, limit, _asked_bytes(headers) if answer.status == 206 else None)
            location = answer.get_redirect_location()
            if not location:
                return Reply(answer.status, answer.headers, content)
            target = urljoin(url, location)
            is_elsewhere = _origin(target) != _origin(url)
        except ForbiddenAddressError as error:
            raise RemoteError(
                f"{shown(url)} is in a private network ({error}), to which a catalogue from elsewhere may not lead; if "
                "you trust it, name its host in `reach` of [imagery]"
            ) from None
        except (urllib3.exceptions.LocationValueError, urllib3.exceptions.URLSchemeUnknown, ValueError):
            raise RemoteError(f"{shown(url)} is not a valid URL, or a header has a line break") from None
        if urlsplit(target).scheme not in ("https", urlsplit(url).scheme):
            raise RemoteError(f"the server redirects to {shown(target)}, which is not an https:// address")
        network = network_of(url) if network == "any" else network
        if is_elsewhere:
            headers = {name: value for name, value in headers.items() if name in CARRIED_HEADERS}
        if answer.status == 303:
            method, body = "GET", None
        url = target
    raise RemoteError(f"the server redirects more than {limits.MAX_REDIRECTS} times")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _asked_bytes(headers: Mapping[str, str]) -> int | None:
    first, _, last = headers.get("Range", "").removeprefix("bytes=").partition("-")
    return int(last) - int(first) + 1 if first and last else None


def _body(answer: urllib3.BaseHTTPResponse, limit: int, asked: int | None) -> bytes:
    """The whole body, unpacked unless it is a part of a file.

    Args:
        limit: more bytes are refused.
        asked: of a part, the bytes that were asked for: reading ends at the first one more.
    """
    whole = False
    content = bytearray()
    try:
        for piece in answer.stream(CHUNK_BYTES, decode_content=answer.status != 206):
            content += piece
            if len(content) > limit:
                raise RemoteError(f"the answer has more than {limit} bytes")
            if asked is not None and len(content) > asked:
                return bytes(content[: asked + 1])
        whole = True
    finally:
        if not whole:
            answer.close()
        answer.release_conn()
    return bytes(content)


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """Name what went wrong with a connection."""
    text = str(error)
    if isinstance(error.__cause__, TooSlowError):
        return str(error.__cause__)
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError):
        return "the server cannot be reached"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "the server did not answer in time"
    if isinstance(error, urllib3.exceptions.DecodeError):
        return "the answer cannot be unpacked"
    if "IncompleteRead" in text:
        return "the answer was truncated"
    return "the connection was interrupted"


def _retry_after(stated: str | None, reason: str, wait: float, sent: str | None = None) -> float:
    """Seconds until the next try by a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3).

    A header that is neither, or in the past, is ignored.

    Args:
        sent: the Date header of the answer: the server's clock counts, as this machine's may be wrong or be set.
    """
    text = (stated or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        seconds = float(text)
    elif (until := _moment(text)) is not None:
        seconds = (until - (_moment(sent or "") or datetime.now(UTC))).total_seconds()
    else:
        return wait
    if seconds > limits.MAX_WAIT:
        raise RemoteError(f"{reason}, and the server asks to wait for {min(seconds, 1e9):.0f} seconds")
    return max(seconds, 0.0)


def _moment(text: str) -> datetime | None:
    """An HTTP date; None if it is not one."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
