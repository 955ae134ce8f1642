"""Files of vectors: what is opened as which format, archives and folders, encodings, and what is never opened."""

import os
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import geopandas
import pytest
from shapely import Point, box

from agrifm import vector_files
from tests.servers import Request, serving
from tests.test_vectors import FIELD, UTM, geojson, read, refusal, write

TEXT = ["Blüte", "Weißkohl"]


def zipped(path: Path, files: dict[str, Path | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content.read_bytes() if isinstance(content, Path) else content)
    return path


def parts(shapefile: Path, folder: str = "") -> dict[str, Path | bytes]:
    """The files of a Shapefile, by their names in an archive."""
    return {f"{folder}{part.name}": part for part in shapefile.parent.glob(f"{shapefile.stem}.*")}


@pytest.mark.parametrize("folder", ["", "deep/", "a/b c/", "../../"])
def test_a_zipped_shapefile_is_read_in_any_folder_of_the_archive(tmp_path: Path, folder: str) -> None:
    shapefile = write(tmp_path / "labels.shp", FIELD)
    content = parts(shapefile, folder) | {
        "readme.txt": b"x",
        "__MACOSX/._labels.shp": b"x",
        "codes.csv": b"code,name\n",
    }
    layer = read(zipped(tmp_path / "l.zip", content))
    assert layer.frame.geometry[0].equals(FIELD)
    assert layer.frame.crs.to_epsg() == 32631


@pytest.mark.parametrize("name", ["f.gpkg", "f.geojson", "f.parquet", "f.fgb"])
def test_other_formats_are_read_from_archives_too(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, FIELD)
    assert read(zipped(tmp_path / "l.zip", {f"x/{name}": path})).frame.geometry[0].equals(FIELD)
    table = read(zipped(tmp_path / "t.zip", {"points.csv": b"lon,lat\n3,47\n"}))
    assert table.frame.geometry[0] == Point(3, 47)


def test_one_of_several_files_is_named_by_layer(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "one.shp", FIELD)
    write(tmp_path / "data" / "two.shp", FIELD, FIELD)
    archive = zipped(
        tmp_path / "l.zip", parts(tmp_path / "data" / "one.shp", "d/") | parts(tmp_path / "data" / "two.shp", "d/")
    )
    for path, prefix in ((archive, "d/"), (tmp_path / "data", "")):
        assert refusal(path).facts["layers"] == [f"{prefix}one.shp", f"{prefix}two.shp"]
        assert len(read(path, layer="two").frame) == 2
        assert len(read(path, layer="one.shp").frame) == 1
        assert "did you mean" in str(refusal(path, layer="tow"))
    write(tmp_path / "data" / "three.gpkg", FIELD, FIELD, FIELD, layer="fields")
    assert (
        len(read(zipped(tmp_path / "g.zip", {"three.gpkg": tmp_path / "data" / "three.gpkg"}), layer="fields").frame)
        == 3
    )


def test_a_folder_with_one_vector_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "f.shp", FIELD)
    (tmp_path / "data" / "notes.txt").write_text("x")
    assert len(read(tmp_path / "data").frame) == 1
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty").facts["files"] == []


def test_a_file_geodatabase_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "f.gdb", FIELD, driver="OpenFileGDB", layer="fields")
    assert read(path).frame.geometry[0].equals(FIELD)
    assert refusal(path, layer="field").facts["layers"] == ["fields"]
    (tmp_path / "empty.gdb").mkdir()
    refusal(tmp_path / "empty.gdb")


def test_a_relative_path_is_read_in_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "what!:").mkdir()
    for name in ("f.shp", "f.gpkg"):
        write(tmp_path / name, FIELD)
    for part in tmp_path.glob("f.*"):
        shutil.move(part, tmp_path / "what!:")
    monkeypatch.chdir(tmp_path / "what!:")
    for name in ("f.shp", "f.gpkg"):
        assert read(Path(name)).frame.geometry[0].equals(FIELD)


@pytest.mark.parametrize("content", [b"PK\x03\x04broken", b"PK\x05\x06" + 18 * b"\0"])
def test_an_archive_that_is_damaged_or_empty_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "l.zip"
    path.write_bytes(content)
    refusal(path)


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files, "LARGEST", 1000)
    assert refusal(zipped(tmp_path / "l.zip", {"a.geojson": b" " * 2000})).facts["bytes"] == 2000


