"""The area: a box or a file's polygons, repaired with a note, grown in metres, and never across longitude 180."""

from pathlib import Path

import geopandas
import pytest
from pyproj import Geod
from shapely import GeometryCollection, LineString, Point, Polygon, box
from tests.scenes import AREA, UTM

from agrifm.errors import ConfigError
from agrifm.scene.area import read_area
from agrifm.vectors import VectorKeys


def write_area(path: Path, *shapes, crs: str | None = "EPSG:4326") -> Path:
    frame = geopandas.GeoDataFrame(geometry=list(shapes), crs=crs)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


def test_an_area_may_be_a_box_in_degrees() -> None:
    assert read_area((2.0, 46.0, 2.5, 46.5)).shape.equals(box(2, 46, 2.5, 46.5))


@pytest.mark.parametrize("edges", [(2.5, 46, 2, 47), (2, 47, 3, 46), (2, 46, 2, 47), (100, 46, -79, 47)])
def test_an_empty_box_is_refused(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(ConfigError, match="west must be"):
        read_area(edges)


@pytest.mark.parametrize("name", ["area.geojson", "area.gpkg", "area.parquet"])
def test_an_area_is_the_union_of_a_files_shapes(tmp_path: Path, name: str) -> None:
    write_area(tmp_path / name, box(2, 46, 2.1, 46.1), box(2.05, 46, 2.2, 46.1))
    assert read_area(Path(name), tmp_path).shape.equals(box(2, 46, 2.2, 46.1))


def test_an_area_in_metres_comes_in_degrees(tmp_path: Path) -> None:
    write_area(tmp_path / "area.gpkg", box(499_000, 5_000_000, 501_000, 5_002_000), crs=UTM)
    west, _, east, _ = read_area(Path("area.gpkg"), tmp_path).shape.bounds
    assert (west + east) / 2 == pytest.approx(3, abs=1e-6)  # the zone's central meridian


def test_a_polygon_that_crosses_itself_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "area.geojson"
    ring = "[[2,46],[2.2,46.2],[2.2,46],[2,46.2],[2,46]]"
    path.write_text(
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},'
        f'"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}]}}'
    )
    area = read_area(path)
    assert area.shape.is_valid
    assert area.shape.area == pytest.approx(0.02)
    assert "1 of 1 polygons" in area.notes[0]


@pytest.mark.parametrize("shape", [Point(2, 46), LineString([(2, 46), (3, 47)])])
def test_an_area_without_extent_is_refused(tmp_path: Path, shape) -> None:
    with pytest.raises(ConfigError) as caught:
        read_area(write_area(tmp_path / "area.geojson", shape))
    assert caught.value.facts["geometry"] == shape.geom_type


def test_an_area_without_crs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="coordinate reference system"):
        read_area(write_area(tmp_path / "area.parquet", AREA, crs=None))


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("absent.geojson", "check the path"),
        ("absent.parquet", "check the path"),
        ("broken.geojson", "GeoParquet"),
        ("broken.parquet", "GeoParquet"),
    ],
)
def test_an_area_that_cannot_be_read_is_refused(tmp_path: Path, name: str, fix: str) -> None:
    (tmp_path / "broken.geojson").write_text("<html>")
    (tmp_path / "broken.parquet").write_text("<html>")
    with pytest.raises(ConfigError, match=f"{name}: .*{fix}"):
        read_area(Path(name), tmp_path)


def test_a_box_across_longitude_180_is_refused_with_what_to_do() -> None:
    """As GeoJSON writes it (RFC 7946, section 5.2): west is greater than east."""
    with pytest.raises(ConfigError, match=r"longitude 180.*two projects"):
        read_area((179.5, -17, -179.5, -16))


@pytest.mark.parametrize(
    "shapes",
    [
        [box(179, -17, 180, -16), box(-180, -17, -179, -16)],  # cut in two, as GeoJSON asks
        [box(179.5, -17, 180.5, -16)],  # beyond 180
        [box(-179, -17, 179, -16)],  # edges that jump
    ],
)
def test_polygons_across_longitude_180_are_refused(tmp_path: Path, shapes: list[Polygon]) -> None:
    path = write_area(tmp_path / "area.gpkg", *shapes)
    with pytest.raises(ConfigError, match="longitude 180"):
        read_area(path)


def test_an_area_that_its_margin_pushes_across_longitude_180_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"5000 m.*longitude 180"):
        read_area((179.9, -17, 179.99, -16.9), buffer=5000)


@pytest.mark.parametrize("edges", [(480_000, 5_000_000, 490_000, 5_010_000), (2, 46, 3, 91), (2, 46, float("nan"), 47)])
def test_a_box_in_metres_or_off_the_globe_is_refused(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(ConfigError, match="degrees"):
        read_area(edges)


@pytest.mark.parametrize("latitude", [0.0, 46.0, -65.0])
def test_a_buffer_is_in_metres_on_the_ground(latitude: float) -> None:
    """Geodesic distances (GeographicLib, by pyproj) from the edges of the box to the grown outline."""
    west, south, east, north = read_area((3.0, latitude, 3.1, latitude + 0.1), buffer=1000).shape.bounds
    geod = Geod(ellps="WGS84")
    for start, end in (
        ((3.0, latitude + 0.05), (west, latitude + 0.05)),
        ((3.1, latitude + 0.05), (east, latitude + 0.05)),
        ((3.05, latitude + 0.1), (3.05, north)),
        ((3.05, latitude), (3.05, south)),
    ):
        assert geod.inv(*start, *end)[2] == pytest.approx(1000, rel=0.01)


def test_points_and_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    area = read_area(write_area(tmp_path / "area.gpkg", box(2, 46, 3, 47), Point(5, 5)))
    assert area.shape.equals(box(2, 46, 3, 47))
    (note,) = area.notes
    assert "1 of 2 shapes" in note


@pytest.mark.parametrize("nested", [False, True])
def test_the_polygons_of_a_collection_are_the_area(tmp_path: Path, nested: bool) -> None:
    collection = GeometryCollection([box(2, 46, 3, 47), Point(9, 9), LineString([(0, 0), (1, 1)])])
    area = read_area(write_area(tmp_path / "area.geojson", GeometryCollection([collection]) if nested else collection))
    assert area.shape.equals(box(2, 46, 3, 47))
    assert len(area.notes) == 1
    assert "2 other parts" in area.notes[0]


def test_shapes_without_a_place_are_counted(tmp_path: Path) -> None:
    area = read_area(write_area(tmp_path / "area.gpkg", box(2, 46, 3, 47), None, Polygon()))
    assert area.shape.equals(box(2, 46, 3, 47))
    assert "2 of 3" in area.notes[0]


def test_the_keys_of_an_area_are_for_its_file(tmp_path: Path) -> None:
    path = write_area(tmp_path / "area.geojson", box(499_000, 5_000_000, 501_000, 5_002_000))
    with pytest.raises(ConfigError) as caught:
        read_area(path)
    assert caught.value.facts["key"] == "crs"
    west, _, east, _ = read_area(path, keys=VectorKeys(crs=UTM)).shape.bounds
    assert (west + east) / 2 == pytest.approx(3, abs=1e-6)
    write_area(tmp_path / "area.gpkg", box(2, 46, 3, 47))
    geopandas.GeoDataFrame(geometry=[box(4, 46, 5, 47)], crs=4326).to_file(tmp_path / "area.gpkg", layer="farm")
    assert read_area(tmp_path / "area.gpkg", keys=VectorKeys(layer="farm")).shape.equals(box(4, 46, 5, 47))
