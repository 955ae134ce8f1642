"""Atomic writing of files: interrupted writes, full disks, links, and files that agrifm did not write."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agrifm.cli import main
from agrifm.errors import ConfigError, OutputError
from agrifm.files import (
    as_path,
    atomic_write,
    content_digest,
    is_whole_archive,
    translate_os_errors,
    write_json,
    write_text,
)
from tests.damage import DAMAGES


def tree(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def write_half_a_file(target: Path, failure: type[BaseException]) -> None:
    with atomic_write(target) as temporary:
        temporary.write_text("half")
        raise failure


def test_a_file_is_written_with_its_parents_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "map.tif"
    with atomic_write(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".tif"
        temporary.write_text("whole")
        assert not target.exists()
    assert tree(tmp_path) == {"a/b/map.tif": "whole"}


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_keeps_the_file_that_was_there(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "map.tif"
    target.write_text("old")
    with pytest.raises(failure):
        write_half_a_file(target, failure)
    assert tree(tmp_path) == {"map.tif": "old"}


def test_a_first_write_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write_half_a_file(tmp_path / "map.tif", RuntimeError)
    assert tree(tmp_path) == {}


def test_text_and_json_replace_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "é")
    write_json(tmp_path / "b.json", {"old": 1})
    write_json(tmp_path / "b.json", {"ü": [1, None]})
    assert (tmp_path / "a.txt").read_bytes() == "é".encode()
    assert json.loads((tmp_path / "b.json").read_bytes()) == {"ü": [1, None]}


def test_json_that_others_could_not_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert tree(tmp_path) == {}


def test_a_full_device_is_reported_as_a_full_disk() -> None:
    """Linux's /dev/full answers every write with ENOSPC."""
    said = r"writing x: the disk is full \(.*No space left.*free some space"
    with pytest.raises(OutputError, match=said), translate_os_errors("writing x"):
        Path("/dev/full").write_text("something")


def test_a_disk_that_fills_up_while_writing_keeps_the_old_file_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text("old")
    script = (
        "import resource, sys; from pathlib import Path; from agrifm.files import write_text\n"
        "from agrifm.errors import OutputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_text(Path(sys.argv[1]), 'x' * 100_000)\n"
        "except OutputError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "big.txt")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"writing {tmp_path / 'big.txt'}: the disk is full")
    assert tree(tmp_path) == {"big.txt": "old"}


def test_a_place_that_cannot_be_written_to_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose another path"):
        write_text(tmp_path / "file" / "map.tif", "x")


@pytest.mark.parametrize("code", [13, 30])
def test_refused_and_read_only_places_are_reported_in_one_sentence(code: int) -> None:
    """errno 13 is EACCES, 30 is EROFS."""
    with pytest.raises(OutputError, match="choose another path"), translate_os_errors("writing x"):
        raise OSError(code, os.strerror(code))


def test_other_failures_pass_as_they_are() -> None:
    with pytest.raises(TimeoutError), translate_os_errors("writing x"):
        raise TimeoutError
    with pytest.raises(OutputError, match="said before"), translate_os_errors("writing x"):
        raise OutputError("said before")


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_archive_that_is_not_as_it_was_written_is_not_whole(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    file = tmp_path / "window.npz"
    np.savez(file, np.random.default_rng(0).random(1000))
    assert is_whole_archive(file)
    damage(file)
    assert not is_whole_archive(file)


LARGE = 9_000_000


@pytest.mark.parametrize("place", [0, 300_001, 4_500_000, LARGE - 1], ids=["first", "between", "middle", "last"])
def test_a_large_file_that_is_replaced_by_one_of_the_same_size_has_another_digest(tmp_path: Path, place: int) -> None:
    """One byte differs, wherever it is; it is written as a download is, next to the file and then renamed."""
    path, new = tmp_path / "a.tif", tmp_path / "new.tif"
    path.write_bytes(bytes(LARGE))
    before = content_digest(path)
    assert content_digest(path) == before
    content = bytearray(LARGE)
    content[place] = 1
    new.write_bytes(content)
    new.replace(path)
    assert content_digest(path) != before


def test_a_large_file_whose_time_was_set_back_is_known_by_its_beginning_and_end(tmp_path: Path) -> None:
    """As after `cp --preserve` or an archive whose entries have one time: headers and directories are there."""
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(LARGE))
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    digests = [content_digest(path)]
    for place in (100, LARGE - 100):
        content = bytearray(LARGE)
        content[place] = 1
        path.write_bytes(content)
        os.utime(path, ns=times)
        digests.append(content_digest(path))
    assert len(set(digests)) == 3


@pytest.mark.parametrize("address", ["s3://bucket/cube.zarr", "gs://bucket/map", "https://host.org/cube.zarr"])
def test_an_address_is_not_taken_for_a_folder(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither where files are written nor where they are read, from Python or the command line."""
    monkeypatch.chdir(tmp_path)
    for path in (address, Path(address), tmp_path / address):
        with pytest.raises(ConfigError) as error:
            as_path(path)
        assert error.value.facts["address"] == address
    with pytest.raises(ConfigError):
        write_text(address, "x")
    cube_info = [] if address.startswith("s3:") else [["cube", "info", address]]  # cubes are read there
    for words in (["init", address], ["fetch", "--project", address], *cube_info):
        assert main(words) == 2
        assert address in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
