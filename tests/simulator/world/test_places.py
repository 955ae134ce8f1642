"""Places of the pretraining world."""

import numpy as np

from agrifm.simulator.world.calendar import is_excluded
from agrifm.simulator.world.covers import read_covers
from agrifm.simulator.world.places import draw_place


def test_places_are_everywhere_but_in_regions_of_evaluation():
    places = [draw_place(3, number, 6) for number in range(150)]
    lon, lat = np.array([[place.lon, place.lat] for place in places]).T
    assert not is_excluded(lon, lat).any()
    assert (lat < -10).any()
    assert (lat > 45).any()
    assert (np.abs(lat) < 15).any()
    covers = list(read_covers().values())
    groups = {covers[index].group for place in places for index in place.cover}
    assert len(groups) == 8


def test_a_place_is_decided_by_seed_and_number():
    one, again, other = draw_place(1, 5, 8), draw_place(1, 5, 8), draw_place(2, 5, 8)
    assert (one.lon, one.climate, one.crops) == (again.lon, again.climate, again.crops)
    assert one.cover.tolist() == again.cover.tolist()
    assert one.lon != other.lon


def test_crops_fit_the_warmth_of_their_places():
    """Rice and cotton need warm seasons; nobody grows them far in the north."""
    warm = {"rice", "cotton", "sorghum_and_millet"}
    places = [draw_place(4, number, 6) for number in range(200)]
    north = [set(place.crops) for place in places if place.lat > 55]
    tropics = [set(place.crops) for place in places if abs(place.lat) < 15]
    assert north
    assert tropics
    assert np.mean([bool(crops & warm) for crops in north]) < 0.1
    assert np.mean([bool(crops & warm) for crops in tropics]) > 0.8
