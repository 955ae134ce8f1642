"""Read a series table: labelled series of points or parcels, long or wide, in Parquet, GeoParquet or CSV.

Shape letters: P places, T dates, C bands.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.files import AnyPath, as_path
from agrifm.legend import Legend
from agrifm.samples.series_dates import middles, period_of_steps, step_dates
from agrifm.samples.series_frames import NO_DATE, days_of, read_data_frame
from agrifm.samples.series_layout import (
    QUALITY,
    Layout,
    find_layout,
    first_date_column,
    named_columns,
    require_stated,
    unstated_notes,
)
from agrifm.samples.series_places import (
    BLOCK,
    PlaceColumns,
    duplicate_notes,
    one_row_each,
    parcels_of,
    read_blocks,
    read_classes,
    read_coordinates,
    read_folds,
    read_weights,
)
from agrifm.samples.series_values import RawSeries, cut_to_seasons, gap_notes, read_series
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.scene.mask import DEFAULT_RULE, MaskRule
from agrifm.scene.table_products import TableProduct
from agrifm.season import Season, day_number
from agrifm.series_columns import SeriesColumns

if TYPE_CHECKING:
    import pandas


@dataclass
class _Raw:
    """A table before its classes and places are read."""

    frame: "pandas.DataFrame"
    """A row for each place."""
    names: list[str]
    """Names of the places."""
    series: list[RawSeries]


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

    Raises:
        LabelError: a file cannot be read, a column is missing, numbers contradict their product, coordinates are
            exchanged, or parcels are in two folds.
    """
    file, stated = as_path(file), columns or SeriesColumns()
    about = f"reading the series table {file}"
    frame = read_data_frame(file, about)
    layout = find_layout(list(frame.columns), products, stated, about)
    other = None if places is None else read_data_frame(as_path(places), f"reading the places {places}")
    every = [*frame.columns, *([] if other is None else other.columns)]
    named_places = {} if other is None else named_columns(list(other.columns), stated)
    require_stated({**layout.named, **named_places}, stated, every, about)
    raw = (_wide if layout.is_wide else _long)(frame, layout, products, stated, about)
    notes = unstated_notes(every, {**layout.named, **named_places})
    rows = PlaceColumns(raw.frame, layout.named, about, notes)
    if other is not None:
        raw, rows = _joined(raw, rows, other, named_places, as_path(places or ""))
    return _table(raw, rows, layout, season, legend, block, unlabelled, rule)


def _table(
    raw: _Raw,
    rows: PlaceColumns,
    layout: Layout,
    season: Season | None,
    legend: Legend | None,
    block: float,
    unlabelled: Collection[object],
    rule: MaskRule,
) -> SeriesTable:
    """The table of what was read."""
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
    series = _cut(series, start, days, rows.notes)
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
            name: _as_numbers(raw.frame[column]).astype(np.float32)
            for name, column in layout.static.items()
            if column in raw.frame
        },
        notes=tuple(rows.notes),
    )


def _cut(
    series: dict[str, TableSeries], start: NDArray[np.int32], days: int, notes: list[str]
) -> dict[str, TableSeries]:
    """The series inside each place's season; a sensor without any date there is refused."""
    result = {}
    for name, whole in series.items():
        result[name], outside = cut_to_seasons(whole, start, days)
        if not result[name].length.any():
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
    raw: _Raw, rows: PlaceColumns, other: "pandas.DataFrame", named: dict[str, str], path: Path
) -> tuple[_Raw, PlaceColumns]:
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
            part.has[chosen],
            None if part.quality is None else part.quality[chosen],
        )
        for part in raw.series
    ]
    table = other.iloc[[at[name] for name in names]].reset_index(drop=True)
    own = raw.frame.iloc[chosen].reset_index(drop=True)
    more = own[[column for column in own.columns if column not in table.columns]]
    return (
        _Raw(own, names, series),
        PlaceColumns(table.join(more), {**rows.named, **named}, about, notes),
    )


def _as_numbers(values: "pandas.Series") -> NDArray[np.float64]:
    import pandas

    numbers: NDArray[np.float64] = pandas.to_numeric(values, errors="coerce").to_numpy(np.float64)
    return numbers


