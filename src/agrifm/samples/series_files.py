"""Read a series table: labelled series of points or parcels, long or wide, in Parquet, GeoParquet or CSV.

Shape letters: P places, T dates, C bands.
"""

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.files import AnyPath, as_path
from agrifm.legend import Legend
from agrifm.samples.series_forms import RawSeries, RawTable, as_numbers, read_constants, read_long, read_wide
from agrifm.samples.series_frames import NO_DATE, days_of, read_data_frame
from agrifm.samples.series_layout import (
    Layout,
    find_layout,
    named_columns,
    require_stated,
    static_columns,
    unstated_notes,
)
from agrifm.samples.series_places import (
    BLOCK,
    PlaceColumns,
    duplicate_notes,
    parcels_of,
    read_blocks,
    read_classes,
    read_coordinates,
    read_folds,
    read_weights,
)
from agrifm.samples.series_values import cut_to_seasons, gap_notes, read_series
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.scene.mask import DEFAULT_RULE, MaskRule
from agrifm.scene.table_products import TableProduct
from agrifm.season import Season, day_number
from agrifm.series_columns import SeriesColumns

if TYPE_CHECKING:
    import pandas


def read_series_table(
    file: AnyPath,
    products: Sequence[TableProduct],
    season: Season | None = None,
    columns: SeriesColumns | None = None,
    places: AnyPath | None = None,
    legend: Legend | None = None,
    block: float = BLOCK,
    unlabelled: Collection[object] = (),
    rule: MaskRule = DEFAULT_RULE,
    until: date | None = None,
) -> SeriesTable:
    """Read a table of labelled series; its form follows from its columns.

    Args:
        products: what the numbers are; a column belongs to the product whose band it names.
        season: whose dates are kept, or, with a column of starts, whose length; None keeps all dates.
        columns: names of columns that have unusual ones.
        places: another table with the classes and places of the samples.
        legend: the classes; None takes the codes found.
        block: side in metres of the squares, if there is no column of blocks.
        unlabelled: codes that mean that there is no label.
        rule: which flags of a quality band make an observation unusable.
        until: last day of the season that is known, and in seasons of other years as many days after their start.
            Composites count when their period has ended; terrain is known. Places, classes and bands are those of
            the whole table.

    Raises:
        LabelError: a file cannot be read, a column is missing, numbers contradict their product, coordinates are
            exchanged, or parcels are in two folds.
    """
    file, stated = as_path(file), columns or SeriesColumns()
    about = f"reading the series table {file}"
    frame = read_data_frame(file, about)
    varying, constants = ([one for one in products if one.is_constant == is_it] for is_it in (False, True))
    if not varying:
        raise LabelError(
            f"{about}: `products` names terrain alone, which is not a series; add the product of its dated numbers",
            key="products",
        )
    layout = find_layout(list(frame.columns), varying, stated, about)
    other = None if places is None else read_data_frame(as_path(places), f"reading the places {places}")
    every = [*frame.columns, *([] if other is None else other.columns)]
    named_places = {} if other is None else named_columns(list(other.columns), stated)
    require_stated({**layout.named, **named_places}, stated, every, about)
    raw = (read_wide if layout.is_wide else read_long)(frame, layout, varying, stated, about)
    notes = unstated_notes(every, {**layout.named, **named_places})
    rows = PlaceColumns(raw.frame, layout.named, about, notes)
    if other is not None:
        raw, rows = _joined(raw, rows, other, named_places, as_path(places or ""))
        layout.static = {**static_columns(list(other.columns)), **layout.static}
    known = None if until is None or season is None else (until - season.start).days
    return _table(raw, rows, layout, constants, season, legend, block, unlabelled, rule, known)


