"""Locks of outputs: one writer at a time, and no lock that outlives its writer."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from agrifm import locks
from agrifm.errors import OutputError
from agrifm.locks import locked

HOLD = """
import sys
from pathlib import Path
from agrifm.locks import locked
with locked(Path(sys.argv[1]), "writing x"):
    print("held", flush=True)
    sys.stdin.read()
"""
ELSEWHERE = {"pid": 1, "host": "another-machine", "boot": "another-boot", "started": -1000.0}


def lock_file(target: Path) -> Path:
    return target.with_name(f".{target.name}.agrifm-lock")


def holder(target: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def is_free(target: Path) -> bool:
    try:
        with locked(target, "writing x"):
            return True
    except OutputError:
        return False


def test_a_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    with locked(tmp_path / "map", "writing x"):
        assert json.loads(lock_file(tmp_path / "map").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_is_refused_by_pid_and_host(tmp_path: Path) -> None:
    with holder(tmp_path / "map") as first:
        with pytest.raises(OutputError) as error, locked(tmp_path / "map", "writing x"):
            pytest.fail("both hold the lock")
        assert is_free(tmp_path / "report")
        first.communicate("")
    assert error.value.facts["pid"] == first.pid
    assert error.value.facts["host"] == socket.gethostname()
    assert is_free(tmp_path / "map")


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    with holder(tmp_path / "map") as first:
        first.send_signal(signal.SIGKILL)
    assert lock_file(tmp_path / "map").exists()
    assert is_free(tmp_path / "map")
    assert not lock_file(tmp_path / "map").exists()


def test_the_same_thread_enters_again_and_another_does_not(tmp_path: Path) -> None:
    found: list[bool] = []
    with locked(tmp_path / "map", "writing x"):
        with locked(tmp_path / "map", "writing x"):
            thread = threading.Thread(target=lambda: found.append(is_free(tmp_path / "map")))
            thread.start()
            thread.join()
        assert lock_file(tmp_path / "map").exists()
    assert found == [False]


def sleep_as_child() -> None:
    signal.pause()


def test_a_forked_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    with locked(tmp_path / "map", "writing x"):
        child = multiprocessing.get_context("fork").Process(target=sleep_as_child)
        child.start()
    try:
        assert is_free(tmp_path / "map")
    finally:
        child.kill()
        child.join()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 90,
        b'{"pid": 12',
        b"mine",
        b"[1]",
        b'{"pid": "x"}',
        b'{"pid": -1, "host": "", "boot": "", "started": 0}',
    ],
    ids=["empty", "zeros", "cut", "text", "list", "types", "pid"],
)
def test_a_lock_file_of_anything_else_is_taken_over(tmp_path: Path, content: bytes) -> None:
    lock_file(tmp_path / "map").write_bytes(content)
    assert is_free(tmp_path / "map")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_machine_names_the_file_to_remove(tmp_path: Path) -> None:
    lock_file(tmp_path / "map").write_text(json.dumps(ELSEWHERE))
    with pytest.raises(OutputError) as error, locked(tmp_path / "map", "writing x"):
        pytest.fail("it may be held elsewhere")
    assert str(lock_file(tmp_path / "map")) in str(error.value)
    assert error.value.facts["host"] == "another-machine"
    Path(str(error.value.facts["lock"])).unlink()
    assert is_free(tmp_path / "map")


@pytest.mark.parametrize(
    ("host", "boot", "free"),
    [("here", "another-boot", True), ("a-container", "this-boot", True), ("elsewhere", "another-boot", False)],
)
def test_a_restarted_machine_and_an_ended_container_hold_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, boot: str, free: bool
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "here")
    monkeypatch.setattr(locks, "_boot", lambda: "this-boot")
    lock_file(tmp_path / "map").write_text(json.dumps({**ELSEWHERE, "host": host, "boot": boot}))
    assert is_free(tmp_path / "map") is free


def no_locks(*_: object) -> None:
    raise OSError(95, os.strerror(95))  # ENOTSUP


def test_on_a_drive_without_locks_the_file_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    with holder(tmp_path / "map") as first:
        assert not is_free(tmp_path / "map")
        first.send_signal(signal.SIGKILL)
    assert is_free(tmp_path / "map")
    alive = psutil.Process(os.getppid())
    again = {"pid": alive.pid, "host": socket.gethostname(), "boot": locks._boot()}
    began = locks._started(alive.pid)
    for started, free in ((began, False), (began - 1000, True)):  # a reused number
        lock_file(tmp_path / "map").write_text(json.dumps({**again, "started": started}))
        assert is_free(tmp_path / "map") is free


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_clock_that_is_set_while_a_lock_is_held_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    """On a drive without locks. Linux computes the moment at which it was started from the clock."""
    pslinux = pytest.importorskip("psutil._pslinux")
    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    with holder(tmp_path / "map") as first:
        real = pslinux.boot_time()
        monkeypatch.setattr(pslinux, "boot_time", lambda: real + jump)
        assert not is_free(tmp_path / "map")
        first.kill()
    assert is_free(tmp_path / "map")


def take_once(
    target: Path, barrier: "multiprocessing.synchronize.Barrier", results: "multiprocessing.Queue[bool]"
) -> None:
    barrier.wait()
    try:
        with locked(target, "writing x"):
            barrier.wait()  # nobody lets go before all have tried
            results.put(True)
    except OutputError:
        barrier.wait()
        results.put(False)


@pytest.mark.parametrize("left", [None, b"", b'{"pid": 99'])
def test_of_many_takers_exactly_one_wins(tmp_path: Path, left: bytes | None) -> None:
    context, takers = multiprocessing.get_context("fork"), 8
    if left is not None:
        lock_file(tmp_path / "map").write_bytes(left)
    barrier, results = context.Barrier(takers), context.Queue()
    processes = [context.Process(target=take_once, args=(tmp_path / "map", barrier, results)) for _ in range(takers)]
    for process in processes:
        process.start()
    won = [results.get(timeout=30) for _ in processes]
    for process in processes:
        process.join()
    assert sum(won) == 1


def count_up(target: Path, times: int) -> None:
    for _ in range(times):
        while True:
            try:
                with locked(target, "writing x"):
                    target.write_text(str(int(target.read_text()) + 1))
                break
            except OutputError:
                continue


def test_taking_and_letting_go_in_a_hurry_loses_no_turn(tmp_path: Path) -> None:
    """Removing the file when letting go must not let two processes hold two files of one name."""
    target, context = tmp_path / "number", multiprocessing.get_context("fork")
    target.write_text("0")
    processes = [context.Process(target=count_up, args=(target, 50)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert target.read_text() == "200"
    assert list(tmp_path.iterdir()) == [target]
