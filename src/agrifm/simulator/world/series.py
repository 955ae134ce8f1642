"""Series of points of the pretraining world: Sentinel-2, Landsat and MODIS, and what only a simulator knows of them.

Every place is drawn from the seed and its number, with random numbers of its alone, so the result does not depend on
which places are made together, or by how many processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.sensors import SENSORS
from agrifm.simulator.acquisition import modis
from agrifm.simulator.acquisition.orbits import COMPOSITE_DAYS, ORBITS, composite_periods, sun_angles
from agrifm.simulator.acquisition.sky import observed_through
from agrifm.simulator.optics.reflectance import ViewingGeometry, surface_reflectance
from agrifm.simulator.points import ILLUMINATION_SPREAD, SENSOR_NOISE
from agrifm.simulator.world.covers import read_covers, read_groups
from agrifm.simulator.world.fields import NEW_YEAR, SEASON_DAYS, UNKNOWN_DAY, WHOLE, WorldFields, grow_places
from agrifm.simulator.world.footprints import Weights, draw_footprints
from agrifm.simulator.world.passes import Passes, passes_over
from agrifm.simulator.world.places import WorldPlace, draw_place
from agrifm.simulator.world.skies import Skies, draw_skies

WORLD_VERSION = 3
"""Increases with every change of the world, because the shards made of it change with it."""
WORLD_SENSORS = ("sentinel-2", "landsat", "modis")
FIELDS_PER_PLACE = 24
"""Each field of a place is one point."""
NO_COVER = 255
"""Cover of a pixel of which no field has more than half."""
SNOW_DAYS, SNOW_TEMPERATURE = 10, -1.0
"""Days whose mean temperature below so many degrees Celsius means snow, whose pixels are masked."""
HIGHEST = 1.6
"""Reflectance of the brightest clouds."""
LONGEST_HALF_SWATH = ORBITS["modis"].half_swath

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class WorldSeries:
    """Usable observations of one sensor at n points; shorter series are padded at the end."""

    values: Plane
    """(n, T, C) surface reflectance of the sensor's bands, 0 in the padding."""
    day: NDArray[np.int32]
    """(n, T), days since 1970-01-01, ascending; in the padding the last day."""
    length: NDArray[np.int64]
    """(n,), observations without padding; it can be 0."""
    fractions: Plane
    """(n, 8), share of the pixel in each group of land cover, in the order of `read_groups`."""
    cover: NDArray[np.uint8]
    """(n,), number of the cover of most of the pixel, in the order of `read_covers`, or `NO_COVER`."""
    sowing: NDArray[np.int32]
    """(n,), when the crop of most of the pixel was sown, days since 1970-01-01, or `UNKNOWN_DAY`."""
    harvest: NDArray[np.int32]
    """(n,), when it was harvested."""


@dataclass(frozen=True)
class WorldPoints:
    """Points of the world: the same n points of every sensor."""

    series: Mapping[str, WorldSeries]
    """By sensor."""
    place: NDArray[np.int32]
    """(n,), number of the place of each point."""
    lon: Plane
    lat: Plane
    """(n,), degrees."""
    season_start: NDArray[np.int32]
    """(n,), days since 1970-01-01; a season has 365 days."""


def simulate_world(seed: int, places: Sequence[int], fields: int = FIELDS_PER_PLACE) -> WorldPoints:
    """Simulate the points of places by their numbers, place by place in order.

    Args:
        fields: points of each place, at least 2; another number gives other places.
    """
    drawn = [draw_place(seed, number, fields) for number in places]
    grown = grow_places(drawn, seed)
    views = [_view(place, seed, grown, row) for row, place in enumerate(drawn)]
    series = {sensor: _series(sensor, [view[sensor] for view in views], drawn, grown) for sensor in WORLD_SENSORS}
    return WorldPoints(
        series,
        np.repeat(np.array([place.number for place in drawn], np.int32), fields),
        np.repeat(np.array([place.lon for place in drawn], np.float32), fields),
        np.repeat(np.array([place.lat for place in drawn], np.float32), fields),
        np.repeat(np.array([NEW_YEAR + place.season_start for place in drawn], np.int32), fields),
    )


