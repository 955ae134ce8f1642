"""Local files: how dates and bands are recognised, and what is refused."""

import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from pyproj import CRS
from tests.scenes import LEFT, S2_BANDS, S2_KEYS, SEASON, SIDE, TOP, UTM, reflectance, write_tiff

from agrifm.errors import SceneError
from agrifm.grid import Grid
from agrifm.scene.local_files import search_dataset, search_files
from agrifm.scene.products import find_product
from agrifm.scene.read import read_asset
from agrifm.scene.scene import FileAsset, Scene

S2, WORLDCEREAL, MODIS = (
    find_product(name) for name in ("sentinel-2-c1-l2a", "sentinel-2-worldcereal", "modis-09A1-061")
)
GRID = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (96, 96))
TINY = np.full((2, 2), 7, np.uint16)


def dataset(
    times: list[str], variables: dict[str, int], pixels: int = 48, crs: bool = True, **attrs: Any
) -> xr.Dataset:
    """Variables of one value each, plus 100 for each time."""
    step = SIDE / pixels
    coords = {
        "time": np.array(times, "datetime64[ns]"),
        "y": TOP - step * (np.arange(pixels) + 0.5),
        "x": LEFT + step * (np.arange(pixels) + 0.5),
    }
    later = 100 * np.arange(len(times))[:, None, None]
    data = {
        name: (
            ("time", "y", "x"),
            np.full((len(times), pixels, pixels), value, np.uint16) + later.astype(np.uint16),
            attrs,
        )
        for name, value in variables.items()
    }
    result = xr.Dataset(data, coords)
    if crs:
        result["spatial_ref"] = ((), 0, {"crs_wkt": CRS.from_user_input(UTM).to_wkt()})
    return result


def write_netcdf(path: Path, content: xr.Dataset) -> Path:
    content.to_netcdf(path, engine="h5netcdf")
    return path


def found(directory: Path, pattern: str, product=WORLDCEREAL, **more: Any) -> list[Scene]:
    return search_files(directory, pattern, product, SEASON, **more).scenes


def refusal(directory: Path, pattern: str, product=WORLDCEREAL) -> str:
    with pytest.raises(SceneError) as caught:
        found(directory, pattern, product)
    return str(caught.value)


def pixels(scene: Scene, key: str) -> np.ndarray:
    return read_asset(scene, key, key, GRID, "bilinear", 0)


@pytest.mark.parametrize("words", [S2_BANDS, S2_KEYS])
def test_files_of_one_band_each_make_a_scene_by_band_name_or_asset_key(tmp_path: Path, words: tuple[str, ...]) -> None:
    values = reflectance(10, 4)
    for word, plane in zip(words, values, strict=True):
        write_tiff(tmp_path / f"S2_20240501_{word}_10m.tif", plane.astype(np.uint16))
    scenes = found(tmp_path, "*.tif", S2)
    assert [(scene.day, scene.last_day) for scene in scenes] == [(date(2024, 5, 1), None)]
    assert {key: asset.path.name for key, asset in scenes[0].assets.items()} == {
        key: f"S2_20240501_{word}_10m.tif" for key, word in zip(S2_KEYS, words, strict=True)
    }


def test_a_file_of_many_bands_is_understood_by_its_descriptions(tmp_path: Path) -> None:
    names = ("SCL", "B03", "cloud", "B02")
    write_tiff(tmp_path / "2024-05-01.tif", np.stack([TINY] * 4), descriptions=names)
    (scene,) = found(tmp_path, "*.tif")
    path = tmp_path / "2024-05-01.tif"
    assert scene.assets == {"SCL": FileAsset(path, 1), "B03": FileAsset(path, 2), "B02": FileAsset(path, 4)}


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("B02_20240501.tif", date(2024, 5, 1)),
        ("2024-05-01_B02.tif", date(2024, 5, 1)),
        ("S2A_MSIL2A_20240501T105031_N0510_R051_T31UFS_20240501T150000_B02.tif", date(2024, 5, 1)),
        ("T31UFS_20240501T105031_B02_10m.tif", date(2024, 5, 1)),
        ("S2_2024_05_01_B02.tif", date(2024, 5, 1)),
        ("2024122_B02.tif", date(2024, 5, 1)),
        ("20240501_B02_20240501.tif", date(2024, 5, 1)),
    ],
)
def test_the_date_of_a_name_is_the_day(tmp_path: Path, name: str, day: date) -> None:
    write_tiff(tmp_path / name, TINY)
    assert found(tmp_path, "*.tif")[0].day == day


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("B02.tif", "date"),
        ("12345678_B02.tif", "date"),
        ("B02_20230229.tif", "'20230229'"),
        ("B02_2024366_20241301.tif", "'20241301'"),
        ("B02_2023366.tif", "'2023366'"),
        ("198027_20240501_20240509_B02.tif", "2024-05-01 and 2024-05-09"),
        ("B02_20241301.tif", "'20241301'"),
        ("20240501_b2.tif", "SCL"),
        ("20240501_B021.tif", "band descriptions"),
    ],
)
def test_a_file_without_a_readable_date_or_band_is_refused(tmp_path: Path, name: str, fact: str) -> None:
    write_tiff(tmp_path / name, TINY)
    sentence = refusal(tmp_path, "*.tif")
    assert fact in sentence
    assert name in sentence


