"""Management of each field over three crop years: crop rotation, dates, and how well the work is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.season import Season, day_number
from agrifm.simulator import keyed_random
from agrifm.simulator.season.crops import Crop, CropType
from agrifm.simulator.season.plants import Flora

YEARS = (-1, 0, 1)
"""Simulated crop years, relative to the year of the labels."""
CYCLES = 2
"""Maximum number of cycles in a crop year."""
SLOTS = len(YEARS) * CYCLES
SOWN_GRASS = -112
"""Day on which a perennial is sown after another crop: mid September of the previous year."""
FALLOW_FROM = -90
"""Day on which a fallow year begins: October."""
NEVER = 10**6
"""A day after every season."""

Numbers = NDArray[np.float64]


def crop_year(season: Season) -> int:
    """The calendar year of a season's labels: the year that contains the middle of the season."""
    return (season.start + timedelta(days=season.days // 2)).year


def first_day(season: Season) -> int:
    """The first simulated day, days since 1970-01-01: before the sowing of the previous crop year."""
    return day_number(date(crop_year(season) - 2, 8, 1))


@dataclass(frozen=True)
class FieldManagement:
    """Management of fields. Arrays (fields, slots); a slot is one cycle, in order; days since 1970-01-01."""

    types: tuple[CropType, ...]
    """All types of all covers."""
    kind: NDArray[np.intp]
    """Index into `types`."""
    plant: NDArray[np.intp]
    """Index into the flora's plants; -1 = only a sward grows."""
    sowing: NDArray[np.int64]
    """Day of sowing; `NEVER` in unused slots, which are the last ones."""
    yields: NDArray[np.bool_]
    """The slot of the label and the yield."""
    again: NDArray[np.bool_]
    """A perennial that already grew here in the previous slot."""
    vigour: Numbers
    """Factor on leaf area."""
    tempo: Numbers
    """Factor on thermal time: above 1 = an early variety."""
    nitrogen: Numbers
    """Factor on chlorophyll."""
    room: Numbers
    """Leaf area up to which the sward grows, m2 per m2."""
    late: NDArray[np.int64]
    """Days between maturity and harvest."""
    rest_days: NDArray[np.int64]
    """Minimum days between the previous harvest and sowing."""
    catch: NDArray[np.bool_]
    """Whether a catch crop grows in the gap before."""
    catch_days: NDArray[np.int64]
    """Maximum days of the catch crop."""
    stubble_days: NDArray[np.int64]
    """Days between the previous harvest and the tillage of its stubble."""
    seedbed_days: NDArray[np.int64]
    """Days between the tillage that ends the gap and sowing."""
    greening: Numbers
    """Factor on volunteers and catch crops in the gap before."""
    irrigated: NDArray[np.bool_]
    flooded: NDArray[np.bool_]
    lodging: Numbers
    """Uniform random numbers; fields lodge if they are below the plant's share."""


def draw_management(
    crops: Mapping[str, Crop],
    flora: Flora,
    covers: Sequence[str],
    keys: NDArray[np.int64],
    season: Season,
    seed: int,
) -> FieldManagement:
    """Draw the management of fields; covers that are not crops must be wild covers of the flora."""
    known = {**crops, **flora.wild}
    names = list(known)
    types = tuple(kind for crop in known.values() for kind in crop.types)
    first_type = np.cumsum([0] + [len(crop.types) for crop in known.values()])
    main = np.array([names.index(cover) for cover in covers], np.intp)
    before, behind = _neighbours(known, names, main, keys, seed)
    of_year = np.stack([before, main, behind], axis=1)
    kind_of_year = np.zeros(of_year.shape, np.intp)
    perennial = np.array([kind.perennial for kind in types])
    # The year of the labels first: a perennial that stays has the same type in the other years.
    for index in (1, 0, 2):
        chosen = keyed_random.uniform(seed, "type", keys, index)
        for crop in np.unique(of_year[:, index]):
            chosen_fields = of_year[:, index] == crop
            weights = np.array([kind.weight for kind in known[names[crop]].types])
            kind_of_year[chosen_fields, index] = first_type[crop] + _pick(weights, chosen[chosen_fields])
        stays = (of_year[:, index] == main) & perennial[kind_of_year[:, 1]]
        kind_of_year[stays, index] = kind_of_year[stays, 1]
    calendar = _calendar(types, kind_of_year, list(flora.plants), keys, crop_year(season), seed)
    return _with_variation(types, calendar, keys, seed)


def _pick(weights: Numbers, chance: Numbers) -> NDArray[np.intp]:
    return np.searchsorted(np.cumsum(weights) / weights.sum(), chance).clip(0, len(weights) - 1)


def _neighbours(
    known: Mapping[str, Crop], names: list[str], main: NDArray[np.intp], keys: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The crop of the previous year, from `after`, and of the next, by Bayes' rule; wild covers do not change."""
    shares = np.array([crop.share for crop in known.values()])
    follows = np.zeros((len(names), len(names)))  # follows[crop, the one before]
    for index, crop in enumerate(known.values()):
        weights = np.array([crop.after.get(name, 0.0) for name in names]) if crop.after else shares
        follows[index] = weights / weights.sum() if crop.share else np.eye(len(names))[index]
    before, behind = main.copy(), main.copy()
    for crop in np.unique(main):
        chosen_fields = main == crop
        before[chosen_fields] = _pick(follows[crop], keyed_random.uniform(seed, "crop before", keys[chosen_fields]))
        next_one = shares * follows[:, crop]
        if next_one.sum() > 0:
            behind[chosen_fields] = _pick(next_one, keyed_random.uniform(seed, "crop behind", keys[chosen_fields]))
    return before, behind


@dataclass(frozen=True)
class _Calendar:
    """Crop calendar: what grows when; see `FieldManagement`."""

    kind: NDArray[np.intp]
    plant: NDArray[np.intp]
    sowing: NDArray[np.int64]
    yields: NDArray[np.bool_]
    flooded: NDArray[np.bool_]
    again: NDArray[np.bool_]


def _calendar(
    types: tuple[CropType, ...],
    kind_of_year: NDArray[np.intp],
    plants: list[str],
    keys: NDArray[np.int64],
    year: int,
    seed: int,
) -> _Calendar:
    """Draw the cycles of each field, in the order of sowing."""
    new_years = np.array([day_number(date(year + offset, 1, 1)) for offset in YEARS])
    plant = np.full((len(types), CYCLES), -1)
    day, spread = np.zeros((len(types), CYCLES)), np.zeros((len(types), CYCLES))
    used, yields, flooded = np.zeros((3, len(types), CYCLES), bool)
    for index, kind in enumerate(types):
        for slot, cycle in enumerate(kind.cycles):
            plant[index, slot] = plants.index(cycle.plant)
            day[index, slot], spread[index, slot] = cycle.sowing, cycle.spread
            used[index, slot], yields[index, slot], flooded[index, slot] = True, slot == kind.main, cycle.flooded
        if not kind.cycles:
            day[index, 0], used[index, 0] = 0 if kind.perennial else FALLOW_FROM, True

    shape = (len(keys), SLOTS)
    perennial = np.array([kind.perennial for kind in types])[kind_of_year]
    stood = perennial & (np.diff(kind_of_year, axis=1, prepend=kind_of_year[:, :1]) == 0)
    # A field is early or late in a whole year; each sowing deviates a little from that.
    lateness = 0.8 * keyed_random.normal(seed, "sowing of the year", keys[:, None], np.arange(len(YEARS)))[..., None]
    lateness = lateness + 0.6 * keyed_random.normal(seed, "sowing", keys[:, None], np.arange(SLOTS)).reshape(
        -1, len(YEARS), 2
    )
    planned = np.where((perennial & ~stood)[..., None], SOWN_GRASS, day[kind_of_year] + spread[kind_of_year] * lateness)
    sowing = np.where(used[kind_of_year], np.rint(planned + new_years[:, None]), NEVER).astype(np.int64).reshape(shape)
    order = np.argsort(sowing, axis=1, kind="stable")

    def in_order(values: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(values.reshape(shape), order, axis=1)

    of_main = np.array(YEARS)[None, :, None] == 0
    return _Calendar(
        in_order(np.repeat(kind_of_year, CYCLES, axis=1)),
        in_order(plant[kind_of_year]),
        in_order(sowing),
        in_order(yields[kind_of_year] & of_main),
        in_order(flooded[kind_of_year]),
        in_order(np.repeat(stood, CYCLES, axis=1)),
    )


def _with_variation(
    types: tuple[CropType, ...], calendar: _Calendar, keys: NDArray[np.int64], seed: int
) -> FieldManagement:
    """Add the variation between fields to a calendar; a perennial has the same deviations each year."""

    def of_type(trait: str) -> Numbers:
        return np.array([getattr(kind, trait) for kind in types], np.float64)[calendar.kind]

    slot = np.where(of_type("perennial") > 0, -1, np.arange(SLOTS))
    field = keys[:, None]

    def uniform(purpose: str) -> Numbers:
        return keyed_random.uniform(seed, purpose, field, slot)

    def normal(purpose: str) -> Numbers:
        return keyed_random.normal(seed, purpose, field, slot)

    fails = uniform("failure") < of_type("failure")
    stand = np.where(fails, 0.15 + 0.3 * uniform("stand"), 1.0)
    room = of_type("room") * np.exp(of_type("room_spread") * normal("room"))
    room *= np.where(of_type("perennial") > 0, stand, 1.0)
    kept_down = uniform("bare") < of_type("bare")
    catch = uniform("catch crop") < of_type("catch_crop")
    # A catch crop is kept as long as possible; without one, weeds are removed long before sowing.
    seedbed = np.where(catch, 3 + 90 * uniform("seedbed") ** 3, 8 + 45 * uniform("seedbed"))
    return FieldManagement(
        types=types,
        kind=calendar.kind,
        plant=calendar.plant,
        sowing=calendar.sowing,
        yields=calendar.yields,
        again=calendar.again,
        vigour=stand * np.exp(of_type("vigour") * normal("vigour")),
        tempo=np.exp(0.05 * normal("variety")),
        nitrogen=np.exp(0.18 * normal("nitrogen")),
        room=np.where(kept_down, 0.1 * room, room) + np.where(fails, 1.5 * uniform("weeds"), 0.0),
        late=np.rint(-5 * np.log(uniform("late harvest"))).astype(np.int64),
        rest_days=np.rint(6 + 24 * uniform("rest")).astype(np.int64),
        catch=catch,
        catch_days=np.rint(230 + 100 * uniform("catch crop's end")).astype(np.int64),
        stubble_days=np.rint(14 - 30 * np.log(uniform("stubble"))).astype(np.int64),
        seedbed_days=np.rint(seedbed).astype(np.int64),
        greening=np.exp(0.7 * normal("greening")),
        flooded=calendar.flooded,
        irrigated=uniform("irrigation") < of_type("irrigated"),
        lodging=uniform("lodging"),
    )
