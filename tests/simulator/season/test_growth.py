"""Growth of fields through a season: the same field everywhere, calendars as crop calendars give them, and yields."""

from dataclasses import fields
from datetime import date

import numpy as np
import pytest

from agrifm.season import Season, day_date, day_number
from agrifm.simulator.optics.reflectance import PLANTS, ROAD, ROOFS, WATER, SurfaceState
from agrifm.simulator.region import Region, read_region
from agrifm.simulator.season.growth import Growth
from agrifm.simulator.season.management import draw_management, first_day
from agrifm.simulator.season.plants import read_flora
from agrifm.simulator.season.weather import Weather

SUMMER = Season(date(2023, 3, 1), date(2023, 11, 30))


def grown(region: Region, season: Season, covers: list[str], first: int = 0, seed: int = 1) -> Growth:
    south, north = region.place.latitudes
    days = first_day(season), day_number(season.end)
    lat, middle = np.array([region.place.lat]), (south + north) / 2
    weather = Weather.draw(region.climate, *days, latitudes=lat, middle=middle, keys=np.zeros(1, np.int64), seed=seed)
    keys = first + np.arange(len(covers))
    return Growth.grow(region.crops, covers, keys, weather, np.zeros(len(covers), np.intp), season, seed)


@pytest.fixture(scope="module")
def oceanic() -> Region:
    return read_region("oceanic")


@pytest.fixture(scope="module")
def many(oceanic: Region) -> tuple[list[str], Growth]:
    """120 fields of every cover."""
    covers = [*oceanic.crops, "forest", "hedge", "margin", "water", "road", "settlement"] * 120
    return covers, grown(oceanic, SUMMER, covers)


def test_a_field_is_the_same_whatever_other_fields_and_days_are_asked_for(oceanic: Region):
    covers = ["wheat", "grassland", "maize", "forest"] * 6
    whole = grown(oceanic, SUMMER, covers)
    part = grown(oceanic, Season(date(2023, 5, 1), date(2023, 8, 31)), covers[10:], first=10)
    for day in (date(2023, 5, 1), date(2023, 7, 14)):
        one, other = whole.state(day_number(day)).take(np.arange(10, 24)), part.state(day_number(day))
        for field in fields(SurfaceState):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


def test_another_seed_grows_other_fields(oceanic: Region):
    one, other = (grown(oceanic, SUMMER, ["maize"] * 20, seed=seed).yields for seed in (1, 2))
    assert not np.isclose(one, other).any()


def test_every_cover_has_its_material(many: tuple[list[str], Growth]):
    covers, growth = many
    expected = {"water": WATER, "road": ROAD, "settlement": ROOFS}
    assert growth.material.tolist() == [expected.get(cover, PLANTS) for cover in covers]


@pytest.mark.parametrize("name", ["oceanic", "mediterranean", "monsoon", "southern"])
def test_states_are_finite_and_in_bounds_on_every_day_of_a_regions_season(name: str):
    region = read_region(name)
    season = region.orbits.season(2024)
    growth = grown(region, season, [*region.crops, "forest", "margin"] * 8)
    for day in range(day_number(season.start), day_number(season.end) + 1, 5):
        state = growth.state(day)
        for share in (state.flower, state.residue, state.flood, state.moisture):
            assert share.min() >= 0
            assert share.max() <= 1
        assert 0 <= state.green_area.min() <= state.green_area.max() < 15
        assert 0 <= state.brown_area.min() <= state.brown_area.max() < 15
        assert 5 < state.chlorophyll.min() <= state.chlorophyll.max() < 120
        assert 1 <= state.leaf_structure.min() <= state.leaf_structure.max() < 3
        assert 0 < state.leaf_projection.min() <= state.leaf_projection.max() <= 1
        for field in fields(SurfaceState):
            values = getattr(state, field.name)
            assert np.isfinite(values).all(), field.name
            assert values.dtype == (np.int8 if field.name == "material" else np.float32), field.name


PEAKS = [
    ("oceanic", 2023, "wheat", "winter_wheat", (4, 6)),
    ("oceanic", 2023, "maize", "maize", (7, 8)),
    ("oceanic", 2023, "sunflower", "sunflower", (7, 8)),
    ("oceanic", 2023, "sugar_beet", "sugar_beet", (7, 9)),
    ("mediterranean", 2023, "rice", "rice", (7, 8)),
    ("mediterranean", 2023, "barley", "winter_barley", (3, 5)),
    ("monsoon", 2024, "rice", "rice", (8, 9)),
    ("monsoon", 2024, "rice", "winter_wheat", (2, 4)),
    ("monsoon", 2024, "cotton", "cotton", (7, 9)),
    ("southern", 2024, "cotton", "cotton", (3, 5)),
]


