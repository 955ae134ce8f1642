"""Maps of yields and of shares on the page: clicks, tiles and drawn areas have the numbers of the file."""

import io
import json

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imread
from pyproj import Transformer
from shapely import box
from tests.mapping.small_parcels import LEGEND
from tests.serve.small_number_season import (
    CROP_LAND,
    STATED,
    season_of_shares,
    season_of_yields,
    write_item,
    write_numbers,
    yields_of,
)
from tests.serve.small_season import request, served
from tests.serve.test_tile_places import corner, tile_of
from tests.toy import toy_project

from agrifm.cube.store import open_cube
from agrifm.errors import ServeError
from agrifm.grid import LONLAT, geodesic_hectares, reproject
from agrifm.serve.finished_season import finished_season
from agrifm.serve.run import PointsToLabel, page_of
from agrifm.serve.static_page import write_static_page


@pytest.fixture(scope="module")
def of_yields(tmp_path_factory):
    return season_of_yields(tmp_path_factory.mktemp("yields") / "season")


@pytest.fixture(scope="module")
def of_shares(tmp_path_factory):
    return season_of_shares(tmp_path_factory.mktemp("shares") / "season")


@pytest.fixture(scope="module")
def yield_port(of_yields):
    with served(of_yields.directory) as number:
        yield number


@pytest.fixture(scope="module")
def share_port(of_shares):
    with served(of_shares[0].directory) as number:
        yield number


def answer(port, path, body=None):
    status, content, _ = request(port, path, body)
    assert status == 200, content
    return json.loads(content)


def places(project, count=6):
    """Pixels of the map, one of them outside the crop's land, and their longitude and latitude."""
    grid = open_cube(project.cube).target
    to_lonlat = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    chosen = [(10, 10), *np.random.default_rng(2).integers(40, 160, (count, 2)).tolist()]
    for row, col in chosen:
        yield row, col, *to_lonlat.transform(*(grid.transform @ (col + 0.5, row + 0.5)))


def outline_between(project, top, left, bottom, right):
    """An outline between pixels, in degrees, its hectares, and the body of a request."""
    grid = open_cube(project.cube).target
    x, y = grid.transform.c, grid.transform.f
    ends = [(x + 10 * left, y - 10 * top), (x + 10 * right, y - 10 * bottom)]
    shape = reproject(box(ends[0][0], ends[1][1], ends[1][0], ends[0][1]), str(grid.crs), LONLAT)
    corners = list(shape.exterior.coords)[:-1]
    return geodesic_hectares(shape), json.dumps({"outline": corners}).encode()


def test_a_season_of_yields_is_described(yield_port, of_yields):
    found = answer(yield_port, "/season.json")
    assert found["task"] == "yield"
    assert [layer["key"] for layer in found["layers"]] == ["yield", "lower", "upper", "half-interval"]
    assert "rice" in found["layers"][0]["title"]
    assert {layer["unit"] for layer in found["layers"]} == {"t/ha"}
    known = yields_of(of_yields)[0]
    low, high = np.nanpercentile(known, [2, 98])
    assert (found["layers"][0]["bottom"], found["layers"][0]["top"]) == pytest.approx((low, high), rel=0.01)
    assert "1,512 t" in found["layers"][0]["note"]
    assert found["hectares"] == []
    assert found["trust"] == "rice: RMSE 1.01 t/ha (0.84 to 1.15)"
    assert "yield.tif" in found["downloads"]
    assert found["missing"] == []


def test_yields_of_all_land_are_said_to_be_so(of_yields):
    text = (of_yields.maps / "item.json").read_text()
    try:
        write_item(of_yields, {"agrifm:yield": {**STATED, "masked": False}})
        note = finished_season(of_yields.directory).first_layer.note
    finally:
        (of_yields.maps / "item.json").write_text(text)
    assert "all land" in note
    assert "1,512" not in note


def test_a_place_has_the_numbers_of_the_file(yield_port, of_yields):
    bands = yields_of(of_yields)
    for row, col, lon, lat in places(of_yields):
        values = answer(yield_port, f"/pixel?lon={lon}&lat={lat}")["values"]
        there = [values[key] for key in ("yield", "lower", "upper")]
        if row < CROP_LAND.start:
            assert there == [None] * 3
        else:
            assert there == pytest.approx(bands[:, row, col], abs=0.005)
            assert values["half-interval"] == pytest.approx(1.5, abs=0.005)


def test_tiles_have_the_colours_of_the_numbers(yield_port, of_yields):
    grid, numbers = open_cube(of_yields.cube).target, yields_of(of_yields)[0]
    about = answer(yield_port, "/season.json")["layers"][0]
    x, y = tile_of(grid, 14)
    content = request(yield_port, f"/layers/yield/14/{x}/{y}.png")[1]
    shown = np.rint(imread(io.BytesIO(content)) * 255).astype(int)
    to_grid = Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True)
    seen = 0
    for row, col in np.random.default_rng(3).integers(0, 256, (60, 2)):
        east, north = to_grid.transform(*corner(14, x + (col + 0.5) / 256, y + (row + 0.5) / 256))
        at = [int(part) for part in ~grid.transform @ (east, north)]
        if not (0 <= at[0] < 192 and 0 <= at[1] < 192):
            continue
        number = numbers[at[1], at[0]]
        if np.isnan(number):
            assert shown[row, col, 3] == 0
            continue
        share = np.clip((number - about["bottom"]) / (about["top"] - about["bottom"]), 0, 1)
        assert shown[row, col, :3] == pytest.approx(colormaps["cividis"](share, bytes=True)[:3], abs=3)
        seen += 1
    assert seen > 10


