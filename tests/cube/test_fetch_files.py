"""`agrifm fetch` of local files: under the names of their providers, without quality bands, of described products."""

from pathlib import Path

import numpy as np
import pytest
from tests.cube.projects import add_scene, saved, write_project
from tests.scenes import LEFT, S2_BANDS, SIDE, TOP, Catalogue, at, reflectance, s2_numbers, write_tiff

from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.cube.info import describe_cube
from agrifm.cube.qc.integrity import check_integrity
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


FLOATS = """
[[imagery.files]]
product = "mine"
pattern = "imagery/*.tif"
[imagery.product]
name = "mine"
sensor = "sentinel-2"
scale = 1.0
nodata = {nodata}
valid_range = [-0.2, 1.6]
quality = {{ band = "SCL", rule = "scl" }}
"""


@pytest.mark.parametrize("nodata", ["nan", "-9999"])
@pytest.mark.parametrize("shift", [0, 5], ids=["aligned", "between"])
def test_reflectance_in_floats_becomes_the_cube_of_a_described_product(
    tmp_path: Path, nodata: str, shift: float
) -> None:
    values = np.concatenate([reflectance(10, 96) / 10_000, np.full((1, 96, 96), 4)]).astype(np.float32)
    values[:10, 40:50, 40:50] = float(nodata)
    values[10, 5, 5] = 9
    square = (LEFT + shift, TOP, SIDE)
    path = tmp_path / "imagery" / "S2_2024_05_01.tif"
    write_tiff(path, values, square, nodata=float(nodata), descriptions=(*S2_BANDS, "SCL"))
    cube, _ = fetched(tmp_path, FLOATS.format(nodata=nodata))
    found, valid = stored(cube), np.asarray(cube.sensors["sentinel-2"].group["valid"][0])
    if not shift:
        missing = np.isnan(values[0]) | (values[0] == -9999)
        assert (valid == (~missing & (values[10] == 4))).all()
        assert (found[:, ~missing] == np.rint(values[:10, ~missing] * 10_000)).all()
    # a plane is interpolated exactly: half a pixel west of each centre, 7 units a pixel along a row
    difference = np.abs(found - (reflectance(10, 96) - 7 * shift / 10))
    assert difference[:, valid].max() <= 4  # beside missing pixels and the edge, the nearest valid one
    inner = valid.copy()
    inner[38:52, 38:52] = inner[:, 0] = False
    assert difference[:, inner].max() <= 0.5 + 1e-3
    assert not valid[41:49, 42:49].any()
    assert cube.provenance["sensors"]["sentinel-2"]["described"]["scale"] == 1.0
    assert any("described by the project" in line for line in describe_cube(cube))
    assert not [finding for finding in check_integrity(cube) if finding.confidence == "certain"]


def test_a_float_of_a_known_product_is_refused_with_what_helps(tmp_path: Path) -> None:
    values = np.full((11, 96, 96), 0.3, np.float32)
    write_stack(tmp_path / "imagery" / "S2_2024_05_01.tif", values, (*S2_BANDS, "SCL"))
    with pytest.raises(SceneError, match=r"\[imagery\.product\]"):
        fetched(tmp_path, WORLDCEREAL)


def test_a_nodata_that_contradicts_the_files_is_refused_with_both(tmp_path: Path) -> None:
    values = np.full((11, 96, 96), 0.3, np.float32)
    write_tiff(tmp_path / "imagery" / "S2_2024_05_01.tif", values, nodata=0.0, descriptions=(*S2_BANDS, "SCL"))
    with pytest.raises(SceneError, match="-9999") as caught:
        fetched(tmp_path, FLOATS.format(nodata=-9999))
    assert "nodata 0" in str(caught.value)


