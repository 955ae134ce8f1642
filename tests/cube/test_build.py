"""Scenes to cube: known reflectance through every encoding, merging, and builds that were stopped."""

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from affine import Affine
from pyproj import CRS, Transformer
from tests.scenes import (
    AREA,
    LANDSAT_KEYS,
    LEFT,
    MODIS_FILL,
    MODIS_KEYS,
    MODIS_PIXEL,
    S2_BANDS,
    SEASON,
    SIDE,
    SINUSOIDAL,
    TOP,
    UTM,
    Catalogue,
    at,
    landsat_numbers,
    reflectance,
    write_tiff,
)

from agrifm.cube import frames
from agrifm.cube.build import build_cube
from agrifm.cube.store import Cube
from agrifm.errors import AgriFMError, CubeError, OutputError, SceneError
from agrifm.grid import Grid, Window
from agrifm.scene.local_files import search_dataset, search_files
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog
from agrifm.scene.search_result import SearchResult
from agrifm.season import Season

S2, LANDSAT, MODIS = "sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"
WHOLE = Window(0, 0, 96, 96)
LAND_CLEAR = 8
"""MODIS state word: land, clear."""


def find(catalogue: Catalogue, *products: str, season: Season = SEASON) -> SearchResult:
    return search_catalog(catalogue.save(), [find_product(name) for name in products or (S2,)], season, AREA)


def fetched(catalogue: Catalogue, *products: str, season: Season = SEASON, **more: Any) -> Cube:
    return build_cube(
        catalogue.directory / "cube.zarr", find(catalogue, *products, season=season), season, AREA, **more
    )


def values(cube: Cube, sensor: str = "sentinel-2") -> tuple[np.ndarray, np.ndarray]:
    """Stored numbers, units of 0.0001, and valid, whole."""
    group = cube.sensors[sensor].group
    return group["values"][...], group["valid"][...]


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


