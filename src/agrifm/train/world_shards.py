"""Shards of the pretraining world: places are simulated a few at a time, by any number of workers."""

from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.files import AnyPath, as_path
from agrifm.outputs import writing
from agrifm.record import SensorInput, running_versions
from agrifm.samples.shards import (
    INDEX,
    NO_DAY,
    ShardEntry,
    ShardIndex,
    Shards,
    open_shards,
    write_index,
    write_shard,
)
from agrifm.sensors import SENSORS
from agrifm.simulator.world.covers import read_covers, read_groups
from agrifm.simulator.world.fields import SEASON_DAYS, UNKNOWN_DAY
from agrifm.simulator.world.series import (
    FIELDS_PER_PLACE,
    WORLD_SENSORS,
    WORLD_VERSION,
    WorldPoints,
    WorldSeries,
    simulate_world,
)
from agrifm.work import Resumable, fingerprint

PLACES_PER_SHARD = 80
SCALE = 0.0001
"""Reflectance per stored integer."""


def world_inputs() -> tuple[SensorInput, ...]:
    """Return what shards of the world hold of each sensor."""
    return tuple(
        SensorInput(
            sensor=name,
            bands=SENSORS[name].band_names,
            quantity="surface reflectance",
            scale=SCALE,
            resolution=SENSORS[name].resolution,
        )
        for name in WORLD_SENSORS
    )


def make_world_shards(
    directory: AnyPath,
    seed: int,
    places: int,
    executor: Executor | None = None,
    fields: int = FIELDS_PER_PLACE,
    places_per_shard: int = PLACES_PER_SHARD,
) -> Shards:
    """Make shards of places 0, 1 … of the world, or return those that are there; stopped work continues.

    Args:
        fields: points of each place.
        executor: where shards are simulated: processes, or that of `open_cluster`; they are the same everywhere.

    Raises:
        OutputError: the directory holds something else, or cannot be written.
    """
    directory = as_path(directory)
    origin: dict[str, Any] = {
        "world": WORLD_VERSION, "seed": seed, "places": places, "fields": fields, "places_per_shard": places_per_shard
    }  # fmt: skip
    if (directory / INDEX).is_file():
        found = open_shards(directory)
        if all(found.index.origin.get(key) == value for key, value in origin.items()):
            return found
    with writing(directory, "shards") as staging:
        work = Resumable(staging, fingerprint(origin))
        if not work.begun:
            work.begin()
        write = partial(_write, staging, seed, places, fields, places_per_shard)
        count = -(-places // places_per_shard)
        results = work.run(write, range(count), str, "simulate places (shards)", executor)
        index = ShardIndex(
            sensors=world_inputs(),
            groups={key: group.name for key, group in read_groups().items()},
            covers=tuple(read_covers()),
            season_days=SEASON_DAYS,
            origin=origin | {"versions": running_versions()},
            shards=tuple(ShardEntry(**results[str(number)]) for number in range(count)),
        )
        write_index(staging, index)
        work.finish(directory, "shards")
    return open_shards(directory)


def _write(directory: Path, seed: int, places: int, fields: int, size: int, number: int) -> dict[str, Any]:
    """Simulate and write one shard."""
    points = simulate_world(seed, range(number * size, min((number + 1) * size, places)), fields)
    return write_shard(directory / f"{number:05d}.safetensors", shard_arrays(points))


def shard_arrays(points: WorldPoints) -> dict[str, NDArray[Any]]:
    """Return the arrays of a shard (`agrifm.samples.shards`)."""
    arrays: dict[str, NDArray[Any]] = {name: getattr(points, name) for name in ("place", "lon", "lat", "season_start")}
    for sensor, series in points.series.items():
        of_sensor = _sensor_arrays(series, points.season_start)
        arrays |= {f"{sensor}.{name}": array for name, array in of_sensor.items()}
    return arrays


def _sensor_arrays(series: WorldSeries, season_start: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    inside = np.arange(series.day.shape[1]) < series.length[:, None]

    def since_start(days: NDArray[np.int32]) -> NDArray[np.int16]:
        return np.where(days == UNKNOWN_DAY, NO_DAY, days.astype(np.int64) - season_start).astype(np.int16)

    return {
        "values": np.rint(series.values / SCALE).astype(np.int16),
        "day": np.where(inside, series.day - season_start[:, None], 0).astype(np.int16),
        "length": series.length.astype(np.int16),
        "fractions": series.fractions,
        "cover": series.cover,
        "sowing": since_start(series.sowing),
        "harvest": since_start(series.harvest),
    }