@dataclass(frozen=True)
class _View:
    """What a sensor sees of a place: its overpasses, the sky then, and what each pixel shows."""

    passes: Passes
    skies: Skies
    """(passes, fields)"""
    weights: Weights
    light: Plane
    """(passes, fields) factor of the illumination."""
    noise: Plane
    """(passes, fields, bands) normal numbers."""


def _view(place: WorldPlace, seed: int, grown: WorldFields, row: int) -> dict[str, _View]:
    """Everything random of a place's observations; each place has its generator."""
    rng = np.random.default_rng([seed, place.number, 1])
    first, fields = NEW_YEAR + place.season_start, len(place.cover)
    skies = draw_skies(rng, place.sky, first, SEASON_DAYS, fields)
    weights = draw_footprints(rng, place)
    temperature = grown.weather.temperature[row]
    mean = np.convolve(temperature, np.full(SNOW_DAYS, 1 / SNOW_DAYS))[: len(temperature)]
    snow = mean[first - grown.weather.first :][:SEASON_DAYS] < SNOW_TEMPERATURE
    result = {}
    for sensor in WORLD_SENSORS:
        if sensor == "modis":
            passes = _best_days(rng, place, first, skies)
        else:
            passes = passes_over(sensor, place.lon, place.lat, first, first + SEASON_DAYS - 1, place.satellites[sensor])
            passes = passes.of(rng.random(len(passes.day)) >= place.sky.lost)
        over = skies.on(passes.day - first)
        over = Skies(over.sky, over.masked | snow[passes.day - first][:, None])
        shape = (len(passes.day), fields)
        light = 1 + np.float32(ILLUMINATION_SPREAD) * rng.standard_normal(shape, dtype=np.float32)
        noise = rng.standard_normal((*shape, len(SENSORS[sensor].bands)), dtype=np.float32)
        result[sensor] = _View(passes, over, weights[sensor], light, noise)
    return result


def _best_days(rng: np.random.Generator, place: WorldPlace, first: int, skies: Skies) -> Passes:
    """The days of MODIS composites: in each period the clearest day with the smallest view angle, for all fields."""
    days = first + np.arange(SEASON_DAYS)
    across = rng.uniform(-1, 1, SEASON_DAYS) * LONGEST_HALF_SWATH
    view = np.asarray(ORBITS["modis"].view_zenith(across))
    # it passes at about half past ten, local time
    new_year = days.astype("datetime64[D]").astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    sun, _ = sun_angles((days - new_year) * 24 + 10.5 - place.lon / 15, place.lon, place.lat)
    azimuth = rng.uniform(0, 180, SEASON_DAYS)
    sky = skies.sky
    score = (np.clip(sky.cloud, 0, 1) + 0.5 * np.clip(sky.shadow, 0, 1) + 5 * sky.cirrus).mean(axis=1)
    score = score + modis.VIEW_ANGLE_WEIGHT * view / 65
    starts = [day for day in composite_periods(WHOLE) if first <= day and day + COMPOSITE_DAYS <= first + SEASON_DAYS]
    best = np.array([day - first + np.argmin(score[day - first :][:COMPOSITE_DAYS]) for day in starts], np.int64)
    return Passes(days[best], np.asarray(sun)[best], view[best], azimuth[best]).of(np.asarray(sun)[best] < 78)


