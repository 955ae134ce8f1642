"""TimeSen2Crop: 1.2 million pixel series of Sentinel-2 in Austria, 2017 to 2018 (Weikmann et al. 2021)."""

import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing
from agrifm.files import AnyPath, as_path
from agrifm.samples.public.band_order import band_means, require_land_order
from agrifm.samples.public.public_set import Division, PublicSet, SetFacts
from agrifm.samples.public.set_files import AGAIN, day_of, require_file
from agrifm.samples.public.set_series import (
    PlaceSeries,
    blocks_of,
    choose_bands,
    decode,
    divide,
    limit_places,
    memory_note,
    read_all,
    sensor_input,
    set_legend,
    stack_series,
)
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.scene.products import Product
from agrifm.season import day_date, day_number
from agrifm.tables import read_table

FACTS = SetFacts(
    name="timesen2crop",
    title="TimeSen2Crop",
    licence="CC-BY-4.0",
    citation="Weikmann, G., Paris, C., Bruzzone, L. (2021): TimeSen2Crop: a million labeled samples dataset of "
    "Sentinel 2 image time series for crop-type classification. IEEE JSTARS 14, 4699-4708",
    source="Zenodo, record 4715631",
)
# Columns B1 to B9 are blue (B2), green (B3), red (B4), red edge (B5, B6, B7, B8A) and SWIR (B11, B12), as the set's
# page says; atmospherically corrected, times 1e-4.
SENTINEL_2 = Product(
    name="sentinel-2-timesen2crop",
    sensor="sentinel-2",
    collection="timesen2crop",
    assets={
        band: f"B{number}"
        for number, band in enumerate(("B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12"), 1)
    },
    scale=1e-4,
    offset=0.0,
    nodata=0,
    valid_range=(1, 20000),
)
CLEAR = 0
"""Flag of clear pixels; 1 is cloud, 2 shadow, 3 snow."""
CLASSES = (
    "Legumes", "Grassland", "Maize", "Potato", "Sunflower", "Soy", "Winter barley", "Winter caraway", "Rye", "Rapeseed",
    "Beet", "Spring cereals", "Winter wheat", "Winter triticale", "Permanent plantation", "Other crops",
)  # fmt: skip
"""By the number of the folder."""
TILE = re.compile(r"(\d{2}[A-Z]{3})(.*)")
"""A folder's name: a tile, and for the second year of one tile something that follows."""
TRAINING_TILES = frozenset(
    (
        "33UXP", "33UWQ", "33UWP", "33UUP", "33TXN", "33TWN", "33TWM", "33TVM", "33TUN", "33TUM", "32TQT", "32TPT",
        "32TNT",
    )
)  # fmt: skip
VALIDATION_TILE, TEST_TILE = "33TVN", "33UVP"
SEASON = (9, 1)
"""Month and day on which the agronomic year begins."""
CHECKED = 500
"""Pixels on which the order of the bands is checked."""


class _Pixel(NamedTuple):
    """A file of the set."""

    path: Path
    tile: str
    code: str


def is_timesen2crop(directory: Path) -> bool:
    """Whether a folder has the tiles of TimeSen2Crop."""
    return any(TILE.fullmatch(file.parent.name) for file in directory.glob("*/dates.csv"))


def read_timesen2crop(
    directory: AnyPath,
    tiles: Sequence[str] = (),
    bands: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    executor: Executor | None = None,
) -> PublicSet:
    """Read the pixels of TimeSen2Crop as a table of series.

    Observations that are not clear by the column Flag stay in the series and are not valid.

    Args:
        directory: holds `<tile>/dates.csv` and `<tile>/<class>/<number>.csv`.
        tiles: names of folders to read; () for all.
        bands: by default all nine.
        limit: largest number of pixels per class, drawn by `seed`.
        executor: see `read_all`.

    Raises:
        LabelError: a file is absent, damaged or of another layout, the bands have another order, or memory does not
            suffice.
    """
    directory = as_path(directory)
    about = f"reading TimeSen2Crop in {directory}"
    days = _days_of_tiles(directory, tiles, about)
    pixels, empty = _list_pixels(directory, list(days), about)
    notes: list[str] = []
    pixels = limit_places(pixels, [one.code for one in pixels], limit, seed, notes)
    chosen = choose_bands(SENTINEL_2, bands, about)
    read = partial(_read_pixel, days=days, about=about)
    found = read_all(read, pixels, "TimeSen2Crop", executor)
    empty += Counter(one.tile for one, series in zip(pixels, found, strict=True) if series is None)
    if empty:
        where = ", ".join(f"{count} in {tile}" for tile, count in sorted(empty.items()))
        notes.append(f"{empty.total()} files are empty and left out: {where}")
    present = [(one, series) for one, series in zip(pixels, found, strict=True) if series is not None]
    if not present:
        raise LabelError(f"{about}: every file is empty; {AGAIN}", path=directory)
    table = _table([one for one, _ in present], [series for _, series in present], days, chosen, about)
    notes.append(memory_note(list(table.series.values())))
    return PublicSet(FACTS, table.legend, table.sensors, table, _folds([one.tile for one, _ in present]), tuple(notes))


