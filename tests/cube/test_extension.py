"""`agrifm fetch` on a finished cube: other dates, a larger area, reprocessed scenes; only new pixels are read."""

import json
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from shapely import Polygon, box
from shapely.geometry import mapping
from tests.cube.test_build import LANDSAT, MODIS, S2, add_modis
from tests.scenes import LANDSAT_KEYS, LEFT, SIDE, TOP, Catalogue, at, landsat_numbers, lonlat, reflectance
from tests.servers import Server, serving_season

from agrifm.cli import main
from agrifm.config import read_project
from agrifm.cube import frames
from agrifm.cube.fetch import fetch
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import CubeError
from agrifm.scene import offset_check

SMALL = lonlat(box(LEFT + 40, TOP - SIDE + 40, LEFT + SIDE - 40, TOP - 40))
LARGE = lonlat(box(LEFT - 440, TOP - SIDE - 440, LEFT + SIDE + 440, TOP + 440))
"""Areas whose grids are 2 x 2 and 4 x 4 squares of 480 m, one in the middle of the other."""
PIXELS = 192
SPRING = ("2024-05-01", "2024-05-12")


class Season:
    """A catalogue over the larger area, to which scenes are added; pixels are random, 2 % are cloudy."""

    def __init__(self, directory: Path) -> None:
        self.catalogue, self.rng = Catalogue(directory), np.random.default_rng(5)

    def sentinel_2(self, name: str, day: int, square: tuple[float, float, float] | None = None, **more: Any) -> None:
        """A scene over the larger area, or over another square."""
        left, top, side = square or (LEFT - 480, TOP + 480, 1920)
        pixels = round(side / 10)
        scl = np.where(self.rng.random((pixels, pixels)) < 0.02, 9, 4).astype(np.uint8)
        values = self.rng.integers(1, 9000, (10, pixels, pixels))
        shape = mapping(lonlat(box(left, top - side, left + side, top)))
        self.catalogue.add_sentinel_2(name, at(5, day), values, scl, square=(left, top, side), geometry=shape, **more)

    def others(self) -> None:
        """Landsat, whose pixels are 15 m off, and MODIS."""
        bands = dict(zip(LANDSAT_KEYS, landsat_numbers(self.rng.integers(1, 6000, (6, 66, 66))), strict=True))
        pixels = {**bands, "qa_pixel": np.full((66, 66), 21824, np.uint16)}
        square = (LEFT - 495, TOP + 495, 1980)
        self.catalogue.add(LANDSAT, "L", at(5, 3), pixels, square, geometry=mapping(LARGE))
        days = self.rng.integers(129, 137, (12, 12)).astype(np.uint16)
        add_modis(self.catalogue, "2024-05-08", "2024-05-15", days)

    def save(self, *left_out: str) -> Path:
        """Write the catalogue without some scenes."""
        items = [item for item in self.catalogue.items if item.id not in left_out]
        return Catalogue(self.catalogue.directory, items).save()


@pytest.fixture
def season(tmp_path: Path) -> Season:
    """Sentinel-2 on 1, 11, 12 and 21 May."""
    season = Season(tmp_path / "imagery")
    for name, day in (("A", 1), ("B", 11), ("C", 12), ("D", 21)):
        season.sentinel_2(name, day)
    return season


def run(
    directory: Path,
    source: str | Path,
    area: Polygon = SMALL,
    days: tuple[str, str] = ("2024-05-01", "2024-05-31"),
    products: tuple[str, ...] = (S2,),
    more: str = "",
) -> Cube:
    """Fetch a project."""
    directory.mkdir(exist_ok=True)
    (directory / "area.geojson").write_text(
        json.dumps({"type": "Feature", "properties": {}, "geometry": mapping(area)})
    )
    (directory / "agrifm.toml").write_text(
        f'[season]\narea = "area.geojson"\nstart = {days[0]}\nend = {days[1]}\n[imagery]\ncatalog = "{source}"\n'
        f'products = {json.dumps(products)}\n{more}\n[labels]\nfile = "labels.gpkg"\n[model]\nframes = 3\n'
    )
    return fetch(read_project(directory))[0]