def test_a_drawn_area_has_its_mean_yield_and_sum(yield_port, of_yields):
    size, body = outline_between(of_yields, 10, 50, 100, 120)
    found = answer(yield_port, "/hectares", body)
    tonnes = yields_of(of_yields)[0][10:100, 50:120].astype(float)
    assert found["yield"]["mean"] == pytest.approx(np.nanmean(tonnes))
    assert found["yield"]["hectares"] == pytest.approx(80 * 70 / 100)
    assert found["yield"]["tonnes"] == pytest.approx(np.nansum(tonnes) / 100)
    assert found["without_yield"] == pytest.approx(10 * 70 / 100)
    assert found["yield"]["hectares"] + found["without_yield"] == pytest.approx(size, rel=2e-3)


def test_an_area_without_a_yield_has_no_mean(yield_port, of_yields):
    found = answer(yield_port, "/hectares", outline_between(of_yields, 2, 50, 15, 60)[1])
    assert found["yield"] == {"hectares": 0, "mean": None, "tonnes": 0}
    assert found["without_yield"] == pytest.approx(1.3)


def test_parcels_of_yields_are_served(yield_port, of_yields):
    assert answer(yield_port, "/season.json")["parcels"] == 1
    found = answer(yield_port, "/parcel?id=field")
    expected = yields_of(of_yields)[0][40:60, 20:40].mean()
    assert found["columns"]["agrifm:yield_t_ha"] == pytest.approx(expected, rel=1e-4)


def test_shares_have_the_largest_class_and_each_class(share_port, of_shares):
    project, shares = of_shares
    found = answer(share_port, "/season.json")
    assert [layer["key"] for layer in found["layers"]] == ["classes", "share-0", "share-1", "share-2"]
    assert found["task"] == "fractions"
    assert found["hectares"] == pytest.approx((np.nansum(shares, axis=(1, 2)) / 100).tolist(), rel=1e-5)
    for row, col, lon, lat in places(project):
        here = answer(share_port, f"/pixel?lon={lon}&lat={lat}")
        if row < 30:
            assert here["values"]["classes"] is None
            assert here["probabilities"] is None
            continue
        assert here["values"]["classes"] == shares[:, row, col].argmax()
        assert here["probabilities"] == pytest.approx(shares[:, row, col], abs=1e-3)
        assert here["values"]["share-1"] == pytest.approx(100 * shares[1, row, col], abs=0.06)


def test_hectares_of_a_drawn_area_are_sums_of_shares(share_port, of_shares):
    project, shares = of_shares
    found = answer(share_port, "/hectares", outline_between(project, 20, 20, 90, 100)[1])
    inside = shares[:, 20:90, 20:100].astype(float)
    assert found["hectares"] == pytest.approx(np.nansum(inside, axis=(1, 2)) / 100)
    assert found["without_class"] == pytest.approx(np.isnan(inside[0]).sum() / 100)
    assert found["pixel"] == 10
    assert found["estimates"] is None


def test_classes_of_the_largest_share_can_be_hidden(share_port, of_shares):
    grid = open_cube(of_shares[0].cube).target
    x, y = tile_of(grid, 14)
    every, some = (request(share_port, f"/layers/classes/14/{x}/{y}.png{end}")[1] for end in ("", "?hide=0,2"))
    shown, left = (np.rint(imread(io.BytesIO(one)) * 255).astype(int) for one in (every, some))
    colors = {tuple(int(one.color[at : at + 2], 16) for at in (1, 3, 5)) for one in LEGEND.classes}
    assert {tuple(one) for one in shown[shown[..., 3] > 0][:, :3].tolist()} == colors
    assert len({tuple(one) for one in left[left[..., 3] > 0][:, :3].tolist()}) == 1


@pytest.mark.parametrize("name", ["yield.tif", "fractions.tif"])
def test_a_damaged_map_of_numbers_is_refused(tmp_path, name):
    project = toy_project(tmp_path / "season")
    project.maps.mkdir()
    (project.maps / name).write_bytes(b"II*\x00" + b"\x00" * 200)
    with pytest.raises(ServeError) as error:
        finished_season(project.directory)
    assert error.value.facts["path"] == project.maps / name


@pytest.mark.parametrize("name", ["yield.tif", "fractions.tif"])
def test_a_raster_of_something_else_is_refused(tmp_path, name):
    project = toy_project(tmp_path / "season")
    bands = np.zeros((2, *open_cube(project.cube).target.shape), np.float32)
    write_numbers(project, name, bands, ("a", "b"), {})
    with pytest.raises(ServeError) as error:
        finished_season(project.directory)
    assert error.value.facts["path"] == project.maps / name


def test_what_is_only_for_classes_is_refused(of_yields, of_shares, tmp_path):
    for project in (of_yields, of_shares[0]):
        with pytest.raises(ServeError, match="numbers"):
            write_static_page(project.directory, tmp_path / "page")
        with pytest.raises(ServeError, match="--points"):
            page_of(project.directory, to_label=PointsToLabel(project.directory / "points.gpkg"))
    assert not list(tmp_path.iterdir())
