"""Areas in several zones and across longitude 180: the same area whichever way it is written, and true margins."""

from pathlib import Path

import geopandas
import pytest
from pyproj import Geod
from shapely import Point, Polygon, box, union_all

from agrifm.errors import ConfigError
from agrifm.scene.area import read_area

CUT = union_all([box(179, -17, 180, -16), box(-180, -17, -179, -16)])
"""One degree on either side of longitude 180."""


def read(tmp_path: Path, shapes: list[Polygon], crs: str = "EPSG:4326"):
    frame = geopandas.GeoDataFrame(geometry=shapes, crs=crs)
    frame.to_file(tmp_path / "area.gpkg")
    return read_area(Path("area.gpkg"), tmp_path, divided=True).shape


@pytest.mark.parametrize(
    "shapes",
    [list(CUT.geoms), [box(179, -17, 181, -16)], [box(-181, -17, -179, -16)]],
    ids=["cut", "beyond 180", "beyond -180"],
)
def test_an_area_across_longitude_180_is_read_in_each_form(tmp_path: Path, shapes: list[Polygon]) -> None:
    found = read(tmp_path, shapes)
    assert found.symmetric_difference(CUT).area < 1e-9


def test_edges_that_go_round_the_globe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, [Polygon([(179, -17), (-179, -17), (-179, -16), (179, -16)])])
    assert error.value.facts["polygons"] == 1


def test_a_box_crosses_longitude_180_where_west_is_greater_than_east() -> None:
    assert read_area((179, -17, -179, -16), divided=True).shape.symmetric_difference(CUT).area < 1e-9


def test_an_area_in_a_projection_of_the_pacific_keeps_its_hole(tmp_path: Path) -> None:
    pacific = geopandas.GeoSeries([box(178, -18, 182, -15).difference(box(180.5, -17, 181, -16))], crs=4326).to_crs(
        3832
    )
    found = read(tmp_path, list(pacific), "EPSG:3832")
    assert found.area == pytest.approx(4 * 3 - 0.5, rel=1e-6)
    assert not found.contains(Point(-179.25, -16.5))
    assert found.contains(Point(-179.75, -16.5))


@pytest.mark.parametrize("shape", [box(5.9, 48, 6.1, 48.2), CUT, box(-70.1, -30, -69.9, -20)])
def test_a_margin_is_as_wide_as_geodesics_say(tmp_path: Path, shape: Polygon) -> None:
    frame = geopandas.GeoDataFrame(geometry=[shape], crs="EPSG:4326")
    frame.to_file(tmp_path / "area.gpkg")
    found = read_area(Path("area.gpkg"), tmp_path, buffer=5000, divided=True).shape
    west, south, _, north = max(part.bounds for part in getattr(shape, "geoms", [shape]))
    geod = Geod(ellps="WGS84")
    for x, y, azimuth in ((west, (south + north) / 2, 270), (west + 0.05, north, 0), (west + 0.05, south, 180)):
        for metres, is_inside in ((4980, True), (5020, False)):
            longitude, latitude, _ = geod.fwd(x, y, azimuth, metres)
            assert found.covers(Point(longitude, latitude)) == is_inside


def test_a_margin_over_longitude_180_reaches_the_other_side() -> None:
    found = read_area((179.5, -17, 179.99, -16), buffer=5000, divided=True).shape
    assert found.covers(Point(-179.97, -16.5))
    assert not found.covers(Point(-179.93, -16.5))


def test_latitudes_beyond_the_globe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="latitudes"):
        read(tmp_path, [box(0, 80, 1, 91)])