def shapefile(folder: Path, encoding: str, cpg: str | None) -> Path:
    frame = geopandas.GeoDataFrame({"crop": TEXT}, geometry=[FIELD, FIELD], crs=UTM)
    path = folder / "labels.shp"
    frame.to_file(path, encoding=encoding)
    (folder / "labels.cpg").unlink() if cpg is None else (folder / "labels.cpg").write_text(cpg)
    return path


@pytest.mark.parametrize(
    ("encoding", "cpg"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8", "65001"),
        ("utf-8", "utf8\n"),
        ("utf-8", None),
        ("utf-8", ""),
        ("utf-8", "System"),
        ("ISO-8859-1", "ISO-8859-1"),
        ("ISO-8859-1", "88591"),
        ("cp1252", "1252"),
        ("cp1252", "ANSI 1252"),
        ("cp1250", "CP1250"),
        ("cp850", "850"),
    ],
)
def test_text_of_shapefiles_is_read_as_they_state_it(tmp_path: Path, encoding: str, cpg: str | None) -> None:
    layer = read(shapefile(tmp_path, encoding, cpg))
    assert list(layer.frame["crop"]) == TEXT
    assert layer.notes == ()


def test_a_cpg_file_that_lies_is_named_and_overruled_by_the_key(tmp_path: Path) -> None:
    path = shapefile(tmp_path, "ISO-8859-1", "UTF-8")
    assert refusal(path).facts["key"] == "encoding"
    assert "labels.cpg" in str(refusal(path))
    assert list(read(path, encoding="latin-1").frame["crop"]) == TEXT


def test_text_in_an_unstated_encoding_is_read_with_a_note(tmp_path: Path) -> None:
    layer = read(shapefile(tmp_path, "cp1252", None))
    assert list(layer.frame["crop"]) == TEXT
    assert ["`encoding`" in note for note in layer.notes] == [True]


def test_utf8_under_the_name_of_another_encoding_is_noticed(tmp_path: Path) -> None:
    layer = read(shapefile(tmp_path, "utf-8", "ISO-8859-1"))
    assert ["BlÃ¼te" in note or "WeiÃ" in note for note in layer.notes] == [True]
    assert read(tmp_path / "labels.shp", encoding="utf-8").notes == ()


@pytest.mark.parametrize("name", ["f.gpkg", "f.geojson"])
def test_text_that_is_not_utf8_in_other_formats_needs_the_key(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, FIELD)
    path.write_bytes(path.read_bytes().replace(b"crop 0", b"Bl\xfcte0"))
    assert refusal(path).facts["key"] == "encoding"
    assert read(path, encoding="cp1252").frame["crop"][0] == "Blüte0"


@pytest.mark.parametrize("name", ["labels.GEOJSON", "labels.json", "labels", "labels.gpkg"])
def test_geojson_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    assert len(read(geojson(tmp_path / name, Point(3, 47))).frame) == 1


def test_geojson_by_lines_and_single_features_are_read(tmp_path: Path) -> None:
    feature = '{"type": "Feature", "properties": {"crop": "a"}, "geometry": {"type": "Point", "coordinates": [3, 47]}}'
    for name, text in (
        ("l.geojsonl", f"{feature}\n{feature}\n"),
        ("l.json", f"{feature}\n{feature}\n"),
        ("s.json", feature),
    ):
        (tmp_path / name).write_text(text)
        assert len(read(tmp_path / name).frame) == text.count("Feature")


VRT = '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'
KML = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>fields</name><Placemark><name>a</name><ExtendedData>
<Data name="crop"><value>wheat</value></Data></ExtendedData><Polygon><outerBoundaryIs><LinearRing><coordinates>
3,47,10 4,47,10 4,48,10 3,48,10 3,47,10</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>
</Document></kml>"""
GPX = """<?xml version="1.0"?><gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1">
<wpt lat="47" lon="3"><name>wheat</name></wpt></gpx>"""


GML = """<?xml version="1.0"?>{head}
<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" xmlns:gml="http://www.opengis.net/gml" xmlns:a="http://a"
 xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://a {schema}"><gml:featureMember><a:f fid="1"><a:crop>010</a:crop>
