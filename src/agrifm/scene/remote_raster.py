"""Raster files on servers, as rasterio opens them: GDAL reads byte ranges that come from `remote`.

GDAL never asks the network itself: its own retries do not cover a body that is cut short, and its errors do not name
the HTTP status. A file costs one request for its head, and one for each run of neighbouring ranges that a window needs;
the runs are requested concurrently. Reading needs no HEAD requests and no directory listings.
"""

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import rasterio
from rasterio.abc import MultiByteRangeResourceContainer
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from agrifm.rasters import HEAD_LENGTH, format_of, open_known
from agrifm.redaction import shown
from agrifm.scene import limits
from agrifm.scene.connections import Network
from agrifm.scene.file_versions import FileVersion, message_instead, stated_range
from agrifm.scene.remote import (
    UNLIMITED,
    Check,
    Limiter,
    RemoteError,
    Reply,
    Signer,
    WrongAnswerError,
    request,
    unsigned,
)

HEAD_BYTES = 32 * 1024
"""Bytes that are requested when a file is opened: the header of a cloud-optimised GeoTIFF of 10980 pixels fits."""
MAX_GAP_BYTES = 16 * 1024
"""Ranges that are closer than this are merged into one request."""
MAX_READ_AHEAD_BYTES = 4 * 1024 * 1024
"""Longest read-ahead, for sequential reads such as those of JPEG 2000."""
MAX_PARTS = 8
"""Parts of an open file that were read ahead and are kept, in addition to its head."""
MAX_HEADS = 256
"""Heads of files that are kept in memory."""
GDAL_SETTINGS = {"GDAL_NUM_THREADS": "1", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""GDAL options for every scene. With more than one thread GDAL decodes JPEG 2000 in threads of its own, which do not
know rasterio's openers, and failures in them come back as zeros without an error."""

REMOTE_FORMATS = ("GTiff", "JP2OpenJPEG")
"""Formats that are read from servers, by GDAL's names."""

_IDENTITIES: ContextVar[dict[str, FileVersion] | None] = ContextVar("identities", default=None)
_THREADS = ThreadPoolExecutor(limits.MAX_CONNECTIONS, thread_name_prefix="remote")


@contextmanager
def open_remote(
    href: str, sign: Signer = unsigned, limiter: Limiter = UNLIMITED, network: Network = "any"
) -> Iterator[DatasetReader]:
    """Open a raster file on a server with rasterio.

    Every answer must be the range that was asked for, of the file that was opened. GDAL answers missing bytes with an
    error of its own or with zeros; neither leaves this block, since the failure of the request is raised instead.

    Raises:
        RemoteError: a request failed for good, when the file was opened or read.
        WrongAnswerError: the server kept sending something else; the next opening begins anew.
        RasterioError: the bytes are not a raster file, or damaged; the next opening begins anew.
    """
    file = _found(href, sign, limiter, network)
    name = f"remote/{next(_OPEN_COUNT)}/{PurePosixPath(urlsplit(href).path).name}"
    _OPENER.files[name] = file
    try:
        with rasterio.Env(**GDAL_SETTINGS), _opened(name, file) as source:
            yield source
        file.confirm()
        if (identities := _IDENTITIES.get()) is not None:
            identities[shown(href)] = file.version
    except RasterioError:
        _HEADS.drop(href)
        if file.failure is not None:
            raise file.failure from None
        raise
    except WrongAnswerError:
        _HEADS.drop(href)
        raise
    finally:
        del _OPENER.files[name]
    if file.failure is not None:
        if isinstance(file.failure, WrongAnswerError):
            _HEADS.drop(href)
        raise file.failure


@contextmanager
def identities_of_files() -> Iterator[dict[str, FileVersion]]:
    """Yields a dictionary that takes the version of every file that this thread reads within the block."""
    found: dict[str, FileVersion] = {}
    token = _IDENTITIES.set(found)
    try:
        yield found
    finally:
        _IDENTITIES.reset(token)


def merged_runs(wanted: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges that are requested for parts of a file: neighbours at most `MAX_GAP_BYTES` apart share one."""
    runs: list[tuple[int, int]] = []
    for start, end in sorted(wanted):
        if runs and start - runs[-1][1] <= MAX_GAP_BYTES:
            runs[-1] = runs[-1][0], max(runs[-1][1], end)
        else:
            runs.append((start, end))
    return runs


def known_size(href: str) -> int | None:
    """Return the bytes of a file whose head is in memory; None if it is not."""
    known = _HEADS.get(href)
    return None if known is None else known[0].size


def forget_head(href: str) -> None:
    """Forget the first bytes of a file, so that the next opening asks for them again."""
    _HEADS.drop(href)


def _found(href: str, sign: Signer, limiter: Limiter, network: Network) -> "_File":
    """A file with its head, which is asked for again if it is not that of a raster: a page may have come instead."""
    for attempt in range(1, limits.WRONG_TRIES + 1):
        file = _File(href, sign, limiter, network)
        if format_of(file.read(0, HEAD_LENGTH)) in REMOTE_FORMATS or attempt == limits.WRONG_TRIES:
            break
        _HEADS.drop(href)
        time.sleep(limits.FIRST_WAIT)
    return file


def _opened(name: str, file: "_File") -> DatasetReader:
    head = file.read(0, HEAD_LENGTH)
    return open_known(name, head if format_of(head) in REMOTE_FORMATS else b"", file.size, opener=_OPENER)


class _File:
    """The bytes of one remote file that were read so far."""

    def __init__(self, href: str, sign: Signer, limiter: Limiter, network: Network) -> None:
        self.href, self.sign, self.limiter, self.network = href, sign, limiter, network
        self.size = 0
        self.version = FileVersion()
        self.failure: Exception | None = None
        self._parts: list[tuple[int, bytes]] = []
        self._ahead = HEAD_BYTES
        self._unconfirmed = False
        self._lock = threading.Lock()

    def read(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on, fewer at the end of the file.

        Raises:
            RemoteError: a request failed for good.
        """
        with self._lock:
            if not self._parts:
                self._open()
            end = min(start + length, self.size)
            if end <= start:
                return b""
            content = self._cached(start, end)
            if content is None:
                follows = self._parts[-1][0] + len(self._parts[-1][1]) == start
                self._ahead = min(2 * self._ahead, MAX_READ_AHEAD_BYTES) if follows else HEAD_BYTES
                part = self._request_range(start, min(max(end, start + self._ahead), self.size))
                self._parts = [self._parts[0], *self._parts[1:][1 - MAX_PARTS :], (start, part)]
                content = part[: end - start]
            return content

    def ranges(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes from each start to each end; neighbours share a request, and all requests run concurrently.

        Raises:
            RemoteError: a request failed for good.
        """
        runs = merged_runs([span for span in wanted if self._cached(*span) is None])
        futures = [_THREADS.submit(self._request_range, start, end) for start, end in runs]
        parts = [(start, future.result()) for (start, _), future in zip(runs, futures, strict=True)]
        return [_cut(parts, *span) or self._cached(*span) or b"" for span in wanted]

    def _cached(self, start: int, end: int) -> bytes | None:
        return _cut(self._parts, start, end)

    def confirm(self) -> None:
        """Ask for the head again after reading ranges of a file whose server states neither ETag nor Last-Modified.

        Raises:
            WrongAnswerError: it is another file now.
        """
        if self._unconfirmed and self.failure is None:
            head = self._parts[0][1]
            if self._ask(0, len(head), _wrong_head).body != head:
                raise WrongAnswerError("the file changed while it was read")

    def _open(self) -> None:
        known = _HEADS.get(self.href)
        if known is None:
            try:
                reply = self._ask(0, HEAD_BYTES, _wrong_head)
            except RemoteError as error:
                if str(error) == "HTTP 416":
                    raise RemoteError("it has 0 bytes (HTTP 416)") from error
                raise
            stated = stated_range(reply)
            size = stated[2] if reply.status == 206 and stated is not None else len(reply.body)
            if not size:
                raise RemoteError("it has 0 bytes")
            known = FileVersion.of(reply, size), reply.body
            _HEADS.put(self.href, known)
        self.version, head = known
        self.size = self.version.size or 0
        self._parts = [(0, head)]

    def _ask(self, start: int, end: int, check: Check) -> Reply:
        wanted = {"Range": f"bytes={start}-{end - 1}"}
        return request(
            self.href,
            self.sign,
            wanted,
            limiter=self.limiter,
            network=self.network,
            check=check,
            limit=limits.MAX_FILE_BYTES,
        )

    def _request_range(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`; a server without ranges sends the whole file, which must have its size."""

        def wrong(reply: Reply) -> str | None:
            if FileVersion.of(reply).stamp != self.version.stamp:
                return "the file changed while it was read"
            if reply.status != 206:
                head = self._parts[0][1]
                same = len(reply.body) == self.size and reply.body[: len(head)] == head
                return None if same else f"the server sent {len(reply.body)} of {end - start} requested bytes"
            return _wrong_part(reply, start, end, self.size)

        self._unconfirmed = self.version.stamp is None
        reply = self._ask(start, end, wrong)
        return reply.body if reply.status == 206 else reply.body[start:end]


def _wrong_head(reply: Reply) -> str | None:
    """What is wrong with the first bytes of a file; None if nothing is."""
    if reply.status != 206:
        return message_instead(reply)
    stated = stated_range(reply)
    return _wrong_part(reply, 0, HEAD_BYTES if stated is None else min(HEAD_BYTES, stated[2]), None)


def _wrong_part(reply: Reply, start: int, end: int, size: int | None) -> str | None:
    """What is wrong with a part of a file; None if nothing is.

    Args:
        size: of the whole file; None if it is not known yet.
    """
    stated = stated_range(reply)
    if stated is None:
        return "the server sent a part of the file without stating which (Content-Range)"
    if reply.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        return "the server sent a part of a compressed file"
    first, last, total = stated
    if total != (total if size is None else size):
        return f"the file changed while it was read: it had {size} bytes, now {total}"
    if (first, last) != (start, end):
        return f"the server sent the bytes {first} to {last} instead of the {end - start} requested bytes from {start}"
    if len(reply.body) != end - start:
        return f"the server sent {len(reply.body)} of {end - start} requested bytes"
    return message_instead(reply)


def _cut(parts: Sequence[tuple[int, bytes]], start: int, end: int) -> bytes | None:
    for first, part in parts:
        if first <= start and end <= first + len(part):
            return part[start - first : end - first]
    return None


class _Heads:
    """Size, version and first bytes of the last files that were opened: every tile of a cube opens them again."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[FileVersion, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, href: str) -> tuple[FileVersion, bytes] | None:
        with self._lock:
            if href in self._known:
                self._known.move_to_end(href)
            return self._known.get(href)

    def put(self, href: str, known: tuple[FileVersion, bytes]) -> None:
        with self._lock:
            self._known[href] = known
            while len(self._known) > MAX_HEADS:
                self._known.popitem(last=False)

    def drop(self, href: str) -> None:
        with self._lock:
            self._known.pop(href, None)


class _Handle(io.RawIOBase):
    """A remote file as GDAL sees it. A failure is kept in `_File.failure`, since GDAL would swallow it."""

    def __init__(self, file: _File) -> None:
        super().__init__()
        self._file, self._position = file, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = (
            int(offset) + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        )
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, length: int = -1) -> bytes:
        wanted = int(length) if length >= 0 else self._file.size - self._position
        try:
            content = self._file.read(self._position, wanted)
        except Exception as error:  # GDAL would swallow it, of whatever class it is
            self._file.failure = self._file.failure or error
            return b""
        self._position += len(content)
        return content

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        wanted = [(int(offset), int(offset) + int(size)) for offset, size in zip(offsets, sizes, strict=True)]
        try:
            return self._file.ranges(wanted)
        except Exception as error:  # as above
            self._file.failure = self._file.failure or error
            return [bytes(end - start) for start, end in wanted]


class _Opener(MultiByteRangeResourceContainer):  # type: ignore[misc]  # rasterio has no types
    """Shows GDAL the remote files that are open, and no other files."""

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


_OPEN_COUNT = count()
_HEADS = _Heads()
_OPENER = _Opener()
