"""A series table is divided by whole blocks or by its stated folds, and what cannot be divided is refused."""

from dataclasses import replace

import numpy as np
import pytest
from tests.train.test_table_network import early_and_late

from agrifm.errors import LabelError
from agrifm.samples.table import SeriesTable
from agrifm.train.table_folds import divide_table


def in_blocks(places: int, per_block: int) -> SeriesTable:
    """Places of two classes, some to a block."""
    return replace(early_and_late(places, 0), block=np.arange(places, dtype=np.int32) // per_block)


def test_a_block_is_in_one_fold_and_every_fold_has_every_class() -> None:
    data = divide_table(in_blocks(120, 4), seed=0)
    for block in range(30):
        assert len(set(data.fold[data.table.block == block].tolist())) == 1
    for fold in range(3):
        assert set(data.table.label[data.fold == fold].tolist()) == {0, 1}
    assert data.blocks["train"] > data.blocks["test"] > data.blocks["validation"]
    assert (data.unseen.label[:, 0] != 255).sum() == (data.fold == 2).sum()


def test_of_stated_folds_the_last_is_the_test_and_the_one_before_the_validation() -> None:
    stated = (np.arange(40) // 2 % 5).astype(np.int8)
    stated[:2] = -1
    data = divide_table(replace(early_and_late(40, 0), fold=stated), seed=0)
    assert data.fold[stated == 4].tolist() == [2] * 8
    assert data.fold[stated == 3].tolist() == [1] * 8
    assert set(data.fold[(stated >= 0) & (stated < 3)].tolist()) == {0}
    assert data.fold[:2].tolist() == [-1, -1]


def test_fewer_blocks_than_folds_are_refused() -> None:
    with pytest.raises(LabelError) as error:
        divide_table(in_blocks(20, 10), seed=0)
    assert error.value.facts["blocks"] == 2


def test_fewer_than_three_stated_folds_are_refused() -> None:
    with pytest.raises(LabelError) as error:
        divide_table(replace(early_and_late(20, 0), fold=(np.arange(20) % 2).astype(np.int8)), seed=0)
    assert error.value.facts["folds"] == 2


def test_a_class_in_the_test_only_is_refused_with_its_name() -> None:
    table = early_and_late(40, 0)
    fold = (np.arange(40) // 2 % 3).astype(np.int8)
    label = np.where((table.label == 1) & (fold != 2), 0, table.label).astype(np.uint8)
    label[:2] = [0, 1]
    label[label == 1] = np.where(fold[label == 1] == 2, 1, 0)
    with pytest.raises(LabelError) as error:
        divide_table(replace(table, fold=fold, label=label), seed=0)
    assert error.value.facts["classes"] == ["late"]