class Reads:
    """Counts the assets that a build reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scenes: list[str] = []
        read = frames.read_asset

        def counted(scene: Any, *arguments: Any) -> Any:
            self.scenes.append(scene.id)
            return read(scene, *arguments)

        monkeypatch.setattr(frames, "read_asset", counted)


@pytest.mark.parametrize(
    ("baseline", "shifted"), [("02.14", False), ("03.01", False), ("04.00", True), ("05.10", True)]
)
def test_sentinel_2_reflectance_comes_back_at_every_baseline(
    catalogue: Catalogue, baseline: str, shifted: bool
) -> None:
    truth = reflectance(10, 96)
    item = catalogue.add_sentinel_2("A", at(5, 1), truth, baseline=baseline)
    with rasterio.open(item.assets["blue"].href) as file:
        assert file.read(1)[0, 0] == truth[0, 0, 0] + 1000 * shifted
    stored, valid = values(fetched(catalogue))
    assert (stored[0] == truth).all()
    assert valid.all()


def test_dark_pixels_may_be_slightly_negative_once_the_offset_is_off(catalogue: Catalogue) -> None:
    truth = np.full((10, 96, 96), -50)
    catalogue.add_sentinel_2("A", at(5, 1), truth)
    stored, valid = values(fetched(catalogue))
    assert (stored == -50).all()
    assert valid.all()


def test_landsat_reflectance_comes_back_within_rounding(catalogue: Catalogue) -> None:
    truth = reflectance(6, 32)
    pixels = dict(zip(LANDSAT_KEYS, landsat_numbers(truth), strict=True))
    quality = np.full((32, 32), 21824, np.uint16)
    quality[3, 5] = 22280  # high confidence cloud
    catalogue.add(LANDSAT, "L", at(5, 1), {**pixels, "qa_pixel": quality})
    cube = fetched(catalogue, LANDSAT)
    stored, valid = values(cube, "landsat")
    assert np.abs(stored[0] - truth).max() <= 1
    assert cube.sensors["landsat"].grid.resolution == 30
    assert np.argwhere(~valid[0]).tolist() == [[3, 5]]


def add_modis(catalogue: Catalogue, first: str, last: str, day_of_year: np.ndarray, **more: Any) -> None:
    """A composite in its own sinusoidal pixels, 12 x 12 of them around the square."""
    x, y = Transformer.from_crs(UTM, SINUSOIDAL, always_xy=True).transform(LEFT + SIDE / 2, TOP - SIDE / 2)
    left, top = ((np.floor(edge / MODIS_PIXEL) - 6 * sign) * MODIS_PIXEL for edge, sign in ((x, 1), (y, -1)))
    bands = dict(zip(MODIS_KEYS, reflectance(7, 12).astype(np.int16), strict=True))
    quality = np.full((12, 12), LAND_CLEAR, np.uint16)
    pixels = {**bands, "sur_refl_state_500m": quality, "sur_refl_day_of_year": day_of_year, **more}
    period = {"start_datetime": f"{first}T00:00:00Z", "end_datetime": f"{last}T23:59:59Z"}
    square = (left, top, 12 * MODIS_PIXEL)
    catalogue.add(MODIS, f"M{first}", None, pixels, square, SINUSOIDAL, None, period)


def test_modis_reflectance_and_days_come_back_from_their_sinusoidal_pixels(catalogue: Catalogue) -> None:
    """pyproj tells which sinusoidal pixel holds each centre; a day of year before the start's is of the next year."""
    season = Season(date(2023, 10, 1), date(2024, 5, 31))
    row, col = np.indices((12, 12))
    of_year = np.where(col >= 6, 361 + (row % 5), 1 + (row % 3)).astype(np.uint16)
    add_modis(catalogue, "2023-12-27", "2024-01-03", of_year)
    cube = fetched(catalogue, MODIS, season=season)
    grid = cube.sensors["modis"].grid
    x, y = Transformer.from_crs(UTM, SINUSOIDAL, always_xy=True).transform(*np.meshgrid(grid.x, grid.y))
    with rasterio.open(catalogue.items[0].assets[MODIS_KEYS[0]].href) as file:
        rows, cols = rasterio.transform.rowcol(file.transform, x, y)
    rows, cols = np.array(rows).reshape(2, 2), np.array(cols).reshape(2, 2)
    stored, valid = values(cube, "modis")
    assert (stored[0] == reflectance(7, 12)[:, rows, cols]).all()
    assert valid.all()
    dates = cube.sensors["modis"].group["day"][0].astype("datetime64[D]")
    last_of_2022, last_of_2023 = np.datetime64("2022-12-31"), np.datetime64("2023-12-31")
    expected = np.where(of_year > 300, last_of_2022, last_of_2023) + of_year.astype(int)
    assert (dates == expected[rows, cols]).all()
    assert dates.min() >= np.datetime64("2023-12-27")
    assert dates.max() <= np.datetime64("2024-01-03")


@pytest.mark.parametrize("of_year", [0, 367, 65535])
def test_a_pixel_of_a_composite_without_a_day_is_not_usable(catalogue: Catalogue, of_year: int) -> None:
    days = np.full((12, 12), 130, np.uint16)
    days[:, 6:] = of_year
    add_modis(catalogue, "2024-05-08", "2024-05-15", days)
    cube = fetched(catalogue, MODIS)
    _, valid = values(cube, "modis")
    day = cube.sensors["modis"].group["day"][...]
    assert valid.any()
    assert not valid.all()
    assert set(day[valid]) == {19852}  # 2024-05-09
    assert set(day[~valid]) == {-1}


def test_modis_fill_is_not_valid(catalogue: Catalogue) -> None:
    bands = reflectance(7, 12).astype(np.int16)[4]
    bands[:, 6:] = MODIS_FILL
    add_modis(catalogue, "2024-05-08", "2024-05-15", np.full((12, 12), 130, np.uint16), sur_refl_b05=bands)
    stored, valid = values(fetched(catalogue, MODIS), "modis")
    assert valid.any()
    assert not valid.all()
    assert (stored[:, :, ~valid[0]] == -32768).all()


