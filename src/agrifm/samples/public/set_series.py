"""Numbers of public sets as values: bands by name in the sensor's order, scale and nodata by product, places by class.

Shape letters: P places, T dates, C bands.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import SCALES
from agrifm.errors import LabelError, did_you_mean
from agrifm.free_memory import free_memory
from agrifm.legend import UNLABELLED, Legend
from agrifm.record import SensorInput
from agrifm.samples.sample import Series
from agrifm.samples.table import TableSeries
from agrifm.scene.products import Product
from agrifm.sensors import find_sensor
from agrifm.work import progress, run_tiles

Item = TypeVar("Item")
Result = TypeVar("Result")
THREADS = 4
"""Files are small and their reading waits for the disk."""
BATCH = 64
"""Files that one thread reads before it takes the next ones."""
SHARE_OF_MEMORY = 0.8
"""Of the free memory, what the values of a set may take."""


class PlaceSeries(NamedTuple):
    """One sensor's series at one place."""

    values: NDArray[np.float32]
    """(T, C), 0 where not valid."""
    valid: NDArray[np.bool_]
    """(T,)."""
    date: NDArray[np.int32]
    """(T,), days since 1970-01-01, in any order; a day may occur several times."""


def choose_bands(product: Product, wanted: Sequence[str], about: str) -> tuple[str, ...]:
    """Return the bands to read: those of the sensor that the set has, in the sensor's order, or those wanted.

    Raises:
        LabelError: the set has no band of a name.
    """
    for band in wanted:
        if band not in product.assets:
            raise LabelError(
                f"{about}: it has no band {band!r} of '{product.sensor}'{did_you_mean(band, product.assets)} It has "
                f"{', '.join(product.assets)}",
                band=band,
            )
    return tuple(wanted) or tuple(name for name in find_sensor(product.sensor).band_names if name in product.assets)


def sensor_input(product: Product, bands: Sequence[str], sensor: str = "") -> SensorInput:
    """Return what samples of a product hold.

    Args:
        sensor: name of the series, if a set has several of one sensor, such as two orbits of Sentinel-1.
    """
    return SensorInput(
        sensor=sensor or product.sensor,
        bands=tuple(bands),
        quantity=product.quantity,
        scale=SCALES[product.quantity],
        resolution=product.resolution,
    )


