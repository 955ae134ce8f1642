"""Work on the tiles of a divided area, one after the other or by an executor; what fails is left out and named."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from agrifm.area_tile import AreaTile
from agrifm.errors import AgriFMError
from agrifm.locks import locked
from agrifm.work import Resumable, fingerprint

HOPELESS = 8
"""Failed tiles after which no more are tried if none succeeded: the reason is then the same for all of them."""
MAX_NAMED = 20
"""Failed tiles that a message names."""


@dataclass(frozen=True)
class TilesDone:
    """What became of the tiles of an area."""

    results: dict[str, Any]
    """Of the tiles that are finished, by name, in the order of the list."""
    failed: dict[str, str]
    """Why others are left out, by name."""

    def lines(self, what: str, command: str) -> list[str]:
        """Count the tiles, and name those that are left out.

        Args:
            what: what a finished tile has, such as "a cube".
            command: what does the rest.
        """
        total = len(self.results) + len(self.failed)
        lines = [f"{len(self.results)} of {total} tiles have {what}"]
        if self.failed:
            lines.append(f"{len(self.failed)} tiles failed and are left out; `agrifm {command}` tries them again:")
            lines += named_failures(self.failed)
        return lines


def named_failures(failed: dict[str, str]) -> list[str]:
    """Return a line for each tile that failed, up to a number of them."""
    more = len(failed) - MAX_NAMED
    named = [f"{name}: {reason}" for name, reason in list(failed.items())[:MAX_NAMED]]
    return [*named, *([f"and {more} more"] if more > 0 else [])]


def work_on_tiles(
    function: Callable[[AreaTile], Any],
    tiles: Sequence[AreaTile],
    journal: Path,
    content: object,
    description: str,
    failures: tuple[type[AgriFMError], ...],
    is_whole: Callable[[AreaTile, Any], bool],
    executor: Executor | None = None,
    daily: bool = True,
) -> TilesDone:
    """Apply a function to each tile; a stopped run continues, and one with failures is continued by the next.

    Tiles that are finished are not done again as long as `is_whole` says so; if `daily`, only on the same day and after
    a run that was stopped or had failures, because scenes of the others may have changed.

    Args:
        function: makes the results of a tile; what it returns must be JSON.
        journal: a path for the notes of what is finished; its last directory exists.
        content: what decides the results, as JSON.
        description: of the progress bar.
        failures: errors that concern one tile; it is left out, and the others go on. The first is raised if there is
            no other tile.
        is_whole: whether the results of a tile that was finished before are still there.
        executor: see `agrifm.work.run_tiles`.

    Raises:
        OutputError: another process works on the tiles.
    """
    doing = f"working on tiles ({description})"
    with locked(journal, doing):
        squares = [[tile.name, tile.core, tile.extent] for tile in tiles] if daily else []
        work = Resumable(journal, fingerprint([date.today().isoformat() if daily else "", content, squares]))
        if not work.begun:
            work.begin()
        failed = _run(
            work, partial(_attempt, function, failures), tiles, doing, description, failures, is_whole, executor
        )
        names = [tile.name for tile in tiles]
        done = TilesDone(
            {name: work.results[name]["result"] for name in names if name in work.results and name not in failed},
            {name: failed[name] for name in names if name in failed},
        )
        if daily and not failed:
            work.remove()
    if not done.results:
        raise failures[0]("; ".join([f"{doing}: all {len(tiles)} failed", *named_failures(failed)]), failed=failed)
    return done


def _run(
    work: Resumable,
    attempt: Callable[[AreaTile], dict[str, Any]],
    tiles: Sequence[AreaTile],
    doing: str,
    description: str,
    failures: tuple[type[AgriFMError], ...],
    is_whole: Callable[[AreaTile, Any], bool],
    executor: Executor | None,
) -> dict[str, str]:
    """Try the tiles that are not finished; returns why some of them failed, by name."""
    failed = dict[str, str]()

    def note(tried: dict[str, Any]) -> bool:
        if "failed" not in tried:
            return True
        failed[tried["tile"]] = tried["failed"]
        if len(failed) >= HOPELESS and not work.results:
            raise failures[0]("; ".join([f"{doing}: the first {HOPELESS} failed", *named_failures(failed)]))
        return False

    work.run(
        attempt,
        tiles,
        key=lambda tile: tile.name,
        description=description,
        executor=executor,
        is_whole=lambda tile, tried: is_whole(tile, tried["result"]),
        note=note,
        left_out=lambda tile, reason: {"tile": tile.name, "failed": reason},
    )
    return failed


def _attempt(
    function: Callable[[AreaTile], Any], failures: tuple[type[AgriFMError], ...], tile: AreaTile
) -> dict[str, Any]:
    try:
        return {"tile": tile.name, "result": function(tile)}
    except failures as error:
        return {"tile": tile.name, "failed": str(error)}