def test_sensors_of_one_cube_nest(catalogue: Catalogue) -> None:
    catalogue.add_sentinel_2("A", at(5, 1))
    quality = {"qa_pixel": np.full((32, 32), 21824, np.uint16)}
    catalogue.add(
        LANDSAT, "L", at(5, 2), {**dict(zip(LANDSAT_KEYS, landsat_numbers(reflectance(6, 32)), strict=True)), **quality}
    )
    add_modis(catalogue, "2024-05-08", "2024-05-15", np.full((12, 12), 130, np.uint16))
    cube = fetched(catalogue, S2, LANDSAT, MODIS)
    shapes = {name: sensor.grid.shape for name, sensor in cube.sensors.items()}
    assert shapes == {"sentinel-2": (96, 96), "landsat": (32, 32), "modis": (2, 2)}
    assert {sensor.grid.bounds for sensor in cube.sensors.values()} == {(LEFT, TOP - SIDE, LEFT + SIDE, TOP)}


def test_bands_of_20_m_come_to_10_m_once(catalogue: Catalogue) -> None:
    fine, half = reflectance(10, 96), reflectance(10, 48)
    item = catalogue.add_sentinel_2("A", at(5, 1), fine)
    for key in ("rededge1", "swir22"):
        plane = half[{"rededge1": 3, "swir22": 9}[key]] + 1000
        write_tiff(Path(item.assets[key].href), plane.astype(np.uint16), nodata=0)
    stored, _ = values(fetched(catalogue))
    at_fine = (np.arange(96) + 0.5) / 2 - 0.5
    plane = 400 + 300 * 3 + 3 * at_fine[:, None] + 7 * at_fine[None, :]
    assert np.abs(stored[0, 3] - plane)[1:-1, 1:-1].max() <= 0.5
    assert (stored[0, 0] == fine[0]).all()


def as_netcdf(truth: np.ndarray, moment: str) -> xr.Dataset:
    step = SIDE / truth.shape[-1]
    centres = step * (np.arange(truth.shape[-1]) + 0.5)
    coords = {"time": [np.datetime64(moment, "ns")], "y": TOP - centres, "x": LEFT + centres}
    bands = {
        band: (("time", "y", "x"), plane[None].astype(np.uint16)) for band, plane in zip(S2_BANDS, truth, strict=True)
    }
    bands["SCL"] = (("time", "y", "x"), np.full((1, *truth.shape[1:]), 4, np.uint8))
    return xr.Dataset(bands, coords).assign(spatial_ref=((), 0, {"crs_wkt": CRS.from_user_input(UTM).to_wkt()}))


def test_a_catalogue_and_local_files_give_the_same_reflectance(catalogue: Catalogue) -> None:
    """Four ways: a catalogue, GeoTIFFs of one band, a GeoTIFF of all bands, a NetCDF file; and a dataset in memory."""
    truth, directory = reflectance(10, 96), catalogue.directory
    catalogue.add_sentinel_2("A", at(5, 1), truth)
    own = truth.astype(np.uint16)
    for band, plane in zip(S2_BANDS, own, strict=True):
        write_tiff(directory / "single" / f"20240501_{band}.tif", plane)
    scl = np.full((96, 96), 4, np.uint16)
    write_tiff(directory / "single" / "20240501_SCL.tif", scl)
    write_tiff(directory / "stack" / "20240501.tif", np.stack([scl, *own[::-1]]), descriptions=("SCL", *S2_BANDS[::-1]))
    (directory / "netcdf").mkdir()
    content = as_netcdf(truth, "2024-05-01T10:50:00")
    content.to_netcdf(directory / "netcdf" / "s2.nc", engine="h5netcdf")
    product = find_product("sentinel-2-worldcereal")
    searches = {"catalogue": find(catalogue), "dataset": search_dataset(content, product, SEASON)}
    for name, pattern in (("single", "*.tif"), ("stack", "*.tif"), ("netcdf", "*.nc")):
        searches[name] = search_files(directory / name, pattern, product, SEASON)
    for name, search in searches.items():
        cube = build_cube(directory / f"{name}.zarr", search, SEASON, AREA)
        stored, valid = values(cube)
        assert (stored[0] == truth).all(), name
        assert valid.all(), name
        assert cube.sensors["sentinel-2"].date.tolist() == [19844], name  # 2024-05-01


