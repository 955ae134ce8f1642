"""Long work: a progress bar with the remaining time, many tiles at once, and work that continues after a stop."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED as FIRST
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from agrifm.cluster import ATTEMPTS, ClusterExecutor, died, is_passing, stopped, why_failed
from agrifm.errors import WorkError
from agrifm.files import fsync_tree, write_text
from agrifm.outputs import discard, finish_directory

Tile = TypeVar("Tile")
Result = TypeVar("Result")

MAX_NAMED = 3
"""Units that an error names."""


_SHOWN: list[str] = []
"""The bar that is shown by this process, if any."""


@contextmanager
def progress(description: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar on standard error with the remaining time; yields a function to call with what was just finished.

    Work that is a part of other work with a bar, such as the frames of one of many tiles, does not show a second one.
    """
    if _SHOWN:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total, completed=done)
        _SHOWN.append(description)
        try:
            yield lambda count: bar.advance(task, count)
        finally:
            _SHOWN.pop()


def run_tiles(
    function: Callable[[Tile], Result],
    tiles: Iterable[Tile],
    executor: Executor | None = None,
    ahead: int = 8,
    name: Callable[[Tile], str] = str,
    left_out: Callable[[Tile, str], Result] | None = None,
) -> Iterator[tuple[Tile, Result]]:
    """Apply a function to tiles; yields (tile, result), with an executor in the order in which they finish.

    At most `ahead` tiles are in flight, on a cluster as many as keep its workers busy, so memory does not grow with
    their number. After a failure no further tile is begun; those in flight still yield their results, and then the
    first failure is raised. On a cluster a tile whose worker dies, or that fails for a reason that passes, is tried
    three times and then left out, and all others are done.

    Args:
        executor: any `concurrent.futures` executor: threads, processes, or that of `open_cluster`; the last two need a
            function and tiles that can be pickled. None runs the tiles in this thread.
        name: of a tile, for errors.
        left_out: the result of a tile that is left out, from the reason.

    Raises:
        WorkError: after all others, if tiles were left out and there is no `left_out`.
    """
    if executor is None:
        for tile in tiles:
            yield tile, function(tile)
        return
    lost: list[tuple[str, str]] = []

    def note(tile: Tile, reason: str) -> Iterator[tuple[Tile, Result]]:
        if left_out is None:
            lost.append((name(tile), reason))
        else:
            yield tile, left_out(tile, reason)

    yield from _run_elsewhere(function, tiles, executor, ahead, note)
    if lost:
        raise _left_out(lost)


def _run_elsewhere(
    function: Callable[[Tile], Result],
    tiles: Iterable[Tile],
    executor: Executor,
    ahead: int,
    note: Callable[[Tile, str], Iterator[tuple[Tile, Result]]],
) -> Iterator[tuple[Tile, Result]]:
    """See `run_tiles`; `note` yields what is yielded for a tile that is left out."""
    cluster = executor if isinstance(executor, ClusterExecutor) else None
    waiting, running = iter(tiles), dict[Future[Result], tuple[Tile, int]]()
    failure: BaseException | None = None

    def begin() -> None:
        for tile in islice(waiting, max(0, (ahead if cluster is None else cluster.ahead) - len(running))):
            running[executor.submit(function, tile)] = tile, 1

    try:
        begin()
        while running:
            finished, _ = wait(running, return_when=FIRST)
            for future in finished:
                tile, attempt = running.pop(future)
                error = stopped(future)
                if error is None:
                    yield tile, future.result()
                elif cluster is None or not (died(error) or is_passing(error)):
                    failure = failure or error
                elif failure is None and attempt < ATTEMPTS and not died(error):
                    running[executor.submit(function, tile)] = tile, attempt + 1
                else:
                    yield from note(tile, why_failed(error))
                if failure is None:
                    begin()
    finally:
        for future in running:
            future.cancel()
        wait(running)
    if failure is not None:
        raise failure


def _left_out(lost: Sequence[tuple[str, str]]) -> WorkError:
    """Name what was left out, in one sentence."""
    names = ", ".join(name for name, _ in lost[:MAX_NAMED])
    more = f" and {len(lost) - MAX_NAMED} more" if len(lost) > MAX_NAMED else ""
    return WorkError(
        f"running on a cluster: {len(lost)} units are left out, all others are done: {names}{more} {lost[0][1]}; run "
        "the same command again to do them",
        units=[name for name, _ in lost],
        reason=lost[0][1],
    )