@pytest.mark.parametrize(("name", "year", "crop", "plant", "months"), PEAKS)
def test_crops_peak_at_the_time_of_crop_calendars(name: str, year: int, crop: str, plant: str, months: tuple[int, int]):
    """USDA Foreign Agricultural Service, crop calendars: in the last third before the harvest begins, or earlier."""
    season = Season(date(year - 1, 12, 1), date(year, 11, 30))
    growth = grown(read_region(name), season, [crop] * 60)
    this = growth.plant == list(read_flora().plants).index(plant)
    standing = np.where(this, growth.history["crop"], 0).mean(1)
    assert standing.max() > 1.5
    assert months[0] <= day_date(growth.first + int(standing.argmax())).month <= months[1]


def test_the_second_crop_of_a_year_follows_the_first():
    """Punjab: rice under water in August, wheat on dry ground in February."""
    monsoon = read_region("monsoon")
    growth = grown(monsoon, Season(date(2024, 6, 1), date(2025, 4, 30)), ["rice"] * 80)
    plants = list(read_flora().plants)
    august, february = day_number(date(2024, 8, 1)), day_number(date(2025, 2, 15))
    assert growth.state(august).flood.mean() > 0.9
    assert growth.state(february).flood.max() == 0
    assert np.mean(growth.plant[august - growth.first] == plants.index("rice")) > 0.9
    assert np.mean(growth.plant[february - growth.first] == plants.index("winter_wheat")) > 0.6


def test_rapeseed_alone_is_yellow_and_only_in_spring(many: tuple[list[str], Growth]):
    covers, growth = many
    rape = np.array(covers) == "rapeseed_rape"
    flower = growth.history["flower"]
    label = flower[:200, rape]  # until mid September: what is sown for the next year blooms later
    assert np.median(label.max(0)) > 0.3
    height = growth.first + label.mean(1).argmax()
    assert date(2023, 4, 1) <= day_date(int(height)) <= date(2023, 5, 5)
    assert flower[130:200, rape].mean() < 0.01
    other = ~np.isin(covers, ["rapeseed_rape", "sunflower"])
    assert np.mean(flower[:, other].max(0) > 0.1) < 0.05


def test_neighbouring_years_fill_the_ground_before_and_after_the_crop(many: tuple[list[str], Growth]):
    """In March maize fields show catch crops, weeds or bare soil; in November winter cereals begin to stand on some."""
    covers, growth = many
    maize = np.array(covers) == "maize"
    march, november = (growth.state(day_number(date(2023, month, 25))).green_area[maize] for month in (3, 11))
    assert np.mean(march > 0.8) > 0.1
    assert np.mean(march < 0.3) > 0.1
    assert np.mean(growth.plant[-5][maize] >= 0) > 0.2
    assert np.median(november) < 1


def test_growth_explains_half_to_two_thirds_of_yields(many: tuple[list[str], Growth], oceanic: Region):
    """The best window of leaf area or of intercepted light, within one plant; the middle of six plants."""
    covers = ["wheat", "maize", "rapeseed_rape", "sunflower", "barley", "sugar_beet"] * 250
    growth = grown(oceanic, SUMMER, covers)
    plans = draw_management(oceanic.crops, read_flora(), covers, np.arange(len(covers)), SUMMER, 1)
    meant = np.where(plans.yields, plans.plant, -1).max(1)
    leaves = growth.history["crop"]
    explained = []
    for crop in dict.fromkeys(covers):
        plant = np.bincount(meant[np.array(covers) == crop]).argmax()
        rows = np.flatnonzero((meant == plant) & (np.array(covers) == crop) & np.isfinite(growth.yields))
        of_days = [leaves[:, rows], 1 - np.exp(-0.5 * leaves[:, rows])]
        windows = [
            one[start:end].sum(0)
            for one in of_days
            for start in range(0, 240, 20)
            for end in range(start + 20, 260, 20)
        ]
        explained.append(max(np.corrcoef(sums, growth.yields[rows])[0, 1] ** 2 for sums in windows if sums.std() > 0))
    assert 0.5 <= np.median(explained) <= 0.7
    assert min(explained) > 0.3
    assert max(explained) < 0.85


def test_yields_are_what_farmers_harvest(many: tuple[list[str], Growth]):
    """Means of France by Agreste, t/ha: wheat 7.2, barley 6.4, rapeseed 3.2, sunflower 2.3; failures count here."""
    covers, growth = many
    expected = {"wheat": 7.2, "barley": 6.4, "rapeseed_rape": 3.2, "sunflower": 2.3}
    for crop, mean in expected.items():
        yields = growth.yields[np.array(covers) == crop]
        assert np.nanmean(yields) == pytest.approx(mean, rel=0.4), crop
    assert np.isnan(growth.yields[np.isin(covers, ["grassland", "forest", "road"])]).all()


def test_soils_and_leaves_differ_between_fields_and_stay_what_they_are(many: tuple[list[str], Growth]):
    covers, growth = many
    one, later = (growth.state(day_number(day)) for day in (date(2023, 4, 1), date(2023, 10, 1)))
    np.testing.assert_array_equal(one.soil_brightness, later.soil_brightness)
    assert 0.1 < np.log(one.soil_brightness).std() < 0.25
    forest = np.array(covers) == "forest"
    assert one.leaf_water[forest].std() > 0.1 * one.leaf_water[forest].mean()
