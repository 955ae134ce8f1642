"""A granule's acquisitions, and the series of its places without sky and noise."""

from datetime import UTC, datetime

import numpy as np

from agrifm.season import day_number
from agrifm.simulator.acquisition.level2 import MODIS, SENTINEL_2
from agrifm.simulator.acquisition.orbits import sun_position
from agrifm.simulator.granule import Granule, Simulation
from agrifm.simulator.optics.reflectance import ViewingGeometry


def test_lost_scenes_are_not_among_the_acquisitions(simulation: Simulation):
    """70 days: at most 14 passes of each orbit; composites have a pass for each of their days in the season."""
    overpasses = [one.overpasses[0] for one in simulation.acquisitions if one.collection == SENTINEL_2]
    assert 24 <= len(overpasses) <= 28
    assert [one.day for one in overpasses] == sorted(one.day for one in overpasses)
    days = {taken.day for one in simulation.acquisitions if one.collection == MODIS for taken in one.overpasses}
    assert days == set(range(day_number(simulation.season.start), day_number(simulation.season.end) + 1))


def test_clean_series_are_the_images_without_sky_and_noise(granule: Granule):
    """At the middles of pixels, from above: what the footprint of the 10 and of the 20 m image makes of the day."""
    day = day_number(granule.season.start) + 30
    rng = np.random.default_rng(0)
    fine, half = granule.cameras[SENTINEL_2]
    row, col = rng.integers(10, 190, (2, 40))
    series = granule.clean_series(fine.grid.x[col] + 2, fine.grid.y[row] - 2, [day - 20, day])
    assert series.shape == (40, 2, 10)
    half_past_ten = datetime(2024, 5, 1, 10, 23, 10, tzinfo=UTC)  # local solar time, 1.71 / 15 hours before UTC
    sun, _ = sun_position(half_past_ten, 1.71, 46.9)
    for camera, bands, scale in ((fine, [0, 1, 2, 6], 1), (half, [3, 4, 5, 7, 8, 9], 2)):
        clean = granule.ground.reflectance(camera.footprint, day, camera.bands, ViewingGeometry(sun, 0.0, 0.0))
        rows, cols = camera.grid.shape
        image = clean.reshape(rows + 2, cols + 2, -1)[1:-1, 1:-1]
        np.testing.assert_allclose(series[:, 1, bands], image[row // scale, col // scale], atol=2e-4)
    assert np.abs(series[:, 1] - series[:, 0]).max() > 0.01
