"""Fields from day to day, under weather that is made for the purpose."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from agrifm.season import Season, day_number
from agrifm.simulator.season.crops import Crop, CropType, Cycle
from agrifm.simulator.season.daily_growth import DailyGrowth
from agrifm.simulator.season.management import draw_management, first_day
from agrifm.simulator.season.plants import read_flora
from agrifm.simulator.season.weather import DayWeather

YEAR = Season(date(2023, 3, 1), date(2023, 10, 31))
FLORA = read_flora()
BARE = {"failure": 0.0, "vigour": 0.0, "room": 0.0}


def sown(plant: str, sowing: float, **other: object) -> dict[str, Crop]:
    """One crop with one type whose fields differ in their variety alone."""
    cycle = Cycle(plant=plant, sowing=sowing, spread=0)
    return {"maize": Crop(name="it", share=1, types=(CropType(name="it", cycles=(cycle,), **{**BARE, **other}),))}


def grown(crops: dict[str, Crop], count: int = 8, rain: float = 8.0, warmth: float = 15.0, tempo: float = 1.0):
    """Yields (day, fields) from the first day on, under weather that never changes."""
    keys = np.arange(count)
    plans = draw_management(crops, FLORA, ["maize"] * count, keys, YEAR, 1)
    plans = replace(plans, tempo=np.full_like(plans.tempo, tempo), late=np.zeros_like(plans.late))
    days = DailyGrowth(plans, keys, 1)
    steady = [np.full(count, value) for value in (warmth, rain, 18.0, 4.0, 16.0)]
    for day in range(first_day(YEAR), day_number(date(2023, 12, 31))):
        days.step(day, DayWeather(*steady))
        yield day, days


def year_of(crops: dict[str, Crop], name: str, **weather: float) -> np.ndarray:
    """A quantity of the fields on every day, (days, fields)."""
    return np.array([getattr(days, name).copy() for _, days in grown(crops, **weather)])


def test_without_stress_leaf_area_is_the_published_curve():
    """Koetz et al. (2005), eq. 3; before emergence nothing is seen, and the curve starts there."""
    maize, start = FLORA.plants["maize"], day_number(date(2023, 1, 1)) + 100
    leaf_area = {day: days.crop[0] for day, days in grown(sown("maize", 100))}
    for after in (20, 60, 90, 120):
        warmth = (after + 1) * (15.0 - maize.base)
        stages = np.array([warmth, maize.emergence])
        logistic = 1 / (1 + np.exp(-maize.rate * (stages - maize.middle)))
        rising = maize.leaf_area * (logistic[0] - logistic[1])
        faded = np.exp(maize.fading * (warmth - maize.senescence))
        assert leaf_area[start + after] == pytest.approx(rising * (1 - faded), rel=0.02, abs=0.01)


def test_an_early_variety_is_ahead():
    early, late = (year_of(sown("maize", 100), "crop", tempo=tempo)[-250:, 0] for tempo in (1.1, 0.9))
    assert early.argmax() < late.argmax()


def test_drought_makes_smaller_plants_that_die_sooner_and_yield_less():
    wet, dry = (
        [(d.crop.copy(), d.yields.copy()) for _, d in grown(sown("maize", 100), rain=rain)][-280:]
        for rain in (8.0, 0.6)
    )
    leaves_wet, leaves_dry = (np.array([crop[0] for crop, _ in year]) for year in (wet, dry))
    assert leaves_dry.max() < 0.7 * leaves_wet.max()
    assert np.flatnonzero(leaves_dry > 0.1)[-1] < np.flatnonzero(leaves_wet > 0.1)[-1]
    assert dry[-1][1][0] < 0.6 * wet[-1][1][0]


def test_irrigation_makes_up_for_rain():
    dry = list(grown(sown("maize", 100, irrigated=1.0), rain=0.0))[-1][1].yields
    wet = list(grown(sown("maize", 100), rain=8.0))[-1][1].yields
    assert dry.mean() > 0.85 * wet.mean()


def test_harvest_leaves_residue_and_tillage_buries_it():
    """Fields whose stubble is worked by a plough; the share of straw comes from the table."""
    days_of = [(d.growing.copy(), d.residue.copy(), d.leaves.copy()) for _, d in grown(sown("spring_cereal", 60), 40)]
    growing, residue, leaves = (np.array(values) for values in zip(*days_of, strict=True))
    straw = FLORA.plants["spring_cereal"].straw
    for field in range(40):
        harvests = np.flatnonzero(growing[:-1, field] & ~growing[1:, field]) + 1
        before, after = residue[harvests - 1, field], residue[harvests, field]
        np.testing.assert_allclose(after, 1 - (1 - before) * (1 - straw), atol=0.03)
    lowest = residue[-100:].min(0)
    assert np.mean(lowest < 0.15) > 0.25  # ploughed or worked twice
    assert np.mean(lowest > 0.15) > 0.05  # sown directly
    assert leaves[-100:].max() > 0.5  # volunteers


def test_a_flooded_field_is_flooded_until_its_crop_ripens_and_never_dry():
    crops = sown("rice", 120)
    flooding = crops["maize"].types[0].cycles[0].model_copy(update={"flooded": True})
    kind = crops["maize"].types[0].model_copy(update={"cycles": (flooding,)})
    crops = {"maize": crops["maize"].model_copy(update={"types": (kind,)})}
    shown = [(day, days.canopy(), days.growing.copy()) for day, days in grown(crops, rain=0.0, warmth=24.0)]
    under = [
        s["flood"][0] for day, s, _ in shown if day_number(date(2023, 5, 10)) < day < day_number(date(2023, 7, 10))
    ]
    assert set(under) == {1.0}
    bare = [s["flood"][0] for _, s, growing in shown if not growing[0]]
    assert set(bare) == {0.0}
    assert max(s["crop"][0] for _, s, _ in shown) > 4


def test_swards_fill_their_room_and_cuts_reduce_them():
    def meadow(cut_at: float) -> np.ndarray:
        swards = {**BARE, "room": 4.0, "room_spread": 0.0, "cut_at": cut_at, "cut_to": 0.5}
        kind = CropType(name="m", perennial=True, sward="grass", **swards)
        return year_of({"maize": Crop(name="m", share=1, types=(kind,))}, "leaves")[-300:]

    assert meadow(0.0)[-1] == pytest.approx(4.0, rel=0.03)
    mown = meadow(2.5)
    drops = (np.diff(mown, axis=0) < -0.5).sum(0)
    assert (drops >= 3).all()
    assert mown.max() < 4.0


def test_trees_keep_their_leaves_where_winters_are_warm():
    kind = CropType(name="w", perennial=True, sward="tree", room_spread=0.0, **{**BARE, "room": 4.5})
    crops = {"maize": Crop(name="w", share=1, types=(kind,))}
    warm, cold = (year_of(crops, "leaves", warmth=warmth)[-1].mean() for warmth in (22.0, 3.0))
    assert warm > 4
    assert cold < 0.5


def test_weeds_replace_a_crop_that_fails():
    good, bad = (year_of(sown("maize", 100, failure=share), "leaves")[-200:-100].mean() for share in (0.0, 1.0))
    assert bad > good + 0.2


def test_some_crops_lodge_and_lose_yield():
    plans = draw_management(sown("pea", 60), FLORA, ["maize"] * 60, np.arange(60), YEAR, 1)
    yields, lodged = {}, np.zeros(60, bool)
    for chance in (0.0, 1.0):
        steady = replace(plans, lodging=np.full_like(plans.lodging, chance))
        days = DailyGrowth(steady, np.arange(60), 1)
        for day in range(first_day(YEAR), day_number(date(2023, 11, 30))):
            days.step(day, DayWeather(*[np.full(60, value) for value in (15.0, 8.0, 18.0, 4.0, 16.0)]))
            if chance == 0.0:
                lodged |= days.canopy()["lodged"] > 0
        yields[chance] = days.yields
    assert lodged.all()
    np.testing.assert_allclose(yields[0.0], 0.8 * yields[1.0], rtol=1e-6)
