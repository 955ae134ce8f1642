"""Places of the pretraining world: each is drawn from the seed and its number alone.

A place has a climate, a calendar, crops with their varieties, and a few fields that share weather, sky and overpasses.
Fields are crops in the shares of the place, and other land in each of the groups of land cover.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.simulator.acquisition.sky import SkyClimate
from agrifm.simulator.season.crops import Crop, CropType, Cycle
from agrifm.simulator.season.plants import read_flora
from agrifm.simulator.season.weather import Climate
from agrifm.simulator.world.calendar import JITTER, is_excluded, read_calendar
from agrifm.simulator.world.climate import crossing, draw_climate, draw_sky, mean_temperature, on_days
from agrifm.simulator.world.covers import Cover, read_covers, read_groups

GROUP_SHARES = {
    "cropland": 0.46, "forest": 0.11, "shrubland": 0.09, "grassland": 0.13, "wetland": 0.05, "impervious": 0.06,
    "bare": 0.06, "water": 0.04,
}  # fmt: skip
"""Mean share of the fields of a place in each group: more cropland than the land has, because models are for crops."""
GROUP_CONCENTRATION = 6.0
"""Of the Dirichlet distribution of these shares: small numbers make places differ more."""
SEASON_SHIFT = 30
"""Most days by which the season of a place begins before or after its year of crops."""
MOST_CROPS = 9
LEAST_GROWTH_DAYS = 75
"""Days between sowing and the planned harvest at least."""
TROPICAL_GROWTH_DAYS = (95, 155)
"""Most days between them where no cold season decides; a season of the calendar can be longer than any crop."""
DOUBLE_SHARE = 0.5
"""Mean share of the fields with two crops a year where both seasons leave room for it."""

SOWING_BEFORE = 120
"""Most days by which the temperature at which a crop is sown may come before a season of the calendar."""
WARMER_THAN_WINTER, COOLER_THAN_SUMMER = 4.0, 2.5
"""Crops that stand over winter are sown when it is warmer than in the coldest month, and cooler than in the warmest
one, by this, degrees Celsius."""
COOLER_AT_HARVEST = 1.5
"""Crops of a long season ripen before it is cooler than at their sowing by this, degrees."""
OVERWINTERS, WINTER_CROP_DAYS, SPRING_CROP_DAYS = 170, 285, 120
"""A crop that is sown so many days before the coldest one stands over winter; usual days from sowing to harvest of such
a crop, and of one sown in spring."""
RAIN_DAYS, RAIN_NEEDED, WARM_SEASON = 120, 300.0, 22.0
"""Days after the start of a season, in which crops without irrigation need so much rain, mm, at that temperature,
degrees Celsius."""
DRY_SEASON_WEIGHT = 0.04
"""Weight of a season without rain, relative to a wet one of the same place."""
MILD_WINTER = 1.0
"""Mean of the coldest month above which green fields are common in winter, degrees Celsius."""
MILD_CATCH_CROPS, COLD_CATCH_CROPS = (0.2, 0.9), (0.0, 0.3)
"""Shares of the fields with a catch crop or weeds in long gaps, between which each place draws."""

Sowing = tuple[float, float, int | None]
"""Mean day and spread of sowing between fields, and the planned day of harvest, None = as the usual variety ripens."""
Calendar = NDArray[np.int64]
"""(2, 2), first and last day of each season, counted from 1 January of the crop year."""


@dataclass(frozen=True)
class WorldPlace:
    """A place of the world."""

    number: int
    lon: float
    """Degrees."""
    lat: float
    """Degrees."""
    season_start: int
    """First day of the season of its samples, counted from 1 January of the crop year."""
    climate: Climate
    sky: SkyClimate
    crops: Mapping[str, Crop]
    """Everything that grows, by cover."""
    ripening: Mapping[str, tuple[int | None, ...]]
    """Name of a type -> planned day of harvest of each of its cycles, from which its variety follows; None = the usual
    variety."""
    cover: NDArray[np.intp]
    """(fields,) index into the covers of the world."""
    side: NDArray[np.float64]
    """(fields,) side of each field, metres."""
    flood: NDArray[np.float64]
    """(fields,) share of the ground under water all year, 0..1."""
    soil: float
    """Factor on the brightness of the soil."""
    satellites: Mapping[str, int]
    """Sensor -> how many of its satellites deliver images here."""


def draw_place(seed: int, number: int, fields: int) -> WorldPlace:
    """Draw a place by its number; the same numbers give the same place, whatever else is drawn.

    Args:
        fields: of the place, at least 2.
    """
    rng = np.random.default_rng([seed, number])
    calendar = read_calendar()
    # squares of a degree are smaller near the poles
    weight = np.cumsum(np.cos(np.radians(calendar.lat)))
    row = int(np.searchsorted(weight, rng.random() * weight[-1]))
    lon, lat = float(calendar.lon[row]), float(calendar.lat[row])
    lon, lat = lon + JITTER * (rng.random() - 0.5), lat + JITTER * (rng.random() - 0.5)
    assert not is_excluded(np.array(lon), np.array(lat))
    climate = draw_climate(rng, lat, lon)
    seasons = calendar.seasons[row]
    annual, ripening = _annual_crops(rng, climate, seasons)
    others = _other_covers(climate)
    cover = _fields(rng, annual, others, fields)
    covers = read_covers()
    names = list(covers)
    crops = annual | {name: Crop(name=name, types=covers[name].types or GROUND) for name in others}
    floods = [covers[names[index]].flood or (0.0, 0.0) for index in cover]
    hectares = np.clip(np.exp(np.log(2.0) + 1.1 * rng.standard_normal()), 0.15, 40)
    return WorldPlace(
        number=number,
        lon=lon,
        lat=lat,
        season_start=max(int(calendar.year_start[row] + rng.integers(-SEASON_SHIFT, SEASON_SHIFT + 1)), -365),
        climate=climate,
        sky=draw_sky(rng, climate),
        crops=crops,
        ripening=ripening,
        cover=cover,
        side=np.sqrt(hectares * 1e4 * np.exp(0.7 * rng.standard_normal(fields))),
        flood=np.array([rng.uniform(low, high) for low, high in floods]),
        soil=float(np.exp(0.25 * rng.standard_normal())),
        satellites={"sentinel-2": int(rng.random() < 0.75) + 1, "landsat": int(rng.random() < 0.6) + 1},
    )


GROUND = (CropType(name="ground", perennial=True, sward="grass", room=0.1, water=30.0, failure=0.0),)
"""What grows, unseen, under materials."""


def _annual_crops(
    rng: np.random.Generator, climate: Climate, seasons: Calendar
) -> tuple[dict[str, Crop], dict[str, tuple[int | None, ...]]]:
    """The annual crops of a place by cover, and the planned harvests of their types."""
    covers, plants = read_covers(), read_flora().plants
    annual = {name: cover for name, cover in covers.items() if cover.plant is not None}
    warmth = [mean_temperature(climate, *season) for season in seasons]
    options, weights = [], []
    for name, cover in annual.items():
        assert cover.plant is not None
        for season, temperature in enumerate(warmth):
            # plants that wait for long days are sown before the cold season
            if plants[cover.plant].day_length > 0 and temperature > min(warmth):
                continue
            options.append((name, season))
            weights.append(cover.weight * _fit(cover, temperature) * _watered(climate, seasons[season], temperature))
    noisy = np.array(weights) * np.exp(0.9 * rng.standard_normal(len(weights)))
    wanted = 2 + min(int(rng.poisson(3)), MOST_CROPS - 2)
    order = np.argsort(-noisy)[:wanted]
    chosen = [options[index] for index in order if noisy[index] > 0] or [("pea", int(np.argmin(warmth)))]
    shares = np.array([noisy[index] for index in order if noisy[index] > 0] or [1.0])
    dry = float(np.clip(1.2 - sum(climate.rain) / 600, 0, 0.9))
    both = DOUBLE_SHARE * 2 * rng.random() if seasons[0, 1] + 5 < seasons[1, 0] else 0.0
    types: dict[str, list[CropType]] = {}
    ripening: dict[str, tuple[int | None, ...]] = {}
    total: dict[str, float] = {}
    sowings = {option: _sowing(rng, climate, seasons[option[1]], annual[option[0]]) for option in chosen}
    catch_crop = rng.uniform(*(MILD_CATCH_CROPS if min(climate.temperature) > MILD_WINTER else COLD_CATCH_CROPS))
    for (name, season), share in zip(chosen, shares, strict=True):
        cycles = [(name, season)]
        partners = [option for option in chosen if option[1] != season]
        if partners and rng.random() < both:
            cycles.append(partners[int(rng.integers(len(partners)))])
        cycles.sort(key=lambda cycle: sowings[cycle][0])
        title = " and ".join(f"{crop} of season {number + 1}" for crop, number in cycles)
        kind = _crop_type(
            title, annual[name], cycles, annual, sowings, cycles.index((name, season)), dry, catch_crop, share
        )
        types.setdefault(name, []).append(kind)
        total[name] = total.get(name, 0.0) + float(share)
        ripening[title] = tuple(sowings[cycle][2] for cycle in cycles)
    whole = sum(total.values())
    before = _predecessors(sowings, climate, total)
    return {
        name: Crop(name=name, share=total[name] / whole, types=tuple(kinds), after=before.get(name, {}))
        for name, kinds in types.items()
    }, ripening


def _predecessors(
    sowings: Mapping[tuple[str, int], Sowing], climate: Climate, shares: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Crop -> crops that are harvested before it is sown, with their shares; a crop without any has no entry."""
    coldest = 365 * (0.54 if climate.temperature[0] > climate.temperature[6] else 0.04)
    ends: dict[str, float] = {}
    for (name, _), (day, _, end) in sowings.items():
        overwinters = (coldest - day) % 365 < OVERWINTERS
        usual = day + (WINTER_CROP_DAYS if overwinters else SPRING_CROP_DAYS)
        ends[name] = max(ends.get(name, -np.inf), usual if end is None else end)
    starts = {name: min(day for (other, _), (day, _, _) in sowings.items() if other == name) for name in ends}
    return {
        name: found
        for name, start in starts.items()
        if (found := {other: shares[other] for other, end in ends.items() if end - 365 < start and other in shares})
    }


