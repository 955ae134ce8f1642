"""Numbers of a series table to series in the unit of their quantity, with dates and validity.

Shape letters: P places, T dates, C bands.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agrifm.codes import listed
from agrifm.cube.store import SCALES
from agrifm.errors import LabelError
from agrifm.record import SensorInput
from agrifm.samples.series_forms import RawSeries
from agrifm.samples.table import TableSeries
from agrifm.scene.mask import DEFAULT_RULE, MaskRule
from agrifm.scene.quality import quality_flags
from agrifm.season import day_date

MIN_BANDS_PRESENT = 0.5
"""Least share of the bands that a date must have; the others are interpolated in time."""
MOST_CONTRARY = 0.5
"""Numbers outside the product's valid range, as a share of those that are not fill, above which it is another one."""
FILL_SHARE = 0.9
"""Share of the numbers outside the range that are one number, which is then taken for a fill."""
GREATEST_IN_UNIT = 2.0
"""Greatest reflectance or index of a place whose numbers are in their unit, and not integers of it."""
LEAST_UNSCALED = 0.01
"""Least scale of a product whose numbers are about as large as their unit."""


def read_series(
    raw: RawSeries,
    places: Sequence[str],
    about: str,
    rule: MaskRule = DEFAULT_RULE,
    until: NDArray[np.integer] | None = None,
) -> tuple[TableSeries, list[str]]:
    """Convert the numbers of one product.

    A band that is missing at a date where at least half of the bands are present is interpolated linearly from its own
    neighbours in time, except decibel, which nothing averages. Bands that are missing everywhere are dropped.

    Args:
        places: names of the places, for errors.
        rule: which flags of a quality band make an observation unusable.
        until: (P,), last day that is known at each place, days since 1970-01-01; None = all. Which bands there are
            follows from the whole table.

    Returns:
        The series, and notes on what was not used or was filled.

    Raises:
        LabelError: the numbers contradict the product, or a place has two rows of a date.
    """
    product = raw.product.product
    sensor = product.sensor
    numbers = raw.product.numbers(raw.numbers)
    notes = _require_range(raw, numbers, places, about)
    low, high = product.valid_range
    with np.errstate(invalid="ignore"):
        known = (numbers >= low) & (numbers <= high)  # NaN is neither
    kept: NDArray[np.bool_] = np.asarray(known.any(axis=(0, 1)))
    if not kept.any():
        raise LabelError(
            f"{about}: not one number of '{product.name}' is in its valid range, {low:g} to {high:g}; name the product "
            "of these numbers",
            product=product.name,
        )
    if not kept.all():
        dropped = [band for band, is_kept in zip(raw.bands, kept, strict=True) if not is_kept]
        notes.append(f"{sensor}: bands without any number, dropped: {', '.join(dropped)}")
    bands = tuple(band for band, is_kept in zip(raw.bands, kept, strict=True) if is_kept)
    numbers, known = numbers[:, :, kept], known[:, :, kept]
    present = raw.has if until is None else raw.has & (raw.last <= until[:, None])
    valid = present & (known.mean(axis=2) >= MIN_BANDS_PRESENT)
    if raw.quality is not None and product.quality_rule is not None:
        flags = quality_flags(np.where(np.isfinite(raw.quality), raw.quality, -1.0), product.quality_rule)
        usable = rule.usable(flags) & np.isfinite(raw.quality)
        notes.append(f"{sensor}: {int((valid & ~usable).sum())} observations are masked by their quality band")
        valid &= usable
    values = np.where(known, numbers * product.scale + product.offset, 0.0)
    order = np.lexsort((raw.date, ~present), axis=1)
    values, known = (np.take_along_axis(array, order[:, :, None], axis=1) for array in (values, known))
    valid, date, has = (np.take_along_axis(array, order, axis=1) for array in (valid, raw.date, present))
    _require_single_dates(date, has, places, about)
    if product.quantity == "backscatter (dB)":
        valid &= known.all(axis=2)
    elif filled := _fill_bands(values, known, valid, date):
        notes.append(f"{sensor}: {filled} numbers of single bands are interpolated from the same band in time")
    return _padded(raw, bands, values, valid, date, has), notes


def _padded(
    raw: RawSeries,
    bands: tuple[str, ...],
    values: NDArray[np.float64],
    valid: NDArray[np.bool_],
    date: NDArray[np.int64],
    has: NDArray[np.bool_],
) -> TableSeries:
    """The series of dates in order, padded with the last date; of the scale of a cube, so that the two compare."""
    product = raw.product.product
    length = has.sum(axis=1)
    last = np.take_along_axis(date, np.maximum(length - 1, 0)[:, None], axis=1)
    sensor = SensorInput(
        sensor=product.sensor,
        bands=bands,
        quantity=product.quantity,
        scale=SCALES[product.quantity],
        resolution=product.resolution,
    )
    return TableSeries(
        sensor,
        np.where(valid[:, :, None], values, 0).astype(np.float32),
        valid,
        np.where(has, date, last).astype(np.int32),
        length.astype(np.int64),
    )


