"""Every stage on a disk that is full or read-only: one sentence, nothing half written, and the next run goes on."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small_road import STAGES, Forks, before, forks, make_road, words_of
from tests.test_killed import contents

pytestmark = pytest.mark.check

DISK = 96 * 1024**2
"""Bytes of the disk."""
SHARES = (0.0, 0.25, 0.5, 0.75)
"""Space that is left of what a stage writes."""
COMMANDS = tuple(name for name in STAGES if name != "append")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("log") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory, running: Forks) -> Path:
    return make_road(tmp_path_factory.mktemp("road"), running)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", *options], check=False, capture_output=True).returncode
    ):
        pytest.skip("mounting a small disk needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def filled(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes free."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free(disk) - left)
    return ballast


def written(stage: str, out: Path) -> dict[str, object]:
    """What a stage has written; of a report without the files that state when and where it was made."""
    dated = ("report.html", "report.json") if stage == "assess" else ()
    return {name: content for name, content in contents(out).items() if name not in dated}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_on_a_full_disk_says_so_and_goes_on_with_space(
    road: Path, running: Forks, disk: Path, stage: str
) -> None:
    expected, said = written(stage, road / "results" / stage), []
    needed = sum(path.stat().st_size for path in (road / "results" / stage).rglob("*") if path.is_file())
    for share in SHARES:
        place = before(road, stage, disk / "p")
        old = written(stage, place / STAGES[stage].out)
        ballast = filled(disk, int(share * needed))
        code, text = running.outcome(words_of(stage, place))
        ballast.unlink()
        found = written(stage, place / STAGES[stage].out)
        assert "Traceback" not in text or stage == "append", text
        if code != 0:
            assert "the disk is full" in text, text
            assert found in (old, expected)
        said.append(code)
        running.run(words_of(stage, place))
        assert written(stage, place / STAGES[stage].out) == expected
        shutil.rmtree(place)
    print(f"{stage}: {needed / 1e6:.2f} MB; exit codes with {SHARES} of it: {said}")
    assert said[0] != 0


@pytest.mark.parametrize("stage", COMMANDS)
def test_a_stage_on_a_read_only_disk_is_one_sentence_and_reads_from_it(
    road: Path, running: Forks, disk: Path, tmp_path: Path, stage: str
) -> None:
    """What a stage reads may be read-only if its results go elsewhere."""
    place = before(road, stage, disk / "p")
    state = contents(place)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, text = running.outcome(words_of(stage, place))
    assert code == 2
    assert "Traceback" not in text
    assert "Read-only" in text.strip().splitlines()[-1]
    assert contents(place) == state
    if stage in ("map", "parcels", "assess"):
        out = [str(tmp_path / "out") if word == f"{place}/report" else word for word in words_of(stage, place)]
        running.run(out if stage == "assess" else [*out, "--out", str(tmp_path / "out")])
        found, expected = written(stage, tmp_path / "out"), written(stage, road / "results" / stage)
        assert found.keys() == expected.keys()
        links = {"item.json"}  # relative to where the map is
        assert {name for name in found if found[name] != expected[name]} <= links
