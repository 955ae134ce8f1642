"""Which day a MODIS composite shows, and from where."""

import numpy as np
import pytest

from agrifm.simulator.acquisition.level2 import MODIS
from agrifm.simulator.acquisition.modis import modis_composite
from agrifm.simulator.acquisition.sky import SkyClimate
from agrifm.simulator.granule import Granule, Simulation

CLEAR = SkyClimate(cloud=(1e-9,) * 12, cirrus=0, aerosol=1e-6, lost=0)
CLOUD_THRESHOLD = SkyClimate(cloud=(0.6,) * 12, cirrus=0, aerosol=1e-6, lost=0)


def test_among_clear_days_the_steepest_view_is_taken(simulation: Simulation, granule: Granule):
    for whole in [one for one in simulation.acquisitions if one.collection == MODIS][1:4]:
        found = modis_composite(granule.ground, granule.modis, CLEAR, 0, whole.first, list(whole.overpasses))
        best = min(whole.overpasses, key=lambda one: one.view_zenith)
        assert np.mean(found.day == best.day) > 0.8
        assert (found.cloud == 0).all()


def test_cloudy_days_are_avoided(simulation: Simulation, granule: Granule):
    """With 60 % of cloud a single day is clear over 40 % of the pixels, the best of eight over far more."""
    clear = []
    for whole in [one for one in simulation.acquisitions if one.collection == MODIS][1:]:
        found = modis_composite(granule.ground, granule.modis, CLOUD_THRESHOLD, 3, whole.first, list(whole.overpasses))
        days = {one.day for one in whole.overpasses}
        assert set(found.day.tolist()) <= days
        clear.append(np.mean(found.cloud < 0.1))
    assert np.mean(clear) > 0.6


def test_pixels_are_those_with_their_centres_in_the_window(granule: Granule):
    left, bottom, right, top = granule.grid.bounds
    assert len(granule.modis.index) == pytest.approx((right - left) * (top - bottom) / 463.3127**2, abs=6)
    np.testing.assert_allclose(np.asarray(granule.modis.sky.sum(axis=1)).ravel(), 1, atol=1e-5)
