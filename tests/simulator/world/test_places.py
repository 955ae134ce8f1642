"""Places of the pretraining world."""

from functools import cache

import numpy as np

from agrifm.simulator.world.calendar import is_excluded
from agrifm.simulator.world.covers import read_covers
from agrifm.simulator.world.places import WorldPlace, draw_place


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
    """Rice and cotton need warm seasons; nobody grows them far in the north, and most of the tropics is warm."""
    warm = {"rice", "cotton", "sorghum_and_millet"}
    places = [draw_place(4, number, 6) for number in range(200)]
    north = [set(place.crops) for place in places if place.lat > 55]
    tropics = [set(place.crops) for place in places if abs(place.lat) < 15]
    assert north
    assert tropics
    assert np.mean([bool(crops & warm) for crops in north]) < 0.1
    assert np.mean([bool(crops & warm) for crops in tropics]) > 0.8


def test_crops_are_sown_when_europe_sows_them():
    """Wheat from the middle of September to November, maize from April to the middle of May (MARS crop calendars)."""
    places = in_europe()
    sowing = {
        name: np.array(
            [
                cycle.sowing
                for place in places
                if name in place.crops
                for kind in place.crops[name].types
                for cycle in kind.cycles
                if cycle.plant == plant
            ]
        )
        for name, plant in (("wheat", "winter_wheat"), ("maize", "maize"), ("spring_cereal", "spring_cereal"))
    }
    assert min(len(days) for days in sowing.values()) > 5
    assert (np.percentile(sowing["wheat"], [10, 90]) >= -115).all()
    assert (np.percentile(sowing["wheat"], [10, 90]) <= -45).all()
    assert (np.percentile(sowing["maize"], [10, 90]) >= 85).all()
    assert (np.percentile(sowing["maize"], [10, 90]) <= 150).all()
    assert np.median(sowing["spring_cereal"]) < np.median(sowing["maize"]) - 20


@cache
def in_europe() -> list[WorldPlace]:
    drawn = (draw_place(4, number, 6) for number in range(2500))
    return [place for place in drawn if 44 < place.lat < 54 and 0 < place.lon < 40]


def test_crops_follow_what_is_harvested_before_they_are_sown():
    places = in_europe()
    after = [place.crops["rapeseed"].after for place in places if "rapeseed" in place.crops]
    named = set().union(*after)
    assert named & {"wheat", "barley", "rye_and_oats"}
    late = [crops.keys() & {"maize", "sugar_beet", "soybean", "cotton"} for crops in after]
    assert np.mean([bool(crops) for crops in late]) < 0.15
