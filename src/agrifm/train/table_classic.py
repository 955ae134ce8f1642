"""The record of a model that is trained on a series table, and classic models fitted on the places of one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agrifm.classic.classic_model import ClassicModel, classic_record, record_columns
from agrifm.classic.classics import candidate_parts, fit_classic
from agrifm.classic.table_rows import table_columns, table_rows
from agrifm.model_config import ModelConfig
from agrifm.record import ModelRecord, SensorRecord, SeriesKind, running_versions
from agrifm.samples.split import FOLDS
from agrifm.samples.table import SeriesTable
from agrifm.season import Season
from agrifm.train.table_folds import TableData, labelled_places, table_statistics


def fit_table_classic(
    config: ModelConfig, record: ModelRecord, table: SeriesTable, members: Sequence[str] | None = None
) -> ClassicModel:
    """Return a classic model of the family of a record, fitted on the labelled places of a table.

    Args:
        members: see `agrifm.classic.classics.fit_classic`.
    """
    name, inner = record.family, labelled_places(table)
    parts = candidate_parts(name)
    rows = table_rows(inner, None, config.frames, parts)
    columns = table_columns(inner.sensors, config.frames, parts)
    fitted = fit_classic(
        name,
        rows,
        inner.label,
        weights=inner.weight,
        groups=inner.block,
        seed=config.seed,
        columns=columns,
        members=members,
    )
    record = classic_record(record, fitted)
    return ClassicModel(record, fitted.reading(record_columns(record)))


def table_record(
    data: TableData,
    config: ModelConfig,
    season: Season,
    name: str,
    architecture: dict[str, Any],
    sensors: Sequence[SensorRecord],
    series: SeriesKind,
) -> ModelRecord:
    """Return the record of a model of single pixels, before it is trained."""
    return ModelRecord(
        name=name,
        family=name,
        architecture=architecture,
        sensors=tuple(sensors),
        frames=config.frames,
        series=series,
        absent_sensors=tuple(sensor.sensor for sensor in sensors[1:]) if config.sensor_dropout else (),
        side=1,
        legend=data.table.legend,
        task=config.task,
        season=(season.start, season.end),
        area=_bounds(data.table),
        training={
            "seed": config.seed,
            "places": {fold: int((data.fold == number).sum()) for number, fold in enumerate(FOLDS)},
            "blocks": data.blocks,
        },
        versions=running_versions("torch", "lightning"),
    )


def table_classic_record(data: TableData, config: ModelConfig, season: Season, name: str) -> ModelRecord:
    """Return the record of a classic model before it is fitted."""
    statistics = table_statistics(labelled_places(data.part("train")))
    record = table_record(data, config, season, name, {}, statistics, "interpolated")
    return record.model_copy(update={"versions": running_versions("scikit-learn", "skops", "lightgbm")})


def _bounds(table: SeriesTable) -> tuple[float, float, float, float] | None:
    """West, south, east, north of the places, degrees; None if no place is known."""
    known = np.isfinite(table.lon) & np.isfinite(table.lat)
    if not known.any():
        return None
    lon, lat = table.lon[known], table.lat[known]
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())
