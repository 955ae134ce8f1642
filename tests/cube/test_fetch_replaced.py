"""A file that was replaced on its server, under its name and without a checksum, is noticed by the next fetch."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.cube.projects import add_scene, saved, write_project
from tests.scenes import S2_KEYS, Catalogue, at, reflectance, s2_numbers, write_tiff
from tests.servers import Answer, Lie, Request, Server, serving_season

from agrifm.config import read_project
from agrifm.cube import fetch as fetching
from agrifm.cube import project_scenes
from agrifm.cube.store import Cube
from agrifm.errors import SceneError
from agrifm.scene import connections, limits
from agrifm.scene.remote_raster import forget_head
from agrifm.scene.scene import RemoteAsset
from agrifm.scene.search_result import SearchResult

PRODUCT = "sentinel-2-c1-l2a"
RED, BRIGHTER = S2_KEYS.index("red"), 500
MOMENT = "Wed, 01 May 2024 10:00:00 GMT"


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two scenes, A and B, of two days; returns the catalogue."""
    catalogue = Catalogue(tmp_path / "made")
    for number, name in enumerate("AB"):
        add_scene(catalogue, PRODUCT, name, at(5, 1 + 5 * number))
    return saved(catalogue)


def run(directory: Path, catalogue: str) -> Cube:
    write_project(directory, f'catalog = "{catalogue}"', [PRODUCT])
    return fetching.fetch(read_project(directory))[0]


def replace_red(images: Path, scene: str, brighter: int = BRIGHTER) -> Path:
    """Another image under the same name, of the same size."""
    path = images.parent / scene / "red.tif"
    before = path.stat().st_size
    numbers = s2_numbers(reflectance(10, 96, brighter))[RED]
    shutil.copyfile(write_tiff(images.parent / "new.tif", numbers), path)
    assert path.stat().st_size == before
    return path


def red_of(cube: Cube) -> list[int]:
    """The upper left pixel of red, by day, in units of 0.0001."""
    return [int(number) for number in np.asarray(cube.sensors["sentinel-2"].group["values"][:, RED, 0, 0])]


def file_of(cube: Cube, frame: int) -> Path:
    """The only shard of a frame."""
    (found,) = [path for path in (cube.path / f"sentinel-2/values/c/{frame}").rglob("*") if path.is_file()]
    return found


FIRST = int(reflectance(10, 96)[RED, 0, 0])


def asked_again(server: Server) -> set[tuple[str, str]]:
    """Method and scene of the requests about images."""
    return {(one.method, one.path.split("/")[2]) for one in server.requests if one.path.startswith("/files/")}


