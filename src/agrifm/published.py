"""Results published in an object store: whole versions next to each other, and an object that names the newest.

    s3://bucket/prefix/versions/5f0c…/…     a version: the files of the result as they are on disk; it never changes
    s3://bucket/prefix/agrifm-current.json  names the newest version and lists its files; it is written last
    s3://bucket/prefix/agrifm-lock.json     who is writing, while somebody is

So a reader finds the old result or the new one, and never a part of both: objects of a version that is not named are
found by nobody. Writing an object whole or not at all, and `If-None-Match` and `If-Match`, are all that is asked of a
store. The name of a version is the digest of its files, so a run that was stopped continues with what it had written,
and files that the version before has too are copied within the store. The version before is kept, for those who are
reading it; older ones are removed.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agrifm.errors import StoreError
from agrifm.object_store import ObjectPath, Place
from agrifm.validation import Frozen

CURRENT, LOCK, VERSIONS = "agrifm-current.json", "agrifm-lock.json", "versions"
"""Names below the address of a result."""
LAYOUT = 1
"""Version of this layout."""


class Version(Frozen):
    """What is published at an address, as its object `CURRENT` says."""

    layout: int
    kind: str
    """Such as "cube" or "map"."""
    version: str
    previous: str | None
    files: dict[str, str]
    """SHA-256 of each file, by name below the version."""


def current(place: Place) -> Place:
    """The version that an address leads to now, which later ones do not change; a path as it is.

    An address at which nothing is published is returned as it is: it may be a result that was copied there.

    Raises:
        StoreError: the store does not let it be read, or a newer version of agrifm wrote it.
    """
    if isinstance(place, Path):
        return place
    found = published_version(place)
    return place if found is None else place / VERSIONS / found[0].version


def published_version(address: ObjectPath) -> tuple[Version, str] | None:
    """What is published at an address, and the tag of the object that says so; None if nothing is."""
    found = (address / CURRENT).read_with_tag()
    if found is None:
        return None
    about = f"opening {address}: {CURRENT}"
    try:
        content: Any = json.loads(found[0])
        layout = content["layout"]
        if isinstance(layout, int) and layout > LAYOUT:
            raise StoreError(f"{about} is of a newer version of agrifm; update agrifm", layout=layout)
        version = Version.model_validate(content)
    except (ValueError, ValidationError, LookupError, TypeError) as error:
        raise StoreError(f"{about} is damaged; remove it, and publish again", address=str(address)) from error
    for name in (*version.files, version.version):
        if not name or any(part in ("", ".", "..") for part in name.replace("\\", "/").split("/")):
            raise StoreError(f"{about} names a file '{name}'; remove it, and publish again", address=str(address))
    return version, found[1]
