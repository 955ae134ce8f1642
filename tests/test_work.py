"""Many tiles: every result comes back, failures are not lost, and memory does not grow with the number of tiles."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from agrifm.files import MARKER
from agrifm.work import Resumable, fingerprint, run_tiles


def square(number: int) -> int:
    return number * number


@pytest.mark.parametrize("count", [0, 1, 7, 50])
def test_every_tile_comes_back_with_its_own_result(count: int) -> None:
    with ThreadPoolExecutor(3) as executor:
        found = list(run_tiles(square, range(count), executor))
    assert sorted(found) == [(number, number**2) for number in range(count)]
    assert list(run_tiles(square, range(count))) == [(number, number**2) for number in range(count)]


def test_tiles_run_in_processes() -> None:
    from multiprocessing import get_context

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        assert sorted(run_tiles(abs, [-3, -1, -2], executor)) == [(-3, 3), (-2, 2), (-1, 1)]


def test_results_come_in_the_order_in_which_they_finish() -> None:
    release = threading.Event()

    def wait_for_the_others(number: int) -> int:
        if number == 0:
            assert release.wait(10)
        return number

    with ThreadPoolExecutor(2) as executor:
        found = []
        for tile, _ in run_tiles(wait_for_the_others, range(4), executor):
            found.append(tile)
            if len(found) == 3:
                release.set()
    assert found[-1] == 0


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_tiles_are_taken_than_may_be_in_flight(ahead: int) -> None:
    taken = 0

    def counted() -> Iterator[int]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    with ThreadPoolExecutor(4) as executor:
        for finished, _ in enumerate(run_tiles(square, counted(), executor, ahead), start=1):
            assert taken - finished < ahead + 1
    assert taken == 40


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_the_first_failure_is_raised_and_no_further_tile_is_begun(threads: int) -> None:
    begun = []

    def fail_at_five(number: int) -> int:
        begun.append(number)
        if number == 5:
            raise ValueError("tile 5 is damaged")
        return number

    if threads == 0:
        with pytest.raises(ValueError, match="tile 5"):
            list(run_tiles(fail_at_five, range(1000)))
        assert begun == list(range(6))
        return
    with ThreadPoolExecutor(threads) as executor, pytest.raises(ValueError, match="tile 5"):
        list(run_tiles(fail_at_five, range(1000), executor, 4))
    assert max(begun) < 5 + 2 * 4


def test_tiles_in_flight_have_ended_when_a_failure_is_raised() -> None:
    slow_ended = threading.Event()
    both_begun = threading.Barrier(2)

    def fail_during_a_slow_one(number: int) -> None:
        both_begun.wait(10)
        if number == 0:
            raise ValueError("damaged")
        time.sleep(0.2)
        slow_ended.set()

    executor = ThreadPoolExecutor(2)
    with pytest.raises(ValueError, match="damaged"):
        list(run_tiles(fail_during_a_slow_one, range(2), executor))
    assert slow_ended.is_set()
    executor.shutdown()


def test_leaving_the_loop_ends_the_work() -> None:
    done = []
    with ThreadPoolExecutor(1) as executor:
        for tile, _ in run_tiles(done.append, range(1000), executor, 2):
            if tile == 3:
                break
    assert len(done) < 10


def test_progress_is_shown_on_standard_error_without_a_terminal() -> None:
    script = "from agrifm.work import progress\nwith progress('fetch', 10, 4) as advance:\n    advance(2); advance(4)\n"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "fetch" in done.stderr
    assert "10/10" in done.stderr
    assert "remaining" in done.stderr
    assert "\x1b" not in done.stderr


def test_tiles_in_flight_during_a_failure_still_yield_their_results() -> None:
    begun = threading.Barrier(2)

    def fail_first(number: int) -> int:
        begun.wait(10)
        if number == 0:
            raise ValueError("broken")
        time.sleep(0.1)
        return number

    with ThreadPoolExecutor(2) as executor:
        results = run_tiles(fail_first, range(2), executor, 2)
        assert next(results) == (1, 1)
        with pytest.raises(ValueError, match="broken"):
            next(results)


def write_number(scratch: Path, number: int) -> int:
    (scratch / str(number)).write_text(str(number))
    return number * number


def begun(scratch: Path, content: object = "a plan", decisions: object = None) -> Resumable:
    work = Resumable(scratch, fingerprint(content))
    if not work.begun:
        work.begin(decisions)
    return work


def run(work: Resumable, numbers: range = range(6), stop: int | None = None) -> list[int]:
    """Run the units, killed before `stop` is noted; returns the units that were computed."""
    computed = []

    def compute(number: int) -> int:
        computed.append(number)
        result = write_number(work.scratch, number)
        if number == stop:
            raise KeyboardInterrupt
        return result

    if stop is None:
        assert work.run(compute, numbers, str, "test") == {str(number): number**2 for number in numbers}
    else:
        with pytest.raises(KeyboardInterrupt):
            work.run(compute, numbers, str, "test")
    return computed


def test_a_fingerprint_depends_on_the_content_and_not_on_its_order() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1}) != fingerprint({"a": 1, "b": [3]})


def test_work_killed_between_a_unit_and_its_note_repeats_that_unit(tmp_path: Path) -> None:
    scratch = tmp_path / "result.partial"
    assert run(begun(scratch), stop=3) == [0, 1, 2, 3]
    assert (scratch / "3").exists()
    again = Resumable(scratch, fingerprint("a plan"))
    assert again.begun
    assert run(again) == [3, 4, 5]
    assert run(begun(scratch)) == []


def test_a_torn_last_line_counts_as_not_done_and_stops_nothing(tmp_path: Path) -> None:
    scratch = tmp_path / "result.partial"
    work = begun(scratch)
    run(work, stop=3)
    work.journal.write_text(work.journal.read_text()[:-2])
    assert run(begun(scratch), stop=4) == [2, 3, 4]
    assert run(begun(scratch)) == [4, 5]


@pytest.mark.parametrize("journal", ["", "{", "\0" * 90, "\0\n" * 9, "\udcff\n", '{"plan": 1}\n', "[]\n", None])
def test_a_journal_that_cannot_be_read_starts_afresh(tmp_path: Path, journal: str | None) -> None:
    scratch = tmp_path / "result.partial"
    work = begun(scratch)
    run(work)
    if journal is None:
        work.journal.unlink()
    else:
        work.journal.write_text(journal, errors="surrogateescape")
    assert not Resumable(scratch, fingerprint("a plan")).begun
    assert list(tmp_path.iterdir()) == []


def test_a_finished_unit_that_is_not_whole_is_done_again(tmp_path: Path) -> None:
    scratch = tmp_path / "result.partial"
    run(begun(scratch))
    (scratch / "2").write_text("")
    (scratch / "4").unlink()
    again = []

    def compute(number: int) -> int:
        again.append(number)
        return write_number(scratch, number)

    def is_whole(number: int, _: object) -> bool:
        return (scratch / str(number)).exists() and (scratch / str(number)).read_text() == str(number)

    begun(scratch).run(compute, range(6), str, "test", is_whole=is_whole)
    assert again == [2, 4]
    assert run(begun(scratch)) == []


def test_work_of_another_fingerprint_is_removed(tmp_path: Path) -> None:
    scratch = tmp_path / "result.partial"
    run(begun(scratch))
    work = Resumable(scratch, fingerprint("another plan"))
    assert not work.begun
    assert list(tmp_path.iterdir()) == []
    work.begin()
    assert run(work) == [0, 1, 2, 3, 4, 5]


def test_decisions_are_kept_from_the_run_that_began(tmp_path: Path) -> None:
    begun(tmp_path / "result.partial", decisions=[1, {"a": None}])
    assert begun(tmp_path / "result.partial", decisions="other").decisions == [1, {"a": None}]


def test_finished_work_is_put_in_its_place_and_leaves_nothing(tmp_path: Path) -> None:
    for content in ("old", "new"):
        work = begun(tmp_path / "result.partial", content)
        (work.scratch / "content").write_text(content)
        work.finish(tmp_path / "result", "cube")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert {path.name for path in (tmp_path / "result").iterdir()} == {MARKER, "content"}
    assert (tmp_path / "result" / "content").read_text() == "new"


def test_work_killed_while_it_finishes_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old result is out of the way, the new one not yet in its place."""
    begun(tmp_path / "result.partial").finish(tmp_path / "result", "cube")
    work = begun(tmp_path / "result.partial", "new")
    run(work)
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if self == work.scratch:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        work.finish(tmp_path / "result", "cube")
    monkeypatch.undo()
    again = begun(tmp_path / "result.partial", "new")
    assert run(again) == []
    again.finish(tmp_path / "result", "cube")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_units_that_are_files_need_the_scratch_only(tmp_path: Path) -> None:
    work = begun(tmp_path / "windows")
    write_number(work.scratch, 3)
    assert (begun(tmp_path / "windows").scratch / "3").exists()
    assert not (begun(tmp_path / "windows", "another plan").scratch / "3").exists()
    work.remove()
    assert list(tmp_path.iterdir()) == []
