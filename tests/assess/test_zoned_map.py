"""Assessment of a map over two UTM zones: classes, strata and hectares of both, by an estimator written out here."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
from pyproj import Transformer
from shapely import box, contains_xy
from tests.mapping.small_parcels import CODES
from tests.serve.small_divided_season import PLACES, class_at, divided_season, zone_of

from agrifm.assess.assess_map import AssessRequest, assess_map
from agrifm.assess.design import draw_points
from agrifm.assess.report import assess
from agrifm.assess.sampling_frame import PolygonFile
from agrifm.errors import AssessmentError
from agrifm.grid import geodesic_hectares

EDGES = PLACES["two zones"]
ZONES = ("EPSG:32631", "EPSG:32632")


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return divided_season(tmp_path_factory.mktemp("zones"), EDGES)[0].maps


def drawn_points() -> tuple[geopandas.GeoDataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Points that are denser in the east; zone, class of the map and of the reference of each."""
    west, south, east, north = EDGES
    draw = np.random.default_rng(4)
    edge = 1e-4  # degrees: pixels at the edges, whose centre may be outside, have no class
    lon = np.concatenate([draw.uniform(west + edge, 6 - edge, 60), draw.uniform(6 + edge, east - edge, 140)])
    lat = draw.uniform(south + edge, north - edge, 200)
    zone = np.array([ZONES.index(zone_of(one, False)) for one in lon])
    mapped = np.zeros(200, int)
    for number, crs in enumerate(ZONES):
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(
            lon[zone == number], lat[zone == number]
        )
        mapped[zone == number] = class_at(crs, x, y)
    found = np.where(draw.random(200) < 0.2 + 0.2 * zone, (mapped + 1) % 3, mapped)
    codes = [CODES[number] for number in found]
    frame = geopandas.GeoDataFrame(
        {"label": codes, "sampling": "stratified"}, geometry=geopandas.points_from_xy(lon, lat), crs=4326
    )
    return frame, zone, mapped, found


def known_hectares(bottom: float = EDGES[1], top: float = EDGES[3]) -> np.ndarray:
    """(zone, class), of pixels whose centre is in the box, between two latitudes, and in the zone."""
    hectares = np.zeros((2, 3))
    for number, crs in enumerate(ZONES):
        middle = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(6, 49)
        x, y = np.meshgrid(*(np.arange(round(one / 10) * 10 - 1995, round(one / 10) * 10 + 2000, 10) for one in middle))
        lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
        west, _, east, _ = EDGES
        inside = (lon > west) & (lon < east) & (lat > bottom) & (lat < top) & ((lon >= 6) == bool(number))
        hectares[number] = np.bincount(class_at(crs, x[inside], y[inside]), minlength=3) / 100
    return hectares


def test_areas_and_accuracy_are_those_of_the_classes_of_each_zone(maps: Path, tmp_path: Path) -> None:
    frame, zone, mapped, found = drawn_points()
    frame.to_file(tmp_path / "points.gpkg")
    request = AssessRequest(tmp_path, maps / "classes.vrt", tmp_path / "points.gpkg", tmp_path / "report", "label")
    assess_map(request)
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    hectares = known_hectares()
    areas, right = np.zeros(3), 0.0
    for number in range(2):
        for code in range(3):
            here = (zone == number) & (mapped == code)
            areas += hectares[number, code] * np.bincount(found[here], minlength=3) / here.sum()
            right += hectares[number, code] * (found[here] == code).mean()
    by_code = {one["code"]: one for one in report["areas"]}
    for code, of_code in enumerate(CODES):
        assert by_code[of_code]["mapped_ha"] == pytest.approx(hectares[:, code].sum(), abs=0.05)
        assert by_code[of_code]["area_ha"] == pytest.approx(areas[code], rel=1e-3)
    assert report["overall_accuracy"]["estimate"] == pytest.approx(right / hectares.sum(), rel=1e-3)
    assert report["points"]["used"] == 200
    assert report["design"]["stratum_ha"] == pytest.approx(hectares.ravel().tolist(), abs=0.05)
    assert sum(report["design"]["stratum_points"]) == 200
    assert report["provenance"]["crs"] == "EPSG:32631, EPSG:32632"
    assert {name.split("/")[0] for name in report["provenance"]["sha256"] if name.endswith("classes.tif")} == {
        "32631",
        "32632",
    }
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "in each UTM zone" in page


