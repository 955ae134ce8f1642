"""`agrifm fetch` through a proxy that spoils one request in five, in all ways mixed: the cube of a faultless fetch."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
import rasterio

from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.cube.store import Cube
from agrifm.scene import limits, remote_raster
from agrifm.season import Season
from agrifm.simulator.catalog import simulate
from tests.cube.projects import write_project
from tests.cube.test_extension import Season as Scenes
from tests.cube.test_extension import contents
from tests.fault_proxy import FAULTS, REPLACED, FaultProxy, always, faulty, no_faults, share_of_requests
from tests.servers import serving_season

PRODUCTS = ("sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061")
SHARE = 0.2


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter waits than users have; a slow drip is noticed after a tenth of a second."""
    for name, value in {"FIRST_WAIT": 0.001, "TIMEOUT": 1.0, "RATE_SECONDS": 0.1}.items():
        monkeypatch.setattr(limits, name, value)


@contextmanager
def through_proxy(catalog: Path) -> Iterator[FaultProxy]:
    """A proxy without faults before a server of a season; it can replace each file by another one of its pixels."""
    folder, before = catalog.parent, dict[str, bytes]()

    def replace(path: str) -> bool:
        file = folder / path.removeprefix("/files/")
        if path in before or not file.is_file():
            return False
        before[path] = file.read_bytes()
        written_again(file)
        return True

    with faulty() as proxy, serving_season(catalog, seen_as=proxy.url) as server:
        proxy.upstream, proxy.replace, proxy.earlier = server.url, replace, before.get
        yield proxy


def written_again(file: Path) -> None:
    """Replace a file in one step by one of the same pixels in another compression, so that other bytes have them."""
    with rasterio.open(file) as source:
        profile, values = source.profile, source.read()
        tags, scales, offsets = source.tags(), source.scales, source.offsets
    other = file.with_suffix(".new")
    profile.update(driver="GTiff", compress="DEFLATE", zlevel=1, tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(other, "w", **profile) as target:
        target.write(values)
        target.update_tags(**tags)
        target.scales, target.offsets = scales, offsets
    os.replace(other, file)


def fetched(
    directory: Path, proxy: FaultProxy, keys: str = "", area: str | None = None, products: Sequence[str] = PRODUCTS[:1]
) -> tuple[Cube, list[str]]:
    """Fetch a project; the heads of files are forgotten before, as in a process of its own."""
    remote_raster._HEADS._known.clear()
    return fetch(read_project(write_project(directory, f'catalog = "{proxy.url}"\n{keys}', products, area)))


def pixels(cube: Cube) -> dict[str, bytes]:
    """The files of chunks."""
    return {name: content for name, content in contents(cube).items() if "/c/" in name}


def test_a_fifth_of_all_requests_fail_and_the_cube_is_the_same(tmp_path: Path) -> None:
    """Every kind occurs. Replaced files keep their pixels; a second fetch notes what servers state now."""
    scenes = Scenes(tmp_path / "imagery")
    for name, day in (("A", 1), ("B", 11)):
        scenes.sentinel_2(name, day)
    with through_proxy(scenes.save()) as proxy:
        calm, _ = fetched(tmp_path / "calm", proxy)
        before = pixels(calm)
        proxy.begin(share_of_requests(SHARE, seed=6))
        cube, _ = fetched(tmp_path / "p", proxy)
        print(proxy.account())
        assert pixels(cube) == before
        assert all(proxy.faults[kind] for kind in FAULTS)
        proxy.begin(share_of_requests(SHARE, seed=7, kinds=[kind for kind in FAULTS if kind != REPLACED]))
        cube, _ = fetched(tmp_path / "p", proxy)
        print(proxy.account())
        proxy.begin(no_faults)
        shutil.rmtree(calm.path)
        again, _ = fetched(tmp_path / "calm", proxy)
    assert contents(cube) == contents(again)


@pytest.mark.check
def test_what_fails_for_good_is_left_out_counted_and_never_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scene for each kind of fault, planted in all requests for one of its files, between two good scenes."""
    monkeypatch.setattr(limits, "TIMEOUT", 0.3)
    monkeypatch.setattr(limits, "MAX_TRIES", 2)
    scenes = Scenes(tmp_path / "imagery")
    bad = {f"bad{number:02d}": kind for number, kind in enumerate(kind for kind in FAULTS if kind != REPLACED)}
    for number, name in enumerate(("first", *bad, "last")):
        scenes.sentinel_2(name, 1 + 2 * number)
    with through_proxy(scenes.save()) as proxy:
        whole, _ = fetched(tmp_path / "calm", proxy)
        proxy.earlier = lambda path: bytes(100_000)
        proxy.begin(always({f"/{name}/nir.tif": kind for name, kind in bad.items()}))
        cube, lines = fetched(tmp_path / "p", proxy, 'missing = "skip"')
        print(proxy.account())
    assert cube.provenance["failed"].keys() == bad.keys()
    assert f"{len(bad)} scenes failed" in "\n".join(lines)
    assert all(any(name in line and "nir" in line for line in lines) for name in bad)
    expected, found = (one.sensors["sentinel-2"].group for one in (whole, cube))
    assert (found["values"][[0, -1]] == expected["values"][[0, -1]]).all()
    assert found["valid"][[0, -1]].any()
    assert not found["valid"][1:-1].any()
    assert (found["values"][1:-1] == found["values"].fill_value).all()
    assert found["values"].fill_value != 0


@pytest.mark.check
def test_a_season_of_three_sensors_survives_a_fifth_of_all_requests(tmp_path: Path) -> None:
    """Sentinel-2, Landsat and MODIS of 3 x 3 km and two months, from the simulator; each seed is one fetch."""
    season = Season(date(2024, 4, 1), date(2024, 5, 31))
    catalog = simulate(tmp_path / "season", size=3.0, season=season)
    area = f'"{catalog.parent / "area.geojson"}"'
    with through_proxy(catalog) as proxy:
        calm, _ = fetched(tmp_path / "calm", proxy, area=area, products=PRODUCTS)
        print(f"without faults: {proxy.account()}")
        before = pixels(calm)
        for seed in range(2):
            proxy.begin(share_of_requests(SHARE, seed))
            cube, _ = fetched(tmp_path / f"p{seed}", proxy, area=area, products=PRODUCTS)
            print(f"seed {seed}: {proxy.account()}")
            assert pixels(cube) == before
            assert all(proxy.faults[kind] for kind in FAULTS)
        proxy.begin(share_of_requests(SHARE, seed=9, kinds=[kind for kind in FAULTS if kind != REPLACED]))
        cube, _ = fetched(tmp_path / "p1", proxy, area=area, products=PRODUCTS)
        print(f"second fetch: {proxy.account()}")
        proxy.begin(no_faults)
        again, _ = fetched(tmp_path / "again", proxy, area=area, products=PRODUCTS)
    assert contents(cube) == contents(again)