def _watered(climate: Climate, season: NDArray[np.int64], temperature: float) -> float:
    """How well the rain of a season's first months feeds a crop, 0..1; without any, a few fields are irrigated."""
    rain = float(on_days(climate.rain, season[0] + np.arange(RAIN_DAYS)).mean()) * RAIN_DAYS / 30.4
    needed = RAIN_NEEDED * np.clip(temperature / WARM_SEASON, 0.3, 1)  # plants use less water where it is cool
    # few farmers sow where a harvest is a matter of luck, so the share falls faster than the rain
    return float(np.clip((rain / needed) ** 2, DRY_SEASON_WEIGHT, 1))


def _fit(cover: Cover, temperature: float) -> float:
    """How well a temperature fits a cover, 0..1: 1 in the middle of its range, 0 outside."""
    low, high = cover.temperature
    return float(np.clip(1 - ((2 * temperature - low - high) / (high - low)) ** 2, 0, 1))


def _sowing(rng: np.random.Generator, climate: Climate, season: NDArray[np.int64], crop: Cover) -> Sowing:
    """When a crop is sown and harvested in a season of the calendar, by temperature where there is a cold season."""
    first, last = (int(day) for day in season)
    slack = max(0, last - first - 2 * LEAST_GROWTH_DAYS)
    day = first + rng.random() * min(slack, 45)
    end = last - rng.random() * min(slack, 30)
    spread = rng.uniform(4, 14)
    by_warmth = _day_of_warmth(climate, crop, first - SOWING_BEFORE)
    if by_warmth is None:
        end = min(end, day + rng.uniform(*TROPICAL_GROWTH_DAYS))
        return day, spread, int(max(end, day + LEAST_GROWTH_DAYS))
    day = by_warmth + rng.uniform(-8, 16)
    if not crop.long_season:
        return day, spread, None
    assert crop.sown_at is not None
    cold = crossing(climate, crop.sown_at - COOLER_AT_HARVEST, False, day + LEAST_GROWTH_DAYS)
    return day, spread, int(max(min(end, cold if cold is not None else end), day + LEAST_GROWTH_DAYS))


