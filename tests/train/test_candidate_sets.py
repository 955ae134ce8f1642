"""Sets of candidate classes: worked thresholds, and coverage of unseen blocks that differ from each other."""

import numpy as np
import pytest
from scipy.special import softmax

from agrifm.certainty import CandidateSets
from agrifm.legend import Legend
from agrifm.train.candidate_sets import SetCoverage, fit_sets

LEGEND = Legend.of(["a", "b"])


@pytest.mark.parametrize(("pixels", "least"), [(1, 0.8), (100, 0.3)])
def test_a_block_must_be_contained_if_many_pixels_are_in_it(pixels: int, least: float) -> None:
    """Ten blocks: in nine the pixel has 0.8, in one all have 0.3. Without this one 90 or 8 % of the pixels are left."""
    block = np.r_[np.arange(9), np.full(pixels, 9)]
    own = np.r_[np.full(9, 0.8), np.full(pixels, 0.3)]
    found = fit_sets(np.stack([own, 1 - own], axis=1), np.zeros(len(block), np.uint8), block)
    assert found.least == (least, least)  # a class that no block has takes the threshold of the others
    assert found.blocks == (10, 0)


def test_a_class_of_one_block_is_between_that_block_and_the_others() -> None:
    """Class 1 has one block of four pixels; it counts as much as all ten blocks of class 0 together."""
    block = np.r_[np.repeat(np.arange(10), 10), np.full(4, 10)]
    label = np.repeat([0, 1], [100, 4]).astype(np.uint8)
    true = np.r_[np.tile(np.linspace(0.5, 0.95, 10), 10), [0.1, 0.2, 0.3, 0.4]]
    probabilities = np.where(label[:, None] == [0, 1], true[:, None], 1 - true[:, None])
    found = fit_sets(probabilities, label, block)
    assert found.blocks == (10, 1)
    # The block of class 1, left out, is never contained, so 94 of the 100 pixels of class 0 must be. With
    # nine of them and that of class 1 a share of .1 is below 0.5 and one of .09 at it: .185 is the highest level below
    # .19. Of class 0, .185 x 11 is above the 1 below 0.5 and the 1 at it; of class 1, .185 x 2 is above the .25 at 0.1.
    assert found.least == (0.55, 0.2)


def draw(blocks: int, generator: np.random.Generator, pixels: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of a model that is wrong in a way of its own in each block, labels, blocks."""
    block = np.repeat(np.arange(blocks), pixels)
    logits = generator.normal(0, 1.5, (len(block), 3))
    label = (softmax(logits, axis=1).cumsum(axis=1) < generator.random((len(block), 1))).sum(axis=1).clip(max=2)
    shift = generator.normal(0, 0.7, (blocks, 3))[block]
    return softmax(logits + shift, axis=1), label.astype(np.uint8), block


@pytest.mark.parametrize(("blocks", "pixels"), [(4, 60), (20, 60), (3, 6), (10, 6)])
def test_each_class_of_unseen_blocks_is_covered_as_stated(blocks: int, pixels: int) -> None:
    generator = np.random.default_rng(0)
    covered = np.zeros((300, 3))
    for number in range(len(covered)):
        least = fit_sets(*draw(blocks, generator, pixels)).least
        probabilities, label, _ = draw(40, generator)
        for code in range(3):
            covered[number, code] = (probabilities[label == code, code] >= (least[code] or 0)).mean()
    np.testing.assert_allclose(covered.mean(axis=0), 0.9, atol=0.02)


def test_coverage_and_sizes_of_sets_are_counted() -> None:
    counted = SetCoverage(CandidateSets(nominal=0.9, least=(0.6, 0.3), blocks=(5, 5)), 2)
    counted.add(np.array([[0.65, 0.35], [0.9, 0.1], [0.55, 0.45]]), np.uint8([0, 1, 0]), np.array([0, 1, 1]))
    counted.add(np.array([[0.2, 0.2]]), np.uint8([1]), np.array([0]))
    found = counted.describe(LEGEND)
    assert found["coverage"] == 0.25
    # the third one's only candidate is not its class of highest probability
    assert found["shares"] == {"certain": 0.25, "two": 0.25, "unknown": 0.5}
    assert (found["classes"]["a"]["coverage"], found["classes"]["b"]["coverage"]) == (pytest.approx(0.5), 0)