def test_a_pixel_is_of_the_first_valid_scene_of_a_day_else_of_the_first(
    catalogue: Catalogue,
) -> None:
    """By id: A is cloudy below and empty on the right; B is cloudy on the right; both end in one frame."""
    first, second = reflectance(10, 96), reflectance(10, 96, 40)
    scl_a, scl_b = np.full((96, 96), 4, np.uint8), np.full((96, 96), 4, np.uint8)
    scl_a[60:] = scl_b[:, 50:] = 9
    numbers = first + 1000
    numbers[:, :, 80:] = 0
    catalogue.add_sentinel_2("B", at(5, 1, 9), second, scl_b)
    catalogue.add_sentinel_2("A", at(5, 1, 11), numbers - 1000, scl_a)
    cube = fetched(catalogue)
    stored, valid = values(cube)
    assert len(stored) == 1
    from_a = np.ones((96, 96), bool)
    from_a[60:, :50] = False  # cloudy in A, valid in B
    from_a[:, 80:] = False  # no data in A
    assert (stored[0] == np.where(from_a, first, second)).all()
    usable = np.ones((96, 96), bool)
    usable[60:, 50:] = False
    usable[:, 80:] = False
    assert (valid[0] == usable).all()
    frame = cube.provenance["sensors"]["sentinel-2"]["frames"][0]
    assert frame["scenes"] == ["A", "B"]
    assert frame["offsets"] == [-0.1, -0.1]
    assert frame["valid_share"] == round(usable.mean(), 4)


def test_a_scene_is_valid_only_where_its_quality_band_has_pixels(catalogue: Catalogue) -> None:
    """A Landsat quality file that ends early: ground beyond it must not pass as clear."""
    item = catalogue.add(
        LANDSAT,
        "L",
        at(5, 1),
        {
            **dict(zip(LANDSAT_KEYS, landsat_numbers(reflectance(6, 32)), strict=True)),
            "qa_pixel": np.zeros((1, 1), np.uint16),
        },
    )
    write_tiff(Path(item.assets["qa_pixel"].href), np.full((16, 16), 21824, np.uint16), (LEFT, TOP, 480))
    _, valid = values(fetched(catalogue, LANDSAT), "landsat")
    assert valid[0, :16, :16].all()
    assert valid.sum() == 16 * 16


def test_a_pixel_that_lacks_one_band_has_no_band(catalogue: Catalogue) -> None:
    truth = reflectance(10, 96)
    truth[7, 10, 20] = -1000  # digital number 0, nodata
    truth[2, 30, 40] = 16_001  # above the valid range at this baseline
    catalogue.add_sentinel_2("A", at(5, 1), truth)
    stored, valid = values(fetched(catalogue))
    assert np.argwhere(~valid[0]).tolist() == [[10, 20], [30, 40]]
    assert (stored[0][:, ~valid[0]] == -32768).all()


def test_frames_are_in_order_of_time_with_their_provenance(catalogue: Catalogue) -> None:
    for scene, day in (("C", 20), ("A", 10), ("B", 15)):
        catalogue.add_sentinel_2(scene, at(5, day))
    catalogue.add_sentinel_2("old", at(1, 1))
    cube = fetched(catalogue)
    assert np.diff(cube.sensors["sentinel-2"].date).tolist() == [5, 5]
    about = cube.provenance["sensors"]["sentinel-2"]
    assert [frame["scenes"] for frame in about["frames"]] == [["A"], ["B"], ["C"]]
    assert (about["product"], about["scale"]) == (S2, 1e-4)
    assert cube.provenance["removed"] == {"outside the season": 1}
    assert cube.provenance["versions"]["rasterio"] == rasterio.__version__


def refusal(kind: type[AgriFMError], call: Callable[[], object]) -> AgriFMError:
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_scene_that_lacks_a_band_is_named_with_the_way_out(catalogue: Catalogue) -> None:
    item = catalogue.add_sentinel_2("S2A_1", at(5, 1))
    del item.assets["nir08"]
    sentence = str(refusal(SceneError, lambda: fetched(catalogue)))
    assert all(fact in sentence for fact in ("S2A_1", "'nir08'", "'B8A'", "`skip`"))


