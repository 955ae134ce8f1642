"""What agrifm makes: directories (a cube, models, a map, a report, a season) and the files that a user names.

A directory is made in `NAME.partial` and takes its place in one step, so its name always leads to a whole result: the
old one, then the new one. One process writes at a time, and after a kill at any moment the next one puts in order what
is left. Symbolic links lead where they point: a result is made, locked and replaced there. What agrifm did not make
is never replaced or deleted.
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agrifm.errors import OutputError
from agrifm.files import (
    MARKER,
    as_json,
    atomic_write,
    destination,
    file_destination,
    fsync,
    fsync_tree,
    read_marker,
    require_outside_cubes,
    translate_os_errors,
    write_json,
)
from agrifm.locks import locked

if TYPE_CHECKING:
    from agrifm.object_store import Place

UNFINISHED, REPLACED = ".agrifm.unfinished", ".agrifm.replaced"
"""Empty files in a directory that is being made, and in one that is being replaced: agrifm may delete both."""
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def require_replaceable(directory: Path, kind: str, files: Collection[str] | None = None) -> None:
    """Refuse a directory that does not hold an agrifm result of this kind, and is not empty.

    Args:
        files: names that such a result has; a directory with others too is refused. None = it may have any.

    Raises:
        OutputError: `directory` is a file, or holds files without the marker of that kind, or other files as well.
    """
    if not directory.exists() or (directory.is_dir() and not _names(directory)):
        return
    existing = read_marker(directory).get("kind")
    if existing != kind and not _is_cut_marker(directory, kind):
        what = f"a {existing} made by agrifm" if existing else "files that agrifm did not write"
        raise OutputError(
            f"writing a {kind} to {directory}: it holds {what}, which would be replaced; choose another directory",
            path=directory,
            existing=existing,
        )
    others = [] if files is None else [name for name in _names(directory) if name not in files]
    if others:
        raise OutputError(
            f"writing a {kind} to {directory}: next to an earlier {kind} it contains {', '.join(others[:3])}, which "
            "would be lost; move that elsewhere or choose another directory",
            files=others,
        )


def _names(directory: Path) -> list[str]:
    """What is in a directory, except what a kill can leave of our first file in it."""
    left = (f".{MARKER}.partial.json", UNFINISHED, REPLACED)
    return sorted(path.name for path in directory.iterdir() if path.name not in left)


@contextmanager
def writing_file(target: Path, doing: str, is_ours: Callable[[Path], bool] | None = None) -> Iterator[None]:
    """Hold the lock of a file that a user named while it is written; only files of agrifm's own are replaced.

    Args:
        doing: what is being done, for the error.
        is_ours: whether the file at a path is of the kind that is written, and made by agrifm; None replaces
            no file.

    Raises:
        OutputError: there is a file that is not to be replaced, or another process is writing it.
    """
    with ExitStack() as stack:
        with translate_os_errors(doing):
            place = file_destination(target)
            require_outside_cubes(place, doing)
            place.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(place, doing))
            # Looked for when the lock is held: another process may have finished it a moment before.
            if place.is_file() and (is_ours is None or not is_ours(place)):
                made = " already" if is_ours is None else ", and agrifm did not make it"
                raise OutputError(f"{doing}: {target} exists{made}; choose another path", path=target)
        yield


@contextmanager
def replace_file(target: Path, doing: str, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A temporary path for a file, as `atomic_write` gives it, while `writing_file` holds its lock."""
    with writing_file(target, doing, is_ours), atomic_write(target) as temporary:
        yield temporary


def _is_cut_marker(directory: Path, kind: str) -> bool:
    """Whether the marker is what a power cut left of one of this kind: its beginning, and zeros."""
    try:
        found = (directory / MARKER).read_bytes().rstrip(b"\0")
    except OSError:
        return False
    whole = as_json({"kind": kind, "entries": []}).encode()
    head = as_json({"kind": kind}).encode().removesuffix(b"\n}\n")
    return whole.startswith(found) or found.startswith(head)


def partial_directory(target: Path, kind: str) -> Path:
    """The directory in which unfinished work on `target` is kept, next to it; both must be agrifm's, empty or new.

    Raises:
        OutputError: one of them holds something else.
    """
    require_replaceable(target, kind)
    partial = unfinished(target)
    journal = partial.with_name(f"{partial.name}.journal")
    if os.path.lexists(partial) and not (_has(partial, UNFINISHED, REPLACED) or journal.is_file()):
        _require_empty(partial, f"writing a {kind} to {target}")
    return partial


def unfinished(target: Path) -> Path:
    """Where unfinished work on a directory is kept, if there is any."""
    place = destination(target)
    return place.with_name(f"{place.name}.partial")


def _has(directory: Path, *names: str) -> bool:
    return directory.is_dir() and any((directory / name).exists() for name in names)


def _require_empty(directory: Path, doing: str) -> None:
    if directory.is_symlink() or not directory.is_dir() or any(directory.iterdir()):
        raise OutputError(
            f"{doing}: {directory} is in the way, and agrifm did not make it; move it, or choose another path",
            path=directory,
        )


def begin_directory(partial: Path) -> None:
    """Create the directory of unfinished work, or mark it as agrifm's if it is empty."""
    partial.mkdir(parents=True, exist_ok=True)
    (partial / UNFINISHED).touch()


