"""Vector files as one layer with a CRS: what the file states, what the user states, and where the two disagree."""

import json
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import geopandas
import pytest
from shapely import Point, box
from shapely.geometry import mapping

from agrifm.errors import LabelError
from agrifm.vectors import VectorKeys, VectorLayer, count_if_exchanged, read_vector

UTM = "EPSG:32631"
FIELD = box(500_000, 5_000_000, 500_100, 5_000_100)


def read(path: Path | str, **keys: str) -> VectorLayer:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing of a library reaches the screen
        return read_vector(path, f"reading labels {path}", LabelError, keys=VectorKeys(**keys))


def refusal(path: Path, **keys: str) -> LabelError:
    with pytest.raises(LabelError) as caught:
        read(path, **keys)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return caught.value


def write(path: Path, *shapes: Any, crs: str | None = UTM, **options: Any) -> Path:
    frame = geopandas.GeoDataFrame(
        {"crop": [f"crop {row}" for row in range(len(shapes))]}, geometry=list(shapes), crs=crs
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path, **options)
    return path


def geojson(path: Path, *shapes: Any, **members: Any) -> Path:
    """A GeoJSON file as other programs write it."""
    features = [
        {"type": "Feature", "properties": {"crop": "a"}, "geometry": mapping(shape) if shape is not None else None}
        for shape in shapes
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", **members, "features": features}))
    return path


def named(crs: str) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": crs}}


@pytest.mark.parametrize("name", ["f.gpkg", "f.shp", "f.fgb", "f.parquet", "f.geojson"])
def test_each_format_gives_shapes_columns_and_crs(tmp_path: Path, name: str) -> None:
    layer = read(write(tmp_path / name, FIELD, box(500_200, 5_000_000, 500_300, 5_000_100)))
    assert layer.notes == ()
    assert layer.frame.crs.to_epsg() == 32631
    assert sorted(layer.frame["crop"]) == ["crop 0", "crop 1"]
    assert layer.frame.geometry.area.tolist() == pytest.approx([10_000, 10_000])


def test_text_is_a_path_too(tmp_path: Path) -> None:
    assert len(read(str(write(tmp_path / "f.gpkg", FIELD))).frame) == 1


@pytest.mark.parametrize("name", ["f.gpkg", "f.shp", "f.fgb", "f.parquet"])
def test_a_file_without_crs_needs_the_key(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, FIELD, crs=None)
    assert refusal(path).facts["key"] == "crs"
    assert read(path, crs=UTM).frame.crs.to_epsg() == 32631
    assert read(path, crs="32631").frame.crs.to_epsg() == 32631


def test_without_keys_the_remedy_is_to_assign_a_crs_to_the_file(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="ogr2ogr"):
        read_vector(write(tmp_path / "f.gpkg", FIELD, crs=None), "reading parcels", LabelError)


def test_projected_numbers_in_geojson_are_not_degrees(tmp_path: Path) -> None:
    path = geojson(tmp_path / "f.geojson", FIELD)
    error = refusal(path)
    assert error.facts["key"] == "crs"
    assert "not degrees" in str(error)
    layer = read(path, crs=UTM)
    assert layer.frame.crs.to_epsg() == 32631
    assert layer.frame.geometry[0].equals(FIELD)


@pytest.mark.parametrize(
    "crs", [named("urn:ogc:def:crs:EPSG::32631"), named(UTM), {"type": "EPSG", "properties": {"code": 32631}}]
)
def test_the_crs_member_of_older_geojson_is_used(tmp_path: Path, crs: dict[str, Any]) -> None:
    assert read(geojson(tmp_path / "f.geojson", FIELD, crs=crs)).frame.crs.to_epsg() == 32631


@pytest.mark.parametrize("crs", [None, named("Gauss-Kruger"), {}, "EPSG:32631x", {"type": "link", "properties": {}}])
def test_a_crs_member_that_is_not_known_is_not_taken_for_degrees(tmp_path: Path, crs: Any) -> None:
    path = geojson(tmp_path / "f.geojson", box(3, 47, 4, 48), crs=crs)
    assert refusal(path).facts["key"] == "crs"
    assert read(path, crs="EPSG:4326").frame.crs.to_epsg() == 4326


def test_degrees_under_a_crs_in_metres_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "f.gpkg", box(3, 47, 4, 48), crs=UTM)
    assert refusal(path).facts["key"] == "crs"
    assert read(path, crs="EPSG:4326").frame.total_bounds.tolist() == [3, 47, 4, 48]


