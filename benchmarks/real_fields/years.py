"""How far simulated years of other weather lie from each other.

The real set is one sample of 467 parcels in one year. What two simulated years differ by is what sampling and weather
alone do to lines b, c and h.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
from real_fields.apart import Pair, auc
from real_fields.level import equal_spread, level_and_timing
from real_fields.table import Row

from agrifm.simulator.points import PointSeries


def years(simulated: Sequence[PointSeries]) -> list[Row]:
    """Rows without tolerances: lines b and c of every year beside every other; line h of one beside another."""
    found = []
    pairs = list(permutations(simulated, 2))
    for line, compare in (("b", level_and_timing), ("c", equal_spread)):
        of_pairs = [compare(*pair) for pair in pairs]
        for quantity in of_pairs[0]:
            shares = [one[quantity] for one in of_pairs]
            note = f"{min(shares):.2f} to {max(shares):.2f}"
            found.append(Row(line, f"year beside year: {quantity}", np.nan, float(np.mean(shares)), note))
    pair = Pair.of(*simulated[:2])
    area = auc(pair.features.reshape(len(pair.label), -1), pair.simulated, pair.fold)
    return [*found, Row("h", "a simulated year from another, area under curve: all bands and months", np.nan, area)]


def together(simulated: Sequence[PointSeries]) -> PointSeries:
    """The parcels of several years as one set; cells of different years are different places."""
    return replace(
        simulated[0],
        label=np.concatenate([series.label for series in simulated]),
        cell=np.concatenate([np.char.add(f"{year}: ", series.cell) for year, series in enumerate(simulated)]),
        fold=np.concatenate([series.fold for series in simulated]),
        values=np.concatenate([series.values for series in simulated]),
        present=np.concatenate([series.present for series in simulated]),
    )
