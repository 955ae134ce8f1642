"""Files as downloaded become scenes: assets, tiles, resolutions, repetitions, quality bands."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.scenes import S2_BANDS, SEASON, write_tiff

from agrifm.errors import SceneError
from agrifm.scene.local_files import search_files
from agrifm.scene.products import find_product
from agrifm.scene.scene import FileAsset, Scene
from agrifm.scene.search_result import SearchResult

TINY = np.full((2, 2), 7, np.uint16)
WORLDCEREAL, C1, CDSE = "sentinel-2-worldcereal", "sentinel-2-c1-l2a", "sentinel-2-l2a-cdse"
SAFE = "S2A_MSIL2A_20240501T105031_N{}_R051_T31TDN_20240501T175000.SAFE"
GRANULE = SAFE + "/GRANULE/L2A_T31TDN_A046000_20240501T105500/IMG_DATA"


def write(directory: Path, *names: str, **more: Any) -> None:
    for name in names:
        write_tiff(directory / name, TINY, **more)


def found(directory: Path, product: str, pattern: str = "**/*", **more: Any) -> SearchResult:
    return search_files(directory, pattern, find_product(product), SEASON, **more)


def one(directory: Path, product: str, **more: Any) -> Scene:
    (scene,) = found(directory, product, **more).scenes
    return scene


def files(scene: Scene) -> Mapping[str, str]:
    return {key: asset.path.name for key, asset in scene.assets.items() if isinstance(asset, FileAsset)}


def write_safe(directory: Path, baseline: str = "0510", folder: str = GRANULE) -> None:
    start = f"{folder.format(baseline)}/R{{0}}m/T31TDN_20240501T105031_{{1}}_{{0}}m.jp2"
    for resolution, bands in (
        (10, ("B02", "B03", "B04", "B08", "TCI", "AOT")),
        (20, (*S2_BANDS, "SCL", "B01")),
        (60, (*S2_BANDS, "SCL", "B09")),
    ):
        write(directory, *(start.format(resolution, band) for band in bands))
    for name in ("QI_DATA/MSK_DETFOO_B02.jp2", "QI_DATA/T31TDN_20240501T105031_PVI.jp2"):
        write(directory, f"{folder.format(baseline)}/../{name}")
    (directory / folder.format(baseline) / "R10m" / "B02.jp2.aux.xml").write_text("<x/>")


@pytest.mark.parametrize("product", [C1, CDSE, "sentinel-2-l2a-planetary-computer"])
def test_a_sentinel_2_folder_is_read_in_the_resolutions_of_its_bands(tmp_path: Path, product: str) -> None:
    write_safe(tmp_path)
    scene, record = one(tmp_path, product), find_product(product)
    fine = {"B02", "B03", "B04", "B08"}
    expected = {
        key: f"T31TDN_20240501T105031_{band}_{10 if band in fine else 20}m.jp2" for band, key in record.assets.items()
    }
    assert files(scene) == expected | {str(record.quality_asset): "T31TDN_20240501T105031_SCL_20m.jp2"}
    assert (scene.day, scene.baseline, scene.encoding.offset) == (date(2024, 5, 1), "05.10", -0.1)
    scene.require_assets()


def test_a_band_that_is_there_in_one_resolution_is_taken(tmp_path: Path) -> None:
    write(tmp_path, *(f"T31TDN_20240501T105031_B02_{size}m.tif" for size in (20, 60)))
    assert files(one(tmp_path, WORLDCEREAL)) == {"B02": "T31TDN_20240501T105031_B02_20m.tif"}


def test_of_two_processings_of_a_scene_the_newest_is_kept_and_counted(tmp_path: Path) -> None:
    for baseline in ("0400", "0510"):
        write_safe(tmp_path, baseline)
    search = found(tmp_path, C1)
    assert [scene.baseline for scene in search.scenes] == ["05.10"]
    assert search.removed == {"older processing of the same acquisition": 1}


@pytest.mark.parametrize(("written", "offset"), [("03.01", 0), ("05.10", -0.1)])
def test_a_renamed_folder_states_its_baseline_in_its_metadata(tmp_path: Path, written: str, offset: float) -> None:
    write_safe(tmp_path, folder="mine/IMG_DATA")
    metadata = f"<a><PROCESSING_BASELINE>{written}</PROCESSING_BASELINE></a>"
    (tmp_path / "mine" / "MTD_MSIL2A.xml").write_text(metadata)
    assert one(tmp_path, C1).encoding.offset == offset


def test_a_baseline_that_contradicts_the_names_is_refused_with_both(tmp_path: Path) -> None:
    write_safe(tmp_path)
    assert one(tmp_path, C1, baseline="N0510").encoding.offset == -0.1
    with pytest.raises(SceneError, match=r"'02\.14'") as caught:
        found(tmp_path, C1, baseline="02.14")
    assert caught.value.facts["baseline"] == "05.10"


def test_landsat_of_the_usgs_is_read_by_acquisition_and_newest_processing(tmp_path: Path) -> None:
    for processed in ("20240509", "20240901"):
        start = f"LC08_L2SP_198027_20240501_{processed}_02_T1"
        write(tmp_path, *(f"{start}_{band}.TIF" for band in ("SR_B1", "SR_B2", "SR_B5", "QA_PIXEL", "ST_B10", "ST_QA")))
    write(tmp_path, "LE07_L2SP_198027_20240502_20240901_02_T1_SR_B2.TIF")
    search = found(tmp_path, "landsat-c2-l2-usgs")
    start = "LC08_L2SP_198027_20240501_20240901_02_T1"
    assert [files(scene) for scene in search.scenes] == [
        {"blue": f"{start}_SR_B2.TIF", "nir08": f"{start}_SR_B5.TIF", "qa_pixel": f"{start}_QA_PIXEL.TIF"}
    ]
    assert sorted(search.removed.values()) == [1, 1]
    (thermal,) = found(tmp_path, "landsat-c2-l2-st-usgs").scenes
    assert files(thermal) == {"lwir11": f"{start}_ST_B10.TIF", "qa_pixel": f"{start}_QA_PIXEL.TIF"}


def test_two_products_share_a_folder_and_each_reads_its_own(tmp_path: Path) -> None:
    for kind, time in (("L30", "104117"), ("S30", "105031")):
        write(tmp_path, *(f"HLS.{kind}.T31TDN.2024122T{time}.v2.0.{band}.tif" for band in ("B05", "Fmask")))
    for kind, product in (("L30", "hls-l30-nasa-cmr"), ("S30", "hls-s30-nasa-cmr")):
        search = found(tmp_path, product)
        assert {name[4:7] for scene in search.scenes for name in files(scene).values()} == {kind}
        assert search.removed.total() == 2


def test_a_folder_of_another_product_alone_is_refused_with_what_it_is(tmp_path: Path) -> None:
    write(tmp_path, "20240501_LEVEL2_SEN2A_BOA.tif")
    with pytest.raises(SceneError, match="FORCE"):
        found(tmp_path, WORLDCEREAL)


@pytest.mark.parametrize(
    ("quality", "rules"), [(("SCL",), ["scl"]), (("QA60",), ["sentinel_2_qa60"]), (("SCL", "QA60"), ["scl"])]
)
def test_an_export_of_earth_engine_is_read_by_its_descriptions(
    tmp_path: Path, quality: tuple[str, ...], rules: list[str]
) -> None:
    names = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12", *quality)
    for part in ("", "-0000000000-0000009984"):
        path = tmp_path / f"20240501T105031_20240501T105521_T31TDN{part}.tif"
        write_tiff(path, np.stack([TINY] * len(names)), descriptions=names)
    scenes = found(tmp_path, WORLDCEREAL).scenes
    assert len(scenes) == 2
    for scene in scenes:
        scene.require_assets()
        indices = {key: asset.index for key, asset in scene.assets.items() if isinstance(asset, FileAsset)}
        assert indices["B02"] == 2
        assert indices["B12"] == 12
        assert list(scene.quality_bands.values()) == rules


@pytest.mark.parametrize("described", [True, False])
def test_force_is_read_by_descriptions_or_by_its_order(tmp_path: Path, described: bool) -> None:
    names = ("BLUE", "GREEN", "RED", "REDEDGE1", "REDEDGE2", "REDEDGE3", "BROADNIR", "NIR", "SWIR1", "SWIR2")
    planes = np.stack([TINY.astype(np.int16)] * 10)
    for tile in ("X0055_Y0053", "X0055_Y0054"):
        start = tmp_path / tile / "20240501_LEVEL2_SEN2A"
        write_tiff(Path(f"{start}_BOA.tif"), planes, descriptions=names if described else ())
        write_tiff(Path(f"{start}_QAI.tif"), TINY.astype(np.int16))
        write_tiff(Path(f"{start}_AOD.tif"), TINY.astype(np.int16))
    scenes = found(tmp_path, "sentinel-2-force").scenes
    assert [scene.id for scene in scenes] == [
        f"sentinel-2-force_20240501_{tile}" for tile in ("X0055_Y0053", "X0055_Y0054")
    ]
    for scene in scenes:
        scene.require_assets()
        indices = {key: asset.index for key, asset in scene.assets.items() if isinstance(asset, FileAsset)}
        assert indices == {band: number for number, band in enumerate(S2_BANDS, start=1)} | {"QAI": None}


def test_a_stack_of_another_length_than_its_scheme_is_refused(tmp_path: Path) -> None:
    write_tiff(tmp_path / "20240501_LEVEL2_SEN2A_BOA.tif", np.stack([TINY] * 6))
    with pytest.raises(SceneError) as caught:
        found(tmp_path, "sentinel-2-force")
    assert caught.value.facts["bands"] == 6


def test_a_name_with_one_band_does_not_hide_the_bands_of_its_file(tmp_path: Path) -> None:
    write_tiff(tmp_path / "red_edge_stack_20240501_B02.tif", np.stack([TINY] * 2), descriptions=("B03", "B04"))
    assert set(one(tmp_path, WORLDCEREAL).assets) == {"B03", "B04"}


def test_tiles_of_one_date_are_scenes_of_one_frame(tmp_path: Path) -> None:
    write(tmp_path, *(f"{tile}_20240501_B02.tif" for tile in ("T31UFS", "T31UFT")), "31UFU/20240501_B02.tif")
    scenes = found(tmp_path, WORLDCEREAL).scenes
    assert [scene.id.rpartition("_")[2] for scene in scenes] == ["31UFS", "31UFT", "31UFU"]
    assert {scene.day for scene in scenes} == {date(2024, 5, 1)}


def test_files_whose_folders_are_dates_are_scenes_of_those_days(tmp_path: Path) -> None:
    write(tmp_path, *(f"{day}/{band}.tif" for day in ("2024-05-01", "20240511T105031") for band in S2_BANDS))
    scenes = found(tmp_path, WORLDCEREAL).scenes
    assert [scene.day for scene in scenes] == [date(2024, 5, 1), date(2024, 5, 11)]
    assert all(len(scene.assets) == 10 for scene in scenes)
    held = {asset.path.parent.name for asset in scenes[1].assets.values()}  # type: ignore[union-attr]  # local files
    assert held == {"20240511T105031"}


def test_two_passes_over_a_tile_on_one_day_are_two_scenes(tmp_path: Path) -> None:
    write(tmp_path, *(f"T35WMT_20240501T{time}_{band}_10m.tif" for time in ("101021", "115031") for band in S2_BANDS))
    scenes = found(tmp_path, WORLDCEREAL).scenes
    assert [scene.id for scene in scenes] == [f"{WORLDCEREAL}_20240501_{time}" for time in ("101021", "115031")]
    assert all(len(scene.assets) == 10 for scene in scenes)


def test_the_same_scene_twice_is_refused_with_both_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(tmp_path, f"{folder}/T31TDN_20240501T105031_B02_10m.tif")
    with pytest.raises(SceneError, match="B02") as caught:
        found(tmp_path, WORLDCEREAL)
    first, second = caught.value.facts["files"]  # type: ignore[misc]  # a fact may be anything
    assert (first.parent.name, second.parent.name) == ("a", "b")


def test_a_scene_without_its_quality_band_needs_the_key_that_is_named(tmp_path: Path) -> None:
    write(tmp_path, *(f"S2_20240501_{band}.tif" for band in S2_BANDS))
    scene = one(tmp_path, WORLDCEREAL)
    with pytest.raises(SceneError, match="`without_quality`"):
        scene.require_assets()
    unmasked = replace(scene, unmasked=True)
    unmasked.require_assets()
    assert unmasked.lacks_quality
    assert unmasked.quality_bands == {}


@pytest.mark.parametrize(
    ("name", "fact"),
    [("MOD09A1.A2024121.h18v04.061.2024130034512.hdf", "HDF4"), ("S2_20240501.zip", "unpack")],
)
def test_files_that_gdal_cannot_open_are_refused_with_what_helps(tmp_path: Path, name: str, fact: str) -> None:
    (tmp_path / name).write_bytes(b"\x0e\x03\x13\x01 not an image")
    with pytest.raises(SceneError, match=fact):
        found(tmp_path, "modis-09A1-061" if "MOD" in name else WORLDCEREAL)


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        ("imagery [tile 1]", "imagery [tile 1]/*.tif"),
        ("a [b]/[c]", "a [b]/**/*.tif"),
        ("what?", "what?/S2_20240501_B0[2].tif"),
        ("plain", "pl[a-b]in/*.tif"),
        ("{x}", "{x}/*"),
    ],
)
def test_a_folder_that_exists_is_meant_literally_in_a_pattern(tmp_path: Path, folder: str, pattern: str) -> None:
    write(tmp_path, f"{folder}/S2_20240501_B02.tif")
    assert len(found(tmp_path, WORLDCEREAL, pattern=pattern).scenes) == 1


@pytest.mark.parametrize(
    ("pattern", "fact"),
    [("IMAGERY/*.tif", "folders"), ("imagery/*.TIF", ".tif"), ("imagery[1]/*.tif", "[ ]"), ("imagery/*.xml", "images")],
)
def test_a_pattern_that_matches_no_image_is_refused_with_a_hint(tmp_path: Path, pattern: str, fact: str) -> None:
    write(tmp_path, "imagery/S2_20240501_B02.tif")
    (tmp_path / "imagery" / "a.xml").write_text("<a/>")
    with pytest.raises(SceneError) as caught:
        found(tmp_path, WORLDCEREAL, pattern=pattern)
    assert fact in str(caught.value)


def test_a_word_of_one_scheme_means_nothing_in_other_names(tmp_path: Path) -> None:
    """NIR is B8A in FORCE, and may be B08 elsewhere."""
    write_tiff(tmp_path / "20240501_mine.tif", np.stack([TINY] * 2), descriptions=("NIR", "B04"))
    assert set(one(tmp_path, "sentinel-2-force").assets) == {"B04"}


@pytest.mark.parametrize(
    ("descriptions", "fact"),
    [(("B02", "B02"), "'B02'"), (("B2", "B02"), "'B02'"), ((), "`stack`"), (("a", "b"), "'a'")],
)
def test_descriptions_that_do_not_say_which_band_is_which_are_refused(
    tmp_path: Path, descriptions: tuple[str, ...], fact: str
) -> None:
    write_tiff(tmp_path / "20240501_B03.tif", np.stack([TINY] * 2), descriptions=descriptions)
    with pytest.raises(SceneError) as caught:
        found(tmp_path, WORLDCEREAL)
    assert fact in str(caught.value)


def test_official_files_of_no_band_alone_are_refused_with_what_they_are(tmp_path: Path) -> None:
    write(tmp_path, "20240501_LEVEL2_SEN2A_TOA.tif", "20240501_LEVEL2_SEN2A_AOD.tif")
    with pytest.raises(SceneError) as caught:
        found(tmp_path, "sentinel-2-force")
    assert caught.value.facts["found"] == ["AOD", "TOA"]


def test_an_alpha_band_is_not_a_second_band_of_a_file(tmp_path: Path) -> None:
    write_tiff(tmp_path / "B02_20240501.tif", np.stack([TINY, TINY]), alpha="YES")
    (scene,) = found(tmp_path, WORLDCEREAL).scenes
    assert scene.assets == {"B02": FileAsset(tmp_path / "B02_20240501.tif")}
