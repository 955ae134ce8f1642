"""The forms of series tables, long and wide, to numbers by place, date and band.

Shape letters: P places, T dates, C bands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.samples.series_dates import last_days, middles, observed_days, period_of_steps, step_dates
from agrifm.samples.series_frames import NO_DATE, days_of
from agrifm.samples.series_layout import DAY, QUALITY, Layout, first_date_column
from agrifm.samples.series_places import one_row_each
from agrifm.scene.table_products import TableProduct
from agrifm.series_columns import SeriesColumns

if TYPE_CHECKING:
    import pandas


@dataclass
class RawSeries:
    """The numbers of one product at every place."""

    product: TableProduct
    bands: tuple[str, ...]
    numbers: NDArray[np.float64]
    """(P, T, C), as the table has them; NaN where it has none."""
    date: NDArray[np.int64]
    """(P, T), first days since 1970-01-01, in any order."""
    last: NDArray[np.int64]
    """(P, T), last days of the periods of composites, of other observations their days."""
    has: NDArray[np.bool_]
    """(P, T), whether the table has a row or a column there."""
    quality: NDArray[np.float64] | None = None
    """(P, T), numbers of the quality band."""


@dataclass
class RawTable:
    """A table before its classes and places are read."""

    frame: "pandas.DataFrame"
    """A row for each place."""
    names: list[str]
    """Names of the places."""
    series: list[RawSeries]


def as_numbers(values: "pandas.Series") -> NDArray[np.float64]:
    """Return a column as numbers; NaN where it has none."""
    import pandas

    numbers: NDArray[np.float64] = pandas.to_numeric(values, errors="coerce").to_numpy(np.float64)
    return numbers


def read_long(
    frame: "pandas.DataFrame", layout: Layout, products: Sequence[TableProduct], stated: SeriesColumns, about: str
) -> RawTable:
    """Read a table with a row for each date.

    Raises:
        LabelError: it has no dates or no samples, or lacks a product.
    """
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
        by_band = {entry.band: as_numbers(frame[entry.column]) for entry in entries}
        bands = tuple(band for band in product.product.assets if band in by_band)
        if not bands:
            raise _without_bands(product, about)
        numbers = np.full((*shape, len(bands)), np.nan)
        numbers[code, position] = np.stack([by_band[band] for band in bands], axis=1)
        quality = None
        if QUALITY in by_band:
            quality = np.full(shape, np.nan)
            quality[code, position] = by_band[QUALITY]
        seen = by_band.get(DAY) if "day" not in layout.named else _days_of_year(frame, layout.named["day"], about)
        of_year = None
        if seen is not None:
            of_year = np.full(shape, np.nan)
            of_year[code, position] = seen
        series.append(RawSeries(product, bands, numbers, *_dated(date, has, of_year, product, stated), quality))
    places = one_row_each(frame, list(unique), column, layout.named, about).reset_index(drop=True)
    return RawTable(places, names, series)


def _without_bands(product: TableProduct, about: str) -> LabelError:
    name = product.product.name
    return LabelError(
        f"{about}: it has no band of the product '{name}' ({', '.join(product.product.assets)}); take '{name}' out of "
        "`products`, or state the names of its columns as `assets` of a product in [[imagery.product]]",
        product=name,
    )


def _dated(
    first: NDArray[np.int64],
    has: NDArray[np.bool_],
    of_year: NDArray[np.float64] | None,
    product: TableProduct,
    stated: SeriesColumns,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Dates of composites, as the day that was seen or the middle of their period; last days; which of them are kept.

    Of two composites that were seen on one day the later is kept, as in maps.
    """
    period = stated.period or (product.product.period if product.product.period > 1 else None)
    if period is None:
        return first, first, has
    date, last = middles(first, period), last_days(first, period)
    if of_year is None:
        return date, last, has
    date = observed_days(of_year, first, date)
    order = np.lexsort((first, date, ~has), axis=1)
    ordered, of = np.take_along_axis(date, order, axis=1), np.take_along_axis(first, order, axis=1)
    again = np.zeros(has.shape, bool)
    again[:, :-1] = (np.diff(ordered, axis=1) == 0) & (np.diff(of, axis=1) > 0)
    repeated = np.zeros(has.shape, bool)
    np.put_along_axis(repeated, order, again, axis=1)
    return date, last, has & ~repeated


def _days_of_year(frame: "pandas.DataFrame", column: str, about: str) -> NDArray[np.float64]:
    """The stated column of days of the year."""
    numbers = as_numbers(frame[column])
    known = numbers[np.isfinite(numbers)]
    if not len(known) or known.max() > 366 or known.max() < 1:
        found = f"numbers from {known.min():g} to {known.max():g}" if len(known) else "no numbers"
        raise LabelError(
            f"{about}: the column {column!r} (`day` under [labels.columns]) has {found}, and days of the year are 1 to "
            "366; give a column of such days, or leave `day` out",
            column=column,
        )
    return numbers


def read_constants(
    product: TableProduct,
    columns: Mapping[str, str],
    frame: "pandas.DataFrame",
    date: NDArray[np.integer],
    about: str,
) -> RawSeries:
    """Read the numbers of a product that do not change with time, as a series of one date.

    Args:
        columns: band -> column.
        frame: a row for each place.
        date: (P,), the date of each place, days since 1970-01-01.

    Raises:
        LabelError: none of its bands has a column.
    """
    bands = tuple(band for band in product.product.assets if columns.get(band) in frame)
    if not bands:
        raise _without_bands(product, about)
    numbers = np.stack([as_numbers(frame[columns[band]]) for band in bands], axis=1)[:, None]
    day = date.astype(np.int64)[:, None]
    return RawSeries(product, bands, numbers, day, day, np.ones((len(frame), 1), bool))


def read_wide(
    frame: "pandas.DataFrame", layout: Layout, products: Sequence[TableProduct], stated: SeriesColumns, about: str
) -> RawTable:
    """Read a table with a row for each place.

    Raises:
        LabelError: its numbered columns have no dates, or it lacks a product.
    """
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
        quality, of_year = (np.full(date.shape, np.nan) if key in present else None for key in (QUALITY, DAY))
        for entry in entries:
            values = as_numbers(frame[entry.column])
            position = keys[str(int(entry.at)) if entry.is_step else entry.at]
            if entry.band == QUALITY:
                assert quality is not None
                quality[:, position] = values
            elif entry.band == DAY:
                assert of_year is not None
                of_year[:, position] = values
            else:
                numbers[:, position, bands.index(entry.band)] = values
        has = np.zeros(date.shape, bool)
        has[:, sorted({keys[str(int(e.at)) if e.is_step else e.at] for e in entries})] = True
        series.append(RawSeries(product, bands, numbers, *_dated(date, has, of_year, product, stated), quality))
    return RawTable(frame, names, series)


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
