"""Probabilities by bits of leaves are those of LightGBM, also for rows that lie on a threshold or near 0."""

import numpy as np
import pytest

from agrifm.classic.boosting_leaves import boosted_probabilities, leaf_bits

lightgbm = pytest.importorskip("lightgbm", reason="needs agrifm[classic]")


def booster(classes: int, **changes: object):
    """A booster of noisy classes, and its rows; numbers are few, so that thresholds lie between and on them."""
    generator = np.random.default_rng(0)
    rows = generator.integers(-3, 4, (300, 6)).astype(np.float32) / 7
    label = (rows[:, 0] * 3 + rows[:, 1] + generator.normal(0, 0.3, 300) > 0).astype(int) + generator.integers(
        0, classes - 1, 300
    )
    settings = {"objective": "multiclass", "num_class": classes, "num_leaves": 15, "verbosity": -1, "num_threads": 1}
    return lightgbm.train({**settings, **changes}, lightgbm.Dataset(rows, label), 6), rows


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("leaves", [2, 15, 16])
def test_probabilities_are_those_of_lightgbm(classes: int, leaves: int) -> None:
    model, rows = booster(classes, num_leaves=leaves, min_data_in_leaf=2)
    trees = leaf_bits(model.model_to_string())
    assert trees is not None
    thresholds = np.concatenate([tree.threshold.ravel() for tree in trees])
    tiny = np.array([1e-35, -1e-35, 2e-35, -2e-35, 1e-36, -1e-36, 0.0], np.float32)
    thresholds = np.concatenate([thresholds, tiny])
    near = np.stack([thresholds, np.nextafter(thresholds, np.float32(9)), np.nextafter(thresholds, np.float32(-9))])
    every = np.concatenate([rows, np.repeat(near.reshape(-1, 1), 6, axis=1)]).astype(np.float32)
    expected = model.predict(every, num_threads=1)
    np.testing.assert_allclose(boosted_probabilities(trees, every, classes), expected, atol=1e-6)
    assert expected.std() > 0.01


def test_a_tree_of_one_leaf_has_its_value() -> None:
    model, rows = booster(3, min_data_in_leaf=200)
    trees = leaf_bits(model.model_to_string())
    assert trees is not None
    np.testing.assert_allclose(boosted_probabilities(trees, rows, 3), model.predict(rows), atol=1e-6)


def test_larger_trees_and_rules_for_missing_values_are_left_to_lightgbm() -> None:
    model, _ = booster(2, num_leaves=40, min_data_in_leaf=1)
    assert leaf_bits(model.model_to_string()) is None
    model, _ = booster(2, zero_as_missing=True)
    assert leaf_bits(model.model_to_string()) is None
