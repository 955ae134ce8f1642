"""Places to label next: uncertain, unlike each other, unlike what is labelled; a bounded sample stands for all."""

import numpy as np
import pytest

from agrifm.inference.active_learning import CandidatePool, Candidates, choose_places, margin_uncertainty


def candidates_of(uncertainty, rows, predicted=None):
    uncertainty = np.asarray(uncertainty, float)
    facts = np.arange(len(rows))[:, None]
    predicted = np.zeros(len(rows), int) if predicted is None else predicted
    return Candidates(uncertainty, uncertainty, facts, predicted, np.asarray(rows, np.float32))


def test_uncertainty_is_one_minus_the_margin():
    probabilities = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.6, 0.1, 0.3]])
    np.testing.assert_allclose(margin_uncertainty(probabilities), [0, 1, 0.7])


def test_one_place_of_each_group_is_chosen_and_the_largest_group_comes_first():
    """Three groups far apart in features, of 5, 20 and 10 places; the fourth is labelled."""
    generator = np.random.default_rng(0)
    group = np.repeat([0, 1, 2, 3], [5, 20, 10, 30])
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], np.float32)
    rows = centres[group] + 0.1 * generator.standard_normal((65, 2)).astype(np.float32)
    chosen, gain = choose_places(candidates_of(np.full(65, 0.5), rows), centres[3:], np.array([0]), 3)
    assert group[chosen].tolist() == [1, 2, 0]
    np.testing.assert_allclose(gain, [10, 5, 2.5])


def test_certain_places_are_not_chosen_while_others_are_left():
    rows = np.arange(10, dtype=np.float32)[:, None]
    uncertainty = np.where(np.arange(10) < 4, 0.0, 0.8)
    chosen, _ = choose_places(candidates_of(uncertainty, rows), np.zeros((1, 1), np.float32), np.array([0]), 5)
    assert (chosen >= 4).all()
    everything, _ = choose_places(candidates_of(uncertainty, rows), np.zeros((0, 1), np.float32), np.zeros(0, int), 99)
    assert sorted(everything) == list(range(10))


def test_of_places_alike_those_of_scarce_classes_come_first():
    """Three classes with 0, 3 and 8 labels; the places are equally uncertain and equally far from labelled ones."""
    rows = np.eye(12, dtype=np.float32)
    known, classes = np.zeros((11, 12), np.float32), np.repeat([1, 2], [3, 8])
    predicted = np.arange(12) % 3
    chosen, _ = choose_places(candidates_of(np.full(12, 0.5), rows, predicted), known, classes, 4)
    assert (predicted[chosen] == 0).sum() == 3
    assert (predicted[chosen] == 1).sum() == 1


def test_places_are_apart():
    rows = np.random.default_rng(1).standard_normal((400, 3)).astype(np.float32)
    position = np.stack(np.divmod(np.arange(400), 20), axis=1)
    chosen, _ = choose_places(candidates_of(np.ones(400), rows), rows[:0], np.zeros(0, int), 9, position, 6)
    away = np.abs(position[chosen][:, None] - position[chosen]).max(axis=2)
    assert away[~np.eye(len(chosen), dtype=bool)].min() >= 6


def pooled(weight, size, seed, batches=5):
    """A pool to which weights were offered in batches."""
    pool, numbers = CandidatePool(size), np.arange(len(weight))
    for part in np.array_split(numbers, batches):
        kept, priority = pool.admitted(weight[part], np.random.default_rng([seed, int(part[0])]))
        at = part[kept]
        pool.add(Candidates(weight[at], weight[at], at[:, None], at, np.zeros((len(at), 1), np.float32)), priority)
    return pool.candidates()


def test_a_pool_that_holds_everything_keeps_the_weights():
    weight = np.random.default_rng(2).random(200)
    found = pooled(weight, 200, 0)
    np.testing.assert_array_equal(found.weight, weight)
    np.testing.assert_array_equal(found.facts[:, 0], np.arange(200))


def test_a_small_pool_stands_for_all_places():
    """Sums over a subset are unbiased: the mean of 400 draws is within 4 standard errors of the truth."""
    weight = np.random.default_rng(3).random(300) ** 3
    sums = []
    for seed in range(400):
        found = pooled(weight, 40, seed)
        assert len(found.weight) == 40
        sums.append(found.weight[found.facts[:, 0] < 100].sum())
    truth = weight[:100].sum()
    assert np.mean(sums) == pytest.approx(truth, abs=4 * np.std(sums) / 20)
    assert np.std(sums) < 0.3 * truth
