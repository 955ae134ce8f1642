"""The whole road on a small simulated season, as a user walks it; and the same with every stage killed on its way."""

import json
import os
import random
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio

from agrifm.cli import main
from agrifm.cube.store import SensorCube
from agrifm.legend import Legend

EDITS = (
    ('area = "area.geojson"', 'area = "season/area.geojson"'),
    ('catalog = "imagery/catalog.json"', 'catalog = "season/catalog.json"'),
    ('file = "labels.gpkg"', 'file = "season/truth/parcels.gpkg"'),
)


def agrifm(*words: object) -> None:
    """Run a command that must succeed."""
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project file as `agrifm init` writes it, after three edits, with a season of 1.5 x 1.5 km and its cube."""
    from agrifm.simulator.catalog import simulate

    directory = tmp_path_factory.mktemp("road")
    file = directory / "agrifm.toml"
    # as users do it: beside the project, with paths as they are typed
    with chdir(directory):
        simulate(Path("season"), size=1.5)
        agrifm("init", ".")
    text = file.read_text(encoding="utf-8")
    for old, new in EDITS:
        assert old in text
        text = text.replace(old, new)
    # fewer steps than a user would take; what is learned is tested elsewhere
    text = text.replace("steps = 1500", "steps = 2\nbatch = 2\nside = 48").replace("frames = 24", "frames = 8")
    file.write_text(text.replace('column = "crop"', 'column = "crop"\nblock = 480'), encoding="utf-8")
    with chdir(directory):
        agrifm("fetch")
    return directory


@pytest.mark.check
def test_three_edits_lead_from_init_to_hectares(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chdir(project):
        agrifm("train")
    assert "other land" in capsys.readouterr().out
    points = project / "points.gpkg"
    with chdir(project):
        agrifm("map")
        agrifm("assess", "design", "--map", "map/classes.tif", "--n", 60, "--out", "points.gpkg")
    frame = geopandas.read_file(points)
    with rasterio.open(project / "season/truth/crops.tif") as source:
        legend = Legend.model_validate_json(source.tags()["AGRIFM_LEGEND"])
        moved = frame.to_crs(source.crs)
        truth = [
            legend.codes[value[0]] for value in source.sample(zip(moved.geometry.x, moved.geometry.y, strict=True))
        ]
    # this project labels crops only: its map knows no other land, and neither do these points
    frame["label"] = [code if code != "other" else "grassland" for code in truth]
    frame.to_file(points)
    with chdir(project):
        agrifm(
            *("assess", "--map", "map/classes.tif", "--reference", "points.gpkg", "--label", "label"),
            *("--out", "report", "--scores", "models/scores.json"),
        )
    report = json.loads((project / "report/report.json").read_text(encoding="utf-8"))
    assert set(report["models"]) == {"agrifm", "classic"}
    # the area is 1.5 x 1.5 km on the ellipsoid; UTM is 0.04 % off in the middle of a zone
    assert sum(entry["mapped_ha"] for entry in report["areas"]) == pytest.approx(225, rel=0.005)
    assert sum(entry["area_ha"] for entry in report["areas"]) == pytest.approx(
        sum(entry["mapped_ha"] for entry in report["areas"])
    )


@pytest.mark.check
def test_the_cube_shows_the_ground_that_was_simulated(project: Path) -> None:
    from agrifm.cube.store import open_cube
    from agrifm.samples.labels import read_labels

    cube = open_cube(project / "cube.zarr")
    labels = read_labels(project / "season/truth/parcels.gpkg", "crop", cube.target, cube.area)
    spring, summer = (
        [int((np.datetime64(day) - np.datetime64("1970-01-01")).astype(int)) for day in pair]
        for pair in (("2024-05-01", "2024-06-01"), ("2024-07-15", "2024-08-20"))
    )
    early, late = (labels.label == labels.legend.number(code) for code in ("wheat", "maize"))
    for sensor, bands in (("sentinel-2", ("B04", "B08")), ("landsat", ("B04", "B05"))):
        wheat, maize = (greenness(cube.sensors[sensor], bands, spring, where) for where in (early, late))
        assert wheat > maize + 0.2, sensor
        wheat, maize = (greenness(cube.sensors[sensor], bands, summer, where) for where in (early, late))
        assert maize > wheat + 0.2, sensor


def greenness(sensor: SensorCube, bands: tuple[str, str], days: list[int], where: np.ndarray) -> float:
    """Median normalised difference of red and near infrared over valid pixels of a class between two days."""
    frames = (sensor.date >= days[0]) & (sensor.date <= days[1])
    red, infrared = (sensor.group["values"][:][frames, sensor.input.bands.index(band)] * 1.0 for band in bands)
    ratio = where.shape[0] // red.shape[1]
    own = where[ratio // 2 :: ratio, ratio // 2 :: ratio] & sensor.group["valid"][:][frames]
    return float(np.median(((infrared - red) / (infrared + red))[own]))


def ends_within(words: list[str], seconds: float) -> bool:
    """Run a command that must succeed if it ends in time; after that it is killed (SIGKILL)."""
    command = [sys.executable, "-m", "agrifm", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return False
    assert done.returncode == 0, done.stderr
    return True


@pytest.mark.check
def test_a_road_with_every_stage_killed_ends_with_the_same_map(project: Path, tmp_path: Path) -> None:
    season = project / "season"
    maps = []
    for name, kill in (("calm", False), ("killed", True)):
        own = tmp_path / name
        own.mkdir()
        text = (project / "agrifm.toml").read_text(encoding="utf-8").replace("steps = 2", "steps = 60")
        (own / "agrifm.toml").write_text(text.replace("season/", f"{season}/"), encoding="utf-8")
        generator = random.Random(7)
        for stage in ("fetch", "train", "map"):
            words = [stage, "--project", str(own)]
            kills = 0
            while kill and kills < 4 and not ends_within(words, 3 + 4 * kills + generator.random() * 3):
                kills += 1
            assert ends_within(words, 600)
        maps.append((own / "map" / "classes.tif").read_bytes() + (own / "map" / "confidence.tif").read_bytes())
    assert maps[0] == maps[1]
