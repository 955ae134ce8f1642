"""The ground: how vigour and soil vary within fields, and the nodes that fields are known at."""

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from tests.simulator.lands import land

from agrifm.grid import Grid, Window
from agrifm.season import day_number
from agrifm.sensors import SENSORS
from agrifm.simulator.acquisition.orbits import overpasses
from agrifm.simulator.footprint import NODES, VIGOUR_LEVELS
from agrifm.simulator.granule import Granule
from agrifm.simulator.land.field_map import Land
from agrifm.simulator.optics.ground import vary
from agrifm.simulator.optics.reflectance import ViewingGeometry, surface_reflectance


def one_field(cover: str, direction: float = 0.0, size: int = 160) -> Land:
    """A square field of 800 m with a border of grass, 50 m wide."""
    grid = Grid.of("EPSG:32631", Affine(5, 0, 500_000, 0, -5, 5_200_000), (size + 20, size + 20))
    field = np.ones(grid.shape, np.int32)
    field[10:-10, 10:-10] = 0
    return Land(grid, (cover, "margin"), np.array([11, 12]), (None, None), np.array([direction, 0.0]), field)


def test_wheel_tracks_are_21_to_36_m_apart_along_the_field():
    """Spraying booms of European farms are 21 to 36 m wide; the field's long side runs east here."""
    own = one_field("wheat")
    inner = np.s_[20:-20, 20:-20]
    profile = np.log(vary(own, 0).vigour[inner]).mean(axis=1)  # along the tracks patches average out
    plain = np.log(vary(one_field("grassland"), 0).vigour[inner]).mean(axis=1)
    dips = plain - profile
    spectrum = np.abs(np.fft.rfft(dips - dips.mean()))
    period = len(dips) * 5 / (1 + int(np.argmax(spectrum[1:])))
    assert 20 < period < 38
    assert 0.02 < dips.mean() < 0.15
    across = (np.log(vary(one_field("grassland"), 0).vigour[inner]) - np.log(vary(own, 0).vigour[inner])).mean(axis=0)
    assert across.std() < 0.2 * dips.std()


def test_headlands_are_thinner():
    """Beside a forest of the same shape, which has none: yields of headlands are about a tenth lower."""
    ratio = vary(one_field("grassland"), 0).vigour / vary(one_field("forest"), 0).vigour
    assert 0.85 < ratio[10:12, 10:-10].mean() < 0.95
    np.testing.assert_allclose(ratio[12:-12, 12:-12], 1)
    np.testing.assert_allclose(ratio[:10], 1)


def test_bright_soil_is_poor_soil():
    cells = vary(one_field("grassland"), 0)
    inner = np.s_[14:-14, 14:-14]
    vigour, soil = np.log(cells.vigour[inner]), cells.soil[inner]
    assert -0.7 < np.corrcoef(vigour.ravel(), soil.ravel())[0, 1] < -0.1
    assert 0.05 < soil.std() < 0.15
    assert abs(soil.mean()) < 0.05


def test_a_place_varies_alike_in_every_window():
    whole = land("oceanic", 3000)
    window = Window(100, 60, 200, 240)
    shown = np.unique(whole.field[window.slices])
    number = np.zeros(len(whole.covers), np.int32)
    number[shown] = np.arange(len(shown))
    part = replace(
        whole,
        grid=whole.grid.window(window),
        covers=tuple(whole.covers[place] for place in shown),
        keys=whole.keys[shown],
        outlines=tuple(whole.outlines[place] for place in shown),
        direction=whole.direction[shown],
        field=number[whole.field[window.slices]],
    )
    inner = np.s_[2:-2, 2:-2]  # neighbouring fields determine headlands
    for name in ("vigour", "soil"):
        expected = getattr(vary(whole, 0), name)[window.slices]
        np.testing.assert_array_equal(getattr(vary(part, 0), name)[inner], expected[inner])


@pytest.fixture(scope="module")
def nodes(granule: Granule) -> np.ndarray:
    """(fields, nodes, bands) of Sentinel-2 on 20 May."""
    overpass = overpasses("sentinel-2", granule.season, 1.71, 46.9)[0]
    bands = SENSORS["sentinel-2"].bands
    day = day_number(granule.season.start) + 49
    return granule.ground.nodes(day, bands, overpass.geometry).reshape(-1, NODES, len(bands))


def test_nodes_are_the_fields_at_their_levels(granule: Granule, nodes: np.ndarray):
    """At level 1 a node is what the optics make of the field's own state."""
    overpass = overpasses("sentinel-2", granule.season, 1.71, 46.9)[0]
    day = day_number(granule.season.start) + 49
    usual = surface_reflectance(
        granule.growth.state(day),
        SENSORS["sentinel-2"].bands,
        ViewingGeometry(overpass.sun_zenith, overpass.view_zenith, overpass.relative_azimuth),
    )
    np.testing.assert_allclose(nodes[:, VIGOUR_LEVELS.index(1.0)], usual, atol=1e-6)


def test_vigour_greens_and_bright_soil_brightens(granule: Granule, nodes: np.ndarray):
    crops = np.array([cover in granule.region.crops for cover in granule.land.covers])
    red, infrared = nodes[crops, : len(VIGOUR_LEVELS), 2], nodes[crops, : len(VIGOUR_LEVELS), 6]
    greenness = (infrared - red) / (infrared + red)
    assert (np.diff(greenness, axis=1) > -0.005).mean() > 0.95
    assert (nodes[crops, -1] > -1e-3).all()
    roads = np.array([cover in ("road", "water", "settlement") for cover in granule.land.covers])
    assert np.abs(nodes[roads, -1]).max() == 0
