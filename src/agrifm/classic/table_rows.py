"""Rows of features of the places of a series table, the same as those of pixels.

Shape letters: P places, T dates, C bands, F steps.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.features import PARTS, Columns, Part, series_features
from agrifm.classic.numbers import Rows
from agrifm.cube.temporal import interpolate
from agrifm.record import SensorInput
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_store import table_digest

WITHOUT_NEIGHBOURS: tuple[Part, ...] = tuple(part for part in PARTS if part != "neighbourhood")
"""The parts of rows that a table has."""
KEPT_TABLES = 3
"""Tables whose rows a process keeps in any case: training, validation and test of a comparison's draw."""
KEPT_BYTES = 2**27
"""Of the rows of more tables."""
_kept: OrderedDict[Hashable, Rows] = OrderedDict()
_lock = Lock()


def table_columns(sensors: Sequence[SensorInput], frames: int, parts: Sequence[Part] = WITHOUT_NEIGHBOURS) -> Columns:
    """Return what the columns of `table_rows` are; arguments are those of `table_rows`."""
    plain = tuple(
        SensorInput.model_validate(sensor.model_dump(include=set(SensorInput.model_fields))) for sensor in sensors
    )
    return Columns(plain, frames, tuple(part for part in PARTS if part in parts))


def table_rows(
    table: SeriesTable,
    sensors: Sequence[SensorInput] | None = None,
    frames: int = 24,
    parts: Sequence[Part] = WITHOUT_NEIGHBOURS,
) -> Rows:
    """Return rows (P, features) of a table: every place's series at equal steps of its season, then as of pixels.

    Args:
        sensors: which of the table's sensors, and in which order; None = all. Bands are selected by name.
        frames: number of equal periods of the season; the steps are their middle days, as of a cube.
        parts: see `agrifm.classic.features.series_features`.

    Raises:
        KeyError: the table has no such sensor.
        ValueError: a sensor of the table has no such band.
    """
    sensors = table.sensors if sensors is None else sensors
    values = [_at_steps(table, sensor, frames) for sensor in sensors]
    wanted = tuple(part for part in PARTS if part in parts and part != "neighbourhood")
    made = series_features(values, sensors, wanted, _steps(table.season_days, frames), table.season_days)
    return np.concatenate([made[part] for part in wanted], axis=1)


def kept_table_rows(
    table: SeriesTable,
    sensors: Sequence[SensorInput],
    frames: int,
    parts: tuple[Part, ...] = WITHOUT_NEIGHBOURS,
) -> Rows:
    """Return `table_rows`; the rows of the tables that were asked for last are not made again.

    In a comparison all classic models read the same tables one after the other. Tables are compared by their content.

    Returns:
        (P, features), read-only.
    """
    key = (table_digest(table), tuple(sensors), frames, parts)
    with _lock:
        rows = _kept.pop(key, None)
    if rows is None:
        rows = table_rows(table, sensors, frames, parts)
        rows.setflags(write=False)
    with _lock:
        _kept[key] = rows
        while len(_kept) > KEPT_TABLES and sum(one.nbytes for one in _kept.values()) > KEPT_BYTES:
            _kept.popitem(last=False)
    return rows


def _steps(season_days: int, frames: int) -> NDArray[np.int32]:
    """The middle days of equal periods since the season's start, (F,), as `agrifm.season.Season.steps` has them."""
    return ((2 * np.arange(frames) + 1) * season_days // (2 * frames)).astype(np.int32)


def _at_steps(table: SeriesTable, sensor: SensorInput, frames: int) -> Rows:
    """Series (F, C, P) of one sensor at the steps of each place's season; 0 without any valid observation."""
    source = table.series[sensor.sensor]
    bands = [source.input.bands.index(band) for band in sensor.bands]
    image = source.values[:, :, bands].transpose(1, 2, 0)[..., None]
    day = (source.date - table.season_start[:, None]).astype(np.int32).T[..., None]
    valid = source.valid.T[..., None]
    # each place has its days, so the days of frames are not used
    unused = np.arange(len(valid), dtype=np.int32)
    found, _ = interpolate(image, valid, unused, _steps(table.season_days, frames), day)
    return found[..., 0]