def decode(stored: NDArray[Any], product: Product, axis: int = -1) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return values in the product's unit, 0 where not valid, and validity without the band axis.

    An observation is valid if every band is a number of the product's valid range.

    Args:
        stored: numbers as the set holds them, with the bands along `axis`.
    """
    low, high = product.valid_range
    numbers = np.asarray(stored, np.float32)
    with np.errstate(invalid="ignore"):
        usable = (numbers >= low) & (numbers <= high) & (numbers != product.nodata)
    valid = usable.all(axis=axis)
    values = numbers * np.float32(product.scale) + np.float32(product.offset)
    return np.where(np.expand_dims(valid, axis), values, np.float32(0)), np.asarray(valid)


def stack_series(source: SensorInput, parts: Sequence[PlaceSeries], about: str) -> TableSeries:
    """Return the series of all places as one, each in the order of its dates; days that repeat are kept.

    Raises:
        LabelError: the values would not fit into memory.
    """
    places, bands = len(parts), len(source.bands)
    length = np.array([len(part.date) for part in parts], np.int64)
    longest = int(length.max(initial=0))
    _require_memory(places, longest, bands, about)
    values = np.zeros((places, longest, bands), np.float32)
    valid = np.zeros((places, longest), bool)
    day = np.zeros((places, longest), np.int32)
    for row, part in enumerate(parts):
        count = len(part.date)
        if not count:
            continue
        order = np.argsort(part.date, kind="stable")
        values[row, :count] = part.values[order]
        valid[row, :count] = part.valid[order]
        day[row, :count] = part.date[order]
        day[row, count:] = day[row, count - 1]
    return TableSeries(source, values, valid, day, length)


def image_series(stored: NDArray[Any], product: Product, day: NDArray[np.int32]) -> Series:
    """Return the series of a window in the order of its dates; days that repeat are kept.

    Args:
        stored: (T, C, H, W) as the set holds it, with the bands that are wanted in their order.
        day: (T,), days since 1970-01-01.
    """
    order = np.argsort(day, kind="stable")
    values, valid = decode(stored[order], product, axis=1)
    return Series(values, valid, day[order].astype(np.int32))


def bytes_of(places: int, dates: int, bands: int) -> int:
    """Return the bytes of the series of a table: float32 values, dates and validity."""
    return places * dates * (4 * bands + 5)


def _require_memory(places: int, dates: int, bands: int, about: str) -> None:
    """Refuse a set whose series would take more than `SHARE_OF_MEMORY` of the free memory.

    Raises:
        LabelError: with the bytes needed and free.
    """
    needed, free = bytes_of(places, dates, bands), free_memory()
    if needed > SHARE_OF_MEMORY * free:
        raise LabelError(
            f"{about}: {places} places of up to {dates} dates and {bands} bands take {needed / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB of memory are free; read fewer with `limit` (places per class), or a part of the set",
            needed=needed,
            free=free,
        )


def memory_note(series: Sequence[TableSeries]) -> str:
    """Return a sentence on the memory that the series of a table take."""
    total = sum(one.values.nbytes + one.valid.nbytes + one.date.nbytes for one in series)
    return f"the series take {total / 1e6:,.1f} MB of memory"


def draw_places(codes: Sequence[str], limit: int | None, seed: int) -> NDArray[np.intp]:
    """Return the indices of at most `limit` places of each class, ascending; None keeps all.

    The draw of a class depends on the seed and on the places of that class alone.
    """
    if limit is None:
        return np.arange(len(codes))
    classes, number = np.unique(np.asarray(codes, str), return_inverse=True)
    kept = []
    for index, code in enumerate(classes):
        members = np.flatnonzero(number == index)
        generator = np.random.default_rng([seed, zlib.crc32(str(code).encode())])
        kept.append(generator.permutation(members)[:limit])
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, np.intp)


def limit_places(
    items: Sequence[Item], codes: Sequence[str], limit: int | None, seed: int, notes: list[str]
) -> list[Item]:
    """Return what `draw_places` keeps, and add a note if that is not everything."""
    kept = draw_places(codes, limit, seed)
    if len(kept) < len(items):
        notes.append(f"{len(kept)} of {len(items)} places are read: at most {limit} per class, drawn by seed {seed}")
    return [items[index] for index in kept]


def read_all(
    read: Callable[[Item], Result], items: Sequence[Item], description: str, executor: Executor | None = None
) -> list[Result]:
    """Apply a function to many small files, in threads and with a progress bar; results are in the order of items.

    Args:
        executor: any `concurrent.futures` executor; by default `THREADS` threads.
    """
    work = [(read, tuple(items[start : start + BATCH])) for start in range(0, len(items), BATCH)]
    results: dict[int, list[Result]] = {}
    with ThreadPoolExecutor(THREADS) as threads, progress(description, len(items)) as advance:
        for (index, (_, batch)), result in run_tiles(_read_batch, enumerate(work), executor or threads):
            results[index] = result
            advance(len(batch))
    return [one for index in range(len(work)) for one in results[index]]


def _read_batch(batch: tuple[int, tuple[Callable[[Item], Result], tuple[Item, ...]]]) -> list[Result]:
    _, (read, items) = batch
    return [read(item) for item in items]


def renumber(stored: NDArray[Any], codes: Sequence[int]) -> NDArray[np.uint8]:
    """Return class numbers of stored codes: the position in `codes`, 255 for every other value."""
    known = np.asarray(codes)
    order = np.argsort(known)
    position = np.clip(np.searchsorted(known, stored, sorter=order), 0, len(known) - 1)
    number = order[position]
    return np.where(known[number] == stored, number, UNLABELLED).astype(np.uint8)


def blocks_of(names: Sequence[str]) -> NDArray[np.int32]:
    """Return a number for each different name, in alphabetical order: the blocks of regions, tiles or parcels."""
    return np.unique(np.asarray(names, str), return_inverse=True)[1].astype(np.int32)


def divide(
    parts: Sequence[str], wanted: Sequence[str] = ("train", "validation", "test")
) -> dict[str, NDArray[np.intp]]:
    """Return the indices of each part of a division, given the part of every place; absent parts are left out."""
    named = np.asarray(parts, str)
    return {part: np.flatnonzero(named == part) for part in wanted if (named == part).any()}


def set_legend(names: Mapping[str, str], unscored: Sequence[str] = ()) -> Legend:
    """Return the legend of a set: names by code, in the order of the class numbers.

    Args:
        unscored: codes that no macro F1 counts, such as background.
    """
    legend = Legend.of(names, names=dict(names))
    classes = (entry.model_copy(update={"scored": entry.code not in unscored}) for entry in legend.classes)
    return Legend(classes=tuple(classes))
