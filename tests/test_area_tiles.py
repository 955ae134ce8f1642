"""The tiles of an area: every pixel once, each in its zone, the same ones whichever way an area is written."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.features import geometry_mask
from shapely import MultiPolygon, Point, Polygon, box
from shapely.affinity import scale

from agrifm.area_tiles import read_tile_list, tile_grid, tile_reach, tiles_of_area, tiles_of_list, write_tile_list
from agrifm.errors import ConfigError, CubeError

ODD = MultiPolygon(
    [
        Polygon(
            [(5.70, 48.90), (6.30, 48.95), (6.25, 49.25), (5.80, 49.20)],
            [[(5.95, 49.0), (6.05, 49.0), (6.05, 49.1), (5.95, 49.1)]],
        ),
        box(6.5, 49.0, 6.52, 49.3),
    ]
)
"""Two parts and a hole over the border of zones 31 and 32 at 6 degrees east."""


SMALL = scale(ODD, 0.1, 0.1, origin=(6, 49.05))


def geodesic(shape) -> float:
    """Hectares on the ellipsoid, with edges along straight lines of longitude and latitude."""
    dense = shapely.orient_polygons(shape.segmentize(0.002))
    return abs(Geod(ellps="WGS84").geometry_area_perimeter(dense)[0]) / 1e4


def counted(tile) -> np.ndarray:
    """(rows, columns) of the tile's grid: the pixels whose centre is in its area, by GDAL."""
    grid = tile_grid(tile)
    turn = Transformer.from_crs("EPSG:4326", tile.crs, always_xy=True)
    shape = shapely.transform(tile.area.segmentize(0.001), lambda xy: np.stack(turn.transform(*xy.T), -1))
    return geometry_mask([shape], grid.shape, grid.transform, invert=True)


def test_tiles_have_the_hectares_of_their_area() -> None:
    tiles = tiles_of_area(ODD, 10, 960)
    assert sum(geodesic(tile.area) for tile in tiles) == pytest.approx(geodesic(ODD), rel=1e-8)
    assert {tile.crs for tile in tiles} == {"EPSG:32631", "EPSG:32632"}


def test_every_pixel_belongs_to_one_tile_and_to_the_zone_of_its_centre() -> None:
    for crs, side in (("EPSG:32631", "west"), ("EPSG:32632", "east")):
        tiles = [tile for tile in tiles_of_area(SMALL, 2, 480) if tile.crs == crs]
        extents = np.array([tile.extent for tile in tiles])
        left, top = extents[:, 0].min(), extents[:, 3].max()
        shape = (top - extents[:, 1].min()) // 10, (extents[:, 2].max() - left) // 10
        seen = np.zeros(shape, int)
        for tile in tiles:
            row, col = (top - tile.extent[3]) // 10, (tile.extent[0] - left) // 10
            mask = counted(tile)
            seen[row : row + mask.shape[0], col : col + mask.shape[1]] += mask
        rows, cols = np.indices(shape, sparse=True)
        x, y = np.broadcast_arrays(left + 10 * cols + 5, top - 10 * rows - 5)
        longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
        of_zone = longitude < 6 if side == "west" else longitude >= 6
        inside = shapely.contains_xy(SMALL, longitude, latitude)
        differs = seen != (inside & of_zone)
        # a centre within a centimetre of a slanted edge may fall on either side of its curve
        assert differs.sum() <= 3
        near_border = abs(longitude - 6) < 0.001
        assert not differs[near_border].any()
        assert seen.max() == 1


def test_cores_of_a_zone_touch_and_never_overlap() -> None:
    tiles = [tile for tile in tiles_of_area(ODD, 10, 0) if tile.crs == "EPSG:32631"]
    cores = [box(*tile.core) for tile in tiles]
    assert shapely.area(shapely.union_all(cores)) == sum(core.area for core in cores)
    assert {edge % 9600 for tile in tiles for edge in tile.core} == {0}  # 20 squares of 480 m fit into 10 km
    assert all(not (edge % 480) for tile in tiles for edge in tile.extent)


def test_the_halo_is_around_the_area_of_a_tile() -> None:
    bare, wide = tiles_of_area(ODD, 10, 0), tiles_of_area(ODD, 10, 700)
    for one, other in zip(bare, wide, strict=True):
        assert np.array_equal(np.subtract(other.extent, one.extent), (-960, -960, 960, 960))


