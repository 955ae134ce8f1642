"""One asset onto a grid: copied if it is on it, else resampled once, never silently zero."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from pyproj import Transformer
from rasterio.vrt import WarpedVRT
from tests.scenes import LEFT, MODIS_PIXEL, SINUSOIDAL, SQUARE, TOP, UTM, write_tiff
from tests.servers import serving_files

from agrifm.errors import SceneError
from agrifm.grid import Grid, Window
from agrifm.scene.products import find_product
from agrifm.scene.providers import PROVIDERS
from agrifm.scene.read import read_asset
from agrifm.scene.scene import ArrayAsset, Asset, FileAsset, RemoteAsset, Scene, asset_at, solar_day

GRID = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (96, 96))
NODATA = 0


def scene(assets: Mapping[str, Asset]) -> Scene:
    return Scene("S2A_1", find_product("sentinel-2-c1-l2a"), date(2024, 5, 1), assets, "made", baseline="05.10")


def read(asset: Asset, grid: Grid = GRID, kernel="bilinear", nodata: int = NODATA) -> np.ndarray:
    return read_asset(scene({"blue": asset}), "blue", "B02", grid, kernel, nodata)


def noise(pixels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 9000, (pixels, pixels)).astype(np.uint16)


def test_pixels_on_the_grid_are_copied_exactly(tmp_path: Path) -> None:
    values = noise(96)
    values[10:20] = 0
    assert (read(FileAsset(write_tiff(tmp_path / "a.tif", values))) == values).all()


def test_a_window_of_a_larger_file_is_copied_from_its_own_place(tmp_path: Path) -> None:
    values = noise(192)
    path = write_tiff(tmp_path / "a.tif", values, (LEFT - 480, TOP + 480, 1920))
    window = Window(13, 40, 30, 50)
    assert (read(FileAsset(path), GRID.window(window)) == values[61:91, 88:138]).all()


def test_the_band_of_a_file_is_chosen_by_its_number(tmp_path: Path) -> None:
    values = np.stack([noise(96, 1), noise(96, 2)])
    values[0, :40] = 0  # nodata of one band says nothing about the other
    path = write_tiff(tmp_path / "a.tif", values)
    for index in (1, 2):
        assert (read(FileAsset(path, index)) == values[index - 1]).all()


def test_nodata_of_one_band_does_not_spread_into_another_when_resampled(tmp_path: Path) -> None:
    values = np.stack([noise(48, 1), np.full((48, 48), 700, np.uint16)])
    values[0, :20] = 0
    path = write_tiff(tmp_path / "a.tif", values, nodata=0)
    assert (read(FileAsset(path, 2)) == 700).all()


def test_coarser_pixels_are_interpolated_bilinearly(tmp_path: Path) -> None:
    """20 m pixels of a plane in x and y: between centres the plane comes back, to rounding."""
    col, row = np.meshgrid(np.arange(48), np.arange(48))
    path = write_tiff(tmp_path / "a.tif", (1000 + 20 * col + 40 * row).astype(np.uint16))
    found = read(FileAsset(path)).astype(float)
    # Centre of fine pixel j is at (j + 0.5) / 2 - 0.5 coarse pixels.
    at = (np.arange(96) + 0.5) / 2 - 0.5
    plane = 1000 + 20 * at[None, :] + 40 * at[:, None]
    assert np.abs(found - plane)[1:-1, 1:-1].max() <= 0.5


def test_pixels_that_are_shifted_by_half_a_pixel_are_the_mean_of_four(tmp_path: Path) -> None:
    """Corners of Landsat scenes are 15 m off the multiples of 30 m."""
    values = noise(40)
    path = write_tiff(tmp_path / "a.tif", values, (LEFT - 135, TOP + 135, 1200))
    grid = GRID.at(30)
    found = read(FileAsset(path), grid)
    by_hand = (values[4:36, 4:36].astype(float) + values[5:37, 4:36] + values[4:36, 5:37] + values[5:37, 5:37]) / 4
    assert np.abs(found - by_hand).max() <= 0.5


def test_finer_pixels_are_averaged_by_area(tmp_path: Path) -> None:
    values = noise(96)
    path = write_tiff(tmp_path / "a.tif", values)
    blocks = values.reshape(32, 3, 32, 3).mean(axis=(1, 3))
    assert np.abs(read(FileAsset(path), GRID.at(30)) - blocks).max() <= 0.5


@pytest.mark.parametrize("tag", [0, None])
def test_an_average_leaves_out_nodata_whether_or_not_the_file_says_so(tmp_path: Path, tag: int | None) -> None:
    values = noise(96)
    values[::2] = 0
    values[:, :3] = 0
    path = write_tiff(tmp_path / "a.tif", values, nodata=tag)
    blocks = values.reshape(32, 3, 32, 3).astype(float)
    with np.errstate(invalid="ignore"):
        means = np.nan_to_num(blocks.sum(axis=(1, 3)) / (blocks > 0).sum(axis=(1, 3)))
    found = read(FileAsset(path), GRID.at(30))
    assert np.abs(found - means).max() <= 0.5
    assert (found[:, 0] == 0).all()


def test_categories_are_never_mixed(tmp_path: Path) -> None:
    values = np.random.default_rng(0).choice([4, 9], (48, 48)).astype(np.uint8)
    path = write_tiff(tmp_path / "scl.tif", values)
    assert (read(FileAsset(path), kernel="nearest") == values.repeat(2, 0).repeat(2, 1)).all()
    assert set(np.unique(read(FileAsset(path), GRID.at(30), "nearest"))) == {4, 9}


def test_modis_comes_to_the_grid_by_its_true_nearest_neighbour(tmp_path: Path) -> None:
    """pyproj says in which sinusoidal pixel each centre is; GDAL's usual tolerance errs in 7 % of them."""
    crs = Transformer.from_crs(UTM, SINUSOIDAL, always_xy=True)
    grid = Grid.of(UTM, Affine(480, 0, LEFT, 0, -480, TOP), (120, 120))
    x, y = crs.transform(*np.meshgrid(grid.x, grid.y))
    left, top = x.min() - 10 * MODIS_PIXEL, y.max() + 10 * MODIS_PIXEL
    side = 180
    values = np.arange(side * side, dtype=np.int32).reshape(side, side) + 1
    path = write_tiff(tmp_path / "m.tif", values, (left, top, side * MODIS_PIXEL), SINUSOIDAL)
    col, row = np.floor((x - left) / MODIS_PIXEL).astype(int), np.floor((top - y) / MODIS_PIXEL).astype(int)
    assert (read(FileAsset(path), grid, "nearest", -28672) == values[row, col]).all()