def _table(
    raw: RawTable,
    rows: PlaceColumns,
    layout: Layout,
    constants: Sequence[TableProduct],
    season: Season | None,
    legend: Legend | None,
    block: float,
    unlabelled: Collection[object],
    rule: MaskRule,
    known: int | None,
) -> SeriesTable:
    """The table of what was read; `known` is the last day since the seasons' start that is known, None = all."""
    legend, label = read_classes(rows, legend, unlabelled)
    lon, lat = read_coordinates(rows)
    blocks = read_blocks(rows, lon, lat, block)
    fold = read_folds(rows, parcels_of(rows, lon, lat), blocks)
    series: dict[str, TableSeries] = {}
    for part in raw.series:
        sensor = part.product.product.sensor
        if sensor in series:
            raise LabelError(
                f"{rows.about}: two of the products are of the sensor '{sensor}'; describe one of them with another "
                "`sensor` in [[imagery.product]]",
                sensor=sensor,
            )
        series[sensor], more = read_series(part, raw.names, rows.about, rule)
        rows.notes += more
    series = dict(sorted(series.items(), key=lambda entry: entry[1].input.resolution))
    start, days = _seasons(rows, series, season)
    if known is not None:
        parts = {part.product.product.sensor: part for part in raw.series}
        series = {name: read_series(parts[name], raw.names, rows.about, rule, start + known)[0] for name in series}
    series = _cut(series, start, days, rows.notes, known is not None)
    for product in constants:
        constant = read_constants(product, layout.static, rows.frame, start + days // 2, rows.about)
        series[product.product.sensor], more = read_series(constant, raw.names, rows.about, rule)
        rows.notes += more
    rows.notes += duplicate_notes(lon, lat, label)
    rows.notes += gap_notes(series, label, legend.codes)
    return SeriesTable(
        legend=legend,
        label=label,
        series=series,
        season_start=start,
        season_days=days,
        lon=lon,
        lat=lat,
        block=blocks,
        fold=fold,
        weight=read_weights(rows),
        place=tuple(raw.names),
        static={
            name: as_numbers(rows.frame[column]).astype(np.float32)
            for name, column in layout.static.items()
            if column in rows.frame
        },
        notes=tuple(rows.notes),
    )


def _cut(
    series: dict[str, TableSeries], start: NDArray[np.int32], days: int, notes: list[str], may_lack: bool
) -> dict[str, TableSeries]:
    """The series inside each place's season; a sensor without any date there is refused, if none `may_lack` them."""
    result = {}
    for name, whole in series.items():
        result[name], outside = cut_to_seasons(whole, start, days)
        if not (may_lack or result[name].length.any()):
            first, last = (np.datetime64(int(day), "D") for day in (whole.date.min(), whole.date.max()))
            raise LabelError(
                f"reading a series table: no date of '{name}' ({first} to {last}) is in the season; correct `start` "
                "and `end` under [season], or name the column `start` under [labels.columns]",
                sensor=name,
            )
        if outside:
            notes.append(f"{name}: {outside} of {int(whole.length.sum())} dates are outside the season")
    return result


def _seasons(
    rows: PlaceColumns, series: dict[str, TableSeries], season: Season | None
) -> tuple[NDArray[np.int32], int]:
    """First days of the places' seasons (P,), and their length."""
    count = len(rows.frame)
    first = min(int(part.date[part.length > 0].min()) for part in series.values())
    last = max(int(part.date[part.length > 0].max()) for part in series.values())
    days = last - first + 1 if season is None else season.days
    if "start" not in rows.named:
        return np.full(count, first if season is None else day_number(season.start), np.int32), days
    start = days_of(rows.values("start"), rows.named["start"], rows.about)
    missing = start == NO_DATE
    if missing.any():
        raise LabelError(
            f"{rows.about}: {int(missing.sum())} places have no date in the column {rows.named['start']!r}; give the "
            "first day of each season",
            column=rows.named["start"],
        )
    if season is None:
        days = max(int((part.date - start[:, None])[part.valid].max(initial=0)) for part in series.values()) + 1
    return start.astype(np.int32), days


def _joined(
    raw: RawTable, rows: PlaceColumns, other: "pandas.DataFrame", named: dict[str, str], path: Path
) -> tuple[RawTable, PlaceColumns]:
    """The series of the samples that the table of places has too, and their places."""
    about = rows.about
    if "sample" not in named or "sample" not in rows.named:
        raise LabelError(
            f"{about}: samples and {path} have no common column; state it as `sample` under [labels.columns]",
            key="sample",
        )
    keys = [str(value) for value in other[named["sample"]]]
    twice = len(keys) - len(set(keys))
    if twice:
        raise LabelError(
            f"{about}: {twice} samples are in {path} more than once; keep a row for each", key="sample", twice=twice
        )
    at = {key: index for index, key in enumerate(keys)}
    kept = np.array([name in at for name in raw.names])
    if not kept.any():
        raise LabelError(
            f"{about}: not one of its {len(raw.names)} samples (such as {raw.names[0]!r}) is in {path} (such as "
            f"{keys[0]!r}); state the column `sample` under [labels.columns]",
            key="sample",
        )
    notes = list(rows.notes)
    if not kept.all():
        notes.append(f"{int((~kept).sum())} of {len(kept)} samples are not in {path.name}, and are not used")
    lost = len(keys) - int(kept.sum())
    if lost:
        notes.append(f"{lost} places of {path.name} have no series")
    chosen = np.flatnonzero(kept)
    names = [raw.names[index] for index in chosen]
    series = [
        RawSeries(
            part.product,
            part.bands,
            part.numbers[chosen],
            part.date[chosen],
            part.last[chosen],
            part.has[chosen],
            None if part.quality is None else part.quality[chosen],
        )
        for part in raw.series
    ]
    table = other.iloc[[at[name] for name in names]].reset_index(drop=True)
    own = raw.frame.iloc[chosen].reset_index(drop=True)
    more = own[[column for column in own.columns if column not in table.columns]]
    return (
        RawTable(own, names, series),
        PlaceColumns(table.join(more), {**rows.named, **named}, about, notes),
    )
