"""The page of a divided area: a place has the map and the cube of the tile that contains it, in its UTM zone."""

import io
import json
import shutil

import numpy as np
import pytest
from matplotlib.image import imread
from pyproj import Transformer
from shapely import box, contains_xy
from tests.mapping.small_parcels import CODES, LEGEND
from tests.serve.small_divided_season import (
    BANDS,
    COMMON,
    EARLY,
    LATE,
    PLACES,
    class_at,
    days_of,
    divided_season,
    stored_at,
    zone_of,
)  # fmt: skip
from tests.serve.small_season import request, served
from tests.serve.test_tile_places import corner

from agrifm.errors import ServeError
from agrifm.serve.deciding_place import PlaceDeciders
from agrifm.serve.finished_season import finished_season
from agrifm.serve.static_page import write_static_page

ZOOM = 15


@pytest.fixture(scope="module", params=["two zones", pytest.param("longitude 180", marks=pytest.mark.check)])
def season(request, tmp_path_factory):
    return *divided_season(tmp_path_factory.mktemp("divided"), PLACES[request.param]), PLACES[request.param]


@pytest.fixture(scope="module")
def port(season):
    with served(season[0].directory) as number:
        yield number


def answer(port, path, body=None):
    status, content, _ = request(port, path, body)
    assert status == 200, content
    return json.loads(content)


def places(edges, count=12):
    """Longitudes, latitudes, zones and metres of random places."""
    west, south, east, north = edges
    draw, turn = np.random.default_rng(1), 360 * (west > east)
    for _ in range(count):
        lon = draw.uniform(west, east + turn)
        lon, lat = lon - 360 * (lon > 180), draw.uniform(south, north)
        crs = zone_of(lon, south < 0)
        yield lon, lat, crs, *Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)


def test_the_season_has_the_hectares_and_dates_of_all_tiles(port, season):
    _, tiles, (west, south, east, north) = season
    assert len({tile.crs for tile in tiles}) == 2
    assert len(tiles) > 2
    found = answer(port, "/season.json")
    assert found["bounds"] == pytest.approx([west, south, east + 360 * (west > east), north], abs=1e-4)
    metres = 111_195 * np.cos(np.radians(south)) * (east - west + 360 * (west > east)) * 111_195 * (north - south)
    assert sum(found["hectares"]) == pytest.approx(metres / 1e4, rel=0.02)
    assert found["imagery"][0]["dates"] == [day.isoformat() for day in (COMMON, EARLY, LATE)]
    monthly = next(one for one in found["imagery"] if one["key"] == "sentinel-2-monthly")
    assert monthly["labels"] == ["April 2024", "June 2024", "July 2024"]
    assert found["series"] is True
    assert found["parcels"] == 2
    assert found["missing"] == []


def test_a_place_has_the_values_of_the_tile_that_contains_it(port, season):
    for lon, lat, crs, x, y in places(season[2]):
        found = answer(port, f"/pixel?lon={lon}&lat={lat}")
        number = int(class_at(crs, np.array(x), np.array(y)))
        assert found["values"]["classes"] == number
        assert found["probabilities"][number] == pytest.approx(200 / 250)
        (series,) = answer(port, f"/series?lon={lon}&lat={lat}")
        epoch = np.datetime64("1970-01-01")
        assert series["days"] == [int((np.datetime64(day) - epoch).astype(int)) for day in days_of(crs)]
        curves = {curve["name"]: curve["values"] for curve in series["curves"]}
        for band, name in enumerate(BANDS):
            wanted = [float(stored_at(crs, np.array(x), np.array(y), band, frame)) / 1e4 for frame in range(2)]
            assert curves[name] == pytest.approx(wanted, abs=1e-4)


def shown_tile(season):
    """Number of the tile around the middle, and the places of its pixels that are in the area, by zone."""
    west, south, east, north = season[2]
    turn = 360 * (west > east)
    lon, lat = west + 0.3 * (east + turn - west), np.radians((south + north) / 2)
    x, y = int((lon + 180) / 360 * 2**ZOOM), int((1 - np.arcsinh(np.tan(lat)) / np.pi) / 2 * 2**ZOOM)
    rows, cols = (part.ravel() for part in np.mgrid[0:256, 0:256])
    lon, lat = corner(ZOOM, x + (cols + 0.5) / 256, y + (rows + 0.5) / 256)
    inside = contains_xy(box(west, south, east + turn, north).buffer(-1e-4), lon, lat)
    return x, y, rows[inside], cols[inside], np.where(lon > 180, lon - 360, lon)[inside], lat[inside]


def pixels_of(port, path):
    status, content, _ = request(port, path)
    assert status == 200, content
    return np.rint(imread(io.BytesIO(content)) * 255).astype(int)


