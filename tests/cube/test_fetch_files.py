"""`agrifm fetch` of local files: under the names of their providers, without quality bands, of described products."""

from pathlib import Path

import numpy as np
import pytest
from tests.cube.projects import write_project
from tests.scenes import S2_BANDS, reflectance, s2_numbers, write_tiff

from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.cube.info import describe_cube
from agrifm.cube.store import Cube
from agrifm.errors import SceneError

WORLDCEREAL = '[[imagery.files]]\nproduct = "sentinel-2-worldcereal"\npattern = "imagery/*.tif"'


def fetched(directory: Path, imagery: str) -> tuple[Cube, list[str]]:
    write_project(directory, imagery, [])
    text = (directory / "agrifm.toml").read_text().replace("products = []\n", "")
    (directory / "agrifm.toml").write_text(text)
    return fetch(read_project(directory))


def stored(cube: Cube, sensor: str = "sentinel-2") -> np.ndarray:
    return np.asarray(cube.sensors[sensor].group["values"][0])


def write_stack(path: Path, values: np.ndarray, names: tuple[str, ...]) -> None:
    write_tiff(path, values, descriptions=names)


def test_a_sentinel_2_folder_becomes_the_cube_of_its_reflectance(tmp_path: Path) -> None:
    """Bands of 10 and 20 m and a wrong 60 m copy of each: the cube has the right numbers, less the offset of 05.10."""
    values = s2_numbers(reflectance(10, 96))
    folder = "S2A_MSIL2A_20240501T105031_N0510_R051_T31UDQ_20240501T175000.SAFE/GRANULE/X/IMG_DATA"
    for band, plane in zip(S2_BANDS, values, strict=True):
        for size in (10, 20, 60):
            right = size == (10 if band in ("B02", "B03", "B04", "B08") else 20)
            name = f"R{size}m/T31UDQ_20240501T105031_{band}_{size}m.tif"
            write_tiff(tmp_path / "imagery" / folder / name, plane if right else np.full_like(plane, 9999))
    for size in (20, 60):
        path = tmp_path / "imagery" / folder / f"R{size}m/T31UDQ_20240501T105031_SCL_{size}m.tif"
        write_tiff(path, np.full((48, 48), 4, np.uint8))
    cube, lines = fetched(tmp_path, '[[imagery.files]]\nproduct = "sentinel-2-c1-l2a"\npattern = "imagery/**/*.tif"')
    assert (stored(cube) == reflectance(10, 96)).all()
    assert lines == ["sentinel-2: 1 frames requested, 1 found"]


def test_scenes_without_a_quality_band_are_kept_on_request_and_said(tmp_path: Path) -> None:
    values = reflectance(10, 96).astype(np.uint16)
    clouded = np.concatenate([values, np.full((1, 96, 96), 9, np.uint16)])
    write_stack(tmp_path / "imagery" / "S2_2024_05_01.tif", clouded, (*S2_BANDS, "SCL"))
    write_stack(tmp_path / "imagery" / "S2_2024_05_06.tif", values, S2_BANDS)
    with pytest.raises(SceneError, match="`without_quality`"):
        fetched(tmp_path, WORLDCEREAL)
    cube, lines = fetched(tmp_path, f'without_quality = "keep"\n{WORLDCEREAL}')
    assert any("1 of 2 frames" in line for line in lines)
    assert [bool(valid.all()) for valid in cube.sensors["sentinel-2"].group["valid"][:]] == [False, True]
    assert any(line.startswith("quality") and "1 of 2 frames" in line for line in describe_cube(cube))


def test_qa60_masks_clouds_and_cirrus(tmp_path: Path) -> None:
    values = reflectance(10, 96).astype(np.uint16)
    bits = np.zeros((1, 96, 96), np.uint16)
    bits[0, :10], bits[0, 10:20] = 1 << 10, 1 << 11
    names = (*(band.replace("B0", "B") for band in S2_BANDS), "QA60")
    name = "20240501T105031_20240501T105521_T31UDQ.tif"
    write_stack(tmp_path / "imagery" / name, np.concatenate([values, bits]), names)
    cube, _ = fetched(tmp_path, WORLDCEREAL)
    assert (cube.sensors["sentinel-2"].group["valid"][0] == (bits[0] == 0)).all()
    assert (stored(cube) == values).all()
