"""Forests, ponds and villages as shapes."""

import numpy as np
import pytest
import shapely

from agrifm.simulator.land.landscape import draw_road_network
from agrifm.simulator.land.obstacles import GARDEN, HOUSES, STREETS, TREES, forests, ponds, village_ground, villages
from agrifm.simulator.region import read_region

BOUNDS = (440_000.0, 5_185_000.0, 460_000.0, 5_205_000.0)


def test_forest_has_its_share_and_neighbouring_cells_see_the_same():
    shape = read_region("oceanic").land
    network = draw_road_network(shape, 0, BOUNDS)
    woods = forests(shape, 0, network)
    assert shapely.is_valid(woods).all()
    # Forests of 1.6 km: about 150 independent places, so that a share of 0.16 is known to 0.03.
    within = shapely.area(shapely.intersection(woods, network.whole)).sum()
    assert within / shapely.area(network.whole).sum() == pytest.approx(shape.forest, abs=0.06)
    first, second = shapely.STRtree(network.whole).query(network.whole, predicate="touches")
    # Along the border between two cells, both have forest in the same places, but for outlines smoothed apart.
    shared = shapely.intersection(network.whole[first], network.whole[second])
    own, other = (shapely.length(shapely.intersection(shared, woods[side])) for side in (first, second))
    assert own.sum() > 10_000
    assert np.abs(own - other).sum() < 0.05 * own.sum()


def test_ponds_have_the_radius_and_the_frequency_of_the_region():
    shape = read_region("oceanic").land
    network = draw_road_network(shape, 0, BOUNDS)
    found = ponds(shape, 0, network)
    there = ~shapely.is_empty(found)
    assert there.mean() == pytest.approx(shape.ponds, abs=0.1)
    radius = np.sqrt(shapely.area(found[there]) / np.pi)
    assert radius.min() > 0.7 * shape.pond_radius[0]
    assert radius.max() < 1.4 * shape.pond_radius[1]
    assert shapely.within(found[there], network.whole[there]).mean() > 0.95


def test_villages_are_at_corners_and_farms_next_to_roads():
    shape = read_region("oceanic").land
    network = draw_road_network(shape, 0, BOUNDS)
    found = villages(shape, 0, network)
    radius = np.sqrt(shapely.area(found.outline) / np.pi)
    large = radius > 66
    corners = shapely.multipoints(
        np.unique(shapely.get_coordinates(shapely.get_point(network.edges.line, [[0], [-1]])), axis=0)
    )
    assert (shapely.distance(shapely.centroid(found.outline[large]), corners) < 0.4 * radius[large]).mean() > 0.9
    roads = shapely.union_all(network.edges.line[network.edges.road > 0])
    assert shapely.distance(found.outline[~large], roads).max() < 60
    assert len(found.outline) == len(found.row) == len(found.col)


def test_the_ground_of_villages_is_streets_houses_gardens_and_trees():
    x, y = np.meshgrid(np.arange(0, 3000, 5.0), np.arange(0, 3000, 5.0))
    ground = village_ground(0, 0.3, x, y)
    shares = np.bincount(ground.ravel(), minlength=4) / ground.size
    # Streets of 7 m every 70 and 120 m; 62 % of the lots of 16 m have a house of 11 m.
    streets = 1 - (1 - 7 / 70) * (1 - 7 / 120)
    assert shares[STREETS] == pytest.approx(streets, abs=0.01)
    assert shares[HOUSES] == pytest.approx((1 - streets) * 0.62 * (11 / 16) ** 2, abs=0.015)
    assert shares[TREES] == pytest.approx((1 - streets) * 0.15, abs=0.015)
    assert shares[GARDEN] == pytest.approx(1 - shares[STREETS] - shares[HOUSES] - shares[TREES])
    np.testing.assert_array_equal(village_ground(0, 0.3, x[100:200, 50:90], y[100:200, 50:90]), ground[100:200, 50:90])