def only_modified(request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
    """As of servers without entity tags: the time of change changes with the file."""
    tag = headers.pop("ETag", '"0"')
    return status, {**headers, "Last-Modified": f"{tag} GMT"}, body


def without_head(request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
    return (405, {}, b"") if request.method == "HEAD" else (status, headers, body)


def other_tags_for_head(request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
    return (status, {**headers, "ETag": '"other"'}, body) if request.method == "HEAD" else (status, headers, body)


def page_for_head(request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
    """As of a proxy that answers with a page of its own."""
    return (200, {"Content-Type": "text/html"}, b"log in") if request.method == "HEAD" else (status, headers, body)


WAYS: dict[str, Lie | None] = {
    "tags": None,
    "times": only_modified,
    "no HEAD": without_head,
    "other tags for HEAD": other_tags_for_head,
    "a page for HEAD": page_for_head,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_frame_of_a_replaced_file_is_read_anew_and_the_other_one_kept(
    tmp_path: Path, images: Path, way: str
) -> None:
    with serving_season(images, alter=WAYS[way]) as server:
        first = run(tmp_path / "p", server.url)
        assert red_of(first) == [FIRST, FIRST]
        frame_a = file_of(first, 0).stat().st_ino
        path = replace_red(images, "B")
        server.requests.clear()
        second = run(tmp_path / "p", server.url)
        assert red_of(second) == [FIRST, FIRST + BRIGHTER]
        assert file_of(second, 0).stat().st_ino == frame_a
        assert any(f"{server.url}/files/B/{path.name}" in note for note in second.notes)
        assert not any(f"{server.url}/files/A/" in note for note in second.notes)
        ranges = {one.headers.get("range") for one in server.requests if "/files/A/" in one.path}
        assert ranges <= {None, "bytes=0-0"}
        server.requests.clear()
        third = run(tmp_path / "p", server.url)
        assert third.notes[0].startswith("kept ")
        assert len(third.notes) == 1
        assert red_of(third) == [FIRST, FIRST + BRIGHTER]
        if way in ("tags", "times"):
            assert asked_again(server) == {("HEAD", "A"), ("HEAD", "B")}
            assert sum(one.method == "HEAD" for one in server.requests) == 22  # 10 bands and the quality, twice


def test_the_cube_of_replaced_files_is_the_one_that_is_built_from_them_at_once(tmp_path: Path, images: Path) -> None:
    with serving_season(images) as server:
        run(tmp_path / "p", server.url)
        replace_red(images, "A")
        again, anew = run(tmp_path / "p", server.url), run(tmp_path / "q", server.url)
    files = [
        {str(path.relative_to(cube.path)): path.read_bytes() for path in cube.path.rglob("*") if path.is_file()}
        for cube in (again, anew)
    ]
    assert files[0] == files[1]


def test_a_stopped_fetch_reads_a_replaced_file_anew(tmp_path: Path, images: Path) -> None:
    """Scene A was read whole before a file of B was asked for, which fails; then A's image is replaced."""
    refused = True
    with serving_season(images, allowed=lambda request: not (refused and "B/nir08" in request.path)) as server:
        with pytest.raises(SceneError):
            run(tmp_path / "p", server.url)
        refused = False
        replace_red(images, "A")
        cube = run(tmp_path / "p", server.url)
        assert any(f"{server.url}/files/A/red.tif" in note for note in cube.notes)
    assert red_of(cube) == [FIRST + BRIGHTER, FIRST]


def test_frames_taken_over_before_a_stop_are_not_kept_when_their_file_is_replaced_then(
    tmp_path: Path, images: Path
) -> None:
    refused = False
    with serving_season(images, allowed=lambda request: not (refused and "B/nir08" in request.path)) as server:
        run(tmp_path / "p", server.url)
        refused = True
        forget_head(f"{server.url}/files/B/nir08.tif")  # as in another process
        replace_red(images, "B")
        with pytest.raises(SceneError):  # A is taken over, B is to be read again and fails
            run(tmp_path / "p", server.url)
        refused = False
        replace_red(images, "A", 700)
        cube = run(tmp_path / "p", server.url)
    assert red_of(cube) == [FIRST + 700, FIRST + BRIGHTER]


def nothing_stated(request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
    return status, {key: value for key, value in headers.items() if key != "ETag"}, body


def gone(request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
    return (410, {}, b"") if request.method == "HEAD" or request.headers.get("range") == "bytes=0-0" else (
        status, headers, body
    )  # fmt: skip


def page(request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
    """As of a network that asks for a password: a page for everything, at the later fetch."""
    is_later = request.method == "HEAD" or request.headers.get("range") == "bytes=0-0"
    return (200, {"Content-Type": "text/html", "ETag": '"page"'}, b"log in") if is_later else (status, headers, body)


@pytest.mark.parametrize("alter", [nothing_stated, gone, page])
def test_files_that_cannot_be_compared_are_kept_and_counted(tmp_path: Path, images: Path, alter: Lie) -> None:
    with serving_season(images, alter=alter) as server:
        first = run(tmp_path / "p", server.url)
        again = run(tmp_path / "p", server.url)
    assert again.notes[0].startswith("kept ")
    assert "22 of 22 files" in again.notes[1]
    assert red_of(again) == red_of(first)


def test_another_size_is_another_file_whatever_else_is_stated(tmp_path: Path, images: Path) -> None:
    with serving_season(images, alter=nothing_stated) as server:
        run(tmp_path / "p", server.url)
        path = replace_red(images, "B")
        path.write_bytes(path.read_bytes() + bytes(2))
        assert red_of(run(tmp_path / "p", server.url)) == [FIRST, FIRST + BRIGHTER]


def test_a_finished_cube_is_kept_without_its_server(tmp_path: Path, images: Path) -> None:
    with serving_season(images) as server:
        first = run(tmp_path / "p", server.url)
    connections._pool.cache_clear()  # as in another process
    again = run(tmp_path / "p", fetching.SCENES)
    assert again.notes[0].startswith("kept ")
    assert "22 of 22 files" in again.notes[1]
    assert red_of(again) == red_of(first)


def test_a_server_that_is_down_is_not_asked_about_every_file(tmp_path: Path, images: Path) -> None:
    with serving_season(images) as server:
        run(tmp_path / "p", server.url)
        server.requests.clear()
        server.always = (503, {})
        again = run(tmp_path / "p", fetching.SCENES)
        assert again.notes[0].startswith("kept ")
        assert len(server.requests) <= 8 * limits.MAX_TRIES


def test_one_file_without_an_answer_does_not_hide_the_others(tmp_path: Path, images: Path) -> None:
    """Files are asked for in the order of their names; that of A has no answer, that of B is replaced."""
    silent: set[str] = set()

    def without_one(request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
        return (503, {}, b"") if request.path in silent else (status, headers, body)

    with serving_season(images, alter=without_one) as server:
        run(tmp_path / "p", server.url)
        silent.add("/files/A/rededge1.tif")
        replace_red(images, "B")
        second = run(tmp_path / "p", server.url)
    assert red_of(second) == [FIRST, FIRST + BRIGHTER]
    assert any(note.startswith("1 of 22 files") for note in second.notes)


def test_a_file_whose_checksum_the_item_states_is_not_asked_for(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search: Callable[..., SearchResult] = project_scenes.search_catalog

    def stating(*arguments: object) -> SearchResult:
        result = search(*arguments)
        for number, scene in enumerate(result.scenes):
            assets = {
                key: replace(asset, stated=f"1220{key}") if isinstance(asset, RemoteAsset) else asset
                for key, asset in scene.assets.items()
            }
            result.scenes[number] = replace(scene, assets=assets)
        return result

    monkeypatch.setattr(project_scenes, "search_catalog", stating)
    with serving_season(images) as server:
        run(tmp_path / "p", server.url)
        server.requests.clear()
        assert run(tmp_path / "p", server.url).notes[0].startswith("kept ")
        assert not asked_again(server)
