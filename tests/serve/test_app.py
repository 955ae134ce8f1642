"""The page's addresses: what they answer is what the files say, and everything else is refused and ends nothing."""

import io
import json
import random

import numpy as np
import pytest
import rasterio
from matplotlib.image import imread
from pyproj import Transformer
from tests.mapping.small_parcels import LEGEND
from tests.serve.small_season import request, send, served, small_season
from tests.serve.test_tile_places import corner, tile_of

from agrifm.cube.store import open_cube
from agrifm.grid import Window

SECRETS = ("[season]", "root:")
"""Texts of files that must never be answered."""


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return small_season(tmp_path_factory.mktemp("season") / "season")


@pytest.fixture(scope="module")
def port(season):
    with served(season.directory) as number:
        yield number


def answer(port, path, body=None):
    status, content, _ = request(port, path, body)
    assert status == 200, content
    return json.loads(content)


def rgba(content):
    """Pixels (4, H, W) of a PNG file, 0 to 255."""
    return np.moveaxis(np.rint(imread(io.BytesIO(content)) * 255).astype(int), -1, 0)


def places(season, count=5):
    """Some pixels of the map and the longitude and latitude of their centres."""
    grid = open_cube(season.cube).target
    to_lonlat = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    for row, col in np.random.default_rng(2).integers(40, 190, (count, 2)).tolist():
        yield row, col, *to_lonlat.transform(*(grid.transform @ (col + 0.5, row + 0.5)))


def test_the_season_is_described_for_the_page(port):
    found = answer(port, "/season.json")
    assert [layer["key"] for layer in found["layers"]] == ["classes", "confidence", "observations"]
    assert [one["color"] for one in found["layers"][0]["classes"]] == [one.color for one in LEGEND.classes]
    assert sum(found["hectares"]) == pytest.approx((192 * 192 - 30 * 30) / 100)
    assert [one["key"] for one in found["imagery"]] == [
        "sentinel-2",
        "landsat",
        "sentinel-2-monthly",
        "sentinel-2-season",
    ]
    assert found["imagery"][0]["dates"][1] == "2024-04-11"
    assert found["parcels"] == 49
    assert found["missing"] == []


def test_a_place_has_the_values_of_its_pixel(port, season):
    cube = open_cube(season.cube)
    with (
        rasterio.open(season.maps / "classes.tif") as classes,
        rasterio.open(season.maps / "probabilities.tif") as every,
    ):
        crops, shares = classes.read(1), every.read()
    for row, col, lon, lat in places(season):
        found = answer(port, f"/pixel?lon={lon}&lat={lat}")
        assert found["pixel"] == [row, col]
        assert found["values"]["classes"] == crops[row, col]
        series = answer(port, f"/series?lon={lon}&lat={lat}")
        assert [one["key"] for one in series] == ["sentinel-2", "landsat"]
        image, valid, _ = cube.sensors["sentinel-2"].read(Window(row, col, 1, 1))
        curves = {curve["name"]: curve["values"] for curve in series[0]["curves"]}
        seen = [value is not None for value in curves["B08"]]
        assert seen == valid[:, 0, 0].tolist()
        red, nir = image[:, 2, 0, 0][seen], image[:, 3, 0, 0][seen]
        assert [value for value in curves["NDVI"] if value is not None] == pytest.approx(
            (nir - red) / (nir + red), abs=1e-3
        )
        assert found["probabilities"] is None or found["probabilities"] == pytest.approx(
            shares[:, row, col] / shares[:, row, col].sum(dtype=float), abs=0.01
        )


def test_a_tile_has_the_colours_of_the_legend_and_hides_classes(port, season):
    grid = open_cube(season.cube).target
    x, y = tile_of(grid, 14)
    with rasterio.open(season.maps / "classes.tif") as source:
        crops = source.read(1)
    shown = rgba(request(port, f"/layers/classes/14/{x}/{y}.png")[1])
    hidden = rgba(request(port, f"/layers/classes/14/{x}/{y}.png?hide=0,2")[1])
    to_grid = Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True)
    for row, col in np.random.default_rng(3).integers(0, 256, (40, 2)):
        east, north = to_grid.transform(*corner(14, x + (col + 0.5) / 256, y + (row + 0.5) / 256))
        at = [int(part) for part in ~grid.transform @ (east, north)]
        if not (0 <= at[0] < 192 and 0 <= at[1] < 192):
            continue
        number = crops[at[1], at[0]]
        if number == 255:
            assert shown[3, row, col] == 0
            continue
        color = "#{:02x}{:02x}{:02x}".format(*shown[:3, row, col])
        assert color == LEGEND.classes[number].color
        assert hidden[3, row, col] == (255 if number == 1 else 0)


@pytest.mark.parametrize("picture", ["true-colour", "false-colour", "ndvi"])
def test_imagery_is_transparent_where_nothing_was_observed(port, season, picture):
    sensor = open_cube(season.cube).sensors["sentinel-2"]
    x, y = tile_of(sensor.grid, 14)
    status, content, headers = request(port, f"/imagery/sentinel-2/{picture}/3/14/{x}/{y}.png")
    assert (status, headers["content-type"]) == (200, "image/png")
    shown, valid = rgba(content), sensor.stored("valid", (3, slice(None), slice(None)))
    to_grid = Transformer.from_crs("EPSG:4326", str(sensor.grid.crs), always_xy=True)
    for row, col in np.random.default_rng(4).integers(0, 256, (40, 2)):
        east, north = to_grid.transform(*corner(14, x + (col + 0.5) / 256, y + (row + 0.5) / 256))
        at = [int(np.floor(part)) for part in ~sensor.grid.transform @ (east, north)]
        inside = 0 <= at[0] < 192 and 0 <= at[1] < 192
        assert bool(shown[3, row, col]) == bool(inside and valid[at[1], at[0]])


