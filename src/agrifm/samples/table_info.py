"""`agrifm samples info`: what a series table or a public set holds, in lines of text and one picture."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.codes import listed
from agrifm.config import PROJECT_FILE, read_project
from agrifm.errors import LabelError
from agrifm.files import AnyPath, as_path
from agrifm.legend import UNLABELLED
from agrifm.samples.project_table import project_table
from agrifm.samples.public.registry import read_public_set
from agrifm.samples.series_files import read_series_table
from agrifm.samples.set_info import describe_set
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.scene.table_products import find_table_product
from agrifm.season import day_date
from agrifm.series_columns import SeriesColumns

MOST_CLASSES = 40
"""Classes that have a line of their own."""


def samples_info(
    path: AnyPath,
    products: Sequence[str] = (),
    picture: AnyPath | None = None,
    column: str | None = None,
    choices: Mapping[str, Any] | None = None,
) -> list[str]:
    """Describe a series table or a public set in the lines of `agrifm samples info`.

    Args:
        path: a project, a table by itself, or the folder of a public set.
        products: what the numbers of a table by itself are.
        picture: PNG to draw of the places and of the series of each class; None draws nothing.
        column: of the class, in a table by itself.
        choices: further arguments of the reader of a public set.

    Raises:
        LabelError: the table or the set cannot be read, the project has none, no product is named, or a picture of
            windows is asked for.
        OutputError: the picture cannot be written.
    """
    path = as_path(path)
    if path.is_dir() and not (path / PROJECT_FILE).exists():
        public = read_public_set(path, **(choices or {}))
        lines, table = describe_set(public, describe_table), public.table
        if table is None and picture is not None:
            raise LabelError(
                f"drawing {picture}: the public set in {path} has windows, and the picture shows series of places; "
                "leave out `--picture`",
                path=path,
            )
    else:
        table = _table_of(path, products, column)
        lines = describe_table(table)
    if picture is None or table is None:
        return lines
    from agrifm.samples.table_picture import draw_table

    draw_table(table, as_path(picture), path.name)
    return [*lines, f"wrote {picture}"]


def _table_of(path: Path, products: Sequence[str], column: str | None) -> SeriesTable:
    if path.is_dir() or path.name == PROJECT_FILE:
        project = read_project(path)
        if project.labels.series is None:
            raise LabelError(
                f"describing the samples of {path}: its project has no series table; name one as `series` under "
                "[labels]",
                path=path,
            )
        return project_table(project)
    if not products:
        raise LabelError(
            f"describing the series table {path}: how its numbers are encoded is never guessed; name their product, "
            "such as `--product sentinel-2-worldcereal`, or give the directory of a project",
            key="product",
        )
    columns = SeriesColumns(label=column)
    return read_series_table(path, [find_table_product(name) for name in products], columns=columns)


def describe_table(table: SeriesTable) -> list[str]:
    """Describe a table in lines of text: places, sensors, classes, blocks, years, and what was found wrong."""
    lines = [_places(table)]
    lines += [_sensor(name, series) for name, series in table.series.items()]
    for name, values in table.static.items():
        known = values[np.isfinite(values)]
        if len(known):
            lines.append(f"{name}: {known.min():g} to {known.max():g}, of {len(known)} places")
    return [*lines, *_blocks(table), *_classes(table), *_years(table), *table.notes]


def _places(table: SeriesTable) -> str:
    known = np.isfinite(table.lon) & np.isfinite(table.lat)
    where = "without coordinates"
    if known.any():
        lon, lat = table.lon[known], table.lat[known]
        where = f"longitude {lon.min():.2f} to {lon.max():.2f}, latitude {lat.min():.2f} to {lat.max():.2f}"
    labelled = int((table.label != UNLABELLED).sum())
    return f"{len(table)} places, {labelled} of them labelled; {where}; seasons of {table.season_days} days"


def _sensor(name: str, series: TableSeries) -> str:
    dates = int(series.length.sum())
    of_place = series.length[series.length > 0]
    first, last = (day_date(int(day)) for day in (series.date[series.length > 0].min(), series.date.max()))
    usable = series.values[series.valid]
    low, high = np.percentile(usable, [1, 99]) if len(usable) else (np.nan, np.nan)
    lacking = int((series.length == 0).sum())
    absent = f"; {lacking} places lack it" if lacking else ""
    gaps = 1 - series.valid.sum() / max(dates, 1)
    return (
        f"{name}: {', '.join(series.input.bands)} ({series.input.quantity}); {of_place.min()} to {of_place.max()} "
        f"dates a place, {first} to {last}; {gaps:.0%} gaps; 98 % of the values {low:.3g} to {high:.3g}{absent}"
    )


def _blocks(table: SeriesTable) -> list[str]:
    counts = np.unique(table.block, return_counts=True)[1]
    lines = [
        f"{len(counts)} blocks of {counts.min()} to {counts.max()} places, half of them at most {np.median(counts):g}"
    ]
    if table.fold is not None:
        folds = Counter(table.fold.tolist())
        content = ", ".join(
            f"{'not used' if number < 0 else f'fold {number}'} {count}" for number, count in sorted(folds.items())
        )
        lines.append(f"stated folds: {content}")
    return lines


def _classes(table: SeriesTable) -> list[str]:
    """A line for each class, the most frequent first."""
    rows = []
    for number, entry in enumerate(table.legend.classes):
        own = table.label == number
        if own.any():
            rows.append((int(own.sum()), entry.code, len(np.unique(table.block[own]))))
    rows.sort(reverse=True)
    lines = [f"class {code}: {count} places in {blocks} blocks" for count, code, blocks in rows[:MOST_CLASSES]]
    if len(rows) > MOST_CLASSES:
        lines.append(
            f"and {len(rows) - MOST_CLASSES} further classes: {listed(code for _, code, _ in rows[MOST_CLASSES:])}"
        )
    return lines


def _years(table: SeriesTable) -> list[str]:
    """Counts of the years in which seasons begin, and the classes that occur in one of several only."""
    years = table.season_start.astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
    different: list[int] = np.unique(years).tolist()
    lines = ["seasons begin in " + ", ".join(f"{year} ({int((years == year).sum())})" for year in different)]
    if len(different) > 1:
        single = [
            f"{entry.code} {_only(years[table.label == number])}"
            for number, entry in enumerate(table.legend.classes)
            if len(np.unique(years[table.label == number])) == 1
        ]
        if single:
            lines.append(f"classes of one year only, whose scores may be of the year: {listed(single)}")
    return lines


def _only(years: NDArray[Any]) -> int:
    return int(years[0])