def test_two_products_of_one_sensor_are_refused(catalogue: Catalogue) -> None:
    catalogue.add_sentinel_2("A", at(5, 1))
    search = find(catalogue)
    search.extend(
        search_dataset(as_netcdf(reflectance(10, 96), "2024-06-01"), find_product("sentinel-2-worldcereal"), SEASON)
    )
    sentence = str(refusal(SceneError, lambda: build_cube(catalogue.directory / "c.zarr", search, SEASON, AREA)))
    assert all(fact in sentence for fact in ("'sentinel-2'", "'sentinel-2-c1-l2a'", "'sentinel-2-worldcereal'"))


def test_scenes_that_miss_the_area_make_no_cube(catalogue: Catalogue) -> None:
    """Files of one's own carry no outline, so only their pixels can tell."""
    catalogue.add_sentinel_2("A", at(5, 1), square=(LEFT + 50_000, TOP, SIDE))
    error = refusal(CubeError, lambda: fetched(catalogue))
    assert error.facts == {"sensor": "sentinel-2", "frames": 1}
    assert not (catalogue.directory / "cube.zarr").exists()


def test_a_directory_of_other_files_is_refused_and_untouched(catalogue: Catalogue) -> None:
    catalogue.add_sentinel_2("A", at(5, 1))
    mine = catalogue.directory / "cube.zarr" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("precious")
    assert refusal(OutputError, lambda: fetched(catalogue)).facts["path"] == mine.parent
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]


def test_an_empty_directory_may_become_the_cube(catalogue: Catalogue) -> None:
    catalogue.add_sentinel_2("A", at(5, 1))
    (catalogue.directory / "cube.zarr").mkdir()
    assert fetched(catalogue).target.shape == (96, 96)


@pytest.mark.parametrize("order", [1, -1])
def test_a_native_grid_keeps_the_files_pixels(tmp_path: Path, order: int) -> None:
    """64 m pixels off every multiple of 480 m; rows of a dataset may run upwards."""
    truth = reflectance(10, 20)
    content = as_netcdf(truth, "2024-05-01").assign_coords(
        x=LEFT + 7 + 64 * (np.arange(20) + 0.5), y=TOP - 3 - 64 * (np.arange(20) + 0.5)
    )
    search = search_dataset(content.isel(y=slice(None, None, order)), find_product("sentinel-2-worldcereal"), SEASON)
    cube = build_cube(tmp_path / "c.zarr", search, SEASON, AREA, native_grid=True)
    grid = cube.target
    assert grid.resolution == 64
    assert grid.bounds == (LEFT + 7, TOP - 3 - 20 * 64, LEFT + 7 + 20 * 64, TOP - 3)
    stored, valid = values(cube)
    assert (stored[0] == truth[:, ::order]).all()
    assert valid.all()


def test_a_native_grid_holds_one_sensor(catalogue: Catalogue) -> None:
    catalogue.add_sentinel_2("A", at(5, 1))
    catalogue.add(LANDSAT, "L", at(5, 2), {"blue": np.ones((2, 2), np.uint16)})
    error = refusal(CubeError, lambda: fetched(catalogue, S2, LANDSAT, native_grid=True))
    assert error.facts["sensors"] == ["landsat", "sentinel-2"]


def test_a_native_grid_cannot_be_rotated_absent_or_without_crs(tmp_path: Path) -> None:
    product = find_product("cbers-4-awfi-16d")

    def native() -> Cube:
        search = search_files(tmp_path, "*.tif", product, SEASON)
        return build_cube(tmp_path / "c.zarr", search, SEASON, AREA, native_grid=True)

    for name in ("NDVI", "EVI"):
        write_tiff(
            tmp_path / f"{name}_20240501.tif", np.ones((4, 4), np.int16), transform=Affine(10, 1, LEFT, 1, -10, TOP)
        )
    assert "rotated" in str(refusal(CubeError, native))
    for name in ("NDVI", "EVI"):
        write_tiff(tmp_path / f"{name}_20240501.tif", np.ones((4, 4), np.int16), crs=None)
    assert "coordinate reference system" in str(refusal(SceneError, native))
    (tmp_path / "NDVI_20240501.tif").write_text("<html>")
    assert "NDVI_20240501.tif" in str(refusal(SceneError, native))