def test_pixels_of_a_neighbouring_zone_come_to_their_place(tmp_path: Path) -> None:
    """A plane in zone 30, read in zone 31: pyproj says which value belongs where."""
    crs = Transformer.from_crs(UTM, "EPSG:32630", always_xy=True)
    x, y = crs.transform(*np.meshgrid(GRID.at(30).x, GRID.at(30).y))
    left, top = np.floor(x.min() / 30) * 30 - 90, np.ceil(y.max() / 30) * 30 + 90
    col, row = np.meshgrid(np.arange(60), np.arange(60))
    path = write_tiff(
        tmp_path / "a.tif", (1000 + 50 * col + 20 * row).astype(np.uint16), (left, top, 1800), "EPSG:32630"
    )
    plane = 1000 + 50 * ((x - left) / 30 - 0.5) + 20 * ((top - y) / 30 - 0.5)
    assert np.abs(read(FileAsset(path), GRID.at(30)) - plane).max() <= 0.51


@pytest.mark.parametrize("kernel", ["bilinear", "nearest"])
@pytest.mark.parametrize("side", [10, 30, 60])
def test_a_window_read_alone_is_the_window_of_the_whole(tmp_path: Path, kernel: str, side: int) -> None:
    x, y = Transformer.from_crs(UTM, "EPSG:32630", always_xy=True).transform(LEFT, TOP)
    path = write_tiff(
        tmp_path / "a.tif", noise(100), (np.floor(x / 30) * 30 - 1000, np.ceil(y / 30) * 30 + 1000, 3000), "EPSG:32630"
    )
    grid = GRID.at(side)
    whole = read(FileAsset(path), grid, kernel)
    assert whole.min() > 0
    for window in (Window(1, 2, 3, 9), Window(6, 7, 9, 4), Window(10, 1, 1, 1)):
        assert (read(FileAsset(path), grid.window(window), kernel) == whole[window.slices]).all()


