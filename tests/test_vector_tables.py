"""Tables of places: columns of coordinates as spreadsheets, phones and programs write them, and columns of shapes."""

from pathlib import Path

import numpy as np
import pandas
import pytest
import shapely
from pyproj import Transformer

from agrifm.errors import LabelError
from agrifm.vectors import VectorKeys, VectorLayer, read_vector

PLACES = [(3.022913, 47.672309), (3.02611, 47.672308), (-0.5, -33.25)]
CROPS = ["wheat", "maïs", "maize, grain"]


def read(path: Path, **keys: str) -> VectorLayer:
    return read_vector(path, f"reading labels {path}", LabelError, keys=VectorKeys(**keys))


def refusal(path: Path, **keys: str) -> LabelError:
    with pytest.raises(LabelError) as caught:
        read(path, **keys)
    assert "\n" not in str(caught.value)
    return caught.value


def table(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def places(layer: VectorLayer) -> list[tuple[float, float]]:
    return [(point.x, point.y) for point in layer.frame.geometry]


COMMA = (
    'id,latitude,longitude,crop\n0,47.672309,3.022913,wheat\n1,47.672308,3.02611,maïs\n2,-33.25,-0.5,"maize, grain"\n'
)
DECIMAL = "crop;lon;lat\nwheat;3,022913;47,672309\nmaïs;3,02611;47,672308\nmaize, grain;-0,5;-33,25\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("comma.csv", COMMA),
        ("quoted.csv", COMMA.replace("3.022913", '"3.022913"').replace("latitude", '"Latitude"')),
        ("quoted-decimal-comma.csv", COMMA.replace("3.022913", '"3,022913"')),
        ("decimal-comma.csv", DECIMAL),
        ("mark.csv", "\ufeff" + DECIMAL),
        ("windows.csv", DECIMAL.replace("\n", "\r\n")),
        ("sep.csv", "sep=;\n" + DECIMAL),
        ("tabs.tsv", COMMA.replace('"maize, grain"', "maize| grain").replace(",", "\t").replace("|", ",")),
        ("tabs.txt", DECIMAL.replace(";", "\t")),
        ("utf-16.csv", DECIMAL.replace(";", "\t").encode("utf-16")),
        ("blank-rows.csv", COMMA + "\n,,,\n"),
        ("minus.csv", DECIMAL.replace("-33", "\u221233")),
        ("darwin-core.csv", COMMA.replace("latitude", "decimalLatitude").replace("longitude", "decimalLongitude")),
        ("kobo.csv", COMMA.replace("latitude", "_GPS_latitude").replace("longitude", "_GPS_longitude")),
        ("lng.csv", COMMA.replace("latitude", "LAT").replace("longitude", "Lng")),
        ("long.csv", COMMA.replace("latitude", "Lat (deg)").replace("longitude", "Long (deg)")),
        ("exponent.csv", COMMA.replace("-33.25", "-3.325E1")),
    ],
)
def test_places_are_the_same_however_a_spreadsheet_writes_them(tmp_path: Path, name: str, text: str | bytes) -> None:
    layer = read(table(tmp_path / name, text))
    assert np.allclose(places(layer), PLACES, rtol=0, atol=1e-9)
    assert list(layer.frame["crop"]) == CROPS
    assert layer.frame.crs.to_epsg() == 4326


@pytest.mark.parametrize("names", [("x", "y"), ("Easting", "Northing"), ("X_coord", "Y_coord"), ("POINT_X", "POINT_Y")])
def test_x_and_y_need_the_crs_that_the_user_states(tmp_path: Path, names: tuple[str, str]) -> None:
    x, y = Transformer.from_crs(4326, 32631, always_xy=True).transform(3.5, 47.5)
    path = table(tmp_path / "points.csv", f"{names[0]},{names[1]},crop\n{x},{y},a\n")
    assert refusal(path).facts["key"] == "crs"
    layer = read(path, crs="EPSG:32631")
    assert places(VectorLayer(layer.frame.to_crs(4326)))[0] == pytest.approx((3.5, 47.5))


def test_x_and_y_in_degrees_are_read_with_their_crs(tmp_path: Path) -> None:
    path = table(tmp_path / "points.csv", "x,y,crop\n3.5,47.5,a\n")
    assert refusal(path).facts["key"] == "crs"
    assert "EPSG:4326" in str(refusal(path))
    assert places(read(path, crs="EPSG:4326")) == [(3.5, 47.5)]


def test_a_projection_decides_between_two_pairs_of_coordinates(tmp_path: Path) -> None:
    path = table(tmp_path / "points.csv", "x,y,lon,lat\n500000,5000000,9,9\n")
    assert places(read(path)) == [(9, 9)]
    assert places(read(path, crs="EPSG:32631")) == [(500_000, 5_000_000)]


def test_another_crs_than_degrees_for_longitude_and_latitude_is_refused(tmp_path: Path) -> None:
    assert refusal(table(tmp_path / "p.csv", COMMA), crs="EPSG:32631").facts["crs"] == "WGS 84"


def test_projected_numbers_under_names_of_degrees_are_read_with_the_crs_that_is_stated(tmp_path: Path) -> None:
    path = table(tmp_path / "p.csv", "lon,lat,crop\n500000,5000000,a\n500010,5000000,b\n")
    assert refusal(path).facts["key"] == "crs"
    assert places(read(path, crs="EPSG:32631")) == [(500_000, 5_000_000), (500_010, 5_000_000)]


