"""Grids: arithmetic checked against pyproj, odc-geo and rasterio, and properties that hold for every area."""

import numpy as np
import pytest
import rasterio.warp
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from shapely import MultiPolygon, Point, Polygon, box

from agrifm.errors import CubeError
from agrifm.grid import Grid, Window, area_grid, divide_by_zone, geodesic_hectares, reproject, starts, tiles, utm_zone

UTM31 = "EPSG:32631"


@st.composite
def areas(draw: st.DrawFn) -> Polygon:
    """A box in longitude and latitude, up to 0.3 degrees wide, inside one UTM zone."""
    zone = draw(st.integers(0, 59))
    width, height = (draw(st.floats(0.001, 0.3)) for _ in range(2))
    west = -180 + 6 * zone + draw(st.floats(0, 1)) * (6 - width)
    south = draw(st.floats(-79.5, 83.5 - height))
    return box(west, south, min(west + width, -180 + 6 * (zone + 1)), south + height)


def utm(grid: Grid, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True).transform(lon, lat)


@given(areas())
def test_an_areas_grid_contains_the_area(area: Polygon) -> None:
    grid = area_grid(area)
    west, south, east, north = area.bounds
    along = np.linspace(0, 1, 400)
    lon, lat = west + along * (east - west), south + along * (north - south)
    edges = [
        (lon, np.full(400, south)),
        (lon, np.full(400, north)),
        (np.full(400, west), lat),
        (np.full(400, east), lat),
    ]
    x, y = (np.concatenate(part) for part in zip(*(utm(grid, *edge) for edge in edges), strict=True))
    left, bottom, right, top = grid.bounds
    # Edges are followed by 64 chords; their bulge stays below a metre at this size.
    assert left - 1 <= x.min()
    assert x.max() <= right + 1
    assert bottom - 1 <= y.min()
    assert y.max() <= top + 1
    assert right - left <= x.max() - x.min() + 2 * 480 + 2
    assert top - bottom <= y.max() - y.min() + 2 * 480 + 2


@given(areas())
def test_an_areas_grid_is_snapped_to_480_m_and_nests_at_every_pixel_side(area: Polygon) -> None:
    grid = area_grid(area)
    assert all(edge % 480 == 0 for edge in grid.bounds)
    for side in (10, 30, 240, 480):
        own = grid.at(side)
        assert own.bounds == grid.bounds
        assert own.resolution == side
        assert (grid.shape[0] * 10, grid.shape[1] * 10) == (own.shape[0] * side, own.shape[1] * side)


def test_an_areas_grid_may_start_from_coarser_pixels() -> None:
    area = box(2.3, 46.8, 2.4, 46.9)
    assert area_grid(area, 30) == area_grid(area).at(30)


def test_a_small_area_gets_the_one_square_it_lies_in() -> None:
    """Longitude 3 is the central meridian of zone 31: easting 500,000 m, in the square from 499,680 to 500,160."""
    grid = area_grid(Point(3, 46).buffer(1e-4))
    assert str(grid.crs) == UTM31
    assert grid.shape == (48, 48)
    assert grid.bounds[0] == 499_680


@pytest.mark.parametrize(
    ("area", "crs"),
    [
        (box(2, 46, 3, 47), "EPSG:32631"),
        (box(-55, -13, -54.5, -12), "EPSG:32721"),
        (box(0, 46, 6, 47), "EPSG:32631"),
        (box(179, -10, 180, -9), "EPSG:32760"),
        (box(-180, 10, -179, 11), "EPSG:32601"),
        (box(6, 46, 6, 47), "EPSG:32632"),
    ],
)
def test_an_area_lies_in_the_zone_that_contains_it(area: Polygon, crs: str) -> None:
    assert utm_zone(area) == crs


def test_an_area_over_two_zones_is_divided_along_their_border_without_loss() -> None:
    """Zones 31 and 32 meet at 6 degrees east (NGA.SIG.0012: zones of 6 degrees from 180 west on)."""
    area = box(5.5, 48, 6.25, 48.5)
    parts = divide_by_zone(area)
    assert {zone: part.bounds for zone, part in parts.items()} == {
        "EPSG:32631": (5.5, 48, 6, 48.5),
        "EPSG:32632": (6, 48, 6.25, 48.5),
    }
    assert sum(part.area for part in parts.values()) == pytest.approx(area.area)


@pytest.mark.parametrize(("longitude", "zone"), [(5.999, 32631), (6.0, 32632), (6.001, 32632), (-180.0, 32601)])
def test_a_point_belongs_to_the_one_zone_that_contains_it(longitude: float, zone: int) -> None:
    assert list(divide_by_zone(Point(longitude, 48))) == [f"EPSG:{zone}"]


