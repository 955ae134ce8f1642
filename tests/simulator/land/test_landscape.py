"""The lattice of landscape cells: whole, without gaps, and the same from every window."""

import numpy as np
import pytest
import shapely

from agrifm.simulator.land.landscape import Bounds, draw_road_network, strips
from agrifm.simulator.region import REGIONS, read_region

WIDE: Bounds = (400_000, 5_180_000, 430_000, 5_210_000)


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_cells_are_sound_and_cover_a_window_once(name: str, seed: int):
    shape = read_region(name).land
    network = draw_road_network(shape, seed, WIDE)
    assert shapely.is_valid(network.whole).all()
    window = shapely.box(*WIDE)
    inside = shapely.intersection(network.whole, window)
    assert shapely.area(inside).sum() == pytest.approx(window.area, rel=1e-9)
    assert shapely.union_all(inside).area == pytest.approx(window.area, rel=1e-9)
    assert np.median(shapely.area(network.whole)) == pytest.approx(shape.cell**2, rel=0.15)
    assert np.std(shapely.area(network.whole)) > 0.08 * shape.cell**2  # no two alike
    assert (shapely.area(network.interior) > 0.6 * shapely.area(network.whole)).all()


@pytest.mark.parametrize("name", REGIONS)
def test_nothing_along_an_edge_covers_the_interior_of_a_cell(name: str):
    network = draw_road_network(read_region(name).land, 0, WIDE)
    edges = network.edges
    assert edges.reach.max() < 200
    reached = strips(edges.line, edges.reach)
    strip, cell = shapely.STRtree(network.interior).query(reached, predicate="intersects")
    assert shapely.area(shapely.intersection(reached[strip], network.interior[cell])).sum() < 1


def test_cells_are_the_same_from_every_window():
    shape = read_region("mediterranean").land
    wide = draw_road_network(shape, 3, WIDE)
    narrow = draw_road_network(shape, 3, (412_000, 5_191_000, 413_000, 5_193_500))
    known = {(row, col): place for place, (row, col) in enumerate(zip(wide.row, wide.col, strict=True))}
    places = [known[row, col] for row, col in zip(narrow.row, narrow.col, strict=True)]
    assert 8 < len(places) < 40
    assert shapely.equals_identical(narrow.whole, wide.whole[places]).all()
    assert shapely.equals_identical(narrow.interior, wide.interior[places]).all()


def test_a_river_runs_through_without_a_gap_and_roads_bridge_it():
    shape = read_region("oceanic").land
    edges = draw_road_network(shape, 0, WIDE).edges
    river = edges.water > 0
    assert set(edges.row[river] % shape.rivers) == {0}
    assert not edges.up[river].any()
    assert not (edges.road[river] > 0).any()
    for row in np.unique(edges.row[river]):
        own = np.flatnonzero(river & (edges.row == row))
        own = own[np.argsort(edges.col[own])]
        assert np.ptp(edges.water[own]) == 0
        assert shape.river_width[0] <= 2 * edges.water[own[0]] <= shape.river_width[1]
        ends = shapely.get_coordinates(shapely.get_point(edges.line[own[:-1]], -1))
        starts = shapely.get_coordinates(shapely.get_point(edges.line[own[1:]], 0))
        following = np.diff(edges.col[own]) == 1
        np.testing.assert_array_equal(ends[following], starts[following])
    main = edges.up & (edges.col % 4 == 0)
    assert main.any()
    assert (edges.road[main] == 4).all()