def test_ground_outside_the_file_is_nodata(tmp_path: Path) -> None:
    values = noise(48)
    path = write_tiff(tmp_path / "a.tif", values, (LEFT, TOP, 480))
    for nodata in (0, 7):
        found = read(FileAsset(path), nodata=nodata)
        assert (found[:48, :48] == values).all()
        assert (found[48:] == nodata).all()
        assert (found[:, 48:] == nodata).all()


@pytest.mark.parametrize("rows", [(-30, 20), (-30, -5), (0, 48), (20, 70), (60, 90), (-10, 60)])
@pytest.mark.parametrize("cols", [(-30, 20), (10, 30), (47, 49), (48, 60)])
def test_windows_over_the_edge_of_a_file_are_copied_as_gdal_warps_them(
    tmp_path: Path, rows: tuple[int, int], cols: tuple[int, int]
) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(48), (LEFT, TOP, 480))
    shape = (rows[1] - rows[0], cols[1] - cols[0])
    grid = Grid.of(UTM, GRID.transform * Affine.translation(cols[0], rows[0]), shape)
    with (
        rasterio.open(path) as source,
        WarpedVRT(
            source, crs=UTM, transform=grid.transform, height=shape[0], width=shape[1], src_nodata=0, nodata=0
        ) as warped,
    ):
        assert (read(FileAsset(path), grid) == warped.read(1)).all()


@pytest.mark.parametrize("order", [1, -1])
def test_an_array_is_read_like_a_file_whichever_way_its_rows_run(tmp_path: Path, order: int) -> None:
    values = noise(48)
    expected = read(FileAsset(write_tiff(tmp_path / "a.tif", values)))
    transform = Affine(20, 0, LEFT, 0, -20 * order, TOP if order == 1 else TOP - 960)
    array = ArrayAsset(xr.DataArray(values[::order], dims=("y", "x")), UTM, transform)
    assert (read(array) == expected).all()


def test_a_grid_whose_rows_run_upwards_is_read_upwards(tmp_path: Path) -> None:
    values = noise(96)
    path = write_tiff(tmp_path / "a.tif", values)
    upwards = Grid.of(UTM, Affine(10, 0, LEFT, 0, 10, TOP - 960), (96, 96))
    assert (read(FileAsset(path), upwards) == values[::-1]).all()


def test_an_asset_that_the_scene_lacks_is_named_with_those_it_has(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(96))
    with pytest.raises(SceneError, match="green, red") as caught:
        read_asset(scene({"red": FileAsset(path), "green": FileAsset(path)}), "blue", "B02", GRID, "bilinear", 0)
    assert caught.value.facts == {"scene": "S2A_1", "asset": "blue", "band": "B02"}


def test_a_file_without_crs_is_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(96), crs=None)
    with pytest.raises(SceneError, match=r"S2A_1: a\.tif"):
        read(FileAsset(path))


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"S2A_1: gone\.tif .*absent"):
        read(FileAsset(tmp_path / "gone.tif"))


