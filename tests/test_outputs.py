"""Directories of results: put in place whole, after any kill; what others made is never replaced or deleted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agrifm import files, outputs
from agrifm.errors import OutputError
from agrifm.files import MARKER
from agrifm.outputs import finish_directory, partial_directory, require_replaceable, write_directory
from tests.damage import cut, emptied, zeroed


def tree(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def write_half_a_map(target: Path) -> None:
    with write_directory(target, "map") as partial:
        (partial / "a.tif").write_text("half")
        raise RuntimeError


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
    for module in (files, outputs):
        monkeypatch.setattr(module, "fsync", lambda path: (said.append(Path(path).name), sync(path)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (said.append(f"> {Path(to).name}"), rename(self, to))[1])
    partial = tmp_path / "out.partial"
    (partial / "inner").mkdir(parents=True)
    (partial / "inner" / "file").write_text("content")
    finish_directory(partial, tmp_path / "out", "cube")
    moment = said.index("> out")
    assert {"file", "inner", "out.partial", MARKER} <= set(said[:moment])
    assert said[moment + 1] == tmp_path.name
