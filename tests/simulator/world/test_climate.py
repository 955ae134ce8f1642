"""Climates of the pretraining world."""

import numpy as np
import pytest

from agrifm.simulator.world.climate import (
    climate_around,
    crossing,
    draw_climate,
    draw_sky,
    mean_temperature,
    read_stations,
)


def test_summers_are_in_july_in_the_north_and_in_january_in_the_south():
    rng = np.random.default_rng(0)
    for lat, lon, warm, cold in ((48.0, 16.0, 6, 0), (-35.0, -60.0, 0, 6)):
        temperature = draw_climate(rng, lat, lon).temperature
        assert temperature[warm] > temperature[cold] + 6


def test_the_mean_over_a_year_is_the_mean_of_the_months():
    climate = draw_climate(np.random.default_rng(1), 30.0, 76.0)
    assert mean_temperature(climate, 1, 365) == pytest.approx(np.mean(climate.temperature), abs=0.1)
    # across New Year: December and January
    assert mean_temperature(climate, -30, 30) == pytest.approx(
        np.mean([climate.temperature[11], climate.temperature[0]]), abs=1.0
    )


def test_wet_climates_have_cloudier_skies():
    rng = np.random.default_rng(2)
    drawn = [draw_climate(rng, 10.0, lon) for lon in (*np.arange(-5.0, 35.0), *np.arange(76.0, 106.0, 1.5))]
    cloud = [np.mean(draw_sky(rng, climate).cloud) for climate in drawn]
    rain = [sum(climate.rain) for climate in drawn]
    assert np.corrcoef(rain, cloud)[0, 1] > 0.5


def test_stations_are_places_of_the_earth_with_plausible_numbers():
    stations = read_stations()
    assert len(stations) > 140
    assert (np.abs(stations[:, 0]) < 61).all()
    assert (np.abs(stations[:, 1]) <= 180).all()
    assert (stations[:, 2:4] > -20).all()
    assert (stations[:, 2:4] < 38).all()
    north = stations[:, 0] > 25
    assert (stations[north, 3] > stations[north, 2]).all()
    south = stations[:, 0] < -20
    assert (stations[south, 2] > stations[south, 3]).all()
    rain = stations[:, 4:].sum(axis=1)
    assert ((rain > 10) & (rain < 3100)).all()


def test_the_sea_makes_winters_mild_and_the_monsoon_makes_summers_wet():
    january = [climate_around(49.0, lon)[0] for lon in (0.0, 15.0, 35.0, 50.0)]
    assert january == sorted(january, reverse=True)
    assert january[0] > 3
    _, _, seville = climate_around(37.5, -5.5)
    _, _, lucknow = climate_around(27.0, 80.5)
    assert seville[2] < 0.1 * seville[0]
    assert lucknow[2] > 0.6 * lucknow.sum()


def test_longitude_180_is_no_border():
    near, far = (climate_around(-40.0, lon) for lon in (179.9, -179.9))
    assert near[0] == pytest.approx(far[0], abs=0.1)


def test_a_temperature_is_passed_on_its_day():
    climate = draw_climate(np.random.default_rng(3), 50.0, 20.0)
    warmth = np.array(climate.temperature)
    middle = (warmth.max() + warmth.min()) / 2
    # a yearly wave is at its mean a quarter of a year before and after its maximum, which is in the middle of July
    assert crossing(climate, middle, True, -30) == pytest.approx(109, abs=6)
    assert crossing(climate, middle, False, 109) == pytest.approx(109 + 183, abs=6)
    assert crossing(climate, warmth.max() + 1, True, 0) is None
