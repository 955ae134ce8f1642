"""A catalogue leads only where it may: not to files or private servers from afar, not out of its folder on disk."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.scene.items import s2_item
from tests.scenes import AREA, SEASON, Catalogue, at
from tests.servers import Answer, Request, serving

from agrifm.errors import SceneError
from agrifm.scene import limits, reach
from agrifm.scene.catalogs import ApiQuery, read_items
from agrifm.scene.connections import network_of, require_allowed
from agrifm.scene.products import find_product
from agrifm.scene.reach import Reach
from agrifm.scene.scene import RemoteAsset
from agrifm.scene.search import search_catalog

S2 = find_product("sentinel-2-c1-l2a")
QUERY = ApiQuery((S2.collection,), AREA.bounds, date(2024, 5, 1), date(2024, 5, 31))
METADATA = "http://169.254.169.254/latest/meta-data/"
"""Where clouds serve the credentials of a machine."""


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


def collection(directory: Path, href: str) -> Path:
    """An item collection on disk whose one item has this address as its first asset."""
    item = s2_item(moment=at(5, 1))
    item["assets"]["blue"] = {"href": href}
    item["links"] = []
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
    return path


def found(source: Path | str, *also: str) -> Any:
    """The first asset of the only scene."""
    limited = Reach.of(str(source), also)
    return search_catalog(source, [S2], SEASON, AREA, reach=limited).scenes[0].assets["blue"]


OUTSIDE = (
    "/etc/passwd", "file:///etc/passwd", "file://localhost/etc/passwd", "../outside.tif", "a/../../outside.tif",
    "link/a.tif", "link.tif", "/vsicurl/http://127.0.0.1/a.tif", "/vsis3/bucket/a.tif", "/vsizip//etc/a.zip/a",
    'NETCDF:"/etc/passwd":a', "WMS:http://127.0.0.1/", "HDF5:/etc/passwd://a", "vrt:///etc/passwd", "GTI:/etc/passwd",
    "ftp://127.0.0.1/a.tif", "http://127.0.0.1/a.tif", "http://localhost:80/a.tif", METADATA, "http://[::1]/a.tif",
    "http://10.0.0.1/a.tif", "file:%2fetc%2fpasswd", "file:///tmp/..%2fetc/passwd", "loop.tif", "a\0b.tif",
)  # fmt: skip


@pytest.mark.parametrize("href", OUTSIDE)
def test_an_item_on_disk_leads_to_its_folder_and_public_servers_only(tmp_path: Path, href: str) -> None:
    (tmp_path / "outside.tif").touch()
    folder = tmp_path / "folder"
    path = collection(folder, href)
    (folder / "link").symlink_to(tmp_path)
    (folder / "link.tif").symlink_to("/etc/passwd")
    (folder / "loop.tif").symlink_to(folder / "loop.tif")
    with pytest.raises(SceneError):
        found(path)


@pytest.mark.parametrize("href", ["a.tif", "./a.tif", "sub/../a.tif", "{folder}/a.tif", "file://{folder}/a.tif"])
def test_an_item_on_disk_reaches_its_folder(tmp_path: Path, href: str) -> None:
    path = collection(tmp_path / "folder", href.format(folder=tmp_path / "folder"))
    assert found(path).path.resolve() == (tmp_path / "folder" / "a.tif").resolve()


def test_an_item_on_disk_reaches_what_the_project_adds(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "images")
    assert found(collection(tmp_path / "folder", "../images/a.tif"), str(tmp_path / "images"))
    assert found(collection(tmp_path / "folder", "link/a.tif"), str(tmp_path / "images"))
    assert found(collection(tmp_path / "folder", "http://10.0.0.1:9000/a.tif"), "10.0.0.1").network == "any"
    with pytest.raises(SceneError):
        found(collection(tmp_path / "folder", "http://10.0.0.2:9000/a.tif"), "10.0.0.1")


def test_a_static_catalogue_does_not_link_out_of_its_folder(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "folder")
    catalogue.add_sentinel_2("S2A_1", at(5, 1))
    top = catalogue.save()
    assert len(read_items(str(top), QUERY).items) == 1
    text = top.read_text()
    for href in ("../other/catalog.json", "/etc/passwd", "http://127.0.0.1:1/catalog.json", "file:///etc/passwd"):
        content = json.loads(text)
        content["links"].append({"rel": "child", "href": href})
        top.write_text(json.dumps(content))
        with pytest.raises(SceneError):
            read_items(str(top), QUERY)


def test_a_static_catalogue_that_links_in_a_circle_ends(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add_sentinel_2("S2A_1", at(5, 1))
    top = catalogue.save()
    content = json.loads(top.read_text())
    content["links"].append({"rel": "child", "href": str(top)})
    top.write_text(json.dumps(content))
    assert len(read_items(str(top), QUERY).items) == 1


FROM_AFAR = (
    "/etc/passwd", "file:///etc/passwd", "../../../etc/passwd", "NETCDF:/etc/passwd:a", METADATA,
    "http://[fe80::1]/a.tif", "http://[::ffff:169.254.169.254]/a.tif", "http://2852039166/a.tif", "http://0/a.tif",
    "vrt://http://127.0.0.1/a.tif", "ftp://127.0.0.1/a.tif",
)  # fmt: skip


def api(href: str, **more: Any) -> Callable[[Request], Answer]:
    item = s2_item(moment=at(5, 1))
    item["assets"]["blue"] = {"href": href}
    item["links"] = []
    content = {"type": "FeatureCollection", "features": [item], **more}
    return lambda _: (200, {"Content-Type": "application/json"}, json.dumps(content).encode())


@pytest.mark.parametrize("href", FROM_AFAR)
def test_an_item_from_a_server_never_leads_to_files_or_link_local(href: str) -> None:
    """Even if the catalogue is in a private network itself, as this one is."""
    with serving(api(href)) as server:
        try:
            asset = found(server.url)
        except SceneError:
            return
        assert isinstance(asset, RemoteAsset)  # a path on that server
        assert asset.href.startswith(server.url)
        assert not server.url.startswith(href)


@pytest.mark.parametrize("href", ["http://127.0.0.1:9/a.tif", "http://localhost/a.tif", "http://192.168.1.1/a.tif"])
def test_an_item_of_a_public_catalogue_does_not_lead_to_private_servers(
    href: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(api(href)) as server:
        assert found(server.url).network == "private"
        monkeypatch.setattr(reach, "network_of", lambda _: "public")
        with pytest.raises(SceneError):
            found(server.url)
        assert found(server.url, "127.0.0.1", "localhost", "192.168.1.1").network == "any"


PUBLIC = ("http://8.8.8.8/a", "http://example.org/a", "https://[2001:4860:4860::8888]/a", "http://1.1.1.1:8080/a")
PRIVATE = (
    "http://127.0.0.1/a", "http://127.1/a", "http://0x7f000001/a", "http://2130706433/a", "http://localhost./a",
    "http://a.localhost/a", "http://[::1]/a", "http://[::ffff:10.0.0.1]/a", "http://10.1.2.3/a", "http://172.16.0.1/a",
    "http://192.168.0.1/a", "http://100.64.0.1/a", "http://169.254.169.254/a", "http://[fe80::1]/a", "http://0.0.0.0/a",
    "http://[64:ff9b::7f00:1]/a", "http://[::7f00:1]/a", "http://[fd00::1]/a", "http://224.0.0.1/a", "http://user@127.0.0.1/",
)  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_known_in_every_form(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        require_allowed(url, "public")
    require_allowed(url, "any")


@pytest.mark.parametrize("url", PUBLIC)
def test_public_addresses_are_allowed(url: str) -> None:
    require_allowed(url, "public")


def test_a_name_is_as_private_as_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "agrifm.scene.connections._addresses", lambda host: {"in": ("10.0.0.1",)}.get(host, ("8.8.8.8",))
    )
    assert network_of("http://in/a") == "private"
    assert network_of("http://out/a") == "public"


def test_the_next_page_of_a_search_does_not_lead_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "page.json").write_text(json.dumps({"type": "FeatureCollection", "features": [], "links": []}))
    for href in (str(tmp_path / "page.json"), f"file://{tmp_path}/page.json", METADATA):
        asked: list[str] = []

        def answer(request: Request, href: str = href, asked: list[str] = asked) -> Answer:
            asked.append(request.path)
            if request.path == "/search":
                links = [{"rel": "next", "href": href}]
                return 200, {}, json.dumps({"type": "FeatureCollection", "features": [], "links": links}).encode()
            landing = {
                "type": "Catalog", "id": "x", "description": "x", "stac_version": "1.0.0",
                "conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"],
                "links": [{"rel": "search", "href": f"http://{request.headers['host']}/search", "method": "GET"}],
            }  # fmt: skip
            return 200, {}, json.dumps(landing).encode()

        with serving(answer) as server, pytest.raises(SceneError):
            read_items(server.url, QUERY)
        assert "/search" in asked


def test_the_scenes_file_of_a_project_keeps_its_reach(tmp_path: Path) -> None:
    """It names files of an earlier catalogue by their full paths; as anybody's file it does not reach them."""
    catalogue = Catalogue(tmp_path / "made")
    catalogue.add_sentinel_2("S2A_1", at(5, 1))
    path = collection(tmp_path / "project", str(tmp_path / "made" / "S2A_1" / "blue.tif"))
    with pytest.raises(SceneError):
        found(path)
    assert search_catalog(path, [S2], SEASON, AREA, reach=reach.ANYWHERE).scenes


def test_an_address_out_of_reach_names_the_key_that_allows_it(tmp_path: Path) -> None:
    with pytest.raises(SceneError) as error:
        found(collection(tmp_path / "folder", "../outside.tif?token=planted"))
    assert "`reach`" in str(error.value)
    assert "planted" not in str(error.value)