def _day_of_warmth(climate: Climate, crop: Cover, after: float) -> float | None:
    """The day after another one on which it is as warm as a crop needs at its sowing; None = there is no such day."""
    if crop.sown_at is None:
        return None
    assert crop.plant is not None
    if read_flora().plants[crop.plant].day_length > 0:
        coldest, warmest = min(climate.temperature), max(climate.temperature)
        if warmest - coldest < 3 * WARMER_THAN_WINTER:
            return None
        warm = min(max(crop.sown_at, coldest + WARMER_THAN_WINTER), warmest - COOLER_THAN_SUMMER)
        return crossing(climate, warm, False, after)
    return crossing(climate, crop.sown_at, True, after)


def _crop_type(
    title: str,
    cover: Cover,
    cycles: list[tuple[str, int]],
    annual: Mapping[str, Cover],
    sowings: Mapping[tuple[str, int], Sowing],
    main: int,
    dry: float,
    catch_crop: float,
    weight: float,
) -> CropType:
    """The type of one or two crops a year; `dry` is the share of irrigated fields in this climate."""
    grown = [annual[name] for name, _ in cycles]
    return CropType(
        name=title,
        weight=weight,
        cycles=tuple(
            Cycle(plant=crop.plant or "", sowing=sowings[cycle][0], spread=sowings[cycle][1], flooded=crop.flooded)
            for crop, cycle in zip(grown, cycles, strict=True)
        ),
        main=main,
        room=cover.room,
        vigour=cover.vigour,
        irrigated=max(dry, *(crop.irrigated for crop in grown)) if len(grown) > 1 else max(dry, cover.irrigated),
        catch_crop=catch_crop,
    )


