"""Atomic writing: interrupted writes, full disks, and directories that agrifm did not write."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agrifm import files
from agrifm.errors import OutputError
from agrifm.files import (
    MARKER,
    atomic_write,
    finish_directory,
    is_whole_archive,
    partial_directory,
    require_replaceable,
    translate_os_errors,
    write_directory,
    write_json,
    write_text,
)
from tests.damage import DAMAGES, cut, emptied, zeroed


def tree(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def write_half_a_file(target: Path, failure: type[BaseException]) -> None:
    with atomic_write(target) as temporary:
        temporary.write_text("half")
        raise failure


def write_half_a_map(target: Path) -> None:
    with write_directory(target, "map") as partial:
        (partial / "a.tif").write_text("half")
        raise RuntimeError


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


def test_a_directory_is_put_in_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "map"
    with write_directory(target, "map") as partial:
        (partial / "a.tif").write_text("new")
        assert not target.exists()
    assert set(tree(tmp_path)) == {"map/a.tif", f"map/{MARKER}"}
    require_replaceable(target, "map")


def test_a_new_result_replaces_an_older_one_completely(tmp_path: Path) -> None:
    target = tmp_path / "map"
    for name in ("old.tif", "new.tif"):
        with write_directory(target, "map") as partial:
            (partial / name).write_text(name)
    assert set(tree(tmp_path)) == {"map/new.tif", f"map/{MARKER}"}


def test_a_result_that_fails_leaves_the_older_one_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "map"
    with write_directory(target, "map") as partial:
        (partial / "a.tif").write_text("old")
    before = tree(tmp_path)
    with pytest.raises(RuntimeError):
        write_half_a_map(target)
    assert tree(tmp_path) == before


def test_copies_that_a_user_keeps_next_to_a_result_are_not_touched(tmp_path: Path) -> None:
    target = tmp_path / "map"
    for copy in ("map.old", "map.bak", "map2"):
        (tmp_path / copy).mkdir()
        (tmp_path / copy / "precious.tif").write_text("mine")
    for _ in range(2):
        with write_directory(target, "map") as partial:
            (partial / "a.tif").write_text("new")
    assert {name for name in tree(tmp_path) if "precious" in name} == {
        f"{copy}/precious.tif" for copy in ("map.old", "map.bak", "map2")
    }


@pytest.mark.parametrize("content", ["mine", '{"kind": "season"}', "[1]"])
@pytest.mark.parametrize("name", ["notes.txt", MARKER])
def test_a_directory_of_other_files_is_refused_and_stays_untouched(tmp_path: Path, name: str, content: str) -> None:
    target = tmp_path / "map"
    target.mkdir()
    (target / name).write_text(content)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="another directory") as caught:
        partial_directory(target, "map")
    assert caught.value.facts["path"] == target
    with pytest.raises(OutputError), write_directory(target, "map"):
        pytest.fail("it must be refused before anything is written")
    assert tree(tmp_path) == before


def test_a_result_of_another_kind_is_named(tmp_path: Path) -> None:
    with write_directory(tmp_path / "x", "season"):
        pass
    with pytest.raises(OutputError) as caught:
        require_replaceable(tmp_path / "x", "map")
    assert caught.value.facts["existing"] == "season"


def test_a_file_in_the_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map").write_text("mine")
    with pytest.raises(OutputError):
        require_replaceable(tmp_path / "map", "map")


def test_an_empty_or_absent_directory_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "absent"):
        require_replaceable(tmp_path / name, "map")
        with write_directory(tmp_path / name, "map"):
            pass
        assert (tmp_path / name / MARKER).exists()


def test_finishing_checks_again_that_the_directory_is_ours(tmp_path: Path) -> None:
    target = tmp_path / "map"
    partial = partial_directory(target, "map")
    partial.mkdir()
    target.mkdir()
    (target / "precious.txt").write_text("written meanwhile")
    with pytest.raises(OutputError):
        finish_directory(partial, target, "map")
    assert (target / "precious.txt").read_text() == "written meanwhile"


@pytest.mark.parametrize("damage", [cut, emptied, zeroed])
def test_a_result_whose_marker_was_cut_by_a_power_loss_is_replaced(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    for content in ("old", "new"):
        with write_directory(tmp_path / "map", "map") as partial:
            (partial / "content").write_text(content)
        damage(tmp_path / "map" / MARKER)
    assert (tmp_path / "map" / "content").read_text() == "new"


def test_a_marker_of_other_content_does_not_make_a_directory_ours(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("mine")
    with pytest.raises(OutputError):
        require_replaceable(tmp_path, "map")


def test_what_is_finished_is_on_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file and directory of a result is synced before it is renamed, and its directory after that."""
    said: list[str] = []
    sync, rename = files.fsync, Path.replace
    monkeypatch.setattr(files, "fsync", lambda path: (said.append(Path(path).name), sync(path)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (said.append(f"> {Path(to).name}"), rename(self, to))[1])
    partial = tmp_path / "out.partial"
    (partial / "inner").mkdir(parents=True)
    (partial / "inner" / "file").write_text("content")
    finish_directory(partial, tmp_path / "out", "cube")
    moment = said.index("> out")
    assert {"file", "inner", "out.partial", MARKER} <= set(said[:moment])
    assert said[moment + 1] == tmp_path.name


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_archive_that_is_not_as_it_was_written_is_not_whole(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    file = tmp_path / "window.npz"
    np.savez(file, np.random.default_rng(0).random(1000))
    assert is_whole_archive(file)
    damage(file)
    assert not is_whole_archive(file)
