"""Forests that distinguish simulated from real series, by which features, and transfer from simulated to real ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from realism_metrics import parcels
from realism_metrics.parcels import TREES, Values, gap_filled, temporary
from realism_metrics.table import Row
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from agrifm.simulator.points import POINT_BANDS, PointSeries


@dataclass(frozen=True)
class Pair:
    """Real and simulated parcels in one set."""

    features: Values
    """(n, 36, 9) gap-filled values of the year."""
    missing: NDArray[np.bool_]
    """(n, 36) whether a dekad was missing and is filled."""
    simulated: NDArray[np.bool_]
    """(n,)"""
    label: NDArray[np.str_]
    fold: NDArray[np.int64]
    """(n,) fold of the parcel's cell; real and simulated cells have separate folds."""

    @classmethod
    def of(cls, real: PointSeries, simulated: PointSeries) -> "Pair":
        """Join both sets."""
        both = (real, simulated)
        return cls(
            np.concatenate([gap_filled(series) for series in both]),
            np.concatenate([~np.isfinite(parcels.year_of(series).values[..., 0]) for series in both]),
            np.repeat([False, True], [len(series.label) for series in both]),
            np.concatenate([series.label for series in both]),
            np.concatenate([series.fold for series in both]),
        )

    @property
    def monthly(self) -> Values:
        """(n, 12, 9) means of the filled dekads of each month."""
        return parcels.by_month(self.features)


def auc(features: NDArray[Any], simulated: NDArray[np.bool_], fold: NDArray[np.int64], trees: int = TREES) -> float:
    """Area under the curve for held-out cells: 0.5 = cannot be distinguished, 1 = always distinguished."""
    score = np.full(len(simulated), np.nan)
    for number in range(parcels.FOLDS):
        inside = fold == number
        if inside.any() and len(np.unique(simulated[~inside])) == 2:
            forest = RandomForestClassifier(trees, random_state=0, n_jobs=2).fit(features[~inside], simulated[~inside])
            score[inside] = forest.predict_proba(features[inside])[:, 1]
    known = np.isfinite(score)
    return float(roc_auc_score(simulated[known], score[known]))


def discrimination_rows(pair: Pair) -> list[Row]:
    """Line h: areas under the curve for each class, and for all classes by one band, one month or the gaps only."""

    def row(what: str, features: NDArray[Any], trees: int = TREES, label: str | None = None) -> Row:
        some = pair.label == label if label else slice(None)
        area = auc(_flat(features[some]), pair.simulated[some], pair.fold[some], trees)
        note = worst(pair, label) if label else ""
        return Row("h", f"real from simulated, area under curve: {what}", np.nan, area, note)

    values = pair.features
    return [
        row("all classes, all bands and months", values),
        row("all classes, monthly means", pair.monthly),
        *(row(label, values, label=label) for label in map(str, np.unique(pair.label))),
        *(row(f"{band} alone", values[..., number], 100) for number, band in enumerate(POINT_BANDS)),
        *(row(f"month {month + 1} alone", values[:, 3 * month : 3 * month + 3], 100) for month in range(12)),
        row("gaps alone (which dekads are missing)", pair.missing),
    ]


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(len(values), -1)


def worst(pair: Pair, label: str, count: int = 3) -> str:
    """The features that best distinguish simulated parcels of a class: band or NDVI and month, with both medians.

    Each monthly mean is evaluated alone; only the worst month of a band or of NDVI is listed.
    """
    rows, monthly = pair.label == label, pair.monthly
    values = np.concatenate([monthly, parcels.ndvi_of(monthly)[..., None]], axis=-1)[rows]
    simulated = pair.simulated[rows]
    features = []
    for number, name in enumerate((*POINT_BANDS, "NDVI")):
        areas = np.array([roc_auc_score(simulated, values[:, month, number]) for month in range(12)])
        month = int(np.abs(areas - 0.5).argmax())
        medians = [np.median(values[simulated == which, month, number]) for which in (False, True)]
        features.append((abs(areas[month] - 0.5), f"{name} month {month + 1} {medians[0]:.3f} -> {medians[1]:.3f}"))
    return "; ".join(text for _, text in sorted(features, reverse=True)[:count])


def transfer(real: PointSeries, simulated: PointSeries, seed: int = 0) -> Row:
    """Line i: overall accuracy, temporary crop yes or no, of a forest trained on simulated parcels only.

    The interval is a bootstrap with 1000 draws of the real cells.
    """
    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=2)
    forest.fit(_flat(gap_filled(simulated)), temporary(simulated.label))
    right = forest.predict(_flat(gap_filled(real))) == temporary(real.label)
    names, number = np.unique(real.cell, return_inverse=True)
    hits, sizes = np.bincount(number, right), np.bincount(number)
    draws = np.random.default_rng(seed).integers(len(names), size=(1000, len(names)))
    low, high = np.quantile(hits[draws].sum(axis=1) / sizes[draws].sum(axis=1), (0.025, 0.975))
    share = temporary(real.label).mean()
    note = f"95 % interval {low:.3f} to {high:.3f}; majority {max(share, 1 - share):.3f}"
    quantity = "overall accuracy, temporary crop yes or no, forest of simulated series"
    return Row("i", quantity, np.nan, float(right.mean()), note)


def interannual_rows(simulated: Sequence[PointSeries]) -> list[Row]:
    """Lines b and c for all pairs of simulated years, and line h for one pair, without tolerances.

    The real data are one sample of 467 parcels in one year. The difference of two simulated years shows the effect of
    sampling and weather on these lines.
    """
    table = []
    pairs = list(permutations(simulated, 2))
    for line, compare in (("b", parcels.level_and_timing), ("c", parcels.equal_spread)):
        of_pairs = [compare(*pair) for pair in pairs]
        for quantity in of_pairs[0]:
            shares = [metrics[quantity] for metrics in of_pairs]
            note = f"{min(shares):.2f} to {max(shares):.2f}"
            table.append(Row(line, f"year beside year: {quantity}", np.nan, float(np.mean(shares)), note))
    pair = Pair.of(*simulated[:2])
    area = auc(_flat(pair.features), pair.simulated, pair.fold)
    return [*table, Row("h", "a simulated year from another, area under curve: all bands and months", np.nan, area)]
