"""The rule by which several classic models become one: on held-out places, and where there are none."""

import numpy as np

from agrifm.classic.choice import CANDIDATES, better_half_weights
from agrifm.classic.classics import CHOICE, fit_classic
from agrifm.classic.singles import fit_single
from agrifm.classic.training_rows import TrainingRows


def test_the_better_half_is_averaged_and_all_where_nothing_can_be_chosen() -> None:
    label = np.array([0, 0, 1, 1], np.uint8)
    right = np.eye(2, dtype=np.float32)[label]
    names = ("wrong", "right", "half", "none")
    parts = {"wrong": 1 - right, "right": right, "half": right[[0, 2, 2, 3]], "none": 1 - right}
    assert better_half_weights(names, parts, label) == {"right": 0.5, "half": 0.5}
    assert better_half_weights(names, {}, label[:0]) == dict.fromkeys(names, 0.25)


def test_of_one_block_nothing_is_held_out_so_all_candidates_are_averaged() -> None:
    generator = np.random.default_rng(0)
    classes = (np.arange(40) % 2).astype(np.uint8)
    rows = (generator.normal(0, 0.3, (40, 12)) + classes[:, None]).astype(np.float32)
    model = fit_classic(CHOICE, rows, classes, groups=np.zeros(40, int))
    assert [member.name for member in model.members] == list(CANDIDATES)
    assert model.tried == ()


def test_models_that_were_chosen_before_are_averaged_without_trying_others() -> None:
    generator = np.random.default_rng(0)
    classes = (np.arange(60) % 3).astype(np.uint8)
    rows = (generator.normal(0, 1, (60, 12)) + classes[:, None]).astype(np.float32)
    groups = np.arange(60) // 6
    names = ("logistic", "extra-trees")
    model = fit_classic(CHOICE, rows, classes, groups=groups, members=names)
    assert (model.member_names, model.tried) == (names, ())
    training = TrainingRows(rows, classes, np.ones(60), groups)
    alone = [fit_single(name, training, 0).probabilities(rows) for name in names]
    np.testing.assert_allclose(model.probabilities(rows), np.mean(alone, axis=0), atol=1e-6)
