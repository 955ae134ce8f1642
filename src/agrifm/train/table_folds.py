"""A series table divided into training, validation and test, as a cube's labels are.

Shape letters: P places.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import geopandas
import numpy as np
from numpy.typing import NDArray

from agrifm.codes import alike_notes
from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED
from agrifm.record import SensorRecord
from agrifm.samples.folds import NOT_USED, fold_by_block
from agrifm.samples.split import FOLDS, HeldOutBlocks
from agrifm.samples.table import SeriesTable
from agrifm.scores import scored_classes

MIN_DEVIATION = 1e-4
"""Least standard deviation of a band, so that a constant one does not divide by 0."""
PARTS, LEAST_PARTS = 7, 3
"""Parts into which blocks are divided, of about equal classes: two are for the test and one is for the validation; of
fewer blocks only three parts are made, one of each."""

Probabilities = Callable[[SeriesTable], NDArray[np.float32]]
"""From a table to class probabilities (P, classes)."""


@dataclass(frozen=True)
class TableData:
    """A table and the fold of each place."""

    table: SeriesTable
    fold: NDArray[np.int8]
    """(P,), 0 train, 1 validation, 2 test, -1 not used."""
    unseen: HeldOutBlocks
    """The test places, (P, 1)."""
    blocks: dict[str, int]
    """Number of blocks with labels in each fold."""

    def part(self, fold: str) -> SeriesTable:
        """Return the places of a fold."""
        return self.table.of(np.flatnonzero(self.fold == FOLDS.index(fold)))


def divide_table(table: SeriesTable, seed: int) -> TableData:
    """Divide a table into training, validation and test: by its stated folds, else by whole blocks.

    Of stated folds the last is the test, the one before it the validation, and all others are for training.

    Raises:
        LabelError: there are fewer than three blocks or folds, training has fewer than two classes, or a class of the
            test is in no training place.
    """
    labelled = table.label != UNLABELLED
    if table.fold is None:
        blocks = len(np.unique(table.block[labelled]))
        parts = PARTS if blocks >= PARTS else LEAST_PARTS
        part = fold_by_block(table, np.flatnonzero(labelled), parts, seed)
        # parts 0 and 1 of seven, or part 0 of three, are the test; the next one is the validation
        test = 2 if parts == PARTS else 1
        fold = np.where(part == NOT_USED, NOT_USED, np.where(part < test, 2, np.where(part == test, 1, 0)))
    else:
        fold = stated_folds(table)
    fold = fold.astype(np.int8)
    _require_known_classes(table, fold)
    return table_data(table, fold)


def table_data(table: SeriesTable, fold: NDArray[np.int8]) -> TableData:
    """Return a table with these folds (P,): 0 train, 1 validation, 2 test, -1 not used."""
    test_label = np.where(fold == FOLDS.index("test"), table.label, np.uint8(UNLABELLED))
    counts = np.bincount(test_label[test_label != UNLABELLED], minlength=len(table.legend))
    unseen = HeldOutBlocks(
        test_label[:, None],
        table.block[:, None],
        np.arange(len(table), dtype=np.int32)[:, None],
        scored_classes(table.legend, counts.tolist()),
    )
    number = {name: len(np.unique(table.block[fold == index])) for index, name in enumerate(FOLDS)}
    return TableData(table, fold, unseen, number)


def stated_folds(table: SeriesTable) -> NDArray[np.int8]:
    """Return folds (P,) 0 train, 1 validation, 2 test, -1 not used, of a table that states folds 0 to k - 1.

    The last fold is the test, the one before it the validation, and all others are for training.

    Raises:
        LabelError: its labels are in fewer than three folds.
    """
    assert table.fold is not None
    stated = np.where(table.label != UNLABELLED, table.fold, NOT_USED)
    different = np.unique(stated[stated != NOT_USED])
    if len(different) < LEAST_PARTS:
        raise LabelError(
            f"dividing a series table: its labels are in {len(different)} folds ({', '.join(map(str, different))}); "
            "training needs three at least, of which the last is the test and the one before the validation",
            folds=len(different),
        )
    fold = np.where(stated == different[-1], 2, np.where(stated == different[-2], 1, 0))
    return np.where(stated == NOT_USED, NOT_USED, fold).astype(np.int8)


def _require_known_classes(table: SeriesTable, fold: NDArray[np.int8]) -> None:
    present = [set(np.unique(table.label[fold == index]).tolist()) for index in range(len(FOLDS))]
    unknown = sorted(present[2] - present[0])
    if unknown:
        names = ", ".join(table.legend.codes[number] for number in unknown)
        places = int(np.isin(table.label[fold == FOLDS.index("test")], unknown).sum())
        counts = np.bincount(table.label[table.label != UNLABELLED], minlength=len(table.legend)).tolist()
        alike = alike_notes(Counter(dict(zip(table.legend.codes, counts, strict=True))))
        raise LabelError(
            f"dividing a series table: {names} ({places} places) occurs in the test and in no training place, so no "
            "model can know it; leave these labels out with `unlabelled`, use smaller blocks (`block`), or correct the "
            f"folds{''.join(f'; {note}' for note in alike)}",
            classes=[table.legend.codes[number] for number in unknown],
            places=places,
        )
    if len(present[0]) < 2:
        raise LabelError(
            f"dividing a series table: its training places have {len(present[0])} class; label more, or correct the "
            "folds",
            classes=sorted(table.legend.codes[number] for number in present[0]),
        )


def observed_places(table: SeriesTable) -> NDArray[np.bool_]:
    """Return which places (P,) have at least one valid observation."""
    observed = np.zeros(len(table), bool)
    for series in table.series.values():
        observed |= series.valid.any(axis=1)
    return observed


def labelled_places(table: SeriesTable) -> SeriesTable:
    """Return the places with a label and at least one valid observation."""
    return table.of(np.flatnonzero((table.label != UNLABELLED) & observed_places(table)))


def table_statistics(table: SeriesTable) -> tuple[SensorRecord, ...]:
    """Return the sensors of a table, with mean and standard deviation per band over its valid observations.

    Raises:
        LabelError: a sensor has no valid observation.
    """
    measured = []
    for name, series in table.series.items():
        usable = series.values[series.valid].astype(np.float64)
        if not len(usable):
            raise LabelError(
                f"preparing training: '{name}' has no valid observation at the training places; widen the season, or "
                "leave that sensor out",
                sensor=name,
            )
        mean, std = usable.mean(axis=0), np.maximum(usable.std(axis=0), MIN_DEVIATION)
        measured.append(SensorRecord(**series.input.model_dump(), mean=tuple(mean.tolist()), std=tuple(std.tolist())))
    return tuple(measured)


def predict_unseen(probabilities: Probabilities, data: TableData) -> NDArray[np.uint8]:
    """Return the predicted class numbers of the test places (P, 1); 255 elsewhere and without any observation."""
    result = np.full((len(data.table), 1), UNLABELLED, np.uint8)
    chosen = np.flatnonzero((data.fold == FOLDS.index("test")) & observed_places(data.table))
    if len(chosen):
        result[chosen, 0] = probabilities(data.table.of(chosen)).argmax(axis=1)
    return result


def training_places(data: TableData) -> geopandas.GeoDataFrame:
    """Return the training and validation places with `code` and `fold`, in longitude and latitude.

    Those without coordinates have no shape.
    """
    table = data.table
    used = np.flatnonzero((data.fold == 0) | (data.fold == 1))
    points = geopandas.points_from_xy(table.lon[used], table.lat[used])
    known = np.isfinite(table.lon[used]) & np.isfinite(table.lat[used])
    content = {
        "code": [table.legend.codes[number] for number in table.label[used]],
        "fold": [FOLDS[number] for number in data.fold[used]],
        "geometry": [point if is_known else None for point, is_known in zip(points, known, strict=True)],
    }
    return geopandas.GeoDataFrame(content, geometry="geometry", crs="EPSG:4326")