def contents(cube: Cube | Path) -> dict[str, bytes]:
    path = cube.path if isinstance(cube, Cube) else cube
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def shards(cube: Cube) -> dict[bytes, tuple[int, int]]:
    """Inode and time of change of the files of pixels, by content."""
    files = [file for name in ("values", "valid", "day") for file in cube.path.glob(f"*/{name}/c/**/*")]
    return {file.read_bytes(): (file.stat().st_ino, file.stat().st_mtime_ns) for file in files if file.is_file()}


def bytes_of(server: Server, image: str) -> int:
    """Bytes of an image that were asked for."""
    asked = [one.headers.get("range", "") for one in server.requests if one.path == f"/files/{image}.tif"]
    spans = [span.removeprefix("bytes=").split("-") for span in asked if span]
    return sum(int(last) - int(first) + 1 for first, last in spans)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Pixels of the first band that are read, by scene; of the offset check as "check SCENE"."""
    found: Counter[str] = Counter()
    for module, prefix in ((frames, ""), (offset_check, "check ")):
        usual = module.read_asset

        def counted(scene: Any, key: str, band: str, grid: Any, *rest: Any, usual=usual, prefix=prefix) -> Any:
            if key == next(iter(scene.product.assets.values())):
                found[prefix + scene.id] += grid.shape[0] * grid.shape[1]
            return usual(scene, key, band, grid, *rest)

        monkeypatch.setattr(module, "read_asset", counted)
    return found


@pytest.mark.parametrize(
    ("left_out", "days"),
    [
        (("C", "D"), None),
        pytest.param((), ("2024-05-01", "2024-05-11"), marks=pytest.mark.check),
        pytest.param((), ("2024-05-11", "2024-05-31"), marks=pytest.mark.check),
    ],
    ids=["new scenes", "a later end", "an earlier start"],
)
def test_new_dates_are_added_and_what_is_there_is_not_touched(
    tmp_path: Path, season: Season, reads: Counter[str], left_out: tuple[str, ...], days: tuple[str, str] | None
) -> None:
    first = run(tmp_path / "p", season.save(*left_out), **({"days": days} if days else {}))
    known = {scene for frame in first.provenance["sensors"]["sentinel-2"]["frames"] for scene in frame["scenes"]}
    before, new = shards(first), {"A", "B", "C", "D"} - known
    assert new
    reads.clear()
    second = run(tmp_path / "p", season.save())
    assert set(reads) == new | {f"check {name}" for name in new}
    after = shards(second)
    assert {content: after[content] for content in before} == before
    assert f"{len(new)} frames; {len(known)} are" in second.notes[0]
    assert f"{len(new)} new" in second.notes[1]
    assert contents(second) == contents(run(tmp_path / "once", season.save()))


@pytest.mark.check
def test_a_larger_area_reads_only_what_is_around_the_earlier_one(
    tmp_path: Path, season: Season, reads: Counter[str]
) -> None:
    """With masks that are widened over the border, Landsat that is resampled, and a scene beside the earlier area."""
    season.others()
    season.sentinel_2("B-beside", 11, (LEFT + SIDE + 40, TOP, 400))
    products, more = (S2, LANDSAT, MODIS), "dilate = 30"
    first = run(tmp_path / "p", season.save("D"), products=products, more=more)
    assert "B-beside" not in json.dumps(first.provenance)
    reads.clear()
    second = run(tmp_path / "p", season.save(), LARGE, products=products, more=more)
    around = PIXELS**2 - (PIXELS // 2) ** 2
    assert {name: reads[name] for name in "ABC"} == dict.fromkeys("ABC", around)
    assert (reads["L"], reads["M2024-05-08"], reads["D"]) == (64**2 - 32**2, 4**2 - 2**2, PIXELS**2)
    assert {name for name in reads if name.startswith("check")} == {"check D", "check B-beside"}
    assert "5 of a larger area" in second.notes[1]
    once = run(tmp_path / "once", season.save(), LARGE, products=products, more=more)
    require_equal_but_for_dark_pixels(second, once)


@pytest.mark.check
def test_a_scene_that_reaches_into_the_earlier_area_has_its_frame_read_anew(
    tmp_path: Path, season: Season, reads: Counter[str]
) -> None:
    run(tmp_path / "p", season.save())
    season.sentinel_2("A-also", 1, (LEFT + SIDE // 2, TOP, 960))
    shape = lonlat(box(LEFT + SIDE + 100, TOP - 100, LEFT + SIDE + 200, TOP))
    season.catalogue.items[-1].geometry = mapping(shape)  # its footprint is not all of it
    reads.clear()
    second = run(tmp_path / "p", season.save(), LARGE)
    assert reads["A"] >= PIXELS**2
    assert reads["B"] < PIXELS**2
    require_equal_but_for_dark_pixels(second, run(tmp_path / "once", season.save(), LARGE))


def require_equal_but_for_dark_pixels(one: Cube, other: Cube) -> None:
    """Every file has the same bytes, but for what the offset check measured of another area."""
    left, right = contents(one), contents(other)
    assert {name for name in left.keys() | right.keys() if left.get(name) != right.get(name)} <= {
        "zarr.json",
        ".agrifm.zarr.json",
    }
    documents = [json.loads(files["zarr.json"]) for files in (left, right)]
    for document in documents:
        del document["attributes"]["agrifm"]["digest"]
        for sensor in document["attributes"]["agrifm"]["provenance"]["sensors"].values():
            for frame in sensor["frames"]:
                frame.pop("dark_pixels", None)
    assert documents[0] == documents[1]


@pytest.mark.check
def test_a_damaged_frame_is_not_the_middle_of_a_larger_one(tmp_path: Path, season: Season) -> None:
    first = run(tmp_path / "p", season.save())
    shard = next(file for file in first.path.glob("sentinel-2/values/c/1/**/*") if file.is_file())
    shard.write_bytes(shard.read_bytes()[:-100])
    second = run(tmp_path / "p", season.save(), LARGE)
    assert "3 of a larger area, 1 read anew" in second.notes[1]
    require_equal_but_for_dark_pixels(second, run(tmp_path / "once", season.save(), LARGE))


def test_reprocessed_scenes_replace_theirs_and_are_counted(tmp_path: Path, season: Season, reads: Counter[str]) -> None:
    """One has another id, the other one the same id and another processing baseline."""
    old = season.save()
    run(tmp_path / "p", old)
    season.catalogue.items = [item for item in season.catalogue.items if item.id not in "AB"]
    season.sentinel_2("A-0511", 1, baseline="05.11")
    season.sentinel_2("B", 11, baseline="05.11")
    reads.clear()
    second = run(tmp_path / "p", season.save())
    assert set(reads) == {"A-0511", "B", "check A-0511", "check B"}
    assert "2 reprocessed" in second.notes[1]
    assert "A-0511, B" in second.notes[2]
    assert contents(second) == contents(run(tmp_path / "once", season.save()))


def test_over_a_network_only_new_scenes_are_requested_and_then_nothing(tmp_path: Path, season: Season) -> None:
    with serving_season(season.save()) as server:
        later = server.items.pop()
        first = run(tmp_path / "p", server.url)
        server.requests.clear()
        again = run(tmp_path / "p", server.url)
        assert again.notes[0].startswith("kept")
        assert not [one for one in server.requests if "/files/" in one.path and one.method == "GET"]
        server.items.append(later)
        server.requests.clear()
        before = shards(first)
        second = run(tmp_path / "p", server.url)
        got = [one.path for one in server.requests if "/files/" in one.path and one.method == "GET"]
        assert {path.split("/")[2] for path in got} == {later["id"]}
        after = shards(second)
        assert {content: after[content] for content in before} == before
        once = run(tmp_path / "once", server.url)
        assert contents(second) == contents(once)
        server.requests.clear()
        third = run(tmp_path / "p", server.url, LARGE)
        grown = bytes_of(server, "A/green")
        server.requests.clear()
        require_equal_but_for_dark_pixels(third, run(tmp_path / "large", server.url, LARGE))
        assert 0 < grown <= bytes_of(server, "A/green")  # four windows around the small area would need some twice


@pytest.mark.check
def test_a_file_replaced_on_its_server_has_its_larger_frame_read_anew(tmp_path: Path, season: Season) -> None:
    """The file has the name and the size of before, and the item states no checksum."""
    top = season.save("C", "D")
    with serving_season(top) as server:
        run(tmp_path / "p", server.url)
        path = top.parent / "A" / "green.tif"
        with rasterio.open(path, "r+") as file:
            file.write(np.flip(file.read(), axis=1))
        second = run(tmp_path / "p", server.url, LARGE)
        assert "1 read anew, 1 of a larger area" in second.notes[1]
        require_equal_but_for_dark_pixels(second, run(tmp_path / "once", server.url, LARGE))


@pytest.mark.check
def test_a_resampled_cube_follows(tmp_path: Path, season: Season) -> None:
    more = 'resample = "medoid"'
    run(tmp_path / "p", season.save("C", "D"), more=more)
    second = run(tmp_path / "p", season.save(), LARGE, more=more)
    once = run(tmp_path / "once", season.save(), LARGE, more=more)
    assert second.path.name == "cube-medoid.zarr"
    require_equal_but_for_dark_pixels(second, once)


@pytest.mark.check
def test_readers_see_the_old_state_or_the_new_one(tmp_path: Path, season: Season) -> None:
    first = run(tmp_path / "p", season.save("A", "D"))
    expected = {2: (SMALL, first.sensors["sentinel-2"].group["values"][...])}
    once = run(tmp_path / "once", season.save())
    expected[4] = (SMALL, once.sensors["sentinel-2"].group["values"][...])
    seen, faults, stop = Counter[int](), list[str](), threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                sensor = open_cube(first.path).sensors["sentinel-2"]
                values = sensor.group["values"][...]
            except CubeError:
                continue  # it was exchanged between two files that were read: refused, not mixed
            seen[len(sensor.date)] += 1
            if not np.array_equal(values, expected[len(sensor.date)][1]):
                faults.append(f"{len(sensor.date)} dates")

    thread = threading.Thread(target=read)
    thread.start()
    try:
        run(tmp_path / "p", season.save())
        while not seen[4]:
            pass
    finally:
        stop.set()
        thread.join()
    assert not faults
    assert seen[2]


OTHER_BANDS = {
    "products": ("visible",),
    "more": f'''[imagery.product]
like = "{S2}"
name = "visible"
bands = [{{ name = "B02" }}, {{ name = "B03" }}, {{ name = "B04" }}]
assets = {{ B02 = "blue", B03 = "green", B04 = "red" }}''',
}


@pytest.mark.parametrize("change", ["bands", "pixels", "zone"])
def test_other_bands_or_pixels_are_refused_and_the_cube_stays(tmp_path: Path, season: Season, change: str) -> None:
    cube = run(tmp_path / "p", season.save("C", "D"))
    before = contents(cube)
    more: dict[str, Any] = {}
    if change == "bands":
        more = OTHER_BANDS
    elif change == "pixels":
        season.catalogue.items.clear()
        season.catalogue.add_sentinel_2("E", at(5, 25), reflectance(10, 48))
        more = {"more": "native_grid = true"}
    else:
        east = lonlat(box(LEFT, TOP - SIDE, LEFT + SIDE, TOP), "EPSG:32632")
        season.catalogue.items.clear()
        season.catalogue.add_sentinel_2("E", at(5, 25), crs="EPSG:32632", geometry=mapping(east))
        more = {"area": east}
    with pytest.raises(CubeError) as caught:
        run(tmp_path / "p", season.save(), **more)
    assert caught.value.facts["sensor"] == "sentinel-2"
    assert contents(cube) == before


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_cube_of_a_newer_version_is_refused_and_stays(
    tmp_path: Path, season: Season, unfinished: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    cube = run(tmp_path / "p", season.save("C", "D"))
    for name in ("zarr.json", ".agrifm.zarr.json"):
        document = json.loads((cube.path / name).read_text())
        document["attributes"]["agrifm"]["format"] = 2
        (cube.path / name).write_text(json.dumps(document))
    if unfinished:
        shutil.copytree(cube.path, cube.path.with_name("cube.zarr.partial"))
        (tmp_path / "p" / "cube.zarr.partial" / ".agrifm.unfinished").touch()
    before = contents(cube)
    season.save()
    assert main(["fetch", "--project", str(tmp_path / "p")]) == 2
    said = capsys.readouterr().err
    assert "format is 2" in said
    assert "Traceback" not in said
    assert contents(cube) == before
