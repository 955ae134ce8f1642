"""The sky: how often it is clear, how long it lasts, and what it does to light."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from agrifm.season import Season, day_number
from agrifm.simulator.acquisition.orbits import Overpass, overpasses
from agrifm.simulator.acquisition.sky import Sky, SkyClimate, is_lost, observed_through, sky_at
from agrifm.simulator.region import read_region

PASS = overpasses("sentinel-2", Season(date(2024, 6, 1), date(2024, 6, 15)), 2.35, 46.9)[0]
CELL_KEY_OFFSET = SkyClimate(cloud=(0.5,) * 12, cirrus=0.1, aerosol=0.15, lost=0.03)


def on(day: int, **other: object) -> Overpass:
    return replace(PASS, day=day, **other)


def spread_places(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places 6 km apart in a row, as a grid of one row."""
    return np.arange(count)[None] * 6000.0 + 4e5, np.array([[5e6]])


def test_the_share_of_cloud_is_the_climates():
    """Over 300 days of 1200, most of them 4 days apart: 3 standard deviations are about 0.08."""
    x, y = spread_places(4)
    for share in (0.3, 0.7):
        climate = CELL_KEY_OFFSET.model_copy(update={"cloud": (share,) * 12})
        cloudy = [sky_at(climate, 3, on(day), x, y).cloud > 0 for day in range(19000, 20200, 4)]
        assert np.mean(cloudy) == pytest.approx(share, abs=0.08)


def test_months_have_shares_of_their_own():
    climate = CELL_KEY_OFFSET.model_copy(update={"cloud": (0.8,) * 6 + (0.2,) * 6})
    x, y = spread_places(4)
    march, october = (
        np.mean([sky_at(climate, seed, on(day_number(date(2024, month, 15))), x, y).cloud > 0 for seed in range(12)])
        for month in (3, 10)
    )
    assert march > october + 0.3


def test_weather_lasts_and_ends():
    """Neighbouring days are alike, days a month apart are not."""
    x, y = spread_places(2)
    series = np.array([sky_at(CELL_KEY_OFFSET, 1, on(day), x, y).cloud[0, 0] for day in range(19000, 19500)])
    assert 0.4 < np.corrcoef(series[1:], series[:-1])[0, 1] < 0.85
    assert abs(np.corrcoef(series[30:], series[:-30])[0, 1]) < 0.2


def test_one_place_has_one_sky_in_every_window():
    x, y = np.arange(0, 3000, 60.0) + 5e5, np.arange(0, 2400, 60.0) + 5.2e6
    whole = sky_at(CELL_KEY_OFFSET, 5, PASS, x[None], y[:, None])
    part = sky_at(CELL_KEY_OFFSET, 5, PASS, x[None, 10:20], y[5:9, None])
    single = sky_at(CELL_KEY_OFFSET, 5, PASS, x[10:20], np.full(10, y[5]))
    for name in ("cloud", "shadow", "cirrus", "haze"):
        np.testing.assert_array_equal(getattr(whole, name)[5:9, 10:20], getattr(part, name))
        np.testing.assert_allclose(getattr(whole, name)[5, 10:20], getattr(single, name), atol=1e-4)


def test_shadows_fall_away_from_the_sun():
    """With the sun in the south at 45 degrees a cloud's shadow is north of it, by the cloud's height."""
    x, y = np.zeros((1, 1)) + 5e5, np.arange(0, 40_000, 50.0)[:, None] + 5.2e6
    matched = []
    for day in range(19800, 19812):
        sky = sky_at(CELL_KEY_OFFSET, 2, on(day, sun_zenith=45.0, sun_azimuth=180.0), x, y)
        cloud, shadow = sky.cloud[:, 0], sky.shadow[:, 0]
        steps = range(-160, 161)
        off = [np.mean((np.roll(cloud, step)[200:-200] - shadow[200:-200]) ** 2) for step in steps]
        matched.append(50 * steps[int(np.argmin(off))])
    assert all(300 < shift < 6000 for shift in matched), matched
    assert np.median(matched) == pytest.approx(1500, abs=700)  # CLOUD_BASE is 1500 m


