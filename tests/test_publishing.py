"""Results in an object store: whatever ends a writer, readers find the old one or the new one; two are refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agrifm import publishing as module
from agrifm.errors import OutputError, StoreError
from agrifm.files import write_json
from agrifm.locks import this_process
from agrifm.object_store import ObjectPath, as_place
from agrifm.outputs import write_directory
from agrifm.published import CURRENT, LOCK, VERSIONS, current
from agrifm.publishing import publishing
from tests.object_server import BUCKET, Died, ObjectServer, dying, serving_objects

OLD = {"a.txt": b"first", "b/c.txt": b"same in both", "b/d.txt": b"gone later"}
NEW = {"a.txt": b"second", "b/c.txt": b"same in both", "e.txt": b"new"}


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    with serving_objects() as running:
        yield running


@pytest.fixture
def address(server: ObjectServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return ObjectPath(BUCKET, f"{abs(hash(request.node.name))}/map")


def made(place: Path, files: dict[str, bytes]) -> Path:
    with write_directory(place, "map") as partial:
        for name, content in files.items():
            (partial / name).parent.mkdir(exist_ok=True)
            (partial / name).write_bytes(content)
    return place


def publish(directory: Path, address: ObjectPath) -> tuple[str, ...]:
    with publishing(directory, address, "map") as result:
        return result.publish()


def seen(address: ObjectPath) -> dict[str, bytes]:
    """What a reader finds, without agrifm's marker."""
    place = current(address)
    assert isinstance(place, ObjectPath)
    return {name: (place / name).read_bytes() for name in place.files() if name != ".agrifm.json"}


def test_a_published_result_is_found_and_brought_back(address: ObjectPath, tmp_path: Path) -> None:
    publish(made(tmp_path / "map", OLD), address)
    assert seen(address) == OLD
    with publishing(tmp_path / "other" / "map", address, "map") as result:
        result.bring()
    found = {path.relative_to(tmp_path / "other" / "map").as_posix(): path.read_bytes() for path in files(tmp_path)}
    assert {name: content for name, content in found.items() if name != ".agrifm.json"} == OLD
    with publishing(tmp_path / "other" / "map", address, "map") as result:
        assert "kept" in result.publish()[0]


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "other" / "map").rglob("*") if path.is_file()]


