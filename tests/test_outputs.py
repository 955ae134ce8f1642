"""Directories of results: put in place whole, after any kill; what others made is never replaced or deleted."""

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agrifm import files, locks, outputs
from agrifm.errors import OutputError
from agrifm.files import MARKER
from agrifm.outputs import (
    finish_directory,
    partial_directory,
    replace_file,
    require_replaceable,
    write_directory,
    writing_file,
)
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


class Killed(BaseException):
    """The process ends here: nothing after it is done, and no clean-up either."""


CALLS = ("replace", "rename", "unlink", "rmdir", "mkdir", "link", "open", "scandir", "listdir", "fsync")


def killed_after(calls: int, work: Callable[[], None]) -> bool:
    """Do some work that is killed after a number of system calls; whether it ended before."""
    count = 0
    usual = {name: getattr(os, name) for name in CALLS}
    exchange = outputs._exchange

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count > calls:
                raise Killed
            return function(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name, function in usual.items():
            patch.setattr(os, name, counted(function))
        if exchange.__name__ != "<lambda>":
            patch.setattr(outputs, "_exchange", counted(exchange))
        try:
            work()
        except Killed:
            return False
        finally:
            locks._forget()  # as the system does for a process that ends
    return True


def write_map(target: Path, content: str) -> None:
    with write_directory(target, "map") as partial:
        for name in ("a.tif", "b.tif"):
            (partial / name).write_text(content)


def content_of(target: Path) -> set[str]:
    return {(target / name).read_text() for name in ("a.tif", "b.tif")}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_kill_at_any_call_leaves_the_old_or_the_new_and_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(outputs, "_exchange", lambda *_: False)
    calls, ended = 0, False
    while not ended:
        target = tmp_path / str(calls) / "map"
        write_map(target, "old")
        (target / "notes.txt").write_text("mine")
        ended = killed_after(calls, lambda place=target: write_map(place, "new"))
        if can_exchange or target.exists():
            assert content_of(target) in ({"old"}, {"new"}), calls
            assert (target / "notes.txt").read_text() == "mine"
        if calls % 3 == 0:  # and killed once more while it puts things in order
            killed_after(calls // 2, lambda place=target: write_map(place, "new"))
        write_map(target, "newer")
        assert content_of(target) == {"newer"}, calls
        assert set(tree(target.parent)) == {f"map/{name}" for name in ("a.tif", "b.tif", "notes.txt", MARKER)}, calls
        calls += 1
    assert calls > 15


def test_a_first_result_that_is_killed_at_any_call_is_whole_or_absent(tmp_path: Path) -> None:
    calls, ended = 0, False
    while not ended:
        target = tmp_path / str(calls) / "map"
        ended = killed_after(calls, lambda place=target: write_map(place, "new"))
        assert not target.exists() or content_of(target) == {"new"}
        write_map(target, "newer")
        assert set(tree(target.parent)) == {"map/a.tif", "map/b.tif", f"map/{MARKER}"}, calls
        calls += 1


def test_the_name_of_a_result_always_leads_to_one(tmp_path: Path) -> None:
    target, missing, done = tmp_path / "map", [], threading.Event()
    write_map(target, "0")

    def read() -> None:
        while not done.is_set():
            if not target.exists():
                missing.append(True)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20):
        write_map(target, str(number))
    done.set()
    reader.join()
    assert content_of(target) == {"19"}
    assert not missing


def links(tmp_path: Path, kind: str) -> tuple[Path, Path]:
    """A path with a link of some kind, and where it leads."""
    (tmp_path / "disk").mkdir()
    if kind == "to a folder":
        (tmp_path / "disk" / "map").mkdir()
    if kind == "in the middle":
        (tmp_path / "out").symlink_to("disk")
        return tmp_path / "out" / "map", tmp_path / "disk" / "map"
    if kind == "chain":
        (tmp_path / "second").symlink_to(tmp_path / "disk" / "map")
        (tmp_path / "map").symlink_to("second")
    else:
        (tmp_path / "map").symlink_to(Path("disk/map"))
    return tmp_path / "map", tmp_path / "disk" / "map"


@pytest.mark.parametrize("kind", ["to a folder", "dangling", "chain", "in the middle"])
def test_links_lead_where_they_point_every_time(tmp_path: Path, kind: str) -> None:
    target, place = links(tmp_path, kind)
    before = {path: os.readlink(path) for path in tmp_path.iterdir() if path.is_symlink()}
    for content in ("first", "second", "third"):
        with write_directory(target, "map") as partial:
            assert partial.parent == place.parent  # so that it can be renamed
            (partial / "content").write_text(content)
        assert (place / "content").read_text() == content
    assert {path: os.readlink(path) for path in tmp_path.iterdir() if path.is_symlink()} == before
    assert set(tree(tmp_path / "disk")) == {"map/content", f"map/{MARKER}"}


@pytest.mark.parametrize("leads_to", ["map", "unmounted/folder/map"])
def test_a_link_in_a_circle_or_to_no_folder_is_refused(tmp_path: Path, leads_to: str) -> None:
    (tmp_path / "map").symlink_to(leads_to)
    with pytest.raises(OutputError), write_directory(tmp_path / "map", "map"):
        pytest.fail("it leads nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["map"]


def test_what_others_put_into_a_result_stays_when_it_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "map"
    write_map(target, "old")
    (target / "notes").mkdir()
    (target / "notes" / "a.txt").write_text("mine")
    (target / "style.qml").write_text("mine")
    (target / "link").symlink_to("nowhere")
    for content in ("new", "newer"):
        write_map(target, content)
    assert content_of(target) == {"newer"}
    assert (target / "notes" / "a.txt").read_text() == (target / "style.qml").read_text() == "mine"
    assert os.readlink(target / "link") == "nowhere"


@pytest.mark.parametrize("name", ["map.partial", ".map.replaced"])
@pytest.mark.parametrize("content", ["folder", "file", "link", "copy"])
def test_what_others_made_beside_a_result_is_refused_and_kept(tmp_path: Path, name: str, content: str) -> None:
    write_map(tmp_path / "map", "old")
    mine = tmp_path / name
    if content == "folder":
        mine.mkdir()
        (mine / "precious.txt").write_text("mine")
    elif content == "file":
        mine.write_text("mine")
    elif content == "copy" and name == "map.partial":
        shutil.copytree(tmp_path / "map", mine)
    else:
        mine.symlink_to(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(OutputError) as error:
        write_map(tmp_path / "map", "new")
    assert name in str(error.value)
    assert tree(tmp_path) == before


def test_an_output_inside_a_cube_is_refused(tmp_path: Path) -> None:
    with write_directory(tmp_path / "cube.zarr", "cube"):
        pass
    with pytest.raises(OutputError):
        write_map(tmp_path / "cube.zarr" / "map", "new")
    with pytest.raises(OutputError), replace_file(tmp_path / "cube.zarr" / "a.png", "drawing", lambda _: True):
        pytest.fail("it is inside a cube")
    assert set(tree(tmp_path)) == {f"cube.zarr/{MARKER}"}


def test_a_second_writer_of_a_directory_is_refused_before_it_begins(tmp_path: Path) -> None:
    found: list[bool] = []

    def second() -> None:
        try:
            write_map(tmp_path / "map", "second")
        except OutputError:
            found.append(True)

    with write_directory(tmp_path / "map", "map") as partial:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        (partial / "a.tif").write_text("first")
    assert found == [True]
    assert (tmp_path / "map" / "a.tif").read_text() == "first"


def write_own(target: Path, content: str) -> None:
    with replace_file(target, "drawing x", lambda path: path.read_text().startswith("own")) as temporary:
        temporary.write_text(content)


def test_only_own_files_are_replaced(tmp_path: Path) -> None:
    write_own(tmp_path / "a.png", "own 1")
    write_own(tmp_path / "a.png", "own 2")
    assert tree(tmp_path) == {"a.png": "own 2"}
    (tmp_path / "labels.gpkg").write_text("mine")
    with pytest.raises(OutputError):
        write_own(tmp_path / "labels.gpkg", "own")
    assert tree(tmp_path) == {"a.png": "own 2", "labels.gpkg": "mine"}


def test_a_file_that_was_finished_a_moment_before_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new.toml"

    @contextmanager
    def taken_late(place: Path, doing: str) -> Iterator[None]:
        with locks.locked(place, doing):  # the other one ended between the first look and the lock
            place.write_text("of another process")
            yield

    monkeypatch.setattr(outputs, "locked", taken_late)
    with pytest.raises(OutputError) as error, writing_file(target, "writing x"):
        pytest.fail("there is one")
    assert error.value.facts["path"] == target
    assert tree(tmp_path) == {"new.toml": "of another process"}


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.png").symlink_to("disk/picture.png")
    for content in ("own 1", "own 2"):
        write_own(tmp_path / "a.png", content)
        assert (tmp_path / "disk" / "picture.png").read_text() == content
    assert os.readlink(tmp_path / "a.png") == "disk/picture.png"
    (tmp_path / "disk" / "picture.png").write_text("mine")
    with pytest.raises(OutputError):
        write_own(tmp_path / "a.png", "own")


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "socket"])
def test_what_is_not_a_file_is_not_replaced_by_one(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "a.png"
    if kind == "directory":
        target.mkdir()
    elif kind == "pipe":
        os.mkfifo(target)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(target))
    else:
        target.symlink_to("/dev/null")
    before = os.stat(target)
    with pytest.raises(OutputError) as error:
        write_own(target, "own")
    assert error.value.facts["path"] == target
    assert os.path.samestat(before, os.stat(target))