def test_a_vegetation_index_is_stored_as_an_index(tmp_path: Path) -> None:
    index = np.arange(-200, 200, dtype=np.int16).reshape(20, 20) * 40
    index[0, 0] = -9999
    for name in ("NDVI", "EVI"):
        write_tiff(tmp_path / f"CB4_{name}_20240501.tif", index, nodata=-9999)
    search = search_files(tmp_path, "*.tif", find_product("cbers-4-awfi-16d"), SEASON)
    cube = build_cube(tmp_path / "c.zarr", search, SEASON, AREA, native_grid=True)
    stored, valid = values(cube, "cbers-4-awfi")
    assert cube.inputs["cbers-4-awfi"].quantity == "index"
    assert np.argwhere(~valid[0]).tolist() == [[0, 0]]
    assert (stored[0, 1].ravel()[1:] == index.ravel()[1:]).all()


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


DAYS = (1, 6, 11, 16, 21, 26)


def season_of_noise(catalogue: Catalogue) -> list[pystac.Item]:
    """Six days of incompressible reflectance."""
    rng = np.random.default_rng(0)
    return [catalogue.add_sentinel_2(f"S{day:02d}", at(5, day), rng.integers(1, 9000, (10, 96, 96))) for day in DAYS]


def test_a_build_stopped_by_a_damaged_scene_ends_with_the_same_bytes(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = season_of_noise(catalogue)
    search = find(catalogue)
    path = catalogue.directory / "cube.zarr"
    build_cube(path, search, SEASON, AREA)
    whole = tree(path)
    path.rename(catalogue.directory / "uninterrupted")
    damaged = Path(items[4].assets["nir"].href)
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    sentence = str(refusal(SceneError, lambda: build_cube(path, search, SEASON, AREA)))
    assert all(fact in sentence for fact in ("S21", "nir.tif"))
    assert not path.exists()
    journal = catalogue.directory / "cube.zarr.partial.journal"
    lines = [line for line in journal.read_text().splitlines() if line.startswith("sentinel-2/")]
    finished = {f"S{DAYS[int(line.split('/')[1])]:02d}" for line in lines}
    assert finished
    damaged.write_bytes(content)
    reads = Reads(monkeypatch)
    build_cube(path, search, SEASON, AREA)
    assert set(reads.scenes) == {f"S{day:02d}" for day in DAYS} - finished
    assert len(reads.scenes) == 11 * (len(DAYS) - len(finished))
    assert tree(path) == whole
    assert not list(catalogue.directory.glob("*.partial*"))


SCRIPT = """
import os, signal, sys
from pathlib import Path
from tests.scenes import AREA, SEASON
from agrifm.cube import frames
from agrifm.cube.build import build_cube
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog

catalogue, path, calls = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
search = search_catalog(catalogue, [find_product("sentinel-2-c1-l2a")], SEASON, AREA)
read, count = frames.read_asset, 0

def killed(*arguments):
    global count
    count += 1
    if count == calls:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(*arguments)

frames.read_asset = killed
if calls == 0:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    build_cube(path, search, SEASON, AREA)
except Exception as error:
    print(type(error).__name__, error)
"""


def run_script(catalogue: Catalogue, path: Path, calls: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(catalogue.save()), str(path), str(calls)]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)


