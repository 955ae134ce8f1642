"""Long work: a progress bar with the remaining time, and one function that runs many tiles."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED as FIRST
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

Tile = TypeVar("Tile")
Result = TypeVar("Result")


@contextmanager
def progress(description: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar on standard error with the remaining time; yields a function to call with what was just finished."""
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
        yield lambda count: bar.advance(task, count)


def run_tiles(
    function: Callable[[Tile], Result],
    tiles: Iterable[Tile],
    executor: Executor | None = None,
    ahead: int = 8,
) -> Iterator[tuple[Tile, Result]]:
    """Apply a function to tiles; yields (tile, result), with an executor in the order in which they finish.

    At most `ahead` tiles are in flight, so memory does not grow with their number. After a failure no further tile is
    begun; those in flight still yield their results, and then the first failure is raised.

    Args:
        executor: any `concurrent.futures` executor, threads or Dask's `client.get_executor()`; None = in line.
    """
    if executor is None:
        for tile in tiles:
            yield tile, function(tile)
        return
    waiting = iter(tiles)
    running: dict[Future[Result], Tile] = {executor.submit(function, tile): tile for tile in islice(waiting, ahead)}
    failure: BaseException | None = None
    try:
        while running:
            finished, _ = wait(running, return_when=FIRST)
            for future in finished:
                tile = running.pop(future)
                error = future.exception()
                failure = failure or error
                if error is None:
                    yield tile, future.result()
                if failure is None:
                    running.update({executor.submit(function, tile): tile for tile in islice(waiting, 1)})
    finally:
        for future in running:
            future.cancel()
        wait(running)
    if failure is not None:
        raise failure