<a:link xlink:href="{link}/other.xml#a"/><a:place><gml:Point srsName="EPSG:32631"><gml:coordinates>500000,5100000
</gml:coordinates></gml:Point></a:place></a:f></gml:featureMember></wfs:FeatureCollection>"""


def test_kml_kmz_and_gpx_are_read(tmp_path: Path) -> None:
    (tmp_path / "f.kml").write_text(KML)
    zipped(tmp_path / "f.kmz", {"doc.kml": KML.encode()})
    for name in ("f.kml", "f.kmz"):
        layer = read(tmp_path / name)
        assert layer.frame.geometry[0].equals(box(3, 47, 4, 48))
        assert not layer.frame.geometry.has_z.any()
        assert list(layer.frame["crop"]) == ["wheat"]
    (tmp_path / "f.gpx").write_text(GPX)
    assert read(tmp_path / "f.gpx").frame.geometry[0] == Point(3, 47)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("f.gml", {"driver": "GML"}),
        ("f.tab", {"driver": "MapInfo File"}),
        ("f.mif", {"driver": "MapInfo File", "FORMAT": "MIF"}),
    ],
)
def test_gml_and_mapinfo_are_read(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    (tmp_path / "in").mkdir()
    frame = geopandas.GeoDataFrame({"crop": ["010", "Rübe"]}, geometry=[FIELD, FIELD.buffer(10)], crs=32631)
    frame.to_file(tmp_path / "in" / name, engine="pyogrio", **options)
    before = sorted(path.name for path in (tmp_path / "in").iterdir())
    layer = read(tmp_path / "in" / name)
    assert list(layer.frame["crop"]) == ["010", "Rübe"]
    assert layer.frame.geometry[0].equals(FIELD)
    assert layer.frame.crs.to_epsg() == 32631
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == before
    archive = zipped(tmp_path / "l.zip", parts(tmp_path / "in" / name))
    assert list(read(archive).frame["crop"]) == ["010", "Rübe"]


def test_a_gml_file_asks_no_server_and_opens_no_other_file(tmp_path: Path) -> None:
    """Addresses of a schema, in GDAL's own notation too, and a link to another document."""
    asked: list[str] = []

    def answer(request: Request) -> tuple[int, dict[str, str], bytes]:
        asked.append(request.path)
        return 404, {}, b""

    with serving(answer) as server:
        wfs = f"{server.url}/wfs?service=WFS&amp;version=1.0.0&amp;request=DescribeFeatureType&amp;typeName=a:f"
        for number, address in enumerate((wfs, f"/vsicurl/{server.url}/f.xsd", str(tmp_path / "f.xsd"))):
            (tmp_path / f"{number}.gml").write_text(GML.format(schema=address, link=server.url, head=""))
            assert list(read(tmp_path / f"{number}.gml").frame["crop"]) == ["010"]
    assert asked == []
    (tmp_path / "e.gml").write_text(
        GML.format(schema="f.xsd", link="x", head='<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>')
    )
    refusal(tmp_path / "e.gml")


@pytest.mark.parametrize(
    "kind", ["DBF", 'NATIVE Charset "Neutral"\n  Fields 1\n    a Char (9);\nbegin_metadata\n"\\IsSeamless" = "TRUE"']
)
def test_a_mapinfo_table_that_leads_to_other_files_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "f.tab").write_text(f"!table\n!version 300\n\nDefinition Table\n  Type {kind}\n")
    refusal(tmp_path / "f.tab")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.vrt", VRT),
        ("a.gpkg", VRT),
        ("a.kml", f"<kml><!-- {VRT} --></kml>"),
        ("a.json", '{{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read {} ! write stream"}}'),
        ("a.wfs", "<OGRWFSDataSource><URL>http://127.0.0.1:1/</URL></OGRWFSDataSource>"),
        ("a.gml", '<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml"></gml:FeatureCollection>'),
        ("a.geojson", "<!DOCTYPE html><html><body>Not found</body></html>"),
        ("a.csv", "<!DOCTYPE html><html><body>Not found</body></html>"),
        ("a.geojson", '{{"type": "Topology", "objects": {{}}, "arcs": []}}'),
        ("a.geojson", '{{"features": [{{"attributes": {{}}, "geometry": {{"x": 1, "y": 2}}}}]}}'),
        ("a.geojson", '{{"geometryType": "esriGeometryPoint", "features": [{{"geometry": {{"x": 1, "y": 2}}}}]}}'),
        ("a.geojson", '[{{"type": "Feature", "properties": {{}}, "geometry": null}}]'),
        ("a.geojson", '{{"type": "FeatureCollection", "features": [{{"type": "Feature", "geo'),
        ("a.geojson", ""),
        ("a.shp", "not a Shapefile"),
        ("a.parquet", "PAR1 cut off"),
        ("a.gpkg", "SQLite format 3\0 cut off"),
        ("a.fgb", "fgb cut off"),
        ("a.xlsx", "PK\3\4"),
        ("a.dbf", "\3"),
        ("a.unknown", "3,47,a"),
        ("/vsicurl/http://127.0.0.1:1/a.geojson", None),
        ("http://127.0.0.1:1/a.geojson", None),
    ],
)  # fmt: skip
def test_what_is_not_a_vector_file_or_leads_elsewhere_is_refused(
    tmp_path: Path, name: str, content: str | None
) -> None:
    path = Path(name) if content is None else tmp_path / name
    if content is not None:
        path.write_text(content.format(write(tmp_path / "target.gpkg", FIELD)))
    refusal(path)


