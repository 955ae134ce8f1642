"""Every stage under a clock that is set to and fro, and on a drive whose renames take long: the same files."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agrifm.errors import CubeError
from tests.small_road import STAGES, Forks, before, forks, make_road, words_of
from tests.test_disks import written
from tests.test_stages_killed import pixels_of

pytestmark = pytest.mark.check

JUMPS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>
static atomic_long calls;
static long jump(void) {
    switch (atomic_fetch_add(&calls, 1) % 7) { case 3: return -86400; case 5: return 3456000; default: return 0; }
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, now);
    if (!code && clock == CLOCK_REALTIME) now->tv_sec += jump();
    return code;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    int code = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec, now->tv_usec = exact.tv_nsec / 1000;
    return code;
}
"""
"""A library that sets the clock a day back at every seventh reading of it, and forty days ahead at another one."""
SLOW = """
import os, time
from agrifm import outputs
def slow(function):
    def call(*arguments, **options):
        time.sleep(0.2)
        done = function(*arguments, **options)
        time.sleep(0.2)
        return done
    return call
os.replace, os.rename = slow(os.replace), slow(os.rename)
outputs._exchange = lambda *_: False
"""
"""Renames of 0.4 s, and no exchange of two names, which NFS does not know."""
COMMANDS = tuple(STAGES)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with forks(tmp_path_factory.mktemp("log") / "log") as running:
        yield make_road(tmp_path_factory.mktemp("road"), running)


@pytest.fixture(scope="module")
def jumping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    directory = tmp_path_factory.mktemp("clock")
    (directory / "jumps.c").write_text(JUMPS)
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("a clock that jumps needs a C compiler")
    library = directory / "jumps.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(directory / "jumps.c"), "-ldl"], check=True)
    days = "import time; print(len({int(time.time()) // 86400 for _ in range(70)}))"
    done = subprocess.run(
        [sys.executable, "-c", days], env={**os.environ, "LD_PRELOAD": str(library)}, check=True, capture_output=True
    )
    assert int(done.stdout) >= 3
    with forks(directory / "log", LD_PRELOAD=str(library)) as running:
        yield running


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("slow") / "log", SLOW) as running:
        yield running


@pytest.mark.parametrize("stage", COMMANDS)
def test_a_clock_that_is_set_to_and_fro_changes_no_file(road: Path, jumping: Forks, stage: str) -> None:
    place = before(road, stage, road / "jumping")
    jumping.run(words_of(stage, place))
    assert written(stage, place / STAGES[stage].out) == written(stage, road / "results" / stage)


@pytest.mark.parametrize("stage", COMMANDS)
def test_renames_that_take_long_leave_the_old_result_or_the_new_one(road: Path, slow: Forks, stage: str) -> None:
    """A reader of a cube sees a whole one all the time, the old or the new, or none."""
    place = before(road, stage, road / "slow")
    out, expected = place / STAGES[stage].out, written(stage, road / "results" / stage)
    if stage not in ("fetch", "append"):
        slow.run(words_of(stage, place))
        assert written(stage, out) == expected
        return
    states = [pixels_of(road / "results" / stage), *([pixels_of(out)] if out.exists() else [])]
    seen: list[bool] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            with suppress(CubeError):
                seen.append(pixels_of(out) in states)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        slow.run(words_of(stage, place))
    finally:
        ended.set()
        reader.join()
    assert all(seen)
    assert written(stage, out) == expected
    print(f"{stage}: a reader opened the cube {len(seen)} times meanwhile")