def test_an_area_within_one_zone_stays_whole() -> None:
    area = box(6, 48, 12, 48.5)
    parts = divide_by_zone(area)
    assert list(parts) == ["EPSG:32632"]
    assert parts["EPSG:32632"].equals(area)


def test_an_area_over_two_zones_is_refused_with_where_to_cut_it() -> None:
    with pytest.raises(CubeError, match="UTM zones 31 to 32"):
        area_grid(box(5.9, 46, 6.1, 46.2))


@pytest.mark.parametrize("area", [box(2, 83, 3, 85), box(2, -81, 3, -70), box(480_000, 5_000_000, 481_000, 5_001_000)])
def test_an_area_outside_utm_is_refused(area: Polygon) -> None:
    with pytest.raises(CubeError, match="outside UTM"):
        utm_zone(area)


def test_an_area_with_a_corner_in_another_country_is_refused() -> None:
    area = Polygon([(2.31, 46.91), (2.32, 46.91), (2.32, 46.92), (2.31, -1)])
    with pytest.raises(CubeError) as error:
        utm_zone(area)
    assert (error.value.facts["south"], error.value.facts["north"]) == (-1, 46.92)


def test_an_empty_area_is_refused() -> None:
    with pytest.raises(CubeError, match="empty"):
        area_grid(Polygon())


def test_pixel_centres_are_those_of_rasterio() -> None:
    grid = Grid.of(UTM31, Affine(30, 0, 480_000, 0, -30, 5_520_000), (5, 7))
    xs, _ = rasterio.transform.xy(grid.transform, [0] * 7, range(7))
    _, ys = rasterio.transform.xy(grid.transform, range(5), [0] * 5)
    assert grid.x.tolist() == list(xs)
    assert grid.y.tolist() == list(ys)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20))
def test_the_grid_of_a_window_is_odc_geos(row: int, col: int, height: int, width: int) -> None:
    transform = Affine(10, 0, 480_000, 0, -10, 5_520_000)
    own = Grid.of(UTM31, transform, (60, 60)).window(Window(row, col, height, width))
    assert own.box == GeoBox((60, 60), transform, UTM31)[row : row + height, col : col + width]
    assert own.bounds[3] == 5_520_000 - 10 * row


def test_a_window_selects_its_pixels_and_scales_to_the_same_ground() -> None:
    window = Window(48, 96, 48, 144)
    assert np.arange(100 * 300).reshape(100, 300)[window.slices][0, 0] == 48 * 300 + 96
    assert window.scaled(48) == Window(1, 2, 1, 3)


def test_a_window_that_does_not_nest_cannot_be_scaled() -> None:
    with pytest.raises(AssertionError, match="does not nest"):
        Window(0, 0, 50, 48).scaled(48)


@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.integers(1, 120))
def test_tiles_cover_every_pixel_once(shape: tuple[int, int], side: int) -> None:
    covered = np.zeros(shape, int)
    for tile in tiles(shape, side):
        assert max(tile.height, tile.width) <= side
        covered[tile.slices] += 1
    assert (covered == 1).all()


@given(st.integers(1, 2000), st.integers(1, 300), st.data())
def test_windows_from_starts_cover_every_pixel_and_stay_inside(length: int, side: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, side))
    found = starts(length, side, stride)
    covered = np.zeros(length, bool)
    for start in found:
        assert 0 <= start <= max(length - side, 0)
        covered[start : start + side] = True
    assert covered.all()
    assert found == sorted(set(found))


@given(st.integers(1, 60), st.integers(1, 8), st.data())
def test_starts_nest_when_length_side_and_stride_do(length: int, side: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, side))
    assert all(start % 48 == 0 for start in starts(48 * length, 48 * side, 48 * stride))


@given(st.floats(-170, 170), st.floats(-80, 80), st.floats(0.001, 1))
def test_the_area_of_a_box_in_degrees_is_the_integral_over_the_ellipsoid(
    west: float, south: float, side: float
) -> None:
    """Authalic formula on WGS 84 for the zone between parallels; its edges are parallels, ours chords of geodesics."""
    a, f = 6_378_137.0, 1 / 298.257223563
    e = np.sqrt(f * (2 - f))

    def zone(latitude: float) -> float:
        s = np.sin(np.radians(latitude))
        return a**2 * (1 - e**2) / 2 * (s / (1 - e**2 * s**2) + np.arctanh(e * s) / e)

    expected = np.radians(side) * (zone(south + side) - zone(south)) / 1e4
    dense = box(west, south, west + side, south + side).segmentize(side / 200)
    assert geodesic_hectares(dense) == pytest.approx(expected, rel=1e-6)


