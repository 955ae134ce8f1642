"""Folds of whole blocks, nested draws of labels, and what a fold lacks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.samples.tables import series_table

from agrifm.errors import LabelError
from agrifm.samples.folds import Budget, draw_labels, inner_split, lacking_classes, outer_folds

TABLE = series_table()
EVERY = np.arange(len(TABLE))


@given(folds=st.integers(2, 6), seed=st.integers(0, 50))
def test_a_block_is_in_one_fold_and_every_class_in_each(folds: int, seed: int) -> None:
    divided = outer_folds(TABLE, folds, seed)
    assert [fold.number for fold in divided] == list(range(folds))
    assert sorted(np.concatenate([fold.test for fold in divided]).tolist()) == EVERY.tolist()
    for fold in divided:
        assert sorted([*fold.training, *fold.test]) == EVERY.tolist()
        assert not set(TABLE.block[fold.training]) & set(TABLE.block[fold.test])
    assert not lacking_classes(TABLE, divided)


def test_the_folds_that_a_table_states_are_kept_and_places_without_label_are_not_used() -> None:
    stated = (TABLE.block % 3).astype(np.int8)
    label = TABLE.label.copy()
    label[:4] = 255
    divided = outer_folds(replace(TABLE, fold=stated, label=label, place=()), 5, 0)
    assert len(divided) == 3
    for fold in divided:
        assert fold.test.tolist() == [index for index in EVERY[4:] if stated[index] == fold.number]
        assert fold.training.tolist() == [index for index in EVERY[4:] if stated[index] != fold.number]


def test_a_parcel_in_two_stated_folds_is_refused() -> None:
    names = ("p",) * 2 + TABLE.place[2:]
    with pytest.raises(LabelError) as error:
        outer_folds(replace(TABLE, fold=(TABLE.block % 2).astype(np.int8), place=names), 5, 0)
    assert error.value.facts == {"place": "p", "folds": (0, 1)}


def test_fewer_blocks_than_folds_are_refused() -> None:
    with pytest.raises(LabelError) as error:
        outer_folds(replace(TABLE, block=TABLE.block // 4), 5, 0)
    assert error.value.facts == {"blocks": 3, "folds": 5}


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (Budget(1), Budget(5)),
        (Budget(5), Budget(10)),
        (Budget(share=0.05), Budget(share=0.25)),
        (Budget(share=0.25), Budget()),
    ],
)
def test_a_smaller_budget_is_within_a_larger_one(smaller: Budget, larger: Budget) -> None:
    for seed in range(3):
        few, many = (draw_labels(TABLE, EVERY, budget, (seed, 0)) for budget in (smaller, larger))
        assert set(few.tolist()) < set(many.tolist())
    assert draw_labels(TABLE, EVERY, smaller, (0, 0)).tolist() != draw_labels(TABLE, EVERY, smaller, (1, 0)).tolist()


def test_a_budget_counts_labels_of_each_class() -> None:
    assert np.bincount(TABLE.label[draw_labels(TABLE, EVERY, Budget(5), (0,))]).tolist() == [5, 5, 5]
    assert np.bincount(TABLE.label[draw_labels(TABLE, EVERY, Budget(share=0.25), (0,))]).tolist() == [12, 9, 9]
    of_two = EVERY[(TABLE.label != 2) | (EVERY < 30)]
    rare = draw_labels(TABLE, of_two, Budget(20), (0,))
    assert np.bincount(TABLE.label[rare]).tolist() == [20, 20, (TABLE.label[of_two] == 2).sum()]


def test_choices_are_made_on_blocks_without_training() -> None:
    training, validation = inner_split(TABLE, EVERY, 0)
    assert not set(TABLE.block[training]) & set(TABLE.block[validation])
    assert sorted([*training, *validation]) == EVERY.tolist()
    assert len(validation) == len(EVERY) // 4


def test_one_label_a_class_leaves_nothing_to_choose_with() -> None:
    training, validation = inner_split(TABLE, draw_labels(TABLE, EVERY, Budget(1), (0,)), 0)
    assert len(training) == 3
    assert len(validation) == 0


def test_a_class_of_one_fold_is_named() -> None:
    label = np.where((TABLE.label == 2) & (TABLE.block != 0), 0, TABLE.label).astype(np.uint8)
    table = replace(TABLE, label=label)
    divided = outer_folds(table, 3, 0)
    alone = next(fold.number for fold in divided if 0 in table.block[fold.test])
    notes = lacking_classes(table, divided)
    assert len(notes) == 3
    assert sum("grass" in note and f"fold {alone} alone" in note for note in notes) == 1


def test_training_of_a_single_class_is_refused() -> None:
    table = replace(TABLE, label=np.minimum(TABLE.label, 1))
    divided = outer_folds(replace(table, fold=(TABLE.label == 0).astype(np.int8)), 2, 0)
    with pytest.raises(LabelError) as error:
        lacking_classes(table, divided)
    assert error.value.facts == {"fold": 0, "classes": 1}
