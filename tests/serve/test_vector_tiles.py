"""Vector tiles hold what GDAL reads from them: shapes within half a pixel, holes, parts and numbers."""

import numpy as np
import pytest
import shapely
from pyogrio import read_dataframe

from agrifm.serve.tile_places import tile_bounds
from agrifm.serve.vector_tiles import EXTENT, FINEST, encoded_tile

TILE = (14, 8297, 5768)


def read(content, tmp_path):
    """Shapes in units of the tile, rows from the north, by number."""
    (tmp_path / "tile.mvt").write_bytes(content)
    frame = read_dataframe(tmp_path / "tile.mvt")
    down = shapely.transform(frame.geometry.to_numpy(), lambda points: points * [1, -1] + [0, EXTENT])
    return dict(zip(frame["mvt_id"].tolist(), down, strict=True))


def placed(shapes):
    """Polygons in units of the tile as longitude and latitude."""
    west, south, east, north = tile_bounds(*TILE)
    mercator = np.arctanh(np.sin(np.radians([south, north])))

    def place(points):
        height = mercator[1] + points[:, 1] / EXTENT * (mercator[0] - mercator[1])
        lat = np.degrees(np.arcsin(np.tanh(height)))
        return np.stack([west + points[:, 0] / EXTENT * (east - west), lat], axis=1)

    return shapely.transform(np.array(shapes, object), place)


def test_shapes_are_those_that_were_given(tmp_path):
    generator = np.random.default_rng(0)
    ring = [(0, 0), (400, 30), (380, 300), (150, 420), (-20, 250)]
    hole = [(100, 100), (100, 200), (200, 200), (200, 100)]
    wanted = [
        shapely.affinity.translate(shapely.Polygon(ring, [hole] if number % 3 == 0 else []), *place)
        for number, place in enumerate(generator.uniform(100, 3500, (40, 2)))
    ]
    wanted.append(shapely.MultiPolygon([shapely.box(10, 10, 60, 90), shapely.box(3000, 3000, 3500, 3400)]))
    numbers = generator.permutation(10**6)[: len(wanted)]
    found = read(encoded_tile(placed(wanted), numbers, *TILE, "parcels"), tmp_path)
    assert found.keys() == set(numbers.tolist())
    for number, shape in zip(numbers.tolist(), wanted, strict=True):
        assert shapely.hausdorff_distance(found[number].normalize(), shape) <= FINEST + 1
        assert found[number].area == pytest.approx(shape.area, rel=0.05)
        rings = [len(shapely.get_rings(shapely.get_parts(one))) for one in (found[number], shape)]
        assert rings[0] == rings[1]


def test_what_is_outside_or_too_small_is_left_out(tmp_path):
    shapes = [shapely.box(500, 500, 900, 900), shapely.box(-900, 500, -500, 900), shapely.box(50, 50, 50.3, 50.3),
              shapely.box(4000, 4000, 6000, 6000)]  # fmt: skip
    found = read(encoded_tile(placed(shapes), np.arange(4), *TILE, "parcels"), tmp_path)
    assert found.keys() == {0, 3}
    assert max(found[3].bounds) < EXTENT + 100
    assert len(encoded_tile(placed(shapes[1:3]), np.arange(2), *TILE, "parcels")) < 30


def test_a_polygon_that_crosses_itself_is_drawn(tmp_path):
    bow = shapely.Polygon([(1000, 1000), (2000, 2000), (2000, 1000), (1000, 2000)])
    found = read(encoded_tile(placed([bow]), np.array([7]), *TILE, "parcels"), tmp_path)
    assert found[7].area == pytest.approx(500_000, rel=0.02)


def test_many_points_of_a_line_do_not_make_a_tile_larger():
    square, dense = shapely.box(100, 100, 3000, 3000), shapely.segmentize(shapely.box(100, 100, 3000, 3000), 3)
    sizes = [len(encoded_tile(placed([one]), np.array([0]), *TILE, "parcels")) for one in (square, dense)]
    assert sizes[1] <= sizes[0] + 8
