"""Publish a finished result of a disk in an object store, as `agrifm.published` describes, or bring it from there."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agrifm.errors import OutputError, StoreError
from agrifm.files import as_json
from agrifm.locks import Writer, this_process
from agrifm.object_store import ObjectPath
from agrifm.outputs import unfinished, write_directory
from agrifm.published import CURRENT, LAYOUT, LOCK, VERSIONS, Version, published_version
from agrifm.work import progress

AT_ONCE = 8
"""Objects that are written or read at once."""


@dataclass(frozen=True)
class PublishedResult:
    """A result on this disk and the address at which it is published; with None, nothing is."""

    directory: Path
    address: ObjectPath | None
    kind: str

    def bring(self) -> None:
        """Copy the published result to this disk if there is neither one nor unfinished work on one.

        Raises:
            StoreError: it cannot be read, or an object of it is not as it was published.
        """
        if self.address is None or self.directory.exists() or unfinished(self.directory).exists():
            return
        found = published_version(self.address)
        if found is None:
            return
        version = found[0]
        place = self.address / VERSIONS / version.version
        with write_directory(self.directory, self.kind) as partial:

            def bring_one(name: str) -> None:
                content = (place / name).read_bytes()
                if hashlib.sha256(content).hexdigest() != version.files[name]:
                    raise StoreError(f"reading {place / name}: it is not as it was published; publish it again")
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                (partial / name).write_bytes(content)

            _each(f"bring the {self.kind}", bring_one, list(version.files))

    def publish(self) -> tuple[str, ...]:
        """Publish the result as it is now; returns a sentence on it, none without an address.

        Raises:
            StoreError: the store refuses it; what readers find is as it was.
            OutputError: somebody else has published there meanwhile.
        """
        if self.address is None:
            return ()
        files = {
            file.relative_to(self.directory).as_posix(): file
            for file in sorted(self.directory.rglob("*"))
            if file.is_file()
        }
        digests = {name: _digest(file) for name, file in files.items()}
        name = hashlib.sha256(json.dumps([self.kind, digests]).encode()).hexdigest()[:16]
        found = published_version(self.address)
        before = None if found is None else found[0]
        if before is not None and before.version == name:
            return (f"kept {self.address}: it has these files",)
        written = self._write_version(name, files, digests, before)
        version = Version(
            layout=LAYOUT,
            kind=self.kind,
            version=name,
            previous=None if before is None else before.version,
            files=digests,
        )
        content, pointer = as_json(version.model_dump()).encode(), self.address / CURRENT
        if not (pointer.create_bytes(content) if found is None else pointer.replace_bytes(content, found[1])):
            raise OutputError(
                f"publishing the {self.kind} to {self.address}: somebody else published there meanwhile; run it again",
                address=str(self.address),
            )
        kept = {f"{VERSIONS}/{one}" for one in (name, version.previous)}
        below = [one for one in self.address.files() if one.startswith(f"{VERSIONS}/")]
        self.address.remove([one for one in below if "/".join(one.split("/")[:2]) not in kept])
        return (f"published {self.address}: {len(files)} files, {written} sent",)

    def _write_version(self, name: str, files: dict[str, Path], digests: dict[str, str], before: Version | None) -> int:
        """Write the objects of a version that are not there yet; returns how many were sent from this disk."""
        assert self.address is not None
        place = self.address / VERSIONS / name
        there = place.files()
        missing = [one for one, file in files.items() if there.get(one) != file.stat().st_size]
        sent: list[str] = []

        def write_one(one: str) -> None:
            if before is not None and before.files.get(one) == digests[one]:
                with suppress(FileNotFoundError):  # lost: it is sent again
                    (place.parent / before.version / one).copy_to(place / one)
                    return
            (place / one).upload(files[one])
            sent.append(one)

        _each(f"publish the {self.kind}", write_one, missing)
        return len(sent)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _each(title: str, do: Callable[[str], None], names: list[str]) -> None:
    with progress(title, len(names)) as advance, ThreadPoolExecutor(AT_ONCE) as executor:
        try:
            for _ in executor.map(do, names):
                advance(1)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


@contextmanager
def publishing(directory: Path, address: ObjectPath | None, kind: str) -> Iterator[PublishedResult]:
    """Hold the lock of an address while a result is made that is published there.

    Raises:
        OutputError: somebody else is writing there, or it holds what agrifm did not publish, or another kind of result.
        StoreError: the store refuses it, or does not know `If-None-Match`.
    """
    if address is None:
        yield PublishedResult(directory, None, kind)
        return
    doing = f"publishing the {kind} to {address}"
    _take(address / LOCK, doing)
    try:
        _require_ours(address, kind, doing)
        yield PublishedResult(directory, address, kind)
    finally:
        with suppress(StoreError):  # the next run on this machine takes it over
            (address / LOCK).unlink()


def _require_ours(address: ObjectPath, kind: str, doing: str) -> None:
    found = published_version(address)
    if found is not None and found[0].kind != kind:
        raise OutputError(f"{doing}: it holds a {found[0].kind}; choose another address", existing=found[0].kind)
    others = [one for one in address.files() if one not in (CURRENT, LOCK) and not one.startswith(f"{VERSIONS}/")]
    if found is None and others:
        raise OutputError(
            f"{doing}: it holds objects that agrifm did not publish, such as {others[0]}; choose another address",
            files=others,
        )


def _take(lock: ObjectPath, doing: str) -> None:
    """Write the lock in the name of this process; that of a process of this machine that has ended is taken over."""
    mine = this_process().model_dump_json().encode()
    if lock.create_bytes(mine):
        return
    found = lock.read_with_tag()
    writer = None if found is None else _writer(found[0])
    if found is None and lock.create_bytes(mine):  # it ended a moment ago
        return
    if found is not None and writer is not None and writer.has_ended() and lock.replace_bytes(mine, found[1]):
        return
    who = "another process" if writer is None else f"process {writer.pid} on {writer.host}"
    raise OutputError(
        f"{doing}: {who} may be writing it; wait until that has ended, or if it does not run any more remove "
        f"{lock}, and run it again",
        lock=str(lock),
        **({} if writer is None else {"pid": writer.pid, "host": writer.host}),
    )


def _writer(content: bytes) -> Writer | None:
    try:
        return Writer.model_validate_json(content)
    except ValidationError:
        return None