def test_only_what_is_new_is_sent_and_the_version_before_stays_readable(
    address: ObjectPath, tmp_path: Path, server: ObjectServer
) -> None:
    publish(made(tmp_path / "map", OLD), address)
    before = current(address)
    server.requests.clear()
    lines = publish(made(tmp_path / "map", NEW), address)
    assert "4 files, 3 sent" in lines[0]  # a.txt, e.txt and the marker, which lists the files
    assert (seen(address), (before / "b/d.txt").read_bytes()) == (NEW, b"gone later")
    publish(made(tmp_path / "map", {"a.txt": b"third"}), address)
    versions = {name.split("/")[1] for name in address.files() if name.startswith(VERSIONS)}
    assert len(versions) == 2
    assert before.name not in versions


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_at_any_request_leaves_the_old_or_the_new_result(
    moment: str, address: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each PUT, copy and removal, of which none may be the last one to be tried; the next run ends with the new."""
    old, new = made(tmp_path / "old", OLD), made(tmp_path / "new", NEW)
    states, deaths = [], 0
    for number in range(1, 50):
        place = ObjectPath(address.bucket, f"{address.key}-{number}")
        publish(old, place)
        with dying(monkeypatch, number, moment), monkeypatch.context() as patch:
            ended = this_process().model_copy(update={"started": -100.0})
            patch.setattr(module, "this_process", lambda ended=ended: ended)
            try:
                publish(new, place)
            except Died:
                deaths += 1
            else:
                break
        states.append(seen(place))
        assert states[-1] in (OLD, NEW)
        publish(new, place)
        assert seen(place) == NEW
    assert deaths == number - 1 >= 7  # lock, three sent, one copied, the pointer, the lock's end
    assert states[0] == OLD
    assert states[-1] == NEW


def test_a_second_writer_is_refused_and_one_that_has_ended_is_not_waited_for(
    address: ObjectPath, tmp_path: Path
) -> None:
    old, new = made(tmp_path / "old", OLD), made(tmp_path / "new", NEW)
    with publishing(old, address, "map") as first:
        with pytest.raises(OutputError) as error, publishing(new, address, "map"):
            pytest.fail("two writers")
        assert error.value.facts["pid"] == this_process().pid
        first.publish()
    assert seen(address) == OLD
    elsewhere = this_process().model_copy(update={"host": "elsewhere", "boot": "another"})
    (address / LOCK).create_bytes(elsewhere.model_dump_json().encode())
    with pytest.raises(OutputError) as error:
        publish(new, address)
    assert (error.value.facts["host"], error.value.facts["lock"]) == ("elsewhere", str(address / LOCK))
    (address / LOCK).unlink()
    ended = this_process().model_copy(update={"started": -100.0})
    (address / LOCK).create_bytes(ended.model_dump_json().encode())
    publish(new, address)
    assert seen(address) == NEW
    assert not (address / LOCK).exists()


def test_a_writer_whose_lock_was_removed_does_not_replace_what_another_one_published(
    address: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, third = (made(tmp_path / name, content) for name, content in (("o", OLD), ("n", NEW), ("t", {"t": b""})))
    publish(old, address)
    send = module.PublishedResult._write_version

    def meanwhile(self: module.PublishedResult, *args: Any) -> int:
        if self.directory == new:
            (address / LOCK).unlink()
            publish(third, address)
        return send(self, *args)

    monkeypatch.setattr(module.PublishedResult, "_write_version", meanwhile)
    with pytest.raises(OutputError):
        publish(new, address)
    assert seen(address) == {"t": b""}


def test_what_agrifm_did_not_publish_is_not_replaced(address: ObjectPath, tmp_path: Path) -> None:
    result = made(tmp_path / "map", OLD)
    (address / "notes.txt").create_bytes(b"of somebody")
    with pytest.raises(OutputError):
        publish(result, address)
    assert address.files() == {"notes.txt": 11}
    other = ObjectPath(BUCKET, f"{address.key}-cube")
    with publishing(result, other, "cube") as cube:
        cube.publish()
    with pytest.raises(OutputError) as error:
        publish(result, other)
    assert error.value.facts["existing"] == "cube"


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"layout": 99}', b'{"layout": 1}'])
def test_a_damaged_or_newer_record_of_versions_is_one_sentence(address: ObjectPath, content: bytes) -> None:
    (address / CURRENT).create_bytes(content)
    with pytest.raises(StoreError) as error:
        current(address)
    assert "\n" not in str(error.value)


def test_a_name_that_leads_out_of_the_directory_is_refused(address: ObjectPath, tmp_path: Path) -> None:
    content = {"layout": 1, "kind": "map", "version": "v", "previous": None, "files": {"../../out.txt": "0"}}
    write_json(tmp_path / "record.json", content)
    (address / CURRENT).upload(tmp_path / "record.json")
    with pytest.raises(StoreError), publishing(tmp_path / "map", address, "map"):
        pytest.fail("it was opened")


@pytest.mark.parametrize("address", ["s3:", "s3://", "s3://bucket", "s3://bucket/", "s3:///key", "s3://b/a/../c"])
def test_an_address_has_a_bucket_and_a_prefix(address: str) -> None:
    with pytest.raises(StoreError) as error:
        as_place(address)
    assert "address" in error.value.facts


def test_what_the_store_refuses_is_one_sentence(server: ObjectServer, address: ObjectPath, tmp_path: Path) -> None:
    result = made(tmp_path / "map", OLD)
    reasons = []
    with pytest.raises(StoreError) as error:
        publish(result, ObjectPath("no-such-bucket", "map"))
    reasons.append(error.value.facts["reason"])
    with server.refusing():
        for do in (lambda: publish(result, address), lambda: current(address), address.files):
            with pytest.raises(StoreError) as error:
                do()
            assert "\n" not in str(error.value)
            assert "secret-of-nobody" not in str(error.value)
            reasons.append(error.value.facts["reason"])
    assert reasons == ["bucket", "rights", "rights", "rights"]
