"""Level, timing and spread of simulated parcels relative to real ones, by class and month: lines b and c."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from realism_metrics.parcels import MIN_PARCELS, by_month, deviations, gap_filled, ndvi_of, temporary, year_of

from agrifm.simulator.points import POINT_BANDS, PointSeries

SEASON = slice(2, 9)
"""March to September, the season of annual crops in western France."""


class Quantiles(NamedTuple):
    """Quantiles of the parcels with a value."""

    low: float
    """10th percentile."""
    median: float
    high: float
    """90th percentile."""


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
    pooled: dict[tuple[str, int], bool] = {}
    for (label, month, _), good in close.items():
        pooled[label, month] = pooled.get((label, month), True) and good
    peaks, other = peak_months(real), peak_months(simulated)
    return {
        "class-months with median NDVI within 0.10 and every band in its range, share": _share(pooled.values()),
        "class-months with median NDVI within 0.10, share": _share(v for k, v in close.items() if k[2] == "NDVI"),
        "class-month-bands with median in the real 10-90 % range, share": _share(
            v for k, v in close.items() if k[2] != "NDVI"
        ),
        "annual crops, greatest distance of the months of greatest NDVI, months": float(
            max(abs(peaks[label] - other.get(label, np.inf)) for label in peaks)
        ),
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