def _days_of_tiles(directory: Path, tiles: Sequence[str], about: str) -> dict[str, NDArray[np.int32]]:
    """Days of each tile, from its dates.csv."""
    known = sorted(path.name for path in directory.iterdir() if path.is_dir() and TILE.fullmatch(path.name))
    unknown = [tile for tile in tiles if tile not in known]
    if unknown or not known:
        raise LabelError(
            f"{about}: it has no tile {unknown[0] if unknown else 'at all'}; tiles in the folder: "
            f"{', '.join(known) or 'none'}",
            tile=unknown[0] if unknown else None,
            known=known,
        )
    days = {}
    for tile in tiles or known:
        path = require_file(directory / tile / "dates.csv", about)
        table = read_table(path, f"{about}, {path}", LabelError)
        column = table.find("acquisition_date")
        if column is None:
            raise LabelError(
                f"{about}, {path}: it has no column acquisition_date (it has {', '.join(table.columns)}); {AGAIN}",
                path=path,
                columns=table.columns,
            )
        days[tile] = np.array([day_of(cell, about, path) for cell in table.column(column)], np.int32)
    return days


def _list_pixels(directory: Path, tiles: Sequence[str], about: str) -> tuple[list[_Pixel], Counter[str]]:
    """The files that have content, and the number of empty ones of each tile."""
    pixels: list[_Pixel] = []
    empty: Counter[str] = Counter()
    for tile in tiles:
        for number in range(len(CLASSES)):
            folder = directory / tile / str(number)
            files = sorted(folder.glob("*.csv"), key=lambda path: (len(path.name), path.name))
            full = [path for path in files if path.stat().st_size]
            empty[tile] += len(files) - len(full)
            pixels += [_Pixel(path, tile, str(number)) for path in full]
    if not pixels:
        raise LabelError(f"{about}: the tiles hold no files <class>/<number>.csv with content; {AGAIN}", path=directory)
    return pixels, +empty


def _read_pixel(pixel: _Pixel, days: dict[str, NDArray[np.int32]], about: str) -> NDArray[np.float32] | None:
    """The nine bands and the flag (T, 10) of a pixel; None of an empty file."""
    path = pixel.path
    columns = [*SENTINEL_2.assets.values(), "Flag"]
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        lines = path.read_text(encoding="utf-8-sig").split()
        if not lines:
            return None
        header = [name.strip('"') for name in lines[0].split(",")]
        absent = [name for name in columns if name not in header]
        if absent:
            raise LabelError(
                f"{about}, {path}: it has no column {absent[0]} (it has {', '.join(header)}); {AGAIN}",
                path=path,
                column=absent[0],
            )
        if len(lines) == 1:
            return None
        rows = np.array([line.split(",") for line in lines[1:]], np.float32)
        numbers: NDArray[np.float32] = rows[:, [header.index(name) for name in columns]]
    if len(numbers) != len(days[pixel.tile]):
        raise LabelError(
            f"{about}, {path}: it has {len(numbers)} rows, and dates.csv of tile {pixel.tile} has "
            f"{len(days[pixel.tile])} dates; {AGAIN}",
            path=path,
            rows=len(numbers),
            dates=len(days[pixel.tile]),
        )
    return numbers


def _table(
    pixels: Sequence[_Pixel],
    numbers: Sequence[NDArray[np.float32]],
    days: dict[str, NDArray[np.int32]],
    bands: Sequence[str],
    about: str,
) -> SeriesTable:
    columns = [SENTINEL_2.bands.index(band) for band in bands]
    parts = []
    for pixel, stored in zip(pixels, numbers, strict=True):
        values, valid = decode(stored[:, columns], SENTINEL_2)
        clear = valid & (stored[:, -1] == CLEAR)
        parts.append(PlaceSeries(values * clear[:, None], clear, days[pixel.tile]))
    series = stack_series(sensor_input(SENTINEL_2, bands), parts, about)
    _require_order(series, bands, about)
    legend = set_legend({str(number): name for number, name in enumerate(CLASSES)})
    starts = {tile: _season_start(int(day.min())) for tile, day in days.items()}
    unknown = np.full(len(pixels), np.nan)
    return SeriesTable(
        legend=legend,
        label=legend.encode([one.code for one in pixels]),
        series={"sentinel-2": series},
        season_start=np.array([starts[one.tile] for one in pixels], np.int32),
        season_days=365,
        lon=unknown,
        lat=unknown.copy(),
        block=blocks_of([one.tile[:5] for one in pixels]),
        place=tuple(f"{one.tile}/{one.code}/{one.path.stem}" for one in pixels),
    )


def _require_order(series: TableSeries, bands: Sequence[str], about: str) -> None:
    means = band_means(series.values[:CHECKED], series.valid[:CHECKED], bands)
    require_land_order(means, about, "read the files as they were distributed (B1 = blue to B9 = SWIR)")


def _season_start(first: int) -> int:
    """The first of September on or before the first date of a tile."""
    day = day_date(first)
    year = day.year if (day.month, day.day) >= SEASON else day.year - 1
    return day_number(date(year, *SEASON))


def _folds(tiles: Sequence[str]) -> dict[str, Division]:
    """The makers' tiles; in "next year" the same model is tested in the second year of the test tile."""
    parts = []
    for tile in tiles:
        name, second = tile[:5], len(tile) > 5
        part = "train" if name in TRAINING_TILES else {VALIDATION_TILE: "validation", TEST_TILE: "test"}.get(name, "")
        parts.append("next year" if second else part)
    official = divide(parts)
    later = divide(["test" if part == "next year" else "" if part == "test" else part for part in parts])
    return {"official": official, **({"next year": later} if "next year" in parts else {})}
