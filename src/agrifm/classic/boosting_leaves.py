"""Leaves of small boosted trees by bits: all splits of a tree are compared at once, without walking from node to node.

A bit stands for each leaf, from left to right. A split whose value is above its threshold rules out the leaves of its
left side, and the leaf of a row is the first that no split rules out (QuickScorer, Lucchese et al. 2015, section 3).
The sums are those of LightGBM, number by number.

Shape letters: N rows, S splits of a tree, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.boosting_structure import tree_entries
from agrifm.classic.numbers import Rows

MOST_LEAVES = 16
"""Leaves of a tree, one for each bit of a word."""
ZERO = np.float32(1e-35)
"""Largest size of a number that LightGBM takes for 0."""
_PLAIN = ("0", "2")
"""Decisions without a rule for missing values, which rows do not have."""
_FIRST_BIT = np.zeros(1 << MOST_LEAVES, np.uint8)
_FIRST_BIT[1 << np.arange(MOST_LEAVES)] = np.arange(MOST_LEAVES)


@dataclass(frozen=True)
class LeafBits:
    """One tree."""

    feature: NDArray[np.intp]
    """(S,), column that each split compares."""
    threshold: Rows
    """(S, 1), largest float32 that goes to the left."""
    ruled_out: NDArray[np.uint16]
    """(S, 1), leaves of the left side of each split."""
    value: NDArray[np.float64]
    """Of the leaves from left to right."""

    def values(self, columns: Rows) -> NDArray[np.float64]:
        """Return the value of the leaf of each row, (N,), of `columns` (features, N)."""
        above = (columns[self.feature] > self.threshold).view(np.uint8)
        gone = np.bitwise_or.reduce(self.ruled_out * above, axis=0)
        result: NDArray[np.float64] = self.value[_FIRST_BIT[(gone + np.uint16(1)) & ~gone]]
        return result


def leaf_bits(text: str) -> tuple[LeafBits, ...] | None:
    """Return the trees of a sound booster's text; None if one is too large, or has rules for missing values."""
    trees = []
    for entries in tree_entries(text):
        leaves = int(entries["num_leaves"])
        decisions = entries.get("decision_type", "").split()
        if leaves > MOST_LEAVES or not set(decisions) <= set(_PLAIN):
            return None
        value = np.array(entries["leaf_value"].split(), np.float64)
        left, right = ([int(word) for word in entries.get(key, "").split()] for key in ("left_child", "right_child"))
        ruled_out, order = _left_sides(left, right)
        exact = np.array(entries.get("threshold", "").split(), np.float64)
        threshold = exact.astype(np.float32)
        lower = np.nextafter(threshold, np.float32(-np.inf))
        threshold = np.where(threshold.astype(np.float64) > exact, lower, threshold)
        # LightGBM takes values as small as this for 0
        threshold = np.where((threshold < 0) & (threshold >= -ZERO), np.nextafter(-ZERO, np.float32(-1)), threshold)
        threshold = np.where((threshold >= 0) & (threshold < ZERO), ZERO, threshold)
        feature = np.array(entries.get("split_feature", "").split(), np.intp)
        trees.append(LeafBits(feature, threshold[:, None], ruled_out[:, None], value[order]))
    return tuple(trees)


def _left_sides(left: list[int], right: list[int]) -> tuple[NDArray[np.uint16], list[int]]:
    """The leaves of the left side of each split as bits, and the numbers of the leaves from left to right."""
    ruled_out, order = np.zeros(len(left), np.uint16), []

    def bits(child: int) -> int:
        if child < 0:
            order.append(~child)
            return 1 << (len(order) - 1)
        side = bits(left[child])
        ruled_out[child] = side
        return side | bits(right[child])

    bits(0 if left else -1)
    return ruled_out, order


def boosted_probabilities(trees: tuple[LeafBits, ...], rows: Rows, classes: int) -> NDArray[np.float32]:
    """Return the softmax of the sums of the trees, (N, K); tree i is of class i modulo K."""
    columns = np.ascontiguousarray(rows.T)
    total = np.zeros((classes, len(rows)))
    for number, tree in enumerate(trees):
        total[number % classes] += tree.values(columns)
    total = np.exp(total - total.max(axis=0))
    return np.asarray((total / total.sum(axis=0)).T, np.float32)