def test_a_file_that_is_not_a_geotiff_is_refused(tmp_path: Path) -> None:
    (tmp_path / "20240501.tif").write_text("<html>")
    assert "20240501.tif" in refusal(tmp_path, "*.tif")


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path / "s2" / "*.tif") in refusal(tmp_path, "s2/*.tif")


def test_patterns_reach_into_folders_and_to_absolute_paths(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a" / "b" / "B02_20240501.tif", TINY)
    for pattern in ("**/*.tif", str(tmp_path / "a" / "*" / "*.tif")):
        assert len(found(tmp_path, pattern)) == 1


def test_two_files_of_one_band_and_day_are_refused_and_not_overwritten(tmp_path: Path) -> None:
    for folder in ("first", "again"):
        write_tiff(tmp_path / folder / "20240501_B02.tif", TINY)
    sentence = refusal(tmp_path, "**/*.tif")
    assert "again/20240501_B02.tif" in sentence
    assert "first/20240501_B02.tif" in sentence


def test_scenes_outside_the_season_are_counted_and_none_left_is_refused(tmp_path: Path) -> None:
    for day in ("20240501", "20231231", "20241001"):
        write_tiff(tmp_path / f"B02_{day}.tif", TINY)
    search = search_files(tmp_path, "*.tif", WORLDCEREAL, SEASON)
    assert (len(search.scenes), search.removed) == (1, {"outside the season": 2})
    assert "(1 outside the season)" in refusal(tmp_path, "*1231.tif")


def test_a_scene_can_be_skipped_by_the_id_that_its_date_gives_it(tmp_path: Path) -> None:
    for day in ("20240501", "20240506"):
        write_tiff(tmp_path / f"B02_{day}.tif", TINY)
    search = search_files(tmp_path, "*.tif", WORLDCEREAL, SEASON, ["sentinel-2-worldcereal_20240506"])
    assert [scene.id for scene in search.scenes] == ["sentinel-2-worldcereal_20240501"]
    assert [scene.id for scene in search.skipped] == ["sentinel-2-worldcereal_20240506"]


def test_the_baseline_of_local_files_is_what_the_user_says(tmp_path: Path) -> None:
    write_tiff(tmp_path / "B02_20240501.tif", TINY)
    (scene,) = found(tmp_path, "*.tif", S2, baseline="03.01")
    assert scene.encoding.offset == 0
    (scene,) = found(tmp_path, "*.tif", S2)
    with pytest.raises(SceneError, match="`baseline`"):
        _ = scene.encoding


def test_a_composite_lasts_its_products_eight_days(tmp_path: Path) -> None:
    write_tiff(tmp_path / "sur_refl_b01_20240226.tif", TINY)
    (scene,) = found(tmp_path, "*.tif", MODIS)
    assert (scene.day, scene.last_day) == (date(2024, 2, 26), date(2024, 3, 4))


def test_netcdf_times_become_scenes_with_their_pixels(tmp_path: Path) -> None:
    content = dataset(["2024-05-01T10:50:31", "2024-05-06T10:50:31"], {"B02": 300, "B03": 500, "unknown": 1})
    write_netcdf(tmp_path / "s2.nc", content)
    scenes = found(tmp_path, "*.nc")
    assert [scene.day for scene in scenes] == [date(2024, 5, 1), date(2024, 5, 6)]
    assert [set(scene.assets) for scene in scenes] == [{"B02", "B03"}] * 2
    assert [(pixels(scene, "B02").mean(), pixels(scene, "B03").mean()) for scene in scenes] == [(300, 500), (400, 600)]


def test_files_of_two_resolutions_with_the_same_times_share_their_scenes(tmp_path: Path) -> None:
    times = ["2024-05-01T10:50:31", "2024-05-06T10:50:31"]
    write_netcdf(tmp_path / "s2_10m.nc", dataset(times, {"B02": 300}, 96))
    write_netcdf(tmp_path / "s2_20m.nc", dataset(times, {"B05": 700, "SCL": 4}, 48))
    scenes = found(tmp_path, "s2_*.nc")
    assert [set(scene.assets) for scene in scenes] == [{"B02", "B05", "SCL"}] * 2
    assert (pixels(scenes[1], "B02") == 400).all()
    assert (pixels(scenes[1], "B05") == 800).all()


def test_a_repeated_timestamp_makes_scenes_of_their_own(tmp_path: Path) -> None:
    times = ["2024-05-01T10:50:31", "2024-05-01T10:50:31", "2024-05-06"]
    write_netcdf(tmp_path / "s2_10m.nc", dataset(times, {"B02": 300}, 96))
    write_netcdf(tmp_path / "s2_20m.nc", dataset(times, {"B05": 700}, 48))
    scenes = found(tmp_path, "*.nc")
    assert len({scene.id for scene in scenes}) == 3
    assert [(pixels(scene, "B02").max(), pixels(scene, "B05").max()) for scene in scenes] == [
        (300, 700),
        (400, 800),
        (500, 900),
    ]


def test_two_netcdf_files_of_the_same_variable_and_times_are_refused(tmp_path: Path) -> None:
    for name in ("east.nc", "west.nc"):
        write_netcdf(tmp_path / name, dataset(["2024-05-01"], {"B02": 300}))
    sentence = refusal(tmp_path, "*.nc")
    assert "west.nc" in sentence
    assert "'B02' of 2024-05-01" in sentence


def test_a_moment_is_turned_into_its_solar_day_and_a_date_is_kept() -> None:
    east = dataset(["2024-05-01T23:50:00", "2024-05-03T00:00:00"], {"B02": 300})
    east["spatial_ref"].attrs["crs_wkt"] = CRS.from_epsg(32656).to_wkt()  # around longitude 153
    days = [scene.day for scene in search_dataset(east, WORLDCEREAL, SEASON).scenes]
    assert days == [date(2024, 5, 2), date(2024, 5, 3)]


def test_a_dataset_in_memory_is_read_like_a_file(tmp_path: Path) -> None:
    content = dataset(["2024-05-01", "2024-05-01", "2024-05-06"], {"B02": 300})
    scenes = search_dataset(content, WORLDCEREAL, SEASON).scenes
    assert [int(pixels(scene, "B02").max()) for scene in scenes] == [300, 400, 500]
    assert len({scene.id for scene in scenes}) == 3


def test_a_dataset_may_have_its_crs_as_an_attribute_and_rows_upwards() -> None:
    content = dataset(["2024-05-01"], {"B02": 300}, crs=False).assign_attrs(crs="EPSG:32631")
    content["B02"][0, 0] = 900
    downwards, upwards = (
        search_dataset(one, WORLDCEREAL, SEASON).scenes[0] for one in (content, content.isel(y=slice(None, None, -1)))
    )
    assert (pixels(downwards, "B02") == pixels(upwards, "B02")).all()
    assert (pixels(upwards, "B02")[0] == 900).all()


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda one: one.drop_vars("spatial_ref"), "coordinate reference system"),
        (lambda one: one.rename(B02="band_2"), "none of the variables"),
        (lambda one: one.drop_vars("time"), "'time'"),
        (lambda one: one.isel(x=[0, 1, 5]), "'x' is not evenly"),
        (lambda one: one.isel(y=[0]), "'y' is not evenly"),
    ],
)
def test_a_dataset_that_cannot_be_understood_is_refused(change, fact: str) -> None:
    with pytest.raises(SceneError) as caught:
        search_dataset(change(dataset(["2024-05-01"], {"B02": 300})), WORLDCEREAL, SEASON)
    assert fact in str(caught.value)
    assert "'sentinel-2-worldcereal'" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda band: band / 10_000, "float64"),
        (lambda band: band.assign_attrs(scale_factor=0.001), "scale 0.001"),
        (lambda band: band.assign_attrs(scale_factor=1.0), "scale 1"),
        (lambda band: band.assign_attrs(add_offset=-0.1), "offset -0.1"),
        (lambda band: band.assign_attrs(_FillValue=np.uint16(500)), "nodata 500"),
        (lambda band: band.assign_attrs(missing_value=[0, 700]), "nodata 700"),
        (lambda band: band.assign_attrs(valid_range=[0.0, 1.0]), "from 0 to 1"),
    ],
)
def test_attributes_that_contradict_the_product_are_refused(change, fact: str) -> None:
    content = dataset(["2024-05-01"], {"B02": 300})
    (scene,) = search_dataset(content.assign(B02=change(content.B02)), WORLDCEREAL, SEASON).scenes
    with pytest.raises(SceneError, match="'B02' of the dataset") as caught:
        pixels(scene, "B02")
    assert fact in str(caught.value)


def test_attributes_that_agree_with_the_product_are_accepted() -> None:
    content = dataset(["2024-05-01"], {"B02": 300}, scale_factor=0.0001, add_offset=0.0, _FillValue=0)
    (scene,) = search_dataset(content, WORLDCEREAL, SEASON).scenes
    assert (pixels(scene, "B02") == 300).all()


def test_a_file_that_is_not_netcdf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s2.nc").write_text("<html>")
    assert str(tmp_path / "s2.nc") in refusal(tmp_path, "*.nc")


@pytest.mark.parametrize("library", ["xarray", "h5netcdf"])
def test_netcdf_without_its_libraries_names_the_extra(
    tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_netcdf(tmp_path / "s2.nc", dataset(["2024-05-01"], {"B02": 300}))
    monkeypatch.setitem(sys.modules, library, None)
    assert "agrifm[files]" in refusal(tmp_path, "*.nc")
