"""Metrics of series of parcels, of either set (lines a, c, d) or of simulated relative to real ones (lines b, c).

All metrics use the calendar year `YEAR`. The monthly value of a parcel is the mean of its dekads that are not missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score

from agrifm.simulator.points import POINT_BANDS, PointSeries

YEAR = 2023
PERMANENT = ("grassland", "permanent_crops")
"""Labels that are not temporary crops; temporary grassland is labelled as grassland."""
MIN_PARCELS = 12
"""Minimum number of parcels of a class with a value in a month."""
TREES = 300
FOLDS = 5
SUMMER = slice(3, 8)
"""April to August."""
SEASON = slice(2, 9)
"""March to September, the season of annual crops in western France."""

Values = NDArray[np.float32]


def year_of(series: PointSeries) -> PointSeries:
    """Select the 36 dekads of `YEAR`; a series without one of them raises ValueError."""
    inside = series.dekads.astype("datetime64[Y]") == np.datetime64(str(YEAR))
    if np.count_nonzero(inside) != 36:
        raise ValueError(f"the series have {np.count_nonzero(inside)} dekads of {YEAR}, 36 are needed")
    dekads, values, present = series.dekads[inside], series.values[:, inside], series.present[:, inside]
    return replace(series, dekads=dekads, values=values, present=present)


def pooled(simulated: Sequence[PointSeries]) -> PointSeries:
    """The parcels of several years as one set; cells of different years are different."""
    return PointSeries(
        np.concatenate([series.label for series in simulated]),
        np.concatenate([np.char.add(f"{year}: ", series.cell) for year, series in enumerate(simulated)]),
        np.concatenate([series.fold for series in simulated]),
        simulated[0].dekads,
        np.concatenate([series.values for series in simulated]),
        np.concatenate([series.present for series in simulated]),
    )


def gap_filled(series: PointSeries) -> Values:
    """(n, 36, 9) values of the year; missing dekads are interpolated linearly, and constant at both ends.

    A parcel without any value gets the mean of the others.
    """
    year = year_of(series)
    filled, steps = year.values.copy(), np.arange(36)
    observed = np.isfinite(year.values[..., 0])
    for parcel in np.flatnonzero(observed.any(axis=1)):
        for band in range(len(POINT_BANDS)):
            known = observed[parcel]
            filled[parcel, :, band] = np.interp(steps, steps[known], year.values[parcel, known, band])
    filled[~observed.any(axis=1)] = np.nanmean(filled, axis=0)
    return filled


def ndvi_of(values: Values) -> Values:
    """NDVI of values (..., 9)."""
    red, near_infrared = values[..., POINT_BANDS.index("B04")], values[..., POINT_BANDS.index("B08")]
    return np.asarray((near_infrared - red) / (near_infrared + red))


def by_month(values: Values) -> Values:
    """Monthly means (n, 12, ...) of the year's dekads (n, 36, ...) without missing ones; NaN if all are missing."""
    months = values.reshape(len(values), 12, 3, *values.shape[2:])
    count = np.isfinite(months).sum(axis=2)
    return np.asarray(np.where(count > 0, np.nansum(months, axis=2) / np.maximum(count, 1), np.nan), np.float32)


