"""Remote files: exactly the right pixels or one sentence, whatever the server does; and few requests."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from tests.scenes import LEFT, TOP, UTM
from tests.servers import Request, Server, files_in, serving, serving_files

from agrifm.errors import SceneError
from agrifm.grid import Grid, Window
from agrifm.redaction import shown
from agrifm.scene import limits, remote, remote_raster
from agrifm.scene.products import find_product
from agrifm.scene.read import read_asset
from agrifm.scene.remote import RemoteError, request
from agrifm.scene.remote_raster import open_remote
from agrifm.scene.scene import Asset, FileAsset, RemoteAsset, Scene

SIDE = 640
GRID = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (SIDE, SIDE))
MIDDLE = GRID.window(Window(200, 230, 90, 120))
"""A window that touches four tiles of 128 pixels."""
VALUES = np.random.default_rng(0).integers(1, 9000, (SIDE, SIDE)).astype(np.uint16)
VALUES[250:260] = 0
KINDS: dict[str, dict[str, Any]] = {
    "deflate": {"driver": "COG", "compress": "DEFLATE", "blocksize": 128, "predictor": "YES"},
    "lerc": {"driver": "COG", "compress": "LERC_DEFLATE", "max_z_error": 0, "blocksize": 128},
    "zstd": {"driver": "COG", "compress": "ZSTD", "blocksize": 128},
    "strips": {"driver": "GTiff"},
    "jp2": {"driver": "JP2OpenJPEG", "quality": "100", "reversible": "YES", "blockxsize": 128, "blockysize": 128},
}


def write(directory: Path, kind: str = "deflate", values: np.ndarray = VALUES) -> Path:
    path = directory / f"{kind}.{'jp2' if kind == 'jp2' else 'tif'}"
    profile = {"width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16", "crs": UTM, "transform": GRID.transform}
    with rasterio.open(path, "w", **profile, **KINDS[kind]) as file:
        file.write(values, 1)
    return path


def read(asset: Asset, grid: Grid = MIDDLE) -> np.ndarray:
    scene = Scene(
        "S2A_1", find_product("sentinel-2-c1-l2a"), date(2024, 5, 1), {"blue": asset}, "made", baseline="05.10"
    )
    return read_asset(scene, "blue", "B02", grid, "bilinear", 0)


def refusal(asset: Asset) -> str:
    with pytest.raises(SceneError) as caught:
        read(asset)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cogs")
    write(directory)
    return directory


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serving_files(folder) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_its_pixels_from_disk_and_from_a_server(tmp_path: Path, kind: str) -> None:
    """Known pixels, written losslessly; each window is cut from the whole by hand."""
    path = write(tmp_path, kind)
    with serving_files(tmp_path) as server:
        for window in (Window(200, 230, 90, 120), Window(0, 0, SIDE, SIDE), Window(600, 600, 40, 40)):
            expected = VALUES[window.slices]
            assert (read(FileAsset(path), GRID.window(window)) == expected).all()
            assert (read(RemoteAsset(f"{server.url}/{path.name}"), GRID.window(window)) == expected).all()


def test_what_an_internal_mask_hides_is_nodata(tmp_path: Path) -> None:
    """The mask hides columns whose numbers are not nodata; it is used from both places."""
    profile = {"width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16", "crs": UTM, "transform": GRID.transform}
    mask = np.full((SIDE, SIDE), 255, np.uint8)
    mask[:, 240:250] = 0
    tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(tmp_path / "m.tif", "w", driver="GTiff", **tiles, **profile) as file,
    ):
        file.write(VALUES, 1)
        file.write_mask(mask)
    expected = np.where(mask, VALUES, 0)[200:290, 230:350]
    assert (read(FileAsset(tmp_path / "m.tif")) == expected).all()
    with serving_files(tmp_path) as server:
        assert (read(RemoteAsset(f"{server.url}/m.tif")) == expected).all()


def test_a_window_costs_one_opening_and_the_ranges_it_needs(server: Server) -> None:
    """Four tiles in two rows: two runs of neighbours. No HEAD, no listing, no neighbouring file."""
    read(RemoteAsset(f"{server.url}/deflate.tif"))
    assert {request.method for request in server.requests} == {"GET"}
    assert {request.path for request in server.requests} == {"/deflate.tif"}
    assert len(server.requests) <= 3
    assert server.ranges[0] == f"bytes=0-{remote_raster.HEAD_BYTES - 1}"


def test_a_second_window_of_a_file_does_not_open_it_again(server: Server) -> None:
    asset = RemoteAsset(f"{server.url}/deflate.tif")
    read(asset, GRID.window(Window(0, 0, 100, 100)))
    before = len(server.requests)
    read(asset, GRID.window(Window(500, 500, 100, 100)))
    assert len(server.requests) - before <= 2
    assert f"bytes=0-{remote_raster.HEAD_BYTES - 1}" not in server.ranges[before:]


@pytest.mark.parametrize(
    "fault", [(500, {}), (503, {}), (429, {"Retry-After": "0"}), "reset", "truncate", "slow"], ids=str
)
@pytest.mark.parametrize("place", range(2))
def test_a_passing_fault_changes_no_pixel(
    server: Server, fault: Any, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the opening or at a later range, twice in a row. "slow" is slower than the time limit."""
    monkeypatch.setattr(limits, "TIMEOUT", 0.2)
    server.faults = [None] * place + [fault, fault]
    assert (read(RemoteAsset(f"{server.url}/deflate.tif")) == VALUES[200:290, 230:350]).all()
    assert not server.faults


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((500, {}), "HTTP 500 (5 tries)"),
        ((429, {"Retry-After": "0"}), "HTTP 429 (5 tries)"),
        ("reset", "interrupted (5 tries)"),
        ("truncate", "truncated (5 tries)"),
        ("slow", "in time (5 tries)"),
        ((404, {}), "HTTP 404"),
        ((403, {}), "HTTP 403"),
    ],
    ids=str,
)
@pytest.mark.parametrize("place", range(2))
@pytest.mark.parametrize("kind", ["deflate", "jp2"])
def test_a_lasting_fault_is_one_sentence_after_few_tries(
    tmp_path: Path, fault: Any, words: str, place: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names scene, asset, address and what happened; `place` 1 lets the opening through."""
    monkeypatch.setattr(limits, "TIMEOUT", 0.2)
    path = write(tmp_path, kind)
    with serving_files(tmp_path) as server:
        server.faults, server.always = [None] * place, fault
        sentence = refusal(RemoteAsset(f"{server.url}/{path.name}"))
        asked = [request.headers.get("range") for request in server.requests]
    assert "scene S2A_1: asset 'blue'" in sentence
    assert f"at {server.url}/{path.name}" in sentence
    assert f"{words};" in sentence
    assert max(asked.count(one) for one in asked) <= limits.MAX_TRIES
    assert len(asked) <= 1 + 4 * limits.MAX_TRIES


def test_retry_after_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waits.append)
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    server.faults = [(429, {"Retry-After": "7"}), (503, {"Retry-After": soon}), (503, {})]
    assert request(f"{server.url}/deflate.tif").status == 200
    waits = [wait for wait in waits if wait]  # the server's own latency is a sleep too
    assert waits[0] == 7
    assert 15 <= waits[1] <= 20
    assert waits[2] == pytest.approx(4 * limits.FIRST_WAIT)


def test_a_wait_of_minutes_is_not_waited_for(server: Server) -> None:
    server.always = (429, {"Retry-After": "3600"})
    sentence = refusal(RemoteAsset(f"{server.url}/a.tif"))
    assert "HTTP 429" in sentence
    assert "3600 seconds" in sentence
    assert len(server.requests) == 1


def test_a_server_that_cannot_be_reached_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda _: (200, {}, b"")) as gone:
        pass
    sentence = refusal(RemoteAsset(f"{gone.url}/a.tif"))
    assert f"{gone.url}/a.tif" in sentence
    assert "reached (5 tries)" in sentence


def test_a_server_that_does_not_know_ranges_is_read_whole(folder: Path) -> None:
    content = (folder / "deflate.tif").read_bytes()
    with serving(lambda _: (200, {}, content)) as server:
        assert (read(RemoteAsset(f"{server.url}/deflate.tif")) == VALUES[200:290, 230:350]).all()
        assert len(server.requests) == 1


def test_an_answer_shorter_than_asked_for_is_refused(folder: Path) -> None:
    """A proxy that cuts ranges and says so in its length: the transfer itself looks whole."""
    whole = files_in(folder)

    def cut(asked: Request) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = whole(asked)
        return (
            status,
            headers,
            body[:-10] if asked.headers["range"] != f"bytes=0-{remote_raster.HEAD_BYTES - 1}" else body,
        )

    with serving(cut) as server:
        sentence = refusal(RemoteAsset(f"{server.url}/deflate.tif"))
    assert "requested bytes" in sentence


def test_a_file_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with serving_files(tmp_path) as server:

        def read_on() -> None:
            with open_remote(f"{server.url}/deflate.tif") as source:
                write(tmp_path, values=VALUES[::-1].copy())
                source.read(1)

        with pytest.raises(RemoteError, match="changed"):
            read_on()
        # afterwards it is read as it is now
        assert (read(RemoteAsset(f"{server.url}/deflate.tif")) == VALUES[::-1][200:290, 230:350]).all()


@pytest.mark.parametrize("content", [b"", b"<html>not a raster</html>"])
def test_a_file_that_is_not_a_raster_is_refused(content: bytes) -> None:
    with serving(lambda _: (200, {}, content)) as server:
        sentence = refusal(RemoteAsset(f"{server.url}/a.tif"))
    assert f"asset 'blue' at {server.url}/a.tif" in sentence
    assert ("damaged" if content else "0 bytes") in sentence


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_short_is_refused_and_never_zeros(tmp_path: Path, kind: str) -> None:
    """On disk and on a server that has no more of it; GDAL by itself gives zeros for JPEG 2000."""
    path = write(tmp_path, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    with serving_files(tmp_path) as server:
        for asset in (FileAsset(path), RemoteAsset(f"{server.url}/{path.name}")):
            with pytest.raises(SceneError, match=r"damaged|requested bytes"):
                read(asset, GRID)


def test_an_empty_file_on_disk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    assert "S2A_1: a.tif" in refusal(FileAsset(tmp_path / "a.tif"))


def signed_for(requests: int) -> tuple[Callable[[Request], bool], Callable[..., remote.SignedURL], list[str]]:
    """A rule that lets each signature through so often, and the function that signs: a new one when asked to renew."""
    given = ["sig-0"]
    used: dict[str, int] = {}

    def allowed(asked: Request) -> bool:
        signature = asked.query.get("sig", "")
        used[signature] = used.get(signature, 0) + 1
        return signature == given[-1] and used[signature] <= requests

    def sign(href: str, renew: bool = False) -> remote.SignedURL:
        if renew:
            given.append(f"sig-{len(given)}")
        return f"{href}?sig={given[-1]}", {}

    return allowed, sign, given


def test_a_signature_that_expires_while_a_file_is_read_is_renewed(folder: Path, monkeypatch: Any) -> None:
    """Every signature is good for one request; a file needs several."""
    allowed, sign, given = signed_for(1)
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 1)
    with (
        serving(files_in(folder, allowed)) as server,
        open_remote(f"{server.url}/deflate.tif", sign) as source,
    ):
        for row in (0, 200, 400):
            window = rasterio.windows.Window(0, row, 100, 50)
            assert (source.read(1, window=window) == VALUES[row : row + 50, :100]).all()
    assert len(given) >= 3


def test_a_signature_that_is_always_refused_is_one_sentence_without_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sign, _ = signed_for(0)
    monkeypatch.setattr("agrifm.scene.read.signer_of", lambda _: sign)
    with serving(files_in(folder, lambda _: False)) as server:
        sentence = refusal(RemoteAsset(f"{server.url}/deflate.tif"))
        assert len(server.requests) == limits.MAX_TRIES
    assert "HTTP 403 (5 tries)" in sentence
    assert "sig" not in sentence


def test_a_url_is_shown_without_secrets() -> None:
    assert shown("https://me:secret@host.org:81/a/b.tif?sig=secret#secret") == "https://host.org:81/a/b.tif"


def test_files_and_the_ranges_of_a_file_are_asked_for_at_once(folder: Path) -> None:
    """Eight files in eight threads, then two runs of one file in one thread; every answer waits 50 ms."""
    with serving_files(folder, latency=0.05) as server:
        for number in range(8):
            (folder / f"copy{number}.tif").write_bytes((folder / "deflate.tif").read_bytes())
        assets = [RemoteAsset(f"{server.url}/copy{number}.tif") for number in range(8)]
        with ThreadPoolExecutor(8) as executor:
            found = list(executor.map(read, assets))
        assert server.most_at_once >= 4
        server.most_at_once = 0
        read(assets[0])
        assert server.most_at_once == 2
    assert all((one == VALUES[200:290, 230:350]).all() for one in found)