def test_a_key_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.gpkg", FIELD)
    assert "UTM zone 31N" in refusal(path, crs="EPSG:32632").facts["crs"]
    assert refusal(path, crs="EPSG:4326").facts["crs"]
    assert len(read(path, crs=UTM).frame) == 1
    shapefile = write(tmp_path / "f.shp", FIELD)  # states the same in Esri's words
    assert len(read(shapefile, crs=UTM).frame) == 1


@pytest.mark.parametrize("crs", ["EPSG:999999", "UTM 31", "", "EPSG:5773"])
def test_a_key_that_does_not_say_where_is_refused(tmp_path: Path, crs: str) -> None:
    assert refusal(write(tmp_path / "f.gpkg", FIELD), crs=crs).facts["crs"] == crs


def test_a_single_shape_off_the_globe_is_counted(tmp_path: Path) -> None:
    path = geojson(tmp_path / "f.geojson", *[Point(3, lat) for lat in (45, 46, 47)], Point(3, 4711))
    layer = read(path)
    assert layer.frame.geometry.isna().tolist() == [False, False, False, True]
    assert layer.notes[0].startswith("1 of 4")


def test_a_layer_is_named_if_there_are_several(tmp_path: Path) -> None:
    path = write(tmp_path / "f.gpkg", FIELD, layer="fields2023")
    write(path, FIELD, FIELD, layer="fields2024", mode="a")
    assert refusal(path).facts["layers"] == ["fields2023", "fields2024"]
    assert len(read(path, layer="fields2024").frame) == 2
    error = refusal(path, layer="Fields2024")
    assert error.facts["layer"] == "Fields2024"
    assert "did you mean 'fields2024'" in str(error)


@pytest.mark.parametrize("name", ["f.shp", "f.geojson", "f.parquet", "f.fgb"])
def test_a_layer_that_the_file_lacks_is_refused_in_every_format(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, FIELD)
    assert refusal(path, layer="g").facts["layer"] == "g"
    assert len(read(path, layer="f").frame) == 1


def test_tables_and_empty_layers_next_to_the_only_layer_do_not_count(tmp_path: Path) -> None:
    path = write(tmp_path / "f.gpkg", FIELD, layer="fields")
    empty = geopandas.GeoDataFrame({"crop": []}, geometry=[], crs=UTM)
    empty.to_file(path, layer="drafts", mode="a", geometry_type="Polygon")
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, style TEXT)")
        base.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 's')"
        )
    base.close()
    assert len(read(path).frame) == 1


def test_missing_empty_and_collected_shapes_of_geojson_give_no_warning(tmp_path: Path) -> None:
    path = geojson(tmp_path / "f.geojson", box(3, 47, 4, 48), None)
    text = path.read_text().replace('"geometry": null', '"geometry": {"type": "GeometryCollection", "geometries": []}')
    path.write_text(text)
    assert read(path).frame.geometry.isna().tolist() == [False, True]


def test_coordinates_as_text_in_geojson_have_no_place(tmp_path: Path) -> None:
    path = geojson(tmp_path / "f.geojson", Point(3, 47), Point(4, 48))
    path.write_text(path.read_text().replace("[3.0, 47.0]", '["3.0", "47.0"]'))
    assert read(path).frame.geometry.isna().tolist() == [True, False]


def test_an_open_ring_is_closed(tmp_path: Path) -> None:
    path = geojson(tmp_path / "f.geojson", box(3, 47, 4, 48))
    document = json.loads(path.read_text())
    document["features"][0]["geometry"]["coordinates"][0].pop()
    path.write_text(json.dumps(document))
    assert read(path).frame.geometry[0].equals(box(3, 47, 4, 48))


def test_shapes_that_would_be_inside_with_exchanged_coordinates_are_counted() -> None:
    frame = geopandas.GeoDataFrame(geometry=[Point(47.5, 3.5), Point(3.5, 47.5), None, Point(20, 20)], crs=4326)
    assert count_if_exchanged(frame, box(3, 47, 4, 48)) == 1
    easting, northing = 500_000, 5_250_000
    frame = geopandas.GeoDataFrame(geometry=[Point(northing, easting), Point(easting, northing)], crs=UTM)
    assert count_if_exchanged(frame, box(2, 47, 4, 48)) == 1
