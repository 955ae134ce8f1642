"""Series of the pretraining world."""

import numpy as np
import pytest

from agrifm.sensors import SENSORS
from agrifm.simulator.world.covers import read_covers, read_groups
from agrifm.simulator.world.series import NO_COVER, WORLD_SENSORS, WorldPoints, simulate_world

FIELDS = 16


@pytest.fixture(scope="module")
def world() -> WorldPoints:
    return simulate_world(5, range(14), FIELDS)


def test_a_place_is_the_same_alone_and_among_others(world: WorldPoints):
    alone = simulate_world(5, [9], FIELDS)
    rows = slice(9 * FIELDS, 10 * FIELDS)
    for sensor in WORLD_SENSORS:
        one, several = alone.series[sensor], world.series[sensor]
        longest = one.values.shape[1]
        assert np.array_equal(one.length, several.length[rows])
        assert np.array_equal(one.values, several.values[rows, :longest])
        assert np.array_equal(one.day, several.day[rows, :longest])
        for name in ("fractions", "cover", "sowing", "harvest"):
            assert np.array_equal(getattr(one, name), getattr(several, name)[rows])
    assert not np.array_equal(simulate_world(6, [9], FIELDS).lon, alone.lon)


def test_series_are_usable_observations_of_their_season(world: WorldPoints):
    for sensor, series in world.series.items():
        assert series.values.shape[2] == len(SENSORS[sensor].bands)
        inside = np.arange(series.values.shape[1]) < series.length[:, None]
        assert (series.values[~inside] == 0).all()
        assert ((series.values[inside] > 0) & (series.values[inside] <= 1.6)).all()
        day = np.where(inside, series.day, world.season_start[:, None])
        assert ((day >= world.season_start[:, None]) & (day < world.season_start[:, None] + 365)).all()
        assert (np.diff(series.day, axis=1) >= 0).all()
        assert series.length.mean() > 8
    periods = world.series["modis"].length
    assert periods.max() <= 46


def test_fractions_sum_to_one_and_agree_with_the_cover(world: WorldPoints):
    groups, covers = list(read_groups()), list(read_covers().values())
    for series in world.series.values():
        assert series.fractions.sum(axis=1) == pytest.approx(np.ones(14 * FIELDS), abs=1e-5)
        for fractions, cover in zip(series.fractions, series.cover, strict=True):
            if cover != NO_COVER:
                assert fractions[groups.index(covers[cover].group)] > 0.49
    # a MODIS pixel shows many fields, one of Sentinel-2 one or two
    assert (
        (world.series["modis"].cover == NO_COVER).mean() > 0.5 > (world.series["sentinel-2"].cover == NO_COVER).mean()
    )


def test_what_the_satellite_sees_agrees_with_the_labels(world: WorldPoints):
    """NDVI of water is negative, that of forest high, and crops are greener than before they were sown."""
    series = world.series["sentinel-2"]
    bands = SENSORS["sentinel-2"].band_names
    red, infrared = (series.values[..., bands.index(name)] for name in ("B04", "B08"))
    inside = np.arange(series.values.shape[1]) < series.length[:, None]
    ndvi = np.where(inside, (infrared - red) / np.maximum(infrared + red, 1e-6), np.nan)
    groups = list(read_groups())

    def of_group(name: str) -> np.ndarray:
        pure = series.fractions[:, groups.index(name)] > 0.95
        return np.nanmedian(ndvi[pure & (series.length > 0)])

    assert of_group("water") < 0.0 < of_group("impervious") < 0.3
    assert of_group("forest") > 0.55
    sown = (series.sowing > 0) & (series.harvest > 0)
    length = series.harvest - series.sowing
    middle = series.sowing + 0.6 * length
    grown = inside & (np.abs(series.day - middle[:, None]) < 0.2 * length[:, None])
    before = inside & (series.day < series.sowing[:, None]) & (series.day > series.sowing[:, None] - 25)
    assert np.nanmedian(ndvi[sown[:, None] & grown]) > np.nanmedian(ndvi[sown[:, None] & before]) + 0.25
