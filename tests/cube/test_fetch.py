"""`agrifm fetch`: the area, the sources, and an account of every frame."""

from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pytest
from tests.scenes import AREA, S2_BANDS, Catalogue, at, reflectance, write_tiff

from agrifm.cli import main
from agrifm.config import read_project
from agrifm.cube import resample
from agrifm.cube.fetch import fetch
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import ConfigError
from agrifm.season import day_number
from agrifm.status import status

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
CATALOGUE = 'catalog = "catalog.json"\nproducts = ["sentinel-2-c1-l2a"]\n'


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
        "in `skip`, but not among the scenes: typo",
    ]
    assert cube.provenance["skipped"] == ["A2", "C"]
    assert cube.provenance["removed"] == {"skipped on request": 2}


def test_a_sensor_whose_scenes_are_all_skipped_is_accounted_for(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add_sentinel_2("A", at(5, 1))
    quality = {"qa_pixel": np.full((2, 2), 21824, np.uint16)}
    catalogue.add("landsat-c2-l2", "L", at(5, 2), quality)
    catalogue.save()
    products = 'catalog = "catalog.json"\nproducts = ["sentinel-2-c1-l2a", "landsat-c2-l2"]\nskip = ["L"]'
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
def test_local_files_are_read_with_their_processing_baseline(tmp_path: Path, baseline: str, offset: int) -> None:
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


@pytest.fixture
def season_of_clouds(tmp_path: Path) -> Path:
    """A project with four frames of which the third is cloudy; they get brighter by 0.01 each."""
    catalogue = Catalogue(tmp_path)
    for number, day in enumerate((1, 9, 17, 25)):
        scl = np.full((96, 96), 9 if number == 2 else 4, np.uint8)
        catalogue.add_sentinel_2(f"S{number}", at(5, day), reflectance(10, 96, 100 * number), scl)
    catalogue.save()
    write_area(tmp_path / "area.geojson", AREA)
    return tmp_path


def fetch_by_command(project: Path, resample: str | None, frames: int = 4) -> Cube:
    key = "" if resample is None else f'resample = "{resample}"\n'
    text = PROJECT.format(imagery=CATALOGUE + key).replace("03-01", "05-01").replace("09-30", "05-30")
    (project / "agrifm.toml").write_text(f"{text}[model]\nframes = {frames}\n")
    assert main(["fetch", "--project", str(project)]) == 0
    return open_cube(read_project(project).cube)


def test_fetch_resamples_to_a_cube_of_the_periods_of_the_model(
    season_of_clouds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Thirty days in two periods: the frames of the 1st and the 9th, and of the 25th."""
    cube = fetch_by_command(season_of_clouds, "median", 2)
    assert "cube-median.zarr" in capsys.readouterr().out
    sensor = cube.sensors["sentinel-2"]
    assert sensor.is_composite
    assert sensor.date.tolist() == [day_number(date(2024, 5, 1)), day_number(date(2024, 5, 16))]
    assert sensor.group["valid"][...].all()
    for frame, brighter in enumerate((50, 300)):
        assert (sensor.group["values"][frame] == reflectance(10, 96, brighter)).all()
    assert open_cube(season_of_clouds / "cube.zarr").sensors["sentinel-2"].date.size == 4


@pytest.mark.parametrize(
    ("method", "brighter"),
    [
        # The middles of four periods of thirty days are 4, 12, 19 and 27 May; frames are of 1, 9 and 25 May.
        ("medoid", (0, 100, None, 300)),
        ("nearest", (0, 100, None, 300)),
        # Of 8 days from 1 to 9 May 3 are over, of 16 days from 9 to 25 May 3 and 10, in which it gets 200 brighter.
        ("linear", (38, 138, 225, 300)),
        ("fill", (0, 100, 200, 300)),
    ],
)
def test_each_method_gives_the_frames_worked_by_hand(
    season_of_clouds: Path, method: str, brighter: tuple[int | None, ...]
) -> None:
    group = fetch_by_command(season_of_clouds, method).sensors["sentinel-2"].group
    for frame, value in enumerate(brighter):
        assert group["valid"][frame].all() == (value is not None)
        if value is not None:
            assert abs(group["values"][frame] - reflectance(10, 96, value)).max() <= 1


def test_fetch_with_another_method_reads_no_scene_again_and_continues(
    season_of_clouds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_by_command(season_of_clouds, None)
    monkeypatch.setattr("agrifm.cube.frames.read_asset", lambda *_: pytest.fail("a scene was read again"))
    write = resample.write_square
    monkeypatch.setattr(resample, "write_square", lambda square: 1 / 0)
    with pytest.raises(AssertionError):  # the command exits with 1
        fetch_by_command(season_of_clouds, "smooth")
    assert (season_of_clouds / "cube-smooth.zarr.partial").exists()
    assert "not done" not in "\n".join(status(season_of_clouds)).splitlines()[1]
    monkeypatch.setattr(resample, "write_square", write)
    smooth = fetch_by_command(season_of_clouds, "smooth").sensors["sentinel-2"].group
    assert smooth["valid"][...].all()
    assert not (season_of_clouds / "cube-smooth.zarr.partial").exists()


def test_an_unknown_product_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    Catalogue(tmp_path).save()
    with pytest.raises(ConfigError, match="'landsat-c2-l2'"):
        run(tmp_path, CATALOGUE.replace("sentinel-2-c1-l2a", "landsat-c2-l1"))
