"""Answers that are not what was asked for: asked for again, then refused, and never another file's pixels."""

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.scene.test_remote_raster import GRID, SIDE, VALUES, read, refusal, write
from tests.servers import Answer, Lie, Request, files_in, lying, serving

from agrifm.grid import Window
from agrifm.scene import limits
from agrifm.scene.remote import RemoteError
from agrifm.scene.remote_raster import open_remote
from agrifm.scene.scene import RemoteAsset

FOR_EVER = 10_000
EXPECTED = VALUES[200:290, 230:350]


def changed(headers: dict[str, str], **more: str) -> dict[str, str]:
    return {**headers, **{name.replace("_", "-"): text for name, text in more.items()}}


def stated(headers: dict[str, str], first: int = 0, last: int = 0, total: int = 0) -> dict[str, str]:
    """Content-Range moved by this many bytes."""
    numbers = [int(number) for number in re.findall(r"\d+", headers["Content-Range"])]
    start, end, size = (number + more for number, more in zip(numbers, (first, last, total), strict=True))
    return {**headers, "Content-Range": f"bytes {start}-{end}/{size}"}


LIES: dict[str, Lie] = {
    "shifted": lambda _, status, headers, body: (status, stated(headers, 64, 64), body),
    "starts later": lambda _, status, headers, body: (status, stated(headers, 10), body[10:]),
    "ends earlier": lambda _, status, headers, body: (status, stated(headers, 0, -10), body[:-10]),
    "shorter than stated": lambda _, status, headers, body: (status, headers, body[:-10]),
    "longer than stated": lambda _, status, headers, body: (status, headers, body + b"x" * 1000),
    "another total": lambda _, status, headers, body: (status, stated(headers, total=7), body),
    "without a range": lambda _, status, headers, body: (status, {"ETag": headers["ETag"]}, body),
    "without a total": lambda _, status, headers, body: (
        status,
        changed(headers, Content_Range=headers["Content-Range"].rpartition("/")[0] + "/*"),
        body,
    ),
    "several parts": lambda _, status, headers, body: (
        status,
        {"ETag": headers["ETag"], "Content-Type": "multipart/byteranges; boundary=x"},
        b"--x\r\n\r\n" + body,
    ),
    "compressed": lambda _, status, headers, body: (
        status,
        changed(headers, Content_Encoding="gzip"),
        gzip.compress(body),
    ),
    "a page as a part": lambda _, status, headers, body: (
        status,
        changed(headers, Content_Type="text/html; charset=utf-8"),
        (b"<html>busy</html>" * len(body))[: len(body)],
    ),
    "a page": lambda *_: (200, {"Content-Type": "text/html"}, b"<html>log in</html>"),
    "an error as JSON": lambda *_: (200, {"Content-Type": "application/json"}, b'{"error": "busy"}'),
    "a page without a type": lambda *_: (200, {}, b"<html>log in</html>"),
}


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


@pytest.mark.parametrize("place", range(2))
@pytest.mark.parametrize("name", LIES)
def test_a_passing_lie_changes_no_pixel(tmp_path: Path, name: str, place: int) -> None:
    """At the opening or at a later range, once."""
    write(tmp_path)
    with serving(lying(files_in(tmp_path), LIES[name], 1, place)) as server:
        assert (read(RemoteAsset(f"{server.url}/deflate.tif")) == EXPECTED).all()


@pytest.mark.parametrize("place", range(2))
@pytest.mark.parametrize("name", [name for name in LIES if name != "another total"])
def test_a_lasting_lie_is_refused_by_its_address(tmp_path: Path, name: str, place: int) -> None:
    write(tmp_path)
    with serving(lying(files_in(tmp_path), LIES[name], FOR_EVER, place)) as server:
        sentence = refusal(RemoteAsset(f"{server.url}/deflate.tif?token=planted"))
        assert len(server.requests) <= 2 * (1 + 3 * limits.WRONG_TRIES)
    assert f"{server.url}/deflate.tif" in sentence
    assert "planted" not in sentence


def two_files(directory: Path) -> tuple[bytes, bytes]:
    """Two files of one size whose pixels all differ."""
    contents = []
    for number, values in enumerate((VALUES, np.where(VALUES == 9, 8, 9).astype(np.uint16))):
        profile = {"width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16", "crs": "EPSG:32631"}
        tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128, "transform": GRID.transform}
        with rasterio.open(directory / f"{number}.tif", "w", driver="GTiff", **profile, **tiles) as file:
            file.write(values, 1)
        contents.append((directory / f"{number}.tif").read_bytes())
    first, second = contents
    assert len(first) == len(second)
    return first, second


Identity = Callable[[int], dict[str, str]]
IDENTITIES: dict[str, Identity] = {
    "ETag": lambda which: {"ETag": f'"{which}"'},
    "date": lambda which: {"Last-Modified": f"Mon, 0{1 + which} Jan 2024 10:00:00 GMT"},
    "one with, one without": lambda which: {"ETag": '"0"'} if which == 0 else {},
}


