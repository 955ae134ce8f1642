"""Fields as connected pixels: the shortest paths of scipy, tiles against the whole, a field cut by four tiles."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from tests.fields.drawn_fields import blocks_of_fields, maps_of, reader

from agrifm.fields.segments import SegmentRule, grow, segment_fields, steps_into


@pytest.mark.parametrize("seed", range(3))
def test_perfect_maps_give_back_the_fields(seed):
    """Up to pixels in acute corners, all of which are boundary."""
    place = blocks_of_fields(seed=seed)
    found = segment_fields(reader(maps_of(place)), place.shape).number
    assert np.array_equal(found >= 0, place >= 0)
    fields, counts = np.unique(place[place >= 0], return_counts=True)
    right = [np.bincount(found[place == field]).max() for field in fields]
    assert found.max() + 1 == len(fields)
    assert sum(right) > 0.985 * counts.sum()


@pytest.mark.parametrize("side", [17, 32, 64])
def test_tiles_and_the_whole_agree_to_the_pixel(side, tmp_path):
    place = blocks_of_fields(seed=side)
    maps = maps_of(place, noise=0.3, seed=side)
    maps[:, 20:30, 40:60] = np.nan
    rule = SegmentRule(reach=30)
    whole = segment_fields(reader(maps), place.shape, rule)
    cut = segment_fields(reader(maps), place.shape, rule, side, tmp_path)
    assert len(whole) > 30
    assert np.array_equal(cut.number, whole.number)
    assert np.array_equal(cut.box, whole.box)
    assert np.array_equal(cut.pixels, np.bincount(whole.number[whole.number >= 0]))
    assert isinstance(cut.number, np.memmap)


def test_a_field_that_four_tiles_cut_is_one_field():
    place = np.full((64, 64), -1)
    place[20:44, 18:50] = 0
    found = segment_fields(reader(maps_of(place)), place.shape, side=32)
    assert np.array_equal(found.number, place)
    assert found.box.tolist() == [[20, 18, 44, 50]]


def test_numbers_arrive_by_shortest_paths():
    """The steps of every pixel to its seed are the shortest distances of scipy's Dijkstra from any seed."""
    random = np.random.default_rng(3)
    boundary, extent = random.random((2, 24, 31))
    extent = (extent > 0.2).astype(float)
    seed = np.full((24, 31), -1)
    spots = random.permutation(np.flatnonzero(extent.ravel() > 0))[:6]
    seed.ravel()[spots] = np.arange(6)
    rule = SegmentRule(reach=40)
    found = grow(seed, np.stack([boundary, boundary, extent]), rule)
    cost, cells = steps_into(boundary), np.arange(24 * 31).reshape(24, 31)
    edges = []
    for one, other in ((cells[:-1], cells[1:]), (cells[:, :-1], cells[:, 1:])):
        edges += [(one.ravel(), other.ravel()), (other.ravel(), one.ravel())]
    start, end = (np.concatenate(part) for part in zip(*edges, strict=True))
    inside = (extent.ravel()[start] > 0) & (extent.ravel()[end] > 0)
    graph = coo_array((cost.ravel()[end][inside], (start[inside], end[inside])), (cells.size, cells.size)).tocsr()
    far = dijkstra(graph, indices=spots)
    nearest = far.min(axis=0).reshape(24, 31)
    assert np.array_equal(found >= 0, nearest <= rule.reach)
    reached = found >= 0
    assert np.array_equal(far.reshape(6, 24, 31)[found[reached], *np.nonzero(reached)], nearest[reached])


def test_two_fields_touch_where_the_boundary_is_likely():
    """Seeds in columns 1 and 15; in column 6 the first one arrives after 4 + 10 steps, and the other after 8 + 10."""
    maps = np.zeros((3, 5, 20))
    maps[2] = 1
    maps[0, :, 6] = 0.4
    maps[1, :, [1, 15]] = 1
    found = segment_fields(reader(maps), (5, 20)).number
    assert np.array_equal(found[0], np.repeat([0, 1], [7, 13]))


def test_seeds_that_touch_at_a_corner_of_four_tiles_are_one_field():
    maps = np.zeros((3, 8, 8))
    for pixels in ((slice(1, 4), slice(1, 4)), (slice(4, 7), slice(4, 7))):
        maps[1:, *pixels] = 1
    whole, cut = (segment_fields(reader(maps), (8, 8), side=side) for side in (8, 4))
    assert len(whole) == len(cut) == 1
    assert cut.pixels.tolist() == [18]


def test_a_raster_without_fields_has_none():
    found = segment_fields(reader(np.zeros((3, 9, 9))), (9, 9))
    assert len(found) == 0
    assert (found.number == -1).all()
