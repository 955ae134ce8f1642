"""One writer at a time: a lock file next to an output, held while it is written.

The operating system decides who holds it (`flock`), so a lock ends with its process, however that ends. The file also
names the process, for the sentence that refuses a second one, and because some network drives do not pass locks from
machine to machine. A file that is empty, cut or names a process that has ended is taken over.
"""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import get_ident
from typing import NamedTuple

import psutil
from pydantic import Field, ValidationError

from agrifm.errors import OutputError
from agrifm.validation import Frozen

_HELD_BY_ANOTHER = (errno.EAGAIN, errno.EACCES)
_START_TOLERANCE = 2.0
"""Seconds by which the start of one process may differ between two readings."""


class Writer(Frozen):
    """The process that holds a lock."""

    pid: int = Field(gt=0)
    host: str
    boot: str
    """Of the machine since it was started; the same in all containers on it, which have host names of their own."""
    started: float
    """When the process began, as `_started` says it: a later process may have the same number."""

    def is_alive(self) -> bool:
        """Whether the process still runs, if it is of this machine."""
        try:
            return abs(_started(self.pid) - self.started) < _START_TOLERANCE
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:  # it exists, and belongs to somebody else
            return True

    def has_ended(self) -> bool:
        """Whether the process is known to have ended: this machine runs without it, or was started again since."""
        this = this_process()
        return not self.is_alive() if self.boot == this.boot else self.host == this.host


class _Lock(NamedTuple):
    thread: int
    descriptor: int


_HELD: dict[Path, _Lock] = {}


def _forget() -> None:
    """A forked process does not hold its parent's locks, and must not keep them when the parent ends."""
    for lock in _HELD.values():
        os.close(lock.descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_forget)


@contextmanager
def locked(target: Path, doing: str) -> Iterator[None]:
    """Hold the lock of an output while it is written; the thread that holds it may enter again.

    Args:
        target: real path of a file or directory, which need not exist.
        doing: what is being done, for the error.

    Raises:
        OutputError: another process or thread is writing it, or one of another machine may be.
    """
    path = target.with_name(f".{target.name}.agrifm-lock")
    if path in _HELD and _HELD[path].thread == get_ident():
        yield
        return
    descriptor = _take(path, doing)
    _HELD[path] = _Lock(get_ident(), descriptor)
    try:
        yield
    finally:
        del _HELD[path]
        try:
            with suppress(OSError):  # empty, so that it names nobody even where it cannot be removed
                os.ftruncate(descriptor, 0)
                path.unlink()
        finally:
            os.close(descriptor)


def _take(path: Path, doing: str) -> int:
    """The descriptor of the lock file, which is locked and names this process."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            _lock(descriptor, path, doing)
            if _is_at(path, descriptor):
                _require_nobody_else(descriptor, path, doing)
                with suppress(OSError):  # a full disk, which the output itself will meet
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, this_process().model_dump_json().encode(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the one who held it has removed it meanwhile


def _lock(descriptor: int, path: Path, doing: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _HELD_BY_ANOTHER:
            return  # a drive without locks: what the file says decides
        writer = _read(descriptor)
        who = f"process {writer.pid} on {writer.host}" if writer else "another process"
        raise OutputError(
            f"{doing}: {who} is writing it; wait until that has ended, and run it again",
            lock=path,
            **({"pid": writer.pid, "host": writer.host} if writer else {}),
        ) from error


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _require_nobody_else(descriptor: int, path: Path, doing: str) -> None:
    """Refuse if the file names a process that may be writing although the system grants the lock."""
    writer, this = _read(descriptor), this_process()
    if writer is None:
        return
    is_elsewhere = writer.host != this.host and writer.boot != this.boot
    is_this = writer.pid == this.pid and path not in _HELD  # it could not remove the file before
    if is_elsewhere or (writer.boot == this.boot and writer.is_alive() and not is_this):
        raise OutputError(
            f"{doing}: process {writer.pid} on {writer.host} may be writing it; if it does not run there any more, "
            f"remove the file {path} and run it again",
            lock=path,
            pid=writer.pid,
            host=writer.host,
        )


def _read(descriptor: int) -> Writer | None:
    """Who is named in a lock file; None if it is empty, cut, or something else."""
    try:
        return Writer.model_validate_json(os.pread(descriptor, 10_000, 0))
    except (OSError, ValidationError):
        return None


def _started(pid: int) -> float:
    """Seconds from the start of the machine until a process began (Linux; else seconds since 1970).

    A clock that is set while the process runs does not change them.

    Raises:
        psutil.Error: there is no such process, or it is hidden.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22, starttime (proc(5))
    except (OSError, ValueError, IndexError):
        return psutil.Process(pid).create_time()


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


def this_process() -> Writer:
    """Name this process, as a lock does."""
    return Writer(pid=os.getpid(), host=socket.gethostname(), boot=_boot(), started=_started(os.getpid()))