def _require_range(raw: RawSeries, numbers: NDArray[np.float64], places: Sequence[str], about: str) -> list[str]:
    """Notes on numbers outside the valid range of the product; refuses those of another product."""
    product = raw.product.product
    low, high = product.valid_range
    finite = np.isfinite(numbers)
    outside = finite & ((numbers < low) | (numbers > high))
    if product.quantity in ("surface reflectance", "index"):
        _require_one_scale(raw, finite & ~outside, outside, places, about)
    if not outside.any():
        return []
    different, counts = np.unique(numbers[outside], return_counts=True)
    if counts.max() >= FILL_SHARE * counts.sum():
        fill, times = different[counts.argmax()], int(counts.max())
        return [f"{product.sensor}: {times} numbers are {fill:g}, outside the valid range of '{product.name}': nodata"]
    share = outside.sum() / finite.sum()
    found = f"{int(outside.sum())} of {int(finite.sum())} numbers are outside its valid range, {low:g} to {high:g}"
    if share > MOST_CONTRARY:
        raise LabelError(
            f"{about}: the numbers contradict the product '{product.name}': {found} (found {different[0]:g} to "
            f"{different[-1]:g}); name the product of these numbers, or describe it in [[imagery.product]]",
            product=product.name,
            outside=int(outside.sum()),
        )
    return [f"{product.sensor}: of '{product.name}' {found}: not valid"]


def _require_one_scale(
    raw: RawSeries, inside: NDArray[np.bool_], outside: NDArray[np.bool_], places: Sequence[str], about: str
) -> None:
    """Refuse places whose reflectance is from 0 to 1 among or instead of numbers that the product scales."""
    product = raw.product.product
    size = np.where(np.isfinite(raw.numbers), np.abs(raw.numbers), 0.0)
    small = ((size > 0) & (size <= GREATEST_IN_UNIT) & (inside | outside)).any(axis=(1, 2))
    large = ((size > GREATEST_IN_UNIT) & inside).any(axis=(1, 2))
    if product.scale < LEAST_UNSCALED:
        other, same = small & ~large, large
    else:
        beyond = ((size > GREATEST_IN_UNIT / LEAST_UNSCALED) & outside).any(axis=(1, 2))
        other, same = beyond & ~small, small
    if not other.any():
        return
    if not same.any():
        highest = float(size[other].max())
        raise LabelError(
            f"{about}: the numbers contradict the product '{product.name}': they are at most {highest:.3g}, and its "
            f'scale is {product.scale:g}; describe a product in [[imagery.product]] with `like = "{product.name}"`, '
            "the `scale` of these numbers and their `valid_range`",
            product=product.name,
            highest=highest,
        )
    raise LabelError(
        f"{about}: two scales are mixed under the product '{product.name}': the numbers of {int(other.sum())} of "
        f"{int((other | same).sum())} places (such as {places[int(np.flatnonzero(other)[0])]!r}) have another scale "
        "than those of the others; bring them to one scale, or read two tables",
        product=product.name,
        places=int(other.sum()),
    )


def _require_single_dates(date: NDArray[np.int64], has: NDArray[np.bool_], places: Sequence[str], about: str) -> None:
    twice = (np.diff(date, axis=1) == 0) & has[:, 1:]
    if twice.any():
        place, at = (int(axis[0]) for axis in np.nonzero(twice))
        raise LabelError(
            f"{about}: {places[place]!r} has two rows of {day_date(int(date[place, at]))}, and "
            f"{int(twice.any(axis=1).sum())} places have a date twice; keep one, or name the right column of samples",
            place=places[place],
            date=day_date(int(date[place, at])),
        )


def _fill_bands(
    values: NDArray[np.float64], known: NDArray[np.bool_], valid: NDArray[np.bool_], date: NDArray[np.int64]
) -> int:
    """Interpolate in place the bands that are missing at valid dates; returns how many numbers.

    Where a place never has a band, its dates become invalid.
    """
    missing = valid[:, :, None] & ~known
    filled = 0
    for place, band in np.argwhere(missing.any(axis=1)):
        gaps, present = missing[place, :, band], valid[place] & known[place, :, band]
        if not present.any():
            valid[place] = False
            continue
        values[place, gaps, band] = np.interp(date[place, gaps], date[place, present], values[place, present, band])
        filled += int(gaps.sum())
    return filled


def cut_to_seasons(series: TableSeries, start: NDArray[np.int32], days: int) -> tuple[TableSeries, int]:
    """Drop the dates outside each place's season.

    Args:
        start: (P,), first day of each place's season, days since 1970-01-01.
        days: length of a season.

    Returns:
        The series, and how many dates were dropped.
    """
    steps = np.arange(series.date.shape[1])
    real = steps < series.length[:, None]
    inside = real & (series.date >= start[:, None]) & (series.date < start[:, None] + days)
    order = np.argsort(~inside, axis=1, kind="stable")
    length = inside.sum(axis=1)
    longest = max(1, int(length.max(initial=0)))
    order = order[:, :longest]
    kept = np.take_along_axis(inside, order, axis=1)
    date = np.take_along_axis(series.date, order, axis=1)
    last = np.take_along_axis(date, np.maximum(length - 1, 0)[:, None], axis=1)
    valid = np.take_along_axis(series.valid, order, axis=1) & kept
    values = np.take_along_axis(series.values, order[:, :, None], axis=1)
    cut = TableSeries(
        series.input,
        np.where(valid[:, :, None], values, np.float32(0)),
        valid,
        np.where(kept, date, last).astype(np.int32),
        length.astype(np.int64),
    )
    return cut, int(real.sum() - inside.sum())


def gap_notes(
    series: dict[str, TableSeries], label: NDArray[np.uint8], codes: Sequence[str], most: float = 0.6
) -> list[str]:
    """Return a note on the classes of which at least a share `most` of the dates of a sensor has no observation."""
    notes = []
    for name, table in series.items():
        poor = {}
        for number, code in enumerate(codes):
            of_class = label == number
            dates = int(table.length[of_class].sum())
            if dates:
                gaps = 1 - table.valid[of_class].sum() / dates
                if gaps >= most:
                    poor[code] = f"{code} {gaps:.0%}"
        if poor:
            notes.append(
                f"{name}: gaps fill at least {most:.0%} of the dates of these classes, whose scores say little: "
                f"{listed(poor.values())}"
            )
    return notes