def test_points_that_were_drawn_zone_by_zone_are_assessed_together(maps: Path, tmp_path: Path) -> None:
    parts = []
    for number in ("31", "32"):
        draw_points(maps / f"326{number}" / "classes.vrt", 30, 1, tmp_path / f"{number}.gpkg")
        parts.append(geopandas.read_file(tmp_path / f"{number}.gpkg").to_crs(4326))
    points = pandas.concat(parts, ignore_index=True)
    points.assign(label=points["map_class"]).to_file(tmp_path / "points.gpkg")
    report = assess(maps / "classes.vrt", tmp_path / "points.gpkg", "label", tmp_path / "report")
    assert report["points"]["used"] == 60
    assert report["probability_sample"] is True
    assert not [warning for warning in report["warnings"] if "another class" in warning]
    assert [one["area_ha"] for one in report["areas"]] == pytest.approx([one["mapped_ha"] for one in report["areas"]])


def test_what_is_of_one_zone_is_refused(maps: Path, tmp_path: Path) -> None:
    frame, *_ = drawn_points()
    cases = {
        "systematic": frame.assign(sampling="systematic", cell=1),
        "stratum": frame.assign(stratum="a", stratum_ha=1.0),
        "few": frame[frame.geometry.x > 6],
    }
    facts = {"systematic": ("design", "systematic"), "stratum": ("design", "stratum"), "few": ("points", 0)}
    for name, points in cases.items():
        points.to_file(tmp_path / f"{name}.gpkg")
        with pytest.raises(AssessmentError) as error:
            assess(maps / "classes.vrt", tmp_path / f"{name}.gpkg", "label", tmp_path / "report")
        key, value = facts[name]
        assert error.value.facts[key] == value
    frame.to_file(tmp_path / "points.gpkg")
    geopandas.GeoDataFrame({"code": [CODES[0]]}, geometry=[box(*EDGES)], crs=4326).to_file(tmp_path / "declared.gpkg")
    with pytest.raises(AssessmentError) as error:
        assess(
            maps / "classes.vrt",
            tmp_path / "points.gpkg",
            "label",
            tmp_path / "report",
            declared=PolygonFile(tmp_path / "declared.gpkg", "code"),
        )
    assert error.value.facts["path"] == maps / "classes.vrt"
    assert not (tmp_path / "report").exists()


def pixels_in(shape) -> np.ndarray:
    """(zone, class), of the pixels of both zones whose centre is in a shape, the map and the zone."""
    counts = np.zeros((2, 3), int)
    west, south, east, north = EDGES
    for number, crs in enumerate(ZONES):
        turn = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        x, y = turn.transform(shape.centroid.x, shape.centroid.y)
        x, y = np.meshgrid(*(np.arange(round(one / 10) * 10 - 255, round(one / 10) * 10 + 260, 10) for one in (x, y)))
        lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
        inside = contains_xy(shape, lon, lat) & (lon > west) & (lon < east) & (lat > south) & (lat < north)
        inside &= (lon >= 6) == bool(number)
        counts[number] = np.bincount(class_at(crs, x[inside], y[inside]), minlength=3)
    return counts