def test_clouds_hang_together_and_days_are_clear_or_overcast():
    x, y = np.arange(0, 6000, 60.0)[None] + 5e5, np.arange(0, 6000, 60.0)[:, None] + 5.2e6
    masks = [sky_at(CELL_KEY_OFFSET, 0, on(day), x, y).cloud > 0 for day in range(19000, 19300, 3)]
    shares = np.array([mask.mean() for mask in masks])
    assert 0.5 < np.mean((shares < 0.05) | (shares > 0.95)) < 0.95
    broken = [mask for mask in masks if 0.2 < mask.mean() < 0.8]
    assert broken
    # 240 m on, a pixel is mostly as it was; independent pixels would differ in 32 to 50 % of cases
    changed = [np.mean(mask[:, 4:] != mask[:, :-4]) for mask in broken]
    assert np.median(changed) < 0.18
    assert max(changed) < 0.28


def clear(shape: tuple[int, ...], **other: float) -> Sky:
    planes = {"cloud": -1.0, "shadow": -1.0, "cirrus": 0.0, "haze": 0.0, **other}
    return Sky(**{name: np.full(shape, value, np.float32) for name, value in planes.items()})


def test_a_clear_sky_changes_nothing():
    ground = np.random.default_rng(0).uniform(0, 0.5, (3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(observed_through(clear((4, 5)), ground, (490, 665, 842)), ground)


def test_haze_brightens_blue_most_and_cirrus_all_colours():
    dark = np.full((4, 1), 0.05, np.float32)
    bands = (490, 665, 842, 2200)
    haze = observed_through(clear((1,), haze=0.02), dark, bands)[:, 0] - 0.05
    assert (np.diff(haze) < 0).all()
    assert haze[0] == pytest.approx(0.018)  # 0.02, veiled a little by what the ground reflects
    assert haze[2] / haze[0] == pytest.approx((842 / 490) ** -1.4, rel=1e-3)
    cirrus = observed_through(clear((1,), cirrus=0.02), dark, bands)[:, 0] - 0.05
    assert cirrus[2] > 0.9 * cirrus[0]
    assert cirrus[3] < 0.5 * cirrus[0]  # ice absorbs there


def test_shadows_darken_infrared_more_than_blue_and_clouds_hide_the_ground():
    bright = np.full((2, 1), 0.3, np.float32)
    blue, infrared = observed_through(clear((1,), shadow=5.0), bright, (490, 842))[:, 0] / 0.3
    assert 0.2 < infrared < blue < 0.7
    ground = np.array([[0.02, 0.4]], np.float32)
    seen = observed_through(clear((2,), cloud=3.0), ground, (665,))
    assert seen[0, 0] == seen[0, 1]
    assert seen[0, 0] > 0.4


def test_haze_left_by_the_correction_is_small_and_differs_between_scenes():
    """Validation of Sen2Cor and LaSRC finds errors in blue of about 0.01 (ACIX II), of both signs."""
    x, y = spread_places(4)
    found = np.array([sky_at(CELL_KEY_OFFSET, 1, on(day), x, y).haze for day in range(300)])
    assert 0.003 < found.std() < 0.015
    assert -0.002 < found.mean() < 0.005
    assert 0.1 < np.mean(found < 0) < 0.5


def test_thin_cirrus_is_as_common_as_the_climate_says():
    x, y = spread_places(4)
    found = np.array([sky_at(CELL_KEY_OFFSET, 4, on(day), x, y).cirrus for day in range(600)])
    assert np.mean(found > 0) == pytest.approx(0.1, abs=0.035)
    assert found.max() < 0.15


def test_a_few_scenes_in_a_hundred_are_lost():
    lost = np.mean([is_lost(CELL_KEY_OFFSET, 0, on(day, track=track)) for day in range(1000) for track in (51, 94)])
    assert lost == pytest.approx(0.03, abs=0.012)


@pytest.mark.parametrize("name", ["oceanic", "mediterranean", "monsoon", "southern"])
def test_seasons_of_clouds_are_those_of_the_region(name: str):
    """The cloudiest and the clearest month, as every climatology of clouds has them."""
    cloud = read_region(name).sky.cloud
    cloudiest, clearest = int(np.argmax(cloud)) + 1, int(np.argmin(cloud)) + 1
    expected = {
        "oceanic": ((12, 1), (7, 8, 9)),
        "mediterranean": ((11, 12, 1), (7, 8)),
        "monsoon": ((7, 8), (10, 11)),
        "southern": ((12, 1, 2), (6, 7, 8)),
    }
    assert cloudiest in expected[name][0]
    assert clearest in expected[name][1]
