"""Growth of the fields of many places at once, and when each field was sown and harvested."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from agrifm.season import Season, day_number
from agrifm.simulator.season.daily_growth import MAX_DEVELOPMENT_TEMPERATURE, MIN_DAY_LENGTH
from agrifm.simulator.season.growth import Growth
from agrifm.simulator.season.management import FieldManagement, draw_management, first_day
from agrifm.simulator.season.plants import Plant, read_flora
from agrifm.simulator.season.weather import Weather
from agrifm.simulator.world.covers import read_covers
from agrifm.simulator.world.places import WorldPlace

YEAR = 2021
"""Crop year of all places: the climate has no trend."""
SEASON_DAYS = 365
"""Length of the season of each sample."""
WHOLE = Season(date(YEAR - 1, 1, 1), date(YEAR + 1, 3, 31))
"""Contains the season of every place."""
NEW_YEAR = day_number(date(YEAR, 1, 1))
TEMPO_LIMITS = (0.55, 1.8)
"""Of varieties: how much faster or slower than the usual one they ripen."""
UNKNOWN_DAY = -(2**31)
"""Sowing or harvest that did not happen in the simulated years, and that of land that is not sown."""


@dataclass(frozen=True)
class WorldFields:
    """The fields of places, place by place in order; arrays (fields,)."""

    growth: Growth
    weather: Weather
    """Of the places."""
    sowing: NDArray[np.int64]
    """Day of sowing of the crop of the year, days since 1970-01-01, `UNKNOWN_DAY` without one."""
    harvest: NDArray[np.int64]
    """Day of its harvest."""


def grow_places(places: Sequence[WorldPlace], seed: int) -> WorldFields:
    """Grow every field of the places through their seasons."""
    first = first_day(WHOLE)
    weathers = [
        Weather.draw(
            place.climate,
            first,
            day_number(WHOLE.end),
            latitudes=np.array([place.lat]),
            middle=place.lat,
            keys=np.array([place.number]),
            seed=seed,
        )
        for place in places
    ]
    weather = Weather(
        first,
        *(
            np.concatenate([getattr(one, field.name) for one in weathers])
            for field in fields(Weather)
            if field.name != "first"
        ),
    )
    covers = list(read_covers())
    named = [[covers[index] for index in place.cover] for place in places]
    keys = [place.number * len(place.cover) + np.arange(len(place.cover)) for place in places]
    managements = []
    for row, place in enumerate(places):
        flora = replace(read_flora(), wild={})
        drawn = draw_management(place.crops, flora, named[row], keys[row], WHOLE, seed)
        managements.append(_with_varieties(drawn, place, weather, row))
    management = _joined(managements)
    site = np.repeat(np.arange(len(places)), [len(place.cover) for place in places])
    materials = [read_covers()[name].material or name for names in named for name in names]
    growth = Growth.managed(management, materials, np.concatenate(keys), weather, site, WHOLE, seed)
    soil = np.repeat([place.soil for place in places], [len(place.cover) for place in places])
    flood = np.concatenate([place.flood for place in places]).astype(np.float32)
    growth = replace(
        growth,
        history={**growth.history, "flood": np.maximum(growth.history["flood"], flood)},
        soil_brightness=(growth.soil_brightness * soil).astype(np.float32),
    )
    return WorldFields(growth, weather, *_dates(growth, management))


def _with_varieties(management: FieldManagement, place: WorldPlace, weather: Weather, row: int) -> FieldManagement:
    """Varieties that ripen at the end of the place's season, on the mean of their fields."""
    flora = read_flora().plants
    plants = list(flora)
    tempo = np.ones((len(management.types), len(plants)))
    for index, kind in enumerate(management.types):
        for cycle, harvest in zip(kind.cycles, place.ripening.get(kind.name, ()), strict=False):
            if harvest is None:
                continue
            plant = flora[cycle.plant]
            start, end = (NEW_YEAR - weather.first + round(day) for day in (cycle.sowing, harvest))
            passed = _development(plant, weather, row, start, end)
            tempo[index, plants.index(cycle.plant)] = np.clip(plant.maturity / max(passed, 1.0), *TEMPO_LIMITS)
    return replace(management, tempo=management.tempo * tempo[management.kind, management.plant])


def _development(plant: Plant, weather: Weather, row: int, start: int, end: int) -> float:
    """Degree days by which a plant ages between two days of the weather, as in `DailyGrowth`."""
    warmth = np.minimum(weather.temperature[row, start:end], MAX_DEVELOPMENT_TEMPERATURE) - plant.base
    pace = np.ones(len(warmth))
    if plant.day_length > 0:
        needed = max(plant.day_length, MIN_DAY_LENGTH + 1)
        pace = np.clip((weather.day_length[row, start:end] - MIN_DAY_LENGTH) / (needed - MIN_DAY_LENGTH), 0, 1)
    return float((np.maximum(warmth, 0) * pace).sum())


def _joined(managements: Sequence[FieldManagement]) -> FieldManagement:
    """One management of the fields of all places."""
    offsets = np.cumsum([0] + [len(one.types) for one in managements])
    kind = np.concatenate([one.kind + offset for one, offset in zip(managements, offsets, strict=False)])
    arrays = {
        field.name: np.concatenate([getattr(one, field.name) for one in managements])
        for field in fields(FieldManagement)
        if field.name not in ("types", "kind")
    }
    return FieldManagement(types=tuple(kind for one in managements for kind in one.types), kind=kind, **arrays)


def _dates(growth: Growth, management: FieldManagement) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When the crop of the year was sown and harvested, from what stood on the fields."""
    days = np.arange(len(growth.plant))[:, None]
    slot = np.argmax(management.yields, axis=1)
    rows = np.arange(len(slot))
    kinds = np.array([bool(kind.cycles) and not kind.perennial for kind in management.types])
    sown = management.yields.any(axis=1) & kinds[management.kind[rows, slot]]
    stands = growth.plant == management.plant[rows, slot]
    stands &= days >= management.sowing[rows, slot] - growth.first
    start = np.argmax(stands, axis=0)
    gone = ~stands & (days > start)
    end = np.argmax(gone, axis=0)
    sowing = np.where(sown & stands.any(axis=0), start + growth.first, UNKNOWN_DAY)
    harvest = np.where((sowing != UNKNOWN_DAY) & gone.any(axis=0), end + growth.first, UNKNOWN_DAY)
    return sowing, harvest


def season_start(place: WorldPlace) -> date:
    """The first day of a place's season."""
    return date(YEAR, 1, 1) + timedelta(days=place.season_start)
