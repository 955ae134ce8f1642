"""Skies of the pretraining world."""

import numpy as np
import pytest

from agrifm.simulator.acquisition.sky import SkyClimate
from agrifm.simulator.world.skies import draw_skies


@pytest.mark.parametrize("share", [0.2, 0.65])
def test_the_share_of_clouds_is_that_of_the_climate(share: float):
    january, february, march, *others = [share] * 12
    climate = SkyClimate(cloud=(january, february, march, *others), cirrus=0.1, aerosol=0.1, lost=0)
    rng = np.random.default_rng(0)
    skies = [draw_skies(rng, climate, 18000, 365, 4) for _ in range(40)]
    assert np.mean([(sky.sky.cloud > 0).mean() for sky in skies]) == pytest.approx(share, abs=0.025)
    assert np.mean([(sky.sky.cirrus > 0).mean() for sky in skies]) == pytest.approx(0.1, abs=0.02)
    # the mask finds clouds and more, and misses few
    cloudy = np.concatenate([sky.sky.cloud > 0.5 for sky in skies])
    masked = np.concatenate([sky.masked for sky in skies])
    assert masked[cloudy].mean() > 0.97
    assert masked.mean() > share
    # gaps last: a day after a cloudy day is cloudier than others
    assert masked[1:][masked[:-1]].mean() > masked.mean() + 0.04
