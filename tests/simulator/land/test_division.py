"""Division of cells into parcels: areas as drawn, no overlap, long fields."""

import numpy as np
import pytest
import shapely
from scipy.stats import lognorm

from agrifm.simulator.land.division import AREA_LOSS_FACTOR, divide_into_parcels, parcel_areas
from agrifm.simulator.land.landscape import Bounds, draw_road_network
from agrifm.simulator.region import REGIONS, read_region

WINDOW: Bounds = (446_000, 5_190_000, 456_000, 5_200_000)


@pytest.mark.parametrize("name", REGIONS)
def test_areas_are_drawn_with_the_median_and_within_the_bounds(name: str):
    shape = read_region(name).land
    areas = parcel_areas(shape, np.linspace(0.0001, 0.9999, 9999))
    assert np.median(areas) == pytest.approx(AREA_LOSS_FACTOR * shape.parcel_median, rel=1e-3)
    assert shape.parcel_least < areas.min()
    assert areas.max() < shape.parcel_most


def test_areas_are_log_normal():
    shape = read_region("oceanic").land.model_copy(update={"parcel_least": 1e-4, "parcel_most": 1e5})
    chance = np.linspace(0.01, 0.99, 99)
    expected = lognorm(shape.parcel_spread, scale=AREA_LOSS_FACTOR * shape.parcel_median).ppf(chance)
    np.testing.assert_allclose(parcel_areas(shape, chance), expected, rtol=1e-3)


@pytest.mark.parametrize("name", REGIONS)
def test_parcels_and_strips_are_in_their_cell_and_do_not_overlap(name: str):
    network = draw_road_network(read_region(name).land, 0, (446_000, 5_190_000, 449_000, 5_193_000))
    pieces, strips = divide_into_parcels(read_region(name).land, 0, network)
    assert shapely.is_valid(pieces.outline).all()
    cells, areas = network.interior, shapely.area(pieces.outline)
    outside = shapely.difference(pieces.outline, cells[pieces.cell])
    assert shapely.area(outside).sum() < 1e-6 * areas.sum()
    together = areas.sum() + shapely.area(strips.outline).sum()
    assert shapely.union_all(np.concatenate([pieces.outline, strips.outline])).area == pytest.approx(together, rel=1e-6)
    assert 0.9 < together / shapely.area(cells).sum() < 1
    assert len(set(zip(pieces.cell, pieces.number, strict=True))) == len(areas)


def test_without_borders_parcels_fill_their_cells_in_the_areas_drawn():
    bare = {"hedges": 0.0, "margins": 0.0, "track_block": 1e6, "bend": 0.0}
    shape = read_region("oceanic").land.model_copy(update=bare)
    network = draw_road_network(shape, 0, WINDOW)
    pieces, strips = divide_into_parcels(shape, 0, network)
    assert len(strips.cell) == 0
    areas = shapely.area(pieces.outline) / 1e4
    assert areas.sum() * 1e4 == pytest.approx(shapely.area(network.interior).sum(), rel=1e-3)
    chance = np.linspace(0.1, 0.9, 9)
    np.testing.assert_allclose(np.quantile(areas, chance), parcel_areas(shape, chance), rtol=0.08)


@pytest.mark.parametrize("elongation", [1.6, 4.0])
def test_fields_are_as_long_as_the_region_says(elongation: float):
    shape = read_region("oceanic").land.model_copy(update={"elongation": elongation})
    network = draw_road_network(shape, 0, WINDOW)
    pieces, _ = divide_into_parcels(shape, 0, network)
    envelopes = [piece.minimum_rotated_rectangle for piece in pieces.outline if piece.area > 1000]
    sides = np.array([np.hypot(*np.diff(envelope.exterior.coords[:3], axis=0).T) for envelope in envelopes])
    ratio = np.median(sides.max(axis=1) / sides.min(axis=1))
    assert ratio == pytest.approx(elongation, rel=0.3)