def test_a_naive_loop_over_squares_finds_the_same_tiles() -> None:
    tiles = [tile for tile in tiles_of_area(ODD, 10, 0) if tile.crs == "EPSG:32632"]
    turn = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True)
    east = ODD.intersection(box(6, 48, 7, 50)).segmentize(0.001)
    shape = shapely.transform(east, lambda xy: np.stack(turn.transform(*xy.T), -1))
    expected = []
    for bottom in range(5_405_000 // 9600 * 9600, 5_500_000, 9600):
        for left in range(250_000 // 9600 * 9600, 350_000, 9600):
            part = shape.intersection(box(left, bottom, left + 9600, bottom + 9600))
            grid = Affine(10, 0, left, 0, -10, bottom + 9600)
            if part.area and geometry_mask([part], (960, 960), grid, invert=True).any():
                expected.append((left, bottom))
    assert [tile.core[:2] for tile in tiles] == expected


def test_the_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    tiles = tiles_of_area(ODD, 10, 960)
    write_tile_list(tmp_path / "tiles.geojson", tiles)
    assert read_tile_list(tmp_path / "tiles.geojson") == tiles
    stated = json.loads((tmp_path / "tiles.geojson").read_text(encoding="utf-8"))["features"]
    assert sum(one["properties"]["hectares"] for one in stated) == pytest.approx(geodesic(ODD), rel=1e-6)
    listed = tiles_of_list(tmp_path / "tiles.geojson", ODD, 960)
    assert [(tile.name, tile.core, tile.extent) for tile in listed] == [
        (one.name, one.core, one.extent) for one in tiles
    ]
    assert all(one.area.symmetric_difference(tile.area).area < 1e-12 for one, tile in zip(listed, tiles, strict=True))


def edited(path: Path, change) -> Path:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["features"])
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_list_with_a_hole_is_refused_with_its_place_and_size(tmp_path: Path) -> None:
    tiles = tiles_of_area(ODD, 10, 960)
    write_tile_list(tmp_path / "tiles.geojson", tiles)
    lost = max(tiles, key=lambda tile: tile.area.area)
    number = tiles.index(lost)
    path = edited(tmp_path / "tiles.geojson", lambda features: features.pop(number))
    with pytest.raises(ConfigError) as error:
        tiles_of_list(path, ODD, 960)
    assert error.value.facts["hectares"] == pytest.approx(geodesic(lost.area), rel=2e-3)  # UTM's scale
    assert lost.area.contains(Point(error.value.facts["place"]))


def test_squares_that_overlap_or_are_elsewhere_are_refused(tmp_path: Path) -> None:
    tiles = tiles_of_area(ODD, 10, 960)
    write_tile_list(tmp_path / "tiles.geojson", tiles)
    path = tmp_path / "tiles.geojson"

    def widen(features) -> None:
        features[0]["properties"]["core"][2] += 480

    def elsewhere(features) -> None:
        features.append({**features[0], "properties": {**features[0]["properties"], "crs": "EPSG:32633"}})

    with pytest.raises(ConfigError) as error:
        tiles_of_list(edited(path, widen), ODD, 960)
    assert len(error.value.facts["squares"]) == 2
    write_tile_list(path, tiles)
    with pytest.raises(ConfigError, match="EPSG:32633"):
        tiles_of_list(edited(path, elsewhere), ODD, 960)
    write_tile_list(path, tiles)
    with pytest.raises(ConfigError, match="480"):
        tiles_of_list(edited(path, lambda features: features[0]["properties"].update(core=[1, 2, 3, 4])), ODD, 960)


def test_a_sliver_without_the_centre_of_a_pixel_is_no_tile() -> None:
    turn = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)
    # squares of 1920 m end at 480,000 m; the area reaches 3 m beyond, and its pixels' centres are 5 m beyond
    sliver = shapely.transform(
        box(478_500, 5_520_000, 480_003, 5_521_000), lambda xy: np.stack(turn.transform(*xy.T), -1)
    )
    assert [tile.core for tile in tiles_of_area(sliver, 2, 0)] == [(478_080, 5_520_000, 480_000, 5_521_920)]


def test_a_long_country_is_divided_and_the_poles_are_refused() -> None:
    tiles = tiles_of_area(box(-70.5, -55, -70.4, -18), 500, 0)  # as long as Chile
    assert {tile.crs for tile in tiles} == {"EPSG:32719"}
    assert sum(geodesic(tile.area) for tile in tiles) == pytest.approx(geodesic(box(-70.5, -55, -70.4, -18)), rel=1e-8)
    with pytest.raises(CubeError, match="UTM"):
        tiles_of_area(box(10, 80, 11, 85), 100, 0)


def test_tiles_on_both_sides_of_longitude_180_stay_on_their_side() -> None:
    fiji = MultiPolygon([box(179.9, -17.1, 180, -16.9), box(-180, -17.1, -179.9, -16.9)])
    tiles = tiles_of_area(fiji, 10, 960)
    assert {tile.crs for tile in tiles} == {"EPSG:32760", "EPSG:32701"}
    assert sum(geodesic(tile.area) for tile in tiles) == pytest.approx(geodesic(fiji), rel=1e-8)
    for tile in tiles:
        west, _, east, _ = tile_reach(tile).bounds
        assert east - west < 0.2
        assert (west > 0) == (tile.crs == "EPSG:32760")