def _long(
    frame: "pandas.DataFrame", layout: Layout, products: Sequence[TableProduct], stated: SeriesColumns, about: str
) -> _Raw:
    """A row for each date."""
    import pandas

    columns = ", ".join(list(frame.columns)[:12])
    if "date" not in layout.named:
        raise LabelError(
            f"{about}: it has no dates: neither a column of dates nor columns with a date or a number in their names "
            f"(it has {columns}); name the column as `date` under [labels.columns]",
            key="date",
        )
    if "sample" not in layout.named:
        raise LabelError(
            f"{about}: it has rows of dates, but no column that says which rows are of one sample (it has {columns}); "
            "name it as `sample` under [labels.columns]",
            key="sample",
        )
    column = layout.named["sample"]
    code, unique = pandas.factorize(frame[column], use_na_sentinel=False)
    names = [str(value) for value in unique]
    day = days_of(frame[layout.named["date"]], layout.named["date"], about)
    order = np.lexsort((day, code))
    first = np.r_[0, np.flatnonzero(np.diff(code[order])) + 1]
    counts = np.bincount(code, minlength=len(names))
    position = np.empty(len(code), np.int64)
    position[order] = np.arange(len(code)) - np.repeat(first, counts)
    shape = (len(names), int(counts.max()))
    date, has = np.zeros(shape, np.int64), np.zeros(shape, bool)
    date[code, position], has[code, position] = day, day != NO_DATE
    series = []
    for index, product in enumerate(products):
        entries = [entry for entry in layout.bands if entry.product == index]
        by_band = {entry.band: _as_numbers(frame[entry.column]) for entry in entries}
        bands = tuple(band for band in product.product.assets if band in by_band)
        if not bands:
            raise _without_bands(product, about)
        numbers = np.full((*shape, len(bands)), np.nan)
        numbers[code, position] = np.stack([by_band[band] for band in bands], axis=1)
        quality = None
        if QUALITY in by_band:
            quality = np.full(shape, np.nan)
            quality[code, position] = by_band[QUALITY]
        series.append(RawSeries(product, bands, numbers, _middle(date, product, stated), has, quality))
    return _Raw(one_row_each(frame, list(unique), column, layout.named, about).reset_index(drop=True), names, series)


def _without_bands(product: TableProduct, about: str) -> LabelError:
    name = product.product.name
    return LabelError(
        f"{about}: it has no band of the product '{name}' ({', '.join(product.product.assets)}); take '{name}' out of "
        "`products`, or state the names of its columns as `assets` of a product in [[imagery.product]]",
        product=name,
    )


def _middle(date: NDArray[np.int64], product: TableProduct, stated: SeriesColumns) -> NDArray[np.int64]:
    """Dates of composites as the middle of their period."""
    period = stated.period or (product.product.period if product.product.period > 1 else None)
    return date if period is None else middles(date, period)


def _wide(
    frame: "pandas.DataFrame", layout: Layout, products: Sequence[TableProduct], stated: SeriesColumns, about: str
) -> _Raw:
    """A row for each place."""
    names = (
        [str(value) for value in frame[layout.named["sample"]]]
        if "sample" in layout.named
        else [f"row {index + 1}" for index in range(len(frame))]
    )
    if layout.has_steps:
        at = np.unique([int(entry.at) for entry in layout.bands if entry.is_step])
        keys, date, stated = _dates_of_steps(frame, layout, stated, at, about)
    else:
        import pandas

        written = sorted({entry.at for entry in layout.bands})
        days = days_of(pandas.Series(written), "names of columns", about)
        keys = {text: index for index, text in enumerate(written)}
        date = np.tile(days, (len(frame), 1))
    series = []
    for index, product in enumerate(products):
        entries = [entry for entry in layout.bands if entry.product == index]
        present = {entry.band for entry in entries}
        bands = tuple(band for band in product.product.assets if band in present)
        if not bands:
            raise _without_bands(product, about)
        numbers = np.full((len(frame), date.shape[1], len(bands)), np.nan)
        quality = np.full(date.shape, np.nan) if QUALITY in present else None
        for entry in entries:
            values = _as_numbers(frame[entry.column])
            position = keys[str(int(entry.at)) if entry.is_step else entry.at]
            if entry.band == QUALITY:
                assert quality is not None
                quality[:, position] = values
            else:
                numbers[:, position, bands.index(entry.band)] = values
        has = np.zeros(date.shape, bool)
        has[:, sorted({keys[str(int(e.at)) if e.is_step else e.at] for e in entries})] = True
        series.append(RawSeries(product, bands, numbers, _middle(date, product, stated), has, quality))
    return _Raw(frame, names, series)


def _dates_of_steps(
    frame: "pandas.DataFrame", layout: Layout, stated: SeriesColumns, at: NDArray[np.int64], about: str
) -> tuple[dict[str, int], NDArray[np.int64], SeriesColumns]:
    """Step -> position, first days (P, T), and the columns with the period of the steps."""
    column = first_date_column(list(frame.columns), layout.named)
    if column is None:
        raise LabelError(
            f"{about}: its columns are numbered, but it has no dates: no column has the date of the first of them; "
            "name it as `start` under [labels.columns]",
            key="date",
        )
    first = days_of(frame[column], column, about)
    if (first == NO_DATE).any():
        raise LabelError(f"{about}: a place has no date in the column {column!r}; give the first date", column=column)
    steps = at - at.min()
    period = stated.period
    if period is None:
        if "end" not in layout.named:
            raise LabelError(
                f"{about}: its columns are numbered, and it does not say how long a step is; state `period` under "
                '[labels.columns]: "month", "dekad" or a number of days',
                key="period",
            )
        last = days_of(frame[layout.named["end"]], layout.named["end"], about)
        period = period_of_steps(first, last, int(steps.max()) + 1, about)
    keys = {str(int(number)): index for index, number in enumerate(at)}
    return keys, step_dates(first, steps, period), stated.model_copy(update={"period": period})
