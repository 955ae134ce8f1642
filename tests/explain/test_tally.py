"""Falls of probability are averaged over pixels, and intervals drawn over blocks."""

import numpy as np

from agrifm.explain.tally import LEAST, empty_tally, mean_of_unit, mean_over_blocks


def test_a_cell_has_the_mean_fall_of_its_unit():
    tally = empty_tally(2, 2, 3)
    unit = np.array([0, 0, 1, 0])
    whole, hidden = np.array([0.9, 0.8, 0.5, np.nan]), np.array([0.3, np.nan, 0.6, 0.1])
    tally.begin(unit, whole)
    tally.add(unit, (1, 2), whole, hidden)
    assert tally.pixels.tolist() == [2, 1]
    assert tally.known[:, 1, 2].tolist() == [1, 1]
    np.testing.assert_allclose(mean_of_unit(tally.fall[0], tally.known[0]).mean[1, 2], 0.6)
    np.testing.assert_allclose(tally.log_fall[:, 1, 2], [np.log(0.9 / 0.3), np.log(0.5 / 0.6)])
    assert np.isnan(mean_of_unit(tally.fall[0], tally.known[0]).mean[0, 0])


def test_a_probability_of_zero_has_a_finite_logarithm():
    tally = empty_tally(1, 1, 1)
    tally.add(np.array([0]), (0, 0), np.array([1.0]), np.array([0.0]))
    np.testing.assert_allclose(tally.log_fall[0, 0, 0], -np.log(LEAST))


def test_the_interval_is_that_of_a_bootstrap_of_blocks():
    rng = np.random.default_rng(0)
    count = rng.integers(1, 9, (7, 1, 1))
    total = rng.normal(1, 0.5, (7, 1, 1)) * count
    found = mean_over_blocks(total, count)
    draws = np.random.default_rng(5).integers(7, size=(20_000, 7))
    naive = [total[drawn].sum() / count[drawn].sum() for drawn in draws]
    np.testing.assert_allclose(found.mean[0, 0], total.sum() / count.sum())
    ends = [found.low[0, 0], found.high[0, 0]]
    np.testing.assert_allclose(ends, np.percentile(naive, [2.5, 97.5]), atol=0.05)


def test_a_single_block_has_no_interval():
    found = mean_over_blocks(np.ones((3, 1, 1)), np.array([0, 4, 0])[:, None, None])
    assert found.mean[0, 0] == 0.25
    assert np.isnan(found.low[0, 0])
