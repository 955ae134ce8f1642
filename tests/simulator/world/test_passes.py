"""Overpasses over places of the pretraining world."""

from datetime import date

import numpy as np
import pytest

from agrifm.season import Season, day_number
from agrifm.simulator.acquisition.orbits import ORBITS, overpasses
from agrifm.simulator.world.passes import passes_over

SEASON = Season(date(2020, 11, 1), date(2021, 2, 28))


@pytest.mark.parametrize(("lon", "lat"), [(20.3, 41.2), (-60.4, -31.3), (101.0, 3.1), (30.1, 62.0)])
@pytest.mark.parametrize("sensor", ["sentinel-2", "landsat"])
def test_days_and_angles_are_those_of_simulated_seasons(sensor: str, lon: float, lat: float):
    """The slow way computes the distance to the curved track; swath edges may differ by a few kilometres."""
    found = passes_over(sensor, lon, lat, day_number(SEASON.start), day_number(SEASON.end), 2)
    edge = ORBITS[sensor].half_swath - 6
    slow = [one for one in overpasses(sensor, SEASON, lon, lat) if abs(one.across) < edge and one.sun_zenith < 77.5]
    assert {one.day for one in slow} <= set(found.day.tolist())
    assert len(found.day) <= len(overpasses(sensor, SEASON, lon, lat, reach=6))
    rows = [int(np.flatnonzero(found.day == one.day)[0]) for one in slow]
    alone = [row for row, one in zip(rows, slow, strict=True) if (found.day == one.day).sum() == 1]
    known = {one.day: one for one in slow}
    assert alone
    for row in alone:
        one = known[int(found.day[row])]
        assert found.sun_zenith[row] == pytest.approx(one.sun_zenith, abs=0.3)
        assert found.view_zenith[row] == pytest.approx(one.view_zenith, abs=0.4)
        if one.view_zenith > 1.5:
            assert found.relative_azimuth[row] == pytest.approx(one.relative_azimuth, abs=8)


def test_one_satellite_passes_half_as_often():
    both, one = (passes_over("sentinel-2", 20.0, 40.0, 18000, 18364, satellites) for satellites in (2, 1))
    assert len(both.day) == pytest.approx(2 * len(one.day), abs=4)
    assert set(one.day.tolist()) < set(both.day.tolist())