def _series(sensor: str, views: Sequence[_View], places: Sequence[WorldPlace], grown: WorldFields) -> WorldSeries:
    """The series of all places: reflectance of the fields that are seen, mixed to pixels, under their skies."""
    bands = SENSORS[sensor].bands
    fields = len(places[0].cover)
    usable = [~view.skies.masked for view in views]
    seen = [(valid.astype(np.float32) @ (view.weights > 0)) > 0 for valid, view in zip(usable, views, strict=True)]
    counts = [len(view.passes.day) for view in views]
    place = np.repeat(np.arange(len(views)), counts)
    passed, field = np.nonzero(np.concatenate(seen))
    angles = [np.concatenate([getattr(view.passes, name) for view in views])[passed] for name in ANGLES]
    day = np.concatenate([view.passes.day for view in views])
    state = grown.growth.states(day[passed] - grown.growth.first, place[passed] * fields + field)
    reflectance = np.zeros((len(day), fields, len(bands)), np.float32)
    reflectance[passed, field] = surface_reflectance(state, bands, ViewingGeometry(*angles))
    weights = np.stack([view.weights for view in views])
    mixed = np.matmul(weights[place], reflectance)
    sky = type(views[0].skies.sky)(*(np.concatenate([getattr(view.skies.sky, name) for view in views]) for name in SKY))
    observed = observed_through(sky, np.moveaxis(mixed, 2, 0), [band.wavelength for band in bands])
    light = np.concatenate([view.light for view in views])
    noise = np.moveaxis(np.concatenate([view.noise for view in views]), 2, 0)
    absolute, relative = (modis.ABSOLUTE_NOISE, modis.RELATIVE_NOISE) if sensor == "modis" else SENSOR_NOISE
    observed = observed * light + (np.float32(absolute) + np.float32(relative) * observed) * noise
    values = np.moveaxis(np.clip(observed, 0.0001, HIGHEST), 0, 2)
    packed = _packed(np.split(values, np.cumsum(counts)[:-1]), np.split(day, np.cumsum(counts)[:-1]), usable)
    fractions, cover, sowing, harvest = _labels(weights, places, grown)
    return WorldSeries(*packed, fractions, cover, sowing, harvest)


ANGLES = ("sun_zenith", "view_zenith", "relative_azimuth")
SKY = ("cloud", "shadow", "cirrus", "haze")


def _packed(
    values: Sequence[Plane], days: Sequence[NDArray[np.int64]], usable: Sequence[NDArray[np.bool_]]
) -> tuple[Plane, NDArray[np.int32], NDArray[np.int64]]:
    """Values (n, T, C), days (n, T) and lengths (n,) of the usable observations only."""
    length = np.concatenate([valid.sum(axis=0) for valid in usable])
    longest, fields = max(int(length.max()), 1), usable[0].shape[1]
    packed = np.zeros((len(length), longest, values[0].shape[2]), np.float32)
    day = np.zeros((len(length), longest), np.int32)
    for number, (some, when, valid) in enumerate(zip(values, days, usable, strict=True)):
        # usable observations first, in order
        order = np.argsort(~valid, axis=0, kind="stable")[:longest]
        rows = slice(number * fields, (number + 1) * fields)
        inside = np.arange(len(order))[:, None] < length[rows]
        packed[rows, : len(order)] = np.moveaxis(
            np.where(inside[..., None], np.take_along_axis(some, order[..., None], 0), 0), 0, 1
        )
        last = np.where(inside, when[order], 0).max(axis=0, initial=0)
        day[rows] = last[:, None]
        day[rows, : len(order)] = np.where(inside, when[order], last).T
    return packed, day, length


def _labels(
    weights: NDArray[np.float32], places: Sequence[WorldPlace], grown: WorldFields
) -> tuple[Plane, NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]]:
    """Fractions, cover, sowing and harvest of the pixel of each field."""
    groups, covers = list(read_groups()), list(read_covers().values())
    group_of_cover = np.array([groups.index(cover.group) for cover in covers])
    cover = np.stack([place.cover for place in places])
    share = np.eye(len(groups), dtype=np.float32)[group_of_cover[cover]]
    fractions = np.matmul(weights, share).reshape(-1, len(groups))
    main = np.argmax(weights, axis=2)
    clear = np.max(weights, axis=2) > 0.5

    def of_pixel(values: NDArray[np.int64], otherwise: int) -> NDArray[np.int64]:
        of_main = np.take_along_axis(values.reshape(cover.shape), main, 1)
        return np.where(clear, of_main, otherwise).ravel()

    return (
        np.asarray(fractions / fractions.sum(axis=1, keepdims=True), np.float32),
        of_pixel(cover.ravel(), NO_COVER).astype(np.uint8),
        of_pixel(grown.sowing, UNKNOWN_DAY).astype(np.int32),
        of_pixel(grown.harvest, UNKNOWN_DAY).astype(np.int32),
    )