def test_polygons_of_both_zones_and_over_their_border_are_units(maps: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(8)
    west, south, east, north = EDGES
    lon = np.concatenate([draw.uniform(west + 5e-4, east - 5e-4, 90), 6 + draw.uniform(-3e-4, 3e-4, 10)])
    lat, side = draw.uniform(south + 5e-4, north - 5e-4, 100), draw.uniform(1e-4, 4e-4, 100)
    shapes = [box(x - a, y - a, x + a, y + a) for x, y, a in zip(lon, lat, side, strict=True)]
    counts = np.array([pixels_in(shape) for shape in shapes])
    mapped, zone = counts.sum(axis=1).argmax(axis=1), (lon >= 6).astype(int)
    assert (counts.sum(axis=2) > 0).all(axis=1).sum() >= 5  # over the border
    found = np.where(draw.random(100) < 0.3, (mapped + 1) % 3, mapped)
    frame = geopandas.GeoDataFrame(
        {"label": [CODES[one] for one in found], "sampling": "stratified"}, geometry=shapes, crs=4326
    )
    frame.to_file(tmp_path / "fields.gpkg")
    report = assess(maps / "classes.vrt", tmp_path / "fields.gpkg", "label", tmp_path / "report")
    hectares, areas = known_hectares(), np.zeros(3)
    size = np.array([geodesic_hectares(shape) for shape in shapes])
    for number in range(2):
        for code in range(3):
            here = (zone == number) & (mapped == code)
            areas += hectares[number, code] * np.bincount(found[here], size[here], 3) / size[here].sum()
    assert report["points"]["used"] == 100
    assert [one["area_ha"] for one in report["areas"]] == pytest.approx(areas.tolist(), rel=0.01)
    assert sum(one["area_ha"] for one in report["areas"]) == pytest.approx(hectares.sum(), rel=1e-3)


def test_districts_reach_over_the_border_of_zones(maps: Path, tmp_path: Path) -> None:
    frame, zone, mapped, found = drawn_points()
    frame.to_file(tmp_path / "points.gpkg")
    west, south, east, north = EDGES
    middle = 49.0003
    shapes = {"south": box(west, south, east, middle), "north": box(west, middle, east, north)}
    geopandas.GeoDataFrame({"name": list(shapes)}, geometry=list(shapes.values()), crs=4326).to_file(
        tmp_path / "districts.gpkg"
    )
    report = assess(
        maps / "classes.vrt", tmp_path / "points.gpkg", "label", tmp_path / "report",
        districts=PolygonFile(tmp_path / "districts.gpkg", "name"),
    )  # fmt: skip
    assert [one["code"] for one in report["districts"]] == ["north", "south"]
    hectares = known_hectares()
    strata = [((zone == one) & (mapped == of)).sum() for one, of in zip(zone, mapped, strict=True)]
    weight = hectares[zone, mapped] / np.array(strata)
    x = [Transformer.from_crs("EPSG:4326", crs, always_xy=True) for crs in ZONES]
    back = [Transformer.from_crs(crs, "EPSG:4326", always_xy=True) for crs in ZONES]
    lat = np.empty(200)  # of the pixel of each point
    for at, point in enumerate(frame.geometry):
        easting, northing = x[zone[at]].transform(point.x, point.y)
        lat[at] = back[zone[at]].transform(np.floor(easting / 10) * 10 + 5, np.floor(northing / 10) * 10 + 5)[1]
    for one in report["districts"]:
        inside = (lat > middle) == (one["code"] == "north")
        bottom, top = (middle, north) if one["code"] == "north" else (south, middle)
        mapped_ha = known_hectares(bottom, top).sum(axis=0)
        assert one["points"] == inside.sum()
        for number, area in enumerate(one["areas"]):
            assert area["mapped_ha"] == pytest.approx(mapped_ha[number], abs=0.05)
            share = weight[inside & (found == number)].sum() / weight[inside].sum()
            assert area["area_ha"] == pytest.approx(share * mapped_ha.sum(), rel=2e-3)


def test_districts_of_zones_on_both_sides_of_longitude_180(tmp_path: Path) -> None:
    project, _ = divided_season(tmp_path, PLACES["longitude 180"])
    draw_points(project.maps / "classes.vrt", 30, 1, tmp_path / "points.gpkg")
    points = geopandas.read_file(tmp_path / "points.gpkg")
    points.assign(label=points["map_class"]).to_file(tmp_path / "points.gpkg")
    halves = [box(179.9, -17.1, 180, -16.9), box(-180, -17.1, -179.9, -16.9)]
    geopandas.GeoDataFrame({"name": ["west", "east"]}, geometry=halves, crs=4326).to_file(tmp_path / "districts.gpkg")
    report = assess(
        project.maps / "classes.vrt", tmp_path / "points.gpkg", "label", tmp_path / "report",
        districts=PolygonFile(tmp_path / "districts.gpkg", "name"),
    )  # fmt: skip
    counts = {one["code"]: one["points"] for one in report["districts"]}
    assert counts == {"west": int((points.geometry.x > 0).sum()), "east": int((points.geometry.x < 0).sum())}
    total = sum(area["mapped_ha"] for area in report["areas"])
    assert sum(one["mapped_ha"] for one in report["districts"]) == pytest.approx(total)
