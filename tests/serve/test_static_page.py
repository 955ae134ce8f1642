"""A page as plain files: its archives have what the map, the cube and the parcels have; a stop loses nothing."""

import gzip
import json
import struct
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet
import pyogrio
import pytest
import rasterio
from pmtiles.reader import MmapSource, Reader
from pyproj import Transformer
from rasterio.io import MemoryFile
from tests.serve.small_season import LOOPBACK, request, send, served, small_season

from agrifm.cli import main
from agrifm.cube.store import open_cube
from agrifm.errors import OutputError
from agrifm.legend import UNLABELLED
from agrifm.serve import static_page, static_stated
from agrifm.serve.parcel_archives import hashed
from agrifm.serve.pixel_answers import series_answer
from agrifm.serve.series_blocks import series_planes
from agrifm.serve.static_page import write_static_page

PLACES = 40


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return small_season(tmp_path_factory.mktemp("season") / "season")


@pytest.fixture(scope="module")
def page(season, tmp_path_factory):
    """The season as files; of its pictures only those of one date, which are enough for these tests."""
    out = tmp_path_factory.mktemp("page") / "page"
    with (
        patch.object(static_page, "shown_dates", first_date),
        patch.object(static_stated, "shown_dates", first_date),
    ):
        write_static_page(season.directory, out)
    return out


def first_date(imagery):
    return {imagery.stated()["dates"][0]: 0}


@pytest.fixture(scope="module")
def stated(page):
    return json.loads((page / "season.json").read_text())


