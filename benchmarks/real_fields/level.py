"""Level, timing and spread of simulated parcels beside real ones, class by class and month by month: lines b and c."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from real_fields.parcels import FEWEST, by_month, deviations, gap_filled, temporary, year_of

from agrifm.simulator.points import POINT_BANDS, PointSeries

SEASON = slice(2, 9)
"""March to September, when annual crops of western France stand."""


class Quantiles(NamedTuple):
    """Of the parcels that have a value."""

    low: float
    """10th percentile."""
    median: float
    high: float
    """90th percentile."""


@dataclass(frozen=True)
class Case:
    """One quantity of one class in one month, real beside simulated."""

    label: str
    month: int
    """1 .. 12"""
    quantity: str
    """`NDVI` or a band."""
    real: Quantiles
    simulated: Quantiles

    @property
    def distance(self) -> float:
        """Distance of the medians; above 1 it is too far: more than 0.10 of NDVI, or outside the real 10-90 % range."""
        low, middle, high = self.real
        difference = self.simulated.median - middle
        if self.quantity == "NDVI":
            return abs(difference) / 0.10
        return abs(difference) / max(high - middle if difference > 0 else middle - low, 1e-6)


def cases(real: PointSeries, simulated: PointSeries) -> list[Case]:
    """Every class, month and quantity of which both sets have at least `FEWEST` parcels."""
    tables = [_quantities(series) for series in (real, simulated)]
    found = []
    for label in np.unique(real.label):
        own = [table[series.label == label] for table, series in zip(tables, (real, simulated), strict=True)]
        for month in range(12):
            counts = [int(np.isfinite(table[:, month, 0]).sum()) for table in own]
            if min(counts) < FEWEST:
                continue
            spread = [np.nanquantile(table[:, month], (0.1, 0.5, 0.9), axis=0) for table in own]
            for number, quantity in enumerate(("NDVI", *POINT_BANDS)):
                ranges = [Quantiles(*(float(value) for value in one[:, number])) for one in spread]
                found.append(Case(str(label), month + 1, quantity, *ranges))
    return found


def level_and_timing(real: PointSeries, simulated: PointSeries) -> dict[str, float]:
    """Line b: medians per class and month, and how far the months of greatest NDVI lie apart in annual crops.

    The first share asks all ten quantities of a class-month at once, the two that follow each quantity for itself.
    """
    close = {(case.label, case.month, case.quantity): case.distance <= 1 for case in cases(real, simulated)}
    together: dict[tuple[str, int], bool] = {}
    for (label, month, _), good in close.items():
        together[label, month] = together.get((label, month), True) and good
    peaks, other = peak_months(real), peak_months(simulated)
    return {
        "class-months with median NDVI within 0.10 and every band in its range, share": _share(together.values()),
        "class-months with median NDVI within 0.10, share": _share(v for k, v in close.items() if k[2] == "NDVI"),
        "class-month-bands with median in the real 10-90 % range, share": _share(
            v for k, v in close.items() if k[2] != "NDVI"
        ),
        "annual crops, greatest distance of the months of greatest NDVI, months": float(
            max(abs(peaks[label] - other.get(label, np.inf)) for label in peaks)
        ),
    }


def peak_months(series: PointSeries) -> dict[str, int]:
    """Month (1 .. 12) of the greatest median NDVI of every annual crop from March to September, gaps filled.

    Before and after stand catch crops, regrowth and what is sown next. Cells of the real set drawn with replacement
    agree with the whole set, every crop within a month, in 71 % of draws; over the whole year it would be 40 %, because
    rapeseed in January is as green as in March, and other temporary crops in October as in May.
    """
    values = gap_filled(series)
    red, near_infrared = values[..., POINT_BANDS.index("B04")], values[..., POINT_BANDS.index("B08")]
    ndvi = by_month(np.asarray((near_infrared - red) / (near_infrared + red)))[:, SEASON]
    annual = np.unique(series.label[temporary(series.label)])
    peaks = {label: np.median(ndvi[series.label == label], axis=0).argmax() for label in annual}
    return {str(label): int(peak) + SEASON.start + 1 for label, peak in peaks.items()}


def equal_spread(real: PointSeries, simulated: PointSeries) -> dict[str, float]:
    """Line c: how often deviations of NDVI between parcels of a class lie within a factor of 1.5."""
    own, other = deviations(real), deviations(simulated)
    close = [2 / 3 <= other[case] / own[case] <= 1.5 for case in own if case in other]
    return {"class-months with deviation of NDVI within a factor of 1.5, share": _share(close)}


def _share(answers: Iterable[bool]) -> float:
    """Share of true answers; of none it is 0."""
    every = list(answers)
    return float(np.mean(every)) if every else 0.0


def _quantities(series: PointSeries) -> np.ndarray:
    """(n, 12, 10) NDVI and bands of each parcel and month."""
    year = year_of(series)
    return by_month(np.concatenate([year.ndvi[..., None], year.values], axis=-1))