@pytest.mark.parametrize("blank", ["", " ", "NA", "nan", "NULL", "None", "-"])
def test_blank_coordinates_are_rows_without_a_place(tmp_path: Path, blank: str) -> None:
    layer = read(table(tmp_path / "p.csv", f"lon;lat;crop\n3;47;a\n{blank};47;b\n3;{blank};c\n"))
    assert layer.frame.geometry.isna().tolist() == [False, True, True]
    assert list(layer.frame["crop"]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "written", ["3°1'22\"E", "3.02E", "three", "1_1", "5.280.123,4", "5,280,123.4", "inf", "0x10", "٣", "3 022", "+-3"]
)
def test_coordinates_that_are_not_decimal_numbers_are_refused_with_their_row(tmp_path: Path, written: str) -> None:
    quoted = written.replace('"', '""')
    error = refusal(table(tmp_path / "p.csv", f'lon;lat;crop\n3;47;a\n"{quoted}";47;b\n'))
    assert (error.facts["column"], error.facts["row"]) == ("lon", 2)


def test_exchanged_longitude_and_latitude_are_noticed_if_a_latitude_is_impossible(tmp_path: Path) -> None:
    error = refusal(table(tmp_path / "p.csv", "lon,lat,crop\n-15.1,121.5,a\n-15.2,121.6,b\n"))
    assert "exchanged" in str(error)
    assert "key" not in error.facts


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("name,crop\nfarm,a\n", "columns"),
        ("lat,crop\n3,a\n", "columns"),
        ("lat,latitude,lon\n1,2,3\n", "columns"),
        ("lon,lat,crop,crop\n1,2,a,b\n", "column"),
        ("lon,lat,crop\n1,2,maize, grain\n", "line"),
        ("3.02,47.67,wheat\n3.03,47.68,maize\n", "columns"),
        ("lon,lat,crop\n", "rows"),
    ],
    ids=["no places", "one coordinate", "two latitudes", "name twice", "more cells", "no header", "no rows"],
)
def test_a_table_that_does_not_say_where_its_rows_are_is_refused(tmp_path: Path, text: str, fact: str) -> None:
    assert fact in refusal(table(tmp_path / "p.csv", text)).facts


def test_text_that_is_not_utf8_needs_the_encoding_that_the_user_states(tmp_path: Path) -> None:
    path = table(tmp_path / "p.csv", COMMA.encode("cp1252"))
    assert refusal(path).facts == {"path": path, "key": "encoding", "line": 3}
    assert list(read(path, encoding="cp1252").frame["crop"]) == CROPS
    for unknown in ("latin-99", "zlib", "rot13", ""):
        assert refusal(path, encoding=unknown).facts["encoding"] == unknown
    layer = read(table(tmp_path / "q.csv", COMMA), encoding="cp1252")
    assert ["encoding" in note for note in layer.notes] == [True]  # UTF-8 under a wrong name


SQUARE = shapely.box(3, 47, 4, 48)


@pytest.mark.parametrize(
    "written",
    [
        SQUARE.wkt,
        f"SRID=4326;{SQUARE.wkt}",
        shapely.to_wkb(shapely.set_srid(SQUARE, 4326), hex=True, include_srid=True),
        shapely.to_geojson(SQUARE),
    ],
    ids=["WKT", "EWKT", "WKB", "GeoJSON"],
)
@pytest.mark.parametrize("name", ["wkt", "WKT_GEOM", "geometry", ".geo"])
def test_a_column_of_shapes_is_the_place(tmp_path: Path, name: str, written: str) -> None:
    quoted = '"{}"'.format(written.replace('"', '""'))
    path = table(tmp_path / "p.csv", f"crop,{name}\na,{quoted}\nb,\n")
    layer = read(path, crs="EPSG:4326")
    assert layer.frame.geometry[0].equals(SQUARE)
    assert layer.frame.geometry.isna().tolist() == [False, True]
    if written == SQUARE.wkt:
        assert refusal(path).facts["key"] == "crs"


def test_shapes_with_a_fault_or_in_two_systems_are_refused(tmp_path: Path) -> None:
    error = refusal(table(tmp_path / "p.csv", 'wkt\nPOINT (3 47)\n"POLYGON ((3 47, 4"\n'), crs="EPSG:4326")
    assert (error.facts["column"], error.facts["row"]) == ("wkt", 2)
    error = refusal(table(tmp_path / "q.csv", "wkt\nSRID=4326;POINT (3 47)\nSRID=32631;POINT (3 47)\n"))
    assert error.facts["column"] == "wkt"


def test_an_outline_of_more_than_128_kilobytes_is_read(tmp_path: Path) -> None:
    ring = shapely.Point(3, 47).buffer(1, quad_segs=4000)
    assert len(ring.wkt) > 200_000
    layer = read(table(tmp_path / "p.csv", f'wkt,crop\n"{ring.wkt}",a\n'), crs="EPSG:4326")
    assert layer.frame.geometry[0].equals_exact(ring, 1e-9)


def test_parquet_without_geometry_metadata_is_a_table_of_places(tmp_path: Path) -> None:
    lon, lat = zip(*PLACES, strict=True)
    frame = pandas.DataFrame({"crop": CROPS, "lon": lon, "lat": np.array(lat)})
    frame.to_parquet(tmp_path / "points.parquet")
    assert places(read(tmp_path / "points.parquet")) == PLACES
    shapes = pandas.DataFrame({"crop": ["a"], "geometry": [SQUARE.wkb]})
    shapes.to_parquet(tmp_path / "shapes.parquet")
    assert refusal(tmp_path / "shapes.parquet").facts["key"] == "crs"
    assert read(tmp_path / "shapes.parquet", crs="EPSG:4326").frame.geometry[0].equals(SQUARE)