@pytest.mark.parametrize("name", IDENTITIES)
@pytest.mark.parametrize("whole", [False, True], ids=["part", "whole"])
def test_pixels_are_of_one_file_if_it_was_replaced(tmp_path: Path, name: str, whole: bool) -> None:
    """Replaced after the head: all of the new one; `whole`, by a server that from then on sends whole files."""
    contents = two_files(tmp_path)
    seen: list[Request] = []

    def answer(request: Request) -> Answer:
        seen.append(request)
        which = 0 if len(seen) == 1 else 1
        start, end = (int(number) for number in re.findall(r"\d+", request.headers["range"]))
        content, size = contents[which], len(contents[which])
        if whole and which:
            return 200, IDENTITIES[name](which), content
        part = content[start : end + 1]
        return 206, {**IDENTITIES[name](which), "Content-Range": f"bytes {start}-{start + len(part) - 1}/{size}"}, part

    with serving(answer) as server:
        found = read(RemoteAsset(f"{server.url}/a.tif"))
    assert (found == np.where(EXPECTED == 9, 8, 9)).all()


def test_a_cache_that_keeps_mixing_two_files_is_refused(tmp_path: Path) -> None:
    contents = two_files(tmp_path)

    def answer(request: Request) -> Answer:
        start, end = (int(number) for number in re.findall(r"\d+", request.headers["range"]))
        which = int(start > 0)
        part = contents[which][start : end + 1]
        content_range = f"bytes {start}-{start + len(part) - 1}/{len(contents[which])}"
        return 206, {"ETag": f'"{which}"', "Content-Range": content_range}, part

    with serving(answer) as server:
        assert "changed" in refusal(RemoteAsset(f"{server.url}/a.tif"))


def test_a_file_without_any_identity_is_compared_at_its_end(tmp_path: Path) -> None:
    """Neither ETag nor date: the head is asked for again, once, after other ranges were read."""
    write(tmp_path)
    first = (tmp_path / "deflate.tif").read_bytes()
    write(tmp_path, values=VALUES[::-1].copy())
    second = (tmp_path / "deflate.tif").read_bytes()
    state = {"content": first}

    def answer(request: Request) -> Answer:
        start, end = (int(number) for number in re.findall(r"\d+", request.headers["range"]))
        part = state["content"][start : end + 1]
        last = start + len(part) - 1
        return 206, {"Content-Range": f"bytes {start}-{last}/{len(first)}"}, part

    with serving(answer) as server:
        assert (read(RemoteAsset(f"{server.url}/a.tif")) == EXPECTED).all()
        assert len(server.requests) <= 4
        os.truncate(tmp_path / "deflate.tif", 0)

        def read_on() -> None:
            with open_remote(f"{server.url}/a.tif") as source:
                state["content"] = (second + bytes(len(first)))[: len(first)]
                source.read(1)

        with pytest.raises((RemoteError, rasterio.errors.RasterioError)):
            read_on()


def test_a_tile_that_arrives_damaged_is_asked_for_again(tmp_path: Path) -> None:
    """Lengths and identity are right; the compressed bytes are not. Lasting damage is refused."""
    write(tmp_path)

    def damage(_: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
        return status, headers, bytes(len(body))

    with serving(lying(files_in(tmp_path), damage, 2, 1)) as server:
        assert (read(RemoteAsset(f"{server.url}/deflate.tif")) == EXPECTED).all()
    with serving(lying(files_in(tmp_path), damage, FOR_EVER, 1)) as server:
        assert "deflate.tif" in refusal(RemoteAsset(f"{server.url}/deflate.tif"))


def test_a_good_server_is_asked_no_more_often(tmp_path: Path) -> None:
    """One request for the head and one for each run of tiles: the checks cost none."""
    write(tmp_path)
    with serving(files_in(tmp_path)) as server:
        read(RemoteAsset(f"{server.url}/deflate.tif"), GRID.window(Window(0, 0, SIDE, SIDE)))
        assert len(server.requests) == 2


def test_a_file_that_is_replaced_by_a_shorter_one_is_read_as_it_is_now(tmp_path: Path) -> None:
    """The ranges of the first file are beyond the end of the second one, so the server answers with 416."""
    write(tmp_path)
    first = (tmp_path / "deflate.tif").read_bytes()
    second = (1 + np.indices(VALUES.shape)[0] // 10).astype(np.uint16)
    write(tmp_path, values=second)
    assert (tmp_path / "deflate.tif").stat().st_size < 50_000 < len(first)
    whole = files_in(tmp_path)

    def answer(request: Request, status: int, headers: dict[str, str], body: bytes) -> Answer:
        start, end = (int(number) for number in re.findall(r"\d+", request.headers["range"]))
        part = first[start : end + 1]
        return 206, {"ETag": '"first"', "Content-Range": f"bytes {start}-{end}/{len(first)}"}, part

    with serving(lying(whole, answer, 1)) as server:
        found = read(RemoteAsset(f"{server.url}/deflate.tif"), GRID.window(Window(540, 200, 90, 120)))
        assert any(start >= 50_000 for start in [int(one.split("=")[1].split("-")[0]) for one in server.ranges])
    assert (found == second[540:630, 200:320]).all()


def test_a_page_instead_of_a_file_is_asked_for_again_when_only_its_header_is_read(tmp_path: Path) -> None:
    """It states the type of a raster, as some proxies do."""
    write(tmp_path)

    def page(*_: object) -> Answer:
        return 200, {"Content-Type": "image/tiff"}, b"<html>busy</html>"

    with (
        serving(lying(files_in(tmp_path), page, limits.WRONG_TRIES - 1)) as server,
        open_remote(f"{server.url}/deflate.tif") as source,
    ):
        assert source.shape == (SIDE, SIDE)
