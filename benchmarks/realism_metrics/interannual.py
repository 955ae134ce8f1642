"""Differences between simulated years with other weather.

The real data are one sample of 467 parcels in one year. The difference of two simulated years shows the effect of
sampling and weather on lines b, c and h.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
from realism_metrics.discrimination import Pair, auc
from realism_metrics.level_and_spread import equal_spread, level_and_timing
from realism_metrics.table import Row

from agrifm.simulator.points import PointSeries


def interannual_rows(simulated: Sequence[PointSeries]) -> list[Row]:
    """Rows without tolerances: lines b and c for all pairs of years, and line h for one pair."""
    table = []
    pairs = list(permutations(simulated, 2))
    for line, compare in (("b", level_and_timing), ("c", equal_spread)):
        of_pairs = [compare(*pair) for pair in pairs]
        for quantity in of_pairs[0]:
            shares = [metrics[quantity] for metrics in of_pairs]
            note = f"{min(shares):.2f} to {max(shares):.2f}"
            table.append(Row(line, f"year beside year: {quantity}", np.nan, float(np.mean(shares)), note))
    pair = Pair.of(*simulated[:2])
    area = auc(pair.features.reshape(len(pair.label), -1), pair.simulated, pair.fold)
    return [*table, Row("h", "a simulated year from another, area under curve: all bands and months", np.nan, area)]


def pooled(simulated: Sequence[PointSeries]) -> PointSeries:
    """The parcels of several years as one set; cells of different years are different."""
    return replace(
        simulated[0],
        label=np.concatenate([series.label for series in simulated]),
        cell=np.concatenate([np.char.add(f"{year}: ", series.cell) for year, series in enumerate(simulated)]),
        fold=np.concatenate([series.fold for series in simulated]),
        values=np.concatenate([series.values for series in simulated]),
        present=np.concatenate([series.present for series in simulated]),
    )
