"""A series table that networks are trained on together with the windows of a cube, without leaks between the two."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agrifm.cube.store import Cube
from agrifm.errors import ConfigError, LabelError
from agrifm.legend import UNLABELLED
from agrifm.model_config import ModelConfig
from agrifm.record import SensorInput, has_like_pixels, is_classic, with_parts
from agrifm.samples.folds import NOT_USED
from agrifm.samples.leaks import near_other_folds
from agrifm.samples.mixed_samples import MixedSamples
from agrifm.samples.patches import Patches
from agrifm.samples.split import FOLDS, Split
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_samples import PLACES_PER_WINDOW, TableSamples
from agrifm.samples.table_store import table_digest
from agrifm.train.table_folds import TableData, observed_places, stated_folds, table_data

APART = 100.0
"""Metres between a place of the table and ground of another fold of the cube; `agrifm compare` has the same number."""
GREATEST_SHARE = 0.5
"""Largest share of the steps that are of places if the project states none: the map is made of the cube."""
ON_WINDOWS_ONLY = ("prithvi",)
"""Families that read patches, and not single pixels."""


@dataclass(frozen=True)
class MixedTable:
    """The table's places by fold, and what networks are trained and validated on."""

    data: TableData
    training: MixedSamples
    validation: MixedSamples
    about: dict[str, Any]
    """For the record: places by fold, places left out, share of the steps, digest."""
    notes: tuple[str, ...]


def mix_table(
    table: SeriesTable,
    cube: Cube,
    sensors: Sequence[SensorInput],
    split: Split,
    patches: tuple[Patches, Patches],
    config: ModelConfig,
    share: float | None = None,
) -> MixedTable:
    """Divide a table for training together with a cube.

    Places of the table that are nearer than `APART` to ground of another fold of the cube are left out, and so are
    places without coordinates, whose distance is not known. Without stated folds all others are for training.

    Args:
        table: with the legend of the cube's labels.
        sensors: of the cube, finest first.
        split: of the cube's labels.
        patches: of the cube, for training and validation.
        share: of the training steps that are of places; None = in proportion to places and windows, at most
            `GREATEST_SHARE`.

    Raises:
        ConfigError: a model cannot be trained on single pixels.
        LabelError: the table and the cube differ in sensors or bands, or no place is left for training.
    """
    _require_possible(config)
    table, notes = _with_sensors_of(table, cube, sensors, config.sensor_dropout > 0)
    usable = observed_places(table) & (table.label != UNLABELLED)
    fold = np.where(usable, 0 if table.fold is None else stated_folds(table), NOT_USED).astype(np.int8)
    placed = np.isfinite(table.lon) & np.isfinite(table.lat)
    near = near_other_folds(table, fold, cube.target, split.fold, APART)
    used = fold != NOT_USED
    left_out = {"near_other_folds": int((used & near).sum()), "without_coordinates": int((used & ~placed).sum())}
    fold[near | ~placed] = NOT_USED
    counts = {name: int((fold == number).sum()) for number, name in enumerate(FOLDS)}
    if not counts["train"]:
        raise LabelError(
            f"training on a cube and a series table: no place of the table is left for training; of {int(used.sum())} "
            f"labelled places {left_out['near_other_folds']} are in or near other blocks of the cube, and "
            f"{left_out['without_coordinates']} have no coordinates; give places elsewhere, or leave out `series`",
            **left_out,
        )
    data = table_data(table, fold)
    if share is None:
        steps = counts["train"] / PLACES_PER_WINDOW
        share = min(steps / (steps + len(patches[0])), GREATEST_SHARE)
    training, validation = (
        MixedSamples(windows, TableSamples(data.part(name), config.series, config.frames), share)
        for windows, name in zip(patches, FOLDS[:2], strict=True)
    )
    digest = table_digest(replace(table, fold=fold))
    about = {"places": counts, "left_out": left_out, "share": share, "digest": digest}
    return MixedTable(data, training, validation, about, (*notes, *_notes(about, config), *table.notes))


