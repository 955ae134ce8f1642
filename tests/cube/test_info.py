"""`agrifm cube info` on a cube made by hand."""

from pathlib import Path

import pytest
from tests.scenes import AREA, SEASON, Catalogue, at, make_cube

from agrifm.cli import main
from agrifm.cube.build import build_cube
from agrifm.cube.info import cube_info, describe_cube, find_cube
from agrifm.errors import CubeError
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog


def rows(lines: list[str]) -> dict[str, str]:
    """The lines by their first word; of several sensors the last counts."""
    return {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in lines if line}


def test_a_cube_is_found_by_its_project_and_by_its_path(tmp_path: Path) -> None:
    make_cube(tmp_path / "cube.zarr")
    assert find_cube(tmp_path).path == find_cube(tmp_path / "cube.zarr").path


def test_no_cube_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CubeError, match="no finished cube"):
        cube_info(tmp_path)
    assert main(["cube", "info", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_offsets_frames_and_gaps_are_those_of_the_scenes(tmp_path: Path) -> None:
    """Scenes of 1 May and 10 June; the season is 1 March to 30 September: the last gap of 112 days is the longest."""
    catalogue = Catalogue(tmp_path)
    catalogue.add_sentinel_2("A", at(5, 1))
    catalogue.add_sentinel_2("B", at(6, 10), baseline="03.01")
    search = search_catalog(catalogue.save(), [find_product("sentinel-2-c1-l2a")], SEASON, AREA)
    described = describe_cube(build_cube(tmp_path / "cube.zarr", search, SEASON, AREA))
    lines = rows(described)
    assert lines["sensor"] == "sentinel-2"
    assert lines["frames"].startswith("2 ")
    assert lines["frames"].endswith("2024-05-01 to 2024-06-10")
    assert "112 days" in lines["gaps"]
    assert "(2024-06-10 to 2024-09-30)" in lines["gaps"]
    offsets = [line for line in described if "from processing baseline" in line]
    assert sum("offset -0.1 from processing baseline 05.10" in line for line in offsets) == 1
    assert sum("offset 0 from processing baseline 03.01" in line for line in offsets) == 1
    assert all(line.endswith("(1 of 2 scenes)") for line in offsets)
    assert lines["kernels"] == "copied: B02, B03, B04, B05, B06, B07, B08, B8A, B11, B12"
    assert lines["quality"] == "scl by scl"
    assert lines["quantity"].startswith("surface reflectance")
    assert "0.0001" in lines["quantity"]
    assert lines["bands"].split(", ")[0] == "B02"
    assert lines["grid"].startswith("EPSG:32631, 96 x 96")
    assert lines["usable"].startswith("100%")
    assert lines["masked"] == "nodata, defective, cloud, cloud-edge, cirrus, shadow, dark, snow"
