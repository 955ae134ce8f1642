"""Polygons of fields: shared edges, tiles against the whole, steps, holes, minimum size."""

import numpy as np
import pytest
import shapely
from tests.fields.drawn_fields import blocks_of_fields, maps_of, reader

from agrifm.fields.outlines import OutlineRule, outline_fields
from agrifm.fields.segments import Segments, segment_fields


def outlines_of(place, rule=None, side=512):
    parts = list(outline_fields(segment_fields(reader(maps_of(place)), place.shape), rule, side))
    number = np.concatenate([part.number for part in parts])
    order = np.argsort(number)
    return number[order], np.concatenate([part.polygon for part in parts])[order]


def as_segments(place):
    boxes = [np.argwhere(place == field) for field in range(place.max() + 1)]
    box = np.array([[*pixels.min(axis=0), *pixels.max(axis=0) + 1] for pixels in boxes])
    return Segments(place.astype(np.int32), box, np.bincount(place[place >= 0]))


def test_neighbours_share_their_edges_and_none_overlap():
    _, polygons = outlines_of(blocks_of_fields())
    assert shapely.is_valid(polygons).all()
    assert (shapely.get_type_id(polygons) == shapely.GeometryType.POLYGON).all()
    assert shapely.coverage_is_valid(polygons)
    assert shapely.area(polygons).sum() == pytest.approx(shapely.union_all(polygons).area, abs=1e-6)


@pytest.mark.parametrize("side", [20, 33])
def test_polygons_do_not_depend_on_tiles(side):
    place = blocks_of_fields(seed=side)
    number, polygons = outlines_of(place)
    cut_number, cut = outlines_of(place, side=side)
    assert np.array_equal(number, cut_number)
    assert shapely.equals_exact(shapely.normalize(polygons), shapely.normalize(cut)).all()


def test_a_slanted_edge_loses_its_steps_and_the_field_keeps_its_area():
    true = shapely.affinity.rotate(shapely.box(20, 30, 90, 60), 27)
    rows, cols = np.indices((90, 110))
    inside = shapely.contains_xy(true, cols + 0.5, rows + 0.5)
    (_, (stepped,)), (_, (smooth,)) = (
        outlines_of(np.where(inside, 0, -1), OutlineRule(smoothing=smoothing)) for smoothing in (0, 1.5)
    )
    assert stepped.area == inside.sum()
    assert shapely.get_num_coordinates(smooth) < 0.15 * shapely.get_num_coordinates(stepped)
    assert smooth.area == pytest.approx(true.area, rel=0.01)
    assert smooth.length == pytest.approx(true.length, rel=0.03) != pytest.approx(stepped.length, rel=0.03)


def test_small_fields_are_left_out_and_small_holes_closed():
    place = np.full((40, 40), -1)
    place[2:30, 2:30] = 0
    place[5:7, 5:7] = -1  # 4 pixels
    place[10:14, 10:14] = -1  # 16 pixels
    place[18:24, 18:24] = 1  # a field in a field
    place[34:37, 34:37] = 2  # 9 pixels
    segments = as_segments(place)
    ((number, polygons),) = outline_fields(segments, OutlineRule(minimum=10, hole=10, smoothing=0))
    assert number.tolist() == [0, 1]
    assert [shapely.get_num_interior_rings(one) for one in polygons] == [2, 0]
    assert shapely.area(polygons).tolist() == [28 * 28 - 16 - 36, 36]
    ((number, polygons),) = outline_fields(segments, OutlineRule(minimum=0, hole=1000, smoothing=0))
    assert number.tolist() == [0, 1, 2]
    assert shapely.area(polygons).tolist() == [28 * 28 - 36, 36, 9]


def test_parts_that_touch_at_a_corner_are_one_field():
    place = np.full((8, 8), -1)
    place[1:4, 1:4] = place[4:7, 4:7] = 0
    place[2, 2] = -1
    ((_, (both,)),) = outline_fields(as_segments(place), OutlineRule(minimum=0, hole=1))
    assert (both.geom_type, both.area, both.is_valid) == ("MultiPolygon", 18, True)


def test_no_fields_give_no_polygons():
    assert list(outline_fields(segment_fields(reader(np.zeros((3, 9, 9))), (9, 9)))) == []