def _other_covers(climate: Climate) -> dict[str, float]:
    """Covers that are not annual crops and fit the place -> their weight."""
    mean = float(np.mean(climate.temperature))
    others = {name: cover for name, cover in read_covers().items() if cover.plant is None}
    fitting = {name: cover.weight * _fit(cover, mean) for name, cover in others.items()}
    return {name: weight for name, weight in fitting.items() if weight > 0}


def _fields(
    rng: np.random.Generator, annual: Mapping[str, Crop], others: Mapping[str, float], fields: int
) -> NDArray[np.intp]:
    """The cover of each field: first its group, then a cover of the group."""
    covers = read_covers()
    names = list(covers)
    groups = list(read_groups())
    alpha = GROUP_CONCENTRATION * np.array([GROUP_SHARES[group] for group in groups])
    of_group = rng.choice(len(groups), size=fields, p=rng.dirichlet(alpha))
    result = np.zeros(fields, np.intp)
    for field, group in enumerate(of_group):
        weights = {name: weight for name, weight in others.items() if covers[name].group == groups[group]}
        if groups[group] == "cropland":
            # one field in six of the cropland is not sown each year
            rest = sum(weights.values()) or 1.0
            weights = {name: weight / rest / 5 for name, weight in weights.items()}
            weights |= {name: crop.share for name, crop in annual.items()}
        if not weights:  # too cold for any cover of the group
            weights = {"bare_ground": 1.0}
        total = np.cumsum(list(weights.values()))
        drawn = int(np.searchsorted(total, rng.random() * total[-1]))
        result[field] = names.index(list(weights)[min(drawn, len(weights) - 1)])
    return result
