"""Weather: the climate comes out, FAO-56's worked examples, and numbers that depend on place and day alone."""

from dataclasses import fields
from datetime import date

import numpy as np
import pytest

from agrifm.season import day_number
from agrifm.simulator.season.weather import Climate, Weather, extraterrestrial_radiation

TEMPERATE = Climate(
    temperature=(4.0, 5.0, 8.0, 11.0, 15.0, 18.0, 20.0, 20.0, 17.0, 13.0, 8.0, 5.0),
    temperature_range=(10.0,) * 12,
    temperature_gradient=-0.5,
    rain=(30.0, 60.0, 90.0) * 4,
    wet_days=(0.2, 0.4, 0.6) * 4,
    common=0.0,
)
YEARS = day_number(date(2001, 1, 1)), day_number(date(2010, 12, 31))


def drawn(climate: Climate, first: int, last: int, latitudes: list[float], seed: int = 1) -> Weather:
    places = np.array(latitudes)
    return Weather.draw(climate, first, last, places, 45.0, np.arange(len(places)), seed)


def of_month(weather: Weather, month: int) -> np.ndarray:
    days = weather.first + np.arange(weather.rain.shape[1])
    return (days.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12) + 1 == month


def test_radiation_above_the_atmosphere_matches_the_published_example():
    """FAO-56 (Allen et al. 1998), example 8: 20 degrees south on 3 September, 32.2 MJ per m2 and day."""
    day = np.array([day_number(date(2001, 9, 3))])
    assert extraterrestrial_radiation(np.array([-20.0]), day)[0, 0] == pytest.approx(32.2, abs=0.1)


def test_day_length_matches_the_published_example():
    """FAO-56, example 9: 20 degrees south on 3 September has 11.7 hours of daylight."""
    day = day_number(date(2001, 9, 3))
    assert drawn(TEMPERATE, day, day, [-20.0]).day_length[0, 0] == pytest.approx(11.7, abs=0.05)


def test_evapotranspiration_and_radiation_match_the_published_example():
    """FAO-56, example 20: Lyon in July, 14.8 to 26.6 degrees, 40.6 MJ per m2 above the atmosphere: 5.0 mm per day.

    The same example estimates 22.3 MJ per m2 on the ground by equation 50.
    """
    dry = TEMPERATE.model_copy(
        update={
            "temperature": (20.7,) * 12,
            "temperature_range": (11.8,) * 12,
            "deviation": 0.0,
            "temperature_gradient": 0.0,
            "wet_days": (0.0,) * 12,
        }
    )
    day = day_number(date(2001, 7, 15))
    lyon = drawn(dry, day, day, [45.72])
    assert lyon.evapotranspiration[0, 0] == pytest.approx(5.0, abs=0.1)
    assert lyon.radiation[0, 0] == pytest.approx(22.3, abs=0.2)


def test_temperature_varies_around_the_climate_and_falls_towards_the_pole():
    weather = drawn(TEMPERATE, *YEARS, [45.0] * 20 + [49.0] * 20)
    for month in (2, 7):
        here = weather.temperature[:20, of_month(weather, month)]
        assert here.mean() == pytest.approx(TEMPERATE.temperature[month - 1], abs=0.4)
    poleward = weather.temperature[20:].mean() - weather.temperature[:20].mean()
    assert poleward == pytest.approx(-2.0, abs=0.15)
    july = weather.temperature[:20, of_month(weather, 7)]
    anomaly = july - july.mean()
    assert anomaly.std() == pytest.approx(TEMPERATE.deviation, abs=0.2)
    pairs = np.corrcoef(anomaly[:, :-1].ravel(), anomaly[:, 1:].ravel())[0, 1]
    assert pairs == pytest.approx(TEMPERATE.persistence, abs=0.06)


def test_rain_falls_as_often_and_as_much_as_the_climate_says():
    """Ten years at 30 places; months are joined by lines, so only the middles of the months are judged."""
    weather = drawn(TEMPERATE, *YEARS, [45.0] * 30)
    days = (weather.first + np.arange(weather.rain.shape[1])).astype("datetime64[D]")
    middle = np.isin((days - days.astype("datetime64[M]")).astype(int), range(12, 18))
    for month in (1, 2, 3):
        rain = weather.rain[:, of_month(weather, month) & middle]
        assert (rain > 0).mean() == pytest.approx(TEMPERATE.wet_days[month - 1], abs=0.04)
        assert rain.mean() * 365.25 / 12 == pytest.approx(TEMPERATE.rain[month - 1], rel=0.12)


def test_wet_days_keep_together_and_are_dull():
    weather = drawn(TEMPERATE, *YEARS, [45.0] * 5)
    wet = weather.rain > 0
    assert wet[:, 1:][wet[:, :-1]].mean() > wet.mean() + 0.15
    july = of_month(weather, 7)
    dull, bright = (weather.radiation[:, july][wet[:, july] == flag].mean() for flag in (True, False))
    assert dull < 0.9 * bright


def test_a_day_has_the_same_weather_whatever_days_and_places_are_asked_for():
    whole = drawn(TEMPERATE, 12_000, 12_200, [44.0, 45.0, 46.0])
    part = Weather.draw(TEMPERATE, 12_150, 12_190, np.array([46.0]), 45.0, np.array([2]), 1)
    for name in (field.name for field in fields(Weather) if field.name != "first"):
        np.testing.assert_array_equal(getattr(part, name)[0], getattr(whole, name)[2, 150:191], err_msg=name)


def test_places_share_what_is_common_and_another_seed_is_another_weather():
    alike = TEMPERATE.model_copy(update={"common": 0.8, "temperature_gradient": 0.0})
    weather = drawn(alike, *YEARS, [45.0, 45.0])
    apart = np.diff(weather.temperature, axis=0).std() / np.sqrt(2)
    assert apart == pytest.approx(alike.deviation * np.sqrt(0.2), rel=0.05)
    assert not np.array_equal(weather.rain, drawn(alike, *YEARS, [45.0, 45.0], seed=2).rain)


def test_on_gives_each_field_the_day_of_its_place():
    weather = drawn(TEMPERATE, 12_000, 12_010, [40.0, 50.0])
    today = weather.on(12_004, np.array([1, 0, 1]))
    np.testing.assert_array_equal(today.temperature, weather.temperature[[1, 0, 1], 4])
    np.testing.assert_array_equal(today.day_length, weather.day_length[[1, 0, 1], 4])