def _require_possible(config: ModelConfig) -> None:
    """Refuse networks that cannot be trained on single pixels."""
    about = "training on a cube and a series table"
    if config.preset == "base" and "agrifm" in with_parts(config.names):
        raise ConfigError(
            f'{about}: AgriFM of preset "base" reads no single pixels; set `preset` to "small" or "tiny"',
            model="agrifm",
        )
    for name in with_parts(config.names):
        if name in ON_WINDOWS_ONLY:
            raise ConfigError(
                f"{about}: {name} reads no single pixels; take it out of `names` under [model]", model=name
            )


def _with_sensors_of(
    table: SeriesTable, cube: Cube, sensors: Sequence[SensorInput], may_lack: bool
) -> tuple[SeriesTable, list[str]]:
    """The table with the cube's sensors and bands, in their order, and notes on bands that are not used."""
    about = "training on a cube and a series table"
    names = [sensor.sensor for sensor in sensors]
    further = [name for name in table.series if name not in names]
    lacking = [name for name in names if name not in table.series]
    if further:
        raise LabelError(
            f"{about}: the table has the sensor '{further[0]}', the cube has {', '.join(names)}; take its product out "
            "of `products` under [labels], or fetch that sensor",
            sensor=further[0],
        )
    if lacking and (not may_lack or names[0] in lacking):
        remedy = "leave that sensor out of the cube, or train with `sensor_dropout`"
        raise LabelError(
            f"{about}: the cube has the sensor '{lacking[0]}', the table has {', '.join(table.series)}; "
            + (remedy if names[0] not in lacking else "the finest sensor of the cube must be in both"),
            sensor=lacking[0],
        )
    if table.season_days != cube.season.days:
        raise LabelError(
            f"{about}: seasons of the table have {table.season_days} days, that of the cube has {cube.season.days}; "
            "run `agrifm fetch` for this [season]",
            table=table.season_days,
            cube=cube.season.days,
        )
    series, notes = {}, []
    for sensor in sensors:
        if sensor.sensor in lacking:
            continue
        part = table.series[sensor.sensor]
        _require_like(part.input, sensor, about)
        chosen = [part.input.bands.index(band) for band in sensor.bands]
        unused = [band for band in part.input.bands if band not in sensor.bands]
        if unused:
            notes.append(f"bands of the table that the cube's '{sensor.sensor}' lacks, not used: {', '.join(unused)}")
        plain = SensorInput.model_validate(sensor.model_dump(include=set(SensorInput.model_fields)))
        series[sensor.sensor] = replace(part, input=plain, values=part.values[:, :, chosen])
    return replace(table, series=series), notes


def _require_like(table: SensorInput, cube: SensorInput, about: str) -> None:
    missing = [band for band in cube.bands if band not in table.bands]
    if missing:
        raise LabelError(
            f"{about}: '{cube.sensor}' of the table has no band '{missing[0]}', which the cube has (the table has "
            f"{', '.join(table.bands)}); fetch the bands of the table alone, or give a table with that band",
            sensor=cube.sensor,
            band=missing[0],
        )
    for field, found, wanted in (
        ("quantity", table.quantity, cube.quantity),
        ("resolution", table.resolution, cube.resolution),
    ):
        if found != wanted and not (field == "resolution" and has_like_pixels(table, cube)):
            raise LabelError(
                f"{about}: '{cube.sensor}' of the table has {field} {found!r}, that of the cube {wanted!r}; name the "
                "product of the table's numbers, or leave out `series`",
                sensor=cube.sensor,
                field=field,
                expected=wanted,
                found=found,
            )


def _notes(about: dict[str, Any], config: ModelConfig) -> list[str]:
    places, left_out = about["places"], about["left_out"]
    notes = [
        f"{places['train']} places of the series table are trained on with the windows of the cube, in "
        f"{about['share']:.0%} of the steps; {places['validation']} are for validation, {places['test']} for the test"
    ]
    if left_out["near_other_folds"]:
        notes.append(
            f"{left_out['near_other_folds']} places of the series table are in blocks of another fold of the cube, or "
            f"nearer than {APART:g} m, and are left out"
        )
    if left_out["without_coordinates"]:
        notes.append(
            f"{left_out['without_coordinates']} places of the series table have no coordinates, so their distance to "
            "the cube's blocks is not known, and are left out"
        )
    alone = [name for name in with_parts(config.names) if is_classic(name)]
    if alone:
        notes.append(f"trained on the labels of the cube alone, without the series table: {', '.join(alone)}")
    return notes