def test_reflectance_with_the_scale_of_integers_is_refused(tmp_path: Path) -> None:
    values = np.concatenate([reflectance(10, 96) / 10_000, np.full((1, 96, 96), 4)]).astype(np.float32)
    write_stack(tmp_path / "imagery" / "S2_2024_05_01.tif", values, (*S2_BANDS, "SCL"))
    project = (
        FLOATS.format(nodata="nan")
        .replace("scale = 1.0", "scale = 0.0001")
        .replace("1.6", "10000")
        .replace("-0.2", "0")
    )
    with pytest.raises(SceneError) as caught:
        fetched(tmp_path, project)
    assert f"{reflectance(10, 96)[0].max() / 10_000:.3g}," in str(caught.value)
    assert "set it to 1.0" in str(caught.value)


OWN_SENSOR = """
[[imagery.files]]
product = "planet"
pattern = "imagery/**/*.tif"
[imagery.product]
name = "planet"
sensor = "dove"
resolution = 10
scale = 0.0001
nodata = 0
valid_range = [1, 15000]
stack = ["blue", "green", "red", "nir"]
file_name = '/(?P<date>[0-9]{8})_[0-9]+_(?P<tile>[0-9a-f]{4})_SR(?P<part>_[0-9]+)?[.]tif$|/(?P<band>udm)[.]tif$'
bands = [
  { name = "blue", wavelength = 490 },
  { name = "green", wavelength = "0.565 um" },
  { name = "red", wavelength = 665 },
  { name = "nir", wavelength = 865 },
]
"""


def test_a_sensor_of_the_project_is_fetched_by_its_own_file_names(tmp_path: Path) -> None:
    values = reflectance(4, 96).astype(np.uint16)
    write_tiff(tmp_path / "imagery" / "20240501_105031_24a1_SR.tif", values, nodata=0)
    cube, lines = fetched(tmp_path, OWN_SENSOR.replace("|/(?P<band>udm)[.]tif$", ""))
    sensor = cube.sensors["dove"]
    assert (stored(cube, "dove") == values).all()
    assert (sensor.input.bands, sensor.input.resolution) == (("blue", "green", "red", "nir"), 10)
    assert lines == ["dove: 1 frames requested, 1 found"]
    write_tiff(tmp_path / "imagery" / "other.tif", values)
    with pytest.raises(SceneError, match="`file_name`"):
        fetched(tmp_path, OWN_SENSOR.replace("|/(?P<band>udm)[.]tif$", ""))


def test_items_of_a_catalogue_without_a_collection_are_read_as_advised(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    add_scene(catalogue, "sentinel-2-c1-l2a", "A", at(5, 1))
    catalogue.items[0].collection_id = None
    saved(catalogue)
    imagery = (
        'catalog = "catalog.json"\n[imagery.product]\nname = "mine"\nlike = "sentinel-2-c1-l2a"\ncollection = ""\n'
    )
    write_project(tmp_path, imagery, ["mine"])
    cube, _ = fetch(read_project(tmp_path))
    assert (stored(cube) == reflectance(10, 96)).all()


def test_the_example_in_the_documents_is_fetched(tmp_path: Path) -> None:
    """The first block of the section on described products; its files are reflectance as float32 with a mask."""
    text = (Path(__file__).parents[2] / "docs" / "imagery.md").read_text(encoding="utf-8")
    section = text.split("### Products that agrifm does not know")[1]
    block = next(part for part in section.split("\n\n") if part.lstrip("\n").startswith("    [[imagery.files]]"))
    lines = [line.removeprefix("    ") for line in section[section.index(block) :].splitlines()]
    example = "\n".join(line for line in lines[: lines.index("The keys:")])
    values = (reflectance(10, 96) / 10_000).astype(np.float32)
    for band, plane in zip(S2_BANDS, values, strict=True):
        write_tiff(tmp_path / "imagery" / f"T31UDQ_20240501_{band}_refl.tif", plane)
    mask = np.zeros((96, 96), np.uint8)
    mask[:10], mask[10:20] = 1, 2
    write_tiff(tmp_path / "imagery" / "T31UDQ_20240501_MASK_refl.tif", mask)
    cube, _ = fetched(tmp_path, example)
    assert (stored(cube) == reflectance(10, 96)).all()
    assert (cube.sensors["sentinel-2"].group["valid"][0] == (mask == 0)).all()
