"""Sorting networks give what numpy's sort gives, and make no comparison on which no wanted rank depends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.classic.order_statistics import COLUMNS_AT_ONCE, LONGEST, comparators, order_statistics


@given(length=st.integers(1, LONGEST + 2), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_ranks_are_those_of_numpy_s_sort(length: int, seed: int, data: st.DataObject) -> None:
    ranks = tuple(data.draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=8)))
    generator = np.random.default_rng(seed)
    values = generator.choice(np.linspace(-1, 1, 2 * length), (length, 3, 5)).astype(np.float32)
    kept = values.copy()
    np.testing.assert_array_equal(order_statistics(values, ranks), np.sort(values, axis=0)[list(ranks)])
    np.testing.assert_array_equal(values, kept)


@pytest.mark.parametrize("length", range(1, 12))
def test_every_series_of_two_values_is_put_in_order(length: int) -> None:
    """A network that sorts all series of zeros and ones sorts all series (Knuth, section 5.3.4, theorem Z)."""
    series = np.array(np.meshgrid(*[[0, 1]] * length)).reshape(length, -1).astype(np.float32)
    found = order_statistics(series, tuple(range(length)))
    assert (np.diff(found, axis=0) >= 0).all()


def test_more_columns_than_are_computed_at_once_are_all_computed() -> None:
    values = np.random.default_rng(0).normal(size=(5, COLUMNS_AT_ONCE + 7)).astype(np.float32)
    np.testing.assert_array_equal(order_statistics(values, (0, 2)), np.sort(values, axis=0)[[0, 2]])


def test_the_least_value_alone_needs_one_comparison_for_each_further_value() -> None:
    assert len(comparators(24, (0,))) == 23
    # a full sort of 16 by merge exchange has 63 (Knuth, section 5.3.4, table of odd-even merging)
    assert len(comparators(16, tuple(range(16)))) == 63