@pytest.mark.parametrize("driver", ["COG", "GTiff"])
@pytest.mark.parametrize("compress", ["DEFLATE", "NONE"])
@pytest.mark.parametrize("share", [0.97, 0.5, 0.02])
def test_a_truncated_file_is_refused_and_never_read_as_zeros(
    tmp_path: Path, driver: str, compress: str, share: float
) -> None:
    tiles = {"blocksize": 128} if driver == "COG" else {}
    path = write_tiff(tmp_path / "a.tif", noise(480), SQUARE, nodata=0, driver=driver, compress=compress, **tiles)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    grid = Grid.of(UTM, Affine(2, 0, LEFT, 0, -2, TOP), (480, 480))
    for _ in range(2):  # the second time, GDAL might answer from its cache
        with pytest.raises(SceneError, match=r"a\.tif .*damaged"):
            read(FileAsset(path), grid)


def test_a_file_that_is_not_a_raster_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("<html>404</html>")
    with pytest.raises(SceneError, match="damaged"):
        read(FileAsset(tmp_path / "a.tif"))


def test_reflectance_as_fractions_is_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.full((96, 96), 0.25, np.float32))
    with pytest.raises(SceneError, match=r"a\.tif holds float32"):
        read(FileAsset(path))


def test_numbers_that_cannot_hold_the_products_nodata_are_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(96))
    with pytest.raises(SceneError, match=r"uint16.*-28672"):
        read(FileAsset(path), nodata=-28672)


@pytest.mark.parametrize(
    ("moment", "longitude", "day"),
    [
        (datetime(2024, 5, 1, 10, 50, tzinfo=UTC), 2.5, date(2024, 5, 1)),
        (datetime(2024, 5, 1, 23, 30, tzinfo=UTC), 150, date(2024, 5, 2)),  # 09:30 in eastern Australia
        (datetime(2024, 5, 2, 0, 20, tzinfo=UTC), 150, date(2024, 5, 2)),
        (datetime(2024, 5, 2, 1, 0, tzinfo=UTC), -150, date(2024, 5, 1)),  # 15:00 in Hawaii
        (datetime(2024, 5, 1, 23, 59), 0, date(2024, 5, 1)),
        (datetime(2024, 5, 1, tzinfo=UTC), -150, date(2024, 5, 1)),
        (datetime(2024, 5, 1, 23, 30, tzinfo=timezone(timedelta(hours=-5))), 0, date(2024, 5, 2)),
    ],
)
def test_the_solar_day_is_the_date_on_the_ground(moment: datetime, longitude: float, day: date) -> None:
    assert solar_day(moment, longitude) == day


@pytest.mark.parametrize("href", ["ftp://host.org/a.tif", "gs://bucket/a.tif", "abfs://box/a.tif?sig=planted"])
def test_a_url_of_another_scheme_is_refused(href: str) -> None:
    with pytest.raises(SceneError, match="https://") as caught:
        asset_at(href)
    assert caught.value.facts["scheme"] == href.partition(":")[0]
    assert "planted" not in str(caught.value)
    assert asset_at("file:///data/a%20b.tif") == FileAsset(Path("/data/a b.tif"))


@pytest.mark.parametrize("limit", [4, 1, None])
def test_a_provider_is_asked_over_as_many_connections_as_it_allows(tmp_path: Path, limit: int | None) -> None:
    """Twelve files at once from a server that counts its open connections; without a limit there are more than four."""
    values = np.ones((96, 96), np.uint16)
    names = [write_tiff(tmp_path / f"{number}.tif", values).name for number in range(12)]
    provider = replace(PROVIDERS["cdse"], name=f"made-{limit}", connections=limit)
    with serving_files(tmp_path, latency=0.3) as server, ThreadPoolExecutor(12) as executor:
        files = [executor.submit(read, RemoteAsset(f"{server.url}/{name}", provider)) for name in names]
        assert all((file.result() == 1).all() for file in files)
        assert server.most_connections == limit or (limit is None and server.most_connections > 4)
