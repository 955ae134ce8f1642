"""Whether a file on a server is still the one that was read: one request without its content."""

import re

from agrifm.errors import SceneError
from agrifm.scene.access import limiter_of, signer_of
from agrifm.scene.file_versions import FileVersion, message_instead, stated_range
from agrifm.scene.remote import CHUNK_BYTES, RemoteError, Reply, WrongAnswerError, request
from agrifm.scene.remote_raster import forget_head
from agrifm.scene.scene import RemoteAsset


class UncomparedError(Exception):
    """A file cannot be compared; the message says why."""

    def __init__(self, reason: str, whole_server: bool) -> None:
        super().__init__(reason)
        self.whole_server = whole_server
        """Whether other files of the same server would fail alike."""


def is_replaced(asset: RemoteAsset, before: FileVersion) -> bool:
    """Whether a server has another file at an asset's address than the one of before.

    A HEAD request asks for what is stated. What it says is confirmed by a request for the first byte, since some
    servers refuse HEAD, and some state other things then than for the ranges that were read.

    Raises:
        UncomparedError: the server does not answer, refuses, or states too little.
    """
    if not asset.href.lower().startswith("s3:"):  # signatures of S3 are for GET
        try:
            reply = _ask(asset, "HEAD")
        except RemoteError as error:
            if not (error.refused or re.fullmatch(r"HTTP (4\d\d|501)", str(error))):
                raise _uncompared(error) from error
        except SceneError as error:  # there are no credentials
            raise UncomparedError(str(error), whole_server=True) from error
        else:
            if message_instead(reply) is None and _head_version(reply).differs_from(before) is False:
                return False
    try:
        reply = _ask(asset, "GET")
    except RemoteError as error:
        raise _uncompared(error) from error
    except SceneError as error:
        raise UncomparedError(str(error), whole_server=True) from error
    place = stated_range(reply)
    differs = FileVersion.of(reply, len(reply.body) if place is None else place[2]).differs_from(before)
    if differs is None:
        raise UncomparedError("the server states neither an entity tag nor a time of change", whole_server=False)
    if differs:
        forget_head(asset.href)
    return differs


def _ask(asset: RemoteAsset, method: str) -> Reply:
    return request(
        asset.href,
        signer_of(asset.provider),
        {"Range": "bytes=0-0"} if method == "GET" else None,
        method,
        limiter=limiter_of(asset.provider),
        network=asset.network,
        check=message_instead if method == "GET" else lambda _: None,
        limit=CHUNK_BYTES,  # a server without ranges would send the whole file
    )


def _head_version(reply: Reply) -> FileVersion:
    length = reply.headers.get("Content-Length", "")
    is_plain = reply.headers.get("Content-Encoding", "identity").lower() in ("", "identity")
    return FileVersion.of(reply, int(length) if is_plain and length.isascii() and length.isdigit() else None)


def _uncompared(error: RemoteError) -> UncomparedError:
    about_one_file = isinstance(error, WrongAnswerError) or re.fullmatch(r"HTTP 4\d\d", str(error)) is not None
    return UncomparedError(str(error), whole_server=error.refused or not about_one_file)