def temporary(label: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Whether a label is a temporary crop."""
    return ~np.isin(label, PERMANENT)


def held_out(
    features: Values, target: NDArray[np.generic], fold: NDArray[np.int64], seed: int, trees: int = TREES
) -> NDArray[np.generic]:
    """Each parcel's class, predicted by a forest that was trained without its fold."""
    predicted = target.copy()
    for number in range(FOLDS):
        forest = RandomForestClassifier(trees, random_state=seed, n_jobs=2)
        forest.fit(features[fold != number], target[fold != number])
        predicted[fold == number] = forest.predict(features[fold == number])
    return predicted


def separability(series: PointSeries, seeds: tuple[int, ...] = (0, 1, 2), trees: int = TREES) -> dict[str, float]:
    """Line a: forests of 300 trees without class weights on gap-filled series, five folds of cells, mean of the seeds.

    Macro F1 is computed on all held-out parcels together. Temporary crop yes or no uses a forest with two classes.
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
    """Line c: share of the variance of monthly NDVI that is between classes, and standard deviations within classes."""
    ndvi = by_month(year_of(series).ndvi)
    shares = []
    for month in range(*SUMMER.indices(12)):
        observed = np.isfinite(ndvi[:, month])
        values, label = ndvi[observed, month], series.label[observed]
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
    """Standard deviation of NDVI between parcels of a class in a month (1 .. 12) with at least `MIN_PARCELS` values."""
    ndvi = by_month(year_of(series).ndvi)
    of_case = {}
    for name in np.unique(series.label):
        for month in range(12):
            values = ndvi[series.label == name, month]
            if np.isfinite(values).sum() >= MIN_PARCELS:
                of_case[str(name), month + 1] = float(np.nanstd(values, ddof=1))
    return of_case


def gaps(series: PointSeries) -> dict[str, float]:
    """Line d: missing dekads (also those without a row), and clouds among the pixels that were masked as clear.

    A gap is a run of missing dekads of a parcel; gaps are cut at the ends of the year.
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


class Quantiles(NamedTuple):
    """10th percentile, median and 90th percentile of the parcels with a value."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Case:
    """One quantity of one class in one month, real and simulated."""

    label: str
    month: int
    """1 .. 12"""
    quantity: str
    """`NDVI` or a band."""
    real: Quantiles
    simulated: Quantiles

    @property
    def distance(self) -> float:
        """Distance of the medians in tolerances: 0.10 of NDVI, or the distance to the end of the real 10-90 % range."""
        low, middle, high = self.real
        difference = self.simulated.median - middle
        if self.quantity == "NDVI":
            return abs(difference) / 0.10
        return abs(difference) / max(high - middle if difference > 0 else middle - low, 1e-6)


def cases(real: PointSeries, simulated: PointSeries) -> list[Case]:
    """All classes, months and quantities for which both sets have at least `MIN_PARCELS` parcels."""
    tables = [_quantities(series) for series in (real, simulated)]
    compared = []
    for label in np.unique(real.label):
        of_label = [table[series.label == label] for table, series in zip(tables, (real, simulated), strict=True)]
        for month in range(12):
            counts = [int(np.isfinite(table[:, month, 0]).sum()) for table in of_label]
            if min(counts) < MIN_PARCELS:
                continue
            spread = [np.nanquantile(table[:, month], (0.1, 0.5, 0.9), axis=0) for table in of_label]
            for column, quantity in enumerate(("NDVI", *POINT_BANDS)):
                ranges = [Quantiles(*map(float, quantiles[:, column])) for quantiles in spread]
                compared.append(Case(str(label), month + 1, quantity, *ranges))
    return compared


def level_and_timing(real: PointSeries, simulated: PointSeries) -> dict[str, float]:
    """Line b: medians by class and month, and the difference of the months of maximum NDVI in annual crops.

    The first share requires all ten quantities of a class-month, the next two count each quantity separately.
    """
    close = {(case.label, case.month, case.quantity): case.distance <= 1 for case in cases(real, simulated)}
    all_close: dict[tuple[str, int], bool] = {}
    for (label, month, _), good in close.items():
        all_close[label, month] = all_close.get((label, month), True) and good
    peaks, other = peak_months(real), peak_months(simulated)
    distance = float(max(abs(peaks[label] - other.get(label, np.inf)) for label in peaks))
    bands = [good for (*_, quantity), good in close.items() if quantity != "NDVI"]
    return {
        "class-months with median NDVI within 0.10 and every band in its range, share": _share(all_close.values()),
        "class-months with median NDVI within 0.10, share": _share(v for k, v in close.items() if k[2] == "NDVI"),
        "class-month-bands with median in the real 10-90 % range, share": _share(bands),
        "annual crops, greatest distance of the months of greatest NDVI, months": distance,
    }


def peak_months(series: PointSeries) -> dict[str, int]:
    """Month (1 .. 12) of the maximum median NDVI of every annual crop from March to September, gaps filled.

    Before and after are catch crops, regrowth and the next crop. Bootstrap samples of the real cells agree with the
    whole data, every crop within a month, in 71 % of draws; over the whole year it would be 40 %, because rapeseed is
    as green in January as in March, and other temporary crops as green in October as in May.
    """
    ndvi = by_month(ndvi_of(gap_filled(series)))[:, SEASON]
    annual = np.unique(series.label[temporary(series.label)])
    peaks = {label: np.median(ndvi[series.label == label], axis=0).argmax() for label in annual}
    return {str(label): int(peak) + SEASON.start + 1 for label, peak in peaks.items()}


def equal_spread(real: PointSeries, simulated: PointSeries) -> dict[str, float]:
    """Line c: share of class-months whose standard deviations of NDVI agree within a factor of 1.5."""
    of_real, of_simulated = deviations(real), deviations(simulated)
    close = [2 / 3 <= of_simulated[case] / of_real[case] <= 1.5 for case in of_real if case in of_simulated]
    return {"class-months with deviation of NDVI within a factor of 1.5, share": _share(close)}


def _share(answers: Iterable[bool]) -> float:
    """Share of true answers; 0 without any answer."""
    listed = list(answers)
    return float(np.mean(listed)) if listed else 0.0


def _quantities(series: PointSeries) -> np.ndarray:
    """(n, 12, 10) NDVI and bands of each parcel and month."""
    year = year_of(series)
    return by_month(np.concatenate([year.ndvi[..., None], year.values], axis=-1))
