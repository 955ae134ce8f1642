"""Answers on all blocks: each by a model of others, and none where no model could be fitted."""

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.train.cross_fitting import cross_fitted

BLOCK = np.repeat(np.arange(8), 5)
LABEL = np.tile([0, 1, 1, 0, 1], 8).astype(np.uint8)
KNOWN = np.full((10, 2), 0.5, np.float32)


def test_every_place_is_answered_by_a_model_of_other_blocks():
    seen = []

    def answer(training, held_out):
        seen.append((training, held_out))
        return np.stack([BLOCK[held_out] / 8, 1 - BLOCK[held_out] / 8], axis=1)

    found = cross_fitted(BLOCK < 2, LABEL, BLOCK, KNOWN, answer)
    assert found[:10].tolist() == KNOWN.tolist()
    assert found[10:, 0] == pytest.approx(BLOCK[10:] / 8)
    assert len(seen) == 3
    for training, held_out in seen:
        assert not set(BLOCK[training]) & set(BLOCK[held_out])
        assert len(training) + len(held_out) == len(BLOCK)
    assert sorted(np.concatenate([held_out for _, held_out in seen])) == list(range(10, 40))


def test_parts_whose_others_do_not_suffice_are_unknown():
    def answer(training, held_out):
        if 7 in BLOCK[held_out]:
            raise LabelError("training: there are valid labels of 1 class only")
        return np.ones((len(held_out), 2))

    found = cross_fitted(BLOCK < 2, LABEL, BLOCK, KNOWN, answer)
    unknown = np.isnan(found).all(axis=1)
    assert unknown[BLOCK == 7].all()
    assert 5 <= unknown.sum() <= 15


def test_one_more_block_than_validation_is_not_answered():
    def answer(training, held_out):
        raise AssertionError("there are no two parts")

    found = cross_fitted(BLOCK[:15] < 2, LABEL[:15], BLOCK[:15], KNOWN, answer)
    assert np.isnan(found[10:]).all()
    assert found[:10].tolist() == KNOWN.tolist()