def fingerprint(content: object) -> str:
    """SHA-256 of what decides a result, given as something that JSON can hold; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Resumable:
    """Work that can be stopped at any moment, even by a kill, and continues where it stopped.

    Unfinished results are kept in the directory `scratch`; a journal next to it, named like it plus `.journal`, keeps
    the fingerprint of what decides the result and a line of JSON for each finished unit of work. Scratch and journal
    of another fingerprint are removed. Three kinds of work use it:

        work = Resumable(partial_directory(path, "cube"), fingerprint(content))
        if not work.begun:
            ...  # create what the units write into, in work.scratch
            work.begin(decisions)
        results = work.run(write, units, key=name_of, executor=executor)  # a journal of units with results
        work.finish(path, "cube")

    A unit that is one file needs no journal: write it into `scratch` by `files.atomic_write`, and it is finished when
    it exists. Work that writes its checkpoints needs only `scratch`. Both end with `remove` or `finish`.
    """

    def __init__(self, scratch: Path, fingerprint: str) -> None:
        self.scratch = scratch
        self.journal = scratch.with_name(f"{scratch.name}.journal")
        self.fingerprint = fingerprint
        self.begun = False
        """Whether `scratch` holds work of this fingerprint, of this run or of one that was stopped."""
        self.decisions: Any = None
        """What was given to `begin`."""
        self.results: dict[str, Any] = {}
        """Of the finished units, by key."""
        self.unfinished: dict[str, Any] = {}
        """Results of units that were tried in the last run, but are not finished."""
        if not self._read():
            self.remove()

    def _read(self) -> bool:
        """Take over what a stopped run left; False if there is nothing of this fingerprint."""
        if not (self.scratch.is_dir() and self.journal.is_file()):
            return False
        try:
            text = self.journal.read_text(encoding="utf-8")
            # The last line was cut off by a kill if it does not end: its unit counts as unfinished.
            whole = text[: text.rfind("\n") + 1]
            head, *lines = whole.splitlines()
            about = json.loads(head)
            if about["fingerprint"] != self.fingerprint:
                return False
            self.results = {key: json.loads(result) for key, _, result in (line.partition(" ") for line in lines)}
            self.decisions, self.begun = about["decisions"], True
        except (ValueError, KeyError, TypeError):
            return False
        if whole != text:
            write_text(self.journal, whole)  # else the next line would continue the torn one
        return True

    def begin(self, decisions: object = None) -> None:
        """Declare the scratch complete enough to be continued; a run that is killed before starts afresh.

        Args:
            decisions: what was decided once and for all before the first unit, as JSON.
        """
        self.scratch.mkdir(parents=True, exist_ok=True)
        fsync_tree(self.scratch)  # a journal never names what a power cut can take
        write_text(self.journal, json.dumps({"fingerprint": self.fingerprint, "decisions": decisions}) + "\n")
        self.decisions, self.begun = json.loads(json.dumps(decisions)), True

    def run(
        self,
        function: Callable[[Tile], Any],
        units: Iterable[Tile],
        key: Callable[[Tile], str],
        description: str,
        executor: Executor | None = None,
        ahead: int = 8,
        is_whole: Callable[[Tile, Any], bool] = lambda unit, result: True,
        note: Callable[[Any], bool] = lambda result: True,
        left_out: Callable[[Tile, str], Any] | None = None,
    ) -> dict[str, Any]:
        """Apply a function to the units that are not finished; returns the results of all units of this work.

        A unit that was finished but not noted when the work was killed is done again.

        Args:
            function: writes a unit into `scratch` and waits until it is on disk; what it returns must be JSON.
            key: names a unit, without blanks.
            description: of the progress bar.
            executor, ahead, left_out: see `run_tiles`.
            is_whole: whether a unit that an earlier run finished is still there as its result says; if not, it is
                done again.
            note: whether a result means that its unit is finished; if not, it is in `unfinished` until the next run.
        """
        units = list(units)
        self.unfinished = {}
        done = {name for unit in units if (name := key(unit)) in self.results and is_whole(unit, self.results[name])}
        missing = [unit for unit in units if key(unit) not in done]
        with (
            self.journal.open("a", encoding="utf-8") as log,
            progress(description, len(units), len(units) - len(missing)) as advance,
        ):
            for unit, result in run_tiles(function, missing, executor, ahead, key, left_out):
                advance(1)
                if not note(result):
                    self.unfinished[key(unit)] = result
                    continue
                log.write(f"{key(unit)} {json.dumps(result)}\n")
                log.flush()
                os.fsync(log.fileno())
                self.results[key(unit)] = result
        return self.results

    def forget(self, keys: Iterable[str]) -> None:
        """Declare units unfinished, before they are written in another way; a later run does them again."""
        self.results = {key: result for key, result in self.results.items() if key not in set(keys)}
        head = json.dumps({"fingerprint": self.fingerprint, "decisions": self.decisions})
        lines = [f"{key} {json.dumps(result)}" for key, result in self.results.items()]
        write_text(self.journal, "\n".join([head, *lines]) + "\n")

    def finish(self, target: Path, kind: str) -> None:
        """Put the scratch in the place of `target`, whole or not at all; see `outputs.finish_directory`."""
        finish_directory(self.scratch, target, kind)
        self.remove()

    def remove(self) -> None:
        """Remove scratch and journal."""
        self.journal.unlink(missing_ok=True)  # first: it must not name what is half deleted
        discard(self.scratch)
        self.begun, self.decisions, self.results = False, None, {}
