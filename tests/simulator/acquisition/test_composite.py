"""Which day a MODIS composite shows, and from where."""

import numpy as np
import pytest

from agrifm.simulator.acquisition.composite import compose
from agrifm.simulator.acquisition.encode import MODIS
from agrifm.simulator.acquisition.sky import SkyClimate
from agrifm.simulator.granule import Granule
from agrifm.simulator.plan import Plan

CLEAR = SkyClimate(cloud=(1e-9,) * 12, cirrus=0, aerosol=1e-6, lost=0)
CLOUDY = SkyClimate(cloud=(0.6,) * 12, cirrus=0, aerosol=1e-6, lost=0)


def test_among_clear_days_the_steepest_view_is_taken(plan: Plan, granule: Granule):
    for whole in [one for one in plan.acquisitions if one.collection == MODIS][1:4]:
        found = compose(granule.ground, granule.modis, CLEAR, 0, whole.first, list(whole.passes))
        best = min(whole.passes, key=lambda one: one.view_zenith)
        assert np.mean(found.day == best.day) > 0.8
        assert (found.cloud == 0).all()


def test_cloudy_days_are_avoided(plan: Plan, granule: Granule):
    """With 60 % of cloud a single day is clear over 40 % of the pixels, the best of eight over far more."""
    clear = []
    for whole in [one for one in plan.acquisitions if one.collection == MODIS][1:]:
        found = compose(granule.ground, granule.modis, CLOUDY, 3, whole.first, list(whole.passes))
        days = {one.day for one in whole.passes}
        assert set(found.day.tolist()) <= days
        clear.append(np.mean(found.cloud < 0.1))
    assert np.mean(clear) > 0.6


def test_pixels_are_those_with_their_centres_in_the_window(granule: Granule):
    left, bottom, right, top = granule.grid.bounds
    assert len(granule.modis.place) == pytest.approx((right - left) * (top - bottom) / 463.3127**2, abs=6)
    np.testing.assert_allclose(np.asarray(granule.modis.sky.sum(axis=1)).ravel(), 1, atol=1e-5)
