"""Growth of the fields of the pretraining world."""

import numpy as np

from agrifm.simulator.world.covers import read_covers
from agrifm.simulator.world.fields import NEW_YEAR, UNKNOWN_DAY, grow_places
from agrifm.simulator.world.places import draw_place


def test_crops_are_harvested_when_the_calendar_plans_it():
    places = [draw_place(0, number, 16) for number in range(30)]
    grown = grow_places(places, 0)
    late = []
    for row, place in enumerate(places):
        planned = {day for days in place.ripening.values() for day in days if day is not None}
        if any(day is None for days in place.ripening.values() for day in days):
            continue  # the usual varieties of a place with a cold season ripen in their time
        of_place = slice(row * 16, (row + 1) * 16)
        for day in grown.harvest[of_place][grown.harvest[of_place] != UNKNOWN_DAY]:
            late.append(min(abs(day - NEW_YEAR - plan) for plan in planned))
    assert len(late) > 20
    assert np.median(late) < 15
    assert np.mean(np.array(late) < 45) > 0.85


def test_sown_crops_stand_between_sowing_and_harvest_only():
    places = [draw_place(1, number, 16) for number in range(6)]
    grown = grow_places(places, 1)
    covers = list(read_covers().values())
    annual = np.array([covers[index].plant is not None for place in places for index in place.cover])
    assert ((grown.sowing != UNKNOWN_DAY) == annual).all()
    known = np.flatnonzero(grown.harvest != UNKNOWN_DAY)
    assert len(known) > 15
    crop = grown.growth.history["crop"]
    for field in known:
        sown, gone = grown.sowing[field] - grown.growth.first, grown.harvest[field] - grown.growth.first
        assert 40 < gone - sown < 400
        assert crop[sown, field] < 0.1
        assert crop[gone, field] < 0.1
        assert crop[sown:gone, field].max() > 0.1


def test_winter_wheat_of_europe_is_harvested_in_summer():
    """In most places from the middle of June to the middle of August (MARS crop calendars)."""
    drawn = (draw_place(4, number, 40) for number in range(900))
    places = [place for place in drawn if 45 < place.lat < 54 and 0 < place.lon < 40]
    grown = grow_places(places, 4)
    wheat = list(read_covers()).index("wheat")
    cover = np.concatenate([place.cover for place in places])
    harvest = grown.harvest[(cover == wheat) & (grown.harvest != UNKNOWN_DAY)] - NEW_YEAR
    assert len(harvest) > 5
    assert np.mean((harvest > 150) & (harvest < 250)) > 0.8
    assert 165 < np.median(harvest) < 225
