"""The protocol of a comparison: folds that share nothing, nested draws of labels, and the cells that follow from them.

A cell is one model trained on one draw of labels of one fold and tested on that fold.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED
from agrifm.samples.folds import Budget, Indices, OuterFold, draw_labels, inner_split, lacking_classes, outer_folds
from agrifm.samples.leaks import KINDS, find_leaks, place_name, require_no_leaks, series_digests
from agrifm.samples.table import SeriesTable
from agrifm.validation import Frozen


class ProtocolConfig(Frozen):
    """What is common to all sets and models of a comparison."""

    budgets: tuple[int | str, ...] = Field(("100 %",), min_length=1)
    """Labels for training: a number per class, such as 5, or a share of each class as text, such as "25 %"."""
    seeds: int = Field(1, ge=1, le=100)
    """Times that every model is trained with all labels, each time with another seed."""
    draws: int = Field(4, ge=1, le=1000)
    """Draws of labels in each fold for a budget below 100 %."""
    folds: int = Field(5, ge=2, le=100)
    """Folds of whole blocks, for sets without folds."""
    distance: float = Field(0.0, ge=0)
    """Least distance between training and test places, metres."""
    leaks: Literal["refuse", "remove"] = "refuse"
    """What to do with training places that share a name, a series, a block or a pixel with the test, or are nearer than
    `distance`: stop, or train without them; they are listed."""

    @field_validator("budgets")
    @classmethod
    def _are_numbers_or_percentages(cls, budgets: tuple[int | str, ...]) -> tuple[int | str, ...]:
        for budget in budgets:
            read_budget(budget)
        return budgets

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if len({read_budget(budget) for budget in self.budgets}) < len(self.budgets):
            raise ValueError("`budgets` has a budget twice; remove one")
        return self


def read_budget(written: int | str) -> Budget:
    """Return a budget: 5 and "5" are labels per class, "5 %" is a share of 0.05.

    Raises:
        ValueError: it is something else.
    """
    text = str(written).strip()
    try:
        if text.endswith("%") and 0 < float(text.removesuffix("%")) <= 100:
            return Budget(share=float(text.removesuffix("%")) / 100)
        if not isinstance(written, bool) and int(text) > 0:
            return Budget(int(text))
    except ValueError:
        pass
    raise ValueError(f'a budget is a number of labels per class, such as 5, or a share, as "5 %"; found {written!r}')


@dataclass(frozen=True)
class LabelledSet:
    """A set of a comparison."""

    name: str
    table: SeriesTable
    division: tuple[Indices, Indices] | None = None
    """The set's official training and test places; None = the folds that its table states, or folds of blocks."""


@dataclass(frozen=True)
class Division:
    """The folds of a set, and what was found out about them."""

    folds: tuple[OuterFold, ...]
    """Without the training places that were removed."""
    kind: str
    """Where the folds come from, in words."""
    leaks: dict[int, dict[str, int]]
    """Training places that shared something with the test, by fold and kind; all zero after a check that found none."""
    removed: dict[int, tuple[str, ...]]
    """Names of the training places that were removed, by fold."""
    unplaced: int
    """Places without coordinates, whose distances could not be checked."""
    notes: tuple[str, ...]

    @property
    def test(self) -> Indices:
        """All places that are tested, ascending."""
        return np.unique(np.concatenate([fold.test for fold in self.folds]))


def divide_set(labelled: LabelledSet, config: ProtocolConfig) -> Division:
    """Divide a set into folds whose training shares nothing with their test.

    Raises:
        LabelError: fewer blocks than folds, a fold whose training lacks a second class, or leaks that are not to be
            removed.
    """
    table = labelled.table
    if labelled.division is not None:
        training, test = (part[table.label[part] != UNLABELLED] for part in labelled.division)
        folds: tuple[OuterFold, ...] = (OuterFold(0, training, test),)
        kind = "the set's official training and test"
    else:
        folds = outer_folds(table, config.folds, 0)
        kind = f"{len(folds)} folds of whole blocks" if table.fold is None else f"the {len(folds)} folds of the set"
    # Stated folds may divide blocks; what they must not divide is a place.
    checked = table if labelled.division is None and table.fold is None else replace(table, block=_each_alone(table))
    kept, counts, removed, unplaced, digests = [], {}, {}, 0, series_digests(table)
    for fold in folds:
        leaks = find_leaks(checked, fold.training, fold.test, config.distance, digests)
        if config.leaks == "refuse":
            require_no_leaks(table, leaks, fold.number, config.distance)
        counts[fold.number], unplaced = leaks.counts, max(unplaced, leaks.unplaced)
        removed[fold.number] = tuple(place_name(table, index) for index in leaks.places)
        kept.append(replace(fold, training=np.setdiff1d(fold.training, leaks.places)))
    return Division(
        tuple(kept),
        kind,
        counts,
        {number: names for number, names in removed.items() if names},
        unplaced,
        (*lacking_classes(table, kept), *_leak_notes(counts, config, unplaced)),
    )


@dataclass(frozen=True)
class Draw:
    """Labels for training: those of one budget, drawn once in one fold."""

    budget: Budget
    draw: int
    """Number of the draw; with all labels the number of the seed."""
    fold: int
    seed: int
    training: Indices
    validation: Indices
    """For every choice; of blocks without training, and empty where there are too few labels."""
    test: Indices


def draws(table: SeriesTable, division: Division, config: ProtocolConfig) -> Iterator[Draw]:
    """Yield the draws of a set: the same for every model, and smaller budgets within larger ones."""
    for budget in (read_budget(written) for written in config.budgets):
        for draw in range(config.seeds if budget.is_all else config.draws):
            for fold in division.folds:
                drawn = draw_labels(table, fold.training, budget, (draw, fold.number))
                training, validation = inner_split(table, drawn, draw)
                seed = int(np.random.SeedSequence([draw, fold.number]).generate_state(1)[0]) % 2**31
                yield Draw(budget, draw, fold.number, seed, training, validation, fold.test)


def require_two_classes(table: SeriesTable, division: Division, name: str) -> None:
    """Refuse a set whose test has fewer than two classes.

    Raises:
        LabelError: it has.
    """
    classes = len(np.unique(table.label[division.test]))
    if classes < 2:
        raise LabelError(
            f"comparing models on {name}: its test has {classes} class; label more classes", set=name, classes=classes
        )


def _each_alone(table: SeriesTable) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.arange(len(table), dtype=np.int32)


def _leak_notes(counts: dict[int, dict[str, int]], config: ProtocolConfig, unplaced: int) -> list[str]:
    totals = {kind: sum(of_fold[kind] for of_fold in counts.values()) for kind in KINDS}
    found = ", ".join(f"{total} have {KINDS[kind]}" for kind, total in totals.items() if total)
    notes = [f"training places removed, over all folds, to keep them apart from the test: {found}"] if found else []
    if unplaced:
        notes.append(
            f"{unplaced} places have no coordinates, so neither pixels nor the distance of {config.distance:g} m could "
            "be checked for them"
        )
    return notes
