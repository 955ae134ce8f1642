"""Bytes of remote files: the one home of requests, of their retries and of what GDAL reads through them.

GDAL never asks the network itself: its own retries do not cover a body that is cut short, and its errors do not name
the HTTP status. rasterio hands GDAL a file whose ranges come from here. A file costs one request for its head, and one
for each run of neighbouring ranges that a window needs; runs are asked for at once. There are no HEAD requests and no
directory listings. Addresses are signed anew for every request, so that a signature may expire while a file is read.
"""

import email.utils
import io
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import rasterio
import urllib3
from rasterio.abc import MultiByteRangeResourceContainer
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from agrifm.scene.traffic import METER

TRIES = 5
"""How often a request is made before it counts as failed."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds between two tries: doubled each time, or what the server's Retry-After asks for, up to the longest."""
TIMEOUT = 30.0
"""Seconds to wait for a connection, and for the next bytes of an answer."""
CONNECTIONS = 16
"""Requests in flight at once."""
HEAD = 32 * 1024
"""Bytes asked for when a file is opened: the header of a cloud-optimised GeoTIFF of 10980 pixels fits."""
GAP = 16 * 1024
"""Bytes between two ranges that are rather read than asked past."""
MOST_AHEAD = 4 * 1024 * 1024
"""Longest read-ahead where a file is read on and on, as JPEG 2000 is."""
PARTS_KEPT = 8
"""Parts of an open file that were read ahead and are kept, beside its head."""
HEADS_KEPT = 256
GDAL_SETTINGS = {"GDAL_NUM_THREADS": "1", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""With which every scene is read. In threads of its own GDAL decodes JPEG 2000, and what fails there comes as zeros
without an error; rasterio's openers are unknown there too."""
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that may be others a moment later."""
REFUSED = {401, 403}
"""HTTP statuses of a signature that has expired, or of credentials that do not suffice."""

Address = tuple[str, Mapping[str, str]]
"""A URL to ask, and the headers that go with it."""
Sign = Callable[[str, bool], Address]
"""The address of a file at this moment, from its unsigned one; True where the last signature was refused."""
Turn = AbstractContextManager[object]
"""What is held while a request is in flight: a semaphore, where a provider limits its connections."""
AT_ONCE: Turn = nullcontext()
"""The turn of those who need not wait for one."""


class _WithoutQueries(logging.Filter):
    """Takes the queries of addresses, where signatures stand, out of what urllib3 logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = re.sub(r"\?[^\s\"']*", "?***", record.getMessage()), ()
        return True


for _name in ("connection", "connectionpool", "poolmanager", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_WithoutQueries())


class RemoteError(OSError):
    """A request failed for good; the message is what happened, without the address: "HTTP 503 (5 tries)"."""

    def __init__(self, reason: str, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        """True where the credentials, or the signature, did not suffice."""


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def unsigned(href: str, renew: bool = False) -> Address:
    """The address of a file that anyone may read: its own."""
    return href, {}


def is_remote(href: str) -> bool:
    """True for the URL of a server; False for a path and a file:// URL."""
    return urlsplit(href).scheme in ("http", "https", "s3")


def shown(href: str) -> str:
    """An address for messages and records: without query, fragment and user, where secrets stand."""
    parts = urlsplit(href)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@lru_cache(maxsize=4)
def _pool(proxy: str | None) -> urllib3.PoolManager:
    """Connections that are kept open, at most `CONNECTIONS` to one host."""
    settings: dict[str, Any] = {"num_pools": 64, "maxsize": CONNECTIONS, "block": True}
    return urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


_REDIRECTS = urllib3.Retry(total=None, connect=False, read=False, status=False, other=False, redirect=5)
_THREADS = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="remote")


def request(
    href: str,
    sign: Sign = unsigned,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes | None = None,
    turn: Turn = AT_ONCE,
) -> Reply:
    """The answer to one request, its body whole; tried `TRIES` times with growing waits.

    Args:
        href: the address without a signature; `sign` makes of it the one that is asked, at every try.
        turn: held while the request is in flight, not while the next try is waited for.

    Raises:
        RemoteError: the server cannot be reached, refuses, or keeps failing.
    """
    refused: Address | None = None
    reason = ""
    for attempt in range(1, TRIES + 1):
        url, own = address = sign(href, refused is not None)
        if address == refused:  # there is nothing to renew
            raise RemoteError(reason, refused=True)
        wait = min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT)
        try:
            with turn:
                answer = _pool(_proxy(url)).request(
                    method,
                    url,
                    headers={"User-Agent": "agrifm", **own, **(headers or {})},
                    body=body,
                    retries=_REDIRECTS,
                    timeout=TIMEOUT,
                )
        except (urllib3.exceptions.LocationValueError, urllib3.exceptions.LocationParseError) as error:
            raise RemoteError(f"{shown(href)} is no address") from error
        except urllib3.exceptions.HTTPError as error:
            reason = _reason(error)
        else:
            METER.add(len(answer.data))
            status = answer.status
            if status in (200, 206):
                return Reply(status, answer.headers, answer.data)
            reason = f"HTTP {status}"
            if status in REFUSED:
                refused, wait = address, 0.0
            elif status not in PASSING:
                raise RemoteError(reason)
            wait = _asked_to_wait(answer.headers.get("Retry-After"), reason, wait)
        if attempt < TRIES:
            time.sleep(wait)
    raise RemoteError(f"{reason} ({TRIES} tries)", refused=refused is not None)


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """What went wrong with a connection, in a few words."""
    text = str(error)
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError):
        return "the server cannot be reached"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "the server did not answer in time"
    if "IncompleteRead" in text:
        return "the answer was cut short"
    return "the connection was broken off"


