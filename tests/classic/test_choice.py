"""The rule by which several classic models become one: on held-out places, and where there are none."""

import numpy as np

from agrifm.classic.choice import CANDIDATES, better_half_weights
from agrifm.classic.classics import CHOICE, fit_classic


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