def test_the_other_parts_of_a_shapefile_lead_to_it(tmp_path: Path) -> None:
    write(tmp_path / "f.shp", FIELD)
    for ending in (".shx", ".dbf", ".prj"):
        assert "give f.shp" in str(refusal(tmp_path / f"f{ending}"))
    (tmp_path / "f.shx").unlink()
    assert ".shx" in str(refusal(tmp_path / "f.shp"))


@pytest.mark.parametrize("folder", ["what!", "zip!a.zip", "ü b#1?x=50%[2024]", "http:"])
@pytest.mark.parametrize("name", ["f.shp", "f.gpkg", "f.geojson", "f.fgb", "f.parquet"])
def test_names_of_folders_mean_nothing(tmp_path: Path, folder: str, name: str) -> None:
    (tmp_path / folder).mkdir()
    assert read(write(tmp_path / name, FIELD)).notes == ()
    for part in tmp_path.glob("f.*"):
        shutil.move(part, tmp_path / folder)
    assert read(tmp_path / folder / name).frame.geometry[0].equals(FIELD)


def with_log(path: Path) -> Path:
    """A GeoPackage whose last change is in its write-ahead log."""
    source = write(path.with_name("open.gpkg"), FIELD, FIELD)
    base = sqlite3.connect(source, isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("CREATE TABLE notes (note TEXT)")
    base.execute("INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('notes', 'attributes', 'n')")
    for ending in ("", "-wal"):
        shutil.copy(f"{source}{ending}", f"{path}{ending}")
    base.close()
    source.unlink()
    assert Path(f"{path}-wal").stat().st_size > 0
    return path


def test_changes_in_the_log_of_a_geopackage_are_read_also_from_a_read_only_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    path = with_log(tmp_path / "data" / "f.gpkg")
    monkeypatch.setattr(os, "access", lambda *_: False)
    before = sorted(entry.name for entry in (tmp_path / "data").iterdir())
    assert refusal(path, layer="n").facts["layers"] == ["open", "notes"]
    assert len(read(path).frame) == 2
    assert sorted(entry.name for entry in (tmp_path / "data").iterdir()) == before


def test_a_table_of_a_geopackage_may_have_coordinates(tmp_path: Path) -> None:
    path = write(tmp_path / "f.gpkg", FIELD)
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE points (fid INTEGER PRIMARY KEY, lon REAL, lat REAL, crop TEXT)")
        base.execute("INSERT INTO points VALUES (1, 3.5, 47.5, 'wheat')")
        base.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('points', 'attributes', 'p')"
        )
    base.close()
    layer: Any = read(path, layer="points")
    assert layer.frame.geometry[0] == Point(3.5, 47.5)


@pytest.mark.parametrize("name", ["f.shp", "f.gpkg", "f.fgb", "f.parquet", "f.geojson", "f.geojsonl"])
@pytest.mark.parametrize("share", [0.4, 0.97])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, name: str, share: float) -> None:
    shapes = [box(3 + step / 100, 47, 3.005 + step / 100, 48) for step in range(40)]
    options = {"driver": "GeoJSONSeq"} if name == "f.geojsonl" else {}
    path = write(tmp_path / name, *shapes, crs="EPSG:4326", **options)
    assert len(read(path).frame) == 40
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refusal(path)


def test_a_shapefile_with_the_table_of_another_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "one.shp", FIELD)
    write(tmp_path / "two.shp", FIELD, FIELD)
    shutil.copy(tmp_path / "one.dbf", tmp_path / "two.dbf")
    facts = refusal(tmp_path / "two.shp").facts
    assert (facts["shapes"], facts["rows"]) == (2, 1)
