"""Climates of the pretraining world."""

import numpy as np
import pytest

from agrifm.simulator.world.climate import draw_climate, draw_sky, mean_temperature


def test_summers_are_in_july_in_the_north_and_in_january_in_the_south():
    rng = np.random.default_rng(0)
    for lat, warm, cold in ((48.0, 6, 0), (-35.0, 0, 6)):
        temperature = draw_climate(rng, lat).temperature
        assert temperature[warm] > temperature[cold] + 6


def test_the_mean_over_a_year_is_the_mean_of_the_months():
    climate = draw_climate(np.random.default_rng(1), 30.0)
    assert mean_temperature(climate, 1, 365) == pytest.approx(np.mean(climate.temperature), abs=0.1)
    # across New Year: December and January
    assert mean_temperature(climate, -30, 30) == pytest.approx(
        np.mean([climate.temperature[11], climate.temperature[0]]), abs=1.0
    )


def test_wet_climates_have_cloudier_skies():
    rng = np.random.default_rng(2)
    drawn = [draw_climate(rng, 10.0) for _ in range(60)]
    cloud = [np.mean(draw_sky(rng, climate).cloud) for climate in drawn]
    rain = [sum(climate.rain) for climate in drawn]
    assert np.corrcoef(rain, cloud)[0, 1] > 0.5
