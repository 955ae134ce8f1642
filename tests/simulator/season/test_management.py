"""Plans of fields: rotations, calendars, and numbers that depend on a field's key alone."""

from dataclasses import fields
from datetime import date

import numpy as np
import pytest

from agrifm.season import Season, day_number
from agrifm.simulator.region import read_region
from agrifm.simulator.season.crops import Crop, CropType, Cycle
from agrifm.simulator.season.management import NEVER, FieldManagement, crop_year, draw_management, first_day
from agrifm.simulator.season.plants import read_flora

OCEANIC = read_region("oceanic").crops
YEAR = Season(date(2023, 3, 1), date(2023, 10, 31))


def planned(covers: list[str], crops: dict[str, Crop] = OCEANIC, seed: int = 1, first: int = 0) -> FieldManagement:
    return draw_management(crops, read_flora(), covers, first + np.arange(len(covers)), YEAR, seed)


def names(plans: FieldManagement, slot: int) -> np.ndarray:
    return np.array([kind.name for kind in plans.types])[plans.kind[:, slot]]


@pytest.mark.parametrize(
    ("start", "end", "year"),
    [("2022-09-01", "2024-01-31", 2023), ("2024-03-01", "2024-10-31", 2024), ("2023-09-01", "2024-08-31", 2024)],
)
def test_labels_mean_the_year_of_the_seasons_middle(start: str, end: str, year: int):
    season = Season(date.fromisoformat(start), date.fromisoformat(end))
    assert crop_year(season) == year
    assert first_day(season) == day_number(date(year - 2, 8, 1))


def test_a_field_has_the_same_plan_whatever_other_fields_are_drawn():
    covers = ["wheat", "grassland", "maize", "forest"] * 50
    whole, part = planned(covers), planned(covers[80:], first=80)
    for field in fields(FieldManagement):
        if field.name != "types":
            np.testing.assert_array_equal(
                getattr(part, field.name), getattr(whole, field.name)[80:], err_msg=field.name
            )
    assert not np.array_equal(planned(covers, seed=2).sowing, whole.sowing)


def test_cycles_follow_each_other_and_one_of_them_is_meant():
    plans = planned(["wheat", "soy_soybeans", "maize", "other_temporary_crop"] * 100)
    assert (np.diff(plans.sowing, axis=1)[plans.sowing[:, 1:] < NEVER] > 0).all()
    assert (plans.yields.sum(1) <= 1).all()
    meant = plans.yields.any(1)
    grown = plans.sowing[meant, plans.yields[meant].argmax(1)]
    assert (grown > day_number(date(2022, 9, 1))).all()
    assert (grown < day_number(date(2023, 8, 1))).all()


def test_the_crop_before_comes_from_the_regions_rotation():
    """4000 fields: 3 standard deviations of a share of 0.3 are 0.022."""
    wheat = planned(["wheat"] * 4000)
    before = names(wheat, 0)
    weights = OCEANIC["wheat"].after
    expected = weights["rapeseed_rape"] / sum(weights.values())
    assert np.mean(before == "winter rapeseed") == pytest.approx(expected, abs=0.022)


def test_the_crop_that_follows_is_what_bayes_rule_makes_of_the_rotation():
    """Two crops, half of the land each; B always follows A, and A follows either alike: after A, B with 2/3."""
    kind = CropType(name="a", cycles=(Cycle(plant="maize", sowing=110, spread=0),))
    crops = {
        "maize": Crop(name="A", share=0.5, types=(kind,)),
        "wheat": Crop(name="B", share=0.5, after={"maize": 1.0}, types=(kind.model_copy(update={"name": "b"}),)),
    }
    plans = planned(["maize"] * 4000, crops)
    assert np.mean(names(plans, 2) == "b") == pytest.approx(2 / 3, abs=0.025)
    assert (names(planned(["wheat"] * 50, crops), 2) == "a").all()


def test_sowing_days_vary_around_the_calendar():
    sowing = planned(["rapeseed_rape"] * 2000)
    days = sowing.sowing[sowing.yields] - day_number(date(2023, 1, 1))
    cycle = OCEANIC["rapeseed_rape"].types[0].cycles[0]
    assert days.mean() == pytest.approx(cycle.sowing, abs=1)
    assert days.std() == pytest.approx(cycle.spread, rel=0.08)


def test_perennials_stay_what_they_are():
    plans = planned(["permanent_crops"] * 200 + ["forest"] * 20)
    assert plans.again[plans.sowing < NEVER].all()
    kinds = plans.kind[:, :3]
    assert (kinds == kinds[:, :1]).all()
    vigour = plans.vigour[:, :3]
    np.testing.assert_array_equal(vigour, np.repeat(vigour[:, :1], 3, axis=1))


def test_grass_sown_after_a_crop_is_sown_in_autumn():
    plans = planned(["grassland"] * 3000)
    new = ~plans.again & (plans.sowing > day_number(date(2022, 7, 1))) & (plans.sowing < day_number(date(2023, 7, 1)))
    young = new & np.isin(plans.kind, [i for i, kind in enumerate(plans.types) if kind.sward == "grass"])
    assert 100 < young.any(1).sum() < 600
    assert set(plans.sowing[young] - day_number(date(2023, 1, 1))) == {-112}
