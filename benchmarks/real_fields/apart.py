"""Can a forest tell simulated series from real ones, by what; and does one that saw simulated ones know real crops."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from real_fields.parcels import FOLDS, TREES, Values, by_month, gap_filled, temporary, year_of
from real_fields.table import Row
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from agrifm.simulator.points import POINT_BANDS, PointSeries


@dataclass(frozen=True)
class Pair:
    """Real and simulated parcels one below the other."""

    features: Values
    """(n, 36, 9) gap-filled values of the year."""
    missing: NDArray[np.bool_]
    """(n, 36) dekads that were filled."""
    simulated: NDArray[np.bool_]
    """(n,)"""
    label: NDArray[np.str_]
    fold: NDArray[np.int64]
    """(n,) fold of the parcel's cell, real or simulated; both sets have folds of their own cells."""

    @classmethod
    def of(cls, real: PointSeries, simulated: PointSeries) -> "Pair":
        """Both sets together."""
        both = (real, simulated)
        return cls(
            np.concatenate([gap_filled(series) for series in both]),
            np.concatenate([~np.isfinite(year_of(series).values[..., 0]) for series in both]),
            np.repeat([False, True], [len(series.label) for series in both]),
            np.concatenate([series.label for series in both]),
            np.concatenate([series.fold for series in both]),
        )

    @property
    def monthly(self) -> Values:
        """(n, 12, 9) means of the filled dekads of each month."""
        return by_month(self.features)


def auc(features: NDArray[Any], simulated: NDArray[np.bool_], fold: NDArray[np.int64], trees: int = TREES) -> float:
    """Area under the curve of held-out cells: 0.5 = cannot be told apart, 1 = always."""
    score = np.full(len(simulated), np.nan)
    for number in range(FOLDS):
        inside = fold == number
        if inside.any() and len(np.unique(simulated[~inside])) == 2:
            forest = RandomForestClassifier(trees, random_state=0, n_jobs=2).fit(features[~inside], simulated[~inside])
            score[inside] = forest.predict_proba(features[inside])[:, 1]
    known = np.isfinite(score)
    return float(roc_auc_score(simulated[known], score[known]))


def told_apart(pair: Pair) -> list[Row]:
    """Line h: areas under the curve per class, and of all classes by one band, one month or the gaps alone."""
    found = [_row("all classes, all bands and months", auc(_flat(pair.features), pair.simulated, pair.fold))]
    found.append(_row("all classes, monthly means", auc(_flat(pair.monthly), pair.simulated, pair.fold)))
    for label in np.unique(pair.label):
        own = pair.label == label
        area = auc(_flat(pair.features[own]), pair.simulated[own], pair.fold[own])
        found.append(_row(f"{label}", area, worst(pair, str(label))))
    for number, band in enumerate(POINT_BANDS):
        found.append(_row(f"{band} alone", auc(_flat(pair.features[..., number]), pair.simulated, pair.fold, 100)))
    for month in range(12):
        own_month = _flat(pair.features[:, 3 * month : 3 * month + 3])
        found.append(_row(f"month {month + 1} alone", auc(own_month, pair.simulated, pair.fold, 100)))
    found.append(_row("gaps alone (which dekads are missing)", auc(pair.missing, pair.simulated, pair.fold)))
    return found


def _flat(values: Values) -> Values:
    return values.reshape(len(values), -1)


def _row(what: str, area: float, note: str = "") -> Row:
    return Row("h", f"real from simulated, area under curve: {what}", np.nan, area, note)


def worst(pair: Pair, label: str, count: int = 3) -> str:
    """The single numbers that give simulated parcels of a class away: band or NDVI and month, with both medians.

    Each month's mean is judged by itself; of a band or NDVI only its worst month is named.
    """
    own, monthly = pair.label == label, pair.monthly
    red, near_infrared = monthly[..., POINT_BANDS.index("B04")], monthly[..., POINT_BANDS.index("B08")]
    values = np.concatenate([monthly, ((near_infrared - red) / (near_infrared + red))[..., None]], axis=-1)[own]
    simulated = pair.simulated[own]
    told = []
    for number, name in enumerate((*POINT_BANDS, "NDVI")):
        areas = np.array([roc_auc_score(simulated, values[:, month, number]) for month in range(12)])
        month = int(np.abs(areas - 0.5).argmax())
        medians = [np.median(values[simulated == which, month, number]) for which in (False, True)]
        told.append((abs(areas[month] - 0.5), f"{name} month {month + 1} {medians[0]:.3f} -> {medians[1]:.3f}"))
    return "; ".join(text for _, text in sorted(told, reverse=True)[:count])


def transfer(real: PointSeries, simulated: PointSeries, seed: int = 0) -> Row:
    """Line i: overall accuracy, temporary crop yes or no, of a forest trained on simulated parcels alone.

    The interval is of 1000 draws of the real cells with replacement.
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
