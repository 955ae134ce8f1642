"""Values of given ranks along the first axis, by a sorting network: whole arrays are compared, not value by value.

Merge exchange (Batcher 1968; Knuth, The Art of Computer Programming, volume 3, section 5.2.2, algorithm M), without the
comparisons on which no wanted rank depends.
"""

from functools import lru_cache

import numpy as np

from agrifm.classic.numbers import Rows

LONGEST = 64
"""Above this length numpy's sort of each column takes less time."""
COLUMNS_AT_ONCE = 8192
"""So that the values stay in the cache of a core."""


def order_statistics(values: Rows, ranks: tuple[int, ...]) -> Rows:
    """Return the values of these ranks along the first axis, (ranks, ...): `np.sort(values, axis=0)[list(ranks)]`.

    Args:
        values: (F, ...), finite.
        ranks: from 0 = smallest.
    """
    if len(values) > LONGEST:
        return np.sort(values, axis=0)[list(ranks)]
    flat = values.reshape(len(values), -1)
    result = np.empty((len(ranks), flat.shape[1]), np.float32)
    for start in range(0, flat.shape[1], COLUMNS_AT_ONCE):
        some = slice(start, start + COLUMNS_AT_ONCE)
        lines = list(flat[:, some].copy())
        spare = np.empty_like(lines[0])
        for low, high in comparators(len(lines), ranks):
            np.minimum(lines[low], lines[high], out=spare)
            np.maximum(lines[low], lines[high], out=lines[high])
            lines[low], spare = spare, lines[low]
        for at, rank in enumerate(ranks):
            result[at, some] = lines[rank]
    return result.reshape(len(ranks), *values.shape[1:])


@lru_cache(maxsize=32)
def comparators(length: int, ranks: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return the pairs (lower, higher) whose values are put in order, in turn, until the wanted ranks are in place."""
    pairs = []
    width = 1
    while width < length:
        step = width
        while step:
            for first in range(step % width, length - step, 2 * step):
                for at in range(first, min(first + step, length - step)):
                    if at // (2 * width) == (at + step) // (2 * width):
                        pairs.append((at, at + step))
            step //= 2
        width *= 2
    needed, kept = set(ranks), []
    for pair in reversed(pairs):
        if needed & set(pair):
            needed |= set(pair)
            kept.append(pair)
    return tuple(reversed(kept))