def test_a_tile_of_the_page_shows_the_classes_of_all_zones(port, season):
    x, y, rows, cols, lon, lat = shown_tile(season)
    shown = pixels_of(port, f"/layers/classes/{ZOOM}/{x}/{y}.png")[rows, cols]
    near = np.abs(np.abs(lon) - (180 if season[2][0] > season[2][2] else 6)) < 1e-4
    assert (shown[~near, 3] == 255).all()  # within half a pixel of the border there may be a gap
    zones = {zone_of(one, season[2][1] < 0) for one in lon}
    colors = np.array([[int(one.color[at : at + 2], 16) for at in (1, 3, 5)] for one in LEGEND.classes])
    for crs in zones:
        here = np.array([zone_of(one, season[2][1] < 0) == crs for one in lon]) & ~near
        east, north = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon[here], lat[here])
        wanted = colors[class_at(crs, east, north)]
        assert (shown[here, :3] == wanted).all(axis=1).mean() > 0.98  # places of tiles are interpolated


def test_a_date_shows_what_each_tile_observed(port, season):
    x, y, rows, cols, *_ = shown_tile(season)
    for picture in ("true-colour", "ndvi"):
        shown = pixels_of(port, f"/imagery/sentinel-2/{picture}/0/{ZOOM}/{x}/{y}.png")
        assert (shown[rows, cols, 3] == 255).all()
    late = pixels_of(port, f"/imagery/sentinel-2-season/ndvi-highest/0/{ZOOM}/{x}/{y}.png")
    assert (late[rows, cols, 3] == 255).all()
    assert request(port, f"/imagery/sentinel-2/ndvi/3/{ZOOM}/{x}/{y}.png")[0] == 404  # there are three dates


def test_hectares_of_a_drawn_polygon_are_those_of_all_zones(port, season):
    _, tiles, (west, south, east, north) = season
    if west > east:
        west = -179.9995  # a drawn polygon is on one side of longitude 180
    middle = (south + north) / 2
    corners = [[west + 1e-4, south + 1e-4], [east - 1e-4, south + 1e-4], [east - 1e-4, middle], [west + 1e-4, middle]]
    found = answer(port, "/hectares", json.dumps({"outline": corners}).encode())
    wanted = np.zeros(3)
    for crs in {tile.crs for tile in tiles}:
        extents = np.array([tile.extent for tile in tiles if tile.crs == crs])
        x, y = np.meshgrid(
            np.arange(extents[:, 0].min() + 5, extents[:, 2].max(), 10),
            np.arange(extents[:, 1].min() + 5, extents[:, 3].max(), 10),
        )
        lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
        first = int(crs[-2:]) * 6 - 186
        inside = contains_xy(box(*corners[0], *corners[2]), lon, lat) & (lon >= first) & (lon < first + 6)
        wanted += np.bincount(class_at(crs, x, y)[inside], minlength=3) / 100
    assert found["hectares"] == pytest.approx(wanted.tolist())
    assert found["without_class"] == 0


def test_a_parcel_has_the_mean_series_of_its_tile_unless_it_is_larger(port):
    (found,) = answer(port, f"/parcel-series?row={answer(port, '/parcel?id=small')['row']}")
    assert found["days"] == sorted(found["days"])
    assert all(value is not None for value in found["curves"][-1]["values"])
    assert request(port, f"/parcel-series?row={answer(port, '/parcel?id=large')['row']}")[0] == 413


def test_a_place_is_explained_with_the_map_and_cube_of_its_tile(season):
    asked = []

    def explainer(item, cube):
        return lambda row, col: asked.append((item, cube.path, row, col))

    opened = finished_season(season[0].directory)
    deciders = PlaceDeciders(explainer, opened.tiles)
    for lon, lat, crs, x, y in places(season[2], 4):
        assert deciders.answer(lon, lat) is None
        item, cube, row, col = asked[-1]
        tile = next(one for one in season[1] if item == season[0].maps / one.name / "item.json")
        assert (tile.crs, cube) == (crs, season[0].of_tile(tile).cube)
        assert (row, col) == (int((tile.extent[3] - y) // 10), int((x - tile.extent[0]) // 10))


def test_what_is_of_one_map_is_refused(season, tmp_path):
    with pytest.raises(ServeError, match="--static"):
        write_static_page(season[0].directory, tmp_path / "page")
    assert not list(tmp_path.iterdir())


def test_tiles_without_map_or_cube_are_named(tmp_path):
    project, tiles = divided_season(tmp_path, PLACES["two zones"])
    collection = project.maps / "collection.json"
    stated = json.loads(collection.read_text())
    gone = stated["links"].pop()["href"].split("/item")[0].removeprefix("./")
    collection.write_text(json.dumps(stated))
    shutil.rmtree(project.of_tile(tiles[0]).cube)
    found = finished_season(project.directory)
    assert len(found.tiles) == len(tiles) - 1
    assert gone in found.missing["Tiles without a map"]
    assert tiles[0].name in found.missing["Imagery and series of some tiles"]
    lon, lat = tiles[0].area.representative_point().coords[0]
    with served(project.directory) as port:
        assert answer(port, f"/pixel?lon={lon}&lat={lat}")["values"]["classes"] in range(len(CODES))
        status, content, _ = request(port, f"/series?lon={lon}&lat={lat}")
    assert (status, tiles[0].name in json.loads(content)["error"]) == (404, True)
    collection.unlink()
    with pytest.raises(ServeError) as error:
        finished_season(project.directory)
    assert error.value.facts["path"] == collection