def test_a_build_that_was_killed_continues_to_the_same_bytes(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    season_of_noise(catalogue)
    search = find(catalogue)
    path = catalogue.directory / "cube.zarr"
    build_cube(path, search, SEASON, AREA)
    whole = tree(path)
    path.rename(catalogue.directory / "uninterrupted")
    assert run_script(catalogue, path, 50).returncode == -signal.SIGKILL
    assert not path.exists()
    finished = (catalogue.directory / "cube.zarr.partial.journal").read_text().count("\nsentinel-2/")
    assert 1 <= finished < len(DAYS)
    reads = Reads(monkeypatch)
    build_cube(path, search, SEASON, AREA)
    assert len(reads.scenes) == 11 * (len(DAYS) - finished)
    assert tree(path) == whole


def test_a_journal_line_cut_off_by_a_kill_counts_as_not_done(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    season_of_noise(catalogue)
    path = catalogue.directory / "cube.zarr"
    assert run_script(catalogue, path, 50).returncode == -signal.SIGKILL
    journal = catalogue.directory / "cube.zarr.partial.journal"
    finished = journal.read_text().count("\nsentinel-2/")
    journal.write_text(journal.read_text()[:-2])
    reads = Reads(monkeypatch)
    build_cube(path, find(catalogue), SEASON, AREA)
    assert len(reads.scenes) == 11 * (len(DAYS) - finished + 1)


def test_a_disk_that_fills_up_is_reported_and_leaves_no_cube(catalogue: Catalogue) -> None:
    season_of_noise(catalogue)
    path = catalogue.directory / "cube.zarr"
    said = run_script(catalogue, path, 0).stdout
    assert said.startswith("OutputError")
    assert f"{path}: the disk is full" in said
    assert not path.exists()
    assert build_cube(path, find(catalogue), SEASON, AREA).sensors["sentinel-2"].date.size == len(DAYS)


def test_a_finished_cube_is_not_read_again(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    season_of_noise(catalogue)
    first = fetched(catalogue)
    before = tree(first.path)
    reads = Reads(monkeypatch)
    assert fetched(catalogue).provenance == first.provenance
    assert reads.scenes == []
    assert tree(first.path) == before


def test_another_season_or_another_scene_is_another_plan_and_reads_what_is_new(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    season_of_noise(catalogue)
    fetched(catalogue)
    reads = Reads(monkeypatch)
    short = Season(date(2024, 5, 1), date(2024, 5, 12))
    assert fetched(catalogue, season=short).sensors["sentinel-2"].date.size == 3
    assert reads.scenes == []
    catalogue.add_sentinel_2("S27", at(5, 27))
    assert fetched(catalogue).sensors["sentinel-2"].date.size == 7
    assert len(reads.scenes) == 4 * 11


def test_what_an_earlier_plan_left_unfinished_is_not_taken_over(catalogue: Catalogue) -> None:
    season_of_noise(catalogue)
    path = catalogue.directory / "cube.zarr"
    assert run_script(catalogue, path, 50).returncode == -signal.SIGKILL
    short = Season(date(2024, 5, 1), date(2024, 5, 12))
    stored, valid = values(fetched(catalogue, season=short))
    assert len(stored) == 3
    assert valid.all()


def test_a_dataset_with_other_pixels_is_another_plan(tmp_path: Path) -> None:
    product = find_product("sentinel-2-worldcereal")
    for brighter in (0, 500):
        search = search_dataset(as_netcdf(reflectance(10, 96, brighter), "2024-05-01"), product, SEASON)
        stored, _ = values(build_cube(tmp_path / "c.zarr", search, SEASON, AREA))
        assert (stored[0] == reflectance(10, 96, brighter)).all()


def test_files_of_another_name_are_another_plan(tmp_path: Path) -> None:
    product = find_product("sentinel-2-worldcereal")
    for brighter, name in ((0, "a.nc"), (500, "b.nc")):
        as_netcdf(reflectance(10, 96, brighter), "2024-05-01").to_netcdf(tmp_path / name, engine="h5netcdf")
        search = search_files(tmp_path, name, product, SEASON)
        stored, _ = values(build_cube(tmp_path / "c.zarr", search, SEASON, AREA))
        assert (stored[0] == reflectance(10, 96, brighter)).all()


def test_a_frame_is_read_tile_by_tile_as_it_is_read_whole(catalogue: Catalogue) -> None:
    catalogue.add_sentinel_2("A", at(5, 1), reflectance(10, 48))
    (frame,) = frames.group_frames(find(catalogue).scenes)
    grid = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (96, 96))
    whole = frames.read_frame(frame, grid).values
    for window in (Window(0, 0, 31, 40), Window(31, 40, 65, 56)):
        part = frames.read_frame(frame, grid.window(window)).values
        assert (part == whole[:, *window.slices]).all()
