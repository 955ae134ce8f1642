"""Interpreters of a divided area: pictures and curves of each point's tile, outlines, agreement, the labelling page."""

import json
import re
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from pyproj import Transformer
from shapely import Point, Polygon
from tests.assess.test_form import content
from tests.mapping.small_parcels import CODES
from tests.serve.small_divided_season import PLACES, divided_season, stored_at, zone_of
from tests.serve.small_season import request, served

from agrifm.assess.agreement import compare_interpreters
from agrifm.assess.design import draw_points
from agrifm.assess.form import write_form
from agrifm.assess.point_cubes import NOWHERE, find_point_cubes
from agrifm.assess.point_season import read_point_seasons
from agrifm.config import Project
from agrifm.errors import CubeError
from agrifm.grid import geodesic_hectares
from agrifm.serve.run import PointsToLabel

RED, NIR = 2, 3
"""Numbers of the bands."""


@pytest.fixture(scope="module", params=list(PLACES))
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    found: Project = divided_season(tmp_path_factory.mktemp("divided"), PLACES[request.param])[0]
    return found


@pytest.fixture
def points(project: Project, tmp_path: Path) -> Path:
    draw_points(project.maps / "classes.vrt", 24, 2, tmp_path / "points.gpkg")
    return tmp_path / "points.gpkg"


def zones_of(frame: gpd.GeoDataFrame) -> list[str]:
    return [zone_of(point.x, point.y < 0) for point in frame.geometry]


def test_each_point_has_the_series_of_its_tile(project: Project, points: Path) -> None:
    frame = gpd.read_file(points)
    cubes = find_point_cubes(project.directory, frame)
    assert len(cubes.cubes) >= 2
    assert (cubes.of_point != NOWHERE).all()
    for crs, point, season in zip(zones_of(frame), frame.geometry, read_point_seasons(cubes, frame), strict=True):
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(point.x, point.y)
        (curve,) = [one for one in season.curves if one.name == "NDVI"]
        red, nir = (np.array([stored_at(crs, x, y, band, frame) for frame in range(2)]) for band in (RED, NIR))
        assert curve.values == pytest.approx((nir - red) / (nir + red), abs=6e-4)
        assert season.inside
        assert len(season.strips) == 2
        assert len(season.months) == 2


def test_points_beyond_the_tiles_and_of_tiles_without_a_cube_show_nothing(tmp_path: Path) -> None:
    project, tiles = divided_season(tmp_path, PLACES["two zones"])
    west, south, east, north = PLACES["two zones"]
    places = [((west + 6) / 2, (south + north) / 2), ((east + 6) / 2, (south + north) / 2), (east + 1, south)]
    frame = gpd.GeoDataFrame(geometry=[Point(*place) for place in places], crs=4326)
    for tile in tiles:
        if tile.crs == "EPSG:32631":
            shutil.rmtree(project.of_tile(tile).cube)
    cubes = find_point_cubes(project.directory, frame)
    assert (cubes.of_point == NOWHERE).tolist() == [True, False, True]
    assert [season.inside for season in read_point_seasons(cubes, frame)] == [False, True, False]
    with pytest.raises(CubeError):
        find_point_cubes(project.directory, frame.iloc[[0]])
    with pytest.raises(CubeError) as error:
        find_point_cubes(project.directory, frame.iloc[[2]])
    assert error.value.facts["points"] == 1


def test_a_form_shows_every_point_of_all_zones(project: Project, points: Path, tmp_path: Path) -> None:
    write_form(points, project.maps / "classes.vrt", tmp_path / "form.html", project.directory)
    data = content((tmp_path / "form.html").read_text(encoding="utf-8"))
    assert len(data["points"]) == 24
    assert all(one["inside"] and one["pictures"] for one in data["points"])
    assert [one["code"] for one in data["classes"]] == list(CODES)


def test_outlines_for_globes_are_those_of_the_zone_s_pixels(project: Project, points: Path, tmp_path: Path) -> None:
    write_form(points, project.maps / "classes.vrt", tmp_path / "points.kml")
    text = (tmp_path / "points.kml").read_text(encoding="utf-8")
    rings = re.findall(r"<LineString>.*?<coordinates>(.*?)</coordinates>", text)
    places = re.findall(r"<Point><coordinates>(.*?)</coordinates>", text)
    assert len(rings) == 24
    for ring, place in zip(rings, places, strict=True):
        outline = Polygon([tuple(map(float, corner.split(","))) for corner in ring.split()])
        assert geodesic_hectares(outline) == pytest.approx(0.01, rel=0.01)
        assert outline.centroid.distance(Point(*map(float, place.split(",")))) < 1e-6


def test_two_interpreters_agree_by_the_strata_of_the_zones(project: Project, points: Path, tmp_path: Path) -> None:
    frame = gpd.read_file(points)
    zone = np.array(zones_of(frame))
    second = np.where((zone == zone[0]) & (np.arange(24) % 2 == 0), CODES[0], frame["map_class"])
    for name, labels in (("Ana", frame["map_class"]), ("Ben", second)):
        frame.assign(label=labels, confidence="", comment="", interpreter=name).to_file(tmp_path / f"{name}.gpkg")
    found = compare_interpreters(
        tmp_path / "Ana.gpkg", tmp_path / "Ben.gpkg", tmp_path / "out", points, project.maps / "classes.vrt"
    )
    counts = frame.assign(zone=zone).groupby(["zone", "map_class"]).size()
    weights = np.array(
        [
            one.stratum_ha / counts[zone_of_point, one.map_class]
            for zone_of_point, one in zip(zone, frame.itertuples(), strict=True)
        ]
    )
    for area in found["areas"]:
        for which, labels in (("first", frame["map_class"].to_numpy()), ("second", second)):
            expected = weights[labels == area["code"]].sum()
            assert area[which]["area_ha"] == pytest.approx(expected, rel=2e-3, abs=1e-6)


def test_points_of_all_zones_are_labelled_on_the_page(project: Project, points: Path) -> None:
    frame = gpd.read_file(points)
    with served(project.directory, PointsToLabel(points, ["Ana"])) as port:
        assert request(port, "/label")[0] == 200
        for place in range(24):
            status, shown, _ = request(port, f"/label/points/{place}")
            assert status == 200
            assert json.loads(shown)["pictures"]
        token = json.loads(request(port, "/label/answers?interpreter=0")[1])["token"]
        lines = ("Content-Type: application/json", f"X-Agrifm-Token: {token}")
        for number, code in zip(frame["id"], frame["map_class"], strict=True):
            body = {"interpreter": 0, "id": str(number), "label": code, "confidence": "", "comment": ""}
            assert request(port, "/label/answers", json.dumps(body).encode(), headers=lines)[0] == 200
        wanted = json.dumps({"interpreter": 0, "early": False}).encode()
        status, made, _ = request(port, "/label/report", wanted, headers=lines)
        assert status == 200, made
        for one in json.loads(made)["areas"]:
            assert one["area_ha"] == pytest.approx(one["mapped_ha"])
