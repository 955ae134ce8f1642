"""How a series table is laid out: a row for each date, or columns for dates; recognised by the names of its columns."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agrifm.codes import listed
from agrifm.errors import LabelError, did_you_mean
from agrifm.scene.table_products import TableProduct
from agrifm.series_columns import FIRST_NAMES, STATED_NAMES, USUAL_NAMES, SeriesColumns

QUALITY = "quality band"
"""Stands for the band of a product's quality asset."""
DAY = "day of the year"
"""Stands for the band of a product's asset of days on which a composite was seen."""
_DATE = r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}_[0-9]{2}_[0-9]{2}|[0-9]{8})"
_FORMS = (
    re.compile(r"(?P<name>.+)-ts(?P<step>[0-9]+)-[0-9]+m"),  # OPTICAL-B02-ts3-10m (WorldCereal)
    re.compile(rf"(?P<name>.+?)[._ -]{_DATE}(T[0-9]+)?"),  # B02_20180301
    re.compile(rf"{_DATE}(T[0-9]+)?[._ -](?P<name>.+)"),  # 20180301_B02, as Earth Engine writes
    re.compile(r"(?P<name>.+?)[._ -]ts?(?P<step>[0-9]+)"),  # B02_ts3, B02_t3
)
_WHOLE = re.compile(r"(?P<name>.+)")
_NUMBERED = re.compile(r"(?P<name>.+?)[._-]?(?P<step>[0-9]+)")
"""NDVI1, NDVI2 ... (sits), used only if what is before the number is a band of a product."""
STATIC_NAMES = {
    "elevation": "altitude", "altitude": "altitude", "dem-alt": "altitude", "alt": "altitude", "slope": "slope",
    "dem-slo": "slope", "aspect": "aspect",
}  # fmt: skip
"""Names of terrain in tables, in small letters -> name; metres above sea level, and slope as the table has it."""


@dataclass(frozen=True)
class BandColumn:
    """One column of numbers, and what they are."""

    column: str
    product: int
    """Index of the product."""
    band: str
    """Name of the band, or `QUALITY`, or `DAY`."""
    at: str = ""
    """Date (as written) or number of the step; "" in tables with a row for each date."""
    is_step: bool = False
    """Whether `at` is the number of a step."""


@dataclass
class Layout:
    """What the columns of a table are."""

    bands: list[BandColumn]
    """Every column of a product."""
    named: dict[str, str]
    """Key of `SeriesColumns` -> column."""
    static: dict[str, str] = field(default_factory=dict)
    """Name of what does not change with time -> column."""
    unused: list[str] = field(default_factory=list)
    """Columns that are not used."""

    @property
    def is_wide(self) -> bool:
        """Whether a place is one row."""
        return any(entry.at for entry in self.bands)

    @property
    def has_steps(self) -> bool:
        """Whether columns are numbered instead of dated."""
        return any(entry.is_step for entry in self.bands)


def find_layout(columns: Sequence[str], products: Sequence[TableProduct], stated: SeriesColumns, about: str) -> Layout:
    """Recognise the columns of a table.

    Raises:
        LabelError: a stated column is absent, two products could be meant by a column, or no column is a band of a
            product.
    """
    named = named_columns(columns, stated)
    taken = set(named.values())
    names = _Names(products)
    bands: list[BandColumn] = []
    static = static_columns(columns)
    rest: list[str] = []
    for column in columns:
        if column in taken:
            continue
        found = _band_of(column, names, about)
        if found is not None:
            bands.append(found)
        elif _static_of(column) is None:
            rest.append(column)
    if not any(entry.band not in (QUALITY, DAY) for entry in bands):
        wanted = [name for product in products for name in product.band_names]
        raise LabelError(
            f"{about}: none of its columns is a band of {names.titles} (bands: {', '.join(dict.fromkeys(wanted))}); "
            f"found the columns {listed(columns, 12)}; name the right product, or describe one whose `assets` are "
            "these names",
            columns=list(columns),
        )
    if any(entry.at for entry in bands):  # numbers without a date beside those with one are not series
        rest += [entry.column for entry in bands if not entry.at]
        bands = [entry for entry in bands if entry.at]
    return Layout(bands, named, static, rest)


