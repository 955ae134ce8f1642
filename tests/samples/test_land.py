"""Land is where it is on the globe."""

import numpy as np

from agrifm.samples.land import is_on_land


def test_cities_are_on_land_and_oceans_are_not() -> None:
    # Paris, Nairobi, Sorriso (Mato Grosso), Beijing, Sydney
    lon, lat = np.array([2.35, 36.8, -55.7, 116.4, 150.9]), np.array([48.86, -1.29, -12.5, 39.9, -33.9])
    assert is_on_land(lon, lat).all()
    # mid-Atlantic, the Pacific, the Indian Ocean, the Southern Ocean
    lon, lat = np.array([-40.0, -140.0, 75.0, 100.0]), np.array([35.0, -20.0, -20.0, -58.0])
    assert not is_on_land(lon, lat).any()


def test_places_that_are_unknown_or_not_on_the_globe_are_not_on_land() -> None:
    assert not is_on_land(np.array([np.nan, 200.0, 10.0]), np.array([48.0, 48.0, 95.0])).any()
