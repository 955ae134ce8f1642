"""What is measured on series of parcels, the same for real and simulated ones: lines a to d.

Everything is of the calendar year `YEAR`. A parcel's value of a month is the mean of its dekads that are not missing.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score

from agrifm.simulator.points import POINT_BANDS, PointSeries

YEAR = 2023
MONTHS = np.arange(f"{YEAR}-01", f"{YEAR + 1}-01", dtype="datetime64[M]")
PERMANENT = ("grassland", "permanent_crops")
"""Labels that are no temporary crops; temporary grassland stays with grassland."""
FEWEST = 12
"""Parcels with a value that a class needs in a month."""
TREES = 300
FOLDS = 5
SUMMER = slice(3, 8)
"""April to August."""

Values = NDArray[np.float32]


def year_of(series: PointSeries) -> PointSeries:
    """The dekads of `YEAR` alone; a series that lacks one of them is no match and is refused."""
    inside = series.dekads.astype("datetime64[Y]") == np.datetime64(str(YEAR))
    if np.count_nonzero(inside) != 36:
        raise ValueError(f"the series have {np.count_nonzero(inside)} dekads of {YEAR}, 36 are needed")
    return PointSeries(
        series.label,
        series.cell,
        series.fold,
        series.dekads[inside],
        series.values[:, inside],
        series.present[:, inside],
    )


def gap_filled(series: PointSeries) -> Values:
    """(n, 36, 9) values of the year, missing dekads on the line between those before and after, ends held.

    A parcel that was never seen gets the mean of the others.
    """
    year = year_of(series)
    filled, steps = year.values.copy(), np.arange(36)
    seen = np.isfinite(year.values[..., 0])
    for parcel in np.flatnonzero(seen.any(axis=1)):
        for band in range(len(POINT_BANDS)):
            filled[parcel, :, band] = np.interp(steps, steps[seen[parcel]], year.values[parcel, seen[parcel], band])
    filled[~seen.any(axis=1)] = np.nanmean(filled, axis=0)
    return filled


def by_month(values: Values) -> Values:
    """(n, 36, ...) of the year's dekads to (n, 12, ...) means of what is not missing, NaN where all is."""
    months = values.reshape(len(values), 12, 3, *values.shape[2:])
    count = np.isfinite(months).sum(axis=2)
    return np.asarray(np.where(count > 0, np.nansum(months, axis=2) / np.maximum(count, 1), np.nan), np.float32)


def temporary(label: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Whether a label is a temporary crop."""
    return ~np.isin(label, PERMANENT)


def held_out(
    features: Values, target: NDArray[np.generic], fold: NDArray[np.int64], seed: int, trees: int = TREES
) -> NDArray[np.generic]:
    """Each parcel's class as a forest without its fold predicts it."""
    predicted = target.copy()
    for number in range(FOLDS):
        forest = RandomForestClassifier(trees, random_state=seed, n_jobs=2)
        forest.fit(features[fold != number], target[fold != number])
        predicted[fold == number] = forest.predict(features[fold == number])
    return predicted


def separability(series: PointSeries, seeds: tuple[int, ...] = (0, 1, 2), trees: int = TREES) -> dict[str, float]:
    """Line a: forests of 300 trees without class weights on gap-filled series, five folds of cells, mean of the seeds.

    Macro F1 is of all held-out parcels together. Temporary crop yes or no has a forest of its own with two classes.
    """
    features = gap_filled(series).reshape(len(series.label), -1)
    f1, accuracy = [], []
    for seed in seeds:
        f1.append(f1_score(series.label, held_out(features, series.label, series.fold, seed, trees), average="macro"))
        crop = temporary(series.label)
        accuracy.append(np.mean(held_out(features, crop, series.fold, seed, trees) == crop))
    return {
        "macro F1 of ten labels": float(np.mean(f1)),
        "overall accuracy, temporary crop yes or no": float(np.mean(accuracy)),
    }


def spread(series: PointSeries) -> dict[str, float]:
    """Line c: share of the variance of parcel-month means of NDVI between the classes, and deviations within them."""
    ndvi = by_month(year_of(series).ndvi)
    shares = []
    for month in range(*SUMMER.indices(12)):
        seen = np.isfinite(ndvi[:, month])
        values, label = ndvi[seen, month], series.label[seen]
        means = {name: values[label == name].mean() for name in np.unique(label)}
        between = sum((label == name).sum() * (mean - values.mean()) ** 2 for name, mean in means.items())
        shares.append(float(between / ((values - values.mean()) ** 2).sum()))
    within = deviations(series).values()
    return {
        "deviation of NDVI between parcels of a class in a month, least": min(within),
        "deviation of NDVI between parcels of a class in a month, greatest": max(within),
        "share of NDVI variance between classes, April to August, least": min(shares),
        "share of NDVI variance between classes, April to August, greatest": max(shares),
    }


def deviations(series: PointSeries) -> dict[tuple[str, int], float]:
    """Deviation of NDVI between the parcels of a class in a month (1 .. 12), where at least `FEWEST` have a value."""
    ndvi = by_month(year_of(series).ndvi)
    found = {}
    for name in np.unique(series.label):
        for month in range(12):
            values = ndvi[series.label == name, month]
            if np.isfinite(values).sum() >= FEWEST:
                found[str(name), month + 1] = float(np.nanstd(values, ddof=1))
    return found


def gaps(series: PointSeries) -> dict[str, float]:
    """Line d: missing dekads, those without a row counted among them, and clouds among what was called clear.

    A gap is a run of missing dekads of a parcel inside the year; gaps that reach its ends are cut there.
    """
    year = year_of(series)
    missing = ~np.isfinite(year.values[..., 0])
    monthly = missing.reshape(len(missing), 12, 3).mean(axis=(0, 2))
    edges = np.diff(np.pad(missing, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    return {
        "share of missing dekads, least of twelve months": float(monthly.min()),
        "share of missing dekads, greatest of twelve months": float(monthly.max()),
        "length of gaps, 90th percentile, dekads": float(np.quantile(lengths, 0.90)),
        "length of gaps, 99th percentile, dekads": float(np.quantile(lengths, 0.99)),
        "share of clear pixels with blue above 0.15": float((year.values[..., 0][~missing] > 0.15).mean()),
    }
