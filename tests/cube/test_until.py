"""Maps of an unfinished season: what was observed later changes nothing, in this process and in threads."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr
from tests.toy import toy_project

from agrifm.cli import main
from agrifm.config import read_project
from agrifm.cube.store import open_cube
from agrifm.cube.until import cube_until, last_observed
from agrifm.errors import CubeError
from agrifm.mapping.run import map_project
from agrifm.season import day_date
from agrifm.train.run import train

UNTIL = date(2024, 5, 15)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("until")
    train(toy_project(directory, names='"logistic"', more="calibration = false"))
    file = directory / "agrifm.toml"
    file.write_text(file.read_text() + 'model = "logistic"\n')
    return directory


def classes(directory: Path) -> np.ndarray:
    with rasterio.open(directory / "classes.tif") as source:
        return source.read(1)


def test_what_is_observed_after_the_day_changes_no_pixel(trained: Path, tmp_path: Path) -> None:
    assert main(["map", "--project", str(trained), "--until", str(UNTIL)]) == 0
    early = trained / f"map-until-{UNTIL}"
    shutil.copytree(trained, tmp_path / "marked")
    for name in ("sentinel-2", "landsat"):
        group = zarr.open_group(tmp_path / "marked" / "cube.zarr" / name, mode="r+")
        later = group["time"][:] > (UNTIL - date(1970, 1, 1)).days
        values = group["values"][:]
        values[later] = 10_000 - values[later]
        group["values"][...] = values
    marked = read_project(tmp_path / "marked")
    with ThreadPoolExecutor(2) as threads:
        map_project(marked, out=tmp_path / "early", executor=threads, until=UNTIL)
    map_project(marked)
    np.testing.assert_array_equal(classes(tmp_path / "early"), classes(early))
    assert (classes(marked.maps) != classes(early)).mean() > 0.1
    assert json.loads((early / "item.json").read_text())["properties"]["agrifm:until"] == str(UNTIL)
    assert "agrifm:until" not in json.loads((marked.maps / "item.json").read_text())["properties"]


def test_a_day_outside_the_season_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--project", str(trained), "--until", "2024-07-01"]) == 2
    assert "2024-06-29" in capsys.readouterr().err
    assert not (trained / "map-until-2024-07-01").exists()


@pytest.mark.check
def test_today_is_the_last_day_with_an_observation(trained: Path) -> None:
    """The toy season is over, so today is its last date; a day between two dates is the earlier one."""
    cube = open_cube(trained / "cube.zarr")
    last = max(day_date(sensor.date[-1]) for sensor in cube.sensors.values())
    assert main(["map", "--project", str(trained), "--until", "today"]) == 0
    directory = trained / f"map-until-{last}"
    item = json.loads((directory / "item.json").read_text())
    assert item["properties"]["agrifm:until"] == str(last)
    known = last_observed(cube, UNTIL)
    assert known in {day_date(day) for sensor in cube.sensors.values() for day in sensor.date}
    for name, sensor in cube_until(cube, UNTIL).sensors.items():
        assert len(sensor.date) == len(cube_until(cube, known).sensors[name].date)
    with pytest.raises(CubeError):
        last_observed(cube, cube.season.start - timedelta(1))


@pytest.mark.check
def test_a_map_of_today_is_kept_until_something_changes(trained: Path, tmp_path: Path) -> None:
    project = shutil.copytree(trained, tmp_path / "p", ignore=shutil.ignore_patterns("map-until-*"))

    def is_kept() -> bool:
        before = {file.name: file.stat().st_mtime_ns for file in project.glob("map-until-*/*")}
        summary = map_project(read_project(project), until="today")
        after = {file.name: file.stat().st_mtime_ns for file in summary.path.iterdir()}
        assert summary.kept == (after == before)
        return summary.kept

    assert not is_kept()
    assert is_kept()
    file = project / "agrifm.toml"
    file.write_text(file.read_text() + "smoothing = 3\n")  # the last section is [map]
    assert not is_kept()
    assert is_kept()
    next(project.glob("map-until-*/confidence.tif")).unlink()
    assert not is_kept()
    model = next(project.glob("models/*.skops"))
    model.write_bytes(model.read_bytes())
    assert is_kept()
