"""Where units of work run: processes of this machine, the workers of a Dask scheduler, or jobs of Slurm.

    local:2            two processes of this machine
    tcp://host:8786    the workers of a Dask scheduler that runs already (tls:// too)
    slurm:4            four jobs of Slurm, with the options of dask-jobqueue's configuration; slurm is one

Workers share the file system with the command, at the same paths. `run_tiles` (`agrifm.work`) uses them.
"""

import errno
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from agrifm import __version__
from agrifm.cluster_workers import KEPT, local_workers, slurm_jobs
from agrifm.errors import AgriFMError, ConfigError, OutputError, WorkError, cause, require_installed
from agrifm.files import AnyPath, as_path

Result = TypeVar("Result")

ATTEMPTS = 3
"""How often a unit is tried whose worker dies or that fails for a reason that passes."""
ANSWER_SECONDS = 10
"""How long a scheduler, the first of its workers and a shared directory are waited for."""
JOB_SECONDS = 24 * 3600
"""How long the first job of Slurm is waited for in its queue."""
BUSY_SECONDS = 600
"""How long units of an earlier run of a command, which was killed, are waited for."""
POLL_SECONDS = 0.5
"""Between two questions to the workers."""
WIDTH_SECONDS = 1.0
"""How old the known number of workers may be."""
PASSING = {errno.ESTALE, errno.EIO, errno.EAGAIN, errno.ENFILE, errno.EMFILE, errno.ENETDOWN, errno.ENETUNREACH}
"""Errors of the system that may be gone at the next try: of network file systems, and of limits."""
SETTINGS = {"distributed.scheduler.allowed-failures": ATTEMPTS - 1, "distributed.scheduler.worker-saturation": 1.0}
"""Of a scheduler in this process: a worker has one unit at a time, so no other unit counts as failed when it dies."""


@dataclass(frozen=True)
class ClusterAddress:
    """What the argument of `--cluster` names."""

    kind: str
    """local, scheduler or slurm."""
    count: int = 1
    """Processes or jobs."""
    url: str = ""
    """Of the scheduler."""


def cluster_address(text: str) -> ClusterAddress:
    """Read an address; raises ConfigError if it is not one."""
    if found := re.fullmatch(r"(local|slurm):([1-9]\d{0,5})", text):
        return ClusterAddress(found[1], int(found[2]))
    if text == "slurm":
        return ClusterAddress(text)
    if re.fullmatch(r"(tcp|tls)://([\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}", text):
        return ClusterAddress("scheduler", url=text)
    raise ConfigError(
        f"choosing a cluster: '{text}' is not an address; give local:N or slurm:N with a number, or host and "
        "port of a scheduler, such as tcp://host:8786",
        address=text,
    )


class _Run(NamedTuple):
    """The run of a command that a unit belongs to."""

    client: str
    directory: str
    version: str


class ClusterExecutor(Executor):
    """The workers of a Dask client, for `run_tiles`; each unit is compared with the version of agrifm of its worker."""

    def __init__(self, client: Any, directory: Path) -> None:
        self.client = client
        self.run = _Run(client.id, os.path.realpath(directory), __version__)
        # not pure: a unit that is tried again is another task
        self._executor: Executor = client.get_executor(pure=False)
        self._width, self._seen = 1, -WIDTH_SECONDS

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        """Run a function of a module on a worker."""
        return self._executor.submit(_run_unit, self.run, fn, *args, **kwargs)

    @property
    def ahead(self) -> int:
        """Units in flight that keep all workers busy, those included that came since."""
        if time.monotonic() - self._seen > WIDTH_SECONDS:
            self._seen = time.monotonic()
            with suppress(OSError):  # a scheduler that is gone fails the units in flight
                self._width = max(1, sum(self.client.nthreads().values()))
        return 2 * self._width


def stopped(future: "Future[Any]") -> BaseException | None:
    """The error of a finished unit, if it has one; that of one which was cancelled is that its scheduler is gone."""
    if future.cancelled():
        return WorkError(
            "running on a cluster: its scheduler does not answer any more; what was finished is kept, so run the same "
            "command again"
        )
    return future.exception()


def died(error: BaseException) -> bool:
    """Whether the worker of a unit died, as often as its scheduler tries one again."""
    return type(error).__name__ == "KilledWorker"


def is_passing(error: BaseException) -> bool:
    """Whether a unit may succeed at the next try, on this worker or another one."""
    if isinstance(error, AgriFMError):
        return False
    return isinstance(error, ConnectionError | TimeoutError) or getattr(error, "errno", None) in PASSING


def why_failed(error: BaseException) -> str:
    """The reason of a unit that was tried `ATTEMPTS` times."""
    reason = "each time its worker died" if died(error) else cause(error)
    return f"failed {ATTEMPTS} times ({reason})"


def shared_path(address: str | None, path: AnyPath) -> Path:
    """Return a path as all workers can open it: from the root for those of a scheduler, which run somewhere else.

    Raises:
        ConfigError: the address is not one.
    """
    path = as_path(path)
    return path if address is None or cluster_address(address).kind != "scheduler" else path.absolute()


def open_cluster(address: str | None, path: AnyPath) -> AbstractContextManager[Executor | None]:
    """Open a cluster for a command on a project; its processes and jobs end with the context.

    Args:
        address: see `cluster_address`; None = this process, without an executor.
        path: a `shared_path` of the project, or of another file that the command was given; its directory must be
            shared.

    Raises:
        ConfigError: the address is not one, nothing answers there, there is no worker, a worker has another version of
            agrifm or does not see the directory, or a library is not installed.
    """
    return _opened(address, as_path(path))