def _asked_to_wait(stated: str | None, reason: str, wait: float) -> float:
    """Seconds until the next try, from a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3)."""
    if stated is None:
        return wait
    try:
        seconds = float(stated)
    except ValueError:
        try:
            seconds = (email.utils.parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return wait
    if seconds > LONGEST_WAIT:
        raise RemoteError(f"{reason}, and the server asks to come back in {seconds:.0f} seconds")
    return max(seconds, 0.0)


@contextmanager
def open_remote(href: str, sign: Sign = unsigned, turn: Turn = AT_ONCE) -> Iterator[DatasetReader]:
    """A raster file on a server, as rasterio opens it.

    What GDAL makes of bytes that never came (an error of its own, or zeros) does not leave this block: the request's
    failure is raised instead.

    Raises:
        RemoteError: a request failed for good, at the opening or at any later reading.
        RasterioError: the bytes came, and are no raster file.
    """
    file = _File(href, sign, turn)
    file.read(0, 1)
    name = f"remote/{next(_NUMBERS)}/{PurePosixPath(urlsplit(href).path).name}"
    _OPENER.files[name] = file
    try:
        with rasterio.Env(**GDAL_SETTINGS), rasterio.open(name, opener=_OPENER) as source:
            yield source
    except RasterioError:
        if file.failure is not None:
            raise file.failure from None
        raise
    finally:
        del _OPENER.files[name]
    if file.failure is not None:
        raise file.failure


class _File:
    """The bytes of one remote file, as far as they were read."""

    def __init__(self, href: str, sign: Sign, turn: Turn) -> None:
        self.href, self.sign, self.turn = href, sign, turn
        self.size = 0
        self.version: str | None = None
        self.failure: Exception | None = None
        self._parts: list[tuple[int, bytes]] = []
        self._ahead = HEAD
        self._lock = threading.Lock()

    def read(self, start: int, length: int) -> bytes:
        """So many bytes from a place, fewer at the end of the file.

        Raises:
            RemoteError: they cannot be had.
        """
        with self._lock:
            if not self._parts:
                self._open()
            end = min(start + length, self.size)
            if end <= start:
                return b""
            found = self._held(start, end)
            if found is None:
                follows = self._parts[-1][0] + len(self._parts[-1][1]) == start
                self._ahead = min(2 * self._ahead, MOST_AHEAD) if follows else HEAD
                part = self._ask(start, min(max(end, start + self._ahead), self.size))
                self._parts = [self._parts[0], *self._parts[1:][1 - PARTS_KEPT :], (start, part)]
                found = part[: end - start]
            return found

    def ranges(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes from each start to each end; neighbours in one request, all requests at once.

        Raises:
            RemoteError: they cannot be had.
        """
        runs: list[list[int]] = []
        for start, end in sorted(wanted):
            if self._held(start, end) is not None:
                continue
            if runs and start - runs[-1][1] <= GAP:
                runs[-1][1] = max(runs[-1][1], end)
            else:
                runs.append([start, end])
        asked = [_THREADS.submit(self._ask, start, end) for start, end in runs]
        parts = [(start, future.result()) for (start, _), future in zip(runs, asked, strict=True)]
        return [_cut(parts, *one) or self._held(*one) or b"" for one in wanted]

    def _held(self, start: int, end: int) -> bytes | None:
        return _cut(self._parts, start, end)

    def _open(self) -> None:
        known = _HEADS.get(self.href)
        if known is None:
            try:
                reply = request(self.href, self.sign, {"Range": f"bytes=0-{HEAD - 1}"}, turn=self.turn)
            except RemoteError as error:
                if str(error) == "HTTP 416":
                    raise RemoteError("it has 0 bytes (HTTP 416)") from error
                raise
            total = reply.headers.get("Content-Range", "").rpartition("/")[2]
            self.size = int(total) if total.isdigit() else len(reply.body)
            if not self.size:
                raise RemoteError("it has 0 bytes")
            if len(reply.body) < min(self.size, HEAD):
                raise RemoteError(f"the server sent {len(reply.body)} of its first {min(self.size, HEAD)} bytes")
            known = self.size, _version(reply), reply.body
            _HEADS.put(self.href, known)
        self.size, self.version, head = known
        self._parts = [(0, head)]

    def _ask(self, start: int, end: int) -> bytes:
        for _ in range(2):
            reply = request(self.href, self.sign, {"Range": f"bytes={start}-{end - 1}"}, turn=self.turn)
            body = reply.body if reply.status == 206 else reply.body[start:end]
            if _version(reply) != self.version:
                _HEADS.drop(self.href)
                raise RemoteError("it was replaced while it was read")
            if len(body) == end - start:
                return body
        raise RemoteError(f"the server sent {len(body)} bytes where {end - start} were asked for")


def _version(reply: Reply) -> str | None:
    return reply.headers.get("ETag") or reply.headers.get("Last-Modified")


def _cut(parts: Sequence[tuple[int, bytes]], start: int, end: int) -> bytes | None:
    for first, part in parts:
        if first <= start and end <= first + len(part):
            return part[start - first : end - first]
    return None


class _Heads:
    """Size, version and first bytes of the files that were opened last: every tile of a cube opens them again."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, str | None, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, href: str) -> tuple[int, str | None, bytes] | None:
        with self._lock:
            if href in self._known:
                self._known.move_to_end(href)
            return self._known.get(href)

    def put(self, href: str, known: tuple[int, str | None, bytes]) -> None:
        with self._lock:
            self._known[href] = known
            while len(self._known) > HEADS_KEPT:
                self._known.popitem(last=False)

    def drop(self, href: str) -> None:
        with self._lock:
            self._known.pop(href, None)


class _Handle(io.RawIOBase):
    """A remote file as GDAL holds it. A failure is kept in the file, for GDAL would swallow it."""

    def __init__(self, file: _File) -> None:
        super().__init__()
        self._file, self._place = file, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = int(offset) + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._file.size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, length: int = -1) -> bytes:
        wanted = int(length) if length >= 0 else self._file.size - self._place
        try:
            found = self._file.read(self._place, wanted)
        except Exception as error:  # whatever it is, GDAL would swallow it
            self._file.failure = self._file.failure or error
            return b""
        self._place += len(found)
        return found

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        wanted = [(int(offset), int(offset) + int(size)) for offset, size in zip(offsets, sizes, strict=True)]
        try:
            return self._file.ranges(wanted)
        except Exception as error:  # as above
            self._file.failure = self._file.failure or error
            return [bytes(end - start) for start, end in wanted]


class _Opener(MultiByteRangeResourceContainer):  # type: ignore[misc]
    """Where GDAL finds the remote files that are open. Nothing lies beside them."""

    def __init__(self) -> None:
        self.files: dict[str, _File] = {}

    def open(self, path: str, mode: str = "rb", **_: object) -> _Handle:
        return _Handle(self._find(path))

    def size(self, path: str) -> int:
        return self._find(path).size

    def isfile(self, path: str) -> bool:
        return path in self.files

    def isdir(self, path: str) -> bool:
        return False

    def ls(self, path: str) -> list[str]:
        return []

    def mtime(self, path: str) -> int:
        return 0

    def rm(self, path: str) -> None:
        raise FileNotFoundError(path)

    def _find(self, path: str) -> _File:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]


_NUMBERS = count()
_HEADS = _Heads()
_OPENER = _Opener()
