"""Folds of a series table, and the labels drawn from the training places: everything by blocks and by seed.

Shape letters: P places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED
from agrifm.samples.table import SeriesTable

CANDIDATES = 200
"""Random divisions compared; the one that divides the classes most evenly is used."""
INNER_FOLDS = 4
"""Into which the training blocks are divided; one of them is for validation."""
NOT_USED = -1
"""Fold of places that are neither trained on nor tested."""

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Budget:
    """Labels for training: a number of each class, or a share of those of each class."""

    per_class: int | None = None
    share: float = 1.0
    """Above 0, at most 1 = all; not used with `per_class`."""

    @property
    def is_all(self) -> bool:
        """Whether it is all labels."""
        return self.per_class is None and self.share >= 1

    def __str__(self) -> str:
        return f"{100 * self.share:g} %" if self.per_class is None else f"{self.per_class} per class"


@dataclass(frozen=True)
class OuterFold:
    """Places to test on, and those to train on and to choose with."""

    number: int
    training: Indices
    test: Indices


def outer_folds(table: SeriesTable, folds: int, seed: int) -> tuple[OuterFold, ...]:
    """Return the folds that the table states, else folds of whole blocks; each fold is tested once.

    Places without a label are not used.

    Args:
        folds: number of folds, if the table states none.

    Raises:
        LabelError: fewer blocks than folds, or a block in two stated folds.
    """
    labelled = table.label != UNLABELLED
    if table.fold is None:
        return _each(fold_by_block(table, np.flatnonzero(labelled), folds, seed))
    fold = np.where(labelled, table.fold, NOT_USED).astype(np.int8)
    _require_whole_places(table, fold)
    if len(np.unique(fold[fold != NOT_USED])) < 2:
        raise LabelError(
            "dividing a series table: its column of folds has fewer than two folds with labels; correct it, or leave "
            "the column out, so that blocks are divided",
            folds=len(np.unique(fold[fold != NOT_USED])),
        )
    return _each(fold)


def _each(fold: NDArray[np.int8]) -> tuple[OuterFold, ...]:
    """Every fold of (P,) against all others."""
    used = fold != NOT_USED
    return tuple(
        OuterFold(number, np.flatnonzero(used & (fold != number)), np.flatnonzero(fold == number))
        for number in np.unique(fold[used]).tolist()
    )


def fold_by_block(table: SeriesTable, places: Indices, folds: int, seed: int) -> NDArray[np.int8]:
    """Divide whole blocks among folds so that each has about an equal share of every class.

    Args:
        places: which places to divide; the others are not used.

    Returns:
        (P,), 0.. and -1 = not used. Of `CANDIDATES` random divisions it is the one with the most even classes.

    Raises:
        LabelError: fewer blocks than folds.
    """
    result = np.full(len(table), NOT_USED, np.int8)
    result[places] = divide_blocks(table.block[places], table.label[places], len(table.legend), folds, seed)
    return result


def divide_blocks(
    block: NDArray[np.integer], label: NDArray[np.uint8], classes: int, folds: int, seed: int
) -> NDArray[np.int8]:
    """Return the fold of each labelled place (P,); see `fold_by_block`.

    Args:
        block: (P,), number of each place's block.
        label: (P,), class numbers.
    """
    blocks, index = np.unique(block, return_inverse=True)
    if len(blocks) < folds:
        raise LabelError(
            f"dividing labels by blocks: they are in {len(blocks)} blocks, which cannot be divided into {folds} "
            "folds; use smaller blocks (`block`) or, in a comparison, fewer folds (`folds`)",
            blocks=len(blocks),
            folds=folds,
        )
    counts = np.zeros((len(blocks), classes))
    np.add.at(counts, (index, label), 1)
    totals = np.maximum(counts.sum(axis=0), 1)
    generator = np.random.default_rng(seed)
    best, best_cost = np.zeros(len(blocks), np.int8), np.inf
    for _ in range(CANDIDATES):
        candidate = (generator.permutation(len(blocks)) % folds).astype(np.int8)
        shares = np.stack([counts[candidate == fold].sum(axis=0) for fold in range(folds)]) / totals
        # A class that is absent from a fold costs more than any uneven division.
        cost = np.abs(shares - 1 / folds).sum() + 10 * (shares == 0).sum()
        if cost < best_cost:
            best, best_cost = candidate, cost
    return np.asarray(best[index])


def draw_labels(table: SeriesTable, places: Indices, budget: Budget, seed: Sequence[int]) -> Indices:
    """Draw the places that a budget of labels pays for, ascending; smaller budgets of a seed are within larger ones.

    Args:
        places: the training places.
        budget: of a share at least one label of each class is drawn; a class with fewer labels than `per_class` gives
            all that it has.
        seed: numbers that decide the draw.
    """
    if budget.is_all:
        return places
    generator = np.random.default_rng(list(seed))
    order = generator.permutation(places)
    chosen = []
    for number in np.unique(table.label[places]):
        of_class = order[table.label[order] == number]
        count = budget.per_class or max(1, round(budget.share * len(of_class)))
        chosen.append(of_class[:count])
    return np.sort(np.concatenate(chosen)) if chosen else places


def inner_split(table: SeriesTable, places: Indices, seed: int) -> tuple[Indices, Indices]:
    """Divide training places into those to train on and those to choose on, by whole blocks.

    Returns:
        Indices of training and validation. With fewer than `INNER_FOLDS` blocks validation is empty, and so it is where
        training would lose a class with it: then there are too few labels to choose with.
    """
    blocks = len(np.unique(table.block[places]))
    if blocks < INNER_FOLDS:
        return places, places[:0]
    fold = fold_by_block(table, places, INNER_FOLDS, seed)[places]
    classes = len(np.unique(table.label[places]))
    # The fold without which most classes remain, and of those the first.
    remaining = [len(np.unique(table.label[places[fold != number]])) for number in range(INNER_FOLDS)]
    chosen = int(np.argmax(remaining))
    if remaining[chosen] < classes and len(places) < 2 * INNER_FOLDS * classes:
        return places, places[:0]
    return places[fold != chosen], places[fold == chosen]


def lacking_classes(table: SeriesTable, folds: Sequence[OuterFold]) -> list[str]:
    """Describe in sentences which classes a fold, or the training of a fold, lacks.

    Raises:
        LabelError: the training of a fold has fewer than two classes.
    """
    present = {number for fold in folds for part in (fold.training, fold.test) for number in table.label[part].tolist()}
    notes = []
    for fold in folds:
        number = fold.number
        test, training = ({*table.label[part].tolist()} for part in (fold.test, fold.training))
        if len(training) < 2:
            raise LabelError(
                f"dividing a series table: the training of fold {number} has {len(training)} class; use smaller blocks "
                "(`block`), fewer folds, or label more",
                fold=number,
                classes=len(training),
            )
        names = [
            ", ".join(table.legend.classes[one].name for one in sorted(present - part)) for part in (test, training)
        ]
        if names[0]:
            notes.append(f"fold {number} has no label of {names[0]} to test")
        if names[1]:
            notes.append(f"{names[1]}: labels in the test of fold {number} alone, so no model tested there can know it")
    return notes


def _require_whole_places(table: SeriesTable, fold: NDArray[np.int8]) -> None:
    """Refuse stated folds that divide a parcel: the places of one name, or of one position."""
    if not table.place:
        return
    first: dict[str, int] = {}
    for name, number in zip(table.place, fold.tolist(), strict=True):
        if number != NOT_USED and first.setdefault(name, number) != number:
            raise LabelError(
                f"dividing a series table: the place {name!r} is in the folds {first[name]} and {number}, so a model "
                "would be tested on what it was trained on; put all series of a place in one fold",
                place=name,
                folds=(first[name], number),
            )