@contextmanager
def _opened(address: str | None, path: Path) -> Iterator[Executor | None]:
    """See `open_cluster`."""
    if address is None:
        yield None
        return
    place = cluster_address(address)
    about = f"opening the cluster {address}"
    require_installed(about, "dask", "distributed", kind=ConfigError)
    if place.kind == "slurm":
        require_installed(about, "dask", "dask_jobqueue", kind=ConfigError)
    directory = path if path.is_dir() else path.parent
    with _quiet(), ExitStack() as stack:
        client = stack.enter_context(_connected(place, about))
        _require_workers(client, place, about)
        executor = ClusterExecutor(client, directory)
        if place.kind != "local":
            _require_same_version(client, about)
            _require_shared(client, directory, about)
            _wait_for_earlier(client, executor.run)
        yield executor


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log of distributed, which reports every lost worker between the lines of the bar."""
    import_module("distributed")  # which gives its loggers their levels
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _connected(place: ClusterAddress, about: str) -> Iterator[Any]:
    """A client of the cluster."""
    distributed: Any = import_module("distributed")
    dask_config: Any = import_module("dask.config")
    with ExitStack() as stack:
        try:
            if place.kind == "scheduler":
                client = stack.enter_context(distributed.Client(place.url, timeout=ANSWER_SECONDS))
            else:
                stack.enter_context(dask_config.set({**SETTINGS, **KEPT}))
                start = local_workers if place.kind == "local" else slurm_jobs
                client = stack.enter_context(distributed.Client(stack.enter_context(start(place.count))))
        except AgriFMError:
            raise
        except Exception as error:
            what = "start the scheduler, or correct its address" if place.kind == "scheduler" else "see docs/cluster.md"
            found = "nothing answers there" if isinstance(error, OSError) and place.url else cause(error)
            raise ConfigError(f"{about}: {found}; {what}", address=place.url or place.kind) from error
        yield client


def _require_workers(client: Any, place: ClusterAddress, about: str) -> None:
    """Wait for the first worker."""
    if place.kind == "slurm":
        print(f"{about}: waiting for the first of {place.count} jobs (squeue shows them)", file=sys.stderr)
    seconds = JOB_SECONDS if place.kind == "slurm" else ANSWER_SECONDS
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError as error:
        raise ConfigError(
            f"{about}: it has no workers after {seconds} s; start some, such as `dask worker {place.url or 'ADDRESS'}`",
            seconds=seconds,
        ) from error


def _require_same_version(client: Any, about: str) -> None:
    """Refuse workers that would compute in another way."""

    def version() -> str:  # sent by value, so that it runs on workers without this module too
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            return installed("agrifm")
        except PackageNotFoundError:
            return ""

    for worker, found in client.run(version).items():
        if found != __version__:
            has = f"has agrifm {found}" if found else "has no agrifm"
            raise ConfigError(
                f"{about}: the worker {worker} {has}, and this is {__version__}; install the same version on all",
                worker=worker,
                version=found,
                expected=__version__,
            )


def _require_shared(client: Any, directory: Path, about: str) -> None:
    """Refuse workers that see another directory, or none, at the path of the project."""
    try:
        with NamedTemporaryFile(dir=directory, prefix=".agrifm-cluster-") as file:
            word = uuid4().hex.encode()
            file.write(word)
            file.flush()
            os.fsync(file.fileno())
            sees = client.run(_reads, file.name, word, ANSWER_SECONDS)
    except OSError as error:
        raise OutputError(f"{about}: {directory} is to be shared; {cause(error)}", path=directory) from error
    without = [worker for worker, found in sees.items() if not found]
    if without:
        raise ConfigError(
            f"{about}: the worker {without[0]} does not see the files of this machine in {directory}; put the project "
            "on a disk that all workers share at the same path",
            worker=without[0],
            path=directory,
        )


def _reads(path: str, word: bytes, seconds: float) -> bool:
    """Whether a worker reads a word from a file; network file systems may need a moment."""
    end = time.monotonic() + seconds
    while True:
        try:
            return Path(path).read_bytes() == word
        except OSError:
            if time.monotonic() > end:
                return False
            time.sleep(0.2)


_running: dict[str, _Run] = {}
"""On a worker: the units that it computes."""


def _run_unit(run: _Run, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Run a unit on a worker."""
    if run.version != __version__:  # of a worker that came later
        raise ConfigError(
            f"running on a cluster: a worker has agrifm {__version__}, and this is {run.version}; install the same "
            "version on all",
            version=__version__,
            expected=run.version,
        )
    unit = uuid4().hex
    _running[unit] = run
    try:
        return function(*arguments, **options)
    finally:
        del _running[unit]


def _wait_for_earlier(client: Any, run: _Run) -> None:
    """Wait until workers have ended the units of a run on the same directory that was killed."""

    def clients(dask_scheduler: Any) -> list[str]:
        return list(dask_scheduler.clients)

    end, said = time.monotonic() + BUSY_SECONDS, False
    while busy := sum(client.run(_left_behind, run.directory, client.run_on_scheduler(clients)).values()):
        if time.monotonic() > end:
            raise ConfigError(
                f"running on a cluster: {busy} units of a run in {run.directory} that was killed still run on it; wait "
                "for them, or start its workers again",
                units=busy,
            )
        if not said:
            print(f"waiting for {busy} units of a run in {run.directory} that was killed", file=sys.stderr)
            said = True
        time.sleep(POLL_SECONDS)


def _left_behind(directory: str, clients: Sequence[str]) -> int:
    """How many units a worker computes in a directory for clients that are gone."""
    return sum(run.directory == directory and run.client not in clients for run in list(_running.values()))
