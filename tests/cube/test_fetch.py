"""`agrifm fetch`: the area, the sources, and an account of every frame."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
from tests.scenes import AREA, S2_BANDS, Catalogue, at, reflectance, write_tiff

from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.errors import ConfigError

PROJECT = """\
[season]
area = "area.geojson"
start = 2024-03-01
end = 2024-09-30
[imagery]
{imagery}
[labels]
file = "labels.gpkg"
"""
CATALOGUE = 'catalog = "stac/catalog.json"\nproducts = ["sentinel-2-c1-l2a"]\n'


def write_area(path: Path, *shapes, crs: str | None = "EPSG:4326") -> Path:
    frame = geopandas.GeoDataFrame(geometry=list(shapes), crs=crs)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


def run(directory: Path, imagery: str = CATALOGUE):
    (directory / "agrifm.toml").write_text(PROJECT.format(imagery=imagery))
    write_area(directory / "area.geojson", AREA)
    return fetch(read_project(directory))


def test_a_projects_scenes_become_its_cube(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add_sentinel_2("A", at(5, 1))
    catalogue.save()
    cube, lines = run(tmp_path)
    assert cube.path == tmp_path / "cube.zarr"
    assert (cube.sensors["sentinel-2"].group["values"][0] == reflectance(10, 96)).all()
    assert lines == ["sentinel-2: 1 frames requested, 1 found"]


def test_frames_are_counted_and_skipped_scenes_are_named(tmp_path: Path) -> None:
    """Two scenes of one day are one frame; a frame that loses one of two scenes is still found."""
    catalogue = Catalogue(tmp_path)
    for scene, day in (("A1", 1), ("A2", 1), ("B", 6), ("C", 11)):
        catalogue.add_sentinel_2(scene, at(5, day))
    catalogue.save()
    cube, lines = run(tmp_path, CATALOGUE + 'skip = ["C", "A2", "typo"]')
    assert lines == [
        "sentinel-2: 3 frames requested, 2 found, skipped on request: A2, C",
        "to be skipped, but not among the scenes: typo",
    ]
    assert cube.provenance["skipped"] == ["A2", "C"]
    assert cube.provenance["removed"] == {"skipped on request": 2}


def test_a_sensor_whose_scenes_are_all_skipped_is_accounted_for(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add_sentinel_2("A", at(5, 1))
    quality = {"qa_pixel": np.full((2, 2), 21824, np.uint16)}
    catalogue.add("landsat-c2-l2", "L", at(5, 2), quality)
    catalogue.save()
    products = 'catalog = "stac/catalog.json"\nproducts = ["sentinel-2-c1-l2a", "landsat-c2-l2"]\nskip = ["L"]'
    cube, lines = run(tmp_path, products)
    assert lines == [
        "landsat: 1 frames requested, 0 found, skipped on request: L",
        "sentinel-2: 1 frames requested, 1 found",
    ]
    assert list(cube.sensors) == ["sentinel-2"]


def test_a_product_of_which_nothing_was_found_is_named(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add_sentinel_2("A", at(5, 1))
    catalogue.save()
    _, lines = run(tmp_path, CATALOGUE.replace('2a"]', '2a", "modis-09A1-061"]'))
    assert lines == [
        "sentinel-2: 1 frames requested, 1 found",
        "modis: no scene in the season and area is of 'modis-09A1-061'",
    ]


@pytest.mark.parametrize(("baseline", "offset"), [("05.10", 1000), ("03.01", 0)])
def test_files_of_ones_own_with_their_baseline_stand_beside_a_catalogue(
    tmp_path: Path, baseline: str, offset: int
) -> None:
    for band, plane in zip(S2_BANDS, reflectance(10, 96) + offset, strict=True):
        write_tiff(tmp_path / "own" / f"20240501_{band}.tif", plane.astype(np.uint16), nodata=0)
    write_tiff(tmp_path / "own" / "20240501_scl.tif", np.full((96, 96), 5, np.uint8))
    files = f'[[imagery.files]]\nproduct = "sentinel-2-c1-l2a"\npattern = "own/*.tif"\nbaseline = "{baseline}"'
    cube, _ = run(tmp_path, files)
    assert (cube.sensors["sentinel-2"].group["values"][0] == reflectance(10, 96)).all()


def test_two_tables_of_files_bring_two_tiles_of_one_day(tmp_path: Path) -> None:
    """Tile A has data on the left, tile B on the right; the cube has both."""
    tables = ""
    for tile, part in (("A", slice(0, 50)), ("B", slice(50, 96))):
        for band, plane in zip((*S2_BANDS, "SCL"), [*reflectance(10, 96), np.full((96, 96), 4)], strict=True):
            cut = np.zeros((96, 96), np.uint16)
            cut[:, part] = plane[:, part]
            write_tiff(tmp_path / tile / f"20240501_{band}.tif", cut)
        tables += f'[[imagery.files]]\nproduct = "sentinel-2-worldcereal"\npattern = "{tile}/*.tif"\n'
    cube, lines = run(tmp_path, tables)
    assert lines == ["sentinel-2: 1 frames requested, 1 found"]
    assert (cube.sensors["sentinel-2"].group["values"][0] == reflectance(10, 96)).all()
    assert cube.sensors["sentinel-2"].group["valid"][...].all()


def test_an_unknown_product_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    Catalogue(tmp_path).save()
    with pytest.raises(ConfigError, match="did you mean 'landsat-c2-l2'"):
        run(tmp_path, CATALOGUE.replace("sentinel-2-c1-l2a", "landsat-c2-l1"))