@pytest.fixture(scope="module")
def places(season):
    """Longitude, latitude, row and column of the centres of some pixels of the map."""
    with rasterio.open(season.maps / "classes.tif") as source:
        height, width = source.shape
        pixels = np.random.default_rng(5).integers(0, (height, width), (PLACES, 2))
        x, y = source.transform @ (pixels[:, 1] + 0.5, pixels[:, 0] + 0.5)
        lon, lat = Transformer.from_crs(source.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return list(zip(lon.tolist(), lat.tolist(), pixels.tolist(), strict=True))


def in_tiles(lon, lat, zoom):
    """Column and row as real numbers (OpenStreetMap's wiki, Slippy map tilenames)."""
    down = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2
    return (lon + 180) / 360 * 2**zoom, down * 2**zoom


def tile(path: Path, zoom, x, y):
    with path.open("rb") as file:
        return Reader(MmapSource(file)).get(zoom, int(x), int(y))


def planes(page, folder, about, lon, lat):
    """All planes of the pixel at a place, of its block."""
    x, y = in_tiles(lon, lat, about["zoom"])
    up = 2 ** (about["zoom"] - about["archive_zoom"])
    name = f"{about['archive_zoom']}-{int(x / up)}-{int(y / up)}"
    content = gzip.decompress(tile(page / folder / f"{name}.pmtiles", about["zoom"], x, y))
    assert content[:4] == b"AGB1"
    height, width = struct.unpack("<HH", content[4:8])
    corners = np.array(struct.unpack("<8f", content[8:40])).reshape(2, 2, 2)
    right, down = x % 1, y % 1
    row, col = np.floor([1 - down, down] @ np.moveaxis(corners, 2, 0) @ [1 - right, right]).astype(int)
    return np.frombuffer(content[40:], np.uint8).reshape(-1, height, width)[:, row, col].tolist()


def plain_series(numbers, dates, bands, unit):
    """Values (T, C) of the planes of a pixel without composites, None where not observed; in plain loops."""
    low, high = numbers[dates : dates + dates * bands], numbers[dates + dates * bands :]
    found, value = [], [0] * bands
    for date in range(dates):
        for band in range(bands):
            folded = low[date * bands + band] + 256 * high[date * bands + band]
            value[band] += -(folded + 1) // 2 if folded % 2 else folded // 2
            value[band] = (value[band] + 2**15) % 2**16 - 2**15
        found.append([one * unit for one in value] if numbers[date] else None)
    return found


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # tiles say nothing of their place
def test_tiles_hold_the_values_of_the_map(season, page, stated, places):
    layer = next(one for one in stated["layers"] if one["key"] == "classes")
    with rasterio.open(season.maps / "classes.tif") as source:
        classes = source.read(1)
    for lon, lat, (row, col) in places:
        x, y = in_tiles(lon, lat, layer["maxzoom"])
        content = tile(page / "layers" / "classes.pmtiles", layer["maxzoom"], x, y)
        if content is None:  # a tile without anything
            assert classes[row, col] == UNLABELLED
            continue
        with MemoryFile(content) as memory, memory.open() as picture:
            found = picture.read(1)[int(y % 1 * 256), int(x % 1 * 256)]
        assert found == classes[row, col]


def test_blocks_hold_the_series_of_the_cube(season, page, stated, places):
    cube = open_cube(season.cube)
    for about in stated["static"]["series"]:
        dates, bands = len(about["days"]), len(about["bands"])
        for lon, lat, _ in places[:12]:
            numbers = planes(page, f"series/{about['key']}", about, lon, lat)
            found = plain_series(numbers, dates, bands, about["unit"])
            expected = next(one for one in series_answer(cube, lon, lat) if one["key"] == about["key"])
            for band, name in enumerate(about["bands"]):
                curve = next(one["values"] for one in expected["curves"] if one["name"] == name)
                assert [one is None for one in curve] == [one is None for one in found]
                values = [(one, other[band]) for one, other in zip(curve, found, strict=True) if other]
                assert values
                assert np.ptp(np.array(values), axis=1).max() <= about["unit"] / 2 + 1e-4


def test_blocks_hold_the_values_and_probabilities_of_the_map(season, page, stated, places):
    about, bands = stated["static"]["pixels"], []
    assert about["layers"] == ["classes", "confidence", "observations"]
    for name in (*about["layers"], "probabilities"):
        with rasterio.open(season.maps / f"{name}.tif") as source:
            bands.append(source.read())
    stored = np.concatenate(bands)
    for lon, lat, (row, col) in places:
        if (stored[0, max(row - 30, 0) : row + 30, max(col - 30, 0) : col + 30] == UNLABELLED).any():
            continue  # its block may have nothing
        found = planes(page, "pixels", about, lon, lat)
        assert found == stored[:, row, col].tolist()


def test_differences_of_any_numbers_are_restored():
    random = np.random.default_rng(1)
    values = random.integers(-32768, 32768, (7, 3, 2, 2)).astype(np.int16)
    seen = random.random((7, 2, 2)) < 0.6
    numbers = series_planes(values, seen, None, 1)
    for row, col in np.ndindex(2, 2):
        found = plain_series(numbers[:, row, col].tolist(), 7, 3, 1)
        assert found == [values[t, :, row, col].tolist() if seen[t, row, col] else None for t in range(7)]


def test_parcels_are_found_by_name_and_place(season, page, stated):
    rows = pyarrow.parquet.read_table(season.parcel_crops / "parcels.parquet", columns=["id", "crop:code"]).to_pylist()
    about = stated["static"]["parcels"]
    for row in rows[::7]:
        names = json.loads((page / "parcel-names" / f"{hashed(row['id']) % about['name_files']}.json").read_text())
        place = in_tiles(*names[row["id"]], about["rows_zoom"])
        near = json.loads(gzip.decompress(tile(page / "parcel-rows.pmtiles", about["rows_zoom"], *place)))
        assert row in [{key: one["columns"][key] for key in row} for one in near]
    drawn = pyogrio.read_dataframe(page / "parcels.pmtiles", use_arrow=False)
    assert set(drawn["id"]) == {row["id"] for row in rows}


def test_names_are_hashed_by_fnv():  # values of RFC 9923, appendix C
    assert [hashed(text) for text in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


def test_the_page_names_what_is_there(page, stated):
    for layer in stated["layers"]:
        assert (page / "layers" / f"{layer['key']}.pmtiles").is_file()
    for one in stated["imagery"]:
        for picture in one["pictures"]:
            assert (page / "imagery" / one["key"] / picture["key"] / f"{one['dates'][0]}.pmtiles").is_file()
    assert all((page / "files" / name).is_file() for name in stated["downloads"])
    html = (page / "index.html").read_text()
    assert "script-src 'self'" in html
    assert all((page / name).is_file() for name in ("web/main.js", "web/pmtiles.js", "web/pmtiles.LICENSE.txt"))


def test_files_are_served_in_parts_and_nothing_else(page):
    content = (page / "layers" / "classes.pmtiles").read_bytes()
    with served(page) as port:
        head = f"GET /layers/classes.pmtiles HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n"
        answer = send(port, f"{head}Range: bytes=100-299\r\n\r\n".encode())
        assert answer.split(b"\r\n")[0].split()[1] == b"206"
        assert answer.partition(b"\r\n\r\n")[2] == content[100:300]
        status, html, headers = request(port, "/")
        assert status == 200
        assert b"web/main.js" in html
        assert "script-src 'self'" in headers["content-security-policy"]
        for path in ("/.agrifm.json", "/../page/index.html", "/%2e%2e/season/agrifm.toml", "/layers", "//etc/passwd"):
            assert request(port, path)[0] == 404


def test_a_folder_of_other_files_is_refused(season, tmp_path, capsys):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("mine")
    assert main(["serve", str(season.directory), "--static", str(tmp_path / "letters")]) == 2
    assert "letters" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["letters", "letter.txt"]
    with pytest.raises(OutputError):
        write_static_page(season.directory, season.maps)


@pytest.mark.check
def test_a_stopped_page_continues_and_is_whole_or_absent(season, page, tmp_path):
    written = []

    def until(most):
        def write(season, scratch, unit):
            if len(written) == most:
                raise KeyboardInterrupt
            written.append(unit)
            return 0 if unit[0] in ("imagery", "series") else whole(season, scratch, unit)

        return write

    whole = static_page._write_unit
    with patch.object(static_page, "_write_unit", until(5)), pytest.raises(KeyboardInterrupt):
        write_static_page(season.directory, tmp_path / "page")
    assert not (tmp_path / "page").exists()
    with patch.object(static_page, "_write_unit", until(None)):
        write_static_page(season.directory, tmp_path / "page")
    finished = [unit for unit in dict.fromkeys(written) if unit[0] in ("layers", "parcels", "parcel-rows")]
    assert len([unit for unit in written if unit == finished[0]]) == 1
    for name in ("layers/classes.pmtiles", "parcel-rows.pmtiles", "index.html"):
        assert (tmp_path / "page" / name).read_bytes() == (page / name).read_bytes()
    assert json.loads((tmp_path / "page" / "season.json").read_text())["imagery"] == []