def test_a_tile_of_too_much_of_the_cube_is_refused(port, season, monkeypatch):
    x, y = tile_of(open_cube(season.cube).target, 10)
    path = f"/imagery/sentinel-2/ndvi/0/10/{x}/{y}.png"
    assert request(port, path)[0] == 200
    monkeypatch.setattr("agrifm.serve.imagery.MOST_PIXELS", 100**2)
    assert request(port, path)[0] == 404


def test_every_answer_forbids_foreign_and_inline_content(port):
    for path in ("/", "/season.json", "/web/main.js", "/nothing", "/layers/classes/1/9/9.png"):
        _, content, headers = request(port, path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert b"http://" not in content
    page = request(port, "/")[1].decode()
    assert "style=" not in page
    assert "onclick=" not in page


def test_another_name_of_this_machine_is_refused(port):
    assert request(port, "/season.json", host="evil.example")[0] == 400
    assert request(port, "/season.json", host="localhost:1234")[0] == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/layers/classes/14/99999/0.png", 404), ("/layers/classes/99/0/0.png", 404), ("/layers/x/1/0/0.png", 404),
        ("/layers/classes/1/0/" + "9" * 6000 + ".png", 404), ("/layers/classes/1/-1/0.png", 404),
        ("/layers/classes/9/0/0.png?hide=1,256000", 422), ("/layers/classes/9/0/0.png?hide=" + "1," * 999, 422),
        ("/imagery/sentinel-2/ndvi/9/1/0/0.png", 404), ("/imagery/sentinel-2/nothing/0/1/0/0.png", 404),
        ("/pixel?lon=nan&lat=0", 422), ("/pixel?lon=1", 422), ("/pixel?lon=1e999&lat=1", 422),
        ("/files/agrifm.toml", 404), ("/files/..%2fagrifm.toml", 404), ("/files/%2e%2e/agrifm.toml", 404),
        ("/web/..%2f..%2fapp.py", 404), ("/web//etc/passwd", 404), ("/files//etc/passwd", 404), ("/season.json/", 404),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused(port, path, status):
    found, content, _ = request(port, path)
    assert found == status
    assert not any(secret in content.decode("latin-1") for secret in SECRETS)


def test_bodies_are_bounded(port):
    assert request(port, "/hectares", b"1" * 300_000)[0] == 413
    assert request(port, "/hectares", b"[" * 100_000)[0] == 422


def test_an_area_on_the_map_has_hectares_and_estimates(port):
    outline = [[2.315, 46.92], [2.325, 46.92], [2.325, 46.925], [2.315, 46.925]]
    found = answer(port, "/hectares", json.dumps({"outline": outline}).encode())
    assert sum(found["hectares"]) == pytest.approx(42.3, abs=0.8)  # 762 m x 556 m, by the lengths of a degree
    assert sum(one["hectares"] for one in found["estimates"]) == pytest.approx(sum(found["hectares"]))
    assert all(one["low"] <= one["hectares"] <= one["high"] for one in found["estimates"])


PIECES = (
    "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "C:\\windows", "%00", "%ff%fe", "é", "‮", "~", "{z}",
    "-1", "0", "14", "1e9", "9" * 40, "NaN", "0x10", "1;ls", "'\"", "<script>", "file:///etc/passwd", "http://[::1]/",
    "layers", "classes", "imagery", "sentinel-2", "ndvi", "web", "files", "agrifm.toml", "pixel", "parcels", "hectares",
    "series", "parcel", "season.json", "classes.tif", "?lon=1&lat=2", "?lon=%00", "?hide=1,2,300", "?id=" + "x" * 3000,
    "?west=2&east=1&south=9&north=-9", "?west=-180&east=180&south=-90&north=90", "#", "&&==", "%", "%zz", "*", "//",
)  # fmt: skip
BODIES = (
    b"{}", b"null", b"[" * 999, b'{"outline": [[2.3, 46.9], [2.33, 46.9], [2.33, 46.93]]}', b"\x00\xff" * 50,
    b'{"outline": [[-180, -90], [180, -90], [180, 90], [-180, 90]]}', b'{"outline": [["a", {}]]}',
)  # fmt: skip


def fuzzed(number):
    """A request of pieces that follow each other, some of which are addresses that there are."""
    choose = random.Random(number)
    path = choose.choice(("/", "")) + "/".join(choose.choices(PIECES, k=choose.randint(1, 7)))
    path = path.replace(" ", "%20") + choose.choice(("", ".png"))
    method = choose.choice(("GET", "GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"))
    if choose.random() < 0.2:
        method, path = "POST", "/hectares"
    body = choose.choice(BODIES) if method in ("POST", "PUT") else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    if choose.random() < 0.1:
        head += choose.choice(("Range: bytes=0-9999999999\r\n", "X: \r\n", "Accept-Encoding: " + "x," * 500 + "\r\n"))
    return f"{head}\r\n".encode() + body


def only_refusals(port, numbers):
    """Send fuzzed requests; every one is answered with a status from 200 to 299 or 400 to 499."""
    for number in numbers:
        content = fuzzed(number)
        status = int(send(port, content).split(b" ", 2)[1])
        assert 200 <= status < 300 or 400 <= status < 500, (status, content)
    assert answer(port, "/season.json")["parcels"] == 49


def test_300_fuzzed_requests_are_answered_or_refused(port):
    only_refusals(port, range(300))


@pytest.mark.check
def test_10000_fuzzed_requests_are_answered_or_refused(port):
    only_refusals(port, range(300, 10_300))