RING = [(2, 46), (2.1, 46), (2.1, 46.1), (2, 46.1)]
HOLE = [(2.02, 46.02), (2.04, 46.02), (2.04, 46.04), (2.02, 46.04)]
FAR = [(3, 46), (3.1, 46), (3.1, 46.1), (3, 46.1)]


def ring_hectares(ring: list[tuple[float, float]]) -> float:
    area, _ = Geod(ellps="WGS84").polygon_area_perimeter(*zip(*ring, strict=True))
    return abs(area) / 1e4


@pytest.mark.parametrize("ring", [RING, RING[::-1]])
@pytest.mark.parametrize("hole", [HOLE, HOLE[::-1]])
def test_a_hole_is_subtracted_whichever_way_its_points_run(ring: list, hole: list) -> None:
    assert geodesic_hectares(Polygon(ring, [hole])) == pytest.approx(ring_hectares(RING) - ring_hectares(HOLE))


@pytest.mark.parametrize("other", [FAR, FAR[::-1]])
def test_parts_of_a_multipolygon_add_up_whichever_way_their_points_run(other: list) -> None:
    both = MultiPolygon([Polygon(RING), Polygon(other)])
    assert geodesic_hectares(both) == pytest.approx(ring_hectares(RING) + ring_hectares(FAR))


def test_pixels_in_metres_have_their_plane_area() -> None:
    grid = Grid.of(UTM31, Affine(30, 0, 480_000, 0, -30, 5_520_000), (3, 4))
    assert grid.pixel_hectares().tolist() == [0.09] * 3


def test_pixels_in_feet_are_counted_in_metres() -> None:
    """EPSG:2263 is in US survey feet of 1200/3937 m."""
    grid = Grid.of("EPSG:2263", Affine(100, 0, 980_000, 0, -100, 200_000), (2, 2))
    assert grid.pixel_hectares() == pytest.approx((100 * 1200 / 3937) ** 2 / 1e4)


@pytest.mark.parametrize("step", [-0.002, 0.002])
def test_pixels_in_degrees_have_their_geodesic_area_row_by_row(step: float) -> None:
    grid = Grid.of("EPSG:4326", Affine(0.001, 0, 10, 0, step, 50), (40, 3))
    for row in (0, 39):
        edges = sorted((50 + row * step, 50 + (row + 1) * step))
        ring = [(10, edges[0]), (10.001, edges[0]), (10.001, edges[1]), (10, edges[1])]
        assert grid.pixel_hectares()[row] == pytest.approx(ring_hectares(ring), rel=1e-6)


def test_a_footprint_follows_the_edges_of_the_grid() -> None:
    grid = Grid.of(UTM31, Affine(1000, 0, 300_000, 0, -1000, 5_600_000), (100, 100))
    footprint = grid.footprint()
    x, y = utm(grid, *np.array(footprint.exterior.coords).T)
    on_edge = (np.minimum(abs(x - 300_000), abs(x - 400_000)) < 1e-3) | (
        np.minimum(abs(y - 5_500_000), abs(y - 5_600_000)) < 1e-3
    )
    assert on_edge.all()
    assert len(x) >= 4 * 16
    assert geodesic_hectares(footprint) == pytest.approx(1e6, rel=2e-3)  # UTM's scale is 0.9996 to 1.0001 here


def test_a_geometry_is_moved_as_rasterio_moves_it() -> None:
    shape = Polygon([(2, 46), (2.5, 46.1), (2.2, 46.6)], [[(2.2, 46.2), (2.3, 46.2), (2.25, 46.3)]])
    moved = reproject(shape, "EPSG:4326", UTM31)
    expected = rasterio.warp.transform_geom("EPSG:4326", UTM31, shape)
    assert moved.geom_type == "Polygon"
    assert np.allclose(moved.exterior.coords, expected["coordinates"][0], atol=1e-3)
    assert np.allclose(moved.interiors[0].coords, expected["coordinates"][1], atol=1e-3)


def test_a_window_grows_as_far_as_the_grid_goes() -> None:
    assert Window(1, 10, 5, 6).grown(2, (30, 17)) == Window(0, 8, 8, 9)
    assert Window(1, 10, 5, 6).within(Window(0, 8, 8, 9)) == Window(1, 2, 5, 6)