@contextmanager
def writing(target: Path, kind: str) -> Iterator[Path]:
    """Hold the lock of a directory while it is made; yields the path of its unfinished work (`partial_directory`).

    Raises:
        OutputError: another process is writing it, or it holds something else.
    """
    doing = f"writing the {kind} {target}"
    with ExitStack() as stack:
        with translate_os_errors(doing):
            require_replaceable(target, kind)
            place = destination(target)
            require_outside_cubes(place, doing)
            place.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(place, doing))
            _recover(place, doing)
            partial = partial_directory(target, kind)
        yield partial


@contextmanager
def unchanged(directory: "Place", doing: str) -> Iterator[Callable[[], None]]:
    """While a result is read: yields a check that it has not been replaced, which is also made at the end.

    Raises:
        OutputError: it was replaced, so what was read may be of both. What is published in an object store never is.
    """
    if not isinstance(directory, Path):
        yield lambda: None
        return

    def check() -> None:
        now = directory.stat() if directory.exists() else None
        if now is None or not os.path.samestat(before, now):
            raise OutputError(
                f"{doing}: {directory} was replaced while it was read; run it again when nothing else writes it",
                path=directory,
            )

    before = directory.stat()
    yield check
    check()


def _recover(place: Path, doing: str) -> None:
    """Put in order what a killed `finish_directory` left."""
    old, partial = _replaced(place), unfinished(place)
    if os.path.lexists(old) and not _has(old, MARKER, REPLACED):
        _require_empty(old, doing)
    if _has(old, MARKER) and not place.exists():
        old.replace(place)
    discard(old)
    if _has(partial, REPLACED):
        partial.replace(old)
        discard(old)
    if _has(place, MARKER):
        for mark in (UNFINISHED, REPLACED):
            (place / mark).unlink(missing_ok=True)


def _replaced(place: Path) -> Path:
    return place.with_name(f".{place.name}.replaced")


def finish_directory(partial: Path, target: Path, kind: str, keep_others: bool = False) -> None:
    """Mark `partial` as a finished result and replace `target` by it, in one step where the system can.

    What others have put into `target` is put into the new one too.

    Args:
        keep_others: everything that is in `target` and not in `partial` stays.
    """
    require_replaceable(target, kind)
    place, written = destination(target), _names(partial)
    others = [] if not place.exists() else sorted(set(_names(place)) - {MARKER})
    if not keep_others:
        of_agrifm = read_marker(place).get("entries", others)  # earlier versions did not list them
        others = [name for name in others if name not in of_agrifm]
    for name in others:
        _carry(place / name, partial / name)
    entries = {} if keep_others else {"entries": sorted(set(written) - {*others, MARKER})}
    write_json(partial / MARKER, {"kind": kind, **entries})
    fsync_tree(partial)
    old = _replaced(place)
    if not place.exists() or not _names(place):
        for left in place.iterdir() if place.exists() else ():
            left.unlink()
        partial.replace(place)
    else:
        (place / REPLACED).touch()
        if _exchange(partial, place):
            partial.replace(old)
        else:
            place.replace(old)
            partial.replace(place)
    fsync(place.parent)
    (place / UNFINISHED).unlink(missing_ok=True)
    discard(old)


def _carry(source: Path, copy: Path) -> None:
    """Put a file or directory into a second place too, whole or not at all, without a second copy where possible."""
    if os.path.lexists(copy):
        return
    temporary = copy.with_name(f".{copy.name}.carried")
    if source.is_dir() and not source.is_symlink():
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary, symlinks=True, copy_function=_link)
    else:
        temporary.unlink(missing_ok=True)
        _link(source, temporary)
    temporary.replace(copy)


def _link(source: str | Path, copy: str | Path) -> None:
    try:
        os.link(source, copy, follow_symlinks=False)
    except OSError:  # a drive without links
        shutil.copy2(source, copy, follow_symlinks=False)


def _exchange(one: Path, other: Path) -> bool:
    """Let two directories change places in one step (Linux); False where the system or the drive cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def discard(directory: Path) -> None:
    """Delete a directory of agrifm's; what a kill leaves of it is never taken for a result, and is marked as ours."""
    if not directory.is_dir() or directory.is_symlink():
        return
    with suppress(OSError):
        if not _has(directory, UNFINISHED, REPLACED):
            (directory / REPLACED).touch()
        (directory / MARKER).unlink(missing_ok=True)
        for path in directory.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in (UNFINISHED, REPLACED):
                path.unlink()
        if not set(os.listdir(directory)) - {UNFINISHED, REPLACED}:
            for mark in (UNFINISHED, REPLACED):
                (directory / mark).unlink(missing_ok=True)
            directory.rmdir()


@contextmanager
def write_directory(target: Path, kind: str) -> Iterator[Path]:
    """An empty directory next to `target`; it replaces `target` at the end, and is removed after a failure."""
    with writing(target, kind) as partial, translate_os_errors(f"writing the {kind} {target}"):
        discard(partial)
        begin_directory(partial)
        try:
            yield partial
            finish_directory(partial, target, kind)
        finally:
            discard(partial)