class _Names:
    """The names of the bands of all products, for look-ups from the longest to the shortest."""

    def __init__(self, products: Sequence[TableProduct]) -> None:
        self.exact: dict[str, set[tuple[int, str]]] = defaultdict(set)
        self.titles = ", ".join(entry.product.name for entry in products)
        for index, entry in enumerate(products):
            for name, band in entry.band_names.items():
                self.exact[_plain(name)].add((index, band))
            if entry.product.quality_asset is not None:
                self.exact[_plain(entry.product.quality_asset)].add((index, QUALITY))
            if entry.product.day_asset is not None:
                self.exact[_plain(entry.product.day_asset)].add((index, DAY))

    def find(self, name: str, column: str, about: str) -> tuple[int, str] | None:
        """The product and the band of a name, also with the name of a source before it (S2-L2A-B02)."""
        parts = re.split(r"[-_. :/]", name)
        for first in range(len(parts)):
            known = self.exact.get(_plain("".join(parts[first:])))
            if known:
                if len(known) > 1:
                    raise LabelError(
                        f"{about}: the column {column!r} may be of several of the products {self.titles}; describe one "
                        "in [[imagery.product]] whose `assets` are the whole names of its columns",
                        column=column,
                    )
                return next(iter(known))
        return None


def _plain(name: str) -> str:
    """A name without capitals, separators and the zeros before a number: B02, b2 and B-2 are one."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"[-_. :/]", "", name.casefold()))


def _band_of(column: str, names: _Names, about: str) -> BandColumn | None:
    """What a column is: a band at a date or step, a band, or a band with a number; None for other columns."""
    for form in (*_FORMS, _WHOLE, _NUMBERED):
        match = form.fullmatch(column)
        found = None if match is None else names.find(match["name"], column, about)
        if match is not None and found is not None:
            groups = match.groupdict()
            step = groups.get("step")
            return BandColumn(column, *found, step or groups.get("date") or "", step is not None)
    return None


def static_columns(columns: Sequence[str]) -> dict[str, str]:
    """Return the columns of terrain: name in `STATIC_NAMES` -> column, of several the first."""
    found: dict[str, str] = {}
    for column in columns:
        name = _static_of(column)
        if name is not None:
            found.setdefault(name, column)
    return found


def _static_of(column: str) -> str | None:
    name = re.sub(r"-[0-9]+m$", "", column.casefold())
    return STATIC_NAMES.get(name)


def named_columns(columns: Sequence[str], stated: SeriesColumns) -> dict[str, str]:
    """Return key -> column: those that are stated and present, and of the others the usual names."""
    named: dict[str, str] = {}
    keys = [key for key in SeriesColumns.model_fields if key != "period"]
    for key in keys:
        wanted = getattr(stated, key)
        if wanted is None:
            continue
        found = [column for column in columns if column == wanted] or [
            column for column in columns if column.casefold() == wanted.casefold()
        ]
        if len(found) == 1:
            named[key] = found[0]
    small = {column.casefold(): column for column in reversed(columns)}
    for key, usual in USUAL_NAMES.items():
        if key not in named and getattr(stated, key) is None:
            column = next((small[name] for name in usual if name in small), None)
            if column is not None and column not in named.values():
                named[key] = column
    return named


def require_stated(named: Mapping[str, str], stated: SeriesColumns, columns: Sequence[str], about: str) -> None:
    """Refuse a column that the project states and no file has.

    Args:
        named: key -> column, of all files together.
        columns: of all files together.

    Raises:
        LabelError: with the key, and the columns there are.
    """
    for key in SeriesColumns.model_fields:
        wanted = getattr(stated, key)
        if key != "period" and wanted is not None and key not in named:
            raise LabelError(
                f"{about}: it has no column {wanted!r}, which [labels.columns] names as `{key}` (it has "
                f"{listed(columns, 12)}){did_you_mean(wanted, columns)}",
                column=wanted,
                key=key,
            )


def unstated_notes(columns: Sequence[str], named: Mapping[str, str]) -> list[str]:
    """Return a note on each column that seems to divide the places and is not stated, so that it is not used.

    Args:
        columns: of all files together.
        named: key of `SeriesColumns` -> column.
    """
    return [
        f"the column {column!r} is not used; if it has the {key}s, state it as `{key}` under [labels.columns]"
        for key, names in STATED_NAMES.items()
        if key not in named
        for column in columns
        if column.casefold() in names and column not in named.values()
    ]


def first_date_column(columns: Sequence[str], named: Mapping[str, str]) -> str | None:
    """Return the column with the first date of a table whose columns are numbered."""
    small = {column.casefold(): column for column in columns}
    return named.get("start") or next((small[name] for name in FIRST_NAMES if name in small), None)
