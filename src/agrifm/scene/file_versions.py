"""Versions of files on servers: what a server states about a file that is another one once the file is replaced.

They are the size, the entity tag and the time of change (RFC 9110, sections 8.8 and 14.4), which come with every
answer, so a file that was read can be compared with the one at the same address later, without reading it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from agrifm.scene.remote import Reply

TEXT_TYPES = ("text/html", "application/json", "application/xml", "text/xml")
"""Media types of messages, which some servers send instead of a file."""


class FileVersion(NamedTuple):
    """What a server states about a file."""

    size: int | None = None
    """Bytes of the whole file."""
    tag: str | None = None
    """The entity tag (ETag)."""
    modified: str | None = None
    """The time of change (Last-Modified), as it was stated."""

    @classmethod
    def of(cls, reply: Reply, size: int | None = None) -> Self:
        """The version that an answer states; the size is that of the whole file, if it is known."""
        return cls(size, reply.headers.get("ETag") or None, reply.headers.get("Last-Modified") or None)

    @classmethod
    def from_json(cls, content: Any) -> Self | None:
        """The version that was written as JSON; None if it is not one."""
        if not (isinstance(content, list | tuple) and len(content) == len(cls._fields)):
            return None
        size, *texts = content
        is_size = size is None or (isinstance(size, int) and not isinstance(size, bool))
        return cls(*content) if is_size and all(text is None or isinstance(text, str) for text in texts) else None

    @property
    def stamp(self) -> str | None:
        """What is another one for another file even of the same size: the entity tag, else the time of change."""
        return self.tag or self.modified

    def differs_from(self, other: "FileVersion") -> bool | None:
        """Whether this is another file; None if too little is stated to know.

        Entity tags decide, compared weakly (RFC 9110, section 8.8.3.2); without them the times of change do.
        """
        if None not in (self.size, other.size) and self.size != other.size:
            return True
        if self.tag is not None and other.tag is not None:
            return self.tag.removeprefix("W/") != other.tag.removeprefix("W/")
        if self.modified is not None and other.modified is not None:
            return self.modified != other.modified
        return None


def versions_of(results: Iterable[Any]) -> list[tuple[str, FileVersion]]:
    """Address and version of the files on servers that tiles were read from, or that a frame of a cube states.

    Args:
        results: of tiles, or entries of frames; what is not a version in them is left out.
    """
    stated = [result.get("servers") for result in results if isinstance(result, Mapping)]
    pairs = [pair for servers in stated if isinstance(servers, Mapping) for pair in servers.items()]
    return [(name, version) for name, found in pairs if (version := FileVersion.from_json(found)) is not None]


def stated_range(reply: Reply) -> tuple[int, int, int] | None:
    """First byte, end and size of the file by Content-Range (RFC 9110, section 14.4); None if it states none."""
    match = re.fullmatch(
        r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18})", reply.headers.get("Content-Range", "").strip(), re.A
    )
    return None if match is None else (int(match[1]), int(match[2]) + 1, int(match[3]))


def message_instead(reply: Reply) -> str | None:
    """What is wrong with an answer that is a message for people instead of a file; None for every other."""
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return f"the server sent a message ({kind}) instead of the file" if kind in TEXT_TYPES else None
